"""Whether the API can be connected to: what each kind of evidence does to the state."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.omnichannel.availability import Availability, State

UP, SUSPECT, DOWN = State.UP, State.SUSPECT, State.DOWN


def probed(availability: Availability, until: float, *, lasts: float = 0.0) -> list[float]:
    """When probes go out until then; each fails `lasts` seconds later, before the next."""
    found = []
    while (now := availability.probe_at) <= until:
        found.append(round(now, 3))
        availability.probing(now)
        availability.failed(now, now + lasts)
    return found


def suspect(**options: float) -> Availability:
    """It was connected to at 90, and could not be at 100."""
    availability = Availability(**options)
    availability.answered(90.0)
    availability.failed(100.0, 100.0)
    assert availability.state is SUSPECT
    return availability


def down() -> Availability:
    availability = suspect()
    availability.failed(101.0, 102.0)
    assert availability.state is DOWN
    return availability


def test_at_first_it_is_taken_for_up() -> None:
    availability = Availability()
    assert (availability.state, availability.probe_at) == (UP, math.inf)


def test_probes_with_growing_pauses_and_the_last_one_when_it_is_to_be_decided() -> None:
    availability = suspect(fail_fast_after=2.0, probe_interval=1.0)
    assert probed(availability, 101.9) == [100.1, 100.3, 100.7, 101.5]
    assert availability.state is SUSPECT
    assert probed(availability, 105.0) == [102.0, 103.0, 104.0, 105.0]
    assert availability.state is DOWN
    assert availability.since == 100.0


def test_never_down_with_fail_fast_after_0() -> None:
    availability = suspect(fail_fast_after=0)
    assert probed(availability, 110.0)[4:] == [103.1, 105.1, 107.1, 109.1]
    assert availability.state is SUSPECT


def test_no_failure_no_decision() -> None:
    """The probe that is on its way may have been sent, and wait for a slow answer."""
    availability = suspect()
    availability.probing(100.1)
    assert availability.probe_at == pytest.approx(100.3)
    availability.probing(109.0)
    assert availability.state is SUSPECT


def test_an_attempt_that_began_before_the_trouble_decides_too() -> None:
    """A connect that hangs fails after its own time, which may be longer than fail_fast_after."""
    availability = suspect()
    availability.failed(97.0, 101.9)
    assert availability.state is SUSPECT
    availability.failed(97.1, 102.0)
    assert availability.state is DOWN


@pytest.mark.parametrize("make", [suspect, down])
def test_any_answer_ends_it(make: Callable[[], Availability]) -> None:
    availability = make()
    availability.answered(103.0)
    assert (availability.state, availability.probe_at) == (UP, math.inf)


@pytest.mark.parametrize("make", [suspect, down])
def test_a_request_that_was_sent_ends_it_if_it_began_since(
    make: Callable[[], Availability],
) -> None:
    availability = make()
    before = availability.state
    availability.sent(99.9, 103.0)
    assert availability.state is before
    availability.sent(100.0, 103.0)
    assert (availability.state, availability.probe_at) == (UP, math.inf)


def test_a_failure_is_outweighed_by_an_answer_since_it_began() -> None:
    availability = Availability()
    availability.answered(100.0)
    availability.failed(99.9, 100.1)
    assert availability.state is UP
    availability.failed(100.0, 100.2)
    assert availability.state is SUSPECT


def test_a_request_that_was_cut_off_while_all_is_well_outweighs_nothing() -> None:
    availability = Availability()
    availability.sent(99.0, 100.0)
    availability.failed(99.9, 100.1)
    assert availability.state is SUSPECT


def test_each_trouble_is_a_new_one() -> None:
    availability = down()
    availability.answered(200.0)
    availability.failed(300.0, 300.0)
    assert (availability.state, availability.since) == (SUSPECT, 300.0)
    assert probed(availability, 301.0) == [300.1, 300.3, 300.7]


def test_both_settings_may_be_replaced_at_any_time() -> None:
    availability = suspect()
    availability.fail_fast_after = 10.0
    assert probed(availability, 109.9)
    assert availability.state is SUSPECT
    availability.fail_fast_after = 1.0
    assert probed(availability, 110.0) == [110.0]
    assert availability.state is DOWN
    availability.probe_interval = 3.0
    availability.probing(111.0)
    assert availability.probe_at == 114.0
    availability.fail_fast_after = 0.0
    availability.failed(114.0, 114.0)
    assert availability.state is SUSPECT


@given(
    fail_fast_after=st.just(0.0) | st.floats(0.05, 5.0),
    events=st.lists(
        st.tuples(
            st.floats(0.01, 2.0),  # seconds since the former event
            st.sampled_from(["answered", "sent", "failed", "failed", "failed", "probe"]),
            st.floats(0.0, 6.0),  # how long the attempt has taken
        ),
        max_size=40,
    ),
)
def test_whatever_is_seen(fail_fast_after: float, events: list[tuple[float, str, float]]) -> None:
    """DOWN needs failures for fail_fast_after without an answer; trouble always has a probe."""
    availability = Availability(fail_fast_after)
    now, answered_at, first = 1_000.0, 0.0, math.inf
    for pause, event, lasted in events:
        now += pause
        began = now - lasted
        if event == "answered":
            availability.answered(now)
            answered_at, first = now, math.inf
        elif event == "sent":
            availability.sent(began, now)
            if began >= first:
                answered_at, first = now, math.inf
        elif event == "failed":
            availability.failed(began, now)
            if began >= answered_at:
                first = min(first, now)
        elif availability.state is not UP:
            availability.probing(now)
        assert (availability.state is UP) == (first == math.inf)
        assert (availability.probe_at == math.inf) == (availability.state is UP)
        if availability.state is DOWN:
            assert fail_fast_after
            assert now >= first + fail_fast_after
        if availability.state is not UP:
            assert availability.probe_at <= now + 2.0
