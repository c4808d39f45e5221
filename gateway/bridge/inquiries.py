"""query_sm and cancel_sm: asked of the API, for an account's own messages only.

No message leaves a row, so whose it is stands in `Account.sent`, a filter of the ids that the
account was given. A gateway with a single account needs none: whatever its credentials reach
is that account's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from structlog.typing import FilteringBoundLogger
from twisted.internet.defer import Deferred, FirstError, gatherResults
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from gateway.bridge.accounts import Account
from gateway.bridge.journey import Origin, api_fields
from gateway.bridge.load import Load
from gateway.bridge.message_ids import MessageIds
from gateway.bridge.refusals import LEAST_TIME, NotFound, Overdue, Throttled
from gateway.bridge.scheduled import AT_ONCE
from gateway.errors import GatewayError
from gateway.message import address
from gateway.metrics import Metrics
from gateway.omnichannel.client import OmnichannelClient
from gateway.omnichannel.outcome import ALARMING, Outcome, Verdict, state_of
from gateway.omnichannel.payload import Delivery
from gateway.smpp.constants import CommandStatus, MessageState, name_of
from gateway.smpp.effects import Inquiry
from gateway.smpp.message_id import is_own, printable
from gateway.smpp.pdu import CancelSm, CancelSmResp, QuerySm, QuerySmResp
from gateway.smpp.timefmt import InvalidTime, format_absolute
from gateway.smpp.versions import Response, status_for

# The response, what the log says, and whether it is an alarm.
Answered = tuple[Response, dict[str, object], bool]

_S = CommandStatus
_M = MessageState
_LARGEST_ERROR_CODE: Final = 255  # one octet
_FAILED: Final = frozenset({_M.EXPIRED, _M.DELETED, _M.UNDELIVERABLE, _M.UNKNOWN, _M.REJECTED})


class Inquiries:
    """Answers query_sm and cancel_sm. `clock` is the reactor, `now` gives wall-clock seconds."""

    def __init__(
        self,
        api: OmnichannelClient,
        message_ids: MessageIds,
        clock: IReactorTime,
        now: Callable[[], float],
        metrics: Metrics,
        log: FilteringBoundLogger,
        load: Load,
        *,
        log_messages: bool = True,
    ) -> None:
        self._api = api
        self._ids = message_ids
        self._clock = clock
        self._now = now
        self._metrics = metrics
        self._log = log
        self._load = load
        self.log_messages = log_messages

    def inquire(
        self,
        pdu: Inquiry,
        origin: Origin,
        respond: Callable[[Response], bool],
        received_at: float | None = None,
    ) -> None:
        """Ask the API; `respond` is called once with the response of `pdu`'s kind."""
        started = self._clock.seconds() if received_at is None else received_at
        found = Deferred.fromCoroutine(self._answer(pdu, origin, started))
        found.addErrback(self._refused, pdu, origin)
        found.addCallback(self._finish, pdu, origin, respond, started)
        found.addErrback(lambda failure: self._log.critical("answer_failed", failure=failure))
        found.addCallback(lambda _: self._load.settled())

    async def _answer(self, pdu: Inquiry, origin: Origin, started: float) -> Answered:
        account = origin.account
        self._load.enter(account)
        if not account.throttle.allows(self._clock.seconds()):
            self._metrics.throttled(self._metrics.account(account.system_id), "account").inc()
            raise Throttled(f"above the account's throttle of {account.settings.throttle:g}/s")
        if isinstance(pdu, CancelSm):
            return await self._cancel(pdu, origin, started)
        return await self._query(pdu, origin, started)

    async def _query(self, pdu: QuerySm, origin: Origin, started: float) -> Answered:
        if not pdu.message_id:
            raise NotFound("message_id is empty", command_status=_S.ESME_RINVMSGID)
        account = origin.account
        omnimessage_id = await self._own_message(pdu, origin, _S.ESME_RQUERYFAIL)
        outcome, delivery = await self._api.status(
            omnimessage_id, account.credentials, self._seconds_left(account, started)
        )
        fields: dict[str, object] = {"message_id": printable(omnimessage_id)}
        if outcome.verdict is Verdict.ANSWERED:
            self._check_source(pdu, account, delivery)
            fields["status"] = delivery.status or "in process"
        self._count_throttled(outcome, account)
        response = _query_sm_resp(pdu, outcome, delivery)
        return response, fields | api_fields(outcome), outcome.verdict in ALARMING

    async def _cancel(self, pdu: CancelSm, origin: Origin, started: float) -> Answered:
        """By its id, or without one all that are scheduled between the two addresses."""
        account = origin.account
        if pdu.message_id:
            found = [await self._own_message(pdu, origin, _S.ESME_RCANCELFAIL)]
        else:
            found = account.scheduled.find(
                pdu.source, pdu.destination, self._now(), pdu.service_type or None
            )[:AT_ONCE]
        if not found:
            raise NotFound(
                "message_id is empty, and this account is not known to have scheduled a message "
                "between these addresses",
                command_status=_S.ESME_RCANCELFAIL,
            )
        seconds = self._seconds_left(account, started)
        asked = [self._api.cancel(one, account.credentials, seconds) for one in found]
        outcomes: list[Outcome] = await gatherResults(asked, consumeErrors=True)
        for omnimessage_id, outcome in zip(found, outcomes, strict=True):
            if outcome.verdict is Verdict.ANSWERED:
                account.scheduled.forget(omnimessage_id)
        # One that was cancelled is what was asked for, whatever became of the rest.
        outcome = min(outcomes, key=lambda outcome: outcome.verdict is not Verdict.ANSWERED)
        response = CancelSmResp(pdu.sequence_number, outcome.command_status)
        fields: dict[str, object] = {"message_id": printable(found[0])}
        if len(found) > 1:
            cancelled = sum(one.verdict is Verdict.ANSWERED for one in outcomes)
            fields |= {"messages": len(found), "cancelled": cancelled}
        self._count_throttled(outcome, account)
        return response, fields | api_fields(outcome), outcome.verdict in ALARMING

    def _seconds_left(self, account: Account, started: float) -> float:
        seconds = account.settings.response_deadline - (self._clock.seconds() - started)
        if seconds < LEAST_TIME:
            raise Overdue("waited for its whole response_deadline behind the session's window")
        return seconds

    def _count_throttled(self, outcome: Outcome, account: Account) -> None:
        if outcome.verdict is Verdict.THROTTLED:
            self._metrics.throttled(self._metrics.account(account.system_id), "api").inc()

    async def _own_message(self, pdu: Inquiry, origin: Origin, missing: CommandStatus) -> str:
        """The API's id of the message that `pdu` names. Raises `GatewayError`."""
        omnimessage_id = await self._ids.meant(pdu.message_id, origin)
        if is_own(omnimessage_id):
            raise NotFound(
                "this id was given to a part of a long message or to a submit_multi; the API "
                "knows only whole messages",
                command_status=missing,
            )
        sent = origin.account.sent
        # "." and ".." are no ids but ways to other pages of the API, however they are quoted.
        if not omnimessage_id.strip(".") or (sent is not None and omnimessage_id not in sent):
            raise NotFound(
                "this account is not known to have sent this message", command_status=missing
            )
        return omnimessage_id

    def _check_source(self, pdu: QuerySm, account: Account, delivery: Delivery) -> None:
        """An address in a query_sm must be the message's (SMPP 3.4 section 4.8.1)."""
        if not pdu.source.addr or not delivery.sender:
            return
        try:
            sender = address.sender(pdu.source, account.writing.numbering, "")
        except address.InvalidSource:
            sender = None
        if sender is None or _plain(sender) != _plain(delivery.sender):
            raise NotFound(
                "source_addr is not that of this message", command_status=_S.ESME_RQUERYFAIL
            )

    def _refused(self, failure: Failure, pdu: Inquiry, origin: Origin) -> Answered:
        """A refusal of the gateway's own, or a fault of ours: the edge of the request."""
        make = CancelSmResp if isinstance(pdu, CancelSm) else QuerySmResp
        error = failure.value
        if isinstance(error, FirstError):
            failure = error.subFailure
        if isinstance(error, GatewayError):
            fields = {
                "message_id": printable(pdu.message_id),
                "detail": error.detail,
                **error.fields,
            }
            return make(pdu.sequence_number, error.command_status), fields, False
        self._log.error(
            "relay_failed", failure=failure.getTraceback(), session_id=origin.session_id
        )
        fields = {"detail": "internal error"}
        return make(pdu.sequence_number, _S.ESME_RSYSERR), fields, False

    def _finish(
        self,
        found: Answered,
        pdu: Inquiry,
        origin: Origin,
        respond: Callable[[Response], bool],
        started: float,
    ) -> None:
        response, fields, alarming = found
        self._load.leave(origin.account)
        if not respond(response):
            fields["answered"] = False
        shown = status_for(origin.interface_version, response.command_status)
        status = name_of(CommandStatus, shown)
        label = self._metrics.account(origin.account.system_id)
        self._metrics.inquiries(label, pdu.command_id.name, status).inc()
        line = {
            "session_id": origin.session_id,
            "system_id": origin.account.system_id,
            "command": pdu.command_id.name,
            "sequence_number": pdu.sequence_number,
            "command_status": status,
            "seconds": round(self._clock.seconds() - started, 4),
            **fields,
        }
        if response.command_status:
            log = self._log.error if alarming else self._log.warning
            log("inquiry_refused", **line)
        elif self.log_messages:
            self._log.info("inquiry_answered", **line)


def _query_sm_resp(pdu: QuerySm, outcome: Outcome, delivery: Delivery) -> QuerySmResp:
    if outcome.command_status:
        return QuerySmResp(pdu.sequence_number, outcome.command_status)
    state = state_of(delivery.status)
    final_date = ""
    if state.final and delivery.timestamp:
        try:
            final_date = format_absolute(delivery.timestamp)
        except InvalidTime:
            final_date = ""
    failed = state.message_state in _FAILED
    error_code = min(delivery.err, _LARGEST_ERROR_CODE) if failed else 0
    return QuerySmResp(
        pdu.sequence_number,
        _S.ESME_ROK,
        pdu.message_id,
        final_date,
        state.message_state,
        error_code,
    )


def _plain(sender: str) -> str:
    return sender.removeprefix("+").casefold()
