"""Whether a figure grows over time, and how sure that is. Pure.

Memory moves in steps and has outliers (a password check takes 19 MiB for 30 ms), so the slope is
that of Theil and Sen, the median of the slopes between all pairs of points, and its 95 % interval
is Kendall's. What follows each other within seconds is not independent, as that interval takes it
to be. So the points are medians of blocks first; the interval is still a little too narrow when
something moves more slowly than a block lasts.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from statistics import median
from typing import NamedTuple

Point = tuple[float, float]  # seconds, value

BLOCK = 15.0  # seconds at least
BLOCKS = 30  # at most
FEWEST = 5  # blocks without which there is no interval
_TWO_SIDED_95 = 1.96
HOUR = 3600.0


class Trend(NamedTuple):
    """A slope an hour and the ends of its 95 % interval, which may be infinite."""

    slope: float
    low: float
    high: float


def blocks(points: Sequence[Point]) -> list[Point]:
    """The medians of equal spans of time."""
    if not points:
        return []
    begin, end = points[0][0], points[-1][0]
    length = max(BLOCK, (end - begin) / BLOCKS)
    # What is left behind the last whole block belongs to it.
    last = max(0, int((end - begin) / length) - 1)
    grouped = itertools.groupby(points, lambda point: min(last, int((point[0] - begin) / length)))
    return [_middle(list(group)) for _, group in grouped]


def _middle(points: Sequence[Point]) -> Point:
    return median(at for at, _ in points), median(value for _, value in points)


def trend(points: Sequence[Point]) -> Trend:
    """The slope of `points` in their order of time; NaN for fewer than two blocks."""
    found = blocks(points)
    slopes = sorted(_slopes(found))
    if not slopes:
        return Trend(math.nan, -math.inf, math.inf)
    low, high = -math.inf, math.inf
    count = len(found)
    if count >= FEWEST:
        # Sen 1968: the ranks between which Kendall's statistic of the true slope would lie.
        spread = _TWO_SIDED_95 * math.sqrt(count * (count - 1) * (2 * count + 5) / 18)
        below = math.floor((len(slopes) - spread) / 2) - 1
        above = math.ceil((len(slopes) + spread) / 2)
        low = slopes[below] if below >= 0 else -math.inf
        high = slopes[above] if above < len(slopes) else math.inf
    return Trend(median(slopes) * HOUR, low * HOUR, high * HOUR)


def _slopes(points: Iterable[Point]) -> Iterable[float]:
    for (at, value), (later, other) in itertools.combinations(points, 2):
        if later > at:
            yield (other - value) / (later - at)


def levels(values: Sequence[float]) -> tuple[float, float]:
    """The medians of the first and of the last third."""
    third = max(1, len(values) // 3)
    return median(values[:third]), median(values[-third:])
