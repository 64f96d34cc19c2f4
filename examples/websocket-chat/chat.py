#!/usr/bin/env python3
"""A client of the chat for a terminal: says each line that is typed, and prints what others say. It ends with its input, or
with Ctrl-C."""

import argparse
import base64
import json
import os
import socket
import sys
import threading
from pathlib import Path
from urllib.parse import urlencode, urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "test/mock"))
sys.dont_write_bytecode = True
from frames import Closed, Socket, accept_of


def connect(url, origin):
    """Asks for a WebSocket; ends the program with the answer when that is another."""
    address = urlsplit(url)
    connection = socket.create_connection((address.hostname, address.port or 80))
    key = base64.b64encode(os.urandom(16)).decode()
    fields = {
        "Host": address.netloc, "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": key, **({"Origin": origin} if origin else {}),
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    connection.sendall(f"GET {address.path}?{address.query} HTTP/1.1\r\n{head}\r\n".encode())
    reader = connection.makefile("rb")
    status = reader.readline().decode().strip()
    answer = {}
    while line := reader.readline().decode().strip():
        name, _, value = line.partition(":")
        answer[name.lower()] = value.strip()
    if " 101 " not in status:
        body = reader.read(int(answer.get("content-length", 0))).decode()
        sys.exit(f"{status}\n{body}".rstrip())
    if answer.get("sec-websocket-accept") != accept_of(key):
        sys.exit("this is no WebSocket service: its proof is wrong")
    return Socket(reader, connection, is_client=True)


def tell(message):
    match message["type"]:
        case "welcome":
            print(f"* you are {message['you']}; here: {', '.join(message['people'])}")
            for one in message["said"]:
                tell(one)
        case "said":
            print(f"{message['who']}: {message['text']}")
        case "joined":
            print(f"* {message['who']} has come")
        case "left":
            print(f"* {message['who']} has gone")
        case "refused":
            print(f"* {message['why']}")
    sys.stdout.flush()


def type_lines(peer):
    for line in sys.stdin:
        peer.send(json.dumps({"text": line.strip()}))
    peer.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", nargs="?", default="http://localhost:8080/chat/ws")
    parser.add_argument("--name", default=os.environ.get("USER", "Somebody"))
    parser.add_argument("--room", default="lobby")
    parser.add_argument("--origin", help="claims to be a page of this site")
    said = parser.parse_args()
    peer = connect(f"{said.url}?{urlencode({'room': said.room, 'name': said.name})}", said.origin)
    threading.Thread(target=type_lines, args=(peer,), daemon=True).start()
    try:
        while True:
            tell(json.loads(peer.receive()))
    except Closed as closed:
        if closed.code not in (1000, 1005):
            sys.exit(f"closed: {closed}")
    except KeyboardInterrupt:
        peer.close()


if __name__ == "__main__":
    main()
