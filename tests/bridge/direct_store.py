"""The real store in memory without its thread: every Deferred has fired, or waits to be let go."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed

from gateway.store.base import (
    Complete,
    ExpiredSet,
    FailedSet,
    NewPart,
    Outcome,
    PendingReceipt,
    StoreUnavailable,
    Waiting,
)
from gateway.store.batch import Expire, FindId, KeepId, Operation, Release, Settle, run_batch
from gateway.store.schema import PENDING_RECEIPTS
from gateway.store.sql import SqlStore


class DirectStore:
    """What `StoreThread` is to the bridge.

    While `holding`, results wait in `held`, each a function that gives it. While `broken`, every
    operation fails.
    """

    def __init__(self, max_parts: int = 10_000) -> None:
        self.real = SqlStore("sqlite://", max_parts=max_parts)
        self.holding = False
        self.held: list[Callable[[], None]] = []
        self.broken = False
        self.operations: list[Operation] = []

    def add_part(self, part: NewPart) -> Deferred[Waiting | Complete]:
        return self._do(part)

    def settle(self, base: bytes) -> Deferred[None]:
        return self._do(Settle(base))

    def release(self, base: bytes, outcome: Outcome) -> Deferred[None]:
        return self._do(Release(base, outcome))

    def expire(self, now: float, limit: int) -> Deferred[list[ExpiredSet]]:
        return self._do(Expire(now, limit))

    def fail(self, base: bytes, receipts: Sequence[PendingReceipt]) -> Deferred[None]:
        return self._do(FailedSet(base, receipts))

    def keep_id(self, system_id: str, message_id: str, now: float) -> Deferred[int]:
        return self._do(KeepId(system_id, message_id, now))

    def find_id(self, system_id: str, number: int) -> Deferred[str | None]:
        return self._do(FindId(system_id, number))

    def receipts(self) -> list[Mapping[str, Any]]:
        """Those that were recorded, the oldest first."""
        with self.real.transaction() as connection:
            rows = connection.execute(PENDING_RECEIPTS.select().order_by(PENDING_RECEIPTS.c.id))
            return [dict(row) for row in rows.mappings()]

    def close(self) -> None:
        self.real.close()

    def _do(self, operation: Operation) -> Deferred[Any]:
        self.operations.append(operation)
        if self.broken:
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
