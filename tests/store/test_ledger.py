"""The memory of a store follows its transactions."""

from __future__ import annotations

from gateway.store.base import Counts
from gateway.store.ledger import Ledger, Taken

A, B = Taken(1, b"a", 3), Taken(2, b"b", 4)


def counts(ledger: Ledger) -> Counts:
    return Counts(ledger.sets, ledger.parts)


def test_what_is_taken_can_be_given_back_once() -> None:
    ledger = Ledger(Counts(2, 7))
    ledger.take(b"A", A)
    assert ledger.give_back(b"A") == A
    assert ledger.give_back(b"A") is None
    assert counts(ledger) == Counts(2, 7)


def test_deleting_counts_down_once() -> None:
    ledger = Ledger(Counts(2, 7))
    ledger.take(b"A", A)
    assert ledger.delete(b"A") == A
    assert ledger.delete(b"A") is None
    assert counts(ledger) == Counts(1, 4)


def test_rollback_restores_what_was() -> None:
    ledger = Ledger(Counts(2, 7))
    ledger.take(b"A", A)
    ledger.begin()
    ledger.delete(b"A")
    ledger.take(b"A", B)
    ledger.give_back(b"A")
    ledger.take(b"B", B)
    ledger.gain(5, 5)
    ledger.rollback()
    assert counts(ledger) == Counts(2, 7)
    assert ledger.give_back(b"A") == A
    assert ledger.give_back(b"B") is None


def test_rollback_leaves_what_was_committed() -> None:
    ledger = Ledger(Counts(0, 0))
    ledger.begin()
    ledger.gain(1, 3)
    ledger.take(b"A", A)
    ledger.begin()
    ledger.take(b"B", B)
    ledger.rollback()
    assert counts(ledger) == Counts(1, 3)
    assert ledger.give_back(b"A") == A
