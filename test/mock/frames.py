"""WebSocket on a stream of bytes (RFC 6455), as a service or as a client, without extensions."""

import base64
import hashlib
import os
import socket
import threading
import time

# A larger message is refused with 1009: it is held in memory.
LARGEST_MESSAGE = 1 << 20
CONTINUED, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
# What a peer may give as its reason to close (RFC 6455 7.4).
CODES = {1000, 1001, 1002, 1003, *range(1007, 1015), *range(3000, 5000)}


class Closed(Exception):
    """The conversation is over, by this code; 1005 when none was said, 1006 when the connection just ended."""

    def __init__(self, code, reason=""):
        super().__init__(f"{code} {reason}".strip())
        self.code, self.reason = code, reason


def accept_of(key):
    """What proves that a service has understood `Sec-WebSocket-Key`."""
    proof = hashlib.sha1(key.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    return base64.b64encode(proof).decode()


class Socket:
    """One side of a conversation: `receive` for one thread, `send` and `close` for any."""

    def __init__(self, reader, connection, is_client=False):
        self.reader, self.connection, self.is_client = reader, connection, is_client
        self.lock, self.said_close = threading.Lock(), False

    def receive(self):
        """The next message, a `str` or `bytes`. Pings are answered on the way. Raises `Closed`."""
        begun, whole = None, bytearray()
        while True:
            final, opcode, payload = self.frame()
            if opcode == PING:
                self.frame_out(PONG, payload)
            elif opcode == CLOSE:
                self.answer_close(payload)
            elif opcode != PONG:
                if (opcode == CONTINUED) != (begun is not None):
                    self.fail(1002, "a message begins within another, or nowhere")
                begun = begun or opcode
                whole += payload
                if len(whole) > LARGEST_MESSAGE:
                    self.fail(1009, f"a message may have {LARGEST_MESSAGE} bytes")
                if final:
                    return self.text(whole) if begun == TEXT else bytes(whole)

    def send(self, message):
        if isinstance(message, str):
            self.frame_out(TEXT, message.encode())
        else:
            self.frame_out(BINARY, message)

    def close(self, code=1000, reason=""):
        """Says that it is over; the other side's answer comes from `receive`, as `Closed`."""
        if not self.said_close:
            self.said_close = True
            self.frame_out(CLOSE, code.to_bytes(2, "big") + reason.encode())

    def abandon(self):
        """Ends the connection, whatever is under way; `receive` raises `Closed`."""
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def fail(self, code, reason):
        self.close(code, reason)
        self.hear_out()
        raise Closed(code, reason)

    def hear_out(self):
        """Reads on for a second: whoever is in the middle of saying something would lose our last word in a reset."""
        end = time.monotonic() + 1
        try:
            self.connection.settimeout(1)
            while time.monotonic() < end and self.reader.read1(65_536):
                pass
        except (OSError, ValueError):
            pass

    def answer_close(self, payload):
        code = int.from_bytes(payload[:2], "big") if len(payload) >= 2 else 1005
        if len(payload) == 1 or (payload and code not in CODES):
            self.fail(1002, "no code to close with")
        reason = self.text(payload[2:])
        self.close(1000 if code == 1005 else code)
        raise Closed(code, reason)

    def text(self, payload):
        try:
            return payload.decode()
        except UnicodeDecodeError:
            self.fail(1007, "this is not UTF-8")

    def frame(self):
        first, second = self.exactly(2)
        opcode, length = first & 15, second & 127
        if first & 0x70 or opcode not in (CONTINUED, TEXT, BINARY, CLOSE, PING, PONG):
            self.fail(1002, "nothing was agreed on that would use this")
        if bool(second & 128) == self.is_client:
            self.fail(1002, "clients mask what they say, and services do not")
        if opcode >= CLOSE and (length > 125 or not first & 128):
            self.fail(1002, "such a frame is short and whole")
        if length > 125:
            length = int.from_bytes(self.exactly(2 if length == 126 else 8), "big")
        if length > LARGEST_MESSAGE:
            self.fail(1009, f"a message may have {LARGEST_MESSAGE} bytes")
        mask = self.exactly(4) if second & 128 else None
        payload = self.exactly(length)
        return bool(first & 128), opcode, masked(payload, mask) if mask else payload

    def frame_out(self, opcode, payload):
        length = len(payload)
        if length < 126:
            head = bytes([128 | opcode, length])
        elif length < 65_536:
            head = bytes([128 | opcode, 126]) + length.to_bytes(2, "big")
        else:
            head = bytes([128 | opcode, 127]) + length.to_bytes(8, "big")
        if self.is_client:
            mask = os.urandom(4)
            head, payload = bytes([head[0], head[1] | 128]) + head[2:] + mask, masked(payload, mask)
        with self.lock:
            self.connection.sendall(head + payload)

    def exactly(self, count):
        data = self.reader.read(count)
        if len(data) < count:
            raise Closed(1006)
        return data


def masked(payload, mask):
    """Masks, or takes the mask off, which is the same."""
    length = len(payload)
    key = (mask * (length // 4 + 1))[:length]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(length, "big")
