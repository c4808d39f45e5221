"""Carries out requests to the API: how often each is tried, when, and who waits meanwhile.

The one rule that matters stands here: only a request that certainly was not sent is tried
again, and only within its deadline. The API has no idempotency key, so whatever may have
been read by it is never repeated.

`availability` says whether requests go out, wait or are refused. While nobody waits who could
be the probe, the probe is a request of the gateway's own, so that recovery is noticed without
traffic. It carries no credentials and reads nothing; since one that cannot be sent is no
request to the API, and one that is sent ends the trouble, the API gets one for each outage.
"""

from __future__ import annotations

import math
from typing import Any, Final

from structlog.typing import FilteringBoundLogger
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from gateway.metrics import Metrics
from gateway.omnichannel.availability import Availability, State
from gateway.omnichannel.exchange import SHORTEST_TIMEOUT, TRANSPORT_SLACK, Asked, Exchange
from gateway.omnichannel.outcome import Outcome
from gateway.omnichannel.rate import Rate
from gateway.omnichannel.transport import (
    FailureKind,
    HttpAnswer,
    HttpFailure,
    HttpResult,
    Transport,
)
from gateway.omnichannel.waiting_room import WaitingRoom

PROBE_PATH: Final = "/"
_PROBE_TIMEOUT: Final = 10.0  # seconds; more than connect_timeout, which says more than TIMEOUT
_BATCH: Final = 100  # requests that go, or are refused, in one turn: sessions get theirs between
# What says that no connection could be made. The others are the message's or the gateway's own.
_NO_CONNECTION: Final = frozenset(
    {FailureKind.DNS, FailureKind.CONNECT, FailureKind.TLS, FailureKind.PROXY}
)


class Attempts:
    """See the head of the module. `clock` is the reactor."""

    def __init__(
        self,
        transport: Transport,
        clock: IReactorTime,
        metrics: Metrics,
        availability: Availability,
        log: FilteringBoundLogger,
        rate: Rate,
    ) -> None:
        """`rate` holds for those that waited; who asks first has been let go by it before."""
        self._rate = rate
        self._transport = transport
        self._clock = clock
        self._availability = availability
        self._log = log
        self._requests = metrics.api_requests
        self._seconds = metrics.api_request_duration
        self._reachable = metrics.api_reachable
        self._room: WaitingRoom[Exchange] = WaitingRoom()
        self._failure = HttpFailure(FailureKind.CONNECT, False, "")  # the latest of a connection
        self._alarm: Any = None  # the one delayed call
        self._alarm_at = math.inf

    def ask(self, asked: Asked) -> Deferred[Outcome]:
        """Start it; give what it will come to."""
        self.start(asked)
        return asked.deferred

    def start(self, exchange: Exchange) -> None:
        """It has its end by its deadline; at once while requests are refused."""
        now = self._clock.seconds()
        state = self._availability.state
        if state is State.UP:
            self._attempt(exchange, now)
        elif state is State.DOWN:
            self._refuse(exchange, now)
        else:
            self._room.enter(exchange, exchange.latest)
            self._plan(now)

    def close(self) -> None:
        """Refuse those that wait; what is in flight is the transport's."""
        now = self._clock.seconds()
        while exchange := self._room.next():
            self._refuse(exchange, now)

    def _attempt(self, exchange: Exchange, now: float) -> None:
        timeout = max(exchange.last - now - TRANSPORT_SLACK, SHORTEST_TIMEOUT)
        try:
            result = exchange.call(timeout)
        except Exception:  # noqa: BLE001  one request harms no other that goes in the same turn
            exchange.failed(Failure())
            return
        result.addCallbacks(self._ended, exchange.failed, (exchange, now))

    def _ended(self, result: HttpResult, exchange: Exchange, began: float) -> None:
        now = self._clock.seconds()
        self._seconds.observe(now - began)
        try:
            outcome = exchange.read(result, now - began)
            self._requests(outcome.verdict).inc()
            self._learn(result, began, now)
            if _may_be_repeated(result):
                until = now + exchange.next_pause()
                if until <= exchange.latest and self._availability.state is not State.DOWN:
                    self._room.rest(exchange, until, exchange.latest)
                    self._plan(now)
                    return
            exchange.done(outcome)
        except Exception:  # noqa: BLE001  as in `_attempt`
            exchange.failed(Failure())

    def _learn(self, result: HttpResult, began: float, now: float) -> None:
        availability = self._availability
        before = availability.state
        if isinstance(result, HttpAnswer):
            availability.answered(now)
        elif result.sent:
            availability.sent(began, now)
        elif result.kind in _NO_CONNECTION:
            self._failure = result
            availability.failed(began, now)
        after = availability.state
        if after is before:
            return
        self._reachable.set(after is not State.DOWN)
        seconds = round(now - availability.since, 3)
        if after is State.DOWN:
            detail = f"{self._failure.kind.value}: {self._failure.detail}"
            self._log.error("api_unreachable", detail=detail, seconds=seconds)
        elif before is State.DOWN:
            self._log.info("api_reachable", seconds=seconds)
        self._plan(now)

    def _refuse(self, exchange: Exchange, now: float) -> None:
        """Answer it without a further attempt."""
        last, seconds = self._failure, now - self._availability.since
        detail = f"{last.detail}; the API could not be connected to for {seconds:.1f} s"
        try:
            exchange.done(exchange.read(HttpFailure(last.kind, False, detail), 0.0))
        except Exception:  # noqa: BLE001  as in `_attempt`
            exchange.failed(Failure())

    # Time.

    def _plan(self, now: float) -> None:
        """See to it that there is a turn when one is due."""
        due = self._due(now)
        if due == math.inf or due >= self._alarm_at:
            return
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm_at = due
        self._alarm = self._clock.callLater(max(0.0, due - now), self._turn)

    def _due(self, now: float) -> float:
        state, room = self._availability.state, self._room
        if state is State.UP and room.any_ready:
            return min(self._rate.ready_at(now), room.next_at)
        if state is State.DOWN and room:
            return now
        return min(room.next_at, self._availability.probe_at)

    def _turn(self) -> None:
        self._alarm, self._alarm_at = None, math.inf
        now = self._clock.seconds()
        availability, room = self._availability, self._room
        try:
            room.wake(now)
            for exchange in room.late(now, _BATCH):
                self._refuse(exchange, now)
            if now >= availability.probe_at:
                self._probe(now)
            for _ in range(_BATCH):
                if availability.state is State.UP and (ready := self._next_ready(now)):
                    if self._in_time(ready, now):
                        self._rate.take(now)
                        self._attempt(ready, now)
                elif availability.state is State.DOWN and (waiting := room.next()):
                    self._refuse(waiting, now)
                else:
                    break
        finally:
            self._plan(now)

    def _next_ready(self, now: float) -> Exchange | None:
        """The next that waited, if it may go now: many that do are no reason for a 429."""
        return None if self._rate.ready_at(now) > now else self._room.next_ready()

    def _in_time(self, exchange: Exchange, now: float) -> bool:
        """Whether it may still go; if not, it is refused: the room looks for those seldom."""
        if now <= exchange.latest:
            return True
        self._refuse(exchange, now)
        return False

    def _probe(self, now: float) -> None:
        self._availability.probing(now)
        self._rate.take(now)
        exchange = self._room.next() if self._availability.state is State.SUSPECT else None
        if exchange is not None and self._in_time(exchange, now):
            self._attempt(exchange, now)
            return
        asked = self._transport.get(PROBE_PATH, authorization="", timeout=_PROBE_TIMEOUT)
        asked.addCallback(lambda result: self._learn(result, now, self._clock.seconds()))


def _may_be_repeated(result: HttpResult) -> bool:
    """Whether it certainly was not sent, and there is still somebody to send it."""
    return (
        isinstance(result, HttpFailure)
        and not result.sent
        and result.kind is not FailureKind.CLOSED
    )
