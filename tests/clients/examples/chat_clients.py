"""The chat through the gateway and its service without, by a client library of others.

    chat_clients.py DOOR SERVICE     ports; prints a line for each case, then `# N of N`, and stays until it is cut off
"""

import json
import sys
from contextlib import ExitStack, suppress

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

door, service = sys.argv[1:]
CHAT = f"ws://localhost:{door}/chat/ws"
held, all_cases = 0, 0
clients = ExitStack()


def case(name, said, expected):
    global held, all_cases
    held, all_cases = held + (said == expected), all_cases + 1
    print(f"{'ok  ' if said == expected else 'FAIL'} {name}" + ("" if said == expected else f": {said!r}"), flush=True)


def join(name, room="tea", **options):
    return clients.enter_context(connect(f"{CHAT}?room={room}&name={name}", **options))


def hear(client, *kinds):
    """The next message of each of these kinds, in this order and with nothing between."""
    messages = [json.loads(client.recv(timeout=5)) for _ in kinds]
    assert [message["type"] for message in messages] == list(kinds), messages
    return messages[-1]


def closed(client):
    """The code that the other side has closed with."""
    try:
        while True:
            client.recv(timeout=30)
    except ConnectionClosed as over:
        return over.rcvd and over.rcvd.code


def status_for(origin):
    try:
        join("Page", origin=origin)
        return 101
    except InvalidStatus as refused:
        return refused.response.status_code


def rooms():
    ada = join("Ada", origin=f"http://localhost:{door}")
    case("whoever comes is told who is there", hear(ada, "welcome")["people"], ["Ada"])
    grace = join("Grace")
    case("whoever comes later hears of both", hear(grace, "welcome")["people"], ["Ada", "Grace"])
    case("and the first hears of him", hear(ada, "joined")["who"], "Grace")
    ada.send(json.dumps({"text": "tea? ☕ <b>"}))
    for name, client in (("everybody", grace), ("also who said it", ada)):
        said = hear(client, "said")
        case(f"{name} hears what is said", (said["who"], said["text"]), ("Ada", "tea? ☕ <b>"))
    for number in range(100):
        ada.send(json.dumps({"text": f"{number}"}))
    case("a hundred messages in order", [hear(grace, "said")["text"] for _ in range(100)], [str(n) for n in range(100)])
    ada.send("no JSON")
    while (message := json.loads(ada.recv(timeout=5)))["type"] == "said":
        pass
    case("what is no message is refused", message["type"], "refused")
    case("another room is another", hear(join("Ada", "coffee"), "welcome")["people"], ["Ada"])
    case("a ping is answered", grace.ping().wait(5), True)
    ada.close(4001, "tired")
    case("who goes is told of", hear(grace, "left")["who"], "Ada")
    late = join("Grace")
    welcome = hear(late, "welcome")
    case("a name is for one", welcome["you"], "Grace 2")
    case("what was said last is told", [said["text"] for said in welcome["said"]], [str(n) for n in range(50, 100)])
    late.close()
    grace.send("x" * 10_000)
    case("a message that is too large ends it", closed(grace), 1009)
    case("a page of the gateway may", status_for(f"http://127.0.0.1:{door}"), 101)
    case("a page of elsewhere may not", status_for("https://elsewhere.example"), 403)
    case("a page of nowhere may not", status_for("null"), 403)


def echo():
    """What test/mock/frames.py says and hears, straight from the service."""
    with connect(f"ws://127.0.0.1:{service}/echo", max_size=None, compression=None) as client:
        for length in (0, 1, 125, 126, 65_535, 65_536, 1 << 20):
            for kind, message in (("text", "ä" * (length // 2)), ("bytes", b"\xff" * length)):
                client.send(message)
                case(f"{length} bytes as {kind}", client.recv(timeout=5) == message, True)
        client.send(["in ", "three ", "pieces"])
        case("fragments are one message", client.recv(timeout=5), "in three pieces")
        client.close(3000, "enough")
        case("a code comes back", client.protocol.close_rcvd.code, 3000)
    for name, message, code in (("no UTF-8", [b"\xc3\x28"], 1007), ("too large", [b"x" * ((1 << 20) + 1)], 1009)):
        with connect(f"ws://127.0.0.1:{service}/echo", compression=None) as client:
            # The service may have closed before all of it was sent.
            with suppress(ConnectionClosed):
                client.send(iter(message), text=True)
            case(f"{name} ends it", closed(client), code)


echo()
with clients:
    rooms()
    last = join("Last")
    hear(last, "welcome")
    print(f"# {held} of {all_cases}", flush=True)
    # Whoever stays is told when the gateway goes.
    print(f"told {closed(last)}", flush=True)
