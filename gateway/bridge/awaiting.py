"""Rows of messages whose end the gateway asks for, or tells by itself, and when it looks next.

Only accounts that poll, or that want to be told EXPIRED when nothing was heard, have them.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, NamedTuple, Protocol

from structlog.typing import FilteringBoundLogger
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from gateway.bridge.accounts import Account
from gateway.bridge.refusals import cause_of
from gateway.omnichannel.route import Route, pack
from gateway.store.base import Awaited, message_key

_GROWTH: Final = 0.5  # of a message's age: how long until it is asked for again
_BESIDE_CALLBACKS: Final = 30  # times as late as without: the callback is likely to come


class Schedule(NamedTuple):
    """When the status of a message is asked for, in seconds."""

    first: float  # after the submit
    longest: float  # between two questions

    def begins_at(self, submitted_at: float, account: Account) -> float:
        """The first look at a message."""
        settings = account.settings
        if settings.receipts == "callback":  # there is only its limit to wait for
            return submitted_at + settings.receipt_limit
        late = _BESIDE_CALLBACKS if settings.receipts == "both" else 1
        return submitted_at + min(self.first * late, settings.receipt_limit)

    def next_at(self, submitted_at: float, now: float, account: Account | None) -> float:
        """The look after one at `now`: the older the message, the later, but at its limit."""
        age = max(0.0, now - submitted_at)
        found = now + min(max(self.first, age * _GROWTH), self.longest)
        if account is None or age >= account.settings.receipt_limit:
            return found
        return min(found, max(now + 1, submitted_at + account.settings.receipt_limit))


class Awaits(Protocol):
    """Where the rows are: `store.worker.StoreThread`."""

    def await_report(self, awaited: Awaited) -> Deferred[None]: ...


class Awaiting:
    """Adds rows."""

    def __init__(self, store: Awaits, schedule: Schedule, log: FilteringBoundLogger) -> None:
        self._store = store
        self._schedule = schedule
        self._log = log

    def add(
        self, route: Route, omnimessage_id: str, account: Account, time_to_send: str = ""
    ) -> Deferred[None]:
        """Commit the row of a message that the API has accepted; the Deferred never fails.

        The message is on its way whatever the store does, so it is answered all the same. Its
        age counts from `time_to_send` (ISO 8601), "" for now.
        """
        sent_at = route.submitted_at
        if time_to_send:
            sent_at = datetime.fromisoformat(time_to_send).timestamp()
        awaited = Awaited(
            message_key(route.submitted_at, omnimessage_id),
            account.system_id,
            omnimessage_id,
            pack(route),
            sent_at,
            self._schedule.begins_at(sent_at, account),
        )
        return self._store.await_report(awaited).addErrback(self._not_kept, omnimessage_id)

    def _not_kept(self, failure: Failure, omnimessage_id: str) -> None:
        self._log.error(
            "store_failed",
            operation="await_report",
            message_id=omnimessage_id,
            detail=cause_of(failure),
        )
