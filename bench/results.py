"""What a run found."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from bench.scenarios import Measured

Report = dict[str, Any]


@dataclass
class Results:
    """Reports by scenario, one a round; single figures; and what went wrong."""

    reports: dict[Measured, list[Report]] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    against: str = ""  # the revision compared with

    def add(self, scenario: Measured, report: Report) -> None:
        self.reports.setdefault(scenario, []).append(report)

    def values(self, scenario: Measured, name: str) -> list[float]:
        """Give the figure of each round that has it."""
        return [float(r[name]) for r in self.reports.get(scenario, []) if name in r]

    def middle(self, scenario: Measured, name: str) -> float:
        """Give the median over the rounds, NaN when it was not measured."""
        values = self.values(scenario, name)
        return median(values) if values else math.nan

    def paired(
        self,
        one: tuple[Measured, str],
        other: tuple[Measured, str],
        combine: Callable[[float, float], float],
    ) -> list[float]:
        """Combine the two figures of each round."""
        first, second = self.reports.get(one[0], []), self.reports.get(other[0], [])
        return [
            combine(float(a[one[1]]), float(b[other[1]]))
            for a, b in zip(first, second, strict=False)
        ]


def faults(found: Report, requests: int, expected: float) -> list[str]:
    """Say what is wrong with the counts of a load; `requests` are what the upstream saw."""
    words = [f"{found[fault]} {fault}" for fault in ("lost", "unexpected", "cut") if found[fault]]
    if found["status"].keys() != {"0x00"}:
        words.append(f"command_status {found['status']}")
    if requests != expected:
        words.append(
            f"{found['sent']} submit_sm sent, {requests} requests seen by the upstream, "
            f"not {expected:g}"
        )
    return words
