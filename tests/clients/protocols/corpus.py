"""The corpus of hostile HTTP/1 (tests/hostile) before a service of HTTP/2: what is refused arrives in no part, and what is
forwarded arrives whole, with the same words. `corpus.py DOOR SERVICE FOLDER`."""

import pathlib
import re
import socket
import sys
import time

from recorder import Recorder
from report import check, run

DOOR, SERVICE, FOLDER = int(sys.argv[1]), int(sys.argv[2]), pathlib.Path(sys.argv[3])
RECORDER = Recorder(SERVICE, "h2c")
# What the gateway says for itself, which the corpus does not show, and what HTTP/2 has no place for.
OWN = {b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"forwarded", b"x-request-id", b"expect"}
OF_CONNECTIONS = {b"connection", b"upgrade", b"host", b"transfer-encoding", b"te"}
AFTER = b"GET /after HTTP/1.1\r\nHost: app.test\r\n\r\n"


def unescape(text):
    """The bytes of a case; the README of the corpus has the escapes."""
    text = re.sub(r"\\\*(\d+)\(([^)]*)\)", lambda found: found[2] * int(found[1]), text.replace("\n", ""))
    plain = {"r": b"\r", "n": b"\n", "t": b"\t", "\\": b"\\"}
    out, at = bytearray(), 0
    data = text
    for found in re.finditer(r"\\(x[0-9a-fA-F]{2}|[rnt\\])", data):
        out += data[at:found.start()].encode()
        word = found[1]
        out += bytes([int(word[1:], 16)]) if word[0] == "x" else plain[word]
        at = found.end()
    return bytes(out + data[at:].encode())


class Case:
    def __init__(self, path):
        facts, rest = path.read_text(encoding="utf-8").split("\n\n", 1)
        facts = [line.split(": ", 1) for line in facts.splitlines()]
        self.expect = [value.split(" ") for key, value in facts if key == "expect"]
        self.closes = ["then", "close"] in facts
        blocks = rest.split("=== ")
        self.bytes = unescape(blocks[0])
        self.wanted = []
        for block in blocks[1:]:
            title, _, text = block.partition("\n")
            if title.startswith("forwarded"):
                self.wanted.append([unescape(text), b""])
            else:
                self.wanted[-1][1] = unescape(text)


def statuses(sock, count):
    """So many final statuses, or fewer when the connection ends before."""
    sock.settimeout(5)
    inbox, found = b"", []
    try:
        while len(found) < count:
            part = sock.recv(65_536)
            if not part:
                break
            inbox += part
            found = [int(code) for code in re.findall(rb"HTTP/1\.1 ([2-5]\d\d) ", inbox)]
    except OSError:
        pass
    return found


def compare(seen, wanted):
    text, trailers = wanted
    shown, _, body = text.partition(b"\r\n\r\n")
    first, *lines = shown.split(b"\r\n")
    method, path, _ = first.split(b" ")
    pairs = [line.partition(b":") for line in lines]
    fields = [(name.lower(), value.strip(b" \t")) for name, _, value in pairs]
    host = [value for name, value in fields if name == b"host"]
    # `Cookie` is one field, and names are in small letters.
    came = [(name, value.strip(b" \t")) for name, value in seen.fields if name not in OWN | OF_CONNECTIONS]
    shown = [(name, value) for name, value in fields if name not in OWN | OF_CONNECTIONS]
    check((seen.method, seen.path, seen.body) == (method, path, body), f"{seen} is not {first} {body}")
    check(sorted(came) == sorted(shown), f"{sorted(came)} is not {sorted(shown)}")
    check([seen.authority] == host or not host, f"{seen.authority} is not {host}")
    check(all(len(seen.all(name)) == (name != b"expect") for name in OWN - {b"expect"}), f"{seen}")
    lines = [line.partition(b":") for line in trailers.split(b"\r\n") if line]
    check([(name.lower(), value.strip()) for name, _, value in lines] == seen.trailers, f"{seen.trailers}, not {trailers}")


def play(case):
    may_be_cut = any(word[0] == "cut" for word in case.expect)
    with socket.create_connection(("127.0.0.1", DOOR)) as sock:
        try:
            sock.sendall(case.bytes)
            if case.closes:
                sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        found = statuses(sock, len(case.expect))
    for word, status in zip(case.expect, found):
        allowed = [200] if word[0] == "forwarded" else [int(one) for one in word[1].split("|")]
        check(status in allowed, f"was answered {found}, not {case.expect}")
    # The answer may be lost with a connection that is cut.
    check(len(found) == len(case.expect) or may_be_cut, f"was answered {found}, not {case.expect}")
    seen = [one for one in RECORDER.take(0.02 if not case.wanted else 1) if one.whole or not may_be_cut]
    end = time.monotonic() + 1
    while len(seen) < len(case.wanted) and time.monotonic() < end:
        seen += [one for one in RECORDER.take(0.1) if one.whole or not may_be_cut]
    check(len(seen) == len(case.wanted), f"the service saw {seen}, not {len(case.wanted)} requests")
    for one, wanted in zip(seen, case.wanted):
        check(one.whole, f"the service saw a part of {one}")
        compare(one, wanted)


# What HTTP/2 cannot carry is refused, and what is not asked in it is another theme's.
OTHERWISE = {
    "paths/unwise": ["answered", "400"],
    # This service offers no WebSocket; websockets_pass.py holds what comes too soon for one that does.
    "connection/upgrade-premature": None,
    # The door speaks it: what follows is no HTTP/2, and is told so in HTTP/2.
    "protocols/http-2-preface": None,
}


def named(path):
    return str(path.relative_to(FOLDER).with_suffix(""))


def case_of(path):
    case = Case(path)
    if OTHERWISE.get(named(path)):
        case.expect, case.wanted = [OTHERWISE[named(path)]], []
    return case


def what_cannot_be_carried_is_nobodys_fault():
    """Whoever asks for such paths again and again must not have the service taken for dead."""
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", DOOR)) as sock:
            sock.sendall(b"GET /< HTTP/1.1\r\nHost: app.test\r\n\r\n" + AFTER)
            found = statuses(sock, 2)
            check(found == [400, 200], f"was answered {found}")
    RECORDER.take(1)


def what_is_not_offered_is_nobodys_fault():
    """The same for WebSockets before a service that takes none over HTTP/2: it is never asked (RFC 8441 3)."""
    asked = AFTER.replace(b"\r\n\r\n", b"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                          b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
    for _ in range(10):
        with socket.create_connection(("127.0.0.1", DOOR)) as sock:
            sock.sendall(asked)
            check(statuses(sock, 1) == [400], "was not refused")
    check(not RECORDER.take(0.1), "it was asked")
    with socket.create_connection(("127.0.0.1", DOOR)) as sock:
        sock.sendall(AFTER)
        check(statuses(sock, 1) == [200], "its breaker is open")
    RECORDER.take(1)


paths = [path for path in sorted(FOLDER.glob("*/*.http")) if OTHERWISE.get(named(path), True)]
cases = [(named(path), lambda path=path: play(case_of(path))) for path in paths]
run([
    # First, on a connection that has not heard what the service offers.
    ("breaker/what-is-not-offered", what_is_not_offered_is_nobodys_fault), *cases,
    ("breaker/what-cannot-be-carried", what_cannot_be_carried_is_nobodys_fault),
])
