"""Percentiles and readings of /proc."""

from __future__ import annotations

import math
import os
import time

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


def test_cpu_of_a_process() -> None:
    before = measure.cpu_seconds(os.getpid())
    ends = time.process_time() + 0.1
    while time.process_time() < ends:
        pass
    assert 0.05 < measure.cpu_seconds(os.getpid()) - before < 0.5


def test_memory_of_a_process() -> None:
    found = measure.memory(os.getpid())
    assert 5 < found["rss_mb"] <= found["peak_mb"]
