"""What a run found, and whether its counts agree."""

from __future__ import annotations

import math
from typing import Any

import pytest

from bench.results import Results, faults
from bench.scenarios import BARE, LIBCURL

GOOD: dict[str, Any] = {
    "sent": 10,
    "lost": 0,
    "unexpected": 0,
    "cut": 0,
    "status": {"0x00": 10},
}


def test_the_middle_is_the_median_of_the_rounds() -> None:
    found = Results()
    for cpu in (30, 10, 20):
        found.add(BARE, {"cpu_us": cpu})
    assert found.middle(BARE, "cpu_us") == 20
    assert math.isnan(found.middle(LIBCURL, "cpu_us"))
    assert math.isnan(found.middle(BARE, "rss_mb"))


@pytest.mark.parametrize(("requests", "expected"), [(10, 10 / 1), (5, 10 / 2), (0, 0)])
def test_counts_that_agree(requests: int, expected: float) -> None:
    assert faults(GOOD, requests, expected) == []


@pytest.mark.parametrize(
    ("found", "requests", "words"),
    [
        ({}, 4, ["10 submit_sm sent, 4 requests seen by the upstream, not 5"]),
        ({}, 6, ["10 submit_sm sent, 6 requests seen by the upstream, not 5"]),
        ({"lost": 1, "cut": 2}, 5, ["1 lost", "2 cut"]),
        ({"unexpected": 3}, 5, ["3 unexpected"]),
        ({"status": {"0x00": 9, "0x08": 1}}, 5, ["command_status {'0x00': 9, '0x08': 1}"]),
        ({"status": {}}, 5, ["command_status {}"]),
    ],
)
def test_counts_that_do_not_agree(found: dict[str, Any], requests: int, words: list[str]) -> None:
    assert faults(GOOD | found, requests, 5) == words
