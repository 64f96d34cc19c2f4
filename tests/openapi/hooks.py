"""What Schemathesis cannot know of Throome: names that exist, statements that run, and what every answer has.

Names that are made up end at 404, so three calls of four get real ones; which they are depends on the case
alone, so that a case that is repeated is the same. `THROOME_URL` is the gateway.
"""

import json
import os
import zlib

import requests
import schemathesis

URL = os.environ["THROOME_URL"]
CLUSTERS = "/api/v1/clusters"
DEV = f"{CLUSTERS}/dev"

# A cluster that may be drained, replaced and deleted while the calls of data go on in `dev`.
SCRATCH = {"name": "Scratch", "cluster_id": "scratch", "services": {"cache": {"type": "memory"}}}
ROUTE = {"id": "scratch-route", "cluster": "scratch", "service": "web", "path": "/scratch/*", "enabled": False}

STATEMENTS = [
    ("SELECT 1 AS a, 2 AS a, NULL, 'x' || char(0), x'00ff', 1e999, -1e999, 9223372036854775807", []),
    ("SELECT * FROM notes WHERE id > $1", [0]),
    ("SELECT $1 AS a, $2 AS b, $3 AS c, $4", [None, True, 1.5, {"nested": [1]}]),
    ("INSERT INTO notes (text) VALUES ($1) RETURNING id, text", ["a text \u0000 \U0001f600"]),
    ("INSERT INTO notes (id, text) VALUES (1, 'taken')", []),
    ("UPDATE notes SET text = $1 WHERE id = $2", ["changed", 1]),
    ("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) SELECT i FROM n", []),
    ("SELECT zeroblob(2000000000)", []),
    ("SELECT 1; SELECT 2", []),
    ("BEGIN", []),
    ("ATTACH '/etc/passwd' AS x", []),
    ("PRAGMA journal_mode = OFF", []),
    ("SELECT * FROM missing", []),
    ("SELECT", []),
    ("", []),
    ("SELECT $1", []),
    ("SELECT $1, $99999", [1]),
]

COMMANDS = [
    ["SET", "k", "v", "EX", 60], ["GET", "k"], ["SET", "n", 1], ["INCRBY", "n", 9223372036854775807], ["INCR", "k"],
    ["MSET", "a", "1", "b", "2"], ["MGET", "a", "b", "c"], ["GETRANGE", "k", -9223372036854775808, 9223372036854775807],
    ["APPEND", "k", "\u0000\U0001f600"], ["SCAN", 0, "COUNT", 10, "MATCH", "[a-"], ["SCAN", 18446744073709551615],
    ["EXPIRE", "k", 9223372036854775807], ["PEXPIREAT", "k", -1], ["SET", "k", "v", "EX", 0], ["SET", "k", "v", "PX"],
    ["KEYS", "*" * 50], ["TTL", "missing"], ["PERSIST", "k"], ["GETEX", "k", "EXAT", 99999999999999999999],
    ["FLUSHALL"], ["EVAL", "return 1", 0], ["get"], [""], ["DEL"], ["PING", True], ["ECHO", ""], ["TYPE", "k"],
]

# Calls that may say 503 for a moment: SQLite has one writer, which an open transaction or a long statement holds.
MAY_BE_BUSY = {"dbQuery", "dbExecute", "dbBatch", "dbBegin"}

session = requests.Session()
open_transactions = []
acknowledgements = []
resumptions = []
tokens = []


def call(method, path, body=None):
    return session.request(method, URL + path, json=body, timeout=20)


def prepare():
    """The little world that all calls are about."""
    for text, args in [("CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, text TEXT)", []), STATEMENTS[3]]:
        call("POST", f"{DEV}/db/execute", {"query": text, "args": args}).raise_for_status()
    for number in range(5):
        body = {"key": f"k{number}", "value": f"value {number}"}
        call("POST", f"{DEV}/cache/set", body).raise_for_status()
    requests.put(f"{URL}{DEV}/cache/keys/bytes", data=b"\xff\x00", timeout=20).raise_for_status()
    for topic in ["orders", "spare"]:
        call("POST", f"{DEV}/queue/topics", {"topic": topic, "num_partitions": 3})
        call("POST", f"{DEV}/queue/publish", {"topic": topic, "message": "one"}).raise_for_status()
    tokens.append(call("POST", "/api/v1/tokens", {"name": "fuzzed", "role": "viewer"}).json()["id"])
    rebuild()


def rebuild():
    scratch = {**SCRATCH, "services": {**SCRATCH["services"], "web": {"type": "http", "host": "127.0.0.1", "port": 9}}}
    call("POST", CLUSTERS, scratch)
    call("POST", "/api/v1/routes", ROUTE)


def dice(case):
    """A number that is the same for the same case."""
    said = [case.method, case.operation.path, case.path_parameters, case.query, case.headers, case.body]
    return zlib.crc32(repr(said).encode("utf-8", "surrogatepass"))


@schemathesis.hook
def before_call(context, case, kwargs):
    if not tokens:
        prepare()
    number, name = dice(case), case.operation.definition.raw.get("operationId")
    path, query = case.path_parameters or {}, case.query or {}
    bound(case, name)
    # Names come from lists as well: whoever makes this up must not take away what the other calls need.
    if name in {"deleteCluster", "replaceCluster", "drainService"} and path.get("id") == "dev":
        path["id"] = "scratch"
    if number % 4 == 0:
        return
    number //= 4
    for place in path:
        path[place] = real(place, case, name, number)
    for place in list(query):
        if place == "service" and name not in {"activity", "requests", "events"}:
            del query[place]
        elif place in {"topic", "group", "key", "tx", "resume"}:
            query[place] = real(place, case, name, number)
    if isinstance(case.body, dict) and name in {"createUrlRoute", "replaceUrlRoute"}:
        case.body.pop("id", None)
        case.body.update(path=f"/fuzzed/{number % 7}", target_url="http://127.0.0.1:9/x")
    elif isinstance(case.body, dict):
        fill(case.body, name, number)
    elif isinstance(case.body, list) and name in {"cacheCommand", "upstashCommand"}:
        case.body = pick(COMMANDS, number)
    elif isinstance(case.body, list) and name in {"cachePipeline", "cacheMultiExec"}:
        case.body = [pick(COMMANDS, number + step) for step in range(number % 5)]
    if name in {"deleteCluster", "deleteRoute"}:
        rebuild()


def bound(case, name):
    """Streams end by themselves soon, and no transaction stays."""
    if name == "queueConsume" and isinstance(case.query, dict):
        said = case.query.get("wait_ms")
        if said is None or (isinstance(said, int) and 200 < said <= 600_000):
            case.query["wait_ms"] = 100
    if name == "dbBegin" and isinstance(case.body, dict) and not isinstance(case.body.get("idle_ms"), (str, list, dict)):
        case.body["idle_ms"] = 1000


def pick(pool, number):
    return pool[number % len(pool)]


def real(place, case, name, number):
    path = case.operation.path
    if path.startswith("/api/routes"):
        return str(1 + number % 3)
    if path.startswith(("/api/v1/routes", "/api/v1/tokens")):
        return ROUTE["id"] if "routes" in path else pick(tokens, number)
    changes = case.method in {"PUT", "DELETE"} and path == CLUSTERS + "/{id}"
    works = path.endswith(("/drain", "/undrain", "/reset-breaker", "/plan"))
    known = {
        "id": "scratch" if changes or works else "dev",
        "name": pick(["cache", "cache", "db", "queue"], number) if not works else "cache",
        "key": pick(["k0", "k1", "bytes", "made/of/parts", "\u00fc"], number),
        "topic": "spare" if case.method == "DELETE" else "orders",
        "group": pick(["mail", "books"], number),
        "tx": open_transactions[-1] if open_transactions else "none",
        "resume": pick(resumptions, number) if resumptions else "none",
        "backup": "00064a1b2c3d4e-5f60",
        "provisioner": "process",
        "cluster": "scratch",
        "service": "cache",
        "command": "/".join(str(word) or "x" for word in pick(COMMANDS, number)),
    }
    return known[place]


def fill(body, name, number):
    """Puts what exists into a body that a stranger has made up; what is wrong with it otherwise stays."""
    if name in {"dbQuery", "dbExecute"}:
        body["query"], body["args"] = pick(STATEMENTS, number)
    elif name == "dbBatch":
        body["statements"] = [dict(zip(("query", "args"), pick(STATEMENTS, number + step))) for step in range(3)]
    elif name in {"queuePublish", "queueAck"}:
        body["topic"] = "orders"
        if name == "queueAck":
            body["group"] = pick(["mail", "books"], number)
            if acknowledgements:
                body[pick(["ack", "term"], number)] = [pick(acknowledgements, number), pick(acknowledgements, number // 7)]
    elif name == "queueCreateTopic" and isinstance(body.get("topic"), str):
        body["topic"] = f"topic-{number % 30}"
    elif isinstance(body.get("key"), str) and name.startswith("cache"):
        body["key"] = pick(["k0", "k1", "bytes", "n"], number)


@schemathesis.hook
def after_call(context, case, response):
    """Remembers what later calls may name, and undoes what would pile up."""
    name = case.operation.definition.raw.get("operationId")
    if name == "queueConsume" and response.status_code == 200:
        for line in response.text.splitlines():
            line = line.removeprefix("data:").strip()
            if line.startswith("{"):
                said = json.loads(line)
                if isinstance(said.get("ack"), str):
                    acknowledgements.append(said["ack"])
                if isinstance(said.get("resume"), str):
                    resumptions.append(said["resume"])
        del acknowledgements[:-20], resumptions[:-20]
    elif name == "drainService" and response.status_code == 200:
        call("POST", f"{CLUSTERS}/scratch/services/cache/undrain")
    elif response.status_code == 201:
        answer = response.json() if response.content else {}
        if "tx" in answer:
            open_transactions.append(answer["tx"])
        elif "cluster_id" in answer and answer["cluster_id"] != "scratch":
            call("DELETE", f"{CLUSTERS}/{answer['cluster_id']}")
    elif name == "dbExecute" and open_transactions and len(open_transactions) % 3 == 0:
        call("POST", f"{DEV}/db/transactions/{open_transactions.pop()}/rollback")


@schemathesis.check
def documented(ctx, response, case):
    """`default` documents failures, and failures only: any other status stands in the document by its number."""
    operation = case.operation.definition.raw
    status, name = response.status_code, operation.get("operationId")
    headers = {header.lower(): values for header, values in response.headers.items()}
    identity = headers.get("x-request-id", [""])[0]
    assert identity, "the answer has no X-Request-Id"
    assert headers.get("cache-control") == ["no-store"], "the answer may be kept by somebody"
    assert headers.get("x-content-type-options") == ["nosniff"], "the answer's type may be guessed"
    if status < 400:
        probe = case.method.upper() not in {"GET", "PUT", "POST", "DELETE"}
        assert probe or str(status) in operation["responses"], f"{status} is not documented"
        return
    if status == 503 and "503" in operation["responses"]:
        return
    said = response.json()
    if case.path.startswith("/api/routes"):
        # What earlier clients ask is answered in the envelope that they read.
        assert headers.get("content-type") == ["application/json"], "a failure is in no envelope"
        assert said["success"] is False and said["error"] and said["request_id"] == identity, "another's envelope"
        assert status < 500, f"a fault of the gateway: {status} {said['code']}: {said['error']}"
        return
    assert headers.get("content-type") == ["application/problem+json"], "a failure is no problem document"
    assert said["status"] == status and said["request_id"] == identity, "a problem document of something else"
    if status >= 500:
        busy = status == 503 and said["code"] == "busy" and name in MAY_BE_BUSY
        # Whoever would have to take it away is not there.
        busy |= status == 502 and said["code"] == "provision_failed" and name == "deleteOrphan"
        assert busy, f"a fault of the gateway: {status} {said['code']}: {said['detail']}"
