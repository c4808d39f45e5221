"""Receipts in any batches come to what a plain model says, together as one by one."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.store.base import (
    Awaited,
    Dead,
    Delivered,
    Pending,
    Report,
    Reported,
    Retry,
    Returned,
)
from gateway.store.batch import run_batch
from gateway.store.operations import (
    Claim,
    ClaimAwaited,
    EndAwaited,
    ExpireReceipts,
    LookAt,
    Operation,
    Postpone,
    SettleReceipt,
)
from gateway.store.sql import SqlStore
from tests.store.receipt_model import ReceiptModel
from tests.store.receipts import awaited, report

pytestmark = pytest.mark.usefixtures("no_waiting_for_the_disk")

_KEYS: Final = [awaited(message).key for message in "abc"]
_moments: Final = st.integers(0, 6).map(float)
_ids: Final = st.integers(1, 12)


def _report(
    message: str, kind: str, parts: int, due_at: float, leased: bool, state: int, system_id: str
) -> Report:
    receipts = report(message, *[f"{message}{n}" for n in range(2)], kind=kind).receipts[:parts]
    if kind == "interim":
        receipts = [one._replace(message_state=state) for one in receipts]
    return report(
        message, kind=kind, receipts=receipts, due_at=due_at, leased=leased, system_id=system_id
    )


_reports: Final = st.builds(
    _report,
    st.sampled_from("abc"),
    st.sampled_from(["final", "interim", "unknown"]),
    st.integers(0, 2),
    _moments,
    st.booleans(),
    st.sampled_from([1, 6]),
    st.sampled_from(["bank", "shop"]),
)
_quotas: Final = st.lists(
    st.tuples(st.sampled_from(["bank", "shop", "nobody"]), st.integers(0, 3)), max_size=3
)
_settled: Final = st.one_of(
    st.builds(Delivered, _ids),
    st.builds(Retry, _ids, _moments, st.sampled_from([None, 0x58])),
    st.builds(Dead, _ids, st.sampled_from([None, 8]), st.just("refused"), _moments),
    st.builds(Returned, _ids),
)
_operations: Final = st.one_of(
    _reports,
    _reports,
    _settled.map(SettleReceipt),
    _settled.map(SettleReceipt),
    st.builds(Claim, _moments, _quotas),
    st.builds(ExpireReceipts, _moments, _moments, st.integers(1, 2)),
    st.builds(awaited, st.sampled_from("abc"), _moments),
    st.builds(ClaimAwaited, _moments, st.integers(1, 2), _moments),
    st.builds(Postpone, st.sampled_from(_KEYS), _moments),
    st.builds(EndAwaited, st.sampled_from(_KEYS)),
    st.builds(LookAt, _moments),
)
_batches: Final = st.lists(
    st.one_of(st.lists(_operations, min_size=1, max_size=8), st.just("reopen")), max_size=6
)

_RANK: Final = {
    kind: rank
    for rank, kind in enumerate(
        [SettleReceipt, Awaited, Postpone, EndAwaited, Report, Claim, ExpireReceipts, ClaimAwaited]
    )
} | {LookAt: 99}

HELD, LATER = report("a", kind="unknown", due_at=1.0), report("a", due_at=2.0)
ON_ITS_WAY = report("a", kind="interim", due_at=1.0)
TAKE = Claim(6.0, [("bank", 3)])


def _apply(model: ReceiptModel, one: Any) -> object:
    match one:
        case Report():
            return model.report(one)
        case Claim():
            return model.claim(one.now, list(one.quotas))
        case ExpireReceipts():
            return model.expire(one.due_before, one.limit)
        case ClaimAwaited():
            return model.claim_awaited(*one)
        case LookAt():
            return model.look(one.now)
        case SettleReceipt():
            model.settle(one.settled)
        case Awaited():
            model.await_report(one)
        case Postpone():
            model.postpone(*one)
        case EndAwaited():
            model.end_awaited(one.key)
    return None


def _run(store: SqlStore, model: ReceiptModel, batch: Sequence[Any], batched: bool) -> None:
    ours: list[Operation] = sorted(batch, key=lambda one: _RANK[type(one)])  # as a batch promises
    if batched:
        # Each kind keeps its order, but the kinds may come in any.
        results = run_batch(store, batch)
        places = sorted(range(len(batch)), key=lambda place: _RANK[type(batch[place])])
        results = [results[place] for place in places]
    else:
        results = [result for one in ours for result in run_batch(store, [one])]
    assert results == [_apply(model, one) for one in ours]
    assert store.counts() == model.counts()


@pytest.mark.parametrize("batched", [True, False])
@settings(max_examples=60, deadline=None)
@given(batches=_batches)
@example(batches=[[HELD], [LATER, TAKE]])
@example(batches=[[HELD], [TAKE], [LATER], [SettleReceipt(Retry(1, 1.0, 8))], "reopen", [TAKE]])
@example(
    batches=[[ON_ITS_WAY], [TAKE], [SettleReceipt(Retry(1, 3.0, 8)), LATER], [LookAt(9.0), TAKE]]
)
@example(batches=[[ON_ITS_WAY], [TAKE], [LATER], [SettleReceipt(Retry(1, 3.0, 8)), TAKE]])
@example(batches=[[awaited("a"), report("a", receipts=[])], [report("a")]])
def test_a_store_is_like_the_model(empty: Path, batched: bool, batches: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as name:
        file = shutil.copy(empty, name)
        store, model = SqlStore(f"sqlite:///{file}", max_parts=1), ReceiptModel()
        for batch in batches:
            if batch == "reopen":
                store.close()
                store = SqlStore(f"sqlite:///{file}", max_parts=1)
                model.reopen()
            else:
                _run(store, model, batch, batched)
        with closing(store):
            _run(store, model, [Claim(9.0, [("bank", 99), ("shop", 99)])], batched)
            _run(store, model, [ClaimAwaited(99.0, 99, 99.0)], batched)


def test_the_model_itself() -> None:
    """It tells one thing wrong and one right, so that agreeing with it means something."""
    model = ReceiptModel()
    assert model.report(HELD) == Reported("new", (1,))
    assert model.report(LATER) == Reported("new", (2,))
    assert model.report(HELD) == Reported("stale")
    [[pending]] = model.claim(6.0, [("bank", 3)])
    assert isinstance(pending, Pending)
    assert pending.id == 2
