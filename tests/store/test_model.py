"""Any operations in any batches come to what a plain model says, together as one by one."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.store.base import (
    Complete,
    Counts,
    ExpiredSet,
    FailedSet,
    NewPart,
    Outcome,
    SetKey,
    StoreFull,
    Waiting,
)
from gateway.store.batch import run_batch
from gateway.store.operations import Expire, Operation, Release, Settle
from gateway.store.sql import SqlStore
from tests.store.model import Model
from tests.store.parts import everything, key

pytestmark = pytest.mark.usefixtures("no_waiting_for_the_disk")

ROOM: Final = 6
KEYS: Final = [key(total=1), key(total=2), key(total=2, reference=8), key(total=3)]

# An operation before it is known which sets there will be: those are named by a number.
_outcomes: Final = st.sampled_from(["refused", "unknown"])
_which: Final = st.integers(0, 9)
_adds: Final = st.tuples(
    st.just("add"),
    st.sampled_from(KEYS).flatmap(lambda k: st.tuples(st.just(k), st.integers(1, k.total))),
    st.binary(max_size=3),
    st.integers(0, 20).map(float),
)
_others: Final = st.one_of(
    st.tuples(st.just("settle"), _which),
    st.tuples(st.just("release"), _which, _outcomes),
    st.tuples(st.just("fail"), _which),
    st.tuples(st.just("expire"), st.integers(0, 20).map(float), st.integers(1, 3)),
)
_batches: Final = st.lists(
    st.one_of(
        st.lists(st.one_of(_adds, _adds, _others), min_size=1, max_size=8), st.just("reopen")
    ),
    max_size=8,
)

_RANK: Final = {Settle: 0, FailedSet: 1, Release: 2, NewPart: 3, Expire: 4}

A1, A2 = ("add", (KEYS[1], 1), b"1", 5.0), ("add", (KEYS[1], 2), b"2", 5.0)


class Pair:
    """A store and the model beside it; `batched` says how the store gets its operations."""

    def __init__(self, url: str, batched: bool) -> None:
        self.url = url
        self.batched = batched
        self.store = SqlStore(url, max_parts=ROOM)
        self.model = Model(ROOM)
        self.real: dict[bytes, bytes] = {}  # the model's base: the store's

    def close(self) -> None:
        self.store.close()

    def reopen(self) -> None:
        self.store.close()
        self.store = SqlStore(self.url, max_parts=ROOM)
        self.model.reopen()

    def run(self, batch: Sequence[tuple[Any, ...]]) -> None:
        known = list(self.real)
        ours = [_operation(one, known) for one in batch]
        ours.sort(key=lambda one: _RANK[type(one)])  # what a batch promises
        theirs = [self._translated(one) for one in ours]
        if self.batched:
            results = run_batch(self.store, theirs)
        else:
            results = [result for one in theirs for result in run_batch(self.store, [one])]
        for one, result in zip(ours, results, strict=True):
            self._compare(result, _apply(self.model, one))
        assert self.store.counts() == self.model.counts()

    def compare_everything(self) -> None:
        stored = everything(self.store)
        for expected in self.model.expire(1e9, 1_000):
            self._compare(stored.pop(self.real[expected.base]), expected)
        assert stored == {}

    def _translated(self, one: Any) -> Operation:
        return one if isinstance(one, NewPart | Expire) else one._replace(base=self._to(one.base))

    def _to(self, base: bytes) -> bytes:
        return self.real.get(base, b"?" * 16)

    def _compare(self, result: Any, expected: Any) -> None:
        if isinstance(expected, list):
            assert len(result) == len(expected)
            for one, other in zip(result, expected, strict=True):
                self._compare(one, other)
        elif isinstance(expected, StoreFull):
            assert isinstance(result, StoreFull)
        elif isinstance(expected, Waiting | Complete | ExpiredSet):
            if expected.base not in self.real:
                assert result.base not in self.real.values()
                self.real[expected.base] = result.base
            assert result == expected._replace(base=self._to(expected.base))
        else:
            assert result is expected is None


def _operation(one: tuple[Any, ...], known: list[bytes]) -> Operation:
    """With the model's bases."""
    kind, *rest = one
    if kind == "add":
        (of, number), pdu, deadline = rest
        return NewPart(of, number, pdu, 1.5, deadline)
    if kind == "expire":
        return Expire(*rest)
    base = known[-1 - rest[0] % len(known)] if known else b"none"
    if kind == "settle":
        return Settle(base)
    return Release(base, rest[1]) if kind == "release" else FailedSet(base, None)


def _apply(model: Model, one: Operation) -> object:
    if isinstance(one, NewPart):
        return model.add(one)
    if isinstance(one, Expire):
        return model.expire(*one)
    if isinstance(one, Release):
        model.release(*one)
        return None
    assert isinstance(one, Settle | FailedSet)
    model.settle(one.base)
    return None


@contextmanager
def pair(empty: Path, batched: bool) -> Iterator[Pair]:
    with (
        tempfile.TemporaryDirectory() as place,
        closing(Pair(f"sqlite:///{shutil.copy(empty, place)}", batched)) as both,
    ):
        yield both


@pytest.mark.parametrize("batched", [True, False])
@settings(max_examples=150, deadline=None)
@given(batches=_batches)
@example(batches=[[A1, A2, A1, A2], [("release", 0, "unknown"), ("release", 1, "refused"), A2]])
@example(batches=[[A1, A2, A1], "reopen", [A2, A2], "reopen", [("expire", 20.0, 3)]])
@example(batches=[[A1, A2], [("settle", 0), ("release", 0, "refused"), A1, A2], [("settle", 1)]])
def test_a_store_is_like_the_model(empty: Path, batched: bool, batches: list[Any]) -> None:
    with pair(empty, batched) as both:
        for batch in batches:
            if batch == "reopen":
                both.reopen()
            else:
                both.run(batch)
        both.compare_everything()


def test_the_model_itself() -> None:
    """It tells one thing wrong and one right, so that agreeing with it means something."""
    model = Model(ROOM)
    of: SetKey = KEYS[1]
    outcome: Outcome = "refused"
    assert model.add(NewPart(of, 1, b"1", 0.0, 1.0)) == Waiting(b"0", replaced=False)
    assert model.add(NewPart(of, 2, b"2", 0.0, 1.0)) == Complete(b"0", (b"1", b"2"))
    model.release(b"0", outcome)
    assert [one.outcome for one in model.expire(1.0, 1)] == [outcome]
    assert model.counts() == Counts(1, 1)
