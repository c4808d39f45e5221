"""Ratios are taken within a round, then the median is judged."""

from __future__ import annotations

import math

import pytest

from bench import scenarios
from bench.results import Results
from bench.scenarios import (
    ASKED,
    BARE_WEB,
    CALLBACKS,
    CALLBACKS_QUIET,
    FEW_PENDING,
    FEW_WAITING,
    MANY_PENDING,
    MANY_WAITING,
    NOT_ASKED,
    PARTS,
    REVISION,
    THIS_TREE,
    Measured,
)
from bench.verdict import Verdict
from bench.verdicts import verdicts


def with_rounds(rows: dict[tuple[Measured, str], list[float]]) -> Results:
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
            (scenarios.LIBCURL, "cpu_us"): [60, 70, 500],
            (scenarios.BARE, "cpu_us"): [20, 20, 100],
            (scenarios.BARE_LIBCURL, "cpu_us"): [15, 14, 100],
            (scenarios.LIBCURL, "per_second"): [9_000, 8_000, 1],
            (scenarios.REQUESTS, "per_second"): [1_000, 1_000, 1],
            (scenarios.LIBCURL_ONE, "p50_ms"): [1.5, 1.25, 9],
            (scenarios.BARE_ONE, "p50_ms"): [0.25, 0.25, 8],
        }
    )
    assert named(found, "bare pycurl loop, 4 x 100").values == [3.0, 3.5, 5.0]
    assert named(found, "bare pycurl loop, 4 x 100").word == "PASS"
    assert named(found, "bare libcurl engine").values == [4.0, 5.0, 5.0]
    assert named(found, "bare libcurl engine").word == "MISS"
    assert named(found, "messages/s with libcurl").values == [9, 8, 1]
    assert named(found, "messages/s with libcurl").word == "PASS"
    assert named(found, "window 1").values == [1.25, 1.0, 1.0]
    assert named(found, "window 1").word == "PASS"


@pytest.mark.parametrize(
    ("figure", "words", "value", "word"),
    [
        ("idle_kib", "idle session", 60, "PASS"),
        ("idle_kib", "idle session", 60.1, "MISS"),
        ("flood_mb", "peak RSS", 150, "PASS"),
        ("flood_mb", "peak RSS", 151, "MISS"),
        ("flood_kib", "memory of a message", 4, "told"),
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


def test_a_revision_is_compared_within_a_round() -> None:
    found = with_rounds(
        {
            (THIS_TREE, "cpu_us"): [110, 100, 240],
            (REVISION, "cpu_us"): [100, 100, 200],
            (THIS_TREE, "per_second"): [9_000, 8_000, 8_000],
            (REVISION, "per_second"): [10_000, 8_000, 10_000],
        }
    )
    assert not [v for v in verdicts(found) if "this tree" in v.what], "no revision was given"
    found.against = "1234567"
    cpu = named(found, "CPU per relayed message, this tree / 1234567")
    assert cpu.values == [1.1, 1.0, 1.2]
    assert (cpu.value, cpu.word) == (1.1, "PASS")
    speed = named(found, "messages/s, this tree / 1234567")
    assert speed.values == [0.9, 1.0, 0.8]
    assert speed.word == "told"


@pytest.mark.parametrize(
    ("per_second", "word"),
    [([4_000, 3_000, 5_000], "PASS"), ([3_999, 3_000, 5_000], "MISS")],
)
def test_parts_a_second(per_second: list[float], word: str) -> None:
    found = with_rounds({(PARTS, "per_second"): per_second})
    assert named(found, "parts/s of two-part messages").word == word


def test_pending_sets_are_compared_within_a_round() -> None:
    found = with_rounds(
        {
            (MANY_PENDING, "cpu_us"): [230, 220, 250],
            (FEW_PENDING, "cpu_us"): [200, 200, 200],
            (MANY_PENDING, "per_second"): [4_000, 2_500, 5_000],
            (FEW_PENDING, "per_second"): [5_000, 5_000, 5_000],
            (MANY_PENDING, "rss_mb"): [110, 112, 115],
            (FEW_PENDING, "rss_mb"): [100, 100, 100],
        }
    )
    cpu = named(found, "CPU per part with 100,000 sets pending / with 100")
    assert cpu.values == [1.15, 1.1, 1.25]
    assert cpu.word == "PASS"
    speed = named(found, "parts/s with 100 sets pending / with 100,000")
    assert speed.values == [1.25, 2.0, 1.0]
    assert speed.word == "MISS"
    memory = named(found, "RSS with 100,000 sets pending - with 100")
    assert (memory.value, memory.unit, memory.word) == (12, "MB", "told")


def test_receipts_are_compared_with_a_bare_handler() -> None:
    found = with_rounds(
        {
            (CALLBACKS, "delivered_per_second"): [3_000, 2_900, 3_600],
            (CALLBACKS, "oldest_age"): [0.1, 1.1, 0.2],
            (CALLBACKS_QUIET, "delivered_per_second"): [3_300, 2_900, 4_500],
            (BARE_WEB, "per_second"): [7_500, 10_000, 8_000],
        }
    )
    speed = named(found, "callbacks/s committed")
    assert (speed.value, speed.word) == (3_000, "PASS")
    share = named(found, "bare twisted.web")
    assert share.values == [0.4, 0.29, 0.45]
    assert share.word == "PASS"
    quiet = named(found, "log.messages off / on")
    assert (quiet.values, quiet.word) == ([1.1, 1.0, 1.25], "told")
    age = named(found, "oldest receipt")
    assert (age.value, age.word) == (0.2, "PASS")


@pytest.mark.parametrize(("asked", "word"), [(115, "PASS"), (116, "MISS")])
def test_asking_for_receipts_may_cost_a_little(asked: float, word: str) -> None:
    found = with_rounds({(ASKED, "cpu_us"): [asked] * 3, (NOT_ASKED, "cpu_us"): [100] * 3})
    assert named(found, "asks for a receipt").word == word


@pytest.mark.parametrize(("seconds", "word"), [(2, "PASS"), (2.1, "MISS")])
def test_receipts_that_wait_are_compared_within_a_round(seconds: float, word: str) -> None:
    found = with_rounds(
        {
            (MANY_WAITING, "cpu_us"): [60, 50, 80],
            (FEW_WAITING, "cpu_us"): [50, 50, 50],
            (MANY_WAITING, "per_second"): [10_000, 10_000, 5_000],
            (FEW_WAITING, "per_second"): [10_000, 12_000, 10_000],
            (MANY_WAITING, "rss_mb"): [102, 103, 104],
            (FEW_WAITING, "rss_mb"): [101, 101, 101],
            (MANY_WAITING, "start_seconds"): [1, seconds, 9],
        }
    )
    cpu = named(found, "CPU per delivered receipt")
    assert (cpu.values, cpu.word) == ([1.2, 1.0, 1.6], "MISS")
    assert named(found, "receipts/s with 1,000 waiting").values == [1.0, 1.2, 2.0]
    assert named(found, "RSS after receipts").value == 2
    assert named(found, "start with 1,000,000").word == word


def test_the_figures_stand_for_what_they_name() -> None:
    assert (FEW_PENDING.pending, MANY_PENDING.pending) == (100, 100_000)
    assert {s.parts for s in (PARTS, FEW_PENDING, MANY_PENDING)} == {2}
    assert {(s.binds, s.window, s.messages, s.parts) for s in (THIS_TREE, REVISION)} == {
        (4, 100, True, 1)
    }
    assert (FEW_WAITING.waiting, MANY_WAITING.waiting) == (1_000, 1_000_000)
    assert {(s.binds, s.window, s.messages) for s in (ASKED, NOT_ASKED)} == {(4, 100, True)}
    assert (CALLBACKS.messages, CALLBACKS_QUIET.messages) == (True, False)


def test_many_binds_are_judged_by_their_own_p99() -> None:
    found = with_rounds(
        {
            (scenarios.MANY_BOUND, "p99_ms"): [20, 51, 40],
            (scenarios.MANY_BOUND, "unanswered"): [0, 0, 0],
            (scenarios.MANY_BOUND, "kib"): [5, 6, 7],
            (scenarios.FEW_BOUND, "p99_ms"): [10, 17, 10],
        }
    )
    p99 = named(found, "p99 of 1,000 messages/s with 5,000 bound")
    assert (p99.value, p99.limit, p99.word) == (40, 50, "PASS")
    assert named(found, "enquire_links without an answer").word == "PASS"
    assert named(found, "memory of a bound session that answers").value == 6
    told = named(found, "p99 with 5,000 bound / with 50")
    assert (told.values, told.word) == ([2, 3, 4], "told")


@pytest.mark.parametrize(
    ("scenario", "name", "word"),
    [
        (scenarios.STORM_OF_ONE, "p50", "PASS"),
        (scenarios.STORM_OF_ONE, "p99", "MISS"),
        (scenarios.STORM_OF_MANY, "p50", "PASS"),
        (scenarios.STORM_OF_MANY, "p99", "MISS"),
    ],
)
def test_a_storm_is_judged_by_the_quiet_of_its_round(
    scenario: scenarios.PacedScenario, name: str, word: str
) -> None:
    found = with_rounds(
        {
            (scenario, "p50_ms"): [2, 3, 12],
            (scenario, "p99_ms"): [20, 61, 90],
            (scenarios.CALM, "p50_ms"): [1, 2, 4],
            (scenarios.CALM, "p99_ms"): [10, 10, 10],
        }
    )
    verdict = named(found, f"{name} under a bind storm from {scenario.storm}")
    assert verdict.values == ([2, 1.5, 3] if name == "p50" else [2, 6.1, 9])
    assert (verdict.limit, verdict.word) == (2, word)


def test_what_a_limit_lets_through() -> None:
    found = with_rounds(
        {
            (scenarios.BULK, "per_second"): [10_000, 9_000, 12_000],
            (scenarios.BULK, "p99_ms"): [900, 1_100, 400],
            (scenarios.BULK, "refused"): [0, 1, 0],
            (scenarios.BULK, "lag_ms"): [20, 10, 50],
            (scenarios.ONE_TO_ONE, "per_second"): [100, 150, 200],
            (scenarios.BULK_THOUSAND, "stretch_ms"): [2, 3, 21],
            (scenarios.BULK_THOUSAND, "stretch_us"): [2, 3, 21],
            (scenarios.BULK_TEN, "stretch_us"): [2, 2, 2],
        }
    )
    most = named(found, "messages/s at 150 requests/s, API latency 100 ms")
    assert (most.value, most.limit, most.word) == (10_000, 10_000, "PASS")
    slowest = named(found, "p99 at 150 requests/s")
    assert (slowest.value, slowest.limit, slowest.word) == (900, 1_000, "PASS")
    times = named(found, "with shared requests / with one each")
    assert (times.values, times.limit, times.word) == ([100, 60, 60], 66, "MISS")
    refused = named(found, "429")
    assert (refused.value, refused.word) == (1, "MISS"), "one in any round is too many"
    assert named(found, "lag").word == "PASS"
    piece = named(found, "work in one piece")
    assert (piece.value, piece.limit, piece.word) == (3, 20, "PASS")
    assert named(found, "that work per message").values == [1, 1.5, 10.5]


@pytest.mark.parametrize(("bulk", "word"), [("auto", "PASS"), ("off", "MISS")])
def test_fairness_is_judged_within_a_round(bulk: str, word: str) -> None:
    found = with_rounds(
        {
            (scenarios.FAIR_ALONE, "p99_ms"): [100, 100, 200],
            (scenarios.FAIR_FLOODED, "p99_ms"): [200, 110, 500],
            (scenarios.FAIR_ALONE_OFF, "p99_ms"): [100, 100, 100],
            (scenarios.FAIR_FLOODED_OFF, "p99_ms"): [201, 110, 500],
        }
    )
    verdict = named(found, f'alone, bulk = "{bulk}"')
    assert verdict.values == ([2, 1.1, 2.5] if bulk == "auto" else [2.01, 1.1, 5])
    assert verdict.word == word


def test_a_relay_beside_a_bare_loop() -> None:
    found = with_rounds(
        {
            (scenarios.BARE_BESIDE, "per_second"): [20_000, 20_000, 40_000],
            (NOT_ASKED, "per_second"): [10_000, 9_000, 20_000],
            (ASKED, "per_second"): [6_000, 8_000, 8_000],
            (NOT_ASKED, "cpu_us"): [1, 1, 1],
            (ASKED, "cpu_us"): [1, 1, 1],
        }
    )
    plain = named(found, "receipts not asked / POSTs/s")
    assert (plain.values, plain.limit, plain.word) == ([0.5, 0.45, 0.5], 0.5, "PASS")
    asked = named(found, "receipts asked / POSTs/s")
    assert (asked.values, asked.limit, asked.word) == ([0.3, 0.4, 0.2], 0.35, "MISS")


def test_a_slow_api_and_many_binds() -> None:
    found = with_rounds(
        {
            (scenarios.AT_ONCE, "per_second"): [10_000, 10_000, 10_000],
            (scenarios.AFTER_50, "per_second"): [9_000, 11_000, 9_500],
            (scenarios.AFTER_200, "per_second"): [8_900, 8_000, 10_000],
            (scenarios.FOUR_BINDS, "cpu_us"): [100, 100, 100],
            (scenarios.THOUSAND_BINDS, "cpu_us"): [130, 120, 150],
        }
    )
    assert named(found, "latency of 50 ms / of 0").word == "PASS"
    slow = named(found, "latency of 200 ms / of 0")
    assert (slow.value, slow.limit, slow.word) == (0.89, 0.9, "MISS")
    many = named(found, "1,000 binds / with 4")
    assert (many.value, many.limit, many.word) == (1.3, 1.3, "PASS")
