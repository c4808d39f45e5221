"""Ratios are taken within a round, then the median is judged."""

from __future__ import annotations

import math

import pytest

from bench import results
from bench.results import Results, Verdict, verdicts


def with_rounds(rows: dict[tuple[results.Scenario, str], list[float]]) -> Results:
    found = Results()
    for turn in range(3):
        for scenario in {scenario for scenario, _ in rows}:
            values = {name: v[turn] for (s, name), v in rows.items() if s == scenario}
            found.add(scenario, values)
    return found


def named(found: Results, words: str) -> Verdict:
    (verdict,) = [v for v in verdicts(found) if words in v.what]
    return verdict


def test_each_ratio_has_its_own_rows() -> None:
    found = with_rounds(
        {
            (results.LIBCURL, "cpu_us"): [60, 70, 500],
            (results.BARE, "cpu_us"): [20, 20, 100],
            (results.BARE_LIBCURL, "cpu_us"): [15, 14, 100],
            (results.LIBCURL, "per_second"): [9_000, 8_000, 1],
            (results.REQUESTS, "per_second"): [1_000, 1_000, 1],
            (results.LIBCURL_ONE, "p50_ms"): [1.5, 1.25, 9],
            (results.BARE_ONE, "p50_ms"): [0.25, 0.25, 8],
        }
    )
    assert named(found, "bare pycurl loop, 4 x 100").values == [3.0, 3.5, 5.0]
    assert named(found, "bare pycurl loop, 4 x 100").word == "PASS"
    assert named(found, "bare libcurl engine").values == [4.0, 5.0, 5.0]
    assert named(found, "bare libcurl engine").word == "MISS"
    assert named(found, "messages/s").values == [9, 8, 1]
    assert named(found, "messages/s").word == "PASS"
    assert named(found, "window 1").values == [1.25, 1.0, 1.0]
    assert named(found, "window 1").word == "PASS"


@pytest.mark.parametrize(
    ("figure", "words", "value", "word"),
    [
        ("idle_kib", "idle session", 60, "PASS"),
        ("idle_kib", "idle session", 60.1, "MISS"),
        ("flood_mb", "in flight", 150, "PASS"),
        ("flood_mb", "in flight", 151, "MISS"),
    ],
)
def test_single_figures(figure: str, words: str, value: float, word: str) -> None:
    assert named(Results(figures={figure: value}), words).word == word


def test_what_was_not_measured_is_not_passed() -> None:
    for verdict in verdicts(Results()):
        assert verdict.word == "not measured"
        assert math.isnan(verdict.value)


def test_more_is_better_where_it_says_so() -> None:
    assert Verdict("", "x", 8, [7.9], at_least=True).word == "MISS"
    assert Verdict("", "x", 8, [8.0], at_least=True).word == "PASS"
