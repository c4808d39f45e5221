"""Percentiles and readings of /proc."""

from __future__ import annotations

import math
import os
import time
from pathlib import Path

import pytest

from bench import measure


@pytest.mark.parametrize(
    ("count", "percent", "expected"),
    [(100, 50, 50), (100, 99, 99), (101, 50, 51), (1, 99, 1), (2, 50, 1), (1000, 99, 990)],
)
def test_percentile_is_nearest_rank(count: int, percent: float, expected: float) -> None:
    assert measure.percentile([float(n) for n in range(1, count + 1)], percent) == expected


def test_nothing_measured_is_not_a_number() -> None:
    assert math.isnan(measure.Latencies().report()["p50_ms"])


def test_latencies_add_up() -> None:
    both = measure.Latencies([0.001, 0.002]) + measure.Latencies([0.003])
    assert both.report("all_") == {"all_p50_ms": 2, "all_p99_ms": 3}


def test_cpu_of_a_process() -> None:
    before = measure.cpu_seconds(os.getpid())
    ends = time.process_time() + 0.1
    while time.process_time() < ends:
        pass
    assert 0.05 < measure.cpu_seconds(os.getpid()) - before < 0.5


def test_memory_of_a_process() -> None:
    found = measure.memory(os.getpid())
    assert 5 < found["rss_mb"] <= found["peak_mb"]


def test_file_systems_are_told_apart(tmp_path: Path) -> None:
    assert measure.filesystem(Path("/proc/self")) == "proc"
    assert measure.filesystem(tmp_path) not in ("proc", "unknown")


def test_a_disk_costs_something_and_nothing_is_left(tmp_path: Path) -> None:
    assert measure.sync_us(tmp_path, 3) > 0
    assert list(tmp_path.iterdir()) == []
