"""The receipts as an operator sees them: how old the oldest is, and those whose time is over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final, Protocol

from structlog.typing import FilteringBoundLogger
from twisted.internet.defer import Deferred

from gateway.metrics import Metrics
from gateway.store.base import Look

_AT_A_TIME: Final = 1_000  # receipts that are given up in one go


class Watched(Protocol):
    """Where receipts are kept: `store.worker.StoreThread`."""

    def look(self, now: float) -> Deferred[Look]: ...

    def expire_receipts(self, due_before: float, now: float, limit: int) -> Deferred[list[str]]: ...


class Watch:
    """`held` is how many seconds a receipt waits for a receiver; `now` gives wall-clock seconds."""

    def __init__(
        self,
        receipts: Watched,
        held: float,
        now: Callable[[], float],
        metrics: Metrics,
        log: FilteringBoundLogger,
    ) -> None:
        self._receipts = receipts
        self._held = held
        self._now = now
        self._metrics = metrics
        self._log = log

    async def look(self) -> None:
        """Give up what has waited too long, and measure the rest; call about once a second."""
        now = self._now()
        found = await self._receipts.look(now)
        oldest = found.oldest_due_at
        self._metrics.receipt_oldest_age.set(0 if oldest is None else max(0.0, now - oldest))
        if oldest is None or oldest >= now - self._held:
            return
        gone = await self._receipts.expire_receipts(now - self._held, now, _AT_A_TIME)
        for system_id, count in Counter(gone).items():
            self._metrics.receipt_attempts("expired").inc(count)
            self._log.warning(
                "receipts_expired", system_id=system_id, receipts=count, held=self._held
            )
