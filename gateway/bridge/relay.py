"""A submit_sm from an ESME -> the API -> its submit_sm_resp.

Each submit is answered exactly once, within its account's response_deadline, by what
really happened: ESME_ROK only after the API accepted it, or after its part of a long message
was committed to the store. The same request appears once in the metrics and once in the log,
with the API's code, source and detail.

A part goes to the reassembly first. If that says that the set is complete, the whole message
is posted and the part gets the API's answer; if the answer is a refusal, the set stays, so
that the client's next try of this part completes it again.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, TypeVar

from structlog.typing import FilteringBoundLogger
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from gateway.bridge.awaiting import Awaiting
from gateway.bridge.journey import Answer, Journey, Origin, Share, api_fields, event_of
from gateway.bridge.load import Load
from gateway.bridge.message_ids import MessageIds
from gateway.bridge.reassembly import Reassembly, key_of, whole
from gateway.bridge.refusals import LEAST_TIME, Overdue, Throttled
from gateway.bridge.replacing import Replacing
from gateway.bridge.routes import ASKS, Routes
from gateway.bridge.translate import Message, passed_through, read, translate
from gateway.bridge.unanswered import Unanswered
from gateway.errors import GatewayError
from gateway.message.charset import Decoded
from gateway.message.segment import Concatenation, Content
from gateway.metrics import Metrics
from gateway.omnichannel.client import OmnichannelClient
from gateway.omnichannel.outcome import ALARMING, MAYBE_ACCEPTED, Outcome, Verdict
from gateway.omnichannel.payload import SmsRequest
from gateway.smpp import message_id as ids
from gateway.smpp.constants import CommandStatus, Tag, name_of
from gateway.smpp.pdu import SubmitSm, SubmitSmResp, Tlv
from gateway.smpp.versions import status_for
from gateway.store.base import Complete, Waiting

_Result = TypeVar("_Result")

# What kept a message from the API, as the metric calls it.
_LIMITS: Final = {Verdict.THROTTLED: "api", Verdict.CROWDED: "queue"}
_DETAIL_OCTETS: Final = 255  # additional_status_info_text, with its NUL 256


class Relay:
    """Relays submits; see the head of the module. `clock` is the reactor."""

    def __init__(
        self,
        api: OmnichannelClient,
        clock: IReactorTime,
        metrics: Metrics,
        log: FilteringBoundLogger,
        reassembly: Reassembly,
        message_ids: MessageIds,
        replacing: Replacing,
        routes: Routes,
        unanswered: Unanswered,
        awaiting: Awaiting,
        load: Load,
        *,
        log_messages: bool = True,
        udh_includes_length: bool = True,
    ) -> None:
        self._api = api
        self._clock = clock
        self._metrics = metrics
        self._log = log
        self._reassembly = reassembly
        self._ids = message_ids
        self._replacing = replacing
        self._routes = routes
        self._unanswered = unanswered
        self._awaiting = awaiting
        self.log_messages = log_messages
        self._udh_includes_length = udh_includes_length
        self.load = load
        # By the base of a set at the API: copies of the part that completed it.
        self._followers: dict[bytes, list[Journey]] = {}

    def submit(
        self,
        submit: SubmitSm,
        origin: Origin,
        answer: Answer,
        received_at: float | None = None,
        share: Share | None = None,
    ) -> None:
        """Relay one message; `answer` is called once, perhaps before this returns.

        The account's response_deadline counts from `received_at`, a moment of the clock; None
        stands for now. What has a `share` was counted by `load` with its whole PDU.
        """
        now = self._clock.seconds()
        started = now if received_at is None else received_at
        journey = Journey(submit, origin, answer, started, share)
        try:
            account = origin.account
            if share is None:
                self.load.enter(account)
            if not account.throttle.allows(now):
                self._metrics.throttled(self._metrics.account(account.system_id), "account").inc()
                raise Throttled(f"above the account's throttle of {account.settings.throttle:g}/s")
            seconds = self._seconds_left(
                journey, now, "waited for its whole response_deadline behind the session's window"
            )
            message = read(submit, account.writing, datetime.now(UTC))
            part = journey.part = message.part
            if part is None:
                self._post(journey, message, (message.content,), seconds)
            elif account.settings.long_messages == "passthrough":
                udh = passed_through(message.content, includes_length=self._udh_includes_length)
                self._post(journey, message, (message.content,), seconds, udh)
            else:
                self._add(journey, part, seconds)
        except GatewayError as refusal:
            self._refused(journey, refusal)
        except Exception:  # noqa: BLE001  the edge of a request: one message harms no other
            self._failed(Failure(), journey)

    def _seconds_left(self, journey: Journey, now: float, otherwise: str) -> float:
        deadline = journey.origin.account.settings.response_deadline
        seconds = deadline - (now - journey.started)
        if seconds < LEAST_TIME:
            raise Overdue(otherwise)
        return seconds

    # Parts of a long message.

    def _add(self, journey: Journey, part: Concatenation, seconds: float) -> None:
        submit, account = journey.submit, journey.origin.account
        key = key_of(submit, part, account, journey.share.copy if journey.share else 0)
        base = self._reassembly.repeated(key, submit)
        if base is not None:
            journey.base = base
            self._followers.setdefault(base, []).append(journey)
            return
        added = self._reassembly.add(key, part.number, submit, account, seconds, journey.common_id)
        self._follow(added, self._added, journey)

    def _added(self, added: Waiting | Complete, journey: Journey) -> None:
        """The part is committed, or it completes its set."""
        part = journey.part
        assert part is not None  # noqa: S101  only parts are added
        journey.base = added.base
        if isinstance(added, Waiting):
            if added.replaced:
                self._metrics.text_flags("part_replaced").inc()
            self._accepted(journey, ids.of_part(added.base, part.number), {}, "part_stored")
            return
        journey.completes = True
        try:
            seconds = self._seconds_left(
                journey, self._clock.seconds(), "the store took the whole response_deadline"
            )
            found = whole(added.pdus, journey.origin.account.writing, datetime.now(UTC))
            journey.submits = found.submits
            self._post(journey, found.message, found.contents, seconds)
        except GatewayError as refusal:
            self._refused(journey, refusal)

    # To the API and back.

    def _post(
        self,
        journey: Journey,
        message: Message,
        contents: tuple[Content, ...],
        seconds: float,
        udh: str = "",
    ) -> None:
        account = journey.origin.account
        request, decoded = translate(message, contents, account.writing, udh=udh)
        journey.decoded = decoded
        journey.time_to_send = request.time_to_send
        self._count_oddities(decoded)
        if journey.submits or journey.submit.registered_delivery & ASKS:
            request = self._with_route(request, journey)
        sent = self._api.send(
            request,
            account.credentials,
            seconds,
            account.system_id,
            journey.submit.priority_flag,
        )
        self._follow(sent, self._judged, journey)

    def _with_route(self, request: SmsRequest, journey: Journey) -> SmsRequest:
        """The request with where to report to, if the ESME asks for a receipt."""
        journey.serial = journey.share.serial if journey.share else self._unanswered.begin()
        journey.route = self._routes.of(journey, journey.submits or None)
        if journey.route is None:
            return request
        dlr_url = self._routes.dlr_url(journey.route, journey.origin.account)
        return request._replace(dlr_url=dlr_url) if dlr_url else request

    def _follow(
        self, result: Deferred[_Result], then: Callable[[_Result, Journey], None], journey: Journey
    ) -> None:
        result.addBoth(self._follows, then, journey)

    def _follows(
        self,
        result: _Result | Failure,
        then: Callable[[_Result, Journey], None],
        journey: Journey,
    ) -> None:
        try:
            if isinstance(result, Failure):
                self._failed(result, journey)
            else:
                then(result, journey)
        except Exception:  # noqa: BLE001  the edge of a request, as in `submit`
            self._failed(Failure(), journey)

    def _count_oddities(self, decoded: Decoded) -> None:
        for flag in decoded.flags:
            self._metrics.text_flags(flag).inc()
        if decoded.errors:
            self._metrics.text_flags("undecodable").inc()
        if decoded.message_class is not None:
            self._metrics.text_flags("message_class").inc()

    def _judged(self, outcome: Outcome, journey: Journey) -> None:
        """The API has answered, or certainly will not."""
        account = journey.origin.account
        fields = api_fields(outcome, journey.decoded.text if journey.decoded else "")
        if outcome.verdict is Verdict.ACCEPTED:
            if journey.completes:
                self._reassembly.settle(journey.base)
            if journey.route is not None and account.awaits_reports:
                row = self._awaiting.add(
                    journey.route, outcome.message_id, account, journey.time_to_send
                )
                self._follow(
                    self._in_time(row, journey),
                    lambda _, journey: self._relayed(outcome, journey, fields),
                    journey,
                )
            else:
                self._relayed(outcome, journey, fields)
            return
        tlvs: tuple[Tlv, ...] = ()
        if account.settings.error_detail_tlv and outcome.error.detail:
            text = outcome.error.detail.encode("ascii", "replace")[:_DETAIL_OCTETS]
            tlvs = (Tlv(Tag.additional_status_info_text, text + b"\0"),)
        if limit := _LIMITS.get(outcome.verdict):
            self._metrics.throttled(self._metrics.account(account.system_id), limit).inc()
        if journey.completes:
            unknown = outcome.verdict in MAYBE_ACCEPTED
            self._reassembly.release(journey.base, "unknown" if unknown else "refused")
        self._refuse(
            journey, outcome.command_status, fields, tlvs, alarming=outcome.verdict in ALARMING
        )

    def _in_time(self, row: Deferred[None], journey: Journey) -> Deferred[None]:
        """Fires with `row`, or at the deadline: the message was accepted, and must be answered."""
        waited: Deferred[None] = Deferred()
        deadline = journey.started + journey.origin.account.settings.response_deadline
        left = max(0.0, deadline - self._clock.seconds())
        late = self._clock.callLater(left, waited.callback, None)

        def written(_: None) -> None:
            if not waited.called:
                late.cancel()
                waited.callback(None)

        row.addCallback(written)
        return waited

    def _relayed(self, outcome: Outcome, journey: Journey, fields: dict[str, object]) -> None:
        """The API has accepted the message, and what must be kept of it is kept."""
        account = journey.origin.account
        submit = journey.submits[0] if journey.submits else journey.submit
        if submit.replace_if_present_flag:
            self._replacing.replace(submit, account, outcome.message_id)
        account.remember(outcome.message_id, submit, journey.time_to_send)
        self._accepted(journey, outcome.message_id, fields, "message_relayed")
        for follower in self._followers.pop(journey.base, ()):
            self._accepted(follower, outcome.message_id, {}, "part_repeated")

    # Answers.

    def _accepted(
        self, journey: Journey, message_id: str, fields: dict[str, object], event: str
    ) -> None:
        """Answer ESME_ROK, with the id in the form that the ESME reads."""
        shown = journey.common_id or self._ids.shown(message_id, journey.origin)
        if isinstance(shown, str):
            self._say_accepted(shown, journey, message_id, fields, event)
        else:
            self._follow(
                shown,
                lambda short, journey: self._say_accepted(
                    short, journey, message_id, fields, event
                ),
                journey,
            )

    def _say_accepted(
        self,
        shown_id: str,
        journey: Journey,
        message_id: str,
        fields: dict[str, object],
        event: str,
    ) -> None:
        response = SubmitSmResp(journey.submit.sequence_number, CommandStatus.ESME_ROK, shown_id)
        status, seconds = self._finish(journey, response, fields)
        if self.log_messages:
            line = event_of(journey, status, message_id, shown_id, seconds)
            self._log.info(event, **line | fields)
        self.load.settled()

    def _refused(self, journey: Journey, refusal: GatewayError) -> None:
        """The gateway itself refuses; the API was not asked."""
        if journey.completes:
            self._reassembly.release(journey.base, "" if refusal.temporary else "refused")
        self._refuse(journey, refusal.command_status, {"detail": refusal.detail, **refusal.fields})

    def _failed(self, failure: Failure, journey: Journey) -> None:
        """A refusal that came later, or a fault of ours: the edge of the request."""
        if journey.finished:
            self._log.critical("answer_failed", failure=failure)
            self.load.settled()
            return
        if isinstance(failure.value, GatewayError):
            self._refused(journey, failure.value)
            return
        self._log.error(
            "relay_failed",
            failure=failure.getTraceback(),
            session_id=journey.origin.session_id,
        )
        if journey.completes:
            self._reassembly.release(journey.base, "unknown")
        self._refuse(journey, CommandStatus.ESME_RSYSERR, {"detail": "internal error"})

    def _refuse(
        self,
        journey: Journey,
        command_status: int,
        fields: dict[str, object],
        tlvs: tuple[Tlv, ...] = (),
        *,
        alarming: bool = False,
    ) -> None:
        response = SubmitSmResp(journey.submit.sequence_number, command_status, None, tlvs)
        status, seconds = self._finish(journey, response, fields)
        log = self._log.error if alarming else self._log.warning
        log("message_refused", **event_of(journey, status, "", "", seconds), **fields)
        if journey.completes:
            for follower in self._followers.pop(journey.base, ()):
                self._refuse(follower, command_status, dict(fields), tlvs)
        self.load.settled()

    def _finish(
        self, journey: Journey, response: SubmitSmResp, fields: dict[str, object]
    ) -> tuple[str, float]:
        """Answer and count; give the name of the status, and how many seconds it took."""
        journey.finished = True
        self.load.leave(journey.origin.account)
        if not journey.answer(response):
            fields["answered"] = False
        if journey.serial and not journey.share:
            self._unanswered.answered(journey.serial)
        seconds = self._clock.seconds() - journey.started
        origin = journey.origin
        status = name_of(
            CommandStatus, status_for(origin.interface_version, response.command_status)
        )
        metrics = self._metrics
        metrics.submit_duration.observe(seconds)
        metrics.submits(metrics.account(origin.account.system_id), status).inc()
        return status, seconds
