"""The parts before an API with a limit: what is a problem, and what stands in the report."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from bench import limited, report
from bench.children import Failed
from bench.configuration import OTHER
from bench.run import Run
from bench.scenarios import (
    BULK,
    BULK_COST,
    BULK_THOUSAND,
    FAIR_ALONE,
    FAIR_FLOODED,
    FAIR_FLOODED_OFF,
    ONE_TO_ONE,
)

GOOD: dict[str, Any] = {
    "sent": 1_000,
    "answered": 1_000,
    "lost": 0,
    "unexpected": 0,
    "cut": 0,
    "status": {"0x00": 1_000},
    "per_second": 7_000.0,
    "p50_ms": 100.0,
    "p99_ms": 200.0,
    "late_p99_ms": 0.5,
    "cpu_us": 100.0,
    "cpu_percent": 70.0,
    "rss_mb": 100.0,
}
COST = {"octets": 1, "encode_us": 1.0, "stretch_us": 2.0, "stretch_ms": 3.0}


class FakeApi:
    """Its counts grow with each load: 22 requests, two of them refused."""

    def __init__(self) -> None:
        self.found: dict[str, Any] = {}
        self.flooded: dict[str, Any] = {}
        self.messages = self.loads = 0
        self.waiting = 1.0
        self.ended = False
        self.configured: list[str] = []
        self.seconds: list[bool] = []  # whether there are second accounts
        self.floods: list[tuple[int, int]] = []
        self.system_ids: list[str] = []

    def ask(self, command: str) -> dict[str, Any]:
        assert command == "count"
        return {
            "answered": 22 * self.loads,
            "refused": 2 * self.loads,
            "messages": self.messages,
        }

    # As the gateways.

    @contextlib.contextmanager
    def serve(self, engine: str, *, api: str, second: bool = False) -> Iterator[FakeApi]:
        self.configured.append(api)
        self.seconds.append(second)
        yield self

    # As a gateway.

    def load(self, *_: Any) -> dict[str, Any]:
        self.loads += 1
        self.messages += 1_000
        return GOOD | self.found

    def paced(
        self, binds: int, rate: int, warmup: float, seconds: float, system_id: str
    ) -> dict[str, Any]:
        self.system_ids.append(system_id)
        self.loads += 1
        self.messages += 1_000
        return GOOD | self.found

    def lag(self) -> dict[float, float]:
        return {0.005: 90.0 * self.loads, 0.025: 100.0 * self.loads}

    def metric(self, name: str) -> float:
        return self.waiting

    @contextlib.contextmanager
    def flood(self, binds: int, window: int, seconds: float) -> Iterator[FakeApi]:
        self.floods.append((binds, window))
        self.messages += 1_000
        yield self

    def report(self) -> dict[str, Any]:
        return GOOD | self.flooded


@pytest.fixture
def api() -> FakeApi:
    return FakeApi()


@pytest.fixture
def run(tmp_path: Path, api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> Run:
    run = Run(tmp_path, cast("Any", api), seconds=0.1, rounds=2)
    run.gateways = cast("Any", api)

    @contextlib.contextmanager
    def before(name: str, limit: int, latency: int) -> Iterator[Run]:
        assert (limit, latency) == (150, 100)
        yield run

    monkeypatch.setattr(run, "limited", before)
    costs = {str(each.messages): COST for each in BULK_COST}
    monkeypatch.setattr(limited, "finished", lambda *_: costs)
    monkeypatch.setattr("bench.limited.time.sleep", lambda seconds: None)
    return run


def test_shared_and_single_requests_are_measured_in_turn(run: Run, api: FakeApi) -> None:
    limited.limit(run)
    assert run.results.problems == []
    shared, single = api.configured
    assert shared == 'rate_limit = 150\nbulk = "auto"\n'
    assert single == 'rate_limit = 150\nbulk = "off"\n'
    for scenario in (BULK, ONE_TO_ONE):
        assert run.results.values(scenario, "refused") == [2, 2]
        assert run.results.values(scenario, "messages_per_request") == [50, 50]
        assert run.results.values(scenario, "requests_per_second") == [140, 140]
        assert run.results.values(scenario, "lag_ms") == [25, 25]
    assert run.results.values(BULK_THOUSAND, "stretch_ms") == [3, 3]
    text = report.render(run.results)
    assert "takes 150 requests/s, latency 100 ms, medians of 2 rounds" in text
    assert "1,000 messages in a request" in text


def test_a_message_that_is_not_accepted_is_a_problem(run: Run, api: FakeApi) -> None:
    api.found = {"sent": 1_001, "lost": 1}
    limited.limit(run)
    assert f"{BULK.name}: 1 lost" in run.results.problems
    assert any("1001 submit_sm sent, 1000 " in problem for problem in run.results.problems)


def test_one_account_is_measured_alone_and_beside_a_flood(run: Run, api: FakeApi) -> None:
    limited.fair(run)
    assert run.results.problems == []
    assert set(api.system_ids) == {OTHER}
    assert api.seconds == [True, True]
    assert sorted(api.floods) == [(10, 100), (10, 100), (10, 300), (10, 300)]
    assert run.results.values(FAIR_ALONE, "p99_ms") == [200, 200]
    assert run.results.values(FAIR_ALONE, "refused") == [2, 2]
    assert run.results.values(FAIR_ALONE, "flood_per_second") == []
    assert run.results.values(FAIR_FLOODED, "flood_per_second") == [7_000, 7_000]
    assert 'bulk = "off", 1,000 of another account in flight' in report.render(run.results)


@pytest.mark.parametrize(
    ("flooded", "ended", "words"),
    [
        ({"lost": 1}, False, "the flood: 1 lost"),
        ({"status": {"0x00": 999, "0x58": 1}}, False, "the flood: command_status"),
        ({"sent": 1_001}, False, "999 "),
        ({}, True, "the flood ended too early"),
    ],
)
def test_a_flood_that_is_none_is_a_problem(
    run: Run, api: FakeApi, flooded: dict[str, Any], ended: bool, words: str
) -> None:
    api.flooded, api.ended = flooded, ended
    limited.fair(run)
    assert any(
        problem.startswith(FAIR_FLOODED_OFF.name) and words in problem
        for problem in run.results.problems
    )


def test_a_flood_of_which_nothing_waits_is_a_failure(run: Run, api: FakeApi) -> None:
    api.waiting, api.ended = 0, True
    with pytest.raises(Failed, match="no messages of the flood wait"):
        limited.fair(run)
