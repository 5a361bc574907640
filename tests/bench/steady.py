"""Requests at even times: ``python -m bench.steady HOST PORT PATH PER_SECOND SECONDS < BODY`` prints the seconds that each took, as JSON.

h2load's clients look at the clock every 10 ms only, and then send all that is due: at 4,000 a second, bursts of 40. Here each request has a time
of its own, and its seconds count from that time, however late it could be sent. ``select`` waits by microseconds, where epoll and event loops
round up to a millisecond.
"""

import gc
import json
import os
import select
import socket
import sys
import time
from dataclasses import dataclass, field

from bench import cores

CONNECTIONS = 128
"""Open from the start; who finds all of them busy waits for the first that is free."""
LATE_S = 10.0
"""How long answers may take after the last request."""


@dataclass(slots=True)
class _Connection:
    socket: socket.socket
    due_s: float = 0.0
    received: bytearray = field(default_factory=bytearray)


def main(host: str, port: int, path: str, per_second: float, seconds: float, body: bytes) -> list[float]:
    """The seconds of each request, in the order of the answers. AssertionError: one was not answered with 200."""
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nx-user-id: user-1\r\nContent-Length: {len(body)}\r\n\r\n"
    request = head.encode() + body
    idle = [_Connection(_connected(host, port)) for _ in range(CONNECTIONS)]
    busy: dict[int, _Connection] = {}
    took: list[float] = []
    count, sent = int(per_second * seconds), 0
    gc.disable()
    cores.at_once(os.getpid())
    began = time.perf_counter()
    while len(took) < count:
        now = time.perf_counter() - began
        assert now < seconds + LATE_S, f"{count - len(took)} requests were not answered"
        while idle and sent < count and sent / per_second <= now:
            connection = idle.pop()
            connection.due_s = sent / per_second
            connection.socket.sendall(request)
            busy[connection.socket.fileno()] = connection
            sent += 1
        wait_s = max(0.0, sent / per_second - (time.perf_counter() - began)) if idle and sent < count else 1.0
        for readable in select.select(list(busy), [], [], wait_s)[0]:
            connection = busy[readable]
            if _answered(connection):
                took.append(time.perf_counter() - began - connection.due_s)
                idle.append(busy.pop(readable))
    return took


def _connected(host: str, port: int) -> socket.socket:
    connected = socket.create_connection((host, port))
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connected


def _answered(connection: _Connection) -> bool:
    """Whether the answer is complete."""
    part = connection.socket.recv(65_536)
    assert part, "a connection was closed"
    connection.received += part
    head, end, body = bytes(connection.received).partition(b"\r\n\r\n")
    if not end:
        return False
    assert head.startswith(b"HTTP/1.1 200"), head
    length = next(int(line.partition(b":")[2]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    if len(body) < length:
        return False
    connection.received.clear()
    return True


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]), sys.argv[3], float(sys.argv[4]), float(sys.argv[5]), sys.stdin.buffer.read())))  # noqa: T201
