"""What reports come to, before anything is written: what the contract cannot see."""

from __future__ import annotations

from itertools import count

from gateway.store.reporting import Message, Waits, judge
from gateway.store.schema import KNOWN_FINAL, KNOWN_HELD, KNOWN_INTERIM
from tests.store.receipts import ACCEPTED, report

KEY = report().key


def test_what_was_stored_and_superseded_in_one_batch_is_not_written() -> None:
    judged = judge([report(kind="unknown"), report()], {KEY: Message()}, count(1))
    assert list(judged.stored) == [2]
    assert judged.superseded == []
    assert judged.known == [(KEY, KNOWN_HELD), (KEY, KNOWN_FINAL)]


def test_what_lies_in_the_store_is_superseded_by_its_id() -> None:
    waiting = {
        1: Waits("interim", 1, leased=False),
        2: Waits("interim", 0, leased=False),
        3: Waits("interim", 1, leased=True),
        4: Waits("unknown", 0, leased=False),
    }
    judged = judge([report()], {KEY: Message(waiting=waiting)}, count(5))
    assert judged.superseded == [1, 4]
    assert list(judged.stored) == [5]


def test_a_repetition_writes_nothing() -> None:
    known = {KNOWN_INTERIM + ACCEPTED}
    judged = judge([report(kind="interim")], {KEY: Message(known)}, count(1))
    assert (judged.stored, judged.superseded, judged.known, judged.ended) == ({}, [], [], [])


def test_a_final_one_that_leaves_at_once_overtakes_what_is_not_on_its_way() -> None:
    waiting = {
        1: Waits("interim", 0, leased=False),
        2: Waits("interim", 0, leased=True),
    }
    judged = judge([report(leased=True)], {KEY: Message(waiting=waiting)}, count(5))
    assert judged.superseded == [1]
