"""The rate towards the API, counted as the API would: over any second."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.omnichannel.rate import Rate

SECOND = 1.0


def flood(rate: Rate, seconds: float, now: float = 0.0) -> list[float]:
    """When requests leave that are always wanted."""
    sent = []
    end = now + seconds
    while (now := rate.ready_at(now)) < end:
        rate.take(now)
        sent.append(now)
    return sent


def most_in_a_second(sent: list[float]) -> int:
    return max(sum(1 for at in sent if start <= at < start + SECOND) for start in sent)


@pytest.mark.parametrize(("limit", "burst"), [(150, 1), (150, 10), (150, 150), (1, 1), (7.5, 3)])
def test_no_second_has_more_than_the_limit(limit: float, burst: int) -> None:
    sent = flood(Rate(limit, burst), 5)
    assert most_in_a_second(sent) <= limit
    assert len(sent) > 0.9 * 5 * int(limit) - burst, "and most of it is used"


def test_a_limit_below_one_a_second() -> None:
    sent = flood(Rate(0.5, 1), 10)
    assert [round(at, 2) for at in sent] == [0, 2.1, 4.2, 6.3, 8.4]


def test_a_second_is_one_at_the_api_too() -> None:
    """Requests of a little more than a second may arrive within one."""
    sent = flood(Rate(100, 100), 3)
    assert sum(1 for at in sent if at < SECOND + 0.049) == 100


def test_a_burst_leaves_at_once_and_the_rest_evenly() -> None:
    sent = flood(Rate(10, 4), 1)
    assert sent[:4] == [0, 0, 0, 0]
    gaps = [later - earlier for earlier, later in pairwise(sent[3:])]
    assert gaps == [pytest.approx(0.105)] * len(gaps)


def test_what_was_not_used_is_no_burst() -> None:
    rate = Rate(10, 2)
    rate.take(0.0)
    sent = flood(rate, 0.2, now=100.0)
    assert sent == [100.0, 100.0, pytest.approx(100.105)]


def test_no_limit_is_always_ready() -> None:
    rate = Rate(0, 5)
    for _ in range(1000):
        assert rate.ready_at(3.0) == 3.0
        rate.take(3.0)
    assert rate.interval(3.0) == 0


def test_a_429_pauses_and_lowers_for_a_while() -> None:
    rate = Rate(100, 1)
    rate.take(0.0)
    rate.refused(1.0, 2.5)
    assert rate.ready_at(1.0) == 3.5
    lowered = flood(rate, 5, now=1.0)
    assert lowered[0] == 3.5
    assert most_in_a_second(lowered) in {48, 49}
    whole = flood(rate, 3, now=30.0)
    assert most_in_a_second(whole) >= 95


def test_a_429_pauses_without_a_limit_as_well() -> None:
    rate = Rate(0, 1)
    rate.refused(1.0, 2.0)
    assert (rate.ready_at(1.0), rate.ready_at(3.5)) == (3.0, 3.5)


def test_a_shorter_pause_does_not_end_a_longer_one() -> None:
    rate = Rate(10, 1)
    rate.refused(0.0, 5.0)
    rate.refused(0.0, 1.0)
    assert rate.ready_at(0.0) == 5.0


def test_another_rate_counts_what_was_sent_before() -> None:
    rate = Rate(100, 100)
    sent = flood(rate, 0.5)
    rate.change(20, 1)
    sent = flood(rate, 3, now=0.5)
    assert sent[0] >= 1.0, "twenty had left in this second"
    assert most_in_a_second(sent) <= 20
    assert (rate.limit, rate.burst) == (20, 1)


def test_a_request_counts_from_when_it_is_on_its_way() -> None:
    rate = Rate(10, 10)
    for _ in range(5):
        rate.take(0.0)
    rate.late(0.0, 0.4)
    for _ in range(5):
        rate.take(0.5)
    rate.late(0.5, 0.5)
    assert rate.ready_at(0.5) == pytest.approx(0.4 + 1.05)


@given(
    st.integers(1, 30),
    st.integers(1, 40),
    st.lists(st.floats(0, 0.5, allow_nan=False), min_size=1, max_size=150),
)
def test_whenever_they_come(limit: int, burst: int, pauses: list[float]) -> None:
    rate, now, sent = Rate(limit, burst), 0.0, []
    for pause in pauses:
        now = max(now + pause, rate.ready_at(now + pause))
        rate.take(now)
        sent.append(now)
    assert most_in_a_second(sent) <= limit
    assert sent == sorted(sent)
