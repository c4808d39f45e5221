"""What the parts that relay messages ask of the gateway and of the upstream."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from bench import messages
from bench.children import Failed
from bench.gateway import Gateway
from bench.run import Run
from bench.scenarios import FOUR_BINDS, LATENCIES, MIXED, SCALE, THOUSAND_BINDS, Scenario


class FakeUpstream:
    """Notes what it was told last."""

    latency = 0

    def ask(self, command: str) -> dict[str, Any]:
        match command.split():
            case ["latency", milliseconds]:
                self.latency = int(milliseconds)
        return {"waiting_most": 900}


class FakeGateway:
    def memory(self) -> dict[str, float]:
        return {"rss_mb": 99.76, "peak_mb": 141.76}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    run = Run(tmp_path, cast("Any", FakeUpstream()), seconds=0.1, rounds=5)
    run.asked_for = {}  # type: ignore[attr-defined]

    @contextlib.contextmanager
    def serve(engine: str, **options: Any) -> Iterator[Any]:
        run.asked_for = options  # type: ignore[attr-defined]
        yield FakeGateway()

    monkeypatch.setattr(run.gateways, "serve", serve)
    return run


@pytest.fixture
def measured(run: Run, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Scenario, int]]:
    """Each row that was measured, and the latency of the upstream meanwhile."""
    found: list[tuple[Scenario, int]] = []

    def measure(scenario: Scenario, gateway: Gateway | None) -> None:
        found.append((scenario, cast("FakeUpstream", run.upstream).latency))

    monkeypatch.setattr(run, "measure", measure)
    return found


def test_each_latency_is_that_of_its_rows(run: Run, measured: list[tuple[Scenario, int]]) -> None:
    messages.latency(run)
    assert len(measured) == 3 * len(LATENCIES)
    assert {(row.latency, latency) for row, latency in measured} == {(0, 0), (50, 50), (200, 200)}
    assert {row.binds * row.window for row, _ in measured} == {5_000}
    assert "max_requests = 5000" in run.asked_for["api"]  # type: ignore[attr-defined]
    assert cast("FakeUpstream", run.upstream).latency == 0, "not for the parts behind it"


def test_the_latency_ends_with_a_part_that_fails(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def loaded(scenario: Scenario, *_: Any) -> dict[str, Any]:
        if scenario.window > 1:
            raise Failed("no more")
        return {}

    monkeypatch.setattr(run, "loaded", loaded)
    with pytest.raises(Failed):
        messages.flood(run)
    assert cast("FakeUpstream", run.upstream).latency == 0


def test_a_flood_is_told_by_message(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    latencies = []

    def loaded(scenario: Scenario, *_: Any) -> dict[str, Any]:
        latencies.append((scenario.window, cast("FakeUpstream", run.upstream).latency))
        return {"answered": 1}

    monkeypatch.setattr(run, "loaded", loaded)
    messages.flood(run)
    assert latencies == [(1, 0), (100, 500)]
    assert run.results.figures == {
        "flood_mb": 141.76,
        "flood_kib": pytest.approx(42e6 / 1024 / 10_000),
        "flood_waiting": 900,
    }


def test_as_much_is_in_flight_with_any_number_of_binds(
    run: Run, measured: list[tuple[Scenario, int]]
) -> None:
    messages.scale(run)
    assert {row.binds * row.window for row, _ in measured} == {1_000}
    assert [row for row, _ in measured[:4]] == [*SCALE]
    assert [row for row, _ in measured[4:8]] == [*SCALE[::-1]]
    assert (FOUR_BINDS.binds, THOUSAND_BINDS.binds) == (4, 1_000)
    assert "max_connections_per_address" in run.asked_for["smpp"]  # type: ignore[attr-defined]


def test_mixed_messages_have_a_store_and_callbacks(
    run: Run, measured: list[tuple[Scenario, int]]
) -> None:
    messages.mixed(run)
    assert [row for row, _ in measured] == [MIXED] * 3
    assert run.asked_for == {"parts": True, "callbacks": True}  # type: ignore[attr-defined]
