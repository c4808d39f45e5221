"""Post callbacks over connections that stay, one after the other on each.

N connections keep a request outstanding each for some seconds. One JSON line tells the result:

- `sent`, `answered`, `lost` of the whole run, `status` by HTTP status;
- `per_second`, `p50_ms`, `p99_ms` of the time after the warm-up, from `begun` to `ended` of the
  monotonic clock, which all processes share;
- `load_cpu_us`: what this process itself costs per request;
- with `--watch PID`, `cpu_us` per request and the memory of that process in the same time.
"""

from __future__ import annotations

import argparse
import collections
import itertools
import json
import math
import re
import select
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.measure import Latencies, cpu_seconds, memory
from bench.webhooks import Webhooks

READ = 65_536
STOCK = 8_000  # requests a second that are made before the clock runs
_status = re.compile(rb"HTTP/1\.[01] (\d{3})").match


class Poster:
    """The connections of a run, and what is counted. An answer must have an empty body."""

    def __init__(
        self,
        address: tuple[str, int],
        connections: int,
        requests: Iterator[bytes],
        watched: int | None = None,
    ) -> None:
        self._requests = requests
        self._watched = watched
        self._sockets: dict[int, socket.socket] = {}
        self._epoll = select.epoll()
        self._begun: dict[int, float] = {}  # what is outstanding
        self._rest: dict[int, bytes] = {}
        self._posting = True
        self._counting = False
        self._latencies = Latencies()
        self.status: collections.Counter[int] = collections.Counter()
        self.sent = self.answered = self.cut = 0
        for _ in range(connections):
            sock = socket.create_connection(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sockets[sock.fileno()] = sock
            self._epoll.register(sock, select.EPOLLIN)

    def run(self, warmup: float, seconds: float, drain: float) -> dict[str, Any]:
        """Post, measure, let what is outstanding come in, leave; give the report."""
        for descriptor in self._sockets:
            self._post(descriptor)
        self._serve(time.monotonic() + warmup)
        self._counting = True
        own, cpu, answered = time.process_time(), self._cpu(), self.answered
        begun = time.monotonic()
        self._serve(begun + seconds)
        ended = time.monotonic()
        counted = self.answered - answered
        report: dict[str, Any] = {
            "per_second": counted / (ended - begun),
            "load_cpu_us": (time.process_time() - own) / max(counted, 1) * 1e6,
            "begun": begun,
            "ended": ended,
        }
        if self._watched is not None:
            cpu = self._cpu() - cpu
            report["cpu_us"] = cpu / counted * 1e6 if counted else math.nan
            report["cpu_share"] = cpu / (ended - begun)
            report.update(memory(self._watched))
        self._counting = False
        self._posting = False
        self._serve(time.monotonic() + drain, until_answered=True)
        for sock in self._sockets.values():
            sock.close()
        return {
            **report,
            **self._latencies.report(),
            "sent": self.sent,
            "answered": self.answered,
            "lost": self.sent - self.answered,
            "cut": self.cut,
            "status": {str(status): count for status, count in self.status.items()},
        }

    def _cpu(self) -> float:
        return 0.0 if self._watched is None else cpu_seconds(self._watched)

    def _post(self, descriptor: int) -> None:
        data = next(self._requests)
        self._begun[descriptor] = time.monotonic()
        self.sent += 1
        # Nothing else is outstanding on this connection, so there is room for less than 1 KiB.
        self._sockets[descriptor].sendall(data)

    def _serve(self, ends: float, *, until_answered: bool = False) -> None:
        poll, clock = self._epoll.poll, time.monotonic
        while (left := ends - clock()) > 0 and self._sockets:
            if until_answered and not self._begun:
                return
            for descriptor, _ in poll(left, 256):
                self._read(descriptor)

    def _read(self, descriptor: int) -> None:
        try:
            data = self._sockets[descriptor].recv(READ)
        except ConnectionError:
            data = b""
        if not data:
            self.cut += 1
            self._begun.pop(descriptor, None)
            self._epoll.unregister(descriptor)
            self._sockets.pop(descriptor).close()
            return
        data = self._rest.pop(descriptor, b"") + data
        if not data.endswith(b"\r\n\r\n"):
            self._rest[descriptor] = data
            return
        found = _status(data)
        self.status[int(found[1]) if found else 0] += 1
        self.answered += 1
        begun = self._begun.pop(descriptor)
        if self._counting:
            self._latencies.add(time.monotonic() - begun)
        if self._posting:
            self._post(descriptor)


def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="post callbacks")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--key-file", type=Path, required=True)
    parser.add_argument("--system-id", default="bench")
    parser.add_argument("--password", default="bench", help="of the API")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--warmup", type=float, default=0.5)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--drain", type=float, default=10.0)
    parser.add_argument("--watch", type=int, metavar="PID", help="measure this process too")
    arguments = parser.parse_args(given)
    webhooks = Webhooks(arguments.key_file, arguments.system_id, arguments.password)
    stock = int(STOCK * (arguments.warmup + arguments.seconds))
    requests = itertools.chain(list(itertools.islice(webhooks, stock)), webhooks)
    address = ("127.0.0.1", arguments.port)
    poster = Poster(address, arguments.connections, requests, arguments.watch)
    print(json.dumps(poster.run(arguments.warmup, arguments.seconds, arguments.drain)), flush=True)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
