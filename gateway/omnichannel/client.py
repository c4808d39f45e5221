"""Asks the API: a request, a bounded retry, a judgement.

The one rule that matters stands here: only a request that certainly was not sent is tried
again, and only within its deadline. The API has no idempotency key, so whatever may have
been read by it is never repeated.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final
from urllib.parse import quote

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from gateway.metrics import Metrics
from gateway.omnichannel.outcome import Outcome, Override, judge, judge_failure, judge_inquiry
from gateway.omnichannel.payload import Delivery, SmsRequest, encode, read_delivery
from gateway.omnichannel.transport import FailureKind, HttpAnswer, HttpResult, Transport
from gateway.smpp.constants import CommandStatus

Judge = Callable[[int, bytes, tuple[Override, ...]], Outcome]

_SEND: Final = "/omnimessage"
_FIRST_PAUSE: Final = 0.1  # seconds before the second attempt; doubles with each further one
_LONGEST_PAUSE: Final = 2.0
_TRANSPORT_SLACK: Final = 0.25  # by how much a transport may overrun its timeout
_SHORTEST_TIMEOUT: Final = 0.05  # seconds; with less left, another attempt is no use


@dataclass(frozen=True, slots=True)
class Credentials:
    """An API username and password as the Authorization header that carries them.

    The API signs its callbacks with the password.
    """

    authorization: str
    password: str = ""

    @classmethod
    def basic(cls, username: str, password: str) -> Credentials:
        """HTTP Basic, the API's only scheme (API document section 1)."""
        pair = f"{username}:{password}".encode()
        return cls("Basic " + base64.b64encode(pair).decode("ascii"), password)

    def __repr__(self) -> str:
        """Without the password."""
        return "Credentials()"


class OmnichannelClient:
    """The API as functions of a message; `clock` is the reactor."""

    def __init__(
        self,
        transport: Transport,
        clock: IReactorTime,
        metrics: Metrics,
        overrides: tuple[Override, ...] = (),
    ) -> None:
        self._transport = transport
        self._clock = clock
        self._overrides = overrides
        self._requests = metrics.api_requests
        self._seconds = metrics.api_request_duration

    def send(self, sms: SmsRequest, credentials: Credentials, seconds: float) -> Deferred[Outcome]:
        """The outcome, within `seconds` from now. The Deferred never fails."""
        ask = partial(
            self._transport.post, _SEND, encode(sms), authorization=credentials.authorization
        )
        return self._ask(_Exchange(ask, judge, self._clock.seconds() + seconds))

    def status(
        self, omnimessage_id: str, credentials: Credentials, seconds: float
    ) -> Deferred[tuple[Outcome, Delivery]]:
        """What became of a message, within `seconds`; the delivery is empty without an answer."""
        found: list[Delivery] = []

        def judge_status(status: int, body: bytes, overrides: tuple[Override, ...]) -> Outcome:
            found.append(read_delivery(body))
            return judge_inquiry(status, body, CommandStatus.ESME_RQUERYFAIL, overrides)

        ask = partial(
            self._transport.get,
            f"{_SEND}/{quote(omnimessage_id, safe='')}/status",
            authorization=credentials.authorization,
        )
        asked = self._ask(_Exchange(ask, judge_status, self._clock.seconds() + seconds))
        return asked.addCallback(lambda outcome: (outcome, found[-1] if found else Delivery()))

    def cancel(
        self, omnimessage_id: str, credentials: Credentials, seconds: float
    ) -> Deferred[Outcome]:
        """Whether a scheduled message was cancelled, within `seconds`."""

        def judge_cancel(status: int, body: bytes, overrides: tuple[Override, ...]) -> Outcome:
            return judge_inquiry(status, body, CommandStatus.ESME_RCANCELFAIL, overrides)

        ask = partial(
            self._transport.delete,
            f"{_SEND}/{quote(omnimessage_id, safe='')}",
            authorization=credentials.authorization,
        )
        return self._ask(_Exchange(ask, judge_cancel, self._clock.seconds() + seconds))

    def _ask(self, exchange: _Exchange) -> Deferred[Outcome]:
        started = self._clock.seconds()
        timeout = exchange.deadline - started - _TRANSPORT_SLACK
        result = exchange.ask(timeout=max(timeout, _SHORTEST_TIMEOUT))
        return result.addCallback(self._judge, exchange, started)

    def _judge(
        self, result: HttpResult, exchange: _Exchange, started: float
    ) -> Outcome | Deferred[Outcome]:
        now = self._clock.seconds()
        self._seconds.observe(now - started)
        if isinstance(result, HttpAnswer):
            outcome = exchange.judge(result.status, result.body, self._overrides)
        else:
            outcome = judge_failure(
                sent=result.sent,
                detail=f"{result.kind.value}: {result.detail}",
                overrides=self._overrides,
            )
        self._requests(outcome.verdict.value).inc()
        if isinstance(result, HttpAnswer) or result.sent or result.kind is FailureKind.CLOSED:
            return outcome
        pause = exchange.next_pause()
        if now + pause + _SHORTEST_TIMEOUT + _TRANSPORT_SLACK > exchange.deadline:
            return outcome
        paused: Deferred[None] = deferLater(self._clock, pause)
        return paused.addCallback(lambda _: self._ask(exchange))


class _Exchange:
    """One request, over all its attempts: how it is made, and how its answer is read."""

    __slots__ = ("_pause", "ask", "deadline", "judge")

    def __init__(self, ask: Callable[..., Deferred[HttpResult]], judge: Judge, deadline: float):
        self.ask = ask
        self.judge = judge
        self.deadline = deadline
        self._pause = _FIRST_PAUSE / 2

    def next_pause(self) -> float:
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)
        return self._pause
