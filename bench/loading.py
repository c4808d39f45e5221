"""The load generator's event loop: windows kept full, every response accounted for."""

from __future__ import annotations

import collections
import math
import os
import select
import time
from collections.abc import Callable
from typing import Any

from bench.esme import (
    ENQUIRE_LINK,
    ENQUIRE_LINK_RESP,
    READ,
    SUBMIT_SM_RESP,
    UNBIND_RESP,
    Session,
    pdu,
)
from bench.measure import Latencies, cpu_seconds, memory
from bench.submits import HEADER

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
        self._left: float = 0  # what may still be sent; endless while a run lasts
        self._counting = False
        # By the last bit of the sequence_number: with two parts to a message 0 is the first.
        self._latencies = (Latencies(), Latencies())
        self.status: collections.Counter[int] = collections.Counter()
        self.sent = self.answered = self.unexpected = self.cut = 0
        self._outstanding = 0

    @property
    def bound(self) -> int:
        return len(self._sessions)

    def run(self, window: int, warmup: float, seconds: float, drain: float) -> dict[str, Any]:
        """Load, measure, let what is outstanding come in; give the report."""
        self._left = math.inf
        first = self._begin(window)
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
        self._counting = False
        self._left = 0
        self._serve(time.perf_counter() + drain, until_answered=True)
        even, odd = self._latencies
        report.update(even.report("first_") | odd.report("last_"))
        report.update((even + odd).report())
        return {"window": window, **report, **self._counts()}

    def submit(self, count: int, window: int, limit: float) -> dict[str, Any]:
        """Submit `count`, and what a message then lacks; wait `limit` for the answers at most."""
        self._left = count
        begun = time.perf_counter()
        self._begin(window)
        self._serve(begun + limit, until_answered=True)
        return {"seconds": time.perf_counter() - begun, **self._counts()}

    def _begin(self, window: int) -> int:
        """Fill the windows; give how many submit_sm that took."""
        for session in list(self._sessions.values()):
            self._submit(session, window)
            self._watch(session)
        return self.sent

    def _submit(self, session: Session, wanted: int) -> None:
        count = wanted if self._left >= wanted else int(self._left)
        self._left -= count
        if session.submits.unfinished and not count:
            count = 1  # whatever was begun is finished, in a place that has become free
        if count:
            session.submit(count)
            self.sent += count
            self._outstanding += count

    def _counts(self) -> dict[str, Any]:
        return {
            "binds": len(self._sessions),
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

    def idle(self, commands: int, count: Callable[[], None]) -> None:
        """Answer enquire_link until the file descriptor `commands` ends; `count` at each line."""
        self._epoll.register(commands, select.EPOLLIN)
        while True:
            for descriptor, _ in self._epoll.poll(-1, 256):
                if descriptor != commands:
                    self._read(descriptor)
                elif os.read(commands, 4096):
                    count()
                else:
                    self._epoll.unregister(commands)
                    return

    def asked(self) -> dict[str, int]:
        """How many enquire_links came, and how many to the session that had the fewest."""
        each = [session.asked for session in self._sessions.values()]
        return {"asked": sum(each), "least": min(each, default=0)}

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
            self._submit(session, settled)
        if session.blocked:
            self._watch(session)

    def _settle(self, session: Session, data: bytes) -> int:
        """Match responses with what is outstanding; give how many matched."""
        now = time.perf_counter()
        if session.rest:
            data = session.rest + data
        position, end, settled = 0, len(data), 0
        outstanding, status, counting = session.outstanding, self.status, self._counting
        unpack, add = HEADER.unpack_from, [latencies.add for latencies in self._latencies]
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
                    add[number & 1](now - begun)
            else:
                self._other(session, command_id, number)
        session.rest = data[position:]
        return settled

    def _other(self, session: Session, command_id: int, number: int) -> None:
        if command_id == ENQUIRE_LINK:
            session.asked += 1
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
