"""Whose turn it is: work for thousands of connections in small helpings. Pure.

All of them at once would hold up the event loop twice a second, and those that bound together
would all be asked at once whether they live.
"""

from __future__ import annotations

import math


class Turns:
    """`count` turns that all come once in each `period` of seconds, at equal distances."""

    def __init__(self, count: int, period: float) -> None:
        self.count = count
        self.beat = period / count  # seconds from one turn to the next
        self._last: int | None = None

    def due(self, now: float) -> set[int]:
        """The turns that have come since the last call: all, when that is `period` ago."""
        current = math.floor(now / self.beat)
        last = current - self.count if self._last is None else self._last
        self._last = current
        first = max(last + 1, current - self.count + 1)
        return {turn % self.count for turn in range(first, current + 1)}
