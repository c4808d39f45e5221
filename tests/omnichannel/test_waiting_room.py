"""The room of those that wait: order, pauses, and how long anybody stays."""

from __future__ import annotations

import math

from gateway.omnichannel.waiting_room import WaitingRoom

Room = WaitingRoom[str]


def left(room: Room) -> list[str]:
    found = []
    while (item := room.next()) is not None:
        found.append(item)
    return found


def test_first_come_first_served() -> None:
    room = Room()
    assert not room
    for item in "cab":
        room.enter(item, 10.0)
    assert room
    assert room.any_ready
    assert left(room) == ["c", "a", "b"]
    assert not room


def test_who_rests_is_ready_when_the_pause_is_over() -> None:
    room = Room()
    room.rest("late", 3.0, 10.0)
    room.rest("early", 2.0, 10.0)
    assert (bool(room), room.any_ready, room.next_at) == (True, False, 2.0)
    assert room.next_ready() is None
    room.wake(1.9)
    assert room.next_ready() is None
    room.wake(2.0)
    assert (room.next_ready(), room.next_at) == ("early", 3.0)


def test_those_that_are_ready_go_before_those_that_rest() -> None:
    room = Room()
    room.rest("second", 1.0, 10.0)
    room.enter("first", 10.0)
    assert left(room) == ["first", "second"]


def test_nobody_stays_for_longer_than_a_tenth_of_a_second_too_long() -> None:
    room, now, asked, gone = Room(), 0.0, 0, {}
    for number in range(1_000):
        room.enter(str(number), 1 + number / 1_000)
    while room.next_at < math.inf:
        now = room.next_at
        asked += 1
        for item in room.late(now, 10_000):
            gone[int(item)] = now
    assert gone.keys() == set(range(1_000))
    assert all(0 < at - (1 + number / 1_000) <= 0.1 + 1e-6 for number, at in gone.items())
    assert asked <= 13


def test_many_that_are_late_leave_in_batches() -> None:
    room = Room()
    for number in range(250):
        room.enter(str(number), 1.0)
    sizes = []
    while room:
        assert room.next_at <= 1.5
        sizes.append(len(room.late(1.5, 100)))
    assert sizes == [100, 100, 50]


def test_one_with_less_time_than_the_others_is_seen_in_time() -> None:
    room = Room()
    room.enter("patient", 100.0)
    room.enter("hasty", 1.0)
    assert room.next_at == 1.0
    assert room.late(1.01, 10) == ["hasty"]
    assert room.next_at == 100.0
