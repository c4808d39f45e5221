"""Seconds and microseconds."""

from __future__ import annotations

import pytest

from gateway.store.times import micros, seconds


@pytest.mark.parametrize("number", [0, 1, 1_764_000_000_123_457, 4_102_444_799_999_999])
def test_whole_microseconds_survive(number: int) -> None:
    assert micros(seconds(number)) == number


def test_what_is_finer_is_rounded() -> None:
    assert micros(1.0000005001) == 1_000_001
