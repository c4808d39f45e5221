"""What the bench makes of callbacks and the receipts that come of them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from bench import receipts
from bench.children import Upstream
from bench.gateway import Gateway
from bench.run import Run
from bench.scenarios import ASKED, BARE_BESIDE, CALLBACKS, NOT_ASKED

POSTED: dict[str, Any] = {
    "answered": 100,
    "lost": 0,
    "cut": 0,
    "status": {"200": 100},
    "begun": 10.0,
    "ended": 12.0,
    "per_second": 45.0,
    "cpu_us": 300.0,
}
TAKEN: dict[str, Any] = {"taken": 100, "doubled": 0, "unexpected": 0, "bound": 2}


class FakeReceivers:
    """Says what it is told to."""

    def __init__(self, count: dict[str, Any]) -> None:
        self._count = count

    def ask(self, command: str) -> dict[str, Any]:
        if command == "count":
            return self._count
        assert command == "between 10.0 12.0"
        return {"taken": 90}


class FakeGateway(Gateway):
    def metric(self, name: str) -> float:
        return 0.25


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path, cast("Upstream", None), seconds=0.1, rounds=1)


@pytest.fixture
def gateway(tmp_path: Path) -> Gateway:
    return FakeGateway(1, 2, tmp_path / "gateway.log", callback_port=3)


def called_back(
    run: Run,
    gateway: Gateway,
    monkeypatch: pytest.MonkeyPatch,
    posted: dict[str, Any],
    taken: dict[str, Any],
) -> dict[str, Any] | None:
    @contextlib.contextmanager
    def receivers(gateway: Gateway) -> Iterator[FakeReceivers]:
        yield FakeReceivers(TAKEN | taken)

    def finished(*_: object, meanwhile: Callable[[], None]) -> dict[str, Any]:
        meanwhile()
        return POSTED | posted

    monkeypatch.setattr(receipts, "receivers", receivers)
    monkeypatch.setattr(receipts, "finished", finished)
    monkeypatch.setattr(receipts, "DELIVERY_WAIT", 0.0)
    return receipts._called_back(run, CALLBACKS, gateway)


def test_a_receipt_for_each_callback(
    run: Run, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = called_back(run, gateway, monkeypatch, {}, {})
    assert found is not None
    assert (found["delivered_per_second"], found["oldest_age"]) == (45.0, 0.25)
    assert run.results.problems == []


@pytest.mark.parametrize(
    ("posted", "taken", "problem"),
    [
        ({"lost": 1}, {}, "1 lost"),
        ({"cut": 2}, {}, "2 cut"),
        ({"status": {"200": 99, "503": 1}}, {}, "HTTP status {'200': 99, '503': 1}"),
        ({}, {"taken": 99}, "99 receipts of 100 reports"),
        ({}, {"taken": 101}, "101 receipts of 100 reports"),
        ({}, {"doubled": 1}, "1 receipts twice"),
        ({}, {"unexpected": 1}, "1 PDUs that are no deliver_sm"),
        ({}, {"bound": 1}, "1 receivers lost"),
    ],
)
def test_what_does_not_agree_is_a_problem(
    run: Run,
    gateway: Gateway,
    monkeypatch: pytest.MonkeyPatch,
    posted: dict[str, Any],
    taken: dict[str, Any],
    problem: str,
) -> None:
    called_back(run, gateway, monkeypatch, posted, taken)
    assert run.results.problems == [f"{CALLBACKS.name}: {problem}"]


@pytest.mark.parametrize("journal", ["", "-wal"])
def test_a_store_that_grows_is_a_problem(
    run: Run, gateway: Gateway, monkeypatch: pytest.MonkeyPatch, journal: str
) -> None:
    @contextlib.contextmanager
    def serve(engine: str, *, callbacks: bool) -> Iterator[Gateway]:
        assert callbacks
        yield gateway

    measured = []

    def measure(scenario: object, gateway: Gateway) -> None:
        measured.append(scenario)
        if scenario is ASKED:
            (gateway.folder / f"gateway.db{journal}").write_bytes(bytes(4096))

    monkeypatch.setattr(run.gateways, "serve", serve)
    monkeypatch.setattr(run, "measure", measure)
    receipts.throughput(run)
    assert run.results.problems == [f"{ASKED.name}: 4096 octets more in the store"]
    assert measured == [BARE_BESIDE, NOT_ASKED, ASKED]
