"""A WebSocket service over HTTP/1.1 (RFC 6455) or HTTP/2 (RFC 8441) that says back what it hears, by wsproto, one byte of
input at a time deciding what comes out: the same conversation always ends in the same bytes."""

import base64
import hashlib
import socket
import threading

from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from frames import CONNECT_PROTOCOL, PREFACE, Gone, Peer

# Agrees, refuses, or agrees to something that nobody asked for.
AGREES, REFUSES, MISTAKES = b"/ws", b"/refused", b"/mistaken"


class Talk:
    """The service's side of one conversation; `out` takes bytes, `over` says that no more come."""

    def __init__(self, out, over):
        self.connection, self.out, self.over = Connection(ConnectionType.SERVER), out, over
        self.text, self.is_over = [], False

    def hear(self, data):
        if self.is_over:
            return
        try:
            self.connection.receive_data(data)
            for event in self.connection.events():
                self.answer(event)
        except RemoteProtocolError as error:
            self.out(self.connection.send(error.event_hint or CloseConnection(1002)))
            self.end()
        except LocalProtocolError:
            self.end()

    def answer(self, event):
        if isinstance(event, (TextMessage, BytesMessage)):
            self.text.append(event.data)
            if event.message_finished:
                whole = ("" if isinstance(event, TextMessage) else b"").join(self.text)
                self.text = []
                self.out(self.connection.send(type(event)(whole)))
        elif isinstance(event, Ping):
            self.out(self.connection.send(event.response()))
        elif isinstance(event, CloseConnection):
            if self.connection.state is ConnectionState.REMOTE_CLOSING:
                self.out(self.connection.send(event.response()))
            elif self.connection.state is ConnectionState.OPEN:
                # wsproto's word on what the client has broken; where exactly depends on how its bytes came.
                self.out(self.connection.send(CloseConnection(event.code)))
            self.end()

    def end(self):
        if not self.is_over:
            self.is_over = True
            self.over()


class Service:
    """`early` has what came before anything was agreed."""

    def __init__(self, port, protocol):
        self.early, self.heads = [], []
        self.listener = socket.create_server(("127.0.0.1", port), backlog=256)
        self.serve = self.serve_http1 if protocol == "http1" else self.serve_h2c
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            sock, _ = self.listener.accept()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.shield, args=(sock,), daemon=True).start()

    def shield(self, sock):
        try:
            self.serve(sock)
        except (Gone, OSError):
            pass
        finally:
            sock.close()

    def serve_http1(self, sock):
        begun = b""
        while b"\r\n\r\n" not in begun:
            part = sock.recv(65_536)
            if not part:
                return
            begun += part
        head, _, rest = begun.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines[1:])}
        self.heads.append(fields)
        path = lines[0].split(b" ")[1]
        # Whoever is patient with its answer sees what comes without one.
        sock.settimeout(0.3)
        try:
            rest += sock.recv(65_536) if path == REFUSES or b"x-late" in fields else b""
        except socket.timeout:
            pass
        if rest:
            self.early.append(rest)
        sock.settimeout(None)
        if path == REFUSES:
            return sock.sendall(b"HTTP/1.1 403 No\r\ncontent-length: 2\r\n\r\nno")
        key = b"another" if path == MISTAKES else fields[b"sec-websocket-key"]
        accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
        sock.sendall(b"HTTP/1.1 101 Fine\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: %s\r\n"
                     b"sec-websocket-protocol: echo\r\n\r\n" % accept)
        talk = Talk(sock.sendall, lambda: sock.shutdown(socket.SHUT_WR))
        while True:
            part = sock.recv(65_536)
            if not part:
                return
            talk.hear(part)

    def serve_h2c(self, sock):
        begun = b""
        while len(begun) < len(PREFACE):
            begun += sock.recv(len(PREFACE) - len(begun)) or b"?" * len(PREFACE)
        peer = Sockets(sock, self)
        while True:
            peer.step(3600)


class Sockets(Peer):
    def __init__(self, sock, service):
        super().__init__(sock, {CONNECT_PROTOCOL: 1})
        self.service, self.talks, self.waits = service, {}, set()

    def came(self, number, what):
        stream = self.stream(number)
        if what == "head":
            fields = dict(stream.heads[0])
            self.service.heads.append(fields)
            self.waits.add(number)
            late = fields[b":path"] == REFUSES or b"x-late" in fields
            if late:
                threading.Timer(0.3, self.later, (number, fields)).start()
            else:
                self.agree(number, fields)
        elif what == "data" and number in self.waits:
            self.service.early.append(bytes(stream.data))
        elif what == "data":
            data, stream.data = bytes(stream.data), bytearray()
            self.talks[number].hear(data)

    def later(self, number, fields):
        try:
            with self.lock:
                self.agree(number, fields)
        except Gone:
            pass

    def agree(self, number, fields):
        self.waits.discard(number)
        if fields.get(b":protocol") != b"websocket" or fields[b":path"] == REFUSES:
            self.say_head(number, [(":status", "403"), ("content-length", "2")])
            return self.say_data(number, b"no", True)
        self.say_head(number, [(":status", "200"), ("sec-websocket-protocol", "echo")])
        self.talks[number] = Talk(lambda data: self.queue(number, data, False), lambda: self.queue(number, b"", True))
