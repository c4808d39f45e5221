"""Which number a message gets when the one it wishes for is taken."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gateway.store import short_ids
from gateway.store.sql import SqlStore


def choosing(**choices: list[int]) -> Callable[[str, int], int]:
    return lambda message_id, rank: choices[message_id][rank]


def kept(store: SqlStore, *ids: str, **choices: list[int]) -> list[int]:
    with store.transaction() as connection:
        rows = [("bank", one, 1) for one in ids]
        return short_ids.keep(connection, rows, choosing(**choices))


def test_the_first_free_one_of_its_choices(store: SqlStore) -> None:
    assert kept(store, "a", a=[5, 9]) == [5]
    assert kept(store, "b", b=[5, 0, 0, 6, 8, 8]) == [6]
    with store.transaction() as connection:
        found = short_ids.find(connection, [("bank", 5), ("bank", 6), ("bank", 8), ("shop", 5)])
    assert found == {("bank", 5): "a", ("bank", 6): "b"}


def test_two_that_choose_the_same(store: SqlStore) -> None:
    assert kept(store, "x", "y", "x", x=[9, 3], y=[9, 4]) == [9, 4, 9]


def test_it_gets_its_number_again_though_a_better_one_is_free_by_now(store: SqlStore) -> None:
    kept(store, "a", a=[5, 9])
    assert kept(store, "b", b=[5, 6]) == [6]
    with store.transaction() as connection:
        connection.exec_driver_sql("DELETE FROM short_ids WHERE message_id = 'a'")
    assert kept(store, "b", b=[5, 6]) == [6]


def test_a_collision_of_real_ids_comes_out_the_same_again(store: SqlStore) -> None:
    ids = [("bank", f"00000005-{n}", 1.0) for n in range(20)]
    numbers = store.keep_ids(ids)
    assert numbers[0] == 5
    assert len(set(numbers)) == 20
    assert store.keep_ids(list(reversed(ids))) == list(reversed(numbers))
    assert store.find_ids([("bank", number) for number in numbers]) == [one for _, one, _ in ids]


@pytest.mark.parametrize("message_id", ["", "x", "00000005-"])
def test_every_choice_is_another_one(message_id: str) -> None:
    choices = [short_ids.choice(message_id, rank) for rank in range(10)]
    assert len(set(choices)) == 10
    assert all(0 <= one < 2**32 for one in choices)
