"""Results as Markdown that also reads well on a terminal; the page that keeps them."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path

import pycurl

from bench.columns import (
    BACKLOG_COLUMNS,
    BULK_COLUMNS,
    CALLBACK_COLUMNS,
    COLUMNS,
    FAIR_COLUMNS,
    LIMIT_COLUMNS,
    MIXED_COLUMNS,
    PACED_COLUMNS,
    PART_COLUMNS,
    STORM_COLUMNS,
    Columns,
)
from bench.results import Results
from bench.scenarios import (
    AGAINST,
    BACKLOG,
    BINDS,
    BULK_COST,
    COMPARED,
    FAIR,
    LATENCIES,
    LIBCURL,
    LIMIT,
    LIMIT_LATENCY,
    LIMITED,
    MATRIX,
    MIXED,
    PARTS,
    PENDING,
    RECEIPTS,
    SCALE,
    STORM,
    STORMS,
    THROUGHPUT,
    Measured,
)
from bench.verdict import Verdict
from bench.verdicts import verdicts

BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"
PAGE = Path(__file__).parent.parent / "docs" / "performance.md"


def number(value: float, digits: int = 1) -> str:
    return "-" if math.isnan(value) else f"{value:,.{digits}f}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], words: int = 1) -> str:
    """Align columns; the first `words` of them hold words, the rest figures."""
    lines = [list(head), *map(list, rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    rule = ["-" * w if i < words else "-" * (w - 1) + ":" for i, w in enumerate(widths)]
    aligned = [
        [cell.ljust(w) if i < words else cell.rjust(w) for i, (cell, w) in enumerate(pairs)]
        for pairs in (list(zip(line, widths, strict=True)) for line in lines)
    ]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [aligned[0], rule, *aligned[1:]])


def _heads(columns: Columns) -> list[str]:
    return [head for head, _, _ in columns]


def _figures(results: Results, scenario: Measured, columns: Columns) -> list[str]:
    return [number(results.middle(scenario, name), digits) for _, name, digits in columns]


def machine() -> str:
    """Describe what it ran on, without naming it."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = " ".join(line.partition(":")[2].split())
            break
    engines = " ".join(pycurl.version.split()[:3])
    nghttp2 = next((word for word in pycurl.version.split() if word.startswith("nghttp2")), "")
    return (
        f"Machine: {model}, {os.cpu_count()} cores shared by the gateway, the load generator and "
        f"the upstream; {platform.system()}, {platform.python_implementation()} "
        f"{platform.python_version()}, Twisted {version('twisted')}, "
        f"requests {version('requests')}, {engines} {nghttp2}."
    )


def render(results: Results) -> str:
    """Give the whole report."""
    parts = [machine()]
    parts += _in_turn(results, COMPARED, "Compared in turn", COLUMNS)
    parts += _in_turn(results, AGAINST, f"Against {results.against}, in turn", COLUMNS)
    matrix = [s for s in MATRIX if s in results.reports]
    if matrix:
        parts += [
            "Binds and windows (a fresh gateway for each row, `log.messages` on; rows that stand "
            "above keep their medians):",
            table(
                ("engine", "binds", "window", *_heads(COLUMNS)),
                (
                    [s.engine, str(s.binds), str(s.window), *_figures(results, s, COLUMNS)]
                    for s in matrix
                ),
            ),
        ]
    parts += _in_turn(
        results,
        LIMITED,
        f"An API that takes {LIMIT} requests/s, latency {LIMIT_LATENCY} ms",
        LIMIT_COLUMNS,
    )
    parts += _in_turn(results, BULK_COST, "What a request of many messages costs", BULK_COLUMNS)
    parts += _in_turn(
        results, FAIR, "One account at a steady pace, the limit as above", FAIR_COLUMNS
    )
    parts += _in_turn(results, LATENCIES, "An API that takes its time, no limit", COLUMNS)
    parts += _in_turn(results, SCALE, "Binds with 1,000 messages in flight", COLUMNS)
    parts += _in_turn(results, (MIXED,), "Messages of different lengths", MIXED_COLUMNS)
    parts += _in_turn(results, (PARTS,), "Long messages, two parts each", PART_COLUMNS)
    parts += _in_turn(
        results, PENDING, "Long messages beside others of which a part is missing", PART_COLUMNS
    )
    parts += _in_turn(results, RECEIPTS, "Callbacks to receipts, in turn", CALLBACK_COLUMNS)
    parts += _in_turn(results, THROUGHPUT, "Messages beside a bare loop, no limit", COLUMNS)
    parts += _in_turn(results, BACKLOG, "Receipts beside others that wait", BACKLOG_COLUMNS)
    parts += _in_turn(results, BINDS, "Many binds", PACED_COLUMNS)
    parts += _in_turn(results, STORMS, f"Bind storms of {STORM}/s", STORM_COLUMNS)
    parts += ["Figures to reach:", _judged(verdicts(results)), *_beside(results)]
    return "\n\n".join(parts)


def _in_turn(
    results: Results, scenarios: Iterable[Measured], title: str, columns: Columns
) -> list[str]:
    """Give title and table of what was measured round after round; nothing for nothing."""
    found = [s for s in scenarios if s in results.reports]
    if not found:
        return []
    rounds = max(len(results.reports[s]) for s in found)
    rows = ([s.name, *_figures(results, s, columns)] for s in found)
    return [f"{title}, medians of {rounds} rounds:", table(("what", *_heads(columns)), rows)]


def _beside(results: Results) -> list[str]:
    """Say what is worth knowing beside the figures."""
    middle, sentences = results.middle, []
    others = [
        f"{label}: {number(middle(LIBCURL, name))} us"
        for label, name in (
            ("load generator per message", "load_cpu_us"),
            ("upstream per request", "upstream_cpu_us"),
        )
        if not math.isnan(middle(LIBCURL, name))
    ]
    if others:
        sentences.append("CPU of the other processes at 4 x 100: " + ", ".join(others) + ".")
    if "flood_waiting" in results.figures:
        sentences.append(
            f"In the flood {results.figures['flood_waiting']:,.0f} requests stood at the upstream "
            "at once."
        )
    if PARTS in results.reports:
        first, last = (
            f"{number(middle(PARTS, f'{which}_p50_ms'), 2)} ms (p99 "
            f"{number(middle(PARTS, f'{which}_p99_ms'), 2)} ms)"
            for which in ("first", "last")
        )
        sentences.append(f"First parts were answered after {first}, last parts after {last}.")
    return sentences + results.remarks


def _judged(found: Iterable[Verdict]) -> str:
    rows = []
    for verdict in found:
        spread = bound = ""
        if len(verdict.values) > 1:
            spread = f"{number(min(verdict.values), 2)} - {number(max(verdict.values), 2)}"
        if verdict.limit is not None:
            bound = f"{'>=' if verdict.at_least else '<='} {verdict.limit:,g} {verdict.unit}"
        value = f"{number(verdict.value, 2)} {verdict.unit}"
        rows.append((verdict.what, verdict.word, bound, value, spread))
    return table(("figure", "", "bound", "measured", "rounds"), rows, words=2)


def write(text: str, page: Path = PAGE) -> None:
    """Put the report between the page's two markers. Raises ValueError without them."""
    old = page.read_text()
    if old.count(BEGIN) != 1 or old.count(END) != 1 or old.index(BEGIN) > old.index(END):
        raise ValueError(f"{page.name} needs {BEGIN} and {END}, once each, in this order")
    before, _, rest = old.partition(BEGIN)
    page.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{rest.partition(END)[2]}")
