"""The line of those that wait: order, deadlines, and how often it looks."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from gateway.omnichannel.libcurl_line import Line, Waiting
from gateway.omnichannel.transport import FailureKind, HttpFailure, HttpResult


def waiting(deadline: float) -> Waiting:
    deferred: Deferred[HttpResult] = Deferred()
    return Waiting("POST", "/a", b"{}", "Basic x", deadline, deferred)


def line_of(clock: Clock, *deadlines: float) -> tuple[Line, dict[float, float]]:
    """A line, and when each of its deadlines has ended as TIMEOUT, not sent."""
    line = Line(clock)
    ended: dict[float, float] = {}

    def end(result: HttpResult, deadline: float) -> None:
        assert isinstance(result, HttpFailure)
        assert (result.kind, result.sent) == (FailureKind.TIMEOUT, False)
        ended[deadline] = clock.seconds()

    for deadline in deadlines:
        request = waiting(deadline)
        request.deferred.addCallback(end, deadline)
        line.add(request)
    return line, ended


def test_first_come_first_served() -> None:
    line, _ = line_of(Clock(), 9, 3, 5)
    assert line
    assert [line.next().deadline for _ in range(3)] == [9, 3, 5]
    assert not line


def test_each_ends_within_a_quarter_of_a_second_of_its_deadline() -> None:
    clock = Clock()
    deadlines = (10.0, 0.5, 3.0, 0.55, 7.0, 0.01)
    line, ended = line_of(clock, *deadlines)
    clock.pump([0.01] * 1100)
    assert ended.keys() == set(deadlines)
    assert all(0 <= at - deadline <= 0.2 for deadline, at in ended.items())
    assert not line
    assert clock.getDelayedCalls() == []


def test_it_has_one_delayed_call_and_looks_ten_times_a_second_at_most() -> None:
    clock = Clock()
    line, ended = line_of(clock, *(1 + number / 1000 for number in range(1000)))
    looks = 0
    while line:
        (call,) = clock.getDelayedCalls()
        clock.advance(call.getTime() - clock.seconds())
        looks += 1
    assert len(ended) == 1000
    assert looks <= 12


def test_clear_gives_all_and_leaves_no_call() -> None:
    clock = Clock()
    line, ended = line_of(clock, 1, 2)
    assert [each.deadline for each in line.clear()] == [1, 2]
    assert clock.getDelayedCalls() == []
    clock.advance(9)
    assert ended == {}
