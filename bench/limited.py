"""The parts of the bench whose upstream takes 150 requests a second, and answers 429 above.

- `limit`: as many messages as go through, in requests that many share and in requests of their
  own; and what it costs in one piece to make such a request and to read its answer.
- `fair`: one account at a steady pace alone and while another floods, in turn.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from bench.children import Failed, finished
from bench.configuration import OTHER
from bench.exposition import quantile
from bench.gateway import Flood, Gateway
from bench.results import Report, faults
from bench.run import Run, say
from bench.scenarios import (
    BULK_COST,
    FAIR,
    LIMIT,
    LIMIT_LATENCY,
    LIMITED,
    LimitScenario,
    PacedScenario,
)

ROUNDS = 3
LONGER = 2  # times the seconds of other rows: a row of 143 requests a second needs time
FAIR_LONGER = 3
FLOOD_BINDS = 10
FLOOD_WAIT = 10.0  # seconds until messages of a flood must wait for their turn
FLOOD_MORE = 2.0  # seconds that it lasts longer than what is measured beside it
QUEUE = "smppgw_api_queue_messages"
COST_WAIT = 60.0


def api(bulk: str) -> str:
    return f'rate_limit = {LIMIT}\nbulk = "{bulk}"\n'


def limit(run: Run) -> None:
    """Measure both in turn, then the pieces of work."""
    with run.limited("limit", LIMIT, LIMIT_LATENCY) as before, contextlib.ExitStack() as stack:
        rows = [
            (each, stack.enter_context(before.gateways.serve("libcurl", api=api(each.bulk))))
            for each in LIMITED
        ]
        for each in before.rounds(rows, most=ROUNDS):
            for scenario, gateway in each:
                before.add(scenario, _limited(before, scenario, gateway))
    for _ in run.rounds(BULK_COST, most=ROUNDS):
        _costs(run)


def _limited(run: Run, scenario: LimitScenario, gateway: Gateway) -> Report:
    """Give a load's report, and what the upstream and the gateway say about that time."""
    before, lag = run.upstream.ask("count"), gateway.lag()
    found = gateway.load(scenario.binds, scenario.window, run.warmup, run.seconds * LONGER)
    after, late = run.upstream.ask("count"), quantile(lag, gateway.lag(), 0.99)
    messages, refused = (after[name] - before[name] for name in ("messages", "refused"))
    requests = after["answered"] - before["answered"]
    found["refused"] = refused
    found["messages_per_request"] = messages / max(requests - refused, 1)
    found["requests_per_second"] = found["per_second"] / max(found["messages_per_request"], 1)
    if late is not None:
        found["lag_ms"] = late * 1e3
    for fault in faults(found, messages, found["sent"]):
        run.problem(scenario.name, fault)
    say(f"  {requests:,} requests, {refused} of them refused, lag p99 <= {late} s")
    return found


def _costs(run: Run) -> None:
    sizes = [each.messages for each in BULK_COST]
    log = run.folder / "bulk_cost.log"
    found = finished("bench.bulk_cost", log, COST_WAIT, *sizes, "--seconds", run.seconds / 2)
    for each in BULK_COST:
        cost = found[str(each.messages)]
        run.results.add(each, cost)
        say(f"  {each.name:40} {cost['stretch_ms']:8.3f} ms at a stretch")


def fair(run: Run) -> None:
    """Measure one account alone and beside the flood, with and without shared requests."""
    with run.limited("fair", LIMIT, LIMIT_LATENCY) as before, contextlib.ExitStack() as stack:
        gateways = {
            bulk: stack.enter_context(before.gateways.serve("libcurl", api=api(bulk), second=True))
            for bulk in ("auto", "off")
        }
        for each in before.rounds(FAIR, most=ROUNDS):
            for scenario in each:
                before.add(scenario, _beside_flood(before, scenario, gateways[scenario.bulk]))


def _beside_flood(run: Run, scenario: PacedScenario, gateway: Gateway) -> Report:
    seconds = run.seconds * FAIR_LONGER
    before, others = run.upstream.ask("count"), 0
    with contextlib.ExitStack() as stack:
        flood = None
        if scenario.flood:
            window, lasting = scenario.flood // FLOOD_BINDS, run.warmup + seconds
            flood = stack.enter_context(_flooded(gateway, window, lasting))
        found = gateway.paced(scenario.binds, scenario.rate, run.warmup, seconds, OTHER)
        if flood:
            if flood.ended:
                run.problem(scenario.name, "the flood ended too early")
            flooded = flood.report()
            found["flood_per_second"], others = flooded["per_second"], flooded["sent"]
            for fault in faults(flooded, others, others):
                run.problem(scenario.name, f"the flood: {fault}")
    after = run.upstream.ask("count")
    found["refused"] = after["refused"] - before["refused"]
    messages = after["messages"] - before["messages"]
    for fault in faults(found, messages - others, found["sent"]):
        run.problem(scenario.name, fault)
    return found


@contextlib.contextmanager
def _flooded(gateway: Gateway, window: int, seconds: float) -> Iterator[Flood]:
    """Have messages of the other account wait for their turn. Raises Failed if they do not."""
    with gateway.flood(FLOOD_BINDS, window, seconds + FLOOD_MORE) as flood:
        ends = time.monotonic() + FLOOD_WAIT
        while not gateway.metric(QUEUE):
            if flood.ended or time.monotonic() > ends:
                raise Failed("no messages of the flood wait")
            time.sleep(0.05)
        yield flood
