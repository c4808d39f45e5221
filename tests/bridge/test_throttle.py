"""A rate with a burst: how many pass at once, and how many a second."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.bridge.throttle import Throttle

# An event loop's seconds count from 1970, where a float resolves a quarter of a microsecond.
TODAY = 1_795_000_000.123


def passed(throttle: Throttle, now: float, tries: int = 10_000) -> int:
    """How many of many at one moment are allowed."""
    return sum(throttle.allows(now) for _ in range(tries))


@pytest.mark.parametrize(
    ("rate", "burst", "at_once"),
    [
        (1, 0, 1),
        (10, 0, 10),
        (150, 0, 150),
        (1000, 0, 1000),
        (0.5, 0, 1),
        (0.1, 0, 1),
        (2.5, 0, 2),
        (1, 1, 1),
        (1, 5, 5),
        (100, 1, 1),
        (100, 10, 10),
        (10, 100, 100),
        (0.5, 3, 3),
    ],
)
@pytest.mark.parametrize("now", [0.0, 1_000.0, TODAY])
def test_the_burst(rate: float, burst: int, at_once: int, now: float) -> None:
    assert passed(Throttle(rate, burst), now) == at_once


def test_no_rate_no_limit() -> None:
    assert passed(Throttle(0), TODAY) == 10_000
    assert passed(Throttle(0, 5), TODAY) == 10_000


def test_after_the_burst_one_for_each_interval() -> None:
    throttle = Throttle(10, 5)
    assert passed(throttle, 100.0) == 5
    assert not throttle.allows(100.09)
    assert throttle.allows(100.101)
    assert not throttle.allows(100.102)
    assert passed(throttle, 100.401) == 3
    # Silence gives the whole burst back, but no more than that.
    assert passed(throttle, 500.0) == 5


def test_what_is_refused_costs_nothing() -> None:
    throttle = Throttle(1, 1)
    assert throttle.allows(10.0)
    assert passed(throttle, 10.5, 1_000) == 0
    assert throttle.allows(11.001)


@pytest.mark.parametrize("rate", [1, 30, 150, 1000])
def test_a_client_at_its_rate_is_never_refused(rate: int) -> None:
    throttle = Throttle(rate)
    assert all(throttle.allows(TODAY + count / rate) for count in range(3 * rate))


@given(
    rate=st.floats(0.1, 1_000),
    burst=st.integers(0, 50),
    gaps=st.lists(st.floats(0, 2), min_size=1, max_size=200),
)
def test_never_more_than_burst_and_rate_allow(rate: float, burst: int, gaps: list[float]) -> None:
    throttle = Throttle(rate, burst)
    now, allowed = TODAY, []
    for gap in gaps:
        now += gap
        if throttle.allows(now):
            allowed.append(now)
    most_at_once = burst or max(1.0, rate)
    for first in range(len(allowed)):
        seconds = allowed[-1] - allowed[first]
        assert len(allowed) - first <= most_at_once + seconds * rate + 0.01
    assert allowed[0] == TODAY + gaps[0]


@pytest.mark.parametrize("step", [30.0, 3_600.0, 86_400.0])
def test_a_clock_that_is_set_back_does_not_close_the_account(step: float) -> None:
    throttle = Throttle(10, 5)
    assert passed(throttle, TODAY) == 5
    assert throttle.allows(TODAY - step)
    assert passed(throttle, TODAY - step + 1.0) == 5
