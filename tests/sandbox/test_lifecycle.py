"""The statuses of a message over time, and the order in which they are told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from gateway.sandbox.lifecycle import DELIVERED, Course, Step, Timeline

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def status(timeline: Timeline, seconds: float) -> str | None:
    reached = timeline.reached(after(seconds))
    return reached.step.status if reached else None


@pytest.mark.parametrize(
    ("delay", "before", "at"), [(2.0, 1.999, 2.0), (0.0, -0.001, 0.0), (0.5, 0.4, 0.5)]
)
def test_delivered_after_the_delay(delay: float, before: float, at: float) -> None:
    timeline = Timeline(DELIVERED, NOW, delay)
    assert status(timeline, before) is None
    assert status(timeline, at) == status(timeline, 1e6) == "DELIVRD"
    reached = timeline.reached(after(100))
    assert reached is not None
    assert reached.at == after(at)
    assert timeline.callbacks() == [(after(at), reached)]


def test_one_status_after_the_other() -> None:
    steps = (Step("ACK", share=0.25), Step("ACCEPTD", share=0.5), Step("DELIVRD"))
    timeline = Timeline(Course(steps), NOW, 4.0)
    seen = [status(timeline, seconds) for seconds in (0, 1, 1.9, 2, 3.9, 4, 9)]
    assert seen == [None, "ACK", "ACK", "ACCEPTD", "ACCEPTD", "DELIVRD", "DELIVRD"]
    assert [(when, r.step.status, r.at) for when, r in timeline.callbacks()] == [
        (after(1), "ACK", after(1)),
        (after(2), "ACCEPTD", after(2)),
        (after(4), "DELIVRD", after(4)),
    ]


def test_steps_at_one_time_keep_their_order() -> None:
    steps = (Step("ACK", share=0.25), Step("ACCEPTD", share=0.5), Step("DELIVRD"))
    timeline = Timeline(Course(steps), NOW, 0.0)
    assert status(timeline, 0) == "DELIVRD"
    assert [r.step.status for _, r in timeline.callbacks()] == ["ACK", "ACCEPTD", "DELIVRD"]


def test_a_callback_may_leave_later_than_its_status_came() -> None:
    steps = (Step("ACCEPTD", share=0.5, told=1.5), Step("DELIVRD"))
    timeline = Timeline(Course(steps), NOW, 2.0)
    assert [status(timeline, seconds) for seconds in (0.9, 1, 2, 3)] == [
        None, "ACCEPTD", "DELIVRD", "DELIVRD",
    ]  # fmt: skip
    assert [(when, r.step.status, r.at) for when, r in timeline.callbacks()] == [
        (after(2), "DELIVRD", after(2)),
        (after(3), "ACCEPTD", after(1)),
    ]


def test_seconds_do_not_depend_on_the_delay() -> None:
    course = Course((Step("DELIVRD", share=0, seconds=10),))
    assert [Timeline(course, NOW, delay).callbacks()[0][0] for delay in (0, 100)] == [after(10)] * 2


def test_a_course_without_callbacks() -> None:
    timeline = Timeline(Course(DELIVERED.steps, copies=0), NOW, 1.0)
    assert timeline.callbacks() == []
    assert status(timeline, 1) == "DELIVRD"
    assert status(Timeline(Course(()), NOW, 1.0), 1e6) is None
