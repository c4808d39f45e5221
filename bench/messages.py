"""The parts of the bench that relay messages as fast as they can be answered."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import replace

from bench.gateway import Gateway
from bench.gateways import UNPACED
from bench.run import Run, say
from bench.scenarios import COMPARED, LATENCIES, MATRIX, MIXED, SCALE, Scenario

ROUNDS = 3  # of what is measured in fewer
IDLE_BINDS = 1_000
MANY_SMPP = "max_connections_per_address = 2000\n"
# All that is in flight may be at the API: by default 500 are, and 200 ms are 2,500 messages/s then.
MANY_REQUESTS = UNPACED + "max_requests = 5000\n"
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
    with run.gateways.serve("libcurl", smpp=MANY_SMPP) as gateway:
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
    scenario = Scenario("libcurl", FLOOD_BINDS, FLOOD_WINDOW)
    with run.gateways.serve("libcurl") as gateway:
        # The memory of one who has had as many sessions, and little in flight.
        run.loaded(replace(scenario, window=1), gateway, 0.5, 0.5)
        before = gateway.memory()["rss_mb"]
        with _latency(run, int(FLOOD_LATENCY * 1000)):
            found = run.loaded(scenario, gateway, 0.5, 4.0)
            waiting = run.upstream.ask("count")["waiting_most"]
        peak = gateway.memory()["peak_mb"]
    each = (peak - before) * 1e6 / 1024 / (FLOOD_BINDS * FLOOD_WINDOW)
    run.results.figures.update(flood_mb=peak, flood_kib=each, flood_waiting=waiting)
    say(
        f"flood: {FLOOD_BINDS} x {FLOOD_WINDOW} in flight, {waiting:,} of them at the "
        f"upstream at once, {found['answered']:,} answered, peak {peak:.0f} MB, "
        f"{each:.1f} KiB each"
    )


def latency(run: Run) -> None:
    """Measure with an API that takes its time, as many in flight each time."""
    with run.gateways.serve("libcurl", api=MANY_REQUESTS) as gateway:
        for each in run.rounds(LATENCIES, most=ROUNDS):
            for scenario in each:
                with _latency(run, scenario.latency or 0):
                    run.measure(scenario, gateway)


@contextlib.contextmanager
def _latency(run: Run, milliseconds: int) -> Iterator[None]:
    run.upstream.ask(f"latency {milliseconds}")
    try:
        yield
    finally:
        run.upstream.ask("latency 0")


def scale(run: Run) -> None:
    """Measure few and many binds, with as many messages in flight, through one gateway."""
    with run.gateways.serve("libcurl", smpp=MANY_SMPP) as gateway:
        run.in_turn([(each, gateway) for each in SCALE], alternate=True, most=ROUNDS)


def mixed(run: Run) -> None:
    """Measure messages of different lengths that ask for receipts."""
    with run.gateways.serve(MIXED.engine, parts=True, callbacks=True) as gateway:
        run.in_turn([(MIXED, gateway)], most=ROUNDS)
