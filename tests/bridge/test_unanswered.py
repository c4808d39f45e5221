"""A receipt waits for the response of its submit."""

from __future__ import annotations

from gateway.bridge.unanswered import SERIALS, Unanswered


def test_a_submit_is_unanswered_until_it_is_answered() -> None:
    unanswered = Unanswered()
    serial = unanswered.begin()
    assert serial in unanswered
    unanswered.answered(serial)
    assert serial not in unanswered


def test_whoever_waits_is_called_once_it_is_answered_in_order() -> None:
    unanswered, calls = Unanswered(), list[str]()
    serial, other = unanswered.begin(), unanswered.begin()
    unanswered.when_answered(serial, lambda: calls.append("first"))
    unanswered.when_answered(serial, lambda: calls.append("second"))
    unanswered.answered(other)
    assert calls == []
    unanswered.answered(serial)
    unanswered.answered(serial)
    assert calls == ["first", "second"]


def test_whoever_comes_later_is_called_at_once() -> None:
    unanswered, calls = Unanswered(), list[str]()
    unanswered.when_answered(7, lambda: calls.append("late"))
    assert calls == ["late"]


def test_serials_go_round_and_leave_out_0() -> None:
    unanswered = Unanswered(SERIALS - 1)
    assert [unanswered.begin() for _ in range(3)] == [SERIALS - 1, 1, 2]
    assert Unanswered(0).begin() == 1
    assert 0 not in unanswered
