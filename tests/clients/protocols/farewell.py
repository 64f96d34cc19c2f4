"""SIGTERM in the middle of requests: clients are told GOAWAY, what was begun is answered, and what was not begun is known
to be. `farewell.py DOOR SERVICE PROTOCOL PID`."""

import os
import signal
import sys
import time

from frames import Client, head
from recorder import Recorder
from report import check, run

DOOR, SERVICE, PROTOCOL, PID = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
RECORDER = Recorder(SERVICE, PROTOCOL)


def requests_under_way_are_finished():
    begun = time.monotonic()
    clients = [Client(DOOR) for _ in range(4)]
    asked = [[client.open(head("POST", "/slow"), f"{at}".encode()) for at in range(10)] for client in clients]
    # One is still sending.
    sending = clients[0].open(head("POST", "/p"), ends=False)
    clients[0].say_data(sending, b"first ")
    idle = Client(DOOR)
    check(idle.ask(head(path="/p")).status() == 200, "the idle one was never served")
    time.sleep(0.3)
    os.kill(PID, signal.SIGTERM)
    for client in [idle, *clients]:
        check(client.until(lambda client=client: client.goaway is not None), "nobody said farewell")
    clients[0].say_data(sending, b"second", True)
    for client, numbers in zip(clients, asked):
        for at, number in enumerate(numbers):
            stream = client.answer(number)
            check(stream.status() == 200 and bytes(stream.data) == f"{at}".encode(),
                  f"{at}: {stream.heads} {bytes(stream.data)} {stream.reset} {client.goaway} {client.gone} {time.monotonic() - begun:.2f}")
        check(client.goaway[1:2] == (0,), f"was told {client.goaway}")
    stream = clients[0].answer(sending)
    check(bytes(stream.data) == b"first second", f"{stream.heads} {stream.reset}")
    last = max(max(numbers) for numbers in asked)
    check(clients[1].goaway[0] >= last, f"{clients[1].goaway} says that {last} was not begun")


run([("requests-under-way-are-finished", requests_under_way_are_finished)])
