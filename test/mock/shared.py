"""What the mock servers share: a server that has a thread for each connection, answers in JSON, one page, an end by
SIGTERM or Ctrl-C. Python's own library and nothing else."""

import argparse
import json
import os
import signal
import socketserver
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

# Larger bodies are refused: everything that is sent is held in memory.
LARGEST_BODY = 16 << 20


class Refused(Exception):
    """A request that is answered with this status and these words."""

    def __init__(self, status, why):
        super().__init__(why)
        self.status, self.why = status, why


class Handler(BaseHTTPRequestHandler):
    """One connection. A mock has `respond`, which is given the path's segments and finds `query` and `body` here."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    # An answer leaves in one piece; what streams flushes by itself.
    wbufsize = -1

    query, body = {}, b""

    def respond(self, path):
        raise NotImplementedError

    def carry_out(self):
        url = urlsplit(self.path)
        self.query = {name: values[-1] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
        try:
            # Where the body ends is not known until it was read.
            reusable, self.close_connection = not self.close_connection, True
            self.body = self.read_body()
            self.close_connection = not reusable
            self.respond([unquote(segment) for segment in url.path.split("/") if segment])
        except Refused as refused:
            self.answer_json({"error": refused.why}, refused.status)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = carry_out

    def answer(self, body, content_type, status=200, headers=None):
        length = {} if status in (204, 304) else {"Content-Length": len(body)}
        self.begin(content_type, status, {**length, **(headers or {})})
        if length and self.command != "HEAD":
            self.wfile.write(body)

    def answer_json(self, value, status=200, headers=None):
        self.answer((json.dumps(value, ensure_ascii=False) + "\n").encode(), "application/json", status, headers)

    def answer_page(self):
        if self.server.page is None:
            raise Refused(404, "there is no page here: --page names a file")
        self.answer(self.server.page.read_bytes(), "text/html; charset=utf-8", headers={"Cache-Control": "no-cache"})

    def begin(self, content_type, status=200, headers=None):
        """Says the head of an answer."""
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("X-Served-By", self.server.name)
        for name, value in (headers or {}).items():
            self.send_header(name, str(value))
        self.end_headers()

    def chunk(self, data):
        """Says a piece of an answer whose head said `Transfer-Encoding: chunked`; an empty piece is its end."""
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def number(self, name, default, least, most):
        """A whole number of the query."""
        return whole(self.query.get(name, default), name, least, most)

    def read_json(self):
        try:
            value = json.loads(self.body)
        except ValueError as error:
            raise Refused(400, f"the body is no JSON: {error}") from None
        if not isinstance(value, dict):
            raise Refused(400, "the body must be a JSON object")
        return value

    def read_body(self):
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            return self.read_chunks()
        length = whole(self.headers.get("Content-Length", 0), "Content-Length", 0, LARGEST_BODY)
        return self.rfile.read(length)

    def read_chunks(self):
        body = bytearray()
        while size := self.chunk_size():
            if len(body) + size > LARGEST_BODY:
                raise Refused(413, f"a body may have {LARGEST_BODY} bytes")
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return bytes(body)

    def chunk_size(self):
        line = self.rfile.readline()
        try:
            return int(line.split(b";")[0], 16)
        except ValueError:
            raise Refused(400, f"{line!r} is no size of a chunk") from None

    def handle_expect_100(self):
        done = super().handle_expect_100()
        self.wfile.flush()
        return done

    def version_string(self):
        return "mock"

    def log_message(self, format, *args):
        if self.server.verbose:
            sys.stderr.write(f"{self.server.name}: {format % args}\n")


class Server(ThreadingHTTPServer):
    request_queue_size = 256
    name, page, verbose = "mock", None, False

    def server_bind(self):
        # HTTPServer would ask the resolver for this machine's name.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]

    def handle_error(self, request, client_address):
        # A client that went away in the middle is nothing to tell.
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)


def whole(text, name, least, most):
    """A number from outside, within its bounds."""
    try:
        number = int(text)
    except ValueError:
        number = None
    if number is None or not least <= number <= most:
        raise Refused(400, f"{name} must be a whole number from {least} to {most}, and is {text!r}")
    return number


def serve(handler, name, port, variable):
    """Serves until a signal says otherwise. The port is a flag, or this variable of the environment, or this one."""
    parser = argparse.ArgumentParser(description=sys.modules[handler.__module__].__doc__)
    parser.add_argument("--port", type=int, default=int(os.environ.get(variable, port)), help=f"{variable}, or {port}")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen at; 127.0.0.1 when left out")
    parser.add_argument("--name", default=name, help=f"what it calls itself in X-Served-By; {name} when left out")
    parser.add_argument("--page", type=Path, help="a file that is answered at /")
    parser.add_argument("--verbose", action="store_true", help="a line for each request")
    said = parser.parse_args()
    # Before anything can be interrupted.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    try:
        server = Server((said.host, said.port), handler)
    except OSError as error:
        sys.exit(f"{said.name}: cannot listen at {said.host}:{said.port}: {error.strerror}. "
                 f"--port or {variable} names another port.")
    server.name, server.page, server.verbose = said.name, said.page, said.verbose
    # In one piece, since several may write to the same place.
    sys.stdout.write(f"{said.name}: http://{said.host}:{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()
