"""Messages on their way to the API: alone, or many in one request, each with its own outcome.

`pacer` says who leaves when and with whom. What is made of the answer stands here:

- 429: nothing was accepted. The messages wait again, if their time allows.
- 400 and 413 to many: one of them is at fault, and the API does not say which. Its halves are
  asked, down to the one; nothing was accepted, so nothing is repeated.
- An answer that does not fit its messages is not believed: all of them are unknown outcomes.
- Otherwise each has the outcome of its entry, or all have that of the request.

A thousand answers take longer than a turn of the event loop may: they are given out in portions.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Final, cast

from structlog.typing import FilteringBoundLogger
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from gateway.metrics import Metrics
from gateway.omnichannel.attempts import Attempts
from gateway.omnichannel.availability import Availability
from gateway.omnichannel.bulk import DIVISIBLE, Mismatch, body_of, judge_bulk, unknown
from gateway.omnichannel.deadlines import Deadlines
from gateway.omnichannel.exchange import Asked, Exchange
from gateway.omnichannel.lane import Errand, Lane
from gateway.omnichannel.outcome import (
    Outcome,
    Override,
    Verdict,
    judge,
    judge_crowded,
    judge_failure,
)
from gateway.omnichannel.pacer import Pacer, Pacing
from gateway.omnichannel.payload import SmsRequest, encode
from gateway.omnichannel.transport import (
    FailureKind,
    HttpAnswer,
    HttpFailure,
    HttpResult,
    Transport,
)

ONE: Final = "/omnimessage"
MANY: Final = "/omnimessages"
_TOO_MANY: Final = 429
_RETRY_AFTER: Final = 1.0  # seconds, when the API does not say
_LONGEST_PAUSE: Final = 60.0  # seconds that it is believed in this
_NO_ANSWER: Final = HttpFailure(FailureKind.TIMEOUT, True, "no answer in the message's time")
_PORTION: Final = 20  # answers given out in one turn of the event loop


class Message:
    """One message that is to be sent; a `lane.Message`."""

    __slots__ = (
        "account",
        "authorization",
        "body",
        "deadline",
        "deferred",
        "octets",
        "overrides",
        "priority",
        "request",
    )

    def __init__(
        self,
        request: SmsRequest,
        authorization: str,
        deadline: float,
        account: str,
        priority: int,
        overrides: tuple[Override, ...],
    ) -> None:
        """`deadline` is in the clock's seconds; `priority` a priority_flag."""
        self.request = request
        self.authorization = authorization
        self.deadline = deadline
        self.account = account
        self.priority = priority
        self.overrides = overrides
        self.body = encode(request)
        self.octets = len(self.body)
        self.deferred: Deferred[Outcome] = Deferred()

    def leave_out(self, words: str) -> None:
        self.deferred.callback(judge_crowded(words, self.overrides))


class Question:
    """What shares its request with nothing; a `lane.Errand`. `ask` makes the request."""

    octets = 0
    __slots__ = ("ask", "deadline", "deferred", "overrides")

    def __init__(
        self,
        ask: Callable[[], Deferred[Outcome]],
        deadline: float,
        overrides: tuple[Override, ...],
    ) -> None:
        self.ask = ask
        self.deadline = deadline
        self.overrides = overrides
        self.deferred: Deferred[Outcome] = Deferred()

    def leave_out(self, words: str) -> None:
        self.deferred.callback(judge_crowded(words, self.overrides))


class _One(Exchange):
    """The request of one message."""

    __slots__ = ("_answer", "_lane", "_message", "_sender")

    def __init__(self, sender: Sender, lane: Lane, message: Message) -> None:
        super().__init__(message.deadline)
        self._sender = sender
        self._lane = lane
        self._message = message
        self._answer: HttpAnswer | None = None

    def call(self, timeout: float) -> Deferred[HttpResult]:
        message = self._message
        return self._sender.post(1, ONE, message.body, message.authorization, timeout)

    def read(self, result: HttpResult, seconds: float) -> Outcome:
        self._sender.timed(result, seconds)
        if isinstance(result, HttpAnswer):
            self._answer = result
            return judge(result.status, result.body, self._sender.overrides)
        return self._sender.unanswered(result)

    def done(self, outcome: Outcome) -> None:
        if outcome.verdict is not Verdict.THROTTLED or not self._waits_again():
            self._message.deferred.callback(outcome)

    def _waits_again(self) -> bool:
        assert self._answer is not None  # noqa: S101  it is what throttles
        return not self._sender.refused(self._lane, [self._message], self._answer)

    def failed(self, failure: Failure) -> None:
        if not self._message.deferred.called:
            self._message.deferred.errback(failure)


class Sender:
    """Sends messages. `clock` is the reactor; `overrides` may be replaced at any time."""

    def __init__(
        self,
        transport: Transport,
        clock: IReactorTime,
        metrics: Metrics,
        log: FilteringBoundLogger,
        overrides: tuple[Override, ...],
        pacing: Pacing,
        availability: Availability,
    ) -> None:
        self.overrides = overrides
        self.pacer = Pacer(clock, pacing, self.leave)
        self.attempts = Attempts(transport, clock, metrics, availability, log, self.pacer.rate)
        self._transport = transport
        self._clock = clock
        self._log = log
        self._messages = metrics.api_request_messages
        self._mismatches = metrics.api_mismatches

    def leave(self, lane: Lane, errands: Sequence[Errand]) -> None:
        """Make one request of these; the Deferred of each fires once."""
        first = errands[0]
        if isinstance(first, Question):
            first.ask().chainDeferred(first.deferred)
            return
        if len(errands) == 1:
            self.attempts.start(_One(self, lane, cast("Message", first)))
        else:
            self._send_many(lane, cast("Sequence[Message]", errands))

    def post(
        self, count: int, path: str, body: bytes, authorization: str, timeout: float
    ) -> Deferred[HttpResult]:
        """Make a request of so many messages."""
        self._messages.observe(count)
        return self._transport.post(path, body, authorization=authorization, timeout=timeout)

    def timed(self, result: HttpResult, seconds: float) -> None:
        """So long a result took."""
        # No answer in a short time says nothing about longer ones.
        if isinstance(result, HttpAnswer) or (result.sent and seconds > self.pacer.answer_time):
            self.pacer.answered(seconds)

    def heed(self, lane: Lane, answer: HttpAnswer) -> None:
        """Ask less, if this is the answer to a question that came too soon."""
        if answer.status == _TOO_MANY:
            self.refused(lane, (), answer)

    def unanswered(self, failure: HttpFailure) -> Outcome:
        detail = f"{failure.kind.value}: {failure.detail}"
        return judge_failure(sent=failure.sent, detail=detail, overrides=self.overrides)

    # Many.

    def _send_many(self, lane: Lane, messages: Sequence[Message]) -> None:
        outcomes: list[Outcome] = []
        answered: list[HttpAnswer] = []

        def read(result: HttpResult, seconds: float) -> Outcome:
            self.timed(result, seconds)
            if isinstance(result, HttpAnswer):
                answered.append(result)
                outcomes[:] = self._read(result, messages)
            else:
                outcomes[:] = [self.unanswered(result)] * len(messages)
            # What the metric calls the request: accepted, if one of its messages was.
            return next((one for one in outcomes if one.verdict is Verdict.ACCEPTED), outcomes[0])

        def judged(_: Outcome) -> None:
            status = answered[-1].status if answered else 0
            left = [message for message in messages if not message.deferred.called]
            if status in DIVISIBLE:
                self.pacer.divide(lane, left)
            elif outcomes[0].verdict is Verdict.THROTTLED:
                late = self.refused(lane, left, answered[-1])
                self._give_out(late, outcomes[: len(late)])
            else:
                self._give_out(messages, outcomes)

        def stop(outcome: Outcome) -> Outcome:
            deadlines.stop()
            return outcome

        body = body_of([message.body for message in messages])
        call = partial(self.post, len(messages), MANY, body, messages[0].authorization)
        deadlines = Deadlines(self._clock, messages, self._overdue)
        moments = [message.deadline for message in messages]
        asked = self.attempts.ask(Asked(call, read, min(moments), max(moments)))
        asked.addBoth(stop).addCallback(judged).addErrback(self._failed, messages)

    def _overdue(self, message: Message) -> None:
        """Others of its request may wait for the answer."""
        message.deferred.callback(self.unanswered(_NO_ANSWER))

    def _read(self, answer: HttpAnswer, messages: Sequence[Message]) -> list[Outcome]:
        requests = [message.request for message in messages]
        try:
            return judge_bulk(answer.status, answer.body, requests, self.overrides)
        except Mismatch as error:
            self._mismatches.inc()
            self._log.error(
                "bulk_mismatch",
                detail=str(error),
                messages=len(messages),
                http_status=answer.status,
            )
            words = f"the answer to {len(messages)} messages does not fit them: {error}"
            return unknown(answer.status, words, len(messages), self.overrides)

    def _give_out(self, messages: Sequence[Message], outcomes: Sequence[Outcome]) -> None:
        for message, outcome in zip(messages[:_PORTION], outcomes, strict=False):
            if not message.deferred.called:
                message.deferred.callback(outcome)
        if len(messages) > _PORTION:
            self._clock.callLater(0, self._give_out, messages[_PORTION:], outcomes[_PORTION:])

    def _failed(self, failure: Failure, messages: Sequence[Message]) -> None:
        """A fault of ours on the way; whoever asked must hear of it."""
        for message in messages:
            if not message.deferred.called:
                message.deferred.errback(failure)

    def refused(
        self, lane: Lane, messages: Sequence[Message], answer: HttpAnswer
    ) -> Sequence[Message]:
        """They wait again after a 429, but for those whose time is too short, which it gives."""
        seconds = retry_after(answer.headers.get("retry-after", ""), time.time())
        return self.pacer.refused(lane, messages, seconds)


def retry_after(value: str, now: float) -> float:
    """The seconds that a Retry-After asks for, in seconds or as a date (RFC 9110, 10.2.3).

    `now` is the wall clock's. What cannot be read, and what asks for nothing, is a second.
    """
    if value.isascii() and value.isdecimal():
        seconds = float(value[:9])
    else:
        try:
            moment = parsedate_to_datetime(value)
        except (TypeError, ValueError, OverflowError, IndexError):
            return _RETRY_AFTER
        if moment.tzinfo is None:  # one of the old formats, which are in UTC as well
            moment = moment.replace(tzinfo=UTC)
        seconds = moment.timestamp() - now
    return min(max(seconds, _RETRY_AFTER), _LONGEST_PAUSE)
