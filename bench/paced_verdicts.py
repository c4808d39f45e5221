"""The figures to reach of loads at a steady pace."""

from __future__ import annotations

from bench.results import Results
from bench.scenarios import CALM, FEW_BOUND, MANY_BOUND, STORM_OF_MANY, STORM_OF_ONE
from bench.verdict import Verdict, ratio


def of_binds(results: Results) -> list[Verdict]:
    values = results.values
    bound = f"{MANY_BOUND.binds + MANY_BOUND.idle:,} bound"
    return [
        Verdict(
            f"p99 of {MANY_BOUND.rate:,} messages/s with {bound}",
            "ms",
            50,
            values(MANY_BOUND, "p99_ms"),
        ),
        Verdict(
            f"enquire_links without an answer, {bound}",
            "",
            0,
            values(MANY_BOUND, "unanswered"),
        ),
        Verdict(
            f"memory of a bound session that answers enquire_link, {bound}",
            "KiB",
            60,
            values(MANY_BOUND, "kib"),
        ),
        Verdict(
            f"p99 with {bound} / with {FEW_BOUND.binds}",
            "x",
            None,
            results.paired((MANY_BOUND, "p99_ms"), (FEW_BOUND, "p99_ms"), ratio),
        ),
    ]


def of_storms(results: Results) -> list[Verdict]:
    return [
        Verdict(
            f"{name} under a bind storm from {scenario.storm} / in quiet",
            "x",
            2,
            results.paired((scenario, f"{name}_ms"), (CALM, f"{name}_ms"), ratio),
        )
        for scenario in (STORM_OF_ONE, STORM_OF_MANY)
        for name in ("p50", "p99")
    ]
