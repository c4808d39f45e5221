"""What is remembered, for how long, and what can be cancelled."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from gateway.sandbox.lifecycle import DELIVERED, Timeline
from gateway.sandbox.state import Messages, MessageState

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def state(omnimessage_id: str, time_to_send: datetime | None = None) -> MessageState:
    timeline = Timeline(DELIVERED, time_to_send or NOW, 1.0)
    return MessageState(omnimessage_id, "+37255500001", (), NOW, timeline)


def test_the_oldest_are_forgotten_first() -> None:
    messages = Messages(statuses=3, history=2)
    for name in "abcd":
        messages.keep(state(name), {"name": name})
    assert [messages.state(name) is not None for name in "abcd"] == [False, True, True, True]
    assert [message.omnimessage_id for message in messages.accepted] == ["c", "d"]
    assert [message.request["name"] for message in messages.newest(5)] == ["d", "c"]
    assert [message.omnimessage_id for message in messages.newest(1)] == ["d"]


def test_only_what_is_scheduled_and_not_yet_sent_can_be_cancelled_and_only_once() -> None:
    messages = Messages()
    messages.keep(state("now"), {})
    messages.keep(state("past", NOW - timedelta(seconds=1)), {})
    messages.keep(state("due", NOW), {})
    messages.keep(state("later", NOW + timedelta(seconds=1)), {})
    asked = ["now", "past", "due", "later", "later", "unknown"]
    assert [messages.cancel(name, NOW) is not None for name in asked] == [
        False,
        False,
        False,
        True,
        False,
        False,
    ]
    later = messages.state("later")
    assert later is not None
    assert later.cancelled == NOW


def test_what_was_cancelled_stays_deleted() -> None:
    messages = Messages()
    messages.keep(state("later", NOW + timedelta(seconds=1)), {})
    cancelled = messages.cancel("later", NOW)
    assert cancelled is not None
    reached = cancelled.reached(NOW + timedelta(days=1))
    assert reached is not None
    assert (reached.step.status, reached.at) == ("DELETED", NOW)
