"""Which number a message gets when the one it wishes for is taken."""

from __future__ import annotations

from collections.abc import Callable

from gateway.store import short_ids
from gateway.store.sql import SqlStore


def drawing(*numbers: int) -> Callable[[int], int]:
    left = list(numbers)

    def draw(bits: int) -> int:
        assert bits == 32
        return left.pop(0)

    return draw


def test_it_draws_until_a_number_is_free(store: SqlStore) -> None:
    with store.transaction() as connection:
        assert short_ids.keep(connection, [("bank", "00000005", 1)]) == [5]
        draw = drawing(0, 5, 6)
        assert short_ids.keep(connection, [("bank", "00000005-other", 1)], draw) == [6]
        found = short_ids.find(connection, [("bank", 5), ("bank", 6), ("bank", 7)])
    assert found == {("bank", 5): "00000005", ("bank", 6): "00000005-other"}


def test_two_that_draw_the_same(store: SqlStore) -> None:
    with store.transaction() as connection:
        ids = [("bank", "x", 1), ("bank", "y", 1), ("shop", "z", 1)]
        assert short_ids.keep(connection, ids, drawing(9, 9, 9, 4)) == [9, 4, 9]
