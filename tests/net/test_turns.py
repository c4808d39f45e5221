"""Every connection has its turn once in a period, however late the beat is."""

from __future__ import annotations

import pytest

from gateway.net.turns import Turns


def test_each_beat_has_one_turn_and_each_period_has_all() -> None:
    turns = Turns(10, 0.5)
    turns.due(100.01)
    each = [turns.due(100.01 + beat * turns.beat) for beat in range(1, 21)]
    assert all(len(due) == 1 for due in each)
    assert set().union(*each[:10]) == set(range(10)) == set().union(*each[10:])


def test_the_first_call_has_all() -> None:
    assert Turns(4, 1.0).due(12.3) == {0, 1, 2, 3}


@pytest.mark.parametrize(("late", "turns"), [(0.0, 0), (0.05, 1), (0.2, 4), (0.5, 10), (99.0, 10)])
def test_a_late_beat_makes_up_for_what_it_missed(late: float, turns: int) -> None:
    beats = Turns(10, 0.5)
    beats.due(7.01)
    assert len(beats.due(7.01 + late)) == turns


def test_a_beat_that_is_not_quite_regular_leaves_nobody_out() -> None:
    beats, now = Turns(10, 0.5), 3.0
    beats.due(now)
    seen = []
    for step in (0.049, 0.051, 0.0499, 0.0501, 0.06, 0.04) * 20:
        now += step
        seen += sorted(beats.due(now))
    assert {seen.count(turn) for turn in range(10)} <= {11, 12, 13}
    assert len(seen) == pytest.approx((now - 3.0) / 0.05, abs=1)
