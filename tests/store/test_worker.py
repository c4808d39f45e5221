"""The store's thread beside a real reactor."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, DeferredList, gatherResults
from twisted.python.failure import Failure

from gateway.store.base import (
    Added,
    Counts,
    Delivered,
    Look,
    NewPart,
    Retry,
    StoreFull,
    StoreUnavailable,
    Waiting,
)
from gateway.store.sql import SqlStore
from gateway.store.worker import StoreThread
from tests.store.parts import complete, key, part, poison, waiting
from tests.store.receipts import awaited, report

InReactor = Callable[..., Any]


class Gated(SqlStore):
    """A store whose adding can be held up, and which remembers its batches."""

    def __init__(self, url: str = "sqlite://", max_parts: int = 2_000) -> None:
        super().__init__(url, max_parts=max_parts)
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.batches: list[int] = []
        self.threads: set[threading.Thread] = set()

    def add(self, parts: Sequence[NewPart]) -> list[Added]:
        self.threads.add(threading.current_thread())
        self.batches.append(len(parts))
        self.entered.set()
        assert self.gate.wait(20)
        return super().add(parts)


class Fixture:
    """A thread with its store, and what was observed."""

    def __init__(self, reactor: Any, factory: Callable[[], SqlStore]) -> None:
        self.made: list[SqlStore] = []
        self.observed: list[tuple[float, list[str]]] = []
        self.observed_in: set[threading.Thread] = set()

        def make() -> SqlStore:
            self.made.append(factory())
            return self.made[-1]

        def observe(seconds: float, failed: list[str]) -> None:
            self.observed.append((seconds, failed))
            self.observed_in.add(threading.current_thread())

        self.thread = StoreThread(reactor, make, observe)

    @property
    def gated(self) -> Gated:
        [one] = self.made
        assert isinstance(one, Gated)
        return one


@contextmanager
def opened(
    reactor: Any, in_reactor: InReactor, factory: Callable[[], SqlStore] = Gated
) -> Iterator[Fixture]:
    fixture = Fixture(reactor, factory)
    fixture.thread.open()
    try:
        yield fixture
    finally:
        if isinstance(fixture.made[0], Gated):
            fixture.made[0].gate.set()
        in_reactor(fixture.thread.stop)


@pytest.fixture
def fixture(running_reactor: Any, in_reactor: InReactor) -> Iterator[Fixture]:
    with opened(running_reactor, in_reactor) as one:
        yield one


def store_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "store"]


def test_every_operation(fixture: Fixture, in_reactor: InReactor) -> None:
    store = fixture.thread

    async def conversation() -> None:
        first = waiting(await store.add_part(part(1, b"1")))
        done = complete(await store.add_part(part(2, b"2")))
        assert done.base == first.base
        assert store.counts == Counts(1, 1)
        assert await store.release(done.base, "refused") is None  # type: ignore[func-returns-value]
        again = complete(await store.add_part(part(2, b"2 again")))
        assert again.pdus == (b"1", b"2 again")
        await store.settle(again.base)
        assert store.counts == Counts(0, 0)
        await store.add_part(part(1, b"late"))
        [expired] = await store.expire(2_000.0, 10)
        await store.fail(expired.base, report("failed"))
        assert store.counts == Counts(0, 0, receipts=1)
        await store.await_report(awaited("m"))
        [asked] = await store.claim_awaited(30.0, 10, 40.0)
        await store.postpone(asked.key, 50.0)
        assert await store.claim_awaited(45.0, 10, 60.0) == []
        [told] = (await store.report(report("m", leased=True))).ids
        assert store.counts == Counts(0, 0, receipts=2)
        await store.settle_receipt(Delivered(told))
        await store.await_report(awaited("other"))
        await store.end_awaited(awaited("other").key)
        [[pending]] = await store.claim(20.0, [("bank", 10)])
        assert pending.message_id == "failed"
        await store.settle_receipt(Retry(pending.id, 30.0, 8))
        assert await store.look(50.0) == Look(12.0, changed=False)
        assert await store.expire_receipts(20.0, 60.0, 10) == ["bank"]
        assert store.counts == Counts(0, 0, dead=1)
        assert await store.keep_id("bank", "0000000a-b", 1.0) == 10
        assert await store.find_id("bank", 10) == "0000000a-b"
        assert await store.find_id("bank", 11) is None
        await store.save_memories({"bank": b"m"})
        assert await store.load_memories() == {"bank": b"m"}
        await store.purge(2.0, 3.0, 61.0)
        assert store.counts == Counts(0, 0)
        assert await store.find_id("bank", 10) is None

    in_reactor(lambda: Deferred.fromCoroutine(conversation()))
    assert fixture.thread.backlog == 0


def test_the_store_has_one_thread_and_the_reactor_hears_the_results(
    fixture: Fixture, in_reactor: InReactor
) -> None:
    heard: list[threading.Thread] = []

    def add() -> Deferred[Any]:
        added = fixture.thread.add_part(part(1, b"1"))
        return added.addCallback(lambda _: heard.append(threading.current_thread()))

    in_reactor(add)
    [thread] = fixture.gated.threads
    assert thread.name == "store"
    assert heard == [in_reactor(threading.current_thread)]
    assert fixture.observed_in == set(heard)


def test_what_comes_during_a_commit_makes_the_next_batch(
    fixture: Fixture, in_reactor: InReactor
) -> None:
    store, gated = fixture.thread, fixture.gated
    gated.gate.clear()
    results: list[Deferred[Any]] = []

    def add(count: int) -> None:
        start = len(results)
        results.extend(
            store.add_part(part(1, b"x", key(reference=start + n))) for n in range(count)
        )

    in_reactor(add, 1)
    assert gated.entered.wait(20)
    in_reactor(add, 100)
    assert in_reactor(lambda: store.backlog) == 101
    gated.gate.set()
    in_reactor(lambda: gatherResults(results))
    assert gated.batches == [1, 100]
    assert [failed for _, failed in fixture.observed] == [[], []]
    assert all(0 < seconds < 20 for seconds, _ in fixture.observed)
    assert store.backlog == 0
    assert store.counts == Counts(101, 101)


def test_all_results_of_a_batch_come_in_one_call(fixture: Fixture, in_reactor: InReactor) -> None:
    """The first of them hears that the others' results are there too."""
    store, gated = fixture.thread, fixture.gated
    gated.gate.clear()
    backlogs: list[int] = []

    def add(count: int) -> list[Deferred[Any]]:
        added = [store.add_part(part(1, b"x", key(reference=n))) for n in range(count)]
        for one in added:
            one.addCallback(lambda _: backlogs.append(store.backlog))
        return added

    first: list[Deferred[Any]] = []
    in_reactor(lambda: first.extend(add(1)))
    assert gated.entered.wait(20)
    rest: list[Deferred[Any]] = []
    in_reactor(lambda: rest.extend(add(20)))
    gated.gate.set()
    in_reactor(lambda: gatherResults(first + rest))
    assert backlogs[1:] == [0] * 20


def test_a_batch_is_bounded(
    fixture: Fixture, in_reactor: InReactor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.store.worker._BATCH", 8)
    store, gated = fixture.thread, fixture.gated
    gated.gate.clear()
    keys = [key(reference=n) for n in range(21)]
    results: list[Deferred[Any]] = []
    in_reactor(lambda: results.append(store.add_part(part(1, b"x", keys[0]))))
    assert gated.entered.wait(20)
    in_reactor(lambda: results.extend(store.add_part(part(1, b"x", of)) for of in keys[1:]))
    gated.gate.set()
    in_reactor(lambda: gatherResults(results))
    assert gated.batches == [1, 8, 8, 4]


def test_one_that_fails_harms_no_other(running_reactor: Any, in_reactor: InReactor) -> None:
    def factory() -> SqlStore:
        store = Gated(max_parts=2)
        poison(store, b"bad")
        return store

    with opened(running_reactor, in_reactor, factory) as fixture:
        store, gated = fixture.thread, fixture.gated
        gated.gate.clear()
        results: list[Deferred[Any]] = []
        in_reactor(lambda: results.append(store.add_part(part(1, b"good"))))
        assert gated.entered.wait(20)
        parts = [b"bad", b"good", b"no room"]
        in_reactor(
            lambda: results.extend(
                store.add_part(part(1, pdu, key(reference=n))) for n, pdu in enumerate(parts)
            )
        )
        gated.gate.set()
        outcomes = in_reactor(lambda: DeferredList(results, consumeErrors=True))
        kinds = [type(one) if good else type(one.value) for good, one in outcomes]
        assert kinds == [Waiting, StoreUnavailable, Waiting, StoreFull]
        assert outcomes[1][1].value.detail == "the store: poisoned"
        assert store.counts == Counts(2, 2)


@pytest.mark.parametrize("times", [1, 2])
def test_stop_finishes_the_queue_closes_the_store_and_ends_the_thread(
    running_reactor: Any, in_reactor: InReactor, tmp_path: Path, times: int
) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    before = store_threads()
    with opened(running_reactor, in_reactor, lambda: Gated(url)) as fixture:
        store, gated = fixture.thread, fixture.gated
        gated.gate.clear()
        events: list[str] = []

        def note(failure: Failure) -> None:
            events.append(str(failure.value))

        def go() -> list[Deferred[Any]]:
            added = [store.add_part(part(1, b"x", key(reference=n))) for n in range(50)]
            for one in added:
                one.addCallback(lambda _: events.append("added"))
            stopped = [store.stop() for _ in range(times)]
            for each in stopped:
                each.addCallback(lambda _: events.append("stopped"))
            store.settle(b"x").addErrback(note)
            return [*added, *stopped]

        waited: list[Deferred[Any]] = []
        in_reactor(lambda: waited.extend(go()))
        gated.gate.set()
        in_reactor(lambda: gatherResults(waited))
        assert events == ["the store is closed", *["added"] * 50, *["stopped"] * times]
        assert store_threads() == before
        again = SqlStore(url, max_parts=1_000)
        assert again.counts() == Counts(50, 50)
        again.close()
        in_reactor(store.stop)


def test_a_store_that_cannot_be_opened_is_an_error_at_once(
    running_reactor: Any, in_reactor: InReactor
) -> None:
    before = store_threads()
    store = StoreThread(
        running_reactor, lambda: SqlStore("sqlite:////nowhere/at/all.db", max_parts=1)
    )
    for start in (store.open, store.start):
        with pytest.raises(StoreUnavailable, match="/nowhere/at/all"):
            start()
    with pytest.raises(StoreUnavailable, match="closed"):
        in_reactor(store.load_memories)
    in_reactor(store.stop)
    assert [thread for thread in store_threads() if thread.is_alive()] == before


def test_opening_tells_what_is_there(
    running_reactor: Any, in_reactor: InReactor, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    first = SqlStore(url, max_parts=9)
    first.add([part(1, b"1")])
    first.close()
    with opened(running_reactor, in_reactor, lambda: SqlStore(url, max_parts=9)) as fixture:
        assert fixture.thread.counts == Counts(1, 1)
        fixture.thread.start()  # nothing to do any more
        assert len(fixture.made) == 1


def test_purge_goes_on_until_all_is_gone(
    running_reactor: Any, in_reactor: InReactor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.store.sql._PURGED_AT_ONCE", 3)
    with opened(running_reactor, in_reactor) as fixture:
        store = fixture.thread

        async def conversation() -> list[str | None]:
            for n in range(1, 12):
                await store.keep_id("bank", f"{n:08x}", float(n))
            await store.purge(20.0, 0.0, 0.0)
            return [await store.find_id("bank", n) for n in range(1, 12)]

        assert in_reactor(lambda: Deferred.fromCoroutine(conversation())) == [None] * 11
