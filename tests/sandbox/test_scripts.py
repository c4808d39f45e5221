"""The table of scripted outcomes, and the page that repeats it."""

from __future__ import annotations

from pathlib import Path

from gateway.sandbox.scripts import FATES, SCRIPTS, course_for, script_for

PAGE = Path(__file__).parents[2] / "docs" / "sandbox.md"


def rows(beginning: str) -> list[tuple[str, ...]]:
    """The rows of the page's tables whose lines begin so."""
    return [
        tuple(cell.strip() for cell in line.strip().strip("|").split("|"))
        for line in PAGE.read_text(encoding="utf-8").splitlines()
        if line.startswith(beginning)
    ]


def test_the_page_repeats_the_table() -> None:
    assert [row for row in rows("| `") if len(row) == 4] == [
        (f"`{s.suffix}`", s.meaning, s.in_bulk, "yes" if s.accepted else "no") for s in SCRIPTS
    ]


def test_the_page_repeats_the_table_of_fates() -> None:
    assert rows("| `7") == [(f"`{fate.suffix}`", fate.meaning) for fate in FATES]


def test_suffixes_are_four_digits_and_distinct() -> None:
    suffixes = [each.suffix for each in (*SCRIPTS, *FATES)]
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


def test_an_err_that_ends_the_suffix() -> None:
    finals = {fate.suffix: fate.course.steps[-1] for fate in FATES if fate.suffix[:2] == "71"}
    assert all(step.err == int(suffix[2:]) for suffix, step in finals.items())
    assert len(finals) == 8


def test_any_other_number_is_delivered() -> None:
    for to in ("+37255500001", "+37255509003", "+37271000001"):
        assert [step.status for step in course_for(to).steps] == ["DELIVRD"]
    assert [step.status for step in course_for("+37255507105").steps] == ["NACK"]
