"""What became of a message -> the receipts that its ESME asked for, committed and on their way.

Callbacks, answers to polls and what the gateway finds out by itself all pass here. Which
states are told is the ESME's choice (registered_delivery, SMPP 3.4 section 5.2.17), and of
each message and part one final state is told, the first one.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from typing import Final, NamedTuple, Protocol

from structlog.typing import FilteringBoundLogger
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from gateway.bridge.accounts import Account
from gateway.bridge.dispatcher import Dispatcher
from gateway.bridge.message_ids import MessageIds
from gateway.bridge.refusals import cause_of
from gateway.bridge.unanswered import Unanswered
from gateway.metrics import UNKNOWN, Metrics
from gateway.omnichannel.report import DeliveryReport, Judged, ReportOverride, judge_report
from gateway.omnichannel.route import Route, Target
from gateway.smpp.codec import encode
from gateway.smpp.constants import MessageState, name_of
from gateway.smpp.message_id import of_part
from gateway.smpp.receipt import Receipt, deliver_sm, wants
from gateway.store.base import Kind, NewReceipt, Pending, Report, Reported, message_key

NO_CODE: Final = 255  # the err of a failure that has no code of the API's
_OUT_OF_CREDIT: Final = 4  # API document section 4.4: stop, and tell somebody
# Any other stands for no time (Go says the year 1), and some zones do not reach it.
_YEARS: Final = range(1970, 9999)


class Taken(NamedTuple):
    """What became of a report. `kind` says whether more is to come."""

    result: str  # "new", "repeated", "stale" or "nothing"
    kind: str  # "final", "interim", "unknown" or "none"


class Keeps(Protocol):
    """Where receipts are kept: `store.worker.StoreThread`."""

    def report(self, report: Report) -> Deferred[Reported]: ...

    def end_awaited(self, key: bytes) -> Deferred[None]: ...


class Reports:
    """See the head of the module. `now` gives wall-clock seconds."""

    def __init__(
        self,
        store: Keeps,
        dispatcher: Dispatcher,
        account_of: Callable[[str], Account | None],
        message_ids: MessageIds,
        unanswered: Unanswered,
        now: Callable[[], float],
        metrics: Metrics,
        log: FilteringBoundLogger,
        overrides: tuple[ReportOverride, ...] = (),
        *,
        log_messages: bool = True,
    ) -> None:
        self._store = store
        self._dispatcher = dispatcher
        self._account_of = account_of
        self._ids = message_ids
        self._unanswered = unanswered
        self._now = now
        self._metrics = metrics
        self._log = log
        self.overrides = overrides
        self.log_messages = log_messages

    async def take(self, route: Route, report: DeliveryReport) -> Taken:
        """Commit what `report` comes to.

        Fails with `StoreUnavailable`; then nothing is kept, and the report must come again.
        """
        judged = judge_report(report.status, report.err, self.overrides)
        account = self._account_of(route.system_id)
        result, receipts = "nothing", 0
        if judged.kind != "none":
            draft = await self._draft(
                route, report.omnimessage_id, judged, judged.kind, report.timestamp, account
            )
            # A row may wait for the end of this message, or its parts from before a crash.
            waits = account is None or account.awaits_reports or bool(route.base)
            ends = judged.kind == "final" and waits
            if draft.receipts or ends:
                result = await self._keep(draft, route, account)
                receipts = len(draft.receipts) if result == "new" else 0
        self._tell(route, report, judged, account, result, receipts)
        return Taken(result, judged.kind)

    async def of_failure(self, route: Route, message_id: str, state: MessageState) -> Report | None:
        """What to store for a message that never reached the API; None if nobody asked for it.

        Nothing is stored yet. Fails with `StoreUnavailable`.
        """
        judged = Judged(state, "final", NO_CODE)
        account = self._account_of(route.system_id)
        if account is not None and account.settings.receipts == "off":
            return None
        draft = await self._draft(route, message_id, judged, "final", None, account)
        return draft if draft.receipts else None

    async def _draft(
        self,
        route: Route,
        message_id: str,
        judged: Judged,
        kind: Kind,
        moment: datetime | None,
        account: Account | None,
    ) -> Report:
        """The report as the store takes it, with a receipt for whoever asked for this state."""
        now = self._now()
        done_at = datetime.fromtimestamp(now, UTC)
        if moment is not None and moment.year in _YEARS:
            done_at = moment
        state, final = judged.message_state, kind != "interim"
        receipts = [
            await self._receipt(route, message_id, judged, final, done_at, account, target)
            for target in route.targets
            if wants(target.registered_delivery, state, final)
        ]
        due_at = now
        if account is not None:
            due_at = max(now, route.submitted_at + account.settings.receipt_delay)
            if kind == "unknown":
                due_at = max(due_at, now + account.settings.unknown_held)
        key = message_key(route.submitted_at, message_id)
        return Report(
            route.system_id, key, kind, receipts, route.submitted_at, now, due_at, base=route.base
        )

    async def _keep(self, draft: Report, route: Route, account: Account | None) -> str:
        """Commit it, and let go what may leave at once; how new it was."""
        if route.serial in self._unanswered and account is not None:
            self._hold(draft.key, route.serial, account.settings.receipt_delay)
            if draft.kind == "final" and account.awaits_reports:
                # The row is only about to be written, and would wait for what has come.
                self._unanswered.when_answered(route.serial, lambda: self._end(draft.key))
        if draft.receipts and draft.kind != "unknown" and self._dispatcher.takes(draft.system_id):
            draft = draft._replace(leased=True)
        found = await self._store.report(draft)
        if found.outcome == "new":
            self._hand_on(draft, found.ids)
        return found.outcome

    def _hold(self, key: bytes, serial: int, delay: float) -> None:
        """The submit is not answered yet: its receipt waits for that, and a moment more.

        The moment is for ESMEs that take responses and receipts from two connections.
        """
        self._dispatcher.hold(key)
        self._unanswered.when_answered(
            serial, lambda: self._dispatcher.release(key, self._now() + delay)
        )

    def _end(self, key: bytes) -> None:
        self._store.end_awaited(key).addErrback(self._not_ended)

    def _not_ended(self, failure: Failure) -> None:
        self._log.error("store_failed", operation="end_awaited", detail=cause_of(failure))

    def _hand_on(self, report: Report, ids: tuple[int, ...]) -> None:
        for receipt in report.receipts:
            self._metrics.receipts(name_of(MessageState, receipt.message_state)).inc()
        if not report.leased:
            if ids:
                self._dispatcher.stored(report.system_id)
            return
        self._dispatcher.offer(
            [
                Pending(
                    receipt_id,
                    report.system_id,
                    report.key,
                    receipt.message_id,
                    report.kind,
                    receipt.message_state,
                    receipt.pdu,
                    0,
                    report.submitted_at,
                    report.received_at,
                    report.due_at,
                )
                for receipt_id, receipt in zip(ids, report.receipts, strict=True)
            ]
        )

    async def _receipt(
        self,
        route: Route,
        message_id: str,
        judged: Judged,
        final: bool,
        done_at: datetime,
        account: Account | None,
        target: Target,
    ) -> NewReceipt:
        if target.number:
            message_id = of_part(route.base, target.number)
        shown = await self._ids.in_receipt(
            message_id, route.common_id, route.system_id, account, v33=route.v33
        )
        zone: tzinfo = account.receipt_zone if account else UTC
        receipt = Receipt(
            message_id=shown,
            message_state=judged.message_state,
            err=judged.err,
            submitted_at=datetime.fromtimestamp(route.submitted_at, zone),
            done_at=done_at.astimezone(zone),
            text=route.text,
            source=route.source,
            destination=route.destination,
            service_type=route.service_type,
            user_message_reference=target.user_message_reference,
            final=final,
        )
        return NewReceipt(shown, judged.message_state, encode(deliver_sm(receipt)))

    def _tell(
        self,
        route: Route,
        report: DeliveryReport,
        judged: Judged,
        account: Account | None,
        result: str,
        receipts: int,
    ) -> None:
        alarming = report.err == _OUT_OF_CREDIT and judged.kind == "final"
        if not self.log_messages and not alarming and account is not None:
            return
        log = self._log.error if alarming else self._log.info
        log(
            "report_taken",
            system_id=route.system_id if account else UNKNOWN,
            message_id=report.omnimessage_id,
            status=report.status,
            err=report.err,
            message_state=name_of(MessageState, judged.message_state),
            result=result,
            receipts=receipts,
            **({"detail": report.error} if report.error else {}),
        )
