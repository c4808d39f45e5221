"""`python -m bench`: measure everything, print a table and the figures to reach.

Exits 1 when a message was lost, doubled or refused or a part did not run; a missed figure
is printed as MISS and does not change the exit code.
"""

from __future__ import annotations

import argparse
import contextlib
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

from bench import children, report
from bench.results import COMPARED, MATRIX, Report, Results, Scenario

PARTS = ("compare", "matrix", "idle", "flood")
IDLE_BINDS = 1_000
FLOOD_BINDS, FLOOD_WINDOW, FLOOD_LATENCY = 100, 100, 0.5  # seconds


class Bench:
    """One run over one upstream."""

    def __init__(self, folder: Path, upstream: children.Upstream, seconds: float) -> None:
        self.results = Results()
        self._folder = folder
        self._upstream = upstream
        self._gateways = children.Gateways(folder, upstream)
        self._seconds = seconds
        self._warmup = max(0.3, seconds / 4)
        self._stuck: set[Scenario] = set()  # rows that lost messages: each costs a long wait

    def compare(self, rounds: int) -> None:
        """Measure the compared rows in turn; gateways stay up from round to round."""
        with contextlib.ExitStack() as stack:
            serving: dict[tuple[str, bool], children.Gateway] = {}
            for engine, messages in dict.fromkeys(
                (s.engine, s.messages) for s in COMPARED if s.binds
            ):
                try:
                    serving[engine, messages] = stack.enter_context(
                        self._gateways.serve(engine, messages=messages)
                    )
                except children.Failed as error:
                    self._problem(f"gateway {engine}", str(error))
            for turn in range(1, rounds + 1):
                _say(f"round {turn} of {rounds}")
                for scenario in COMPARED:
                    gateway = serving.get((scenario.engine, scenario.messages))
                    if gateway is not None or not scenario.binds:
                        self._measure(scenario, gateway)

    def matrix(self) -> None:
        """Measure each row with a gateway of its own, so that its memory is its own."""
        for scenario in MATRIX:
            if scenario not in self.results.reports:
                with self._gateways.serve(scenario.engine) as gateway:
                    self._measure(scenario, gateway)

    def idle(self) -> None:
        """Compare the memory before and with a thousand bound sessions."""
        with self._gateways.serve("libcurl") as gateway:
            with gateway.idle(1):
                pass
            before = gateway.memory()["rss_mb"]
            with gateway.idle(IDLE_BINDS):
                time.sleep(1)
                after = gateway.memory()["rss_mb"]
        each = (after - before) * 1e6 / 1024 / IDLE_BINDS
        self.results.figures["idle_kib"] = each
        _say(f"{IDLE_BINDS:,} idle sessions: {before:.0f} -> {after:.0f} MB, {each:.1f} KiB each")

    def flood(self) -> None:
        """Hold ten thousand messages at a slow upstream and read the peak memory."""
        self._upstream.ask(f"latency {FLOOD_LATENCY * 1000:.0f}")
        try:
            with self._gateways.serve("libcurl") as gateway:
                scenario = Scenario("libcurl", FLOOD_BINDS, FLOOD_WINDOW)
                flood = self._loaded(scenario, gateway, 0.5, 4.0)
                peak = gateway.memory()["peak_mb"]
            waiting = self._upstream.ask("count")["waiting_most"]
        finally:
            self._upstream.ask("latency 0")
        self.results.figures.update(flood_mb=peak, flood_waiting=waiting)
        _say(
            f"flood: {FLOOD_BINDS} x {FLOOD_WINDOW} in flight, {waiting:,} of them at the "
            f"upstream at once, {flood['answered']:,} answered, peak {peak:.0f} MB"
        )

    def _measure(self, scenario: Scenario, gateway: children.Gateway | None) -> None:
        if scenario in self._stuck:
            return
        try:
            if scenario.binds:
                assert gateway is not None, "started before"
                found = self._loaded(scenario, gateway, self._warmup, self._seconds)
            else:
                found = self._bare(scenario)
        except children.Failed as error:
            self._problem(scenario.name, str(error))
            return
        self.results.add(scenario, found)
        _say(
            f"  {scenario.name:44} {found['per_second']:9,.0f}/s  p50 {found['p50_ms']:8.2f} ms  "
            f"p99 {found['p99_ms']:8.2f} ms  {found['cpu_us']:7.1f} us"
        )

    def _bare(self, scenario: Scenario) -> Report:
        before = self._upstream.ask("count")["answered"]
        found = children.finished(
            "bench.bare",
            self._folder / "bare.log",
            self._warmup + self._seconds + 45,
            *("--engine", scenario.engine, "--in-flight", scenario.window),
            *("--base-url", self._upstream.base_url, "--ca-file", self._upstream.ca_file),
            *("--warmup", self._warmup, "--seconds", self._seconds),
        )
        answered = self._upstream.ask("count")["answered"] - before
        if found["failed"]:
            self._problem(scenario.name, f"{found['failed']} requests failed")
        if answered != found["posted"]:
            self._problem(
                scenario.name, f"{found['posted']} posted, {answered} seen by the upstream"
            )
        return found

    def _loaded(
        self, scenario: Scenario, gateway: children.Gateway, warmup: float, seconds: float
    ) -> Report:
        before = self._upstream.ask("count")
        found = gateway.load(scenario.binds, scenario.window, warmup, seconds)
        after = self._upstream.ask("count")
        answered = after["answered"] - before["answered"]
        if answered:
            found["upstream_cpu_us"] = (after["cpu"] - before["cpu"]) / answered * 1e6
        for fault in ("lost", "unexpected", "cut"):
            if found[fault]:
                self._problem(scenario.name, f"{found[fault]} {fault}")
        if found["lost"]:
            self._stuck.add(scenario)
        if found["status"].keys() != {"0x00"}:
            self._problem(scenario.name, f"command_status {found['status']}")
        if answered != found["sent"]:
            self._problem(
                scenario.name, f"{found['sent']} messages sent, {answered} seen by the upstream"
            )
        return found

    def _problem(self, where: str, what: str) -> None:
        problem = f"{where}: {what}"
        if problem not in self.results.problems:
            self.results.problems.append(problem)
        _say(f"  PROBLEM {where}: {what}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _stop(number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


@contextlib.contextmanager
def _failure_is_a_problem(bench: Bench, part: str) -> Iterator[None]:
    try:
        yield
    except children.Failed as error:
        bench.results.problems.append(f"{part}: {error}")
        _say(f"PROBLEM {part}: {error}")


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under a minute, without the matrix")
    parser.add_argument("--only", action="append", choices=PARTS, help="may be repeated")
    parser.add_argument("--rounds", type=int, help="rounds of the compared rows (5; quick: 3)")
    parser.add_argument("--seconds", type=float, help="measured time of a row (2; quick: 0.6)")
    parser.add_argument("--write", action="store_true", help="keep it in docs/performance.md")
    return parser.parse_args(given)


def main(given: Sequence[str] | None = None) -> int:
    arguments = _arguments(given)
    quick = arguments.quick
    wanted = arguments.only or [part for part in PARTS if not (quick and part == "matrix")]
    signal.signal(signal.SIGTERM, _stop)
    # A thousand sessions need more descriptors than a shell's usual limit; children inherit it.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with (
        tempfile.TemporaryDirectory(prefix="smpp-gateway-bench-") as folder,
        children.upstream(Path(folder)) as upstream,
    ):
        bench = Bench(Path(folder), upstream, arguments.seconds or (0.6 if quick else 2.0))
        rounds = arguments.rounds or (3 if quick else 5)
        parts: dict[str, Callable[[], None]] = {
            "compare": lambda: bench.compare(rounds),
            "matrix": bench.matrix,
            "idle": bench.idle,
            "flood": bench.flood,
        }
        for part in PARTS:
            if part in wanted:
                _say(f"{part}:")
                with _failure_is_a_problem(bench, part):
                    parts[part]()
    text = report.render(bench.results)
    print("\n" + text)
    for problem in bench.results.problems:
        print(f"\nPROBLEM {problem}")
    if arguments.write and not bench.results.problems:
        report.write(text)
        _say(f"written to docs/{report.PAGE.name}")
    return 1 if bench.results.problems else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
