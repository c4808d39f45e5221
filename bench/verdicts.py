"""The figures to reach."""

from __future__ import annotations

from bench import limited_verdicts, paced_verdicts
from bench.results import Results
from bench.scenarios import (
    AFTER_50,
    AFTER_200,
    ASKED,
    AT_ONCE,
    BARE,
    BARE_BESIDE,
    BARE_LIBCURL,
    BARE_ONE,
    BARE_WEB,
    CALLBACKS,
    CALLBACKS_QUIET,
    FEW_PENDING,
    FEW_WAITING,
    FOUR_BINDS,
    LIBCURL,
    LIBCURL_ONE,
    MANY_PENDING,
    MANY_WAITING,
    NOT_ASKED,
    PARTS,
    REQUESTS,
    REVISION,
    THIS_TREE,
    THOUSAND_BINDS,
)
from bench.verdict import Verdict, difference, ratio


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
            paired((LIBCURL, "cpu_us"), (BARE, "cpu_us"), ratio),
        ),
        Verdict(
            "CPU per relayed message / CPU per POST of the bare libcurl engine, 4 x 100",
            "x",
            3.5,
            paired((LIBCURL, "cpu_us"), (BARE_LIBCURL, "cpu_us"), ratio),
        ),
        Verdict(
            "messages/s with libcurl / messages/s with requests, 4 x 100",
            "x",
            8,
            paired((LIBCURL, "per_second"), (REQUESTS, "per_second"), ratio),
            at_least=True,
        ),
        Verdict("memory of a bound idle session, 1,000 bound", "KiB", 60, figure("idle_kib")),
        Verdict("peak RSS with 10,000 messages in flight", "MB", 150, figure("flood_mb")),
        Verdict("memory of a message in flight, 10,000", "KiB", None, figure("flood_kib")),
        Verdict(
            "window 1: p50 through the gateway - p50 of a direct POST (bare pycurl loop)",
            "ms",
            1,
            paired((LIBCURL_ONE, "p50_ms"), (BARE_ONE, "p50_ms"), difference),
        ),
        *limited_verdicts.of_limit(results),
        *limited_verdicts.of_fairness(results),
        *_of_throughput(results),
        *_of_revisions(results),
        *_of_parts(results),
        *_of_receipts(results),
        *_of_backlogs(results),
        *paced_verdicts.of_binds(results),
        *paced_verdicts.of_storms(results),
    ]


def _of_throughput(results: Results) -> list[Verdict]:
    """What a relay does beside a bare loop, behind a slow API, and with many binds."""
    paired = results.paired
    beside_bare = [
        Verdict(
            f"messages/s, receipts {each.receipts} / POSTs/s of a bare pycurl loop, 400 in flight",
            "x",
            bound,
            paired((each, "per_second"), (BARE_BESIDE, "per_second"), ratio),
            at_least=True,
        )
        for each, bound in ((NOT_ASKED, 0.5), (ASKED, 0.35))
    ]
    behind_slow = [
        Verdict(
            f"messages/s with an API latency of {each.latency} ms / of 0, 5,000 in flight",
            "x",
            0.9,
            paired((each, "per_second"), (AT_ONCE, "per_second"), ratio),
            at_least=True,
        )
        for each in (AFTER_50, AFTER_200)
    ]
    with_many = Verdict(
        "CPU per relayed message with 1,000 binds / with 4, 1,000 in flight",
        "x",
        1.3,
        paired((THOUSAND_BINDS, "cpu_us"), (FOUR_BINDS, "cpu_us"), ratio),
    )
    return [*beside_bare, *behind_slow, with_many]


def _of_revisions(results: Results) -> list[Verdict]:
    """Judge the comparison with a revision, which needs one: nothing without."""
    if not results.against:
        return []
    paired = results.paired
    return [
        Verdict(
            f"CPU per relayed message, this tree / {results.against}, 4 x 100",
            "x",
            1.1,
            paired((THIS_TREE, "cpu_us"), (REVISION, "cpu_us"), ratio),
        ),
        Verdict(
            f"messages/s, this tree / {results.against}, 4 x 100",
            "x",
            None,
            paired((THIS_TREE, "per_second"), (REVISION, "per_second"), ratio),
        ),
    ]


def _of_parts(results: Results) -> list[Verdict]:
    paired = results.paired
    parts = results.values(PARTS, "per_second")
    return [
        Verdict("parts/s of two-part messages, 4 x 100", "/s", 4_000, parts, at_least=True),
        Verdict(
            "CPU per part with 100,000 sets pending / with 100",
            "x",
            1.15,
            paired((MANY_PENDING, "cpu_us"), (FEW_PENDING, "cpu_us"), ratio),
        ),
        Verdict(
            "parts/s with 100 sets pending / with 100,000",
            "x",
            1.15,
            paired((FEW_PENDING, "per_second"), (MANY_PENDING, "per_second"), ratio),
        ),
        Verdict(
            "RSS with 100,000 sets pending - with 100",
            "MB",
            None,
            paired((MANY_PENDING, "rss_mb"), (FEW_PENDING, "rss_mb"), difference),
        ),
    ]


def _of_receipts(results: Results) -> list[Verdict]:
    paired = results.paired
    delivered = "delivered_per_second"
    return [
        Verdict(
            "callbacks/s committed, answered and delivered",
            "/s",
            3_000,
            results.values(CALLBACKS, delivered),
            at_least=True,
        ),
        Verdict(
            "callbacks/s / requests/s of a bare twisted.web handler",
            "x",
            0.4,
            paired((CALLBACKS, delivered), (BARE_WEB, "per_second"), ratio),
            at_least=True,
        ),
        Verdict(
            "callbacks/s, log.messages off / on",
            "x",
            None,
            paired((CALLBACKS_QUIET, delivered), (CALLBACKS, delivered), ratio),
        ),
        Verdict(
            "age of the oldest receipt meanwhile", "s", 1, results.values(CALLBACKS, "oldest_age")
        ),
        Verdict(
            "CPU per relayed message that asks for a receipt / that does not, 4 x 100",
            "x",
            1.15,
            paired((ASKED, "cpu_us"), (NOT_ASKED, "cpu_us"), ratio),
        ),
    ]


def _of_backlogs(results: Results) -> list[Verdict]:
    paired, values = results.paired, results.values
    return [
        Verdict(
            "CPU per delivered receipt with 1,000,000 waiting / with 1,000",
            "x",
            1.15,
            paired((MANY_WAITING, "cpu_us"), (FEW_WAITING, "cpu_us"), ratio),
        ),
        Verdict(
            "receipts/s with 1,000 waiting / with 1,000,000",
            "x",
            None,
            paired((FEW_WAITING, "per_second"), (MANY_WAITING, "per_second"), ratio),
        ),
        Verdict("start with 1,000,000 waiting", "s", 2, values(MANY_WAITING, "start_seconds")),
        Verdict(
            "RSS after receipts with 1,000,000 waiting - with 1,000",
            "MB",
            None,
            paired((MANY_WAITING, "rss_mb"), (FEW_WAITING, "rss_mb"), difference),
        ),
    ]
