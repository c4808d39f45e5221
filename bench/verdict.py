"""One figure to reach, and how two values make one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Verdict:
    """A figure, its bound, and the values of the rounds."""

    what: str
    unit: str
    limit: float | None  # None: told, not judged
    values: Sequence[float]
    at_least: bool = False

    @property
    def value(self) -> float:
        return median(self.values) if self.values else math.nan

    @property
    def word(self) -> str:
        if not self.values:
            return "not measured"
        if self.limit is None:
            return "told"
        reached = self.value >= self.limit if self.at_least else self.value <= self.limit
        return "PASS" if reached else "MISS"


def ratio(a: float, b: float) -> float:
    return a / b


def difference(a: float, b: float) -> float:
    return a - b
