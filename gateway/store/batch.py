"""Operations of many kinds in one transaction.

Within a batch each kind keeps its order, and the kinds follow one another:

- Sets are settled, failed and released before parts are added, so that a retry finds its set.
- Receipts are settled and reports taken before receipts are claimed, so that a claim finds what
  is due, and does not lease an "unknown" one that a final one is about to replace. What is
  awaited is noted before reports are taken, since a report may be the very one.
- Receipts are claimed before they are given up, since a receiver is there.

When the transaction fails, each operation gets one of its own, so that a bad one harms no
other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from gateway.store.base import Awaited, FailedSet, NewPart, Report, StoreUnavailable
from gateway.store.contract import Store
from gateway.store.operations import (
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

_Run = Callable[[Store, Any], Sequence[object] | None]


def _each(run: Callable[..., object]) -> _Run:
    """For operations that seldom come, and never in numbers."""
    return lambda store, operations: [run(store, *operation) for operation in operations]


# Kinds in the order in which they run, and how all of a kind are run; None: no results.
_KINDS: Final[tuple[tuple[type[Any], _Run], ...]] = (
    (Settle, lambda store, some: store.settle([one.base for one in some])),
    (FailedSet, lambda store, some: store.fail(some)),
    (Release, lambda store, some: store.release(some)),
    (SettleReceipt, lambda store, some: store.settle_receipts([one.settled for one in some])),
    (Awaited, lambda store, some: store.await_reports(some)),
    (Postpone, lambda store, some: store.postpone(some)),
    (EndAwaited, lambda store, some: store.end_awaited([one.key for one in some])),
    (Report, lambda store, some: store.report(some)),
    (NewPart, lambda store, some: store.add(some)),
    (Expire, _each(lambda store, now, limit: store.expire(now, limit))),
    (Claim, _each(lambda store, now, quotas: store.claim(now, quotas))),
    (ExpireReceipts, _each(lambda store, *bounds: store.expire_receipts(*bounds))),
    (ClaimAwaited, _each(lambda store, *bounds: store.claim_awaited(*bounds))),
    (LookAt, _each(lambda store, now: store.look(now))),
    (KeepId, lambda store, some: store.keep_ids(some)),
    (FindId, lambda store, some: store.find_ids(some)),
    (SaveMemories, _each(lambda store, memories: store.save_memories(memories))),
    (LoadMemories, _each(lambda store: store.load_memories())),
    (Purge, _each(lambda store, *bounds: store.purge(*bounds))),
)


def run_batch(store: Store, operations: Sequence[Operation]) -> list[object]:
    """One result for each operation; an exception stands for one that failed."""
    try:
        return _together(store, operations)
    except Exception as problem:  # noqa: BLE001  whose it is, is about to be found out
        if len(operations) == 1:
            return [problem]
    return _apart(store, operations)


def _together(store: Store, operations: Sequence[Operation]) -> list[object]:
    places: dict[type[Any], list[int]] = {}
    for place, operation in enumerate(operations):
        places.setdefault(type(operation), []).append(place)
    results: list[object] = [None] * len(operations)
    with store.transaction():
        for kind, run in _KINDS:
            if kind in places:
                found = run(store, [operations[place] for place in places[kind]])
                for place, result in zip(places[kind], found or (), strict=found is not None):
                    results[place] = result
    return results


def _apart(store: Store, operations: Sequence[Operation]) -> list[object]:
    order = {kind: rank for rank, (kind, _) in enumerate(_KINDS)}
    results: list[object] = [None] * len(operations)
    down: StoreUnavailable | None = None
    for place in sorted(range(len(operations)), key=lambda place: order[type(operations[place])]):
        if down is not None:  # each might wait for a lock as long as this one did
            results[place] = down
            continue
        try:
            [results[place]] = _together(store, [operations[place]])
        except Exception as problem:  # noqa: BLE001  it is this operation's result
            results[place] = problem
            if isinstance(problem, StoreUnavailable) and problem.whole:
                down = problem
    return results
