"""The memory of a store follows its transactions."""

from __future__ import annotations

from gateway.store.base import Counts
from gateway.store.ledger import InHand, Leased, Ledger, Taken

A, B = Taken(1, b"a", 3), Taken(2, b"b", 4)


def test_what_is_taken_can_be_given_back_once() -> None:
    ledger = Ledger(Counts(2, 7))
    ledger.sets.take(b"A", A)
    assert ledger.sets.give_back(b"A") == A
    assert ledger.sets.give_back(b"A") is None
    assert ledger.counts == Counts(2, 7)


def test_deleting_counts_down_once() -> None:
    ledger = Ledger(Counts(2, 7, 1, 1, 1))
    ledger.sets.take(b"A", A)
    assert ledger.delete_set(b"A") == A
    assert ledger.delete_set(b"A") is None
    assert ledger.counts == Counts(1, 4, 1, 1, 1)


def test_each_count_gains_for_itself() -> None:
    ledger = Ledger(Counts(1, 1, 1, 1, 1))
    ledger.gain(sets=1, parts=2, receipts=3, dead=4, awaited=5)
    ledger.gain(receipts=-4)
    assert ledger.counts == Counts(2, 3, 0, 5, 6)


def test_rollback_restores_what_was() -> None:
    ledger = Ledger(Counts(2, 7))
    ledger.data_version = 3
    ledger.sets.take(b"A", A)
    ledger.receipts.take(1, Leased(b"k", interim=False))
    ledger.begin()
    ledger.delete_set(b"A")
    ledger.sets.take(b"A", B)
    ledger.sets.give_back(b"A")
    ledger.sets.take(b"B", B)
    ledger.receipts.give_back(1)
    ledger.gain(sets=5, parts=5, receipts=1)
    ledger.data_version = 4
    ledger.rollback()
    assert (ledger.counts, ledger.data_version) == (Counts(2, 7), 3)
    assert ledger.sets.give_back(b"A") == A
    assert ledger.sets.give_back(b"B") is None
    assert ledger.receipts.give_back(1) == Leased(b"k", interim=False)


def test_rollback_leaves_what_was_committed() -> None:
    ledger = Ledger(Counts(0, 0))
    ledger.begin()
    ledger.gain(sets=1, parts=3)
    ledger.sets.take(b"A", A)
    ledger.begin()
    ledger.sets.take(b"B", B)
    ledger.rollback()
    assert ledger.counts == Counts(1, 3)
    assert ledger.sets.give_back(b"A") == A


def test_what_came_and_went_between_leaves_nothing() -> None:
    hand: InHand[int, str] = InHand()
    hand.begin()
    hand.take(1, "a")
    hand.give_back(1)
    hand.rollback()
    assert hand.give_back(1) is None
