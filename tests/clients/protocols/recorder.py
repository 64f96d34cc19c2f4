"""A service that writes down what reaches it, byte for byte, over HTTP/1.1 or HTTP/2; it answers by the path."""

import queue
import socket
import threading
import time

from frames import PREFACE, Gone, Peer, field


class Seen:
    """A request as it came. `fields` has no pseudo-fields; `whole` says whether its body ended."""

    def __init__(self, method, path, authority, fields):
        self.method, self.path, self.authority, self.fields = method, path, authority, fields
        self.body, self.trailers, self.whole = b"", [], False

    def all(self, name):
        return [value for found, value in self.fields if found.lower() == name]

    def __repr__(self):
        return f"{self.method} {self.path} for {self.authority}: {self.fields} {self.body[:80]} {self.trailers}" + (
            "" if self.whole else " (cut)")


SLOW = 1


class Recorder:
    """Listens on a port; `protocol` is `http1` or `h2c`. `settings` is what it says of itself in HTTP/2."""

    def __init__(self, port, protocol, settings=None):
        self.protocol, self.seen, self.settings = protocol, queue.Queue(), settings
        self.connections = []
        self.listener = socket.create_server(("127.0.0.1", port), backlog=256)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        serve = serve_http1 if self.protocol == "http1" else serve_h2c
        while True:
            sock, _ = self.listener.accept()
            self.connections.append(sock)
            threading.Thread(target=serve, args=(sock, self), daemon=True).start()

    def take(self, wait=0.0):
        """All that came since; with `wait`, at least one is waited for."""
        found = []
        try:
            found.append(self.seen.get(timeout=wait) if wait else self.seen.get_nowait())
            while True:
                found.append(self.seen.get_nowait())
        except queue.Empty:
            return found


def answer_of(seen):
    """Interim heads, the head, the body and the trailers, by the path."""
    path = seen.path.split(b"?")[0]
    if path == b"/trailers":
        return [], 200, [(b"trailer", b"x-sum")], b"a body", [(b"x-sum", b"42"), (b"x-two", b"2")]
    if path == b"/hints":
        return [(103, [(b"link", b"</a.css>; rel=preload")])], 200, [], b"after hints", None
    if path == b"/nothing":
        return [], 204, [(b"etag", b'"1"')], b"", None
    if path == b"/large":
        return [], 200, [], b"z" * 1_000_000, None
    if path == b"/cookies":
        return [], 200, [(b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")], b"ok", None
    return [], 200, [(b"x-echo", str(len(seen.body)).encode())], seen.body or b"ok", None


# HTTP/1.1


def serve_http1(sock, recorder):
    reader = sock.makefile("rb")
    try:
        while True:
            first = reader.readline(1 << 17)
            if not first:
                return
            words = first.rstrip(b"\r\n").split(b" ")
            fields = read_fields(reader)
            seen = Seen(words[0], b" ".join(words[1:-1]), None, fields)
            seen.authority = b", ".join(seen.all(b"host"))
            try:
                if seen.path == b"/early":
                    sock.sendall(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno")
                    return
                if seen.all(b"expect") and seen.path != b"/refuse":
                    sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
                if seen.path == b"/refuse":
                    sock.sendall(b"HTTP/1.1 417 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                    return
                seen.whole = read_body(reader, seen)
            finally:
                recorder.seen.put(seen)
            if not seen.whole or seen.path == b"/silent":
                return
            say_http1(sock, seen)
    except OSError:
        pass
    finally:
        sock.close()


def read_fields(reader):
    fields = []
    while True:
        line = reader.readline(1 << 17)
        if line in (b"\r\n", b""):
            return fields
        name, _, value = line.partition(b":")
        fields.append((name, value.strip(b" \t\r\n")))


def read_body(reader, seen):
    if seen.all(b"transfer-encoding"):
        while True:
            line = reader.readline()
            if not line:
                return False
            size = int(line.split(b";")[0], 16)
            if size == 0:
                seen.trailers = read_fields(reader)
                return True
            chunk = reader.read(size)
            seen.body += chunk
            if len(chunk) < size or len(reader.read(2)) < 2:
                return False
    if seen.all(b"content-length"):
        length = int(seen.all(b"content-length")[0])
        seen.body = reader.read(length)
        return len(seen.body) == length
    return True


def say_http1(sock, seen):
    if seen.path.startswith(b"/slow"):
        time.sleep(SLOW)
    interim, status, fields, body, trailers = answer_of(seen)
    lines = lambda fields: b"".join(name + b": " + value + b"\r\n" for name, value in fields)  # noqa: E731
    for code, more in interim:
        sock.sendall(b"HTTP/1.1 %d Interim\r\n" % code + lines(more) + b"\r\n")
    out = b"HTTP/1.1 %d Fine\r\n" % status + lines(fields)
    if status == 204:
        out += b"\r\n"
    elif trailers is None:
        out += b"content-length: %d\r\n\r\n" % len(body) + (body if seen.method != b"HEAD" else b"")
    else:
        out += b"transfer-encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n%s\r\n" % (len(body), body, lines(trailers))
    sock.sendall(out)


# HTTP/2


class H2c(Peer):
    def __init__(self, sock, recorder):
        super().__init__(sock, recorder.settings)
        self.recorder, self.requests = recorder, {}

    def came(self, number, what):
        stream = self.stream(number)
        if what == "head" and number not in self.requests:
            head = stream.heads[0]
            one = lambda name: b", ".join(field(head, name))  # noqa: E731
            rest = [(name, value) for name, value in head if not name.startswith(b":")]
            seen = self.requests[number] = Seen(one(b":method"), one(b":path"), one(b":authority"), rest)
            if seen.path == b"/early":
                self.say_head(number, [(":status", "403"), ("content-length", "2")])
                self.say_data(number, b"no", True)
                self.give_up(number, 0)
            elif seen.path == b"/refuse":
                self.say_head(number, [(":status", "417")], True)
            elif seen.all(b"expect"):
                self.say_head(number, [(":status", "100")])
        seen = self.requests.get(number)
        if what == "reset" and seen and not seen.whole:
            self.recorder.seen.put(seen)
        if what == "end" and seen:
            seen.body, seen.trailers, seen.whole = bytes(stream.data), stream.trailers(), True
            self.recorder.seen.put(seen)
            if seen.path.startswith(b"/slow"):
                threading.Timer(SLOW, self.later, (number, seen)).start()
            elif seen.path not in (b"/early", b"/refuse", b"/silent"):
                self.say_answer(number, seen)

    def later(self, number, seen):
        try:
            with self.lock:
                self.say_answer(number, seen)
        except Gone:
            pass

    def say_answer(self, number, seen):
        interim, status, fields, body, trailers = answer_of(seen)
        for code, more in interim:
            self.say_head(number, [(":status", str(code)), *more])
        bodiless = status == 204 or seen.method == b"HEAD"
        if trailers is None and not bodiless:
            fields = [*fields, ("content-length", str(len(body)))]
        self.say_head(number, [(":status", str(status)), *fields], bodiless)
        if not bodiless:
            self.queue(number, body, trailers is None, trailers)


def serve_h2c(sock, recorder):
    try:
        sock.settimeout(None)
        begun = b""
        while len(begun) < len(PREFACE):
            part = sock.recv(len(PREFACE) - len(begun))
            if not part:
                return
            begun += part
        peer = H2c(sock, recorder)
        while True:
            peer.step(3600)
    except (Gone, OSError):
        pass
    finally:
        sock.close()
