"""The end of long messages that were never completed.

A set is given up when its account's reassembly_timeout is over. With relay_incomplete what is
there is relayed first, unless the API may have seen the message already. If the API is out of
reach or over its rate, that is tried again each second for as long as the set has waited.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, Protocol

from structlog.typing import FilteringBoundLogger
from twisted.internet.defer import Deferred, DeferredList
from twisted.python.failure import Failure

from gateway.bridge.accounts import Account
from gateway.bridge.awaiting import Awaiting
from gateway.bridge.journey import api_fields
from gateway.bridge.reassembly import Reassembly, submit_of, whole
from gateway.bridge.reports import Reports
from gateway.bridge.routes import Routes, targets_of
from gateway.bridge.translate import translate
from gateway.errors import GatewayError
from gateway.message.segment import missing
from gateway.metrics import UNKNOWN, Metrics
from gateway.omnichannel.client import OmnichannelClient
from gateway.omnichannel.outcome import MAYBE_ACCEPTED, Verdict
from gateway.omnichannel.route import Route
from gateway.smpp import message_id as ids
from gateway.smpp.constants import MessageState
from gateway.store.base import ExpiredSet, StoreUnavailable

_AT_A_TIME: Final = 200  # sets that are expired in one go
# What the receipts of a failed set say, by what the API said when it was complete.
_STATES: Final = {
    "": MessageState.EXPIRED,
    "refused": MessageState.REJECTED,
    "unknown": MessageState.UNKNOWN,
}
_LATER: Final = frozenset({Verdict.THROTTLED, Verdict.CROWDED, Verdict.UNREACHABLE})


class Expires(Protocol):
    """Who knows whose time is over: `store.worker.StoreThread`."""

    def expire(self, now: float, limit: int) -> Deferred[list[ExpiredSet]]: ...


class Expiry:
    """`now` gives wall-clock seconds."""

    def __init__(
        self,
        sets: Expires,
        reassembly: Reassembly,
        account_of: Callable[[str], Account | None],
        api: OmnichannelClient,
        routes: Routes,
        reports: Reports,
        awaiting: Awaiting,
        now: Callable[[], float],
        metrics: Metrics,
        log: FilteringBoundLogger,
    ) -> None:
        self._sets = sets
        self._reassembly = reassembly
        self._account_of = account_of
        self._api = api
        self._routes = routes
        self._reports = reports
        self._awaiting = awaiting
        self._now = now
        self._metrics = metrics
        self._log = log

    async def expire(self) -> None:
        """End the sets whose time is over; call about once a second."""
        self._reassembly.repeat()
        while True:
            expired = await self._sets.expire(self._now(), _AT_A_TIME)
            ended = [
                Deferred.fromCoroutine(self._expire(one)).addErrback(self._failed, one)
                for one in expired
            ]
            await DeferredList(ended)
            if len(expired) < _AT_A_TIME:
                return

    def _failed(self, failure: Failure, expired: ExpiredSet) -> None:
        """It harms no other set. What the store could not do is done when it is well again."""
        self._log.error("relay_failed", failure=failure.getTraceback(), set_id=expired.base.hex())
        if failure.check(StoreUnavailable):
            self._reassembly.release(expired.base, "unknown")
        else:
            self._reassembly.fail(expired.base, None)

    async def _expire(self, expired: ExpiredSet) -> None:
        account = self._account_of(expired.system_id)
        outcome: str = expired.outcome
        fields: dict[str, object] = {}
        if account and account.settings.relay_incomplete and not outcome:
            outcome, fields = await self._relay(expired, account)
        if outcome == "later":
            self._reassembly.release(expired.base, "")
            return
        first = submit_of(expired.parts[0].pdu)
        have = [part.number for part in expired.parts]
        line: dict[str, object] = {
            "system_id": expired.system_id,
            "set_id": expired.base.hex(),
            "parts": expired.total,
            "missing": missing(have, expired.total),
            "source": first.source.addr,
            "destination": first.destination.addr,
            **fields,
        }
        relayed = outcome == "accepted"
        label = self._metrics.account(expired.system_id) if account else UNKNOWN
        self._metrics.sets_expired(label, "relayed" if relayed else "failed").inc()
        if relayed:
            self._log.warning("set_relayed_incomplete", **line)
            self._reassembly.settle(expired.base)
            return
        state = _STATES.get(outcome, MessageState.EXPIRED)
        report = await self._reports.of_failure(
            _route(expired), ids.of_part(expired.base, 0), state
        )
        receipts = len(report.receipts) if report else 0
        line |= {"outcome": outcome or "expired", "receipts": receipts}
        self._log.warning("set_failed", **line)
        self._reassembly.fail(expired.base, report)

    async def _relay(self, expired: ExpiredSet, account: Account) -> tuple[str, dict[str, object]]:
        """Send what is there: "accepted", "refused", "unknown" or "later"; and for the log."""
        try:
            found = whole([part.pdu for part in expired.parts], account.writing, datetime.now(UTC))
            request, decoded = translate(found.message, found.contents, account.writing)
        except GatewayError as refusal:
            return "refused", {"detail": refusal.detail}
        route = _route(expired)
        if route.targets and account.settings.receipts != "off":
            request = request._replace(dlr_url=self._routes.dlr_url(route, account))
        outcome = await self._api.send(
            request,
            account.credentials,
            account.settings.response_deadline,
            account.system_id,
        )
        fields = api_fields(outcome, decoded.text)
        if outcome.verdict is Verdict.ACCEPTED:
            account.remember(outcome.message_id, found.submits[0], request.time_to_send)
            if route.targets and account.awaits_reports:
                await self._awaiting.add(route, outcome.message_id, account, request.time_to_send)
            return "accepted", {**fields, "message_id": outcome.message_id}
        if outcome.verdict in MAYBE_ACCEPTED:
            return "unknown", fields
        opened = min(part.received_at for part in expired.parts)
        patience = 2 * account.settings.reassembly_timeout
        if outcome.verdict in _LATER and self._now() < opened + patience:
            return "later", fields
        return "refused", fields


def _route(expired: ExpiredSet) -> Route:
    """The route to whoever asked for a receipt of one of the parts."""
    submits = [submit_of(part.pdu) for part in expired.parts]
    return Route(
        expired.system_id,
        min(part.received_at for part in expired.parts),
        0,
        submits[0].source,
        submits[0].destination,
        submits[0].service_type,
        common_id=expired.parts[0].common_id,
        base=expired.base,
        targets=targets_of(zip((part.number for part in expired.parts), submits, strict=True)),
    )
