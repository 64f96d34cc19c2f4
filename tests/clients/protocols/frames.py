"""HTTP/2 in plain frames, either side: sends whatever it is told, well-formed or not, and writes down what comes."""

import socket
import threading
import time

from hpack import Decoder, Encoder
from hyperframe.frame import (
    ContinuationFrame, DataFrame, Frame, GoAwayFrame, HeadersFrame, PingFrame, RstStreamFrame, SettingsFrame,
    WindowUpdateFrame)

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
WINDOW = 65_535
MAX_STREAMS, INITIAL_WINDOW, CONNECT_PROTOCOL = 3, 4, 8
# Nothing here takes as long.
PATIENCE = 10


class Gone(Exception):
    """The peer has closed the connection."""


class Stream:
    """What came on a stream, and how much may go."""

    def __init__(self, window):
        self.heads = []
        self.data = bytearray()
        self.ended = False
        self.reset = None
        self.window = window
        # Bytes that wait for room, and what follows them.
        self.waiting = bytearray()
        self.ends_then = None

    def interim(self):
        return [head for head in self.heads if is_interim(head)]

    def final(self):
        """The first head that is no interim answer."""
        return next((head for head in self.heads if not is_interim(head)), None)

    def trailers(self):
        rest = [head for head in self.heads if not is_interim(head)][1:]
        return rest[0] if rest else []

    def status(self):
        head = self.final()
        return int(dict(head)[b":status"]) if head else None

    def is_over(self):
        return self.ended or self.reset is not None


def is_interim(head):
    return dict(head).get(b":status", b"").startswith(b"1")


def field(head, name):
    return [value for found, value in head or [] if found == name]


class Peer:
    """One side of a connection. `lets_in` says whether it hands out room as bytes come."""

    def __init__(self, sock, settings=None, lets_in=True):
        self.sock = sock
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(PATIENCE)
        self.inbox = b""
        self.encoder, self.decoder = Encoder(), Decoder()
        self.encoder.header_table_size = 0
        self.streams, self.goaway, self.gone = {}, None, None
        self.window, self.initial = WINDOW, WINDOW
        self.peer_settings, self.pongs, self.acks = {}, 0, 0
        self.lets_in = lets_in
        self.block = None
        # Held while a frame is taken in, so that others may answer between two.
        self.lock = threading.RLock()
        self.write_frame(SettingsFrame(0, settings=settings or {}))

    def write(self, data):
        try:
            self.sock.sendall(data)
        except OSError as error:
            raise Gone(str(error)) from error

    def write_frame(self, frame):
        self.write(frame.serialize())

    def stream(self, number):
        if number not in self.streams:
            self.streams[number] = Stream(self.initial)
        return self.streams[number]

    # What goes.

    def say_head(self, number, fields, ends=False, size=16_384):
        block = self.encoder.encode([(raw(name), raw(value)) for name, value in fields], huffman=False)
        parts = [block[at:at + size] for at in range(0, len(block), size)] or [b""]
        for at, part in enumerate(parts):
            frame = HeadersFrame(number) if at == 0 else ContinuationFrame(number)
            frame.data = part
            if at == 0 and ends:
                frame.flags.add("END_STREAM")
            if at == len(parts) - 1:
                frame.flags.add("END_HEADERS")
            self.write_frame(frame)
        self.stream(number)

    def say_data(self, number, data, ends=False):
        """Writes frames without asking for room."""
        parts = [data[at:at + 16_384] for at in range(0, len(data), 16_384)] or [b""]
        for at, part in enumerate(parts):
            frame = DataFrame(number, data=part)
            if ends and at == len(parts) - 1:
                frame.flags.add("END_STREAM")
            self.write_frame(frame)

    def queue(self, number, data, ends=True, trailers=None):
        """Sends as there is room."""
        stream = self.stream(number)
        stream.waiting += data
        stream.ends_then = (ends, trailers)
        self.pour(number)

    def pour(self, number):
        stream = self.streams[number]
        while stream.waiting and stream.window > 0 and self.window > 0 and stream.reset is None:
            part = bytes(stream.waiting[:min(16_384, stream.window, self.window)])
            del stream.waiting[:len(part)]
            stream.window -= len(part)
            self.window -= len(part)
            last = not stream.waiting and stream.ends_then == (True, None)
            self.say_data(number, part, last)
            if last:
                stream.ends_then = None
        if not stream.waiting and stream.ends_then and stream.reset is None:
            ends, trailers = stream.ends_then
            stream.ends_then = None
            if trailers is not None:
                self.say_head(number, trailers, True)
            elif ends:
                self.say_data(number, b"", True)

    def give_up(self, number, code=8):
        self.write_frame(RstStreamFrame(number, error_code=code))

    def let_in(self, number, count):
        self.write_frame(WindowUpdateFrame(number, window_increment=count))

    # What comes.

    def more(self, limit=PATIENCE):
        self.sock.settimeout(max(limit, 0.001))
        try:
            part = self.sock.recv(65_536)
        except (TimeoutError, socket.timeout):
            raise
        except OSError as error:
            raise Gone(str(error)) from error
        if not part:
            raise Gone("closed")
        self.inbox += part

    def read_frame(self, limit=PATIENCE):
        while True:
            if len(self.inbox) >= 9:
                frame, length = Frame.parse_frame_header(memoryview(self.inbox[:9]))
                if len(self.inbox) >= 9 + length:
                    frame.parse_body(memoryview(self.inbox[9:9 + length]))
                    self.inbox = self.inbox[9 + length:]
                    return frame
            self.more(limit)

    def step(self, limit=PATIENCE):
        """Takes one frame in."""
        frame = self.read_frame(limit)
        with self.lock:
            self.take(frame)
        return frame

    def take(self, frame):
        if isinstance(frame, SettingsFrame):
            self.take_settings(frame)
        elif isinstance(frame, PingFrame):
            if "ACK" in frame.flags:
                self.pongs += 1
            else:
                self.write_frame(PingFrame(0, opaque_data=frame.opaque_data, flags=["ACK"]))
        elif isinstance(frame, WindowUpdateFrame):
            self.take_room(frame)
        elif isinstance(frame, GoAwayFrame):
            self.goaway = (frame.last_stream_id, frame.error_code, bytes(frame.additional_data))
        elif isinstance(frame, RstStreamFrame):
            self.stream(frame.stream_id).reset = frame.error_code
            self.came(frame.stream_id, "reset")
        elif isinstance(frame, (HeadersFrame, ContinuationFrame)):
            self.take_head(frame)
        elif isinstance(frame, DataFrame):
            self.take_data(frame)

    def take_settings(self, frame):
        if "ACK" in frame.flags:
            self.acks += 1
            return
        self.peer_settings.update(frame.settings)
        if INITIAL_WINDOW in frame.settings:
            change = frame.settings[INITIAL_WINDOW] - self.initial
            self.initial += change
            for stream in self.streams.values():
                stream.window += change
        self.write_frame(SettingsFrame(0, flags=["ACK"]))
        for number in list(self.streams):
            self.pour(number)

    def take_room(self, frame):
        if frame.stream_id == 0:
            self.window += frame.window_increment
            for number in list(self.streams):
                self.pour(number)
        else:
            self.stream(frame.stream_id).window += frame.window_increment
            self.pour(frame.stream_id)

    def take_head(self, frame):
        if isinstance(frame, HeadersFrame):
            self.block = (frame.stream_id, b"", "END_STREAM" in frame.flags)
        number, begun, ends = self.block
        self.block = (number, begun + bytes(frame.data), ends)
        if "END_HEADERS" not in frame.flags:
            return
        stream = self.stream(number)
        stream.heads.append([(raw(n), raw(v)) for n, v in self.decoder.decode(self.block[1], raw=True)])
        stream.ended |= ends
        self.came(number, "head")
        if ends:
            self.came(number, "end")

    def take_data(self, frame):
        stream = self.stream(frame.stream_id)
        stream.data += frame.data
        if self.lets_in and frame.flow_controlled_length:
            self.let_in(0, frame.flow_controlled_length)
            if "END_STREAM" not in frame.flags:
                self.let_in(frame.stream_id, frame.flow_controlled_length)
        self.came(frame.stream_id, "data")
        if "END_STREAM" in frame.flags:
            stream.ended = True
            self.came(frame.stream_id, "end")

    def came(self, number, what):
        """For whoever answers."""

    def until(self, holds, limit=PATIENCE):
        """Takes frames in until `holds()`; whether it came to that."""
        end = time.monotonic() + limit
        while not holds():
            left = end - time.monotonic()
            if left <= 0:
                return False
            try:
                self.step(left)
            except (TimeoutError, socket.timeout):
                return holds()
            except Gone as gone:
                self.gone = str(gone)
                self.goaway = self.goaway or ("closed",)
                return holds()
        return True

    def close(self):
        self.sock.close()


class Client(Peer):
    """The client's side, whose streams are numbered as they are opened."""

    def __init__(self, port, settings=None, lets_in=True):
        sock = socket.create_connection(("127.0.0.1", port))
        sock.sendall(PREFACE)
        super().__init__(sock, settings, lets_in)
        self.next = 1

    def open(self, fields, body=None, trailers=None, ends=None):
        """Begins a request; a body goes as there is room. `ends` overrides whether the head is the end."""
        number, self.next = self.next, self.next + 2
        if ends is None:
            ends = body is None and trailers is None
        self.say_head(number, fields, ends)
        if body is not None or trailers is not None:
            self.queue(number, body or b"", trailers is None, trailers)
        return number

    def answer(self, number, limit=PATIENCE):
        """The stream, once it is over."""
        stream = self.stream(number)
        self.until(stream.is_over, limit)
        return stream

    def ask(self, fields, body=None, trailers=None, limit=PATIENCE):
        return self.answer(self.open(fields, body, trailers), limit)


def head(method="GET", path="/", more=(), authority="app.test", scheme="http"):
    """The fields of a request in their usual order; what is None is left out."""
    pseudo = [(":method", method), (":scheme", scheme), (":authority", authority), (":path", path)]
    return [(name, value) for name, value in pseudo if value is not None] + list(more)


def raw(text):
    return bytes(text) if isinstance(text, (bytes, bytearray)) else text.encode("latin-1")
