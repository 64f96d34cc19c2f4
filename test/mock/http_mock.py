#!/usr/bin/env python3
"""An HTTP service to try things on: users, products and orders as JSON that can be changed, an echo, and answers that are
late, wrong, slow or large. Everything is in memory, and begins anew with the process."""

import threading
import time
from collections import Counter, deque

from shared import Handler, Refused, serve, whole

TABLES = {
    "users": [
        {"id": 1, "name": "Ada", "email": "ada@example.org"},
        {"id": 2, "name": "Grace", "email": "grace@example.org"},
        {"id": 3, "name": "Edsger", "email": "edsger@example.org"},
    ],
    "products": [
        {"id": 1, "name": "Teapot", "price": 24.5},
        {"id": 2, "name": "Lamp", "price": 49.0},
        {"id": 3, "name": "Chair", "price": 120.0},
    ],
    "orders": [{"id": 1, "user": 1, "product": 2, "quantity": 1}],
}
PATHS = {
    "/health": "GET: whether it is well; PUT {\"status\": \"sick\"} makes it answer 503 to everything, \"healthy\" ends that",
    "/users, /products, /orders": "GET lists, POST adds; with /ID: GET, PUT, PATCH, DELETE",
    "/echo/…": "any method: what arrived",
    "/status/CODE": "any method: that status",
    "/delay/MS": "an answer that comes so late",
    "/drop?key=K&times=N": "the connection ends without an answer for the first N requests with this key",
    "/slow?parts=N&every=MS": "an answer that comes in pieces",
    "/big?bytes=N": "an answer of so many bytes",
    "/journal": "the last hundred requests but those for it and for /health",
}

lock = threading.Lock()
asked = Counter()
journal = deque(maxlen=100)
state = {"status": "healthy"}


class Mock(Handler):
    def respond(self, path):
        if path[:1] not in (["health"], ["healthz"], ["journal"]):
            with lock:
                journal.append({"method": self.command, "path": self.path})
            if state["status"] != "healthy":
                raise Refused(503, f"{self.server.name} is {state['status']}")
        match path:
            case []:
                self.answer_json({"service": self.server.name, "paths": PATHS})
            case ["health" | "healthz"]:
                self.health()
            case ["echo", *_]:
                self.echo()
            case ["status", code]:
                self.answer_json({"status": int(code)}, whole(code, "the status", 200, 599))
            case ["delay", time_ms]:
                self.delay(whole(time_ms, "the delay", 0, 60_000))
            case ["drop"]:
                self.drop(self.query.get("key", ""), self.number("times", 1, 0, 1000))
            case ["slow"]:
                self.slow(self.number("parts", 10, 1, 10_000), self.number("every", 200, 0, 60_000))
            case ["big"]:
                self.big(self.number("bytes", 1 << 20, 0, 1 << 30))
            case ["journal"]:
                with lock:
                    self.answer_json({"requests": list(journal), "count": len(journal)})
            case [kind] if kind in TABLES:
                self.table(TABLES[kind], kind)
            case [kind, number] if kind in TABLES:
                self.row(TABLES[kind], whole(number, "the id", 1, 1 << 53))
            case _:
                raise Refused(404, f"there is nothing at {self.path}")

    def health(self):
        if self.command == "PUT":
            status = self.read_json().get("status")
            if status not in ("healthy", "sick"):
                raise Refused(400, "status is healthy or sick")
            state["status"] = status
            return self.answer_json({"status": status})
        return self.answer_json({"status": state["status"]}, 200 if state["status"] == "healthy" else 503)

    def echo(self):
        self.answer_json({
            "method": self.command,
            "target": self.path,
            "headers": {name.lower(): value for name, value in self.headers.items()},
            "body": self.body.decode(errors="replace"),
        })

    def delay(self, time_ms):
        time.sleep(time_ms / 1000)
        self.answer_json({"delayed_ms": time_ms})

    def drop(self, key, times):
        with lock:
            asked[key] += 1
            attempt = asked[key]
        if attempt > times:
            return self.answer_json({"key": key, "attempt": attempt})
        self.close_connection = True
        return None

    def slow(self, parts, every_ms):
        self.begin("text/plain; charset=utf-8", headers={"Transfer-Encoding": "chunked"})
        for part in range(1, parts + 1):
            self.chunk(b"part %d of %d\n" % (part, parts))
            time.sleep(every_ms / 1000)
        self.chunk(b"")

    def big(self, length):
        self.begin("application/octet-stream", headers={"Content-Length": length})
        piece = b"x" * 65_536
        while length > 0 and self.command != "HEAD":
            self.wfile.write(piece[:length])
            length -= len(piece)

    def table(self, rows, kind):
        if self.command == "POST":
            with lock:
                row = {"id": max((row["id"] for row in rows), default=0) + 1}
                row.update((name, value) for name, value in self.read_json().items() if name != "id")
                rows.append(row)
            return self.answer_json(row, 201, {"Location": f"/{kind}/{row['id']}"})
        if self.command not in ("GET", "HEAD"):
            raise Refused(405, f"{self.command} is not for a list")
        with lock:
            return self.answer_json({kind: rows, "count": len(rows)})

    def row(self, rows, number):
        with lock:
            row = next((row for row in rows if row["id"] == number), None)
            if row is None:
                raise Refused(404, f"there is no {number}")
            if self.command in ("PUT", "PATCH"):
                changed = self.read_json()
                if self.command == "PUT":
                    row.clear()
                row.update({**changed, "id": number})
            elif self.command == "DELETE":
                rows.remove(row)
            elif self.command not in ("GET", "HEAD"):
                raise Refused(405, f"{self.command} is not for one of a list")
            self.answer_json(row)


if __name__ == "__main__":
    serve(Mock, "http", 3000, "MOCK_HTTP_PORT")
