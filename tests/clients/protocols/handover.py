"""SIGUSR2 in the middle of requests: who is told GOAWAY opens another connection, to the program that has taken the place,
and every request is answered. `handover.py DOOR SERVICE PROTOCOL LOCK`, where LOCK names the process."""

import os
import signal
import sys
import threading
import time

from frames import Client, head
from recorder import Recorder
from report import check, run

DOOR, SERVICE, PROTOCOL, LOCK = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
RECORDER = Recorder(SERVICE, PROTOCOL)
CHANGES = 3


def process():
    with open(LOCK) as lock:
        return lock.read().strip()


def change():
    before = process()
    os.kill(int(before), signal.SIGUSR2)
    end = time.monotonic() + 20
    while process() in ("", before):
        check(time.monotonic() < end, "nobody has taken the place")
        time.sleep(0.02)


def ask_until(over, counts, faults):
    client, opened, answered = Client(DOOR), 1, 0
    try:
        while not over.is_set():
            numbers = [client.open(head("POST", "/p"), b"x") for _ in range(5)]
            for number in numbers:
                stream = client.answer(number)
                told = client.goaway
                if told is not None and number > told[0]:
                    # It was said not to be begun, and may be sent again.
                    continue
                check(stream.status() == 200, f"{stream.heads} {stream.reset} {told} {client.gone}")
                answered += 1
            if client.goaway is not None:
                check(client.goaway[1] == 0, f"was told {client.goaway}")
                client, opened = Client(DOOR), opened + 1
            time.sleep(0.005)
    except Exception as fault:
        faults.append(fault)
    counts.append((opened, answered))


def every_request_is_answered():
    over, counts, faults = threading.Event(), [], []
    clients = [threading.Thread(target=ask_until, args=(over, counts, faults)) for _ in range(4)]
    for client in clients:
        client.start()
    for _ in range(CHANGES):
        time.sleep(0.3)
        change()
    time.sleep(0.3)
    over.set()
    for client in clients:
        client.join()
    check(not faults, f"{faults} {counts}")
    for opened, answered in counts:
        check(opened == CHANGES + 1, f"{opened} connections for {CHANGES} changes")
        check(answered > 50, f"{answered} answers")


run([("every-request-is-answered", every_request_is_answered)])
