"""Sends one message to the API: a request, a bounded retry, a judgement.

The one rule that matters stands here: only a request that certainly was not sent is tried
again, and only within its deadline. The API has no idempotency key, so whatever may have
been read by it is never repeated.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from gateway.metrics import Metrics
from gateway.omnichannel.outcome import Outcome, Override, judge, judge_failure
from gateway.omnichannel.payload import SmsRequest, encode
from gateway.omnichannel.transport import FailureKind, HttpAnswer, HttpResult, Transport

_SEND: Final = "/omnimessage"
_FIRST_PAUSE: Final = 0.1  # seconds before the second attempt; doubles with each further one
_LONGEST_PAUSE: Final = 2.0
_TRANSPORT_SLACK: Final = 0.25  # by how much a transport may overrun its timeout
_SHORTEST_TIMEOUT: Final = 0.05  # seconds; with less left, another attempt is no use


@dataclass(frozen=True, slots=True)
class Credentials:
    """An API username and password as the Authorization header that carries them."""

    authorization: str

    @classmethod
    def basic(cls, username: str, password: str) -> Credentials:
        """HTTP Basic, the API's only scheme (API document section 1)."""
        pair = f"{username}:{password}".encode()
        return cls("Basic " + base64.b64encode(pair).decode("ascii"))

    def __repr__(self) -> str:
        """Without the password."""
        return "Credentials()"


class OmnichannelClient:
    """The API as a function of a message; `clock` is the reactor."""

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
        attempt = _Attempt(encode(sms), credentials, self._clock.seconds() + seconds)
        return self._post(attempt)

    def _post(self, attempt: _Attempt) -> Deferred[Outcome]:
        started = self._clock.seconds()
        timeout = attempt.deadline - started - _TRANSPORT_SLACK
        result = self._transport.post(
            _SEND,
            attempt.body,
            authorization=attempt.credentials.authorization,
            timeout=max(timeout, _SHORTEST_TIMEOUT),
        )
        return result.addCallback(self._judge, attempt, started)

    def _judge(
        self, result: HttpResult, attempt: _Attempt, started: float
    ) -> Outcome | Deferred[Outcome]:
        now = self._clock.seconds()
        self._seconds.observe(now - started)
        if isinstance(result, HttpAnswer):
            outcome = judge(result.status, result.body, self._overrides)
        else:
            outcome = judge_failure(
                sent=result.sent,
                detail=f"{result.kind.value}: {result.detail}",
                overrides=self._overrides,
            )
        self._requests(outcome.verdict.value).inc()
        if isinstance(result, HttpAnswer) or result.sent or result.kind is FailureKind.CLOSED:
            return outcome
        pause = attempt.next_pause()
        if now + pause + _SHORTEST_TIMEOUT + _TRANSPORT_SLACK > attempt.deadline:
            return outcome
        paused: Deferred[None] = deferLater(self._clock, pause)
        return paused.addCallback(lambda _: self._post(attempt))


class _Attempt:
    """One message on its way, over all its attempts."""

    __slots__ = ("_pause", "body", "credentials", "deadline")

    def __init__(self, body: bytes, credentials: Credentials, deadline: float) -> None:
        self.body = body
        self.credentials = credentials
        self.deadline = deadline
        self._pause = _FIRST_PAUSE / 2

    def next_pause(self) -> float:
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)
        return self._pause
