"""The table of scripted outcomes, and the page that repeats it."""

from __future__ import annotations

from pathlib import Path

from gateway.sandbox.scripts import SCRIPTS, script_for

PAGE = Path(__file__).parents[2] / "docs" / "sandbox.md"


def test_the_page_repeats_the_table() -> None:
    rows = [
        tuple(cell.strip() for cell in line.strip().strip("|").split("|"))
        for line in PAGE.read_text(encoding="utf-8").splitlines()
        if line.startswith("| `")
    ]
    assert [row for row in rows if len(row) == 4] == [
        (f"`{s.suffix}`", s.meaning, s.in_bulk, "yes" if s.accepted else "no") for s in SCRIPTS
    ]


def test_suffixes_are_four_digits_and_distinct() -> None:
    suffixes = [script.suffix for script in SCRIPTS]
    assert len(set(suffixes)) == len(suffixes)
    assert all(len(suffix) == 4 and suffix.isdigit() for suffix in suffixes)


def test_only_the_last_four_digits_count() -> None:
    assert script_for("+37255500001") is None
    assert script_for("+37204000001") is None
    found = script_for("+37255500400")
    assert found is not None
    assert found.suffix == "0400"
    error = found.error_for("viber")
    assert error is not None
    assert error.source == "payload[viber][sender]"
