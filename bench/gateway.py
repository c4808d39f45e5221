"""A running gateway: what may be asked of it, and the loads that are put on it."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from bench.children import STOP_WAIT, Failed, ask, child, finished, json_line
from bench.configuration import PASSWORD, SYSTEM_ID
from bench.exposition import buckets, samples
from bench.measure import memory

DRAIN_WAIT = 15.0  # seconds for what is outstanding when a load ends
FILL_WAIT = 600.0
METRIC_WAIT = 10.0
FLOOD_BEGIN = 1.0  # seconds until a flood counts
FLOOD_DRAIN = 60.0


@dataclass
class Gateway:
    """A running gateway with one account."""

    pid: int
    smpp_port: int
    log: Path
    next_message: int = 0
    admin_port: int = 0
    callback_port: int = 0
    started: float = 0.0  # seconds from its start until its listener was there

    @property
    def folder(self) -> Path:
        return self.log.parent

    def load(
        self,
        binds: int,
        window: int,
        warmup: float,
        seconds: float,
        parts: int = 1,
        *,
        receipts: bool = False,
        mixed: bool = False,
    ) -> dict[str, Any]:
        """Give the load generator's report, this process's cost in it."""
        return self._loaded(
            warmup + seconds + DRAIN_WAIT + 60,
            *("--binds", binds, "--window", window, "--watch", self.pid),
            *("--warmup", warmup, "--seconds", seconds, "--parts", parts),
            *(("--receipts",) if receipts else ()),
            *(("--mixed",) if mixed else ()),
        )

    def paced(
        self, binds: int, rate: int, warmup: float, seconds: float, system_id: str = SYSTEM_ID
    ) -> dict[str, Any]:
        """Give the report of a load at a steady pace, this process's cost in it."""
        return self._loaded(
            warmup + seconds + DRAIN_WAIT + 60,
            *("--binds", binds, "--rate", rate, "--watch", self.pid),
            *("--warmup", warmup, "--seconds", seconds),
            system_id=system_id,
        )

    def fill(self, count: int) -> dict[str, Any]:
        """Submit the first parts of `count` messages; give the counts."""
        return self._loaded(FILL_WAIT, "--binds", 4, "--window", 100, "--incomplete", count)

    def _loaded(
        self, limit: float, *arguments: object, system_id: str = SYSTEM_ID
    ) -> dict[str, Any]:
        found = finished(
            "bench.load",
            self.log.with_name("load.log"),
            limit,
            *("--port", self.smpp_port, "--system-id", system_id, "--password", PASSWORD),
            *("--drain", DRAIN_WAIT, "--first", self.next_message, *arguments),
        )
        self.next_message = found.get("next", self.next_message)
        return found

    @contextlib.contextmanager
    def idle(self, binds: int) -> Iterator[Idle]:
        """Hold `binds` bound sessions. Raises Failed if one is lost meanwhile."""
        log = self.log.with_name("idle.log")
        command = [sys.executable, "-m", "bench.load", "--idle", "--port", str(self.smpp_port)]
        with child([*command, "--binds", str(binds)], log) as process:
            bound = json_line(process.stdout, "the load generator", log)["bound"]
            yield Idle(process, log)
            assert process.stdin is not None, "opened as a pipe"
            process.stdin.close()
            left = json_line(process.stdout, "the load generator", log)["bound"]
            if bound != binds or left != binds:
                raise Failed(f"{binds} sessions wanted, {bound} bound, {left} left at the end")
            process.wait(STOP_WAIT)

    @contextlib.contextmanager
    def flood(self, binds: int, window: int, seconds: float) -> Iterator[Flood]:
        """Have windows kept full from now on, for so many seconds; then all is answered."""
        log = self.log.with_name("flood.log")
        command = [sys.executable, "-m", "bench.load", "--port", self.smpp_port]
        times = ("--warmup", FLOOD_BEGIN, "--seconds", seconds, "--drain", FLOOD_DRAIN)
        size = ("--binds", binds, "--window", window)
        with child([str(word) for word in (*command, *size, *times)], log) as process:
            yield Flood(process, log)

    def memory(self) -> dict[str, float]:
        return memory(self.pid)

    def metric(self, name: str) -> float:
        """The value of a metric, `name{label="value"}`. Raises Failed when there is none."""
        found = self._samples()
        if name not in found:
            raise Failed(f"the gateway has no metric {name}")
        return found[name]

    def metrics(self, *names: str) -> dict[str, float]:
        """The values of metrics at one moment; 0 for what was not counted yet."""
        found = self._samples()
        return {name: found.get(name, 0.0) for name in names}

    def lag(self) -> dict[float, float]:
        """How often the event loop was late, by upper bounds in seconds, cumulative."""
        return buckets(self._samples())

    def _samples(self) -> dict[str, float]:
        url = f"http://127.0.0.1:{self.admin_port}/metrics"
        with urlopen(url, timeout=METRIC_WAIT) as answer:
            return samples(answer.read().decode())


@dataclass
class Flood:
    """Windows of another process that are kept full."""

    process: subprocess.Popen[str]
    log: Path

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    def report(self) -> dict[str, Any]:
        """The load generator's report, when it has ended."""
        return json_line(self.process.stdout, "the flood", self.log)


@dataclass
class Idle:
    """Sessions of another process that answer enquire_link and do nothing else."""

    process: subprocess.Popen[str]
    log: Path

    def asked(self) -> tuple[int, int]:
        """How many enquire_links came, and how many to the session that had the fewest."""
        found = ask(self.process, "count", "the load generator", self.log)
        return found["asked"], found["least"]
