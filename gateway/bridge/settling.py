"""What became of a receipt that was sent: told to the store, the metrics and the log.

Rows in the hands of this process are leased. What the store cannot be told is kept and told
later; until then the row stays leased, so that nobody sends it again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from structlog.typing import FilteringBoundLogger
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from gateway.bridge.refusals import cause_of
from gateway.metrics import Metrics
from gateway.smpp.constants import CommandStatus, MessageState, name_of
from gateway.store.base import Dead, Delivered, Pending, Retry, Returned, SettledReceipt

_FIRST_BACK_OFF: Final = 1.0  # seconds before a receipt is tried again; doubles each time
_LONGEST_BACK_OFF: Final = 300.0


class Settles(Protocol):
    """Where the rows are: `store.worker.StoreThread`."""

    def settle_receipt(self, settled: SettledReceipt) -> Deferred[None]: ...


class Settling:
    """`now` gives wall-clock seconds."""

    def __init__(
        self,
        rows: Settles,
        now: Callable[[], float],
        metrics: Metrics,
        log: FilteringBoundLogger,
        *,
        log_messages: bool,
    ) -> None:
        self.held = 0  # rows that are leased and not settled
        self._rows = rows
        self._now = now
        self._metrics = metrics
        self._log = log
        self.log_messages = log_messages
        self._owed: list[SettledReceipt] = []  # what the store could not be told yet

    def delivered(self, pending: Pending, session_id: str) -> None:
        """The ESME has it."""
        self._metrics.receipt_attempts("delivered").inc()
        seconds = max(0.0, self._now() - pending.received_at)
        self._metrics.receipt_delivery.observe(seconds)
        if self.log_messages:
            self._log.info(
                "receipt_delivered",
                **_told(pending),
                session_id=session_id,
                seconds=round(seconds, 4),
            )
        self._settle(Delivered(pending.id))

    def retry(self, pending: Pending, session_id: str, command_status: int | None) -> None:
        """The ESME could not take it now, or did not answer."""
        result = "no_answer" if command_status is None else "retried"
        self._metrics.receipt_attempts(result).inc()
        pause = min(_FIRST_BACK_OFF * 2.0 ** min(pending.attempts, 20), _LONGEST_BACK_OFF)
        self._log.info(
            "receipt_retried",
            **_told(pending),
            session_id=session_id,
            command_status=_status(command_status),
            attempts=pending.attempts + 1,
            again_in=pause,
        )
        self._settle(Retry(pending.id, self._now() + pause, command_status))

    def dead(self, pending: Pending, session_id: str, command_status: int) -> None:
        """The ESME will not have it."""
        self._metrics.receipt_attempts("dead").inc()
        self._log.warning(
            "receipt_dead",
            **_told(pending),
            session_id=session_id,
            command_status=_status(command_status),
        )
        self._settle(Dead(pending.id, command_status, "refused", self._now()))

    def give_back(self, pending: Pending) -> None:
        """Nobody is there to take it: it waits in the store, where its age is watched."""
        self._settle(Returned(pending.id))

    def repeat(self) -> None:
        """Tell the store what it could not be told; call now and then."""
        owed, self._owed = self._owed, []
        for settled in owed:
            self._rows.settle_receipt(settled).addErrback(self._still_owed, settled)

    def _settle(self, settled: SettledReceipt) -> None:
        self.held -= 1
        self._rows.settle_receipt(settled).addErrback(self._not_settled, settled)

    def _not_settled(self, failure: Failure, settled: SettledReceipt) -> None:
        if not self._owed:
            self._log.error("store_failed", operation="settle_receipt", detail=cause_of(failure))
        self._owed.append(settled)

    def _still_owed(self, _failure: Failure, settled: SettledReceipt) -> None:
        self._owed.append(settled)


def _told(pending: Pending) -> dict[str, object]:
    """Which receipt a log line is about."""
    return {
        "system_id": pending.system_id,
        "message_id": pending.message_id,
        "message_state": name_of(MessageState, pending.message_state),
    }


def _status(command_status: int | None) -> str:
    return "" if command_status is None else name_of(CommandStatus, command_status)
