"""Of what strangers cause a bounded number of lines is written; the rest is counted exactly."""

from __future__ import annotations

import pytest

from gateway.log_sampling import SAMPLED, Sampler, Suppressed
from tests.markdown import ROOT
from tests.test_documents import events


def test_so_many_of_an_event_pass_in_a_second() -> None:
    sampler = Sampler(3)
    assert [sampler.take("bind_refused", 5.0 + n / 10)[0] for n in range(5)] == [
        True,
        True,
        True,
        False,
        False,
    ]
    assert sampler.take("irregular", 5.5) == (True, None), "each event has a second of its own"
    assert sampler.take("bind_refused", 6.0) == (True, Suppressed("bind_refused", 2, 1.0))


def test_a_second_without_excess_says_nothing() -> None:
    sampler = Sampler(3)
    for now in (0.0, 0.9, 1.0, 2.5, 2.6):
        assert sampler.take("irregular", now) == (True, None)
    assert sampler.ended(10.0) == []


def test_a_storm_that_stops_is_told_by_the_beat_and_only_once() -> None:
    sampler = Sampler(1)
    for _ in range(1_000):
        sampler.take("connected", 1.0)
    assert sampler.ended(1.9) == []
    assert sampler.ended(2.5) == [Suppressed("connected", 999, 1.5)]
    assert sampler.ended(9.0) == []
    assert sampler.take("connected", 9.0) == (True, None)


def test_the_end_of_the_process_waits_for_no_second() -> None:
    sampler = Sampler(1)
    for event in ("connected", "connected", "disconnected"):
        sampler.take(event, 1.0)
    assert sampler.ended(1.25, everything=True) == [Suppressed("connected", 1, 0.25)]


@pytest.mark.parametrize("limit", [1, 7, 20])
def test_none_is_lost_between_lines_and_counts(limit: int) -> None:
    sampler = Sampler(limit)
    passed = told = 0
    for n in range(5_000):
        passes, before = sampler.take("bind_refused", n / 300)
        passed += passes
        told += before.lines if before else 0
    told += sum(one.lines for one in sampler.ended(0.0, everything=True))
    assert passed + told == 5_000
    assert passed == limit * 17  # 16.7 seconds


def test_zero_leaves_nothing_out_and_the_limit_may_change() -> None:
    sampler = Sampler(0)
    assert all(sampler.take("connected", 1.0)[0] for _ in range(100))
    sampler.limit = 1
    assert sampler.take("connected", 1.1) == (False, None)
    sampler.limit = 0
    assert sampler.take("connected", 1.2) == (True, None)
    assert sampler.ended(2.0) == [Suppressed("connected", 1, 1.0)]


def test_only_events_that_the_gateway_has_are_sampled() -> None:
    assert events().keys() >= SAMPLED


def test_all_that_listeners_say_of_connections_is_sampled() -> None:
    listeners = "".join(path.read_text() for path in (ROOT / "gateway/net").glob("*.py"))
    said = {event for event in events() if f'"{event}"' in listeners}
    assert "bind_refused" in said
    assert said - SAMPLED == {"bound", "session_ended"}


def test_the_record_of_a_message_is_never_left_out() -> None:
    records = ("message_", "part_", "set_", "submit_multi_", "inquiry_", "report_", "receipt_")
    assert [event for event in SAMPLED if event.startswith(records)] == []
    assert not SAMPLED & {"bound", "session_ended"}
