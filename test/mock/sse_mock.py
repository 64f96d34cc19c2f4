#!/usr/bin/env python3
"""A service of server-sent events to try things on: figures of a shop that change, with ids, so that whoever was cut off
goes on where he was. They begin anew with the process."""

import json
import os
import random
import threading
import time
from collections import deque
from datetime import datetime, timezone

from shared import Handler, Refused, serve

# How often something new is said, and how much is kept for those who come back.
EVERY_SECONDS = float(os.environ.get("MOCK_SSE_EVERY", "1"))
KEPT, AT_THE_START = 1000, 60
PATHS = {
    "/events": "the stream; ?recent=N begins with so many that were; Last-Event-ID goes on behind that one",
    "/cut": "POST: cuts off all who follow /events, in the middle",
    "/quiet": "a stream that says one event, and nothing more",
    "/latest": "GET: the last event as JSON",
    "/health": "GET: whether it is well",
}


class Feed:
    """Events in order, each with the next number."""

    def __init__(self):
        self.news, self.events, self.last = threading.Condition(), deque(maxlen=KEPT), 0
        self.cuts = 0
        self.random = random.Random(2)
        self.figures = {"orders_per_minute": 42.0, "latency_ms": 80.0, "visitors": 320.0, "errors_percent": 0.4}

    def begin(self):
        now = time.time()
        for back in range(AT_THE_START, 0, -1):
            self.step(now - back * EVERY_SECONDS)
        threading.Thread(target=self.go_on, daemon=True).start()

    def go_on(self):
        while True:
            time.sleep(EVERY_SECONDS)
            self.step(time.time())

    def step(self, now):
        usual = {"orders_per_minute": 42, "latency_ms": 80, "visitors": 320, "errors_percent": 0.4}
        for name, value in self.figures.items():
            drift = (usual[name] - value) * 0.1 + self.random.gauss(0, usual[name] * 0.08)
            self.figures[name] = max(0.0, value + drift)
        at = datetime.fromtimestamp(now, timezone.utc).isoformat(timespec="milliseconds")
        self.say("figures", {"at": at, **{name: round(value, 1) for name, value in self.figures.items()}})
        if self.last % 20 == 0:
            self.say("notice", {"at": at, "text": f"Order {4000 + self.last} is on its way."})

    def say(self, kind, data):
        with self.news:
            self.last += 1
            self.events.append((self.last, kind, data))
            self.news.notify_all()

    def cut(self):
        with self.news:
            self.cuts += 1
            self.news.notify_all()
            return self.cuts

    def behind(self, number, patience):
        """What came after this number; waits for it, and gives nothing when the time is over or all are cut off."""
        with self.news:
            cuts = self.cuts
            self.news.wait_for(lambda: self.last > number or self.cuts != cuts, patience)
            return [event for event in self.events if event[0] > number]

    def has(self, number):
        """Whether everything behind this number is still here."""
        with self.news:
            return self.events[0][0] - 1 <= number <= self.last


feed = Feed()


class Mock(Handler):
    def respond(self, path):
        match path:
            case [] if self.server.page:
                self.answer_page()
            case []:
                self.answer_json({"service": self.server.name, "paths": PATHS})
            case ["health" | "healthz"]:
                self.answer_json({"status": "healthy"})
            case ["latest"]:
                number, kind, data = feed.behind(feed.last - 1, 0)[-1]
                self.answer_json({"id": number, "event": kind, "data": data})
            case ["cut"] if self.command == "POST":
                self.answer_json({"cut": feed.cut()})
            case ["events"]:
                self.stream(self.follow)
            case ["quiet"]:
                self.stream(self.say_once)
            case _:
                raise Refused(404, f"there is nothing at {self.path}")

    def stream(self, tell):
        begin = self.first()
        self.begin("text/event-stream", headers={"Cache-Control": "no-store", "Transfer-Encoding": "chunked"})
        if self.command == "HEAD":
            return
        # How soon a browser comes back that was cut off.
        self.chunk(b"retry: 1000\n\n")
        tell(begin)

    def first(self):
        """The number behind which this client begins; none when what it missed is no longer here."""
        last = self.headers.get("Last-Event-ID", self.query.get("last_event_id"))
        if last is None:
            return max(0, feed.last - self.number("recent", 1, 0, KEPT))
        return int(last) if last.isdecimal() and feed.has(int(last)) else None

    def follow(self, number):
        if number is None:
            self.chunk(b"event: reset\ndata: {\"why\": \"what you missed is no longer here\"}\n\n")
            number = feed.last
        cuts = feed.cuts
        while True:
            events = feed.behind(number, 15)
            if feed.cuts != cuts:
                # An end that was not said: nobody takes the stream for a whole one.
                self.close_connection = True
                return
            for number, kind, data in events:
                self.chunk(f"id: {number}\nevent: {kind}\ndata: {json.dumps(data)}\n\n".encode())
            if not events:
                # Nothing is new: a comment, so that everybody on the way knows that somebody is there.
                self.chunk(b": here\n\n")

    def say_once(self, _):
        self.chunk(b"event: notice\ndata: {\"text\": \"This is all that I say.\"}\n\n")
        # Nothing more, for as long as the client likes.
        self.rfile.read(1)


if __name__ == "__main__":
    feed.begin()
    serve(Mock, "sse", 3002, "MOCK_SSE_PORT")
