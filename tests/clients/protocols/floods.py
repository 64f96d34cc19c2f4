"""A client that spends what costs it nothing: the gateway's memory stays where it is, and others are served all the while.
`floods.py DOOR SERVICE PROTOCOL PID`."""

import http.client
import socket
import sys
import threading
import time

from hyperframe.frame import (
    ContinuationFrame, DataFrame, HeadersFrame, PingFrame, PriorityFrame, RstStreamFrame, SettingsFrame,
    WindowUpdateFrame)

from frames import INITIAL_WINDOW, Client, Gone, head
from recorder import Recorder
from report import check, run

DOOR, SERVICE, PROTOCOL, PID = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
RECORDER = Recorder(SERVICE, PROTOCOL)
# Of the gateway's memory beyond what it was: dozens of connections with a hundred streams each come and go. The first time
# such floods are met, what so many requests at once need is taken from the system, and kept; the same again takes little.
MOST_KIB = 48 * 1024
FIRST_KIB = 192 * 1024
# How long an attacker goes on, if he is let.
LONG = 1.0
# An honest client waits no longer meanwhile; most of it is the queue of connections before the recorder, which is slow.
PATIENCE = 8.0
LOG = []


def resident():
    with open(f"/proc/{PID}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))


class Others:
    """An honest client that asks all the while, and looks how much memory there is."""

    def __enter__(self):
        self.before = self.most = resident()
        self.wrong, self.asked, self.slowest, self.over = [], 0, 0.0, False
        self.thread = threading.Thread(target=self.go)
        self.thread.start()
        return self

    def go(self):
        while not self.over:
            begun = time.monotonic()
            try:
                connection = http.client.HTTPConnection("127.0.0.1", DOOR, timeout=10)
                connection.request("GET", "/honest")
                status = connection.getresponse().status
                connection.close()
            except OSError as error:
                status = repr(error)
            took = time.monotonic() - begun
            self.asked += 1
            self.slowest = max(self.slowest, took)
            if status != 200 or took > PATIENCE:
                self.wrong.append((status, round(took, 2)))
            self.most = max(self.most, resident())
            time.sleep(0.02)

    def __exit__(self, *_):
        self.over = True
        self.thread.join()
        RECORDER.take()

    def hold(self, most):
        grew = self.most - self.before
        check(grew < most, f"the gateway grew by {grew} KiB")
        check(not self.wrong and self.asked > 0, f"of {self.asked} others {self.wrong[:5]}")


def flood(frames, ends=True, reads=True, most=MOST_KIB):
    """Sends what `frames` yields for a while, on one connection after the other, as the gateway ends them. `ends` says that
    it does; `reads` that the client takes what it is told in return."""

    def case():
        begun, ended = time.monotonic(), 0
        with Others() as others:
            while time.monotonic() - begun < LONG:
                client = Client(DOOR)
                client.sock.settimeout(0.5)
                told = threading.Event()
                if reads:
                    threading.Thread(target=listen, args=(client, told), daemon=True).start()
                try:
                    for data in frames(client):
                        client.write(data)
                        if told.is_set() or time.monotonic() - begun > LONG:
                            break
                    ended += told.is_set()
                except Gone:
                    ended += 1
                client.close()
        others.hold(most)
        check(ended or not ends, "it was taken in for as long as it was sent")
        LOG.append(f"{ended} connections ended, {others.asked} others asked, the slowest {others.slowest:.2f} s, "
                   f"{others.most - others.before} KiB more")

    return case


def listen(client, told):
    """Throws away what comes, until the gateway has said its last."""
    try:
        while client.sock.recv(1 << 16):
            pass
        told.set()
    except (OSError, ValueError):
        pass


def block(client, fields):
    return client.encoder.encode([(name.encode(), value.encode()) for name, value in fields], huffman=False)


def rapid_reset(client):
    fields = block(client, head(path="/slow"))
    for number in range(1, 2_000_000, 2):
        frame = HeadersFrame(number, data=fields, flags=["END_HEADERS", "END_STREAM"])
        yield frame.serialize() + RstStreamFrame(number, error_code=8).serialize()


def made_you_reset(client):
    """Streams that the server must reset itself: a window that overflows."""
    fields = block(client, head("POST", "/slow"))
    for number in range(1, 2_000_000, 2):
        frame = HeadersFrame(number, data=fields, flags=["END_HEADERS"])
        yield frame.serialize() + WindowUpdateFrame(number, window_increment=2**31 - 1).serialize()


def continuations(client):
    yield HeadersFrame(1, data=block(client, head())).serialize()
    part = block(client, [("x-more", "v" * 100)])
    while True:
        yield ContinuationFrame(1, data=part).serialize() * 50


def empty_continuations(client):
    yield HeadersFrame(1, data=block(client, head())).serialize()
    while True:
        yield ContinuationFrame(1).serialize() * 500


def bomb(client):
    """One long value in HPACK's table, named over and over: a few bytes become megabytes."""
    client.encoder.header_table_size = 4096
    first = client.encoder.encode([(name.encode(), value.encode()) for name, value in [*head(), ("x-bomb", "b" * 4000)]])
    for number in range(1, 2_000_000, 2):
        again = first if number == 1 else block(client, head())
        yield HeadersFrame(number, data=again + b"\xbe" * 12_000, flags=["END_HEADERS", "END_STREAM"]).serialize()


def pings(_):
    while True:
        yield PingFrame(0, opaque_data=b"12345678").serialize() * 500


def settings(_):
    while True:
        yield SettingsFrame(0, settings={INITIAL_WINDOW: 65_535}).serialize() * 500


def priorities(_):
    for number in range(1, 2_000_000, 2):
        yield PriorityFrame(number, depends_on=0, stream_weight=16).serialize() * 500


def windows(client):
    client.say_head(1, head("POST", "/p"))
    while True:
        yield b"".join(WindowUpdateFrame(at % 2, window_increment=1).serialize() for at in range(500))


def empty_data(client):
    """Of a request whose service does not read: nothing may pile up."""
    client.say_head(1, head("POST", "/p"))
    while True:
        yield DataFrame(1).serialize() * 500


def small_data(client):
    client.say_head(1, head("POST", "/p"))
    while True:
        yield DataFrame(1, data=b"x").serialize() * 500


def padded_data(client):
    client.say_head(1, head("POST", "/p"))
    while True:
        yield DataFrame(1, flags=["PADDED"], pad_length=255).serialize() * 100


def unknown_frames(_):
    while True:
        yield (b"\x00\x00\x08\xee\x00\x00\x00\x00\x01" + b"12345678") * 500


def many_streams(client):
    """More than may be open at once, none of them ended."""
    fields = block(client, head("POST", "/p"))
    for number in range(1, 100_000, 2):
        yield HeadersFrame(number, data=fields, flags=["END_HEADERS"]).serialize()


def answers_that_nobody_takes():
    """A hundred large answers to a client that gives no room: each holds little, and all end in time."""
    with Others() as others:
        client = Client(DOOR, {INITIAL_WINDOW: 0}, lets_in=False)
        numbers = [client.open(head(path="/large")) for _ in range(100)]
        client.until(lambda: all(client.stream(number).final() for number in numbers), 5)
        # The gateway of this test waits for two seconds.
        ended = client.until(lambda: all(client.stream(number).reset is not None for number in numbers), 8)
    grew = others.most - others.before
    # What each may hold is its own budget of 256 KiB, with what is under way from the service.
    check(grew < 100 * 768, f"the gateway grew by {grew} KiB for 100 streams")
    check(not others.wrong, f"of {others.asked} others {others.wrong[:5]}")
    still = [number for number in numbers if client.stream(number).reset is None]
    check(ended, f"{len(still)} of 100 streams wait for ever")


def what_does_not_end():
    """A preface, a handshake or a head that is left there: the connection ends in its time, two or three seconds here."""
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    unfinished = HeadersFrame(1, data=b"\x82").serialize()
    socks = []
    for begun in [preface[:16], preface, preface + SettingsFrame(0).serialize() + unfinished]:
        sock = socket.create_connection(("127.0.0.1", DOOR))
        sock.sendall(begun)
        # After the farewell there is a time for the client to leave by itself.
        sock.settimeout(8)
        socks.append((begun, sock))
    for begun, sock in socks:
        try:
            while sock.recv(4096):
                pass
        except socket.timeout:
            check(False, f"{begun} is waited for")
        except ConnectionResetError:
            pass
        sock.close()


MEANS = [
    ("continuations", flood(continuations)), ("empty-continuations", flood(empty_continuations)),
    ("hpack-bomb", flood(bomb, ends=False)), ("empty-data", flood(empty_data)), ("small-data", flood(small_data)),
    ("padded-data", flood(padded_data, ends=False)), ("many-streams", flood(many_streams, ends=False, most=FIRST_KIB)),
    # These cost what they cost the sender, and are answered one by one; a client that does not read is not read.
    ("pings", flood(pings, ends=False)), ("settings", flood(settings, ends=False)),
    ("priorities", flood(priorities, ends=False)), ("windows", flood(windows, ends=False)),
    ("unknown-frames", flood(unknown_frames, ends=False)),
    ("pings-unread", flood(pings, False, False)), ("settings-unread", flood(settings, False, False)),
    ("rapid-reset-unread", flood(rapid_reset, False, False)),
    ("answers-that-nobody-takes", answers_that_nobody_takes), ("what-does-not-end", what_does_not_end),
    # Last, since they reach the service, which is slow, and may well set it aside for a while.
    ("rapid-reset", flood(rapid_reset, most=FIRST_KIB)), ("rapid-reset-again", flood(rapid_reset)),
    ("made-you-reset", flood(made_you_reset, most=FIRST_KIB)),
]
run(MEANS, LOG)
