"""The parts with a load at a steady pace: what is a problem, and what stands in the report."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from bench import children, paced, report
from bench.gateway import Gateway
from bench.run import Run
from bench.scenarios import CALM, MANY_BOUND, STORM_OF_MANY, STORM_OF_ONE

GOOD: dict[str, Any] = {
    "sent": 100,
    "answered": 100,
    "lost": 0,
    "unexpected": 0,
    "cut": 0,
    "status": {"0x00": 100},
    "per_second": 200.0,
    "p50_ms": 1.0,
    "p99_ms": 2.0,
    "late_p99_ms": 0.5,
    "cpu_us": 100.0,
    "cpu_percent": 12.0,
    "rss_mb": 100.0,
}
STORMED: dict[str, Any] = {
    "seconds": 10.0,
    "begun": 5_000,
    "held": 0,
    "status": {"0x0E": 4_000},
    "closed": 900,
    "given_up": 0,
    "failed": 0,
    "open": 100,
}


class FakeUpstream:
    answered = 0

    def ask(self, command: str) -> dict[str, Any]:
        return {"answered": self.answered}


class FakeGateway:
    """Relays what is asked for, and has so many enquire_links unanswered at each look."""

    log = Path("gateway.log")
    smpp_port = 1

    def __init__(self, upstream: FakeUpstream, unanswered: tuple[int, ...] = (0,)) -> None:
        self.upstream = upstream
        self.unanswered = [*unanswered]
        self.found: dict[str, Any] = {}

    def paced(self, binds: int, rate: int, warmup: float, seconds: float) -> dict[str, Any]:
        self.upstream.answered += 100
        return GOOD | self.found

    @contextlib.contextmanager
    def idle(self, binds: int) -> Iterator[Any]:
        yield self

    least = 1

    def asked(self) -> tuple[int, int]:
        return 1_000, self.least

    def metrics(self, *names: str) -> dict[str, float]:
        left = self.unanswered.pop(0) if len(self.unanswered) > 1 else self.unanswered[0]
        return dict(zip(names, (1_000.0, 1_000.0 - left), strict=True))

    def memory(self) -> dict[str, float]:
        return {"rss_mb": 90.0}


class FakeGateways:
    def __init__(self, gateway: FakeGateway) -> None:
        self.gateway = gateway
        self.asked_for: dict[str, Any] = {}

    @contextlib.contextmanager
    def serve(self, engine: str, **options: Any) -> Iterator[Any]:
        self.asked_for = options
        yield self.gateway


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.paced.time.sleep", lambda seconds: None)


@pytest.fixture
def gateway() -> FakeGateway:
    return FakeGateway(FakeUpstream())


@pytest.fixture
def run(tmp_path: Path, gateway: FakeGateway) -> Run:
    run = Run(tmp_path, cast("children.Upstream", gateway.upstream), seconds=0.1, rounds=2)
    run.gateways = cast("Any", FakeGateways(gateway))
    return run


@pytest.mark.parametrize(("looks", "least"), [((0,), 0), ((30, 400, 0), 0), ((30, 2, 9, 2), 2)])
def test_what_is_on_its_way_is_not_unanswered(
    gateway: FakeGateway, looks: tuple[int, ...], least: int
) -> None:
    gateway.unanswered = [*looks]
    assert paced._unanswered(cast("Gateway", gateway), gateway.asked) == least


def test_many_binds_are_measured_beside_few(run: Run, gateway: FakeGateway) -> None:
    paced.binds(run)
    assert run.results.problems == []
    assert "max_connections_per_address" in run.gateways.asked_for["smpp"]  # type: ignore[attr-defined]
    assert run.gateways.asked_for["max_binds"] >= MANY_BOUND.binds + MANY_BOUND.idle  # type: ignore[attr-defined]
    assert run.results.values(MANY_BOUND, "unanswered") == [0, 0]
    assert run.results.values(MANY_BOUND, "kib") == [pytest.approx(10e6 / 1024 / 4_950)] * 2
    text = report.render(run.results)
    assert "gateway, 1,000 messages/s over 50 binds, 4,950 more idle" in text


def test_an_enquire_link_without_an_answer_is_a_problem(run: Run, gateway: FakeGateway) -> None:
    gateway.unanswered = [1] * paced.LOOKS + [4]  # one is of sessions that left long ago
    paced.binds(run)
    assert run.results.problems == [f"{MANY_BOUND.name}: 3 enquire_links not answered"]


def test_a_session_that_was_never_asked_is_a_problem(run: Run, gateway: FakeGateway) -> None:
    gateway.least = 0
    paced.binds(run)
    (problem,) = run.results.problems
    assert "a session was not asked" in problem


@pytest.fixture
def storms(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """The first address and the number of addresses of each storm."""
    seen: list[tuple[str, int]] = []

    @contextlib.contextmanager
    def storming(gateway: Gateway, first: str, addresses: int) -> Iterator[Any]:
        seen.append((first, addresses))
        yield None, None

    monkeypatch.setattr(paced, "_storming", storming)
    monkeypatch.setattr(paced, "ask", lambda *_: dict(STORMED))
    return seen


def test_quiet_and_storms_come_in_turn(run: Run, storms: list[tuple[str, int]]) -> None:
    paced.storm(run)
    assert run.results.problems == []
    assert {len(run.results.reports[each]) for each in (CALM, STORM_OF_ONE, STORM_OF_MANY)} == {2}
    assert sorted(addresses for _, addresses in storms) == [1, 1, 20_000, 20_000]
    assert len({first for first, _ in storms}) == 4, "none comes from where another came from"
    text = report.render(run.results)
    assert "storm from one address" in text
    assert "5,000 begun, answers by status: 0x0E 4,000; 900 closed unanswered" in text


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"begun": 4_000}, "only 400 binds/s"),
        ({"status": {"0x00": 1, "0x0E": 3_999}}, "a wrong password was accepted"),
    ],
)
def test_a_storm_that_is_none_is_a_problem(
    run: Run,
    storms: list[tuple[str, int]],
    monkeypatch: pytest.MonkeyPatch,
    wrong: dict[str, Any],
    words: str,
) -> None:
    monkeypatch.setattr(paced, "ask", lambda *_: STORMED | wrong)
    paced.storm(run)
    assert any(words in problem for problem in run.results.problems)


def test_a_message_lost_in_a_storm_is_a_problem(
    run: Run, gateway: FakeGateway, storms: list[tuple[str, int]]
) -> None:
    gateway.found = {"lost": 1}
    paced.storm(run)
    assert f"{STORM_OF_ONE.name}: 1 lost" in run.results.problems
