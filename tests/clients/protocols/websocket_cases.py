"""Conversations of WebSocket in raw frames, after the chapters of Autobahn's test suite: what a client sends, piece by
piece, well or badly."""

import struct

TEXT, BINARY, GO_ON, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10
MASK = b"\x11\x22\x33\x44"


def frame(opcode, payload=b"", fin=True, reserved=0, masked=True):
    length = len(payload)
    head = bytes([(0x80 if fin else 0) | reserved << 4 | opcode])
    bit = 0x80 if masked else 0
    if length < 126:
        head += bytes([bit | length])
    elif length < 65_536:
        head += bytes([bit | 126]) + struct.pack("!H", length)
    else:
        head += bytes([bit | 127]) + struct.pack("!Q", length)
    if not masked:
        return head + payload
    mask = int.from_bytes((MASK * (length // 4 + 1))[:length], "big")
    return head + MASK + (int.from_bytes(payload, "big") ^ mask).to_bytes(length, "big")


def close(code=1000, reason=b""):
    return frame(CLOSE, struct.pack("!H", code) + reason)


def chopped(data, size):
    return [data[at:at + size] for at in range(0, len(data), size)]


def fragments(opcode, payload, size):
    parts = chopped(payload, size) or [b""]
    last = len(parts) - 1
    return [frame(opcode if at == 0 else GO_ON, part, at == last) for at, part in enumerate(parts)]


UTF8_GOOD = [
    "Hello-µ@ßöäüàá-UTF-8!!".encode(), "κόσμε".encode(), b"\x00", b"\xc2\x80", b"\xe0\xa0\x80", b"\xf0\x90\x80\x80", b"\x7f",
    b"\xdf\xbf", b"\xef\xbf\xbf", b"\xf4\x8f\xbf\xbf", b"\xed\x9f\xbf", b"\xee\x80\x80", b"\xef\xbf\xbd", b"\xef\xbf\xbe",
    b"\xf0\x9f\xbf\xbf",
]
UTF8_BAD = [
    b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80", b"\xf7\xbf\xbf\xbf", b"\xf4\x90\x80\x80", b"\x80", b"\xbf",
    b"\x80\xbf", b"\x80\xbf\x80\xbf\x80", b"\xc0 \xc1 \xdf ", b"\xe0 \xe1 \xef ", b"\xf0 \xf7 ", b"\xfe", b"\xff",
    b"\xfe\xfe\xff\xff", b"\xc0\xaf", b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf", b"\xc1\xbf", b"\xe0\x9f\xbf", b"\xf0\x8f\xbf\xbf",
    b"\xc0\x80", b"\xed\xa0\x80", b"\xed\xad\xbf", b"\xed\xbf\xbf", b"\xed\xa0\x80\xed\xb0\x80", b"\xce\xba\xe1\xbd\xb9\xcf",
    b"Hello\xce\xba\xf4\x90\x80\x80edited",
]
CODES_GOOD = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999]
CODES_BAD = [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65_535]


def cases():
    """`(name, pieces)`; each ends with a close of its own or of the client's."""
    for kind, opcode in [("text", TEXT), ("binary", BINARY)]:
        for length in [0, 125, 126, 127, 128, 65_535, 65_536]:
            yield f"1-lengths/{kind}-{length}", [frame(opcode, b"*" * length)]
        yield f"1-lengths/{kind}-65536-chopped", chopped(frame(opcode, b"*" * 65_536), 997)
    yield from pings()
    for bits in range(1, 8):
        yield f"3-reserved-bits/{bits}", [frame(TEXT, b"before"), frame(TEXT, b"bad", reserved=bits), frame(PING)]
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15]:
        yield f"4-opcodes/{opcode}", [frame(TEXT, b"before"), frame(opcode, b"bad"), frame(PING)]
    yield from fragmented()
    for at, text in enumerate(UTF8_GOOD + UTF8_BAD):
        yield f"6-utf-8/{at}-whole", [frame(TEXT, text)]
        yield f"6-utf-8/{at}-in-fragments", fragments(TEXT, text, 1)
        yield f"6-utf-8/{at}-in-bytes", chopped(frame(TEXT, text), 1)
    yield from closes()
    for kind, opcode in [("text", TEXT), ("binary", BINARY)]:
        for size in [256, 4_096, 65_536, 1 << 20]:
            yield f"9-limits/{kind}-1-mib-by-{size}", fragments(opcode, b"*" * (1 << 20), size)
        yield f"9-limits/{kind}-4-mib", [frame(opcode, b"*" * (1 << 22))]
        yield f"9-limits/{kind}-1-mib-chopped", chopped(frame(opcode, b"*" * (1 << 20)), 1_289)
    yield "9-limits/1000-messages", [frame(TEXT, b"%d" % at) for at in range(1000)]
    yield "10-fragments/65536-by-1300", fragments(TEXT, b"*" * 65_536, 1_300)


def pings():
    yield "2-pings/empty", [frame(PING)]
    yield "2-pings/text", [frame(PING, b"Hello, world!")]
    yield "2-pings/binary", [frame(PING, b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff")]
    yield "2-pings/125", [frame(PING, b"\xfe" * 125)]
    yield "2-pings/126", [frame(PING, b"\xfe" * 126)]
    yield "2-pings/125-chopped", chopped(frame(PING, b"\xfe" * 125), 1)
    yield "2-pings/pong", [frame(PONG)]
    yield "2-pings/pong-with-payload", [frame(PONG, b"unasked")]
    yield "2-pings/pong-then-ping", [frame(PONG, b"unasked"), frame(PING, b"asked")]
    yield "2-pings/ten", [frame(PING, b"%d" % at) for at in range(10)]
    yield "2-pings/ten-chopped", [part for at in range(10) for part in chopped(frame(PING, b"%d" % at), 1)]


def fragmented():
    first, last = frame(TEXT, b"fragment1", False), frame(GO_ON, b"fragment2")
    yield "5-fragments/ping", [frame(PING, b"a", False), frame(GO_ON, b"b")]
    yield "5-fragments/pong", [frame(PONG, b"a", False), frame(GO_ON, b"b")]
    yield "5-fragments/two", [first, last]
    yield "5-fragments/two-at-once", [first + last]
    yield "5-fragments/two-chopped", chopped(first + last, 1)
    yield "5-fragments/ping-between", [first, frame(PING, b"between"), last]
    yield "5-fragments/ping-between-at-once", [first + frame(PING, b"between") + last]
    yield "5-fragments/ping-between-chopped", chopped(first + frame(PING, b"between") + last, 1)
    yield "5-fragments/go-on-first", [frame(GO_ON, b"nothing"), frame(TEXT, b"after")]
    yield "5-fragments/go-on-first-unended", [frame(GO_ON, b"nothing", False), frame(TEXT, b"after")]
    yield "5-fragments/text-in-text", [first, frame(TEXT, b"another")]
    yield "5-fragments/pings-between-five", [
        frame(TEXT, b"1", False), frame(GO_ON, b"2", False), frame(PING, b"a"), frame(GO_ON, b"3", False),
        frame(PING, b"b"), frame(GO_ON, b"4", False), frame(GO_ON, b"5")]
    yield "5-fragments/empty", [frame(TEXT, b"", False), frame(GO_ON, b"", False), frame(GO_ON, b"")]
    yield "5-fragments/empty-and-one", [frame(TEXT, b"", False), frame(GO_ON, b"middle", False), frame(GO_ON, b"")]
    yield "5-fragments/not-masked", [frame(TEXT, b"plain", masked=False)]


def closes():
    yield "7-close/plain", [frame(TEXT, b"before"), close()]
    yield "7-close/twice", [close(), close()]
    yield "7-close/ping-after", [close(), frame(PING)]
    yield "7-close/text-after", [close(), frame(TEXT, b"late")]
    yield "7-close/in-fragments", [frame(TEXT, b"1", False), close(), frame(GO_ON, b"2")]
    yield "7-close/empty", [frame(CLOSE)]
    yield "7-close/one-byte", [frame(CLOSE, b"a")]
    yield "7-close/reason", [close(1000, b"Hello World!")]
    yield "7-close/reason-123", [close(1000, b"*" * 123)]
    yield "7-close/reason-124", [close(1000, b"*" * 124)]
    yield "7-close/reason-no-utf-8", [close(1000, b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80")]
    for code in CODES_GOOD + CODES_BAD:
        yield f"7-close/code-{code}", [close(code)]
        yield f"7-close/code-{code}-with-reason", [close(code, b"why")]
