"""An answer that its service cuts short, in every way in which that is done, is whole for no client: before services of either
protocol, to clients of HTTP/1.1, HTTP/1.0, HTTP/2 and gRPC. `cuts.py DOOR SERVICE PROTOCOL`."""

import socket
import struct
import sys
import threading
import time

from hyperframe.frame import GoAwayFrame

from frames import PREFACE, Client, Gone, Peer, field, head
from report import check, run

DOOR, PORT, PROTOCOL = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
HALF = b"h" * 500
# A body of known length that stands still is given up after a second.
SOON = 4


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


LENGTH = b"HTTP/1.1 200 Fine\r\ncontent-type: %s\r\ncontent-length: 1000\r\n\r\n" + HALF
CHUNKS = b"HTTP/1.1 200 Fine\r\ncontent-type: %s\r\ntransfer-encoding: chunked\r\n\r\n1f4\r\n" + HALF + b"\r\n"
# What the service says, and how it goes on.
WAYS = {
    "http1": {
        "length-and-close": (LENGTH, "close"), "length-and-reset": (LENGTH, "reset"), "length-and-silence": (LENGTH, "wait"),
        "one-byte-short": (LENGTH + HALF[1:], "close"),
        "chunks-and-close": (CHUNKS, "close"), "chunks-and-reset": (CHUNKS, "reset"),
        "in-a-size": (CHUNKS + b"1f", "close"), "in-a-chunk": (CHUNKS + b"1f4\r\n" + HALF[1:], "close"),
        "behind-a-chunk": (CHUNKS + b"1f4\r\n" + HALF, "close"), "before-the-last-line": (CHUNKS + b"0\r\n", "close"),
        "in-trailers": (CHUNKS + b"0\r\nx-sum: 4", "close"),
        "wrong-size": (CHUNKS + b"xyz\r\n", "wait"), "negative-size": (CHUNKS + b"-1\r\n", "wait"),
        "huge-size": (CHUNKS + b"fffffffffffffffff\r\n", "wait"), "chunk-longer-than-said": (CHUNKS + b"3\r\nlong\r\n0\r\n\r\n", "wait"),
    },
    "h2c": {
        "length-and-end": ("length", "end"), "length-and-close": ("length", "close"), "length-and-goaway": ("length", "goaway"),
        "length-and-reset": ("length", 2), "length-and-cancel": ("length", 8), "length-and-no-error": ("length", 0),
        "length-and-silence": ("length", "wait"), "length-and-trailers": ("length", "trailers"),
        "close": ("none", "close"), "goaway": ("none", "goaway"), "reset": ("none", 2), "cancel": ("none", 8), "no-error": ("none", 0),
    },
}


def accept(listener):
    serve = serve_http1 if PROTOCOL == "http1" else serve_h2c
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=serve, args=(sock,), daemon=True).start()


def serve_http1(sock):
    asked = b""
    while b"\r\n\r\n" not in asked:
        part = sock.recv(65_536)
        if not part:
            return
        asked += part
    said, then = WAYS[PROTOCOL][asked.split(b" ")[1].decode()[1:]]
    kind = b"application/grpc" if b"application/grpc" in asked else b"text/plain"
    sock.sendall(said.replace(b"%s", kind))
    time.sleep(0.05)
    if then == "wait":
        time.sleep(2 * SOON)
    if then == "reset":
        reset(sock)
    sock.close()


class Cutting(Peer):
    def came(self, number, what):
        if what != "head":
            return
        asked = dict(self.stream(number).heads[0])
        how, then = WAYS[PROTOCOL][asked[b":path"].decode()[1:]]
        fields = [(":status", "200"), ("content-type", asked.get(b"content-type", b"text/plain"))]
        self.say_head(number, fields + ([("content-length", "1000")] if how == "length" else []))
        self.say_data(number, HALF, then == "end")
        # What was said is passed on before it is cut.
        threading.Timer(0.05, self.cut, (number, then)).start()

    def cut(self, number, then):
        with self.lock:
            if then == "goaway":
                self.write_frame(GoAwayFrame(0, last_stream_id=number, error_code=0))
            if then in ("close", "goaway"):
                self.sock.shutdown(socket.SHUT_RDWR)
            elif then == "trailers":
                self.say_head(number, [("x-sum", "4")], True)
            elif isinstance(then, int):
                self.give_up(number, then)


def serve_h2c(sock):
    try:
        begun = b""
        while len(begun) < len(PREFACE):
            begun += sock.recv(len(PREFACE) - len(begun)) or b"?" * len(PREFACE)
        peer = Cutting(sock)
        while True:
            peer.step(3600)
    except (Gone, OSError):
        pass


def over_http1(path, minor=1):
    """All that comes, and how the connection ended."""
    sock = socket.create_connection(("127.0.0.1", DOOR))
    sock.settimeout(SOON)
    sock.sendall(b"GET /%s HTTP/1.%d\r\nHost: app.test\r\n\r\n" % (path.encode(), minor))
    came = b""
    try:
        while True:
            part = sock.recv(65_536)
            if not part:
                return came, "closed"
            came += part
    except ConnectionResetError:
        return came, "reset"
    except socket.timeout:
        return came, "goes on"


def http1(path):
    came, ended = over_http1(path)
    said, _, body = came.partition(b"\r\n\r\n")
    check(ended != "goes on", f"{ended} after {came}")
    if said.startswith(b"HTTP/1.1 5"):
        return
    said = said.lower()
    check(said.startswith(b"http/1.1 200"), f"{came}")
    if b"content-length: 1000" in said:
        check(len(body) < 1000, f"{came}")
    else:
        check(b"transfer-encoding: chunked" in said and not body.endswith(b"0\r\n\r\n"), f"{came}")


def http1_0(path):
    """What ends with the connection can only be broken by a reset."""
    came, ended = over_http1(path, 0)
    said, _, body = came.partition(b"\r\n\r\n")
    check(ended != "goes on", f"{ended} after {came}")
    whole_by_length = b"content-length: 1000" in said.lower() and len(body) >= 1000
    check(ended == "reset" or b" 502 " in said or (b"content-length" in said.lower() and not whole_by_length),
          f"{ended} after {came}")


def http2(path):
    stream = Client(DOOR).ask(head(path=f"/{path}"), limit=SOON)
    check(stream.reset is not None or (stream.ended and stream.status() >= 500), f"{stream.heads} {len(stream.data)} bytes, ended {stream.ended}")


def grpc(path):
    fields = [("content-type", "application/grpc"), ("te", "trailers")]
    stream = Client(DOOR).ask(head("POST", f"/{path}", fields), b"\0\0\0\0\0", limit=SOON)
    status = field([*(stream.final() or []), *stream.trailers()], b"grpc-status")
    check(stream.is_over() and status != [b"0"], f"{stream.heads} {len(stream.data)} bytes, ended {stream.ended}")


threading.Thread(target=accept, args=(socket.create_server(("127.0.0.1", PORT), backlog=64),), daemon=True).start()
run([(f"{way}/{client.__name__}", lambda client=client, way=way: client(way))
     for way in WAYS[PROTOCOL] for client in [http1, http1_0, http2, grpc]])
