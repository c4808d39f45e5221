"""The API as functions of a message: what is asked, with whose credentials, and what it means.

How often each is tried, and who waits while the API is out of reach, stands in `attempts`.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final
from urllib.parse import quote

import structlog
from structlog.typing import FilteringBoundLogger
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from gateway.metrics import Metrics
from gateway.omnichannel.attempts import Attempts, Exchange
from gateway.omnichannel.availability import Availability
from gateway.omnichannel.outcome import Outcome, Override, judge, judge_failure, judge_inquiry
from gateway.omnichannel.payload import Delivery, SmsRequest, encode, read_delivery
from gateway.omnichannel.transport import HttpAnswer, HttpResult, Transport
from gateway.smpp.constants import CommandStatus

Judge = Callable[[int, bytes, tuple[Override, ...]], Outcome]

_SEND: Final = "/omnimessage"


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
    """The API as functions of a message; `clock` is the reactor.

    `overrides` and the two settings of `availability` may be replaced at any time; what is
    under way is judged by the new ones.
    """

    def __init__(
        self,
        transport: Transport,
        clock: IReactorTime,
        metrics: Metrics,
        overrides: tuple[Override, ...] = (),
        *,
        fail_fast_after: float = 2.0,
        probe_interval: float = 1.0,
        log: FilteringBoundLogger | None = None,
    ) -> None:
        self.overrides = overrides
        self.availability = Availability(fail_fast_after, probe_interval)
        self._transport = transport
        self._clock = clock
        self._attempts = Attempts(
            transport, clock, metrics, self.availability, log or structlog.get_logger()
        )

    def send(self, sms: SmsRequest, credentials: Credentials, seconds: float) -> Deferred[Outcome]:
        """The outcome, within `seconds` from now. The Deferred never fails."""
        ask = partial(
            self._transport.post, _SEND, encode(sms), authorization=credentials.authorization
        )
        return self._ask(ask, judge, seconds)

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
        asked = self._ask(ask, judge_status, seconds)
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
        return self._ask(ask, judge_cancel, seconds)

    def _ask(
        self, call: Callable[..., Deferred[HttpResult]], judge: Judge, seconds: float
    ) -> Deferred[Outcome]:
        def read(result: HttpResult) -> Outcome:
            if isinstance(result, HttpAnswer):
                return judge(result.status, result.body, self.overrides)
            return judge_failure(
                sent=result.sent,
                detail=f"{result.kind.value}: {result.detail}",
                overrides=self.overrides,
            )

        return self._attempts.start(Exchange(call, read, self._clock.seconds() + seconds))
