"""The real store in memory without its thread: every Deferred has fired, or waits to be let go."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Table
from twisted.internet.defer import Deferred, fail, succeed

from gateway.store.base import (
    Awaited,
    Complete,
    ExpiredSet,
    FailedSet,
    Look,
    NewPart,
    Outcome,
    Pending,
    Report,
    Reported,
    SettledReceipt,
    StoreUnavailable,
    Waiting,
)
from gateway.store.batch import run_batch
from gateway.store.operations import (
    Claim,
    ClaimAwaited,
    EndAwaited,
    Expire,
    ExpireReceipts,
    FindId,
    KeepId,
    LookAt,
    Operation,
    Postpone,
    Release,
    Settle,
    SettleReceipt,
)
from gateway.store.schema import AWAITED, DEAD_RECEIPTS, RECEIPTS
from gateway.store.sql import SqlStore
from tests.bridge.memory_database import URL, open_store


class DirectStore:
    """What `StoreThread` is to the bridge.

    While `holding`, results wait in `held`, each a function that gives it. While `broken`, every
    operation fails; those of the type `failing` do in any case.
    """

    def __init__(self, max_parts: int = 10_000, url: str = URL) -> None:
        self.real = open_store(max_parts) if url == URL else SqlStore(url, max_parts=max_parts)
        self.holding = False
        self.held: list[Callable[[], None]] = []
        self.broken = False
        self.failing: type[Operation] | None = None
        self.operations: list[Operation] = []

    def add_part(self, part: NewPart) -> Deferred[Waiting | Complete]:
        return self._do(part)

    def settle(self, base: bytes) -> Deferred[None]:
        return self._do(Settle(base))

    def release(self, base: bytes, outcome: Outcome) -> Deferred[None]:
        return self._do(Release(base, outcome))

    def expire(self, now: float, limit: int) -> Deferred[list[ExpiredSet]]:
        return self._do(Expire(now, limit))

    def fail(self, base: bytes, report: Report | None) -> Deferred[None]:
        return self._do(FailedSet(base, report))

    def report(self, report: Report) -> Deferred[Reported]:
        return self._do(report)

    def claim(self, now: float, quotas: Sequence[tuple[str, int]]) -> Deferred[list[list[Pending]]]:
        return self._do(Claim(now, quotas))

    def settle_receipt(self, settled: SettledReceipt) -> Deferred[None]:
        return self._do(SettleReceipt(settled))

    def expire_receipts(self, due_before: float, now: float, limit: int) -> Deferred[list[str]]:
        return self._do(ExpireReceipts(due_before, now, limit))

    def await_report(self, awaited: Awaited) -> Deferred[None]:
        return self._do(awaited)

    def claim_awaited(self, now: float, limit: int, lease_until: float) -> Deferred[list[Awaited]]:
        return self._do(ClaimAwaited(now, limit, lease_until))

    def postpone(self, key: bytes, next_at: float) -> Deferred[None]:
        return self._do(Postpone(key, next_at))

    def end_awaited(self, key: bytes) -> Deferred[None]:
        return self._do(EndAwaited(key))

    def look(self, now: float) -> Deferred[Look]:
        return self._do(LookAt(now))

    def keep_id(self, system_id: str, message_id: str, now: float) -> Deferred[int]:
        return self._do(KeepId(system_id, message_id, now))

    def find_id(self, system_id: str, number: int) -> Deferred[str | None]:
        return self._do(FindId(system_id, number))

    def receipts(self) -> list[Mapping[str, Any]]:
        """Those that live, the oldest first; times are in microseconds."""
        return self._rows(RECEIPTS)

    def dead_receipts(self) -> list[Mapping[str, Any]]:
        return self._rows(DEAD_RECEIPTS)

    def awaited(self) -> list[Mapping[str, Any]]:
        return self._rows(AWAITED)

    def _rows(self, table: Table) -> list[Mapping[str, Any]]:
        with self.real.transaction() as connection:
            rows = connection.execute(table.select().order_by(*table.primary_key))
            return [dict(row) for row in rows.mappings()]

    def close(self) -> None:
        self.real.close()

    def _do(self, operation: Operation) -> Deferred[Any]:
        self.operations.append(operation)
        if self.broken or (self.failing is not None and isinstance(operation, self.failing)):
            return fail(StoreUnavailable("the disk is full"))
        [result] = run_batch(self.real, [operation])
        if not self.holding:
            return fail(result) if isinstance(result, Exception) else succeed(result)
        answer: Deferred[Any] = Deferred()
        if isinstance(result, Exception):
            self.held.append(lambda: answer.errback(result))
        else:
            self.held.append(lambda: answer.callback(result))
        return answer
