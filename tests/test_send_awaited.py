"""Receipts and the messages that they are about."""

from __future__ import annotations

import pytest

from gateway.send_answer import Answer
from gateway.send_awaited import Arrival, Awaited
from gateway.send_receipts import Receipt


def answer(message_id: str, to: str = "+372555", part: int = 1) -> Answer:
    return Answer(to, "ESME_ROK", message_id, 0.1, part)


def receipt(
    message_id: str, stat: str = "DELIVRD", source: str = "372555", final: bool = True
) -> Receipt:
    return Receipt(message_id, stat, "000", source, final)


@pytest.mark.parametrize(
    ("answered", "receipted"),
    [
        ("6a4b4b6c-6f5a-4d3e-9c2b-1f0e8d7c6b5a", "6A4B4B6C-6F5A-4D3E-9C2B-1F0E8D7C6B5A"),
        ("Demo-1", "Demo-1"),
        ("0012", "12"),
        ("5AC3F01B", "1522790427"),
        ("5ac3f01b", "1522790427"),
        ("00C3F01B", "0012840987"),
        ("00C3F01B", "12840987"),
        ("c3f01b", "12840987"),
        ("1522790427", "5AC3F01B"),
        ("0012840987", "00c3f01b"),
        ("00000000", "0000000000"),
        ("12345678", "0305419896"),
    ],
)
def test_ways_to_write_an_id(answered: str, receipted: str) -> None:
    awaited = Awaited()
    assert list(awaited.answered(answer(answered), 5.0)) == []
    for other in ("10000000", "beef", "7"):
        assert list(awaited.answered(answer(other), 5.0)) == []
    found = awaited.arrived(receipt(receipted), 7.5)
    assert found == Arrival(receipt(receipted), answer(answered), 2.5)
    assert awaited.missing == 3
    # And when it comes before the answer.
    awaited = Awaited()
    assert awaited.arrived(receipt(receipted), 4.5) is None
    assert list(awaited.answered(answer("77"), 4.6)) == []
    assert list(awaited.answered(answer(answered), 5.0)) == [
        Arrival(receipt(receipted), answer(answered), -0.5)
    ]
    assert list(awaited.strangers()) == []
    assert awaited.missing == 1


@pytest.mark.parametrize(
    ("answered", "receipted"),
    [
        ("10", "16"),
        ("16", "10"),
        ("a", "b"),
        ("5AC3F01B", "1522790428"),
        ("123456789a", "78187493530"),
        ("²", "2"),
        ("", "x"),
    ],
)
def test_ids_that_are_not_the_same(answered: str, receipted: str) -> None:
    awaited = Awaited()
    assert list(awaited.answered(answer(answered), 5.0)) == []
    assert awaited.arrived(receipt(receipted), 6.0) is None
    assert awaited.missing == 1
    assert list(awaited.strangers()) == [Arrival(receipt(receipted))]
    assert list(awaited.strangers()) == []


def test_the_id_as_it_is_counts_for_most() -> None:
    awaited = Awaited()
    for message_id in ("00000010", "0000000016", "16", "00000016"):
        assert list(awaited.answered(answer(message_id), 0)) == []
    for message_id in ("16", "00000016", "0000000016", "00000010"):
        found = awaited.arrived(receipt(message_id), 1)
        assert found is not None
        assert found.answer == answer(message_id)
    assert awaited.missing == 0


def test_interim_and_repeated_receipts() -> None:
    awaited = Awaited()
    assert list(awaited.answered(answer("a"), 0.0)) == []
    interim = awaited.arrived(receipt("a", "ACCEPTD", final=False), 1.0)
    assert interim is not None
    assert (interim.first, awaited.missing) == (True, 1)
    first = awaited.arrived(receipt("a"), 2.0)
    again = awaited.arrived(receipt("a"), 3.0)
    assert first is not None
    assert again is not None
    assert (first.first, again.first, again.seconds, awaited.missing) == (True, False, 3.0, 0)


def test_one_id_for_several_numbers() -> None:
    awaited = Awaited()
    numbers = ("+1111", "2222", "+3333", "+3333")
    for to in numbers:
        assert list(awaited.answered(answer("a", to), 0.0)) == []
    found = [
        awaited.arrived(receipt("a", source=source), 1.0)
        for source in ("2222", "3333", "3333", "elsewhere", "2222")
    ]
    assert [each.answer.to for each in found if each and each.answer] == [
        "2222", "+3333", "+3333", "+1111", "2222",
    ]  # fmt: skip
    assert [each.first for each in found if each] == [True, True, True, True, False]
    assert awaited.missing == 0
