"""Reports to ask for: due in their order, postponed, ended."""

from __future__ import annotations

from gateway.store.base import Counts
from gateway.store.sql import SqlStore
from tests.store.databases import OpenStore
from tests.store.receipts import awaited

A, B, C = awaited("a", 20.5), awaited("b", 10.0), awaited("c", 30.0, polls=4)


def test_the_longest_due_first_as_it_was_kept(store: SqlStore) -> None:
    store.await_reports([A, B, C])
    assert store.counts() == Counts(0, 0, awaited=3)
    assert store.claim_awaited(30.0, 2, 100.0) == [B, A]
    assert store.claim_awaited(30.0, 2, 100.0) == [C]
    assert store.claim_awaited(30.0, 2, 100.0) == []


def test_what_is_claimed_is_due_again_when_its_lease_is_over(open_store: OpenStore) -> None:
    store = open_store()
    store.await_reports([A])
    store.claim_awaited(30.0, 9, 40.25)
    store.close()
    store = open_store()
    assert store.claim_awaited(40.0, 9, 50.0) == []
    assert store.claim_awaited(40.25, 9, 50.0) == [A._replace(next_at=40.25)]


def test_a_key_that_is_there_stays_as_it_is(store: SqlStore) -> None:
    store.await_reports([A, A._replace(next_at=1.0)])
    store.await_reports([A._replace(next_at=2.0), B])
    assert store.counts() == Counts(0, 0, awaited=2)
    assert store.claim_awaited(30.0, 9, 40.0) == [B, A]


def test_postponing_counts_the_polls(store: SqlStore) -> None:
    store.await_reports([A, B, C])
    store.postpone([(A.key, 5.0), (C.key, 7.0), (A.key, 9.0), (b"?" * 16, 1.0)])
    assert store.claim_awaited(9.0, 9, 40.0) == [
        C._replace(next_at=7.0, polls=5),
        A._replace(next_at=9.0, polls=2),
    ]


def test_ended_is_gone(store: SqlStore) -> None:
    store.await_reports([A, B])
    store.end_awaited([A.key, A.key, C.key])
    assert store.counts() == Counts(0, 0, awaited=1)
    store.postpone([(A.key, 1.0)])
    assert store.claim_awaited(99.0, 9, 99.0) == [B]
