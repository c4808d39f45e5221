"""The parts of the bench that relay messages of one part."""

from __future__ import annotations

import contextlib
import time

from bench.gateways import Gateway
from bench.run import Run, say
from bench.scenarios import COMPARED, MATRIX, Scenario

IDLE_BINDS = 1_000
IDLE_SMPP = "max_connections_per_address = 2000\n"
FLOOD_BINDS, FLOOD_WINDOW, FLOOD_LATENCY = 100, 100, 0.5  # seconds


def compare(run: Run) -> None:
    """Measure the compared rows in turn; gateways stay up from round to round."""
    with contextlib.ExitStack() as stack:
        serving: dict[tuple[str, bool], Gateway] = {}
        for engine, messages in dict.fromkeys((s.engine, s.messages) for s in COMPARED if s.binds):
            with run.failure_is_a_problem(f"gateway {engine}"):
                serving[engine, messages] = stack.enter_context(
                    run.gateways.serve(engine, messages=messages)
                )
        rows = [(s, serving.get((s.engine, s.messages)) if s.binds else None) for s in COMPARED]
        run.in_turn([row for row in rows if row[1] is not None or not row[0].binds])


def matrix(run: Run) -> None:
    """Measure each row with a gateway of its own, so that its memory is its own."""
    for scenario in MATRIX:
        if scenario not in run.results.reports:
            with run.gateways.serve(scenario.engine) as gateway:
                run.measure(scenario, gateway)


def idle(run: Run) -> None:
    """Compare the memory before and with a thousand bound sessions."""
    with run.gateways.serve("libcurl", smpp=IDLE_SMPP) as gateway:
        with gateway.idle(1):
            pass
        before = gateway.memory()["rss_mb"]
        with gateway.idle(IDLE_BINDS):
            time.sleep(1)
            after = gateway.memory()["rss_mb"]
    each = (after - before) * 1e6 / 1024 / IDLE_BINDS
    run.results.figures["idle_kib"] = each
    say(f"{IDLE_BINDS:,} idle sessions: {before:.0f} -> {after:.0f} MB, {each:.1f} KiB each")


def flood(run: Run) -> None:
    """Hold ten thousand messages at a slow upstream and read the peak memory."""
    run.upstream.ask(f"latency {FLOOD_LATENCY * 1000:.0f}")
    try:
        with run.gateways.serve("libcurl") as gateway:
            scenario = Scenario("libcurl", FLOOD_BINDS, FLOOD_WINDOW)
            found = run.loaded(scenario, gateway, 0.5, 4.0)
            peak = gateway.memory()["peak_mb"]
        waiting = run.upstream.ask("count")["waiting_most"]
    finally:
        run.upstream.ask("latency 0")
    run.results.figures.update(flood_mb=peak, flood_waiting=waiting)
    say(
        f"flood: {FLOOD_BINDS} x {FLOOD_WINDOW} in flight, {waiting:,} of them at the "
        f"upstream at once, {found['answered']:,} answered, peak {peak:.0f} MB"
    )
