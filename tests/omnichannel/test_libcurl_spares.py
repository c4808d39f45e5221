"""Transfers kept for the next requests, and let go when nobody needs them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gateway.omnichannel.libcurl_exchange import Exchange
from gateway.omnichannel.libcurl_options import Pool
from gateway.omnichannel.libcurl_spares import Spares
from gateway.omnichannel.transport import TransportSettings

SETTINGS = TransportSettings("http://127.0.0.1:1/v1", "test")


@pytest.fixture
def spares() -> Iterator[Spares]:
    found = Spares()
    yield found
    found.clear()


def fill(spares: Spares, count: int) -> None:
    pool = Pool()
    for _ in range(count):
        spares.put(Exchange("POST", SETTINGS, pool))


def test_the_last_one_is_taken_first(spares: Spares) -> None:
    assert spares.take() is None
    fill(spares, 3)
    first, second, third = spares
    assert [spares.take(), spares.take()] == [third, second]
    spares.put(second)
    assert list(spares) == [first, second]


def test_half_of_those_that_nobody_needed_go_at_a_time(spares: Spares) -> None:
    fill(spares, 100)
    spares.thin()  # that many are new: nothing is known of them yet
    assert len(list(spares)) == 100
    left = []
    for _ in range(8):
        spares.thin()
        left.append(len(list(spares)))
    assert left == [50, 25, 12, 6, 3, 1, 0, 0]


def test_those_in_use_stay(spares: Spares) -> None:
    fill(spares, 100)
    spares.thin()
    taken = [spares.take() for _ in range(90)]
    for exchange in taken:
        assert exchange is not None
        spares.put(exchange)
    spares.thin()
    assert len(list(spares)) == 95
    spares.thin()
    assert len(list(spares)) == 47, "nobody needed them since"
