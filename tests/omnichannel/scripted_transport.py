"""A neighbour to test against: a Transport that answers what it was told to, and keeps count.

It honours the contract of `gateway.omnichannel.transport`: a result for every call, no later
than a quarter of a second after its timeout, and a timeout counts as sent.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from gateway.omnichannel.attempts import PROBE_PATH
from gateway.omnichannel.transport import FailureKind, HttpAnswer, HttpFailure, HttpResult

OVERRUN = 0.25  # seconds by which the contract lets a transport exceed its timeout


class Step(NamedTuple):
    """A result, and how many seconds it takes to arrive."""

    result: HttpResult
    after: float = 0.0


class Post(NamedTuple):
    """One call of `post`, as it was made."""

    at: float
    path: str
    body: bytes
    authorization: str
    timeout: float

    @property
    def sms(self) -> Any:
        return json.loads(self.body)


def accepted(
    omnimessage_id: str = "f2b1d3a0-0b5e-4c7a-9d53-2a61c8e1f001", status: int = 201
) -> Step:
    body = {"messages": [], "omnimessage_id": omnimessage_id, "to": "+37255500001"}
    return Step(HttpAnswer(status, json.dumps(body).encode()))


def refused(status: int, code: str = "105", source: str | None = None, detail: str = "") -> Step:
    error = {"code": code, "title": "Invalid data", "detail": detail, "source": source}
    return Step(HttpAnswer(status, json.dumps({"errors": [error]}).encode()))


def failure(kind: FailureKind, *, sent: bool, detail: str = "") -> Step:
    return Step(HttpFailure(kind, sent, detail))


class ScriptedTransport:
    """Answers each post by `script(post)`, which may raise to break the contract."""

    def __init__(self, clock: Clock, script: Callable[[Post], Step]) -> None:
        self.clock = clock
        self.script = script
        self.posts: list[Post] = []
        self.results: list[HttpResult] = []  # what each of them got or will get
        self.probes: list[float] = []  # when the client asked for itself
        self.probed = Step(HttpAnswer(401, b""))  # what that gets

    def post(
        self, path: str, body: bytes, *, authorization: str, timeout: float
    ) -> Deferred[HttpResult]:
        post = Post(self.clock.seconds(), path, body, authorization, timeout)
        self.posts.append(post)
        step = self._in_time(self.script(post), timeout)
        self.results.append(step.result)
        return self._answer(step)

    def _in_time(self, step: Step, timeout: float) -> Step:
        if step.after > timeout:
            late = HttpFailure(FailureKind.TIMEOUT, True, "no whole answer in time")
            return Step(late, timeout + OVERRUN)
        return step

    def _answer(self, step: Step) -> Deferred[HttpResult]:
        result, after = step
        if not after:
            return succeed(result)
        answered: Deferred[HttpResult] = Deferred()
        self.clock.callLater(after, answered.callback, result)
        return answered

    def get(self, path: str, *, authorization: str, timeout: float) -> Deferred[HttpResult]:
        assert (path, authorization) == (PROBE_PATH, ""), "nothing else here asks with GET"
        return self.probe(timeout)

    def probe(self, timeout: float) -> Deferred[HttpResult]:
        self.probes.append(self.clock.seconds())
        return self._answer(self._in_time(self.probed, timeout))

    def delete(self, path: str, *, authorization: str, timeout: float) -> Deferred[HttpResult]:
        raise AssertionError("nothing here asks with DELETE")

    def close(self) -> Deferred[None]:
        return succeed(None)


def run(clock: Clock, seconds: float) -> None:
    """Let time pass, stopping at each event, so that no coarse step adds to a delay."""
    end = clock.seconds() + seconds
    while clock.seconds() < end:
        nearest = min((call.getTime() for call in clock.getDelayedCalls()), default=end)
        clock.advance(max(0.0, min(nearest, end) - clock.seconds()))


def in_turn(*steps: Step) -> Callable[[Post], Step]:
    """The steps one after the other, the last one for ever."""
    left = list(steps)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]
