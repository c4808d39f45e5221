"""The store's thread, seen from the reactor: every operation is a Deferred.

The thread has one batch at a time. What is asked for meanwhile is gathered in the reactor and
makes the next batch, so that under load hundreds of operations share one wait for the disk, and
the two threads wake each other once a batch. All results of a batch come back in one call.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import closing
from queue import SimpleQueue
from time import perf_counter
from typing import Any, Final

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorFromThreads

from gateway.store.base import (
    Awaited,
    Complete,
    Counts,
    ExpiredSet,
    FailedSet,
    Look,
    NewPart,
    Outcome,
    Pending,
    Report,
    Reported,
    SettledReceipt,
    StoreFull,
    StoreUnavailable,
    Waiting,
)
from gateway.store.batch import run_batch
from gateway.store.contract import Store
from gateway.store.operations import (
    NAMES,
    Claim,
    ClaimAwaited,
    EndAwaited,
    Expire,
    ExpireReceipts,
    FindId,
    KeepId,
    LoadMemories,
    LookAt,
    Operation,
    Postpone,
    Purge,
    Release,
    SaveMemories,
    Settle,
    SettleReceipt,
)

_BATCH: Final = 1_000  # operations in one transaction: bounds how long the others wait

_Queued = tuple[Operation, Deferred[Any]]


def _unobserved(_seconds: float, _failed: list[str]) -> None:
    pass


class StoreThread:
    """Runs a store on a thread of its own. `open` it, and `stop` it to end the thread.

    Everything but `open` is called in the reactor's thread. Every Deferred may fail with
    StoreUnavailable. A `settle`, `release` or `fail` that did is to be repeated, since the set
    stays in sending; so is a `settle_receipt`, since the receipt stays leased. Do not cancel a
    Deferred: what it asks for is done all the same.
    """

    def __init__(
        self,
        reactor: IReactorFromThreads,
        factory: Callable[[], Store],
        observe: Callable[[float, list[str]], None] = _unobserved,
    ) -> None:
        """`factory` opens the store, on the thread, or raises StoreUnavailable.

        `observe(seconds, failed)` is called in the reactor for each batch, with the names of
        the operations that the store could not do.
        """
        self._reactor = reactor
        self._factory = factory
        self._observe = observe
        self._batches: SimpleQueue[list[_Queued]] = SimpleQueue()  # an empty one ends the thread
        self._gathered: list[_Queued] = []
        self._busy = False  # the thread has a batch
        self._thread: threading.Thread | None = None
        self._stopping: list[Deferred[None]] = []
        self.backlog = 0  # operations without their result yet
        self.counts = Counts(0, 0)  # as of the last batch
        self.failing = False  # the last batch found the database itself at fault

    def open(self) -> None:
        """Open the store; what is wrong with it is raised here, as StoreUnavailable.

        Blocks, and needs no running reactor.
        """
        opened: Future[Counts] = Future()
        # A daemon, so that a process which ends without `stop` does end: the store bears it.
        thread = threading.Thread(target=self._run, args=(opened,), name="store", daemon=True)
        thread.start()
        self.counts = opened.result()
        self._thread = thread

    def start(self) -> None:
        """Open the store unless that is done."""
        if self._thread is None:
            self.open()

    def stop(self) -> Deferred[None]:
        """Finish what is queued, close the store, end the thread; then the Deferred fires."""
        if self._thread is None or not self._thread.is_alive():
            return succeed(None)
        done: Deferred[None] = Deferred()
        self._stopping.append(done)
        if not self._busy:
            self._hand_over()
        return done

    def add_part(self, part: NewPart) -> Deferred[Waiting | Complete]:
        """Fails with StoreFull too, when there is no room for the part."""
        return self._submit(part)

    def settle(self, base: bytes) -> Deferred[None]:
        return self._submit(Settle(base))

    def release(self, base: bytes, outcome: Outcome) -> Deferred[None]:
        return self._submit(Release(base, outcome))

    def expire(self, now: float, limit: int) -> Deferred[list[ExpiredSet]]:
        return self._submit(Expire(now, limit))

    def fail(self, base: bytes, report: Report | None) -> Deferred[None]:
        return self._submit(FailedSet(base, report))

    def report(self, report: Report) -> Deferred[Reported]:
        return self._submit(report)

    def claim(self, now: float, quotas: Sequence[tuple[str, int]]) -> Deferred[list[list[Pending]]]:
        return self._submit(Claim(now, quotas))

    def settle_receipt(self, settled: SettledReceipt) -> Deferred[None]:
        return self._submit(SettleReceipt(settled))

    def expire_receipts(self, due_before: float, now: float, limit: int) -> Deferred[list[str]]:
        return self._submit(ExpireReceipts(due_before, now, limit))

    def await_report(self, awaited: Awaited) -> Deferred[None]:
        return self._submit(awaited)

    def claim_awaited(self, now: float, limit: int, lease_until: float) -> Deferred[list[Awaited]]:
        return self._submit(ClaimAwaited(now, limit, lease_until))

    def postpone(self, key: bytes, next_at: float) -> Deferred[None]:
        return self._submit(Postpone(key, next_at))

    def end_awaited(self, key: bytes) -> Deferred[None]:
        return self._submit(EndAwaited(key))

    def look(self, now: float) -> Deferred[Look]:
        return self._submit(LookAt(now))

    def keep_id(self, system_id: str, message_id: str, now: float) -> Deferred[int]:
        return self._submit(KeepId(system_id, message_id, now))

    def find_id(self, system_id: str, number: int) -> Deferred[str | None]:
        return self._submit(FindId(system_id, number))

    def save_memories(self, memories: Mapping[str, bytes]) -> Deferred[None]:
        return self._submit(SaveMemories(dict(memories)))

    def load_memories(self) -> Deferred[dict[str, bytes]]:
        return self._submit(LoadMemories())

    def purge(self, ids_before: float, finals_before: float, dead_before: float) -> Deferred[None]:
        """Delete all there is, in bites."""
        return Deferred.fromCoroutine(self._purge(Purge(ids_before, finals_before, dead_before)))

    async def _purge(self, bite: Purge) -> None:
        while await self._submit(bite):
            pass  # others have their turn between two bites

    def _submit(self, operation: Operation) -> Deferred[Any]:
        if self._thread is None or self._stopping:
            return fail(StoreUnavailable("the store is closed"))
        answer: Deferred[Any] = Deferred()
        self.backlog += 1
        self._gathered.append((operation, answer))
        if not self._busy:
            self._hand_over()
        return answer

    def _hand_over(self) -> None:
        """Give the thread what is gathered; nothing ends it."""
        batch = self._gathered[:_BATCH]
        del self._gathered[:_BATCH]
        self._busy = True
        self._batches.put(batch)

    def _deliver(
        self, batch: list[_Queued], results: list[object], seconds: float, counts: Counts
    ) -> None:
        self.backlog -= len(batch)
        self.counts = counts
        self.failing = False
        failed = []
        for (operation, answer), result in zip(batch, results, strict=True):
            if isinstance(result, Exception):
                if not isinstance(result, StoreFull):
                    failed.append(NAMES[type(operation)])
                self.failing |= isinstance(result, StoreUnavailable) and result.whole
                answer.errback(result)
            else:
                answer.callback(result)
        self._observe(seconds, failed)
        self._busy = False
        if self._gathered or self._stopping:
            self._hand_over()

    def _ended(self, thread: threading.Thread) -> None:
        thread.join()
        for done in self._stopping:
            done.callback(None)

    # On the thread

    def _run(self, opened: Future[Counts]) -> None:
        try:
            store = self._factory()
        except BaseException as problem:  # noqa: BLE001  `open` raises it
            opened.set_exception(problem)
            return
        opened.set_result(store.counts())
        call = self._reactor.callFromThread
        try:
            with closing(store):
                while batch := self._batches.get():
                    began = perf_counter()
                    results = run_batch(store, [operation for operation, _ in batch])
                    call(self._deliver, batch, results, perf_counter() - began, store.counts())
        finally:
            call(self._ended, threading.current_thread())
