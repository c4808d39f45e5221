"""An SMPP load generator that costs a few microseconds a message.

N transceiver binds keep a window of W submit_sm outstanding for some seconds. PDUs are
encoded once, only the sequence_number is patched in. Every submit_sm_resp must belong to an
outstanding sequence_number, and at the end none may be missing. One JSON line tells the
result:

- `sent`, `answered`, `lost`, `unexpected` of the whole run, `status` by command_status;
- `per_second`, `p50_ms`, `p99_ms` of the time after the warm-up. Both times last at least
  until as many messages are answered as are outstanding at once;
- `load_cpu_us`: what this process itself costs per message;
- with `--watch PID`, `cpu_us` per message and the memory of that process in the same time.

With `--idle` the sessions are bound and only answer enquire_link, until standard input
ends; one line tells how many are bound as soon as they are, another at the end.
"""

from __future__ import annotations

import argparse
import collections
import json
import select
import sys
import time
from typing import Any

from bench.esme import (
    ENQUIRE_LINK,
    ENQUIRE_LINK_RESP,
    HEADER,
    READ,
    SUBMIT_SM_RESP,
    UNBIND_RESP,
    Refused,
    Session,
    pdu,
)
from bench.measure import Latencies, cpu_seconds, memory

WINDOW_WAIT = 15.0
UNBIND_WAIT = 3.0


class Load:
    """The sessions of a run, and what is counted."""

    def __init__(self, sessions: list[Session], watched: int | None = None) -> None:
        self._sessions = {session.socket.fileno(): session for session in sessions}
        self._epoll = select.epoll()
        for descriptor in self._sessions:
            self._epoll.register(descriptor, select.EPOLLIN)
        self._watched = watched
        self._sending = False
        self._counting = False
        self._latencies = Latencies()
        self.status: collections.Counter[int] = collections.Counter()
        self.sent = self.answered = self.unexpected = self.cut = 0
        self._outstanding = 0

    @property
    def bound(self) -> int:
        return len(self._sessions)

    def run(self, window: int, warmup: float, seconds: float, drain: float) -> dict[str, Any]:
        """Load, measure, let what is outstanding come in; give the report."""
        self._sending = True
        self.sent = self._outstanding = first = window * len(self._sessions)
        for session in list(self._sessions.values()):
            session.submit(window, time.perf_counter())
            self._watch(session)
        self._serve(time.perf_counter() + warmup)
        self._until(first)
        self._counting = True
        own = time.process_time()
        begun, answered, cpu = time.perf_counter(), self.answered, self._cpu()
        self._serve(begun + seconds)
        self._until(answered + first)
        elapsed, cpu = time.perf_counter() - begun, self._cpu() - cpu
        counted = self.answered - answered
        report: dict[str, Any] = {"per_second": counted / elapsed}
        report["load_cpu_us"] = (time.process_time() - own) / max(counted, 1) * 1e6
        if self._watched is not None:
            report["cpu_us"] = cpu / counted * 1e6 if counted else float("nan")
            report["cpu_share"] = cpu / elapsed
            report.update(memory(self._watched))
        self._counting = self._sending = False
        self._serve(time.perf_counter() + drain, until_answered=True)
        report.update(self._latencies.report())
        return {
            "binds": len(self._sessions),
            "window": window,
            **report,
            "sent": self.sent,
            "answered": self.answered,
            "lost": self._outstanding,
            "unexpected": self.unexpected,
            "cut": self.cut,
            "status": {f"0x{status:02X}": count for status, count in self.status.items()},
        }

    def unbind(self) -> None:
        """Leave as the protocol asks, bounded in time."""
        for session in self._sessions.values():
            session.unbind()
        ends = time.perf_counter() + UNBIND_WAIT
        while time.perf_counter() < ends and self._sessions:
            self._serve(min(ends, time.perf_counter() + 0.05))
            for descriptor, session in list(self._sessions.items()):
                if session.unbound:
                    self._drop(descriptor, session)
        for descriptor, session in list(self._sessions.items()):
            self._drop(descriptor, session)

    def idle(self, commands: int) -> None:
        """Answer enquire_link until the file descriptor `commands` ends."""
        self._epoll.register(commands, select.EPOLLIN)
        while True:
            for descriptor, _ in self._epoll.poll(-1, 256):
                if descriptor == commands:
                    self._epoll.unregister(commands)
                    return
                self._read(descriptor)

    def _cpu(self) -> float:
        return 0.0 if self._watched is None else cpu_seconds(self._watched)

    def _serve(self, ends: float, *, until_answered: bool = False) -> None:
        poll, clock = self._epoll.poll, time.perf_counter
        while (left := ends - clock()) > 0 and self._sessions:
            if until_answered and not self._outstanding:
                return
            for descriptor, event in poll(left, 256):
                if event & select.EPOLLOUT:
                    session = self._sessions[descriptor]
                    session.send(b"")
                    self._watch(session)
                if event & ~select.EPOLLOUT:
                    self._read(descriptor)

    def _until(self, answered: int) -> None:
        """Go on until so many are answered: less than a window shows only bursts."""
        ends = time.perf_counter() + WINDOW_WAIT
        while self.answered < answered and time.perf_counter() < ends and self._sessions:
            self._serve(time.perf_counter() + 0.02)

    def _read(self, descriptor: int) -> None:
        session = self._sessions[descriptor]
        try:
            data = session.socket.recv(READ)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        if not data:
            self.cut += not session.unbound
            self._drop(descriptor, session)
            return
        settled = self._settle(session, data)
        if settled:
            self.answered += settled
            self._outstanding -= settled
            if self._sending:
                session.submit(settled, time.perf_counter())
                self.sent += settled
                self._outstanding += settled
        if session.blocked:
            self._watch(session)

    def _settle(self, session: Session, data: bytes) -> int:
        """Match responses with what is outstanding; give how many matched."""
        now = time.perf_counter()
        if session.rest:
            data = session.rest + data
        position, end, settled = 0, len(data), 0
        outstanding, status, counting = session.outstanding, self.status, self._counting
        unpack, add = HEADER.unpack_from, self._latencies.add
        while end - position >= 16:
            length, command_id, command_status, number = unpack(data, position)
            if position + length > end:
                break
            position += length
            if command_id == SUBMIT_SM_RESP and number in outstanding:
                begun = outstanding.pop(number)
                settled += 1
                status[command_status] += 1
                if counting:
                    add(now - begun)
            else:
                self._other(session, command_id, number)
        session.rest = data[position:]
        return settled

    def _other(self, session: Session, command_id: int, number: int) -> None:
        if command_id == ENQUIRE_LINK:
            session.send(pdu(ENQUIRE_LINK_RESP, number))
        elif command_id == UNBIND_RESP:
            session.unbound = True
        else:
            self.unexpected += 1

    def _watch(self, session: Session) -> None:
        events = select.EPOLLIN | select.EPOLLOUT if session.blocked else select.EPOLLIN
        self._epoll.modify(session.socket, events)

    def _drop(self, descriptor: int, session: Session) -> None:
        del self._sessions[descriptor]
        self._epoll.unregister(descriptor)
        session.socket.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="SMPP load generator")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--system-id", default="bench")
    parser.add_argument("--password", default="bench")
    parser.add_argument("--binds", type=int, default=4)
    parser.add_argument("--window", type=int, default=100)
    parser.add_argument("--warmup", type=float, default=0.5)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--drain", type=float, default=20.0)
    parser.add_argument("--watch", type=int, metavar="PID", help="measure this process too")
    parser.add_argument("--idle", action="store_true", help="bind, then only stay")
    arguments = parser.parse_args()
    address = (arguments.host, arguments.port)
    try:
        sessions = [
            Session.bound(address, arguments.system_id, arguments.password)
            for _ in range(arguments.binds)
        ]
    except (Refused, OSError) as error:
        raise SystemExit(f"cannot bind: {error}") from error
    load = Load(sessions, arguments.watch)
    if arguments.idle:
        print(json.dumps({"bound": len(sessions)}), flush=True)
        load.idle(sys.stdin.fileno())
        print(json.dumps({"bound": load.bound}), flush=True)
    else:
        report = load.run(arguments.window, arguments.warmup, arguments.seconds, arguments.drain)
        print(json.dumps(report), flush=True)
    load.unbind()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
