"""Many kinds in one transaction; and when that fails, each for itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

import pytest

from gateway.store import batch
from gateway.store.base import (
    Added,
    Complete,
    Counts,
    ExpiredSet,
    FailedSet,
    Look,
    NewPart,
    Retry,
    StoreFull,
    StoreUnavailable,
    Waiting,
)
from gateway.store.batch import run_batch
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
from gateway.store.sql import SqlStore
from tests.store.parts import added, complete, key, part, poison
from tests.store.receipts import awaited, names, report


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
            Purge(0.5, 0.5, 0.5),
            Release(refused, "refused"),
            part(1, b"next"),
            FailedSet(overdue, None),
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


def test_every_kind_of_receipts_gets_its_own_result(store: SqlStore) -> None:
    """In the worst order, so that it is the batch that says which kind is first."""
    [told] = store.report([report("sent", leased=True)])
    store.report([report("held", kind="unknown"), report("old", due_at=1.0, system_id="shop")])
    results = run_batch(
        store,
        [
            LookAt(50.0),
            ClaimAwaited(30.0, 9, 99.0),
            ExpireReceipts(2.0, 60.0, 9),
            Claim(50.0, [("bank", 9)]),
            report("held"),
            report("asked"),
            EndAwaited(awaited("ended").key),
            Postpone(awaited("late").key, 31.0),
            awaited("ended"),
            awaited("late"),
            awaited("asked"),
            awaited("still"),
            SettleReceipt(Retry(told.ids[0], 49.0, 8)),
        ],
    )
    [claims] = results[3]  # type: ignore[misc]
    assert sorted(names(claims)) == ["asked", "held", "sent"]  # type: ignore[has-type]
    assert {one.kind for one in claims} == {"final"}  # type: ignore[has-type]
    assert results[0] == Look(12.0, changed=False)
    assert results[1] == [awaited("still")]
    assert results[2] == ["shop"]
    assert [getattr(one, "outcome", one) for one in results[4:6]] == ["new", "new"]
    assert results[6:] == [None] * 7
    assert store.counts() == Counts(0, 0, receipts=3, dead=1, awaited=2)


def test_what_can_be_delivered_is_not_given_up(store: SqlStore) -> None:
    store.report([report()])
    results = run_batch(store, [ExpireReceipts(99.0, 99.0, 9), Claim(99.0, [("bank", 9)])])
    assert results[0] == []


def test_every_operation_has_a_name_and_a_place() -> None:
    kinds = set(get_args(Operation))
    assert kinds == set(NAMES) == {kind for kind, _ in batch._KINDS}
    assert len(set(NAMES.values())) == len(kinds)


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
