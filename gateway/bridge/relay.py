"""A submit_sm from an ESME -> the API -> its submit_sm_resp.

Each submit is answered exactly once, within its account's response_deadline, by what
really happened: ESME_ROK only after the API accepted it. The same request appears once in
the metrics and once in the log, with the API's code, source and detail.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NamedTuple

from structlog.typing import FilteringBoundLogger
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from gateway.bridge.accounts import Account
from gateway.bridge.translate import Translated, translate
from gateway.errors import GatewayError
from gateway.message.charset import Decoded
from gateway.metrics import Metrics
from gateway.omnichannel.client import OmnichannelClient
from gateway.omnichannel.outcome import ALARMING, NO_ERROR, Outcome, Verdict
from gateway.smpp.constants import CommandStatus, InterfaceVersion, Tag, name_of
from gateway.smpp.pdu import SubmitSm, SubmitSmResp, Tlv
from gateway.smpp.versions import message_id_for, status_for

# Takes the response to the ESME; False when the ESME is gone and will not see it.
Answer = Callable[[SubmitSmResp], bool]

_LEAST_TIME: Final = 0.3  # seconds before the deadline; with less, the API is not asked
# How much of a text tells it from the API's own words, in characters.
_TELLING: Final = 20
_LEAST_TELLING: Final = 4
_DETAIL_OCTETS: Final = 255  # additional_status_info_text, with its NUL 256


class Throttled(GatewayError):
    """The account is above its rate."""

    command_status = CommandStatus.ESME_RTHROTTLED
    temporary = True


class Overdue(GatewayError):
    """The message waited for its whole response_deadline before it could be sent."""

    command_status = CommandStatus.ESME_RMSGQFUL
    temporary = True


@dataclass(frozen=True, slots=True)
class Origin:
    """The bound session that a submit comes from."""

    session_id: str
    account: Account
    interface_version: InterfaceVersion


class _Journey(NamedTuple):
    """One submit under way."""

    submit: SubmitSm
    origin: Origin
    answer: Answer
    started: float
    translated: Translated | None = None


class Relay:
    """Relays submits; see the head of the module. `clock` is the reactor."""

    def __init__(
        self,
        api: OmnichannelClient,
        clock: IReactorTime,
        metrics: Metrics,
        log: FilteringBoundLogger,
        *,
        log_messages: bool = True,
    ) -> None:
        self._api = api
        self._clock = clock
        self._metrics = metrics
        self._log = log
        self._log_messages = log_messages
        self.in_flight = 0  # submits not yet answered
        self._idle: list[Deferred[None]] = []

    def idle(self) -> Deferred[None]:
        """Fires when nothing is in flight."""
        waiting: Deferred[None] = Deferred()
        self._idle.append(waiting)
        self._when_idle()
        return waiting

    def _when_idle(self) -> None:
        if self.in_flight == 0 and self._idle:
            waiting, self._idle = self._idle, []
            for deferred in waiting:
                deferred.callback(None)

    def submit(
        self, submit: SubmitSm, origin: Origin, answer: Answer, received_at: float | None = None
    ) -> None:
        """Relay one message; `answer` is called once, perhaps before this returns.

        The account's response_deadline counts from `received_at`, a moment of the clock; None
        stands for now.
        """
        now = self._clock.seconds()
        started = now if received_at is None else received_at
        account = origin.account
        seconds = account.settings.response_deadline - (now - started)
        self.in_flight += 1
        try:
            if not account.throttle.allows(now):
                self._metrics.throttled(self._metrics.account(account.system_id), "account").inc()
                raise Throttled(f"above the account's throttle of {account.settings.throttle:g}/s")
            if seconds < _LEAST_TIME:
                raise Overdue("waited for its whole response_deadline behind the session's window")
            translated = translate(submit, account.writing, datetime.now(UTC))
            self._count_oddities(translated.decoded)
            sent = self._api.send(translated.request, account.credentials, seconds)
        except GatewayError as refusal:
            self._refused(_Journey(submit, origin, answer, started), refusal)
            return
        except Exception:  # noqa: BLE001  the edge of a request: one message harms no other
            failure = Failure()
            self._failed(failure, _Journey(submit, origin, answer, started))
            return
        journey = _Journey(submit, origin, answer, started, translated)
        sent.addCallbacks(self._judged, self._failed, (journey,), {}, (journey,))
        sent.addErrback(lambda failure: self._log.critical("answer_failed", failure=failure))

    def _count_oddities(self, decoded: Decoded) -> None:
        for flag in decoded.flags:
            self._metrics.text_flags(flag).inc()
        if decoded.errors:
            self._metrics.text_flags("undecodable").inc()
        if decoded.message_class is not None:
            self._metrics.text_flags("message_class").inc()

    def _judged(self, outcome: Outcome, journey: _Journey) -> None:
        """The API has answered, or certainly will not."""
        submit = journey.submit
        tlvs: tuple[Tlv, ...] = ()
        if outcome.verdict is not Verdict.ACCEPTED:
            if journey.origin.account.settings.error_detail_tlv and outcome.error.detail:
                text = outcome.error.detail.encode("ascii", "replace")[:_DETAIL_OCTETS]
                tlvs = (Tlv(Tag.additional_status_info_text, text + b"\0"),)
            if outcome.verdict is Verdict.THROTTLED:
                label = self._metrics.account(journey.origin.account.system_id)
                self._metrics.throttled(label, "api").inc()
        response = SubmitSmResp(
            submit.sequence_number, outcome.command_status, outcome.message_id or None, tlvs
        )
        fields = _api_fields(outcome, journey.translated.request.text if journey.translated else "")
        self._finish(journey, response, fields, outcome.verdict in ALARMING)

    def _refused(self, journey: _Journey, refusal: GatewayError) -> None:
        """The gateway itself refuses; the API was not asked."""
        response = SubmitSmResp(journey.submit.sequence_number, refusal.command_status)
        self._finish(journey, response, {"detail": refusal.detail, **refusal.fields})

    def _failed(self, failure: Failure, journey: _Journey) -> None:
        """A fault of ours: the edge of the request, where it is logged and answered."""
        self._log.error(
            "relay_failed",
            failure=failure.getTraceback(),
            session_id=journey.origin.session_id,
        )
        response = SubmitSmResp(journey.submit.sequence_number, CommandStatus.ESME_RSYSERR)
        self._finish(journey, response, {"detail": "internal error"})

    def _finish(
        self,
        journey: _Journey,
        response: SubmitSmResp,
        fields: dict[str, object],
        alarming: bool = False,
    ) -> None:
        """Answer, count, and say it in one line; `fields` are what only this line says."""
        if not journey.answer(response):
            fields["answered"] = False
        self.in_flight -= 1
        seconds = self._clock.seconds() - journey.started
        origin = journey.origin
        status = name_of(
            CommandStatus, status_for(origin.interface_version, response.command_status)
        )
        metrics = self._metrics
        metrics.submit_duration.observe(seconds)
        metrics.submits(metrics.account(origin.account.system_id), status).inc()
        if response.command_status != CommandStatus.ESME_ROK:
            log = self._log.error if alarming else self._log.warning
            log("message_refused", **_event(journey, response, status, seconds), **fields)
        elif self._log_messages:
            self._log.info(
                "message_relayed", **_event(journey, response, status, seconds), **fields
            )
        self._when_idle()


def _event(
    journey: _Journey, response: SubmitSmResp, status: str, seconds: float
) -> dict[str, object]:
    """What the line of every message says."""
    submit, origin = journey.submit, journey.origin
    event: dict[str, object] = {
        "session_id": origin.session_id,
        "system_id": origin.account.system_id,
        "sequence_number": submit.sequence_number,
        "command_status": status,
        "source": submit.source.addr,
        "destination": submit.destination.addr,
        "seconds": round(seconds, 4),
    }
    if response.message_id:
        event["message_id"] = response.message_id
        if origin.interface_version is InterfaceVersion.V33:
            shown = message_id_for(origin.interface_version, response.message_id)
            event["short_message_id"] = shown
    if journey.translated is not None:
        decoded = journey.translated.decoded
        event["charset"] = decoded.charset
        event["characters"] = len(decoded.text)
        if decoded.errors:
            event["decode_errors"] = decoded.errors
        if decoded.flags:
            event["flags"] = list(decoded.flags)
    return event


def _api_fields(outcome: Outcome, text: str) -> dict[str, object]:
    """What the API said, as far as it says more than "accepted", without the message's text."""
    fields: dict[str, object] = {"outcome": outcome.verdict.value}
    if outcome.http_status and outcome.verdict is not Verdict.ACCEPTED:
        fields["http_status"] = outcome.http_status
    if outcome.error is not NO_ERROR:
        error = outcome.error
        found = {"code": error.code, "api_source": error.source, "detail": error.detail}
        fields |= {name: _unquoted(value, text) for name, value in found.items() if value}
    return fields


def _unquoted(words: str, text: str) -> str:
    """`words` without the text that an API may quote, whole or cut off at the end."""
    if len(text) < _LEAST_TELLING:
        return words
    words = words.replace(text, "[text]")
    place = words.find(text[:_TELLING])
    return words if place < 0 else f"{words[:place]}[text]"
