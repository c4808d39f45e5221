"""The requests that wait because `max_requests` are with libcurl already.

A transfer costs libcurl about 40 KiB, one that waits here less than one. Their time runs while
they wait: the line looks through them at most ten times a second, never one timer each.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from twisted.internet.defer import Deferred

from gateway.omnichannel.transport import FailureKind, HttpFailure, HttpResult

_SWEEP = 0.1  # seconds between two looks; the contract allows a quarter


class Waiting:
    """One request; `deadline` is in the reactor's seconds."""

    __slots__ = ("authorization", "body", "deadline", "deferred", "method", "path")

    def __init__(
        self,
        method: str,
        path: str,
        body: bytes,
        authorization: str,
        deadline: float,
        deferred: Deferred[HttpResult],
    ) -> None:
        self.method = method
        self.path = path
        self.body = body
        self.authorization = authorization
        self.deadline = deadline
        self.deferred = deferred


class Line:
    """First come, first served; who waits until the deadline ends as TIMEOUT, never sent.

    It is false while nobody waits. `reactor` needs IReactorTime.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._waiting: deque[Waiting] = deque()
        self._alarm: Any = None
        self._alarm_at = 0.0

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, request: Waiting) -> None:
        self._waiting.append(request)
        if self._alarm is None:
            self._look_at(request.deadline)
        elif request.deadline < self._alarm_at:
            self._alarm.cancel()
            self._look_at(request.deadline)

    def next(self) -> Waiting:
        """The first. Only to be called while somebody waits."""
        return self._waiting.popleft()

    def clear(self) -> list[Waiting]:
        """All of them; nothing is left to be called later."""
        waiting = list(self._waiting)
        self._waiting.clear()
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        return waiting

    def _look_at(self, at: float) -> None:
        pause = max(_SWEEP, at - self._reactor.seconds())
        self._alarm_at = at
        self._alarm = self._reactor.callLater(pause, self._sweep)

    def _sweep(self) -> None:
        self._alarm = None
        now = self._reactor.seconds()
        late = [request for request in self._waiting if request.deadline <= now]
        if late:
            self._waiting = deque(each for each in self._waiting if each.deadline > now)
        if self._waiting:
            self._look_at(min(request.deadline for request in self._waiting))
        for request in late:
            request.deferred.callback(out_of_time())


def out_of_time() -> HttpFailure:
    """What a request gets whose time has passed before its turn came."""
    return HttpFailure(FailureKind.TIMEOUT, False, "its time passed before its turn came")
