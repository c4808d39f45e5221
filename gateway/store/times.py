"""Moments as the store keeps them: whole microseconds of wall clock."""

from __future__ import annotations

from typing import Final

_MICROS: Final = 1_000_000


def micros(seconds: float) -> int:
    """Whole microseconds."""
    return round(seconds * _MICROS)


def seconds(micros: int) -> float:
    """The inverse of `micros`, exact for the next two centuries."""
    return micros / _MICROS
