"""Rows are measured in turn, and counts that do not agree are problems."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from bench import children
from bench.gateway import Gateway
from bench.run import Run
from bench.scenarios import (
    ASKED,
    FEW_PENDING,
    LIBCURL,
    MANY_PENDING,
    MIXED,
    NOT_ASKED,
    PARTS,
    Scenario,
)

GOOD: dict[str, Any] = {
    "sent": 400,
    "answered": 400,
    "lost": 0,
    "unexpected": 0,
    "cut": 0,
    "status": {"0x00": 400},
    "per_second": 4_000.0,
    "p50_ms": 1.0,
    "p99_ms": 2.0,
    "cpu_us": 100.0,
    "seconds": 0.1,
}


class FakeUpstream:
    """Counts what the fake gateways post."""

    def __init__(self) -> None:
        self.answered = 0

    def ask(self, command: str) -> dict[str, Any]:
        assert command == "count"
        return {"answered": self.answered, "cpu": self.answered * 1e-5}


class FakeGateway:
    """Reports as told and has so many requests answered."""

    def __init__(self, upstream: FakeUpstream, requests: int, **found: Any) -> None:
        self.upstream = upstream
        self.requests = requests
        self.found = GOOD | found
        self.parts: list[int] = []
        self.receipts: list[bool] = []
        self.mixed: list[bool] = []
        self.filled: list[int] = []

    def load(
        self,
        binds: int,
        window: int,
        warmup: float,
        seconds: float,
        parts: int,
        *,
        receipts: bool,
        mixed: bool,
    ) -> Any:
        self.parts.append(parts)
        self.receipts.append(receipts)
        self.mixed.append(mixed)
        self.upstream.answered += self.requests
        return dict(self.found)

    def fill(self, count: int) -> Any:
        self.filled.append(count)
        self.upstream.answered += self.requests
        return dict(self.found)


@pytest.fixture
def upstream() -> FakeUpstream:
    return FakeUpstream()


@pytest.fixture
def run(tmp_path: Path, upstream: FakeUpstream) -> Run:
    return Run(tmp_path, cast("children.Upstream", upstream), seconds=0.1, rounds=3)


def gateway(upstream: FakeUpstream, requests: int, **found: Any) -> Gateway:
    return cast("Gateway", FakeGateway(upstream, requests, **found))


@pytest.mark.parametrize(
    ("scenario", "requests", "agrees"),
    [
        (LIBCURL, 400, True),
        (LIBCURL, 399, False),
        (LIBCURL, 401, False),
        (PARTS, 200, True),
        (PARTS, 199, False),
        (PARTS, 201, False),
        (PARTS, 400, False),
        (MIXED, 320, True),
        (MIXED, 319, False),
        (MIXED, 400, False),
    ],
)
def test_one_request_for_each_message(
    run: Run, upstream: FakeUpstream, scenario: Scenario, requests: int, agrees: bool
) -> None:
    run.measure(scenario, gateway(upstream, requests))
    assert (run.results.problems == []) is agrees
    assert len(run.results.reports[scenario]) == 1


def test_half_a_message_is_a_problem(run: Run, upstream: FakeUpstream) -> None:
    run.measure(PARTS, gateway(upstream, 200, sent=401))
    (problem,) = run.results.problems
    assert problem == (
        "gateway libcurl, 4 x 100, 2 parts a message: "
        "401 submit_sm sent, 200 requests seen by the upstream, not 200.5"
    )


@pytest.mark.parametrize("fault", ["lost", "unexpected", "cut"])
def test_a_fault_of_the_load_is_a_problem(run: Run, upstream: FakeUpstream, fault: str) -> None:
    run.measure(PARTS, gateway(upstream, 200, **{fault: 3}))
    assert run.results.problems == [f"{PARTS.name}: 3 {fault}"]


def test_a_refused_part_is_a_problem(run: Run, upstream: FakeUpstream) -> None:
    run.measure(PARTS, gateway(upstream, 200, status={"0x00": 399, "0x64": 1}))
    assert run.results.problems == [f"{PARTS.name}: command_status {{'0x00': 399, '0x64': 1}}"]


def test_what_loses_messages_is_not_measured_again(run: Run, upstream: FakeUpstream) -> None:
    run.in_turn([(PARTS, gateway(upstream, 200, lost=1))])
    assert len(run.results.reports[PARTS]) == 1


def test_parts_are_asked_for(run: Run, upstream: FakeUpstream) -> None:
    fake = FakeGateway(upstream, 200)
    run.measure(PARTS, cast("Gateway", fake))
    assert fake.parts == [2]


@pytest.mark.parametrize(("scenario", "asked"), [(ASKED, True), (NOT_ASKED, False)])
def test_receipts_are_asked_for(
    run: Run, upstream: FakeUpstream, scenario: Scenario, asked: bool
) -> None:
    fake = FakeGateway(upstream, 400)
    run.measure(scenario, cast("Gateway", fake))
    assert fake.receipts == [asked]


def test_mixed_messages_are_asked_for(run: Run, upstream: FakeUpstream) -> None:
    fake = FakeGateway(upstream, 320)
    run.measure(MIXED, cast("Gateway", fake))
    run.measure(LIBCURL, cast("Gateway", fake))
    assert fake.mixed == [True, False]
    assert run.results.values(MIXED, "messages_per_second") == [3_200]


@pytest.mark.parametrize(("most", "rounds"), [(None, 3), (2, 2), (5, 3)])
def test_some_rows_have_fewer_rounds(
    run: Run, upstream: FakeUpstream, most: int | None, rounds: int
) -> None:
    run.in_turn([(LIBCURL, gateway(upstream, 400))], most=most)
    assert len(run.results.reports[LIBCURL]) == rounds


def test_a_limited_upstream_has_the_same_results(run: Run) -> None:
    with run.limited("there", limit=2, latency=0) as other:
        assert other.results is run.results
        assert other.upstream.ask("count")["refused"] == 0
        assert other.upstream is not run.upstream
        assert other.gateways is not run.gateways


@pytest.mark.parametrize(("alternate", "order"), [(False, "abababab"), (True, "abbaabba")])
def test_who_goes_first_changes(
    tmp_path: Path, upstream: FakeUpstream, alternate: bool, order: str
) -> None:
    run = Run(tmp_path, cast("children.Upstream", upstream), seconds=0.1, rounds=4)
    seen: list[str] = []

    class Noted(FakeGateway):
        def load(self, *arguments: Any, **named: Any) -> Any:
            seen.append("a" if self.found["cpu_us"] == 1 else "b")
            return super().load(*arguments, **named)

    one, other = Noted(upstream, 200, cpu_us=1), Noted(upstream, 200, cpu_us=2)
    rows = [(FEW_PENDING, cast("Gateway", one)), (MANY_PENDING, cast("Gateway", other))]
    run.in_turn(rows, alternate=alternate)
    assert "".join(seen) == order
    assert len(run.results.reports[FEW_PENDING]) == len(run.results.reports[MANY_PENDING]) == 4


def test_a_store_is_filled_with_first_parts(run: Run, upstream: FakeUpstream) -> None:
    fake = FakeGateway(upstream, 0, sent=100, answered=100)
    run.fill(FEW_PENDING, cast("Gateway", fake))
    assert fake.filled == [100]


@pytest.mark.parametrize(
    ("requests", "found", "words"),
    [
        (1, {"answered": 100}, "1 requests seen by the upstream, not 0"),
        (0, {"answered": 99}, "99 of 100 answered"),
        (0, {"answered": 100, "lost": 1}, "1 lost"),
        (0, {"answered": 100, "status": {"0x00": 99, "0x14": 1}}, "command_status"),
    ],
)
def test_a_store_that_is_not_filled_is_a_failure(
    run: Run, upstream: FakeUpstream, requests: int, found: dict[str, Any], words: str
) -> None:
    with pytest.raises(children.Failed, match=words):
        run.fill(FEW_PENDING, gateway(upstream, requests, **found))


def test_a_failure_is_a_problem_and_the_run_goes_on(run: Run) -> None:
    with run.failure_is_a_problem("parts"):
        raise children.Failed("the gateway does not serve")
    assert run.results.problems == ["parts: the gateway does not serve"]
