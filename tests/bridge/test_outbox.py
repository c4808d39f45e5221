"""Which receiver of an account gets the next receipt."""

from __future__ import annotations

import pytest

from gateway.bridge.outbox import Outbox


class Chair:
    """A receiver with so much room."""

    def __init__(self, name: str, room: int = 10) -> None:
        self.session_id = name
        self.room = room

    def deliver(self, octets: bytes, tag: int) -> None:
        raise AssertionError("an outbox only chooses")


def outbox(*chairs: Chair) -> Outbox:
    found = Outbox()
    for chair in chairs:
        found.join(chair)
    return found


def turns(found: Outbox, count: int, now: float = 0.0) -> str:
    """The names of those whose turn it is, "-" for nobody."""
    receivers = [found.next_receiver(now) for _ in range(count)]
    return "".join(one.session_id if one else "-" for one in receivers)


def test_an_outbox_is_true_while_somebody_is_there() -> None:
    chair = Chair("a")
    found = Outbox()
    assert not found
    found.join(chair)
    assert found
    found.leave(chair)
    assert not found


def test_receivers_take_turns() -> None:
    assert turns(outbox(Chair("a"), Chair("b"), Chair("c")), 7) == "abcabca"


def test_one_without_room_is_passed_over() -> None:
    assert turns(outbox(Chair("a"), Chair("b", room=0), Chair("c")), 4) == "acac"
    assert turns(outbox(Chair("a", room=0)), 1) == "-"
    assert turns(Outbox(), 1) == "-"


def test_room_is_that_of_all() -> None:
    assert outbox(Chair("a", 3), Chair("b", 4)).room(0.0) == 7


def test_among_thousands_not_all_are_asked_for_their_room() -> None:
    asked = 0

    class Counting(Chair):
        @property
        def room(self) -> int:
            nonlocal asked
            asked += 1
            return 10

        @room.setter
        def room(self, value: int) -> None: ...

    found = outbox(*(Counting(str(number)) for number in range(5_000)))
    assert found.room(0.0) >= 1_000
    assert asked <= 100


@pytest.mark.parametrize(("failures", "pause"), [(1, 1), (2, 2), (3, 4), (6, 30), (50, 30)])
def test_one_that_cannot_take_any_is_left_in_peace_for_longer_each_time(
    failures: int, pause: float
) -> None:
    chair, now = Chair("a"), 0.0
    found = outbox(chair, Chair("b"))
    for failure in range(failures):
        now += 60 * (failure > 0)
        found.went_badly(chair, now)
    assert turns(found, 2, now + pause - 0.01) == "bb"
    assert "a" in turns(found, 2, now + pause)
    assert found.room(now) == 10


def test_what_fails_in_the_pause_does_not_lengthen_it() -> None:
    chair = Chair("a")
    found = outbox(chair)
    for _ in range(10):
        found.went_badly(chair, 0.0)
    assert turns(found, 1, 1.0) == "a"


def test_one_success_forgives_all() -> None:
    chair = Chair("a")
    found = outbox(chair)
    found.went_badly(chair, 0.0)
    found.went_badly(chair, 10.0)
    found.went_well(chair)
    found.went_badly(chair, 20.0)
    assert turns(found, 1, 21.0) == "a"
