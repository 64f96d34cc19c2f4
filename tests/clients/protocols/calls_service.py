"""A service of gRPC, by grpcio: says back what it hears, and answers for its health. `calls_service.py PORT` runs it alone, so
that it can be killed; it ends with its standard input."""

import sys
import threading
import time
from concurrent import futures

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
# A call without a deadline has more than that.
FOR_EVER = 1e9


def unary(message, context):
    left = context.time_remaining()
    context.set_trailing_metadata([
        ("x-heard", dict(context.invocation_metadata()).get("x-say", "")), ("x-left", f"{left:.3f}" if left and left < FOR_EVER else "none"),
        ("x-raw-bin", b"\x00\xff")])
    if message.startswith(b"fail "):
        context.abort(grpc.StatusCode(next(code.value for code in grpc.StatusCode if code.value[0] == int(message[5:]))), "50 % of “it”")
    if message == b"sleep":
        time.sleep(2)
    return message


def collect(messages, _):
    return b"".join(messages)


def repeat(message, _):
    for at in range(int(message)):
        yield b"%d" % at


def answer_each(messages, _):
    yield from messages


def for_ever(_, context):
    at = 0
    while context.is_active():
        yield b"%d" % at
        at += 1
        time.sleep(0.02)


class Service:
    """Serves on a port; `health` is what it says of itself."""

    def __init__(self, port):
        self.server = grpc.server(futures.ThreadPoolExecutor(16))
        self.server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("e2e.Echo", {
            "Unary": grpc.unary_unary_rpc_method_handler(unary),
            "Collect": grpc.stream_unary_rpc_method_handler(collect),
            "Repeat": grpc.unary_stream_rpc_method_handler(repeat),
            "Each": grpc.stream_stream_rpc_method_handler(answer_each),
            "ForEver": grpc.unary_stream_rpc_method_handler(for_ever),
        })])
        self.health = health.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self.health, self.server)
        self.server.add_insecure_port(f"127.0.0.1:{port}")
        self.server.start()

    def say(self, status):
        self.health.set("", status)


if __name__ == "__main__":
    service = Service(int(sys.argv[1]))
    service.say(SERVING)
    print("ready", flush=True)
    sys.stdin.read()
    service.server.stop(None)
    threading.Event().wait(0.1)
