"""The figures to reach before an API that takes 150 requests a second."""

from __future__ import annotations

from bench.results import Results
from bench.scenarios import (
    BULK,
    BULK_TEN,
    BULK_THOUSAND,
    FAIR,
    FAIR_ALONE,
    FAIR_ALONE_OFF,
    FAIR_FLOODED,
    FAIR_FLOODED_OFF,
    LIMIT,
    LIMIT_LATENCY,
    LIMITED,
    ONE_TO_ONE,
)
from bench.verdict import Verdict, ratio


def of_limit(results: Results) -> list[Verdict]:
    values, paired = results.values, results.paired
    refused = [count for each in (*LIMITED, *FAIR) for count in values(each, "refused")]
    where = f"{LIMIT} requests/s, API latency {LIMIT_LATENCY} ms"
    return [
        Verdict(f"messages/s at {where}", "/s", 10_000, values(BULK, "per_second"), at_least=True),
        Verdict(f"p99 at {where}", "ms", 1_000, values(BULK, "p99_ms")),
        Verdict(
            f"messages/s with shared requests / with one each, {LIMIT} requests/s",
            "x",
            66,
            paired((BULK, "per_second"), (ONE_TO_ONE, "per_second"), ratio),
            at_least=True,
        ),
        Verdict("requests answered 429, all rows", "", 0, [sum(refused)] if refused else []),
        Verdict("the event loop's lag meanwhile, p99, at most", "ms", 20, values(BULK, "lag_ms")),
        Verdict(
            "work in one piece for a request of 1,000 messages",
            "ms",
            20,
            values(BULK_THOUSAND, "stretch_ms"),
        ),
        Verdict(
            "that work per message in a request of 1,000 / of 10",
            "x",
            1.5,
            paired((BULK_THOUSAND, "stretch_us"), (BULK_TEN, "stretch_us"), ratio),
        ),
    ]


def of_fairness(results: Results) -> list[Verdict]:
    return [
        Verdict(
            f'p99 of an account while another floods / alone, bulk = "{alone.bulk}"',
            "x",
            2,
            results.paired((flooded, "p99_ms"), (alone, "p99_ms"), ratio),
        )
        for alone, flooded in ((FAIR_ALONE, FAIR_FLOODED), (FAIR_ALONE_OFF, FAIR_FLOODED_OFF))
    ]
