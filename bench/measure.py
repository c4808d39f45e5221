"""Latencies of one run, what another process costs as /proc tells it, what a disk costs."""

from __future__ import annotations

import math
import os
import time
from array import array
from collections.abc import Iterable
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


class Latencies:
    """Collects seconds, reports milliseconds."""

    def __init__(self, seconds: Iterable[float] = ()) -> None:
        self._seconds = array("d", seconds)
        self.add = self._seconds.append

    def __add__(self, other: Latencies) -> Latencies:
        return Latencies(self._seconds + other._seconds)

    def report(self, prefix: str = "") -> dict[str, float]:
        """Give `p50_ms` and `p99_ms` behind `prefix`; NaN when nothing was collected."""
        values = sorted(self._seconds)
        return {f"{prefix}p{p}_ms": percentile(values, p) * 1e3 for p in (50, 99)}


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


def filesystem(folder: Path) -> str:
    """Give the type of the file system that `folder` stands on."""
    folder, best, kind = folder.resolve(), Path(), "unknown"
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, where, its_kind, *_ = line.split(" ")
        mounted = Path(where.replace("\\040", " "))
        if folder.is_relative_to(mounted) and len(mounted.parts) >= len(best.parts):
            best, kind = mounted, its_kind
    return kind


def sync_us(folder: Path, times: int = 101) -> float:
    """Give the median microseconds of appending 4 KiB to a file in `folder` with fdatasync."""
    file = folder / "sync"
    taken = []
    with file.open("wb", buffering=0) as stream:
        for _ in range(times):
            begun = time.perf_counter()
            stream.write(bytes(4096))
            os.fdatasync(stream.fileno())
            taken.append(time.perf_counter() - begun)
    file.unlink()
    return percentile(sorted(taken), 50) * 1e6
