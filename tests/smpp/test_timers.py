import dataclasses

import pytest

from gateway.smpp.timers import Due, TimerLimits, Timers

LIMITS = TimerLimits(
    session_init=10, pdu_read=7, enquire_link=30, inactivity=120, response=20, unbind=5
)


def timers(limits: TimerLimits = LIMITS) -> Timers:
    return Timers(limits, connected_at=100.0, heard_at=100.0, message_at=100.0)


def test_the_defaults_are_those_promised() -> None:
    assert dataclasses.astuple(TimerLimits()) == (10, 10, 30, 0, 30, 5)


@pytest.mark.parametrize(
    ("seconds", "due"), [(0, Due.NOTHING), (9.99, Due.NOTHING), (10, Due.SESSION_INIT)]
)
def test_session_init_runs_from_the_connection_until_the_bind(seconds: float, due: Due) -> None:
    record = timers()
    record.heard_at = 100 + seconds  # chatter does not help
    record.message_at = 100 + seconds
    assert record.due(100 + seconds, bound=False) is due
    assert record.due(100 + seconds, bound=True) is Due.NOTHING


@pytest.mark.parametrize("bound", [True, False])
def test_half_a_pdu_is_the_most_urgent(bound: bool) -> None:
    record = timers()
    record.partial_since = 493.0
    assert record.due(499.99, bound=bound) is not Due.PDU_READ
    assert record.due(500, bound=bound) is Due.PDU_READ
    record.partial_since = None
    assert record.due(500, bound=bound) is not Due.PDU_READ


def test_silence_makes_enquire_link_due() -> None:
    record = timers()
    assert record.due(129.99, bound=True) is Due.NOTHING
    assert record.due(130, bound=True) is Due.ENQUIRE_LINK
    record.heard_at = 100.5
    assert record.due(130, bound=True) is Due.NOTHING
    assert record.due(130.5, bound=True) is Due.ENQUIRE_LINK


def test_only_messages_count_as_activity() -> None:
    record = timers()
    record.heard_at = 219
    assert record.due(219.99, bound=True) is Due.NOTHING
    assert record.due(220, bound=True) is Due.INACTIVITY
    record.message_at = 150
    assert record.due(220, bound=True) is Due.NOTHING


def test_zero_switches_enquire_link_and_inactivity_off() -> None:
    record = timers(TimerLimits(enquire_link=0, inactivity=0))
    assert record.due(1e9, bound=True) is Due.NOTHING


def test_neither_is_due_before_the_bind() -> None:
    record = timers(TimerLimits(session_init=1e9, enquire_link=1, inactivity=1))
    assert record.due(1000, bound=False) is Due.NOTHING
