"""The report's table, and the page it is kept in."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import report
from bench.results import Results
from bench.scenarios import (
    ASKED,
    BARE,
    BARE_WEB,
    CALLBACKS,
    FEW_PENDING,
    LIBCURL,
    MANY_PENDING,
    MANY_WAITING,
    NOT_ASKED,
    PARTS,
    REVISION,
    THIS_TREE,
    Scenario,
)


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


ROW = {"per_second": 5_000.0, "p50_ms": 1, "p99_ms": 2, "cpu_us": 150.0, "rss_mb": 90.0}


def rows(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.parametrize(
    ("scenario", "title", "unit", "name"),
    [
        (PARTS, "Long messages, two parts each", "part", "2 parts a message"),
        (FEW_PENDING, "Long messages beside others", "part", "100 sets pending"),
        (MANY_PENDING, "Long messages beside others", "part", "100,000 sets pending"),
        (THIS_TREE, "Against 1234567, in turn", "message", "this tree"),
        (REVISION, "Against 1234567, in turn", "message", "the revision"),
        (NOT_ASKED, "Messages beside a bare loop, no limit", "message", "receipts not asked"),
        (ASKED, "Messages beside a bare loop, no limit", "message", "receipts asked"),
    ],
)
def test_each_part_of_a_run_has_its_table(
    scenario: Scenario, title: str, unit: str, name: str
) -> None:
    found = Results(against="1234567")
    found.add(scenario, ROW)
    text = report.render(found)
    assert title in text
    head, _, row, *_ = rows(text)
    assert head == ["what", f"{unit}s/s", "p50 ms", "p99 ms", f"CPU us/{unit}", "RSS MB"]
    assert row[0].endswith(name)
    assert row[1:] == ["5,000", "1.00", "2.00", "150.0", "90"]


def test_callbacks_and_receipts_a_second_stand_apart() -> None:
    found = Results()
    found.add(CALLBACKS, ROW | {"delivered_per_second": 4_999.0})
    found.add(BARE_WEB, ROW)
    text = report.render(found)
    assert "Callbacks to receipts" in text
    head, _, ours, bare, *_ = rows(text)
    assert head[1:] == [
        "callbacks/s",
        "receipts/s",
        "p50 ms",
        "p99 ms",
        "CPU us/callback",
        "RSS MB",
    ]
    assert ours[1:] == ["5,000", "4,999", "1.00", "2.00", "150.0", "90"]
    assert bare[:3] == ["bare twisted.web handler, 64 connections", "5,000", "-"]


def test_receipts_that_wait_have_their_start_and_memory() -> None:
    found = Results()
    found.add(MANY_WAITING, ROW | {"start_seconds": 0.75, "idle_mb": 80.0})
    text = report.render(found)
    assert "Receipts beside others that wait" in text
    head, _, row, *_ = rows(text)
    assert head[1:] == ["receipts/s", "CPU us/receipt", "start s", "RSS MB before", "RSS MB after"]
    assert row == [
        "gateway, 20,000 receipts taken, 1,000,000 waiting behind",
        *("5,000", "150.0", "0.75", "80", "90"),
    ]


def test_what_was_not_run_has_no_table() -> None:
    text = report.render(Results())
    assert "receipts taken" not in text
    assert "Callbacks to receipts" not in text
    assert "Long messages" not in text
    assert "Against" not in text
    assert "First parts" not in text


def test_figures_with_and_without_a_bound() -> None:
    found = Results(against="1234567")
    for cpu in (150.0, 180.0):
        found.add(THIS_TREE, ROW | {"cpu_us": cpu})
        found.add(REVISION, ROW)
        found.add(PARTS, ROW)
    judged = {row[0]: row[1:] for row in rows(report.render(found))}
    what = "this tree / 1234567, 4 x 100"
    assert judged[f"CPU per relayed message, {what}"] == [
        "PASS",
        "<= 1.1 x",
        "1.10 x",
        "1.00 - 1.20",
    ]
    assert judged[f"messages/s, {what}"] == ["told", "", "1.00 x", "1.00 - 1.00"]
    assert judged["parts/s of two-part messages, 4 x 100"] == [
        "PASS",
        ">= 4,000 /s",
        "5,000.00 /s",
        "5,000.00 - 5,000.00",
    ]


def test_remarks_stand_beside_the_figures() -> None:
    found = Results(remarks=["The store stood on ext4."])
    apart = {"first_p50_ms": 1.5, "first_p99_ms": 3, "last_p50_ms": 20, "last_p99_ms": 40}
    found.add(PARTS, ROW | apart)
    text = report.render(found)
    assert text.endswith(
        "First parts were answered after 1.50 ms (p99 3.00 ms), "
        "last parts after 20.00 ms (p99 40.00 ms).\n\nThe store stood on ext4."
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
