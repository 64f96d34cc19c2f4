#!/usr/bin/env python3
"""A WebSocket service to try things on: an echo, and rooms to chat in. Everything is in memory, and begins anew with the
process."""

import json
import socket
import struct
import threading
from collections import deque
from datetime import datetime, timezone

from frames import Closed, Socket, accept_of
from shared import Handler, Refused, serve

# Whoever takes nothing for so long is left out, so that the others need not wait.
PATIENCE_SECONDS = 5
LONGEST_NAME, LONGEST_TEXT = 24, 2000
PATHS = {
    "/echo": "a WebSocket that says back each message",
    "/ws?room=R&name=N": "a WebSocket into a room; say {\"text\": \"…\"}",
    "/rooms": "GET: who is where",
    "/health": "GET: whether it is well",
}


class Room:
    """Who is there, and what was said last."""

    def __init__(self):
        self.lock, self.people, self.said = threading.Lock(), {}, deque(maxlen=50)

    def enter(self, wish, socket):
        with self.lock:
            name, number = wish, 2
            while name in self.people:
                name, number = f"{wish} {number}", number + 1
            self.people[name] = socket
            self.to(socket, {"type": "welcome", "you": name, "people": list(self.people), "said": list(self.said)})
            self.all({"type": "joined", "who": name, "people": list(self.people)}, but=name)
        return name

    def say(self, name, text):
        with self.lock:
            message = {"type": "said", "who": name, "text": text, "at": datetime.now(timezone.utc).isoformat(timespec="seconds")}
            self.said.append(message)
            self.all(message)

    def leave(self, name):
        with self.lock:
            self.people.pop(name, None)
            self.all({"type": "left", "who": name, "people": list(self.people)})

    def all(self, message, but=None):
        for name, other in list(self.people.items()):
            if name != but:
                self.to(other, message)

    @staticmethod
    def to(other, message):
        try:
            other.send(json.dumps(message, ensure_ascii=False))
        except OSError:
            # Gone, or too slow. The thread that reads from it has it leave.
            other.abandon()


rooms = {}


class Mock(Handler):
    def respond(self, path):
        match path:
            case [] if self.server.page:
                self.answer_page()
            case []:
                self.answer_json({"service": self.server.name, "paths": PATHS})
            case ["health" | "healthz"]:
                self.answer_json({"status": "healthy"})
            case ["rooms"]:
                self.answer_json({"rooms": {name: list(room.people) for name, room in list(rooms.items()) if room.people}})
            case ["echo"]:
                self.talk(self.echo)
            case ["ws"]:
                self.talk(self.chat)
            case _:
                raise Refused(404, f"there is nothing at {self.path}")

    def talk(self, conversation):
        """Agrees to a WebSocket, and holds the conversation until it is over."""
        key = self.headers.get("Sec-WebSocket-Key")
        if self.headers.get("Upgrade", "").lower() != "websocket" or not key:
            raise Refused(400, "this is a WebSocket: ask for an upgrade to it")
        if self.headers.get("Sec-WebSocket-Version") != "13":
            raise Refused(400, "Sec-WebSocket-Version must be 13")
        self.close_connection = True
        self.send_response(101)
        for name, value in (("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accept_of(key))):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", PATIENCE_SECONDS, 0))
        try:
            conversation(Socket(self.rfile, self.connection))
        except (Closed, OSError):
            pass

    @staticmethod
    def echo(peer):
        while True:
            peer.send(peer.receive())

    def chat(self, peer):
        wish = " ".join(self.query.get("name", "").split())[:LONGEST_NAME] or "Somebody"
        room = rooms.setdefault(self.query.get("room", "lobby")[:LONGEST_NAME], Room())
        name = room.enter(wish, peer)
        try:
            while True:
                if text := said(peer.receive()):
                    room.say(name, text)
                else:
                    room.to(peer, {"type": "refused", "why": "say {\"text\": \"…\"}, which must not be empty"})
        finally:
            room.leave(name)


def said(message):
    """The text of a message, or nothing."""
    try:
        text = json.loads(message)["text"]
    except (ValueError, TypeError, KeyError):
        return None
    return text.strip()[:LONGEST_TEXT] if isinstance(text, str) else None


if __name__ == "__main__":
    serve(Mock, "websocket", 3001, "MOCK_WEBSOCKET_PORT")
