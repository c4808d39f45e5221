"""Which requests leave when, and with what in them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock

from gateway.omnichannel.lane import Errand, Lane
from gateway.omnichannel.pacer import LEAST_TIME, Pacer, Pacing
from gateway.omnichannel.rate import Rate


class Waiting:
    """A message or a question; `told` is why it was left out."""

    def __init__(self, name: str, deadline: float, priority: int = 0, octets: int = 100) -> None:
        self.name = name
        self.account = name[0]
        self.deadline = deadline
        self.priority = priority
        self.octets = octets
        self.told = ""
        self.when_told: Callable[[], object] = lambda: None

    def leave_out(self, words: str) -> None:
        assert not self.told
        self.told = words
        self.when_told()


class Desk:
    """A pacer of `limit` requests a second, and what it sent: a moment, a lane, the names."""

    def __init__(self, limit: float = 10, burst: int = 1, **bounds: int) -> None:
        self.clock = Clock()
        self.sent: list[tuple[float, str, list[str]]] = []
        self.pacer = Pacer(self.clock, Pacing(limit, burst, **bounds), self._send)
        self.lanes: dict[int, str] = {}
        self.items: dict[str, Waiting] = {}

    def _send(self, lane: Lane, errands: Sequence[Errand]) -> None:
        names = [errand.name for errand in errands if isinstance(errand, Waiting)]
        self.sent.append((round(self.clock.seconds(), 3), self.lanes[id(lane)], names))

    def lane(self, name: str = "api") -> Lane:
        lane = self.pacer.lane(name)
        self.lanes[id(lane)] = name
        return lane

    def message(
        self, *names: str, lane: str = "api", seconds: float = 10, priority: int = 0
    ) -> list[Waiting]:
        found = []
        for name in names:
            item = Waiting(name, self.clock.seconds() + seconds, priority)
            self.items[name] = item
            self.pacer.message(self.lane(lane), item)
            found.append(item)
        return found

    def question(self, name: str, lane: str = "api", seconds: float = 10) -> Waiting:
        item = Waiting(name, self.clock.seconds() + seconds, octets=0)
        self.pacer.question(self.lane(lane), item)
        return item

    def later(self, seconds: float) -> list[list[str]]:
        """Let time pass in small steps; the requests that left meanwhile."""
        before = len(self.sent)
        for _ in range(round(seconds / 0.005)):
            self.clock.advance(0.005)
        return [names for _, _, names in self.sent[before:]]


def test_a_message_goes_alone_and_at_once_while_nothing_waits() -> None:
    desk = Desk()
    for number in range(3):
        desk.message(f"a{number}")
        desk.later(0.2)
    assert desk.sent == [(0, "api", ["a0"]), (0.2, "api", ["a1"]), (0.4, "api", ["a2"])]
    assert desk.clock.getDelayedCalls() == []


def test_those_that_wait_leave_together() -> None:
    desk = Desk()
    desk.message("a1", "a2", "a3", "b1")
    assert desk.sent == [(0, "api", ["a1"])]
    assert (desk.pacer.waiting, desk.pacer.octets) == (3, 300)
    assert desk.later(0.2) == [["a2", "b1", "a3"]]
    assert (desk.pacer.waiting, desk.pacer.octets) == (0, 0)


def test_bulk_off_is_one_message_a_request() -> None:
    desk = Desk(bulk_max=1)
    desk.message("a1", "a2", "b1")
    assert desk.later(0.3) == [["a2"], ["b1"]]


def test_no_more_than_bulk_max_in_one_request() -> None:
    desk = Desk(bulk_max=2)
    desk.message(*(f"a{number}" for number in range(6)))
    assert desk.later(0.5) == [["a1", "a2"], ["a3", "a4"], ["a5"]]


def test_no_more_than_bulk_octets_in_one_request_and_the_order_stays() -> None:
    desk = Desk(bulk_octets=250)  # each has 100
    desk.message("a1", "a2", "b1", "a3", "b2", "a4")
    assert desk.later(0.5) == [["a2", "b1"], ["a3", "b2"], ["a4"]]
    assert (desk.pacer.waiting, desk.pacer.octets) == (0, 0)


def test_a_message_above_bulk_octets_goes_alone() -> None:
    desk = Desk(bulk_octets=50)
    desk.message("a1", "a2", "a3")
    assert desk.later(0.5) == [["a2"], ["a3"]]


def test_no_limit_lets_everything_pass() -> None:
    desk = Desk(limit=0)
    desk.message(*(f"a{number}" for number in range(500)))
    desk.question("q")
    assert [names for _, _, names in desk.sent][-2:] == [["a499"], ["q"]]
    assert len(desk.sent) == 501


def test_a_question_goes_by_itself_in_its_turn() -> None:
    desk = Desk()
    desk.message("a1", "a2", "a3")
    desk.question("q1")
    desk.question("q2")
    desk.message("a4")
    assert desk.later(0.45) == [["q1"], ["a2", "a3", "a4"], ["q2"]]


def test_lanes_take_turns_and_share_the_rate_of_the_address() -> None:
    desk = Desk(bulk_max=1)
    desk.message("a1", "a2", "a3")
    desk.message("b1", "b2", lane="other")
    assert desk.later(0.45) == [["a2"], ["b1"], ["a3"], ["b2"]]
    assert {lane for _, lane, names in desk.sent if names[0][0] == "b"} == {"other"}


def test_a_newcomer_does_not_overtake_a_lane_that_waits() -> None:
    desk = Desk()
    desk.message("a1", "a2")
    desk.clock.rightNow = 0.106  # the rate is free again, and the timer has not rung yet
    desk.message("b1", lane="other")
    assert desk.later(0.3) == [["a2"], ["b1"]]


def test_who_would_come_too_late_is_told_at_once() -> None:
    desk = Desk(bulk_max=1)
    desk.message("a0")
    waiting = desk.message(*(f"a{number}" for number in range(1, 30)), seconds=1)
    told = [item for item in waiting if item.told]
    assert next(item.name for item in told) == "a7", "six leave in 0.7 seconds"
    assert len(told) == 23
    assert told[0].told == "6 messages wait for the API: it would be too late for this one"
    assert len(desk.later(1)) == 6


def test_a_flood_of_one_account_leaves_time_for_another() -> None:
    desk = Desk(bulk_max=1)
    flood = desk.message(*(f"a{number}" for number in range(100)), seconds=2)
    assert any(item.told for item in flood)
    (other,) = desk.message("b1", seconds=2)
    assert not other.told
    assert ["b1"] in desk.later(0.25)


def test_a_bound_in_messages_and_in_octets() -> None:
    desk = Desk(most=3)
    items = desk.message("a0", "a1", "a2", "a3", "a4")
    assert [bool(item.told) for item in items] == [False, False, False, False, True]
    assert items[4].told == "3 messages wait for the API, no more may"
    assert desk.question("q").told
    heavy = Desk(most_octets=250)
    assert [bool(item.told) for item in heavy.message("a0", "a1", "a2", "a3")] == [
        False, False, False, True,
    ]  # fmt: skip


def test_who_waited_too_long_after_all_is_told() -> None:
    """The rate was lowered meanwhile."""
    desk = Desk(bulk_max=1)
    desk.message("a0")
    item, *_ = desk.message("a1", seconds=1)
    question = desk.question("q", seconds=1)
    desk.lane().rate.refused(0.0, 30)
    assert desk.later(0.69) == []
    assert not item.told
    desk.later(0.02)
    assert item.told == question.told == "waited for the API until it was too late to ask it"
    assert (desk.pacer.waiting, desk.pacer.octets) == (0, 0)
    assert desk.clock.getDelayedCalls() == []


def test_a_429_sends_its_messages_again_and_first() -> None:
    desk = Desk(bulk_max=3)
    desk.message("a1", "a2", "b1", "a3")
    assert desk.later(0.11) == [["a2", "b1", "a3"]]
    desk.message("a4")
    taken = [desk.items[name] for name in ("a2", "b1", "a3")]
    assert desk.pacer.refused(desk.lane(), taken, 2.0) == []
    assert desk.later(1.9) == []
    assert desk.later(0.4) == [["a2", "b1", "a3"], ["a4"]]


def test_a_429_gives_back_who_cannot_wait_so_long() -> None:
    desk = Desk()
    (soon,) = desk.message("a1", seconds=2)
    assert desk.pacer.refused(desk.lane(), [soon], 5.0) == [soon]
    assert desk.pacer.waiting == 0


def test_a_429_for_one_lane_does_not_hold_up_another() -> None:
    desk = Desk()
    (refused,) = desk.message("a1")
    desk.pacer.refused(desk.lane(), [refused], 3.0)
    desk.later(0.2)
    desk.message("b1", lane="other")
    assert desk.sent[-1] == (0.2, "other", ["b1"])


def test_a_request_refused_as_a_whole_goes_in_halves() -> None:
    desk = Desk()
    items = desk.message("a1", "a2", "a3", "a4", "a5")
    desk.later(0.11)
    desk.pacer.divide(desk.lane(), items[1:])
    desk.message("a6")
    assert desk.pacer.waiting == 5
    assert desk.later(0.5) == [["a2", "a3"], ["a4", "a5"], ["a6"]]
    assert (desk.pacer.waiting, desk.pacer.octets) == (0, 0)


def test_another_rate_holds_at_once() -> None:
    desk = Desk(limit=1)
    desk.message("a1", "a2")
    desk.pacer.change(Pacing(0))
    assert desk.later(0.01) == [["a2"]]


@pytest.mark.parametrize("limit", [10, 150])
def test_the_api_never_counts_more_than_the_limit(limit: int) -> None:
    desk = Desk(limit=limit, burst=limit, bulk_max=5)
    for number in range(400):
        desk.message(f"a{number}", lane=str(number % 3))
        desk.later(0.01)
    moments = [at for at, _, _ in desk.sent]
    assert max(sum(1 for at in moments if start <= at < start + 1) for start in moments) <= limit
    told = [item for item in desk.items.values() if item.told]
    desk.later(6)
    assert sum(len(names) for _, _, names in desk.sent) == 400 - len(told)


def test_a_busy_event_loop_does_not_bring_requests_together() -> None:
    """What leaves in a turn is written in the next one, a fifth of a second later."""
    desk = Desk(limit=20, burst=20, bulk_max=1)
    desk.message(*(f"a{number}" for number in range(60)))
    assert len(desk.sent) == 20
    desk.clock.advance(0.2)
    desk.later(1.02)
    assert len(desk.sent) == 20
    desk.later(0.05)
    assert len(desk.sent) == 40


# Whose time is over is told, whoever stands before him, and whatever the rate does.


def test_halves_of_a_request_are_told_in_time_as_well() -> None:
    desk = Desk()
    items = desk.message("a1", "a2", "a3", "a4", seconds=5)
    desk.later(0.2)
    desk.pacer.divide(desk.lane(), items)
    desk.lane().rate.refused(desk.clock.seconds(), 30)
    assert desk.later(4.6) == []
    assert all(item.told for item in items)
    assert (desk.pacer.waiting, desk.pacer.octets) == (0, 0)
    assert desk.clock.getDelayedCalls() == []


def test_who_has_less_time_than_those_before_him_is_told_in_time() -> None:
    desk = Desk()
    desk.message("a0")
    (first,) = desk.message("a1", seconds=60)
    (second,) = desk.message("a2", seconds=2)
    slow = desk.question("q1", seconds=60)
    quick = desk.question("q2", seconds=2)
    desk.lane().rate.refused(0.0, 30)
    desk.later(1.9)
    assert (second.told, quick.told) == ("waited for the API until it was too late to ask it",) * 2
    assert (first.told, slow.told, desk.pacer.waiting) == ("", "", 2)


@given(st.lists(st.floats(0.5, 3), min_size=2, max_size=12), st.floats(1, 60))
@settings(max_examples=30, deadline=None)
def test_nobody_is_told_after_his_time(deadlines: list[float], pause: float) -> None:
    desk = Desk()
    told: list[float] = []
    desk.message("a0")
    for number, seconds in enumerate(deadlines):
        (item,) = desk.message(f"a{number}", seconds=seconds)
        item.when_told = lambda end=item.deadline: told.append(end - desk.clock.seconds())  # type: ignore[misc]
    desk.lane().rate.refused(0.0, pause)
    desk.later(3)
    over = [sum(end < pause + LEAST_TIME + step for end in deadlines) for step in (0, 0.01)]
    assert over[0] <= len(told) <= over[1]
    assert all(0.03 < left <= LEAST_TIME for left in told)


def test_many_are_told_in_portions() -> None:
    desk = Desk()
    items = desk.message(*(f"a{number}" for number in range(1001)), seconds=1)
    desk.lane().rate.refused(0.0, 30)
    counts = [0]

    def another_turn() -> None:
        counts.append(sum(1 for item in items if item.told))
        if counts[-1] < 1000:
            desk.clock.callLater(0, another_turn)

    desk.later(0.69)
    another_turn()
    desk.clock.advance(0.02)
    assert counts[-1] == 1000
    assert max(later - earlier for earlier, later in itertools.pairwise(counts)) <= 100


def test_who_is_told_may_ask_again_with_other_credentials() -> None:
    desk = Desk()
    items = desk.message("a0", "a1", "a2", seconds=1)
    desk.lane().rate.refused(0.0, 30)
    items[1].when_told = lambda: desk.message("b1", lane="other")
    assert desk.later(1) == [["b1"]]
    assert items[2].told


def test_who_is_told_and_asks_again_does_not_push_the_rate() -> None:
    desk = Desk()
    desk.message("a0")
    late, _ = desk.message("a1", "a2")
    late.deadline = 0.2
    late.when_told = lambda: desk.message("a3")
    desk.later(0.3)
    assert desk.sent == [(0, "api", ["a0"]), (0.105, "api", ["a2"]), (0.21, "api", ["a3"])]


def test_close_leaves_out_all_that_wait() -> None:
    desk = Desk()
    items = desk.message("a0", "a1", "a2", "a3")
    desk.pacer.divide(desk.lane(), [items[0]])
    question = desk.question("q")
    desk.pacer.close()
    desk.later(0.01)
    assert [item.told for item in (*items, question)] == ["the gateway stops"] * 5
    assert (desk.pacer.waiting, desk.pacer.octets) == (0, 0)
    assert desk.later(1) == []
    assert desk.clock.getDelayedCalls() == []
    desk.message("a4")
    (later,) = desk.message("a5")
    assert later.told, "nobody waits any more"


# What it costs.


def test_one_turn_sends_a_portion(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when the limit is lifted, or a long pause is over."""
    desk = Desk(bulk_max=1)
    desk.message(*(f"a{number}" for number in range(1001)), seconds=1000)
    desk.pacer.change(Pacing(0, bulk_max=1))
    counts: list[int] = []

    def another_turn() -> None:
        counts.append(len(desk.sent))
        if len(desk.sent) < 1001:
            desk.clock.callLater(0, another_turn)

    another_turn()
    desk.clock.advance(0.001)
    assert counts[-1] == 1001
    assert max(later - earlier for earlier, later in itertools.pairwise(counts)) <= 100
    many = Desk(bulk_max=500)
    many.message(*(f"a{number}" for number in range(5000)), seconds=1000)
    many.pacer.change(Pacing(0, bulk_max=500))
    turns: list[int] = []
    monkeypatch.setattr(many.pacer, "_arm", lambda *_: turns.append(len(many.sent)))
    many.clock.advance(0.001)
    assert turns == [3], "a thousand messages"


def test_a_thousand_credentials_cost_a_message_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk()
    for number in range(1000):
        desk.message("a1", lane=str(number))
    calls: list[float] = []
    ready_at = Rate.ready_at

    def counted(rate: Rate, now: float) -> float:
        calls.append(now)
        return ready_at(rate, now)

    monkeypatch.setattr(Rate, "ready_at", counted)
    desk.message("b1", lane="500")
    desk.message("c1", lane="another")
    assert desk.pacer.waiting == 1001
    assert len(calls) < 20
    calls.clear()
    before = len(desk.sent)
    desk.later(1)
    assert len(desk.sent) - before == 9
    assert len(calls) < 9 * 20


# How honest the estimate is: nobody is refused in vain, and few learn only at the end.


def load(
    desk: Desk, messages: int, seconds: float, kinds: Callable[[int], tuple[str, int]]
) -> tuple[int, int, int]:
    """That many evenly over the time: how many left, were refused at once, were told late."""
    items = []
    for number in range(messages):
        account, priority = kinds(number)
        item = Waiting(f"{account}{number}", desk.clock.seconds() + 5, priority)
        desk.pacer.message(desk.lane(), item)
        items.append(item)
        for _ in range(5):
            desk.clock.advance(seconds / messages / 5)
    for _ in range(600):
        desk.clock.advance(0.01)
    late = sum(1 for item in items if "until" in item.told)
    refused = sum(1 for item in items if item.told) - late
    return messages - refused - late, refused, late


LOADS: dict[str, Callable[[int], tuple[str, int]]] = {
    "four accounts": lambda number: ("abcd"[number % 4], 0),
    "a flood and others": lambda number: ("bcdefg"[number // 4 % 6] if number % 4 == 0 else "a", 0),
    "priorities": lambda number: ("a", number * 7 % 5 % 4),
}


@pytest.mark.parametrize("kinds", LOADS.values(), ids=LOADS)
@pytest.mark.parametrize("bulk_max", [1, 10])
def test_twice_as_much_as_can_be_answered(
    kinds: Callable[[int], tuple[str, int]], bulk_max: int
) -> None:
    seconds = 20 if bulk_max == 1 else 8
    desk = Desk(limit=20, burst=4, bulk_max=bulk_max)
    capacity = 20 / 1.05 * bulk_max * seconds
    sent, refused, late = load(desk, int(2 * capacity), seconds, kinds)
    assert sent > 0.95 * capacity
    assert late < 0.2 * refused


def test_a_burst_that_can_be_answered_is_taken_although_others_are_there() -> None:
    desk = Desk(bulk_max=1, limit=20)
    waiting = desk.message("a0", *(f"{name}1" for name in "bcdefghij"))
    waiting += desk.message(*(f"a{number}" for number in range(1, 140)))
    assert not any(item.told for item in waiting)
    desk.later(8.5)
    assert len(desk.sent) == 149


def test_those_with_other_credentials_are_counted_too() -> None:
    desk = Desk(burst=2, bulk_max=1)
    desk.message(*(f"a{number}" for number in range(50)))
    items = desk.message(*(f"b{number}" for number in range(50)), lane="other", seconds=5)
    taken = [item for item in items if not item.told]
    assert 20 <= len(taken) <= 24, "every other request of 4.7 seconds"
    desk.later(5)
    assert not any(item.told for item in taken)


def test_questions_are_counted_too() -> None:
    desk = Desk(burst=2, bulk_max=1)
    desk.message("a0", "a1")
    for number in range(40):
        desk.question(f"q{number}", seconds=60)
    items = desk.message(*(f"a{number}" for number in range(2, 60)), seconds=5)
    taken = [item for item in items if not item.told]
    assert 20 <= len(taken) <= 24, "every other request of 4.7 seconds"
    desk.later(5)
    assert not any(item.told for item in taken)
