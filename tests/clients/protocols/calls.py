"""Calls of gRPC through the gateway, by grpcio on both sides: every form of stream, how calls end, our own failures, and
health by gRPC's own protocol. `calls.py DOOR CONTROL A B`: `e2e.Echo` has endpoints on the ports A and B, `e2e.Dead` one where
nobody listens."""

import json
import pathlib
import subprocess
import sys
import time
import urllib.request

import grpc

from calls_service import NOT_SERVING, SERVING, Service
from frames import Client, field, head
from report import check, run

DOOR, CONTROL, A, B = (int(port) for port in sys.argv[1:5])
FIRST = Service(A)
FIRST.say(SERVING)
CHANNEL = grpc.insecure_channel(f"127.0.0.1:{DOOR}")


class Other:
    """The second endpoint, as a process."""

    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, "-B", str(pathlib.Path(__file__).with_name("calls_service.py")), str(B)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        check(self.process.stdout.readline() == b"ready\n", "the other endpoint does not start")

    def kill(self):
        self.process.kill()
        self.process.wait()


def unary(method="/e2e.Echo/Unary"):
    return CHANNEL.unary_unary(method)


def failed(call):
    """The status of a call that fails."""
    try:
        told = call()
    except grpc.RpcError as error:
        return error
    check(False, f"was answered {told!r:.60}")
    return None


def endpoints():
    with urllib.request.urlopen(f"http://127.0.0.1:{CONTROL}/api/v1/clusters/c/services/app") as answer:
        return {one["address"].split(":")[-1]: one for one in json.load(answer)["endpoints"]}


def until_healthy(wanted):
    """Until as many are healthy as said."""
    end = time.monotonic() + 8
    while time.monotonic() < end:
        shown = endpoints()
        if [shown[str(port)]["healthy"] for port in (A, B)] == wanted:
            return shown
        time.sleep(0.05)
    check(False, f"{endpoints()}")
    return None


def every_form_of_stream():
    until_healthy([True, False])
    check(unary()(b"hello", timeout=5) == b"hello", "unary")
    check(unary()(b"", timeout=5) == b"", "an empty message")
    parts = [b"%d" % at * 1000 for at in range(50)]
    check(CHANNEL.stream_unary("/e2e.Echo/Collect")(iter(parts), timeout=5) == b"".join(parts), "client streaming")
    check(list(CHANNEL.unary_stream("/e2e.Echo/Repeat")(b"50", timeout=5)) == [b"%d" % at for at in range(50)], "server streaming")
    check(list(CHANNEL.unary_stream("/e2e.Echo/Repeat")(b"0", timeout=5)) == [], "an empty stream")
    check(list(CHANNEL.stream_stream("/e2e.Echo/Each")(iter(parts), timeout=5)) == parts, "both ways")


def large_messages():
    large = b"l" * 3_900_000
    check(unary()(large, timeout=10) == large, "another message came back")
    check(unary()(b"c" * 100_000, timeout=5, compression=grpc.Compression.Gzip) == b"c" * 100_000, "compressed")


def metadata_both_ways():
    answer, call = unary().with_call(b"hello", metadata=[("x-say", "a word")], timeout=5)
    trailers = dict(call.trailing_metadata())
    check(answer == b"hello" and trailers["x-heard"] == "a word" and trailers["x-raw-bin"] == b"\x00\xff", f"{trailers}")


def statuses_pass():
    for code in [1, 3, 5, 7, 8, 9, 10, 11, 12, 16]:
        error = failed(lambda code=code: unary()(b"fail %d" % code, timeout=5))
        check(error.code().value[0] == code and error.details() == "50 % of “it”", f"{error}")
    error = failed(lambda: unary("/e2e.Echo/Missing")(b"", timeout=5))
    check(error.code() is grpc.StatusCode.UNIMPLEMENTED, f"{error}")


def deadlines_pass():
    _, call = unary().with_call(b"hello", timeout=5)
    # Rounded up on its way.
    check(4 < float(dict(call.trailing_metadata())["x-left"]) < 5.1, f"{call.trailing_metadata()}")
    _, call = unary().with_call(b"hello")
    check(dict(call.trailing_metadata())["x-left"] == "none", f"{call.trailing_metadata()}")


CALL = [("content-type", "application/grpc"), ("te", "trailers")]


def ended(path, more=(), body=b"\0\0\0\0\5sleep"):
    """A call by a client that has no patience of its own: the status and the message."""
    stream = Client(DOOR).ask(head("POST", path, [*CALL, *more]), body)
    fields = [*(stream.final() or []), *stream.trailers()]
    check(stream.status() == 200 and field(fields, b"content-type") == [b"application/grpc"], f"{stream.heads}")
    return field(fields, b"grpc-status"), field(fields, b"grpc-message")


def failures_of_the_gateway():
    begun = time.monotonic()
    status, message = ended("/e2e.Echo/Unary", [("grpc-timeout", "300m")])
    check(status == [b"4"] and message and 0.25 < time.monotonic() - begun < 1.5, f"a deadline: {status} {message}")
    status, message = ended("/e2e.None/Unary")
    check(status == [b"5"] and message, f"no route: {status} {message}")
    status, message = ended("/e2e.Dead/Unary")
    check(status == [b"14"] and message, f"no endpoint: {status} {message}")
    error = failed(lambda: unary("/e2e.Dead/Unary")(b"", timeout=5))
    check(error.code() is grpc.StatusCode.UNAVAILABLE and "Dead" not in error.details(), f"{error}")


def fixed_answers():
    """What a route answers everybody is a status to a call, by gRPC's own table, and its text the message."""
    for path, status, message in [
        ("/e2e.Closed/Unary", b"14", [b"back at 9, 100 %25"]),
        ("/e2e.Gone/Unary", b"12", []),
        ("/e2e.Own/Unary", b"9", [b"mine"]),
    ]:
        told = ended(path)
        check(told == ([status], message), f"{path}: {told}")
    error = failed(lambda: unary("/e2e.Closed/Unary")(b"", timeout=5))
    check(error.code() is grpc.StatusCode.UNAVAILABLE and error.details() == "back at 9, 100 %", f"{error}")
    # Nothing else is asked in this way: others are answered as the route has it.
    stream = Client(DOOR).ask(head("POST", "/e2e.Closed/Unary", [("content-type", "text/plain")]), b"x")
    check(stream.status() == 503, f"{stream.heads}")
    stream = Client(DOOR).ask(head("POST", "/e2e.Moved/Unary", CALL), b"")
    check(stream.status() == 307, f"{stream.heads}")


def a_client_that_leaves():
    stream = CHANNEL.unary_stream("/e2e.Echo/ForEver")(b"")
    check(next(stream) == b"0", "the first message")
    stream.cancel()
    check(failed(lambda: next(stream)).code() is grpc.StatusCode.CANCELLED, "it is not cancelled")
    check(unary()(b"after", timeout=5) == b"after", "the connection does not go on")


def health_by_its_protocol():
    other = Other()
    try:
        until_healthy([True, True])
        FIRST.say(NOT_SERVING)
        shown = until_healthy([False, True])
        check("NOT_SERVING" in json.dumps(shown[str(A)]), f"{shown[str(A)]}")
        for _ in range(10):
            check(unary()(b"hello", timeout=5) == b"hello", "no answer")
        FIRST.say(SERVING)
        until_healthy([True, True])
    finally:
        other.kill()


def a_server_that_is_killed_in_the_middle():
    """No stream that broke may look like one that ended."""
    other = Other()
    try:
        # All of them go to the one that dies.
        FIRST.say(NOT_SERVING)
        until_healthy([False, True])
        streams = [CHANNEL.unary_stream("/e2e.Echo/ForEver")(b"", timeout=20) for _ in range(8)]
        for stream in streams:
            next(stream), next(stream)
    finally:
        other.kill()
        FIRST.say(SERVING)
    endings = []
    deadline = time.monotonic() + 3
    for stream in streams:
        try:
            while time.monotonic() < deadline:
                next(stream)
            endings.append("goes on")
        except StopIteration:
            endings.append("ended")
        except grpc.RpcError as error:
            endings.append(error.code().name)
    for stream in streams:
        stream.cancel()
    check(set(endings) <= {"UNAVAILABLE", "INTERNAL", "UNKNOWN"}, f"{endings}")


CASES = [
    every_form_of_stream, large_messages, metadata_both_ways, statuses_pass, deadlines_pass, failures_of_the_gateway,
    fixed_answers, a_client_that_leaves, health_by_its_protocol, a_server_that_is_killed_in_the_middle,
]
run([(case.__name__, case) for case in CASES])
