"""Each of those that share a request has its own end."""

from __future__ import annotations

import itertools

from twisted.internet.task import Clock

from gateway.omnichannel.deadlines import Deadlines


class Item:
    def __init__(self, deadline: float) -> None:
        self.deadline = deadline


def test_each_is_over_a_little_before_its_deadline() -> None:
    clock, over = Clock(), list[tuple[float, float]]()
    items = [Item(seconds) for seconds in (5, 1, 3, 3)]
    Deadlines(clock, items, lambda item: over.append((item.deadline, clock.seconds())))
    for _ in range(600):
        clock.advance(0.01)
    assert [end for end, _ in over] == [1, 3, 3, 5]
    assert all(0.05 < end - at <= 0.1 for end, at in over)
    assert clock.getDelayedCalls() == []


def test_stop_leaves_nothing_behind() -> None:
    clock, over = Clock(), list[Item]()
    watched = Deadlines(clock, [Item(1), Item(2)], over.append)
    clock.advance(1)
    watched.stop()
    watched.stop()
    assert clock.getDelayedCalls() == []
    clock.advance(5)
    assert len(over) == 1


def test_whoever_is_told_may_stop_it() -> None:
    clock = Clock()
    watched = Deadlines(clock, [Item(1), Item(2)], lambda _: watched.stop())
    clock.advance(1)
    assert clock.getDelayedCalls() == []


def test_a_thousand_at_once_in_portions() -> None:
    clock, over, counts = Clock(), list[Item](), [0]
    Deadlines(clock, [Item(1)] * 1000, over.append)

    def another_turn() -> None:
        counts.append(len(over))
        if len(over) < 1000:
            clock.callLater(0, another_turn)

    another_turn()
    clock.advance(0.95)
    assert counts[-1] == 1000
    assert max(late - early for early, late in itertools.pairwise(counts)) <= 100
