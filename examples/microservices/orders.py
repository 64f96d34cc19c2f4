#!/usr/bin/env python3
"""The orders of the shop, in a service that opens no connection but to the gateway: other services, database, cache and queue
are behind it. SHOP is where routes are, DATA the data API of the cluster."""

import json
import os
import secrets
import sys
import urllib.error
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "test/mock"))
from shared import Handler, Refused, serve

SHOP = os.environ.get("SHOP", "http://localhost:8080/shop")
DATA = os.environ.get("DATA", "http://localhost:9000/api/v1/clusters/microservices")
TABLE = "CREATE TABLE IF NOT EXISTS orders (id TEXT PRIMARY KEY, customer TEXT, product TEXT, quantity INTEGER, total TEXT)"
# How long a price is believed.
PRICE_SECONDS = 60


class Orders(Handler):
    def respond(self, path):
        match (self.command, path):
            case (_, ["health"]):
                self.answer_json({"status": "healthy"})
            case ("GET", ["orders"]):
                found = rows("SELECT * FROM orders ORDER BY id")
                self.answer_json({"orders": found, "count": len(found)})
            case ("GET", ["orders", number]):
                found = rows("SELECT * FROM orders WHERE id = $1", number)
                if not found:
                    raise Refused(404, f"there is no order {number}")
                self.answer_json(found[0])
            case ("POST", ["orders"]):
                self.place(self.read_json())
            case _:
                raise Refused(404, f"there is nothing at {self.path}")

    def place(self, wish):
        quantity = wish.get("quantity", 1)
        if not isinstance(quantity, int) or not 1 <= quantity <= 100:
            raise Refused(400, "quantity is 1 to 100")
        user, product = shop("users", wish.get("user")), priced(wish.get("product"))
        number = secrets.token_hex(4)
        order = {"id": number, "customer": user["name"], "product": product["name"], "quantity": quantity,
                 "total": f"{product['price'] * quantity:.2f}"}
        sql("db/execute", "INSERT INTO orders VALUES ($1, $2, $3, $4, $5)", list(order.values()))
        # The number goes with it as a key: a repeat is told once.
        data("queue/publish", {"topic": "orders", "message": json.dumps(order), "key": number}, number)
        self.answer_json(order, 201, {"Location": f"/shop/orders/{number}"})


class Failed(Refused):
    """What the gateway, or somebody behind it, has answered instead."""

    def __init__(self, status, problem):
        super().__init__(status, problem.get("detail") or problem.get("error") or "no reason was given")
        self.code = problem.get("code")


def rows(query, *args):
    return sql("db/query", query, args)["rows"]


def sql(call, query, args):
    try:
        return data(call, {"query": query, "args": args})
    except Failed as failed:
        # The first of all finds no table.
        if failed.code != "query_failed":
            raise
        data("db/execute", {"query": TABLE, "args": []})
        return data(call, {"query": query, "args": args})


def priced(number):
    """A product with its price, which is asked for once a minute."""
    kept = data("cache/get", {"key": f"product:{number}"})
    if kept["found"]:
        return json.loads(kept["value"])
    product = shop("products", number)
    data("cache/set", {"key": f"product:{number}", "value": json.dumps(product), "ttl": PRICE_SECONDS})
    return product


def shop(kind, number):
    """One of another service, by the route that everybody else takes."""
    if not isinstance(number, int):
        raise Refused(400, f"say which of {kind} by its number")
    try:
        return call(f"{SHOP}/{kind}/{number}")
    except Failed as failed:
        raise Refused(400, f"there is no {number} of {kind}") if failed.status == 404 else failed from None


def data(what, body, idempotency_key=None):
    """A call of the data API."""
    headers = {"Content-Type": "application/json"}
    if idempotency_key:
        headers["Idempotency-Key"] = idempotency_key
    return call(f"{DATA}/{what}", json.dumps(body).encode(), headers)


def call(url, body=None, headers=None):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers or {}), timeout=5) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise Failed(error.code, said(error.read())) from None
    except OSError as error:
        raise Failed(502, {"detail": str(error)}) from None


def said(body):
    try:
        return json.loads(body)
    except ValueError:
        return {}


if __name__ == "__main__":
    serve(Orders, "orders", 3014, "ORDERS_PORT")
