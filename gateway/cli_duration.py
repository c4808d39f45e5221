"""Durations on a command line, such as 90s and 3d: how they are read and written."""

from __future__ import annotations

import re
from typing import Final

import click

# Seconds in each unit, the largest first.
UNITS: Final = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}


def read_duration(
    _context: click.Context, _option: click.Parameter, written: str | None
) -> float | None:
    """The callback of an option: its value in seconds."""
    if written is None:
        return None
    found = re.fullmatch(r"([0-9]{1,6})([dhms])", written)  # longer ones no clock could bear
    if not found:
        raise click.BadParameter(
            f"{written!r} is no duration: write a whole number and s, m, h or d, such as 15m"
        )
    return float(found[1]) * UNITS[found[2]]


def duration(seconds: float) -> str:
    """Rounded down to the largest unit of which there are two, or exactly one."""
    for unit, size in UNITS.items():
        if seconds >= 2 * size or seconds == size:
            return f"{seconds // size:.0f}{unit}"
    return f"{max(0, int(seconds))}s"
