"""The report's table, and the page it is kept in."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import report
from bench.results import BARE, LIBCURL, Results


def test_a_table_is_aligned_markdown() -> None:
    text = report.table(("what", "n"), [("one", "1"), ("three", "3,000")])
    assert text.splitlines() == [
        "| what  |     n |",
        "| ----- | ----: |",
        "| one   |     1 |",
        "| three | 3,000 |",
    ]


def test_a_row_shows_the_median_of_its_rounds() -> None:
    found = Results()
    for cpu in (30.0, 10.0, 20.0):
        found.add(BARE, {"per_second": 48_000.0, "p50_ms": 1.5, "p99_ms": 2.25, "cpu_us": cpu})
    (row,) = [line for line in report.render(found).splitlines() if line.startswith("| bare ")]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells == ["bare pycurl, 400 in flight", "48,000", "1.50", "2.25", "20.0", "-"]


def test_a_compared_row_also_stands_in_the_matrix() -> None:
    found = Results()
    found.add(LIBCURL, {"per_second": 9.0, "p50_ms": 1, "p99_ms": 2, "cpu_us": 3, "rss_mb": 80})
    text = report.render(found)
    assert "gateway libcurl, 4 x 100" in text
    assert any(
        [cell.strip() for cell in line.strip("|").split("|")]
        == ["libcurl", "4", "100", "9", "1.00", "2.00", "3.0", "80"]
        for line in text.splitlines()
    )


def test_the_machine_is_described() -> None:
    text = report.machine()
    assert "CPython 3" in text
    assert "libcurl/" in text
    assert "cores" in text


def test_write_replaces_only_what_stands_between_the_markers(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# Before\n\n{report.BEGIN}\n\nold\n\n{report.END}\n\nAfter\n")
    report.write("new", page)
    report.write("newer", page)
    assert page.read_text() == f"# Before\n\n{report.BEGIN}\n\nnewer\n\n{report.END}\n\nAfter\n"


@pytest.mark.parametrize("text", ["", report.BEGIN, f"{report.END} {report.BEGIN}"])
def test_write_needs_its_markers(tmp_path: Path, text: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(ValueError, match=r"page\.md needs"):
        report.write("new", page)
    assert page.read_text() == text


def test_the_kept_page_has_its_markers() -> None:
    text = report.PAGE.read_text()
    assert text.count(report.BEGIN) == text.count(report.END) == 1
