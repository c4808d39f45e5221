"""One run over one upstream: rows are measured, checked and kept."""

from __future__ import annotations

import contextlib
import copy
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from bench import children
from bench.gateway import Gateway
from bench.gateways import Gateways
from bench.results import Report, Results, faults
from bench.scenarios import Measured, Scenario

Row = tuple[Scenario, Gateway | None]  # a bare engine needs no gateway
_Row = TypeVar("_Row")


class Run:
    """What the parts of the bench share. `seconds` is the measured time of a row."""

    def __init__(
        self, folder: Path, upstream: children.Upstream, seconds: float, rounds: int
    ) -> None:
        self.results = Results()
        self.folder = folder
        self.upstream = upstream
        self.gateways = Gateways(folder, upstream)
        self.seconds = seconds
        self.warmup = max(0.3, seconds / 4)
        self.round_count = rounds
        self._stuck: set[Scenario] = set()  # rows that lost messages: each costs a long wait

    def in_turn(
        self, rows: Sequence[Row], *, alternate: bool = False, most: int | None = None
    ) -> None:
        """Measure all rows, round after round; with `alternate`, every second one backwards."""
        for each in self.rounds(rows, alternate=alternate, most=most):
            for scenario, gateway in each:
                self.measure(scenario, gateway)

    def rounds(
        self, rows: Sequence[_Row], *, alternate: bool = True, most: int | None = None
    ) -> Iterator[Sequence[_Row]]:
        """Give the rows of each round, of which there are `most` at most.

        With `alternate`, those of every second round come backwards.
        """
        count = min(self.round_count, most or self.round_count)
        for turn in range(1, count + 1):
            say(f"round {turn} of {count}")
            yield rows[::-1] if alternate and turn % 2 == 0 else rows

    def measure(self, scenario: Scenario, gateway: Gateway | None) -> None:
        """Add one row to the results; what goes wrong is a problem."""
        if scenario in self._stuck:
            return
        try:
            if scenario.binds:
                assert gateway is not None, "started before"
                found = self.loaded(scenario, gateway, self.warmup, self.seconds)
            else:
                found = self._bare(scenario)
        except children.Failed as error:
            self.problem(scenario.name, str(error))
            return
        self.add(scenario, found)

    def add(self, scenario: Measured, found: Report) -> None:
        """Keep what a row came to, and tell it."""
        self.results.add(scenario, found)
        words = f"  {scenario.name:66} {found['per_second']:9,.0f}/s"
        if "p50_ms" in found:
            words += f"  p50 {found['p50_ms']:8.2f} ms  p99 {found['p99_ms']:8.2f} ms"
        say(f"{words}  {found['cpu_us']:7.1f} us")

    def loaded(self, scenario: Scenario, gateway: Gateway, warmup: float, seconds: float) -> Report:
        """Give a load's report after comparing its counts with the upstream's."""
        before = self.upstream.ask("count")
        found = gateway.load(
            *(scenario.binds, scenario.window, warmup, seconds, scenario.parts),
            receipts=scenario.receipts == "asked",
            mixed=scenario.mixed,
        )
        found["messages_per_second"] = found["per_second"] / scenario.submits_per_request
        after = self.upstream.ask("count")
        answered = after["answered"] - before["answered"]
        if answered:
            found["upstream_cpu_us"] = (after["cpu"] - before["cpu"]) / answered * 1e6
        if found["lost"]:
            self._stuck.add(scenario)
        for fault in faults(found, answered, found["sent"] / scenario.submits_per_request):
            self.problem(scenario.name, fault)
        return found

    @contextlib.contextmanager
    def limited(self, name: str, limit: int, latency: int) -> Iterator[Run]:
        """A run with the same results before an upstream with a limit, `latency` in ms."""
        folder = self.folder / name
        folder.mkdir()
        with children.upstream(
            folder, "--limit", str(limit), "--latency", str(latency)
        ) as upstream:
            run = copy.copy(self)
            run.upstream = upstream
            run.gateways = Gateways(folder, upstream)
            yield run

    def fill(self, scenario: Scenario, gateway: Gateway) -> None:
        """Leave `scenario.pending` first parts at the gateway. Raises Failed if it has not all."""
        before = self.upstream.ask("count")["answered"]
        found = gateway.fill(scenario.pending)
        wrong = faults(found, self.upstream.ask("count")["answered"] - before, 0)
        if found["answered"] != scenario.pending:
            wrong.append(f"{found['answered']} of {scenario.pending} answered")
        if wrong:
            raise children.Failed(f"{scenario.name}: first parts: {', '.join(wrong)}")
        say(f"{scenario.pending:,} first parts answered in {found['seconds']:.1f} s")

    def _bare(self, scenario: Scenario) -> Report:
        before = self.upstream.ask("count")["answered"]
        found = children.finished(
            "bench.bare",
            self.folder / "bare.log",
            self.warmup + self.seconds + 45,
            *("--engine", scenario.engine, "--in-flight", scenario.window),
            *("--base-url", self.upstream.base_url, "--ca-file", self.upstream.ca_file),
            *("--warmup", self.warmup, "--seconds", self.seconds),
        )
        answered = self.upstream.ask("count")["answered"] - before
        if found["failed"]:
            self.problem(scenario.name, f"{found['failed']} requests failed")
        if answered != found["posted"]:
            self.problem(
                scenario.name, f"{found['posted']} posted, {answered} seen by the upstream"
            )
        return found

    def problem(self, where: str, what: str) -> None:
        """Keep a problem, once."""
        problem = f"{where}: {what}"
        if problem not in self.results.problems:
            self.results.problems.append(problem)
        say(f"  PROBLEM {where}: {what}")

    @contextlib.contextmanager
    def failure_is_a_problem(self, where: str) -> Iterator[None]:
        """Let the rest of the run go on."""
        try:
            yield
        except children.Failed as error:
            self.problem(where, str(error))


def say(text: str) -> None:
    """Tell how far the run is; the result alone goes to standard output."""
    print(text, file=sys.stderr, flush=True)
