"""The API as functions of a message: what is asked, with whose credentials, and what it means.

How often each is tried, and who waits while the API is out of reach, stands in `attempts`.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from urllib.parse import quote

import structlog
from structlog.typing import FilteringBoundLogger
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from gateway.metrics import Metrics
from gateway.omnichannel.availability import Availability, State
from gateway.omnichannel.exchange import Asked
from gateway.omnichannel.outcome import Outcome, Override, judge_inquiry
from gateway.omnichannel.pacer import Pacing
from gateway.omnichannel.payload import Delivery, SmsRequest, read_delivery
from gateway.omnichannel.sender import ONE, Message, Question, Sender
from gateway.omnichannel.transport import HttpAnswer, HttpResult, Transport
from gateway.smpp.constants import CommandStatus

Judge = Callable[[int, bytes, tuple[Override, ...]], Outcome]


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

    The two settings of `availability` may be replaced at any time. All is asked at the pace of
    `pacer`; no Deferred fails.
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
        pacing: Pacing | None = None,
    ) -> None:
        log = log or structlog.get_logger()
        self.availability = Availability(fail_fast_after, probe_interval)
        self._transport = transport
        self._clock = clock
        self._sender = Sender(
            transport, clock, metrics, log, overrides, pacing or Pacing(), self.availability
        )
        self.pacer = self._sender.pacer

    def close(self) -> None:
        """Have all outcomes now of those that wait; what is in flight is the transport's."""
        self.pacer.close()
        self._sender.attempts.close()

    @property
    def overrides(self) -> tuple[Override, ...]:
        """Exceptions of the configuration; what is under way is judged by new ones too."""
        return self._sender.overrides

    @overrides.setter
    def overrides(self, overrides: tuple[Override, ...]) -> None:
        self._sender.overrides = overrides

    def send(
        self,
        sms: SmsRequest,
        credentials: Credentials,
        seconds: float,
        account: str = "",
        priority: int = 0,
    ) -> Deferred[Outcome]:
        """The outcome, within `seconds` from now.

        While messages wait for their turn, accounts take turns; `priority` is a priority_flag.
        """
        authorization = credentials.authorization
        message = Message(
            sms,
            authorization,
            self._clock.seconds() + seconds,
            account,
            priority,
            self._sender.overrides,
        )
        lane = self.pacer.lane(authorization)
        if self.availability.state is State.DOWN:
            self._sender.leave(lane, [message])  # it is refused, which takes nothing of the rate
        else:
            self.pacer.message(lane, message)
        return message.deferred

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
            f"{ONE}/{quote(omnimessage_id, safe='')}/status",
            authorization=credentials.authorization,
        )
        asked = self._ask(ask, judge_status, credentials, seconds)
        return asked.addCallback(lambda outcome: (outcome, found[-1] if found else Delivery()))

    def cancel(
        self, omnimessage_id: str, credentials: Credentials, seconds: float
    ) -> Deferred[Outcome]:
        """Whether a scheduled message was cancelled, within `seconds`."""

        def judge_cancel(status: int, body: bytes, overrides: tuple[Override, ...]) -> Outcome:
            return judge_inquiry(status, body, CommandStatus.ESME_RCANCELFAIL, overrides)

        ask = partial(
            self._transport.delete,
            f"{ONE}/{quote(omnimessage_id, safe='')}",
            authorization=credentials.authorization,
        )
        return self._ask(ask, judge_cancel, credentials, seconds)

    def _ask(
        self,
        call: Callable[..., Deferred[HttpResult]],
        judge: Judge,
        credentials: Credentials,
        seconds: float,
    ) -> Deferred[Outcome]:
        deadline = self._clock.seconds() + seconds
        lane = self.pacer.lane(credentials.authorization)

        def read(result: HttpResult, _: float) -> Outcome:
            if isinstance(result, HttpAnswer):
                self._sender.heed(lane, result)
                return judge(result.status, result.body, self.overrides)
            return self._sender.unanswered(result)

        question = Question(
            lambda: self._sender.attempts.ask(Asked(call, read, deadline)),
            deadline,
            self.overrides,
        )
        if self.availability.state is State.DOWN:
            self._sender.leave(lane, [question])
        else:
            self.pacer.question(lane, question)
        return question.deferred
