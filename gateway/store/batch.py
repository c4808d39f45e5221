"""Operations of many kinds in one transaction.

Within a batch, sets are settled, failed and released before parts are added, so that a
retry finds its set; otherwise each kind keeps its order. When the transaction fails, each
operation gets one of its own, so that a bad one harms no other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from gateway.store.base import FailedSet, NewPart, Outcome, Store, StoreUnavailable


class Settle(NamedTuple):
    """See `Store.settle`."""

    base: bytes


class Release(NamedTuple):
    """See `Store.release`."""

    base: bytes
    outcome: Outcome


class Expire(NamedTuple):
    """See `Store.expire`."""

    now: float
    limit: int


class KeepId(NamedTuple):
    """See `Store.keep_ids`."""

    system_id: str
    message_id: str
    now: float


class FindId(NamedTuple):
    """See `Store.find_ids`."""

    system_id: str
    number: int


class SaveMemories(NamedTuple):
    """See `Store.save_memories`."""

    memories: Mapping[str, bytes]


class LoadMemories(NamedTuple):
    """See `Store.load_memories`."""


class Purge(NamedTuple):
    """See `Store.purge`."""

    ids_before: float
    receipts_before: float


Operation = (
    Settle
    | FailedSet
    | Release
    | NewPart
    | Expire
    | KeepId
    | FindId
    | SaveMemories
    | LoadMemories
    | Purge
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
    (NewPart, lambda store, some: store.add(some)),
    (Expire, _each(lambda store, now, limit: store.expire(now, limit))),
    (KeepId, lambda store, some: store.keep_ids(some)),
    (FindId, lambda store, some: store.find_ids(some)),
    (SaveMemories, _each(lambda store, memories: store.save_memories(memories))),
    (LoadMemories, _each(lambda store: store.load_memories())),
    (Purge, _each(lambda store, ids, receipts: store.purge(ids, receipts))),
)


# What each kind is called in a metric and in the log.
NAMES: Final[dict[type[Any], str]] = {
    NewPart: "add",
    Settle: "settle",
    Release: "release",
    FailedSet: "fail",
    Expire: "expire",
    KeepId: "keep_id",
    FindId: "find_id",
    SaveMemories: "save_memories",
    LoadMemories: "load_memories",
    Purge: "purge",
}


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
