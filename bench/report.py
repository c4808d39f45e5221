"""Results as Markdown that also reads well on a terminal; the page that keeps them."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path

import pycurl

from bench.results import COMPARED, MATRIX, Results, Scenario, verdicts

BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"
PAGE = Path(__file__).parent.parent / "docs" / "performance.md"
COLUMNS = ("messages/s", "p50 ms", "p99 ms", "CPU us/message", "RSS MB")


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


def _figures(results: Results, scenario: Scenario) -> list[str]:
    middle = results.middle
    return [
        number(middle(scenario, "per_second"), 0),
        number(middle(scenario, "p50_ms"), 2),
        number(middle(scenario, "p99_ms"), 2),
        number(middle(scenario, "cpu_us")),
        number(middle(scenario, "rss_mb"), 0),
    ]


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
    compared = [s for s in COMPARED if s in results.reports]
    if compared:
        rounds = max(len(results.reports[s]) for s in compared)
        parts += [
            f"Compared in turn, medians of {rounds} rounds:",
            table(
                ("what", *COLUMNS),
                ([s.name, *_figures(results, s)] for s in compared),
            ),
        ]
    matrix = [s for s in MATRIX if s in results.reports]
    if matrix:
        parts += [
            "Binds and windows (a fresh gateway for each row, `log.messages` on; rows that stand "
            "above keep their medians):",
            table(
                ("engine", "binds", "window", *COLUMNS),
                ([s.engine, str(s.binds), str(s.window), *_figures(results, s)] for s in matrix),
            ),
        ]
    parts += ["Figures to reach:", _judged(results)]
    beside = [
        f"{label}: {number(results.middle(s, name))} us"
        for label, s, name in (
            ("load generator per message", COMPARED[1], "load_cpu_us"),
            ("upstream per request", COMPARED[1], "upstream_cpu_us"),
        )
        if not math.isnan(results.middle(s, name))
    ]
    if beside:
        parts.append("CPU of the other processes at 4 x 100: " + ", ".join(beside) + ".")
    if "flood_waiting" in results.figures:
        parts.append(
            f"In the flood {results.figures['flood_waiting']:,.0f} requests stood at the upstream "
            "at once."
        )
    return "\n\n".join(parts)


def _judged(results: Results) -> str:
    rows = []
    for verdict in verdicts(results):
        spread = ""
        if len(verdict.values) > 1:
            spread = f"{number(min(verdict.values), 2)} - {number(max(verdict.values), 2)}"
        bound = f"{'>=' if verdict.at_least else '<='} {verdict.limit:g} {verdict.unit}"
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
