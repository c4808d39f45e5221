"""Many kinds in one transaction; and when that fails, each for itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from gateway.store.base import (
    Added,
    Complete,
    Counts,
    ExpiredSet,
    FailedSet,
    NewPart,
    StoreFull,
    StoreUnavailable,
    Waiting,
)
from gateway.store.batch import (
    Expire,
    FindId,
    KeepId,
    LoadMemories,
    Purge,
    Release,
    SaveMemories,
    Settle,
    run_batch,
)
from gateway.store.sql import SqlStore
from tests.store.parts import added, complete, key, part, poison


def test_every_kind_gets_its_own_result(store: SqlStore) -> None:
    sent = complete(store.add([part(1, b"1"), part(2, b"2")])[1]).base
    refused = complete(store.add([part(1, b"1"), part(2, b"2")])[1]).base
    overdue = added(store, 1, b"late", key(reference=1), deadline=1.0).base
    store.expire(1.0, 1)
    late = added(store, 1, b"late", key(reference=2), deadline=2.0).base
    results = run_batch(
        store,
        [
            LoadMemories(),
            FindId("bank", 1),
            KeepId("bank", "00000001", 1.0),
            KeepId("bank", "00000002", 1.0),
            Expire(2.0, 10),
            part(2, b"2 again"),
            Purge(0.5, 0.5),
            Release(refused, "refused"),
            part(1, b"next"),
            FailedSet(overdue, []),
            SaveMemories({"bank": b"m"}),
            Settle(sent),
        ],
    )
    expired = results[4]
    assert isinstance(expired, list)
    assert [type(one) for one in expired] == [ExpiredSet]
    assert expired[0].base == late
    assert results[:4] == [{"bank": b"m"}, "00000001", 1, 2]
    assert results[5] == Complete(refused, (b"1", b"2 again"))
    assert results[6:8] == [False, None]
    assert isinstance(results[8], Waiting)
    assert results[9:] == [None, None, None]
    assert store.counts() == Counts(3, 3)


def test_a_bad_operation_harms_no_other(store: SqlStore) -> None:
    poison(store, b"bad")
    done = complete(store.add([part(1, b"1"), part(2, b"2")])[1])
    results = run_batch(
        store,
        [
            part(1, b"good"),
            part(1, b"bad", key(reference=1)),
            part(3, b"wrong", key(reference=2)),
            KeepId("bank", "00000001", 1.0),
            part(1, b"good", key(reference=3)),
            Settle(done.base),
        ],
    )
    refused, wrong = results[1], results[2]
    assert isinstance(refused, StoreUnavailable)
    assert refused.detail == "the store: poisoned"
    assert isinstance(wrong, ValueError)
    assert [type(results[place]) for place in (0, 3, 4, 5)] == [Waiting, int, Waiting, type(None)]
    assert store.counts() == Counts(2, 2)
    assert run_batch(store, [part(2, b"2")]) == [
        Complete(results[0].base, (b"good", b"2"))  # type: ignore[attr-defined]
    ]


def test_apart_they_run_in_the_same_order(store: SqlStore) -> None:
    poison(store, b"bad")
    done = complete(store.add([part(1, b"1"), part(2, b"2")])[1])
    bad = part(1, b"bad", key(reference=1))
    results = run_batch(store, [part(2, b"again"), bad, Release(done.base, "refused")])
    assert results[0] == Complete(done.base, (b"1", b"again"))


def test_no_room_for_one_leaves_the_others_together(store: SqlStore) -> None:
    parts = [part(1, b"x", key(reference=n)) for n in range(11)]
    results = run_batch(store, parts)
    assert [type(one) for one in results] == [Waiting] * 10 + [StoreFull]


class Down(SqlStore):
    """Its disk is full."""

    tries = 0

    def add(self, parts: Sequence[NewPart]) -> list[Added]:
        self.tries += 1
        raise StoreUnavailable("the disk is full", whole=True)


@pytest.mark.parametrize(("size", "tries"), [(1, 1), (20, 2)])
def test_a_database_that_is_down_is_not_asked_once_for_each(size: int, tries: int) -> None:
    store = Down("sqlite://", max_parts=100)
    parts: list[Any] = [part(1, b"x", key(reference=n)) for n in range(size)]
    results = run_batch(store, [*parts, *[LoadMemories()] * (size > 1)])
    assert [getattr(one, "detail", None) for one in results] == ["the disk is full"] * len(results)
    assert store.tries == tries
    store.close()
