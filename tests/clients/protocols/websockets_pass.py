"""WebSocket through the gateway, every pair of protocols: each conversation ends in the very bytes that it ends in without
a gateway, and clients and services of others agree. `websockets_pass.py DOOR SERVICE PROTOCOL OTHERS` (a port where a
service of others is started, to which `/others` leads)."""

import asyncio
import base64
import os
import re
import socket
import sys
import threading

import websockets
import websockets.sync.client
from hypercorn.asyncio import serve
from hypercorn.config import Config
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage

from frames import CONNECT_PROTOCOL, Client, Gone, field, head
from report import check, run
from websocket_cases import TEXT, cases, close, frame
from websocket_service import Service

DOOR, PORT, PROTOCOL, OTHERS = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
SERVICE = Service(PORT, PROTOCOL)
PATIENCE = 10


class OverHttp1:
    """A conversation that was asked for in HTTP/1; `first` goes along with what asks for it."""

    def __init__(self, port, path="/ws", more="", first=b"", keys=None):
        self.sock = socket.create_connection(("127.0.0.1", port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.settimeout(PATIENCE)
        keys = [base64.b64encode(os.urandom(16)).decode()] if keys is None else keys
        keys = "".join(f"Sec-WebSocket-Key: {key}\r\n" for key in keys)
        asked = (f"GET {path} HTTP/1.1\r\nHost: app.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13"
                 f"\r\n{keys}Sec-WebSocket-Protocol: echo\r\n{more}\r\n")
        self.sock.sendall(asked.encode() + first)
        self.inbox = b""
        while b"\r\n\r\n" not in self.inbox:
            part = self.sock.recv(65_536)
            check(part, f"closed after {self.inbox}")
            self.inbox += part
        self.head, _, self.inbox = self.inbox.partition(b"\r\n\r\n")
        self.status = int(self.head.split(b" ")[1])

    def send(self, data):
        self.sock.sendall(data)

    def rest(self):
        """All that comes until the other side has said its last."""
        try:
            while True:
                part = self.sock.recv(1 << 20)
                if not part:
                    return self.inbox
                self.inbox += part
        except ConnectionResetError:
            return self.inbox

    def until(self, count):
        while len(self.inbox) < count:
            part = self.sock.recv(65_536)
            check(part, f"closed after {self.inbox}")
            self.inbox += part
        return self.inbox

    def close(self):
        self.sock.close()


class OverHttp2:
    """The same by an extended CONNECT."""

    def __init__(self, port, path="/ws", more=(), first=b""):
        self.client = Client(port)
        check(self.client.until(lambda: self.client.peer_settings.get(CONNECT_PROTOCOL) == 1), "WebSocket is not offered")
        asked = [(":method", "CONNECT"), (":protocol", "websocket"), *head(path=path)[1:], ("sec-websocket-version", "13"),
                 ("sec-websocket-protocol", "echo"), *more]
        self.number = self.client.open(asked, ends=False)
        self.stream = self.client.stream(self.number)
        if first:
            self.client.queue(self.number, first, False)
        check(self.client.until(lambda: self.stream.final() or self.stream.reset is not None), "no answer came")
        self.head, self.status = self.stream.final(), self.stream.status()

    def send(self, data):
        if not self.stream.is_over():
            self.client.queue(self.number, data, False)

    def rest(self):
        check(self.client.until(self.stream.is_over), "it does not end")
        return bytes(self.stream.data)

    def until(self, count):
        check(self.client.until(lambda: len(self.stream.data) >= count or self.stream.is_over()), "nothing came")
        return bytes(self.stream.data)

    def close(self):
        self.client.close()


def talk(over, port, pieces):
    """Says the pieces and its farewell; all that was said in return."""
    line = over(port)
    check(line.status in (101, 200), f"was answered {line.head}")
    # What is said while the other side talks is taken in beside it.
    heard = []
    if isinstance(line, OverHttp1):
        reader = threading.Thread(target=lambda: heard.append(line.rest()))
        reader.start()
    try:
        for piece in [*pieces, close(1000, b"over")]:
            line.send(piece)
    except (OSError, Gone):
        # The other side has ended it, and said why.
        pass
    if isinstance(line, OverHttp1):
        reader.join(PATIENCE)
        check(heard, "it does not end")
    else:
        heard.append(line.rest())
    line.close()
    return heard[0]


def same_as_without(pieces):
    direct = OverHttp1 if PROTOCOL == "http1" else OverHttp2

    def case():
        wanted = talk(direct, PORT, pieces)
        check(wanted, "the service says nothing")
        for over in [OverHttp1, OverHttp2]:
            told = talk(over, DOOR, pieces)
            check(told == wanted, f"{over.__name__}: {told[:80]} ({len(told)}) is not {wanted[:80]} ({len(wanted)})")

    return case


def handshake():
    """Each side is asked as its protocol has it, and the client's proof is right although its service made another."""
    line = OverHttp1(DOOR)
    check(b"101" in line.head and re.search(rb"(?i)sec-websocket-protocol: echo", line.head), f"{line.head}")
    line.close()
    line = OverHttp2(DOOR)
    check(line.status == 200 and field(line.head, b"sec-websocket-protocol") == [b"echo"], f"{line.head}")
    check(not field(line.head, b"sec-websocket-accept") and not field(line.head, b"upgrade"), f"{line.head}")
    line.close()
    for fields in SERVICE.heads[-2:]:
        check(fields[b"sec-websocket-version"] == b"13" and b"x-forwarded-for" in fields, f"{fields}")
        check((b"sec-websocket-key" in fields) == (PROTOCOL == "http1"), f"{fields}")


def refusal():
    """A service that does not agree answers, and what the client sent too soon reaches nobody (RFC 9931)."""
    del SERVICE.early[:]
    hidden = b"GET /hidden HTTP/1.1\r\nHost: app.test\r\n\r\n" + frame(TEXT, b"hidden")
    line = OverHttp1(DOOR, "/refused", first=hidden)
    check(line.status == 403 and line.rest() == b"no", f"{line.head} {line.inbox}")
    line = OverHttp2(DOOR, "/refused", first=hidden)
    check(line.status == 403, f"{line.head}")
    check(not SERVICE.early, f"the service saw {SERVICE.early}")


def mistakes():
    """Who asks in another way than he has to reaches nobody, and who agrees to something else has not agreed."""
    asked = len(SERVICE.heads)
    good = base64.b64encode(b"sixteen bytes 16").decode()
    if PROTOCOL != "http1":
        # A service of HTTP/2 is told no key, so that it is the gateway which has to see that there is one.
        for keys in [[], [good, good], ["short"], [good + "AAAA"]]:
            check(OverHttp1(DOOR, keys=keys).status == 400, f"{keys}")
    origins = "Origin: https://one.test\r\nOrigin: https://two.test\r\n"
    check(OverHttp1(DOOR, more=origins).status == 400, "two origins")
    more = [("origin", "https://one.test"), ("origin", "https://two.test")]
    check(OverHttp2(DOOR, more=more).status == 400, "two origins")
    check(len(SERVICE.heads) == asked, f"the service saw {SERVICE.heads[asked:]}")
    if PROTOCOL == "http1":
        # A client with a key of its own sees for itself.
        check(OverHttp1(DOOR, "/mistaken").status == 101, "the answer is the client's to check")
        check(OverHttp2(DOOR, "/mistaken").status == 502, "nobody else can check it")


def impatience():
    """What a client sends before it was agreed arrives after that, and is not lost."""
    del SERVICE.early[:]
    for line in [OverHttp1(DOOR, more="X-Late: 1\r\n", first=frame(TEXT, b"early")),
                 OverHttp2(DOOR, more=[("x-late", "1")], first=frame(TEXT, b"early"))]:
        check(line.until(7) == b"\x81\x05early", f"{line.head}")
        line.close()
    check(not SERVICE.early, f"before it agreed the service saw {SERVICE.early}")


def many():
    """A hundred on one connection, each its own."""
    client = Client(DOOR)
    check(client.until(lambda: CONNECT_PROTOCOL in client.peer_settings), "WebSocket is not offered")
    asked = [(":method", "CONNECT"), (":protocol", "websocket"), *head(path="/ws")[1:], ("sec-websocket-version", "13")]
    numbers = [client.open(asked, ends=False) for _ in range(100)]
    for number in numbers:
        client.queue(number, frame(TEXT, b"%d" % number), False)
    for number in numbers:
        wanted = b"%d" % number
        stream = client.stream(number)
        check(client.until(lambda stream=stream, wanted=wanted: wanted in stream.data), f"{stream.heads} {stream.data}")


# Clients and services of others.


async def echo(scope, receive, send):
    """The service as an application of hypercorn."""
    if scope["type"] != "websocket":
        return
    await receive()
    await send({"type": "websocket.accept"})
    while True:
        event = await receive()
        if event["type"] == "websocket.disconnect":
            return
        text = event.get("text")
        if text and text.startswith("close "):
            return await send({"type": "websocket.close", "code": int(text[6:]), "reason": "as asked"})
        await send({"type": "websocket.send", "text": text, "bytes": event.get("bytes")})


async def echo_of_websockets(socket_):
    try:
        async for message in socket_:
            if isinstance(message, str) and message.startswith("close "):
                return await socket_.close(int(message[6:]), "as asked")
            await socket_.send(message)
    except websockets.ConnectionClosed:
        # With another code than 1000.
        pass


def start_others():
    async def run_it():
        if PROTOCOL == "http1":
            async with websockets.serve(echo_of_websockets, "127.0.0.1", OTHERS, max_size=None):
                await asyncio.Event().wait()
        config = Config()
        config.bind, config.loglevel = [f"127.0.0.1:{OTHERS}"], "CRITICAL"
        await serve(echo, config, shutdown_trigger=asyncio.Event().wait)

    threading.Thread(target=asyncio.run, args=(run_it(),), daemon=True).start()
    for _ in range(200):
        try:
            return socket.create_connection(("127.0.0.1", OTHERS)).close()
        except OSError:
            threading.Event().wait(0.05)


MESSAGES = ["", "Hello, world!", "κόσμε", "x" * 70_000, b"", b"\x00\xff", os.urandom(1 << 20)]


def client_of_others(compression):
    def case():
        with websockets.sync.client.connect(
                f"ws://127.0.0.1:{DOOR}/others", compression=compression, max_size=None, close_timeout=1) as line:
            for message in MESSAGES:
                line.send(message)
                check(line.recv(PATIENCE) == message, f"{message[:20]!r}: another message came back")
            check(line.ping(b"are you there").wait(PATIENCE), "no pong")
            line.send(["in ", "three ", "parts"])
            check(line.recv(PATIENCE) == "in three parts", "another message came back")
            line.send("close 4321")
            try:
                line.recv(PATIENCE)
                check(False, "it was not closed")
            except websockets.ConnectionClosed as closed:
                check((closed.rcvd.code, closed.rcvd.reason) == (4321, "as asked"), f"{closed}")
        with websockets.sync.client.connect(f"ws://127.0.0.1:{DOOR}/others", close_timeout=1) as line:
            line.close(3456, "I leave")
            check(line.close_code == 3456, f"{line.close_code}")

    return case


def service_of_others_over_http2():
    line = OverHttp2(DOOR, "/others")
    check(line.status == 200, f"{line.head}")
    ours, heard = Connection(ConnectionType.CLIENT), []

    def until(kind):
        while not any(isinstance(event, kind) for event in heard):
            check(line.client.until(lambda: line.stream.data or line.stream.is_over()), "nothing came")
            ours.receive_data(bytes(line.stream.data))
            line.stream.data = bytearray()
            heard.extend(ours.events())
            check(heard or not line.stream.is_over(), "it is over")

    line.send(ours.send(TextMessage("κόσμε")))
    until(TextMessage)
    line.send(ours.send(BytesMessage(b"\x00\xff")))
    until(BytesMessage)
    line.send(ours.send(Ping(b"there")))
    until(Pong)
    line.send(ours.send(TextMessage("close 4321")))
    until(CloseConnection)
    last = heard[-1]
    check([event.data for event in heard[:2]] == ["κόσμε", b"\x00\xff"] and last.code == 4321, f"{heard}")


start_others()
run([
    ("handshake", handshake), ("refusal", refusal), ("mistakes", mistakes), ("impatience", impatience), ("many", many),
    ("others/client", client_of_others(None)), ("others/client-that-compresses", client_of_others("deflate")),
    ("others/over-http-2", service_of_others_over_http2),
    *[(name, same_as_without(pieces)) for name, pieces in cases()],
])
