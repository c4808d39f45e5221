"""A bind storm: connections that each send one bind with a wrong password, at a steady pace.

Half of them name an account that exists, half one that does not. Each has a source address of
its own, `--addresses` of them in turn from `--first` on: the whole of 127.0.0.0/8 is this
machine. A connection ends, with a reset, when the bind is answered or after PATIENCE seconds.

The first line on standard output is `{"storming": true}`. Then every line read from standard
input is a command, answered by one JSON line:

- `count`: binds `begun` so far and in how many `seconds`, those that were `held` back because
  MOST were open, the answers by command_status, `closed` without an answer, `given_up` without
  one, `failed` to connect, and how many are `open`.

The end of standard input ends the process.
"""

from __future__ import annotations

import argparse
import collections
import errno
import ipaddress
import json
import os
import select
import socket
import struct
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

from bench.esme import BIND_TRANSCEIVER, bind_body, pdu
from bench.submits import HEADER

PATIENCE = 10.0  # seconds that a bind may stay unanswered
MOST = 5_000  # connections open at once
WRONG = "Wrong-Pw"
# linux/in.h: choose the port at connect(), when the destination is known, so that ports of an
# address do not run out.
IP_BIND_ADDRESS_NO_PORT = 24
RESET = struct.pack("ii", 1, 0)  # SO_LINGER of no time: no TIME_WAIT is left


class Storm:
    """What comes, and what becomes of it."""

    def __init__(
        self, target: tuple[str, int], rate: float, sources: Iterator[str], known: str
    ) -> None:
        self._target = target
        self._rate = rate
        self._sources = sources
        self._known = known
        self._epoll = select.epoll()
        self._open: dict[int, socket.socket] = {}
        self._until: collections.deque[tuple[float, socket.socket]] = collections.deque()
        self._started = time.monotonic()
        self._due = 0
        self.begun = self.held = self.closed = self.given_up = self.failed = 0
        self.status: collections.Counter[int] = collections.Counter()

    def run(self, commands: int) -> None:
        """Storm until the file descriptor `commands` ends."""
        self._epoll.register(commands, select.EPOLLIN)
        self._started = time.monotonic()
        while True:
            left = self._started + self._due / self._rate - time.monotonic()
            for descriptor, event in self._epoll.poll(max(0.0, left), 256):
                if descriptor == commands:
                    if not self._command(commands):
                        return
                elif descriptor in self._open:
                    self._serve(self._open[descriptor], event)
            self._begin_due()
            self._give_up()

    def _begin_due(self) -> None:
        while self._started + self._due / self._rate <= time.monotonic():
            self._due += 1
            if len(self._open) >= MOST:
                self.held += 1
            else:
                self._begin()

    def _begin(self) -> None:
        self.begun += 1
        sock = socket.socket()
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        sock.bind((next(self._sources), 0))
        if sock.connect_ex(self._target) not in (0, errno.EINPROGRESS):
            self.failed += 1
            sock.close()
            return
        self._open[sock.fileno()] = sock
        self._until.append((time.monotonic() + PATIENCE, sock))
        self._epoll.register(sock, select.EPOLLOUT)

    def _serve(self, sock: socket.socket, event: int) -> None:
        try:
            if event & select.EPOLLOUT:
                name = self._known if self.begun % 2 else f"nobody{self.begun}"
                sock.send(pdu(BIND_TRANSCEIVER, 1, bind_body(name, WRONG)))
                self._epoll.modify(sock, select.EPOLLIN)
                return
            data = sock.recv(4096)
        except ConnectionRefusedError:
            self.failed += 1
        except ConnectionError:
            self.closed += 1
        else:
            # The answer is small: it comes in one piece, or else the bench tells.
            if len(data) >= HEADER.size:
                self.status[HEADER.unpack_from(data)[2]] += 1
            else:
                self.closed += 1
        self._drop(sock)

    def _give_up(self) -> None:
        now = time.monotonic()
        while self._until and self._until[0][0] <= now:
            _, sock = self._until.popleft()
            if sock.fileno() >= 0:
                self.given_up += 1
                self._drop(sock)

    def _drop(self, sock: socket.socket) -> None:
        del self._open[sock.fileno()]
        self._epoll.unregister(sock)
        sock.close()

    def close(self) -> None:
        """Leave nothing open."""
        for sock in list(self._open.values()):
            self._drop(sock)
        self._epoll.close()

    def count(self) -> dict[str, Any]:
        return {
            "seconds": time.monotonic() - self._started,
            "begun": self.begun,
            "held": self.held,
            "status": {f"0x{status:02X}": count for status, count in self.status.items()},
            "closed": self.closed,
            "given_up": self.given_up,
            "failed": self.failed,
            "open": len(self._open),
        }

    def _command(self, descriptor: int) -> bool:
        data = os.read(descriptor, 4096)
        for line in data.splitlines():
            known = line.strip() == b"count"
            _say(self.count() if known else {"error": "the only command is: count"})
        return bool(data)


def sources(first: str, count: int) -> Iterator[str]:
    """Addresses in turn, for ever."""
    begin = int(ipaddress.IPv4Address(first))
    while True:
        for offset in range(count):
            yield str(ipaddress.IPv4Address(begin + offset))


def _say(report: dict[str, Any]) -> None:
    print(json.dumps(report), flush=True)


def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="a storm of binds with wrong passwords")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--rate", type=float, default=500, help="binds a second")
    parser.add_argument("--system-id", default="bench", help="an account that exists")
    parser.add_argument("--first", default="127.0.0.2", help="source address")
    parser.add_argument("--addresses", type=int, default=1, help="how many of them from there on")
    arguments = parser.parse_args(given)
    storm = Storm(
        (arguments.host, arguments.port),
        arguments.rate,
        sources(arguments.first, arguments.addresses),
        arguments.system_id,
    )
    _say({"storming": True})
    storm.run(sys.stdin.fileno())
    storm.close()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
