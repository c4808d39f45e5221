"""A load at a steady pace: messages leave when their time has come, whatever the answers take.

With windows kept full a slow answer delays what would have been sent next, and so hides how many
would have been slow. Here nothing waits for an answer. Latency still runs from the write of a
submit_sm to the read of its response: how late this process itself was is told apart.
"""

from __future__ import annotations

import time
from typing import Any

from bench.esme import Session
from bench.loading import Load
from bench.measure import Latencies, memory


class PacedLoad(Load):
    """The sessions of a run, which take turns."""

    def __init__(self, sessions: list[Session], watched: int | None = None) -> None:
        super().__init__(sessions, watched)
        self._late = Latencies()
        self._most = 0
        self._turn = 0

    def pace(self, rate: float, warmup: float, seconds: float, drain: float) -> dict[str, Any]:
        """Send `rate` a second; give the report of what was sent after the warm-up.

        What is slow at the end is waited for, at most `drain` seconds, and counted.
        """
        self._send(rate, warmup)
        # An answer to the last messages of the warm-up is counted too: few, and like the others.
        self._counting = True
        sent, answered, own = self.sent, self.answered, time.process_time()
        begun, cpu = time.perf_counter(), self._cpu()
        self._send(rate, seconds)
        elapsed, cpu = time.perf_counter() - begun, self._cpu() - cpu
        counted = max(self.answered - answered, 1)
        report: dict[str, Any] = {
            "per_second": (self.sent - sent) / elapsed,
            "load_cpu_us": (time.process_time() - own) / counted * 1e6,
            "most": self._most,
            "late_p99_ms": self._late.report()["p99_ms"],
        }
        if self._watched is not None:
            report["cpu_us"] = cpu / counted * 1e6
            report["cpu_percent"] = cpu / elapsed * 100
            report.update(memory(self._watched))
        self._serve(time.perf_counter() + drain, until_answered=True)
        even, odd = self._latencies
        report.update((even + odd).report())
        return {**report, **self._counts()}

    def _send(self, rate: float, seconds: float) -> None:
        begun, clock = time.perf_counter(), time.perf_counter
        sent, wanted = 0, round(rate * seconds)
        while sent < wanted and self._sessions:
            while sent < wanted and begun + sent / rate <= (now := clock()):
                if self._counting:
                    self._late.add(now - begun - sent / rate)
                sent += 1
                self._one()
            self._serve(begun + sent / rate)
        self._serve(begun + seconds)

    def _one(self) -> None:
        sessions = list(self._sessions.values())
        session = sessions[self._turn % len(sessions)]
        self._turn += 1
        session.submit(1)
        if session.blocked:
            self._watch(session)
        self.sent += 1
        self._outstanding += 1
        self._most = max(self._most, self._outstanding)
