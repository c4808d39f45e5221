"""What a run found: rows, and the figures to reach."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

Report = dict[str, Any]


@dataclass(frozen=True)
class Scenario:
    """One thing measured. `binds` 0 is a bare engine with `window` POSTs in flight."""

    engine: str
    binds: int
    window: int
    messages: bool = True  # a log line per message

    @property
    def name(self) -> str:
        if not self.binds:
            return f"bare {self.engine}, {self.window} in flight"
        log = "" if self.messages else ", log.messages off"
        return f"gateway {self.engine}, {self.binds} x {self.window}{log}"


BARE = Scenario("pycurl", 0, 400)
BARE_LIBCURL = Scenario("libcurl", 0, 400)
BARE_REQUESTS = Scenario("requests", 0, 400)
BARE_ONE = Scenario("pycurl", 0, 1)
BARE_LIBCURL_ONE = Scenario("libcurl", 0, 1)
LIBCURL = Scenario("libcurl", 4, 100)
LIBCURL_QUIET = Scenario("libcurl", 4, 100, messages=False)
REQUESTS = Scenario("requests", 4, 100)
LIBCURL_ONE = Scenario("libcurl", 1, 1)

# Compared with each other, so measured in turn, round after round.
COMPARED = (
    BARE,
    LIBCURL,
    BARE_LIBCURL,
    LIBCURL_QUIET,
    REQUESTS,
    BARE_REQUESTS,
    BARE_ONE,
    LIBCURL_ONE,
    BARE_LIBCURL_ONE,
)
MATRIX = tuple(
    Scenario(engine, binds, window)
    for engine in ("libcurl", "requests")
    for binds in (1, 4, 100)
    for window in (1, 10, 100)
)


@dataclass
class Results:
    """Reports by scenario, one a round; single figures; and what went wrong."""

    reports: dict[Scenario, list[Report]] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def add(self, scenario: Scenario, report: Report) -> None:
        self.reports.setdefault(scenario, []).append(report)

    def middle(self, scenario: Scenario, name: str) -> float:
        """Give the median over the rounds, NaN when it was not measured."""
        values = [float(r[name]) for r in self.reports.get(scenario, []) if name in r]
        return median(values) if values else math.nan

    def paired(
        self,
        one: tuple[Scenario, str],
        other: tuple[Scenario, str],
        combine: Callable[[float, float], float],
    ) -> list[float]:
        """Combine the two figures of each round."""
        first, second = self.reports.get(one[0], []), self.reports.get(other[0], [])
        return [
            combine(float(a[one[1]]), float(b[other[1]]))
            for a, b in zip(first, second, strict=False)
        ]


@dataclass(frozen=True)
class Verdict:
    """A figure, its bound, and the values of the rounds."""

    what: str
    unit: str
    limit: float
    values: Sequence[float]
    at_least: bool = False

    @property
    def value(self) -> float:
        return median(self.values) if self.values else math.nan

    @property
    def word(self) -> str:
        if not self.values:
            return "not measured"
        reached = self.value >= self.limit if self.at_least else self.value <= self.limit
        return "PASS" if reached else "MISS"


def _ratio(a: float, b: float) -> float:
    return a / b


def _difference(a: float, b: float) -> float:
    return a - b


def verdicts(results: Results) -> list[Verdict]:
    """Judge every figure to reach; each ratio is taken within a round, then the median."""
    paired, figures = results.paired, results.figures

    def figure(name: str) -> list[float]:
        return [figures[name]] if name in figures else []

    return [
        Verdict(
            "CPU per relayed message / CPU per POST of a bare pycurl loop, 4 x 100",
            "x",
            3.5,
            paired((LIBCURL, "cpu_us"), (BARE, "cpu_us"), _ratio),
        ),
        Verdict(
            "CPU per relayed message / CPU per POST of the bare libcurl engine, 4 x 100",
            "x",
            3.5,
            paired((LIBCURL, "cpu_us"), (BARE_LIBCURL, "cpu_us"), _ratio),
        ),
        Verdict(
            "messages/s with libcurl / messages/s with requests, 4 x 100",
            "x",
            8,
            paired((LIBCURL, "per_second"), (REQUESTS, "per_second"), _ratio),
            at_least=True,
        ),
        Verdict("memory of a bound idle session, 1,000 bound", "KiB", 60, figure("idle_kib")),
        Verdict("peak RSS with 10,000 messages in flight", "MB", 150, figure("flood_mb")),
        Verdict(
            "window 1: p50 through the gateway - p50 of a direct POST (bare pycurl loop)",
            "ms",
            1,
            paired((LIBCURL_ONE, "p50_ms"), (BARE_ONE, "p50_ms"), _difference),
        ),
    ]
