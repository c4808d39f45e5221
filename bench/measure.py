"""Latencies of one run, and what another process costs as /proc tells it."""

from __future__ import annotations

import math
import os
from array import array
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


class Latencies:
    """Collects seconds, reports milliseconds."""

    def __init__(self) -> None:
        self._seconds = array("d")
        self.add = self._seconds.append

    def report(self) -> dict[str, float]:
        """Give `p50_ms` and `p99_ms`; NaN when nothing was collected."""
        values = sorted(self._seconds)
        return {"p50_ms": percentile(values, 50) * 1e3, "p99_ms": percentile(values, 99) * 1e3}


def percentile(ordered: list[float], percent: float) -> float:
    """Give the nearest-rank percentile of an ordered list, NaN for an empty one."""
    if not ordered:
        return float("nan")
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def cpu_seconds(pid: int) -> float:
    """Give user and system time of a process, all its threads included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def memory(pid: int) -> dict[str, float]:
    """Give `rss_mb`, resident now, and `peak_mb`, the most it was; MB of 1,000,000 octets."""
    found: dict[str, float] = {}
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name in ("VmRSS", "VmHWM"):
            found["rss_mb" if name == "VmRSS" else "peak_mb"] = int(value.split()[0]) * 1.024e-3
    return found
