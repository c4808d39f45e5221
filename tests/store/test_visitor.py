"""A person looks after the receipts of a store that a gateway has open."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from gateway.store.base import Counts, Dead, Look, Report, Retry, StoreUnavailable
from gateway.store.sql import SqlStore
from gateway.store.visitor import Row, Visitor
from gateway.store.worker import StoreThread
from tests.store.receipts import claimed, live, names, report


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/store.db"


@pytest.fixture
def store(url: str) -> Iterator[SqlStore]:
    with closing(SqlStore(url, max_parts=9)) as one:
        yield one


@pytest.fixture
def visitor(store: SqlStore, url: str) -> Iterator[Visitor]:
    """Beside the store, which stays open."""
    with closing(Visitor(url)) as one:
        yield one


def bury(store: SqlStore, *reports: Report, now: float = 50.0, status: int | None = 11) -> None:
    for told in store.report([one._replace(leased=True) for one in reports]):
        store.settle_receipts([Dead(one, status, "refused", now) for one in told.ids])


def shown(rows: list[Row]) -> list[tuple[str, str]]:
    return [(row.message_id, row.state) for row in rows]


def test_the_oldest_first_dead_ones_last(store: SqlStore, visitor: Visitor) -> None:
    store.report([report("b", due_at=14.0), report("a", due_at=13.0), report("s", leased=True)])
    store.report([report("else", system_id="shop", due_at=1.0)])
    bury(store, report("d2"), now=60.0)
    bury(store, report("d1"), now=50.0)
    list_ = visitor.list_receipts
    live_ones = [("else", "pending"), ("s", "leased"), ("a", "pending"), ("b", "pending")]
    dead_ones = [("d1", "dead"), ("d2", "dead")]
    assert shown(list_("all", now=99.0, limit=9)) == live_ones + dead_ones
    assert shown(list_("pending", now=99.0, limit=2)) == live_ones[:2]
    assert shown(list_("dead", now=99.0, limit=1)) == dead_ones[:1]
    assert shown(list_("all", "shop", now=99.0, limit=9)) == live_ones[:1]
    # Older than 40 seconds at 99: due before 59, or dead before 59.
    assert shown(list_("dead", older_than=40.0, now=99.0, limit=9)) == dead_ones[:1]
    assert shown(list_("pending", older_than=86.0, now=99.0, limit=9)) == live_ones[:2]


def test_all_that_is_known_of_a_message(store: SqlStore, visitor: Visitor) -> None:
    store.report([report("m", kind="interim"), report("other")])
    [pending] = claimed(store, limit=1)
    store.settle_receipts([Retry(pending.id, 77.5, 0x58)])
    bury(store, report("m", key=b"k" * 16), now=60.5)
    assert visitor.show("m") == [
        Row(1, "pending", "bank", "m", "interim", 6, 1, 0x58, 10.5, 11.25, 12.0, 77.5, "", None,
            b"\x00m"),
        Row(3, "dead", "bank", "m", "final", 2, 1, 11, 10.5, 11.25, 12.0, None, "refused", 60.5,
            b"\x00m"),
    ]  # fmt: skip
    assert visitor.show("nobody") == []


def test_the_dead_come_back_as_if_new(store: SqlStore, visitor: Visitor) -> None:
    bury(store, report("a"), report("b"), report("else", system_id="shop"))
    bury(store, report("young"), now=98.0)
    assert visitor.retry_dead("bank", older_than=10.0, now=99.0) == 2
    assert store.look(99.0) == Look(99.0, changed=True)
    assert store.counts() == Counts(0, 0, receipts=2, dead=2)
    assert store.look(99.0) == Look(99.0, changed=False)
    assert claimed(store, 98.9) == []
    again = claimed(store, 99.0)
    assert names(again) == ["a", "b"]
    assert {(one.attempts, one.due_at, one.received_at) for one in again} == {(0, 99.0, 11.25)}
    assert visitor.retry_dead(message_id="else", now=99.0) == 1
    assert visitor.retry_dead(now=99.0) == 1
    assert visitor.retry_dead(now=99.0) == 0
    # Theirs are the ids that they had, and nobody else gets one.
    [told] = store.report([report("new")])
    assert told.ids[0] == 5


@pytest.mark.parametrize(
    ("state", "left"),
    [
        ("pending", ["sent", "d1", "d2"]),
        ("dead", ["a", "b", "sent"]),
        ("all", ["sent"]),
    ],
)
def test_purging_leaves_what_is_being_sent(
    store: SqlStore, visitor: Visitor, state: Any, left: list[str]
) -> None:
    store.report([report("a"), report("b"), report("sent", leased=True)])
    bury(store, report("d1"), report("d2"))
    assert visitor.purge(state, now=99.0) == 5 - len(left)
    rows = visitor.list_receipts("all", now=99.0, limit=9)
    assert sorted(row.message_id for row in rows) == sorted(left)
    assert store.look(99.0).changed
    assert sum(store.counts()) == len(left)


def test_purging_some(store: SqlStore, visitor: Visitor) -> None:
    store.report([report("old"), report("young", due_at=90.0), report("s", system_id="shop")])
    assert visitor.purge("all", "bank", 10.0, now=99.0) == 1
    assert live(store) == ["young", "s"]


def test_it_works_in_bites(
    store: SqlStore, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.store.visitor._BITE", 2)
    bury(store, *[report(f"{n}") for n in range(5)])
    assert visitor.retry_dead(now=99.0) == 5
    assert visitor.purge("pending", now=99.0) == 5
    assert live(store) == []


def test_reading_holds_nobody_up(store: SqlStore, visitor: Visitor) -> None:
    with visitor._transaction() as connection:
        connection.exec_driver_sql("SELECT count(*) FROM receipts").scalar_one()
        store.report([report()])  # it would wait for five seconds, and fail
    assert shown(visitor.show("m")) == [("m", "pending")]


def test_where_no_store_is_none_is_made(tmp_path: Path) -> None:
    file = tmp_path / "store.db"
    with pytest.raises(StoreUnavailable, match=r"store\.db: No such file"):
        Visitor(f"sqlite:///{file}")
    assert not file.exists()
    with pytest.raises(StoreUnavailable, match="in the gateway's memory"):
        Visitor("sqlite://")


def test_a_store_of_another_version_is_left_alone(store: SqlStore, url: str) -> None:
    with store.transaction() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0001'")
    with pytest.raises(StoreUnavailable, match="start this version of the gateway once"):
        Visitor(url)


def _retry(url: str) -> int:
    """In a process of its own."""
    with closing(Visitor(url)) as visitor:
        return visitor.retry_dead(now=99.0)


def test_the_gateway_notices_what_another_process_did(
    url: str, running_reactor: Any, in_reactor: Callable[..., Any]
) -> None:
    store = StoreThread(running_reactor, lambda: SqlStore(url, max_parts=9))
    store.open()

    async def before() -> None:
        told = await store.report(report(leased=True))
        await store.settle_receipt(Dead(told.ids[0], 11, "refused", 50.0))
        assert await store.look(99.0) == Look(None, changed=False)

    async def after() -> None:
        assert store.counts == Counts(0, 0, dead=1)
        assert await store.look(99.0) == Look(99.0, changed=True)
        assert store.counts == Counts(0, 0, receipts=1)
        [[pending]] = await store.claim(99.0, [("bank", 9)])
        assert pending.message_id == "m"

    context = multiprocessing.get_context("forkserver")
    try:
        in_reactor(lambda: Deferred.fromCoroutine(before()))
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            assert pool.submit(_retry, url).result(60) == 1
        in_reactor(lambda: Deferred.fromCoroutine(after()))
    finally:
        in_reactor(store.stop)
