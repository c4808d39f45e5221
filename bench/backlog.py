"""The part of the bench that delivers receipts while few or very many wait.

A store is filled before the gateway starts, by the store's own code. Then receivers bind, take
some thousand receipts and leave. A fresh gateway does it in each round: the small store is filled
anew, the large one has enough for all rounds and goes from one gateway to the next.
"""

from __future__ import annotations

import os
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from bench.children import Failed
from bench.configuration import STORE_FILE, SYSTEM_ID
from bench.gateway import Gateway
from bench.receipts import receivers
from bench.results import Report
from bench.run import Run, say
from bench.scenarios import BACKLOG, BacklogScenario
from gateway.smpp.codec import encode
from gateway.smpp.constants import MessageState
from gateway.smpp.pdu import Address
from gateway.smpp.receipt import Receipt, deliver_sm
from gateway.store.base import NewReceipt, message_key
from gateway.store.base import Report as Told
from gateway.store.sql import SqlStore

AT_A_TIME = 10_000  # reports in one transaction
AGO = 3600.0  # seconds: when the first one came
SKIPPED = 5  # one of so many receipts is taken before the clock runs
TAKE_WAIT = 120.0  # seconds until receivers must have what they take


def backlog(run: Run) -> None:
    """Take receipts from either store in turn."""
    stores: dict[BacklogScenario, Path] = {}
    for each in run.rounds(BACKLOG):
        for scenario in each:
            large = scenario.waiting > scenario.taken
            if scenario not in stores:
                rounds = run.round_count if large else 1
                stores[scenario] = _filled(run, scenario, rounds)
            with run.gateways.serve(
                "libcurl", callbacks=True, store=stores.pop(scenario)
            ) as gateway:
                found = _taken(run, scenario, gateway)
            if found:
                run.add(scenario, found)
            if large:
                stores[scenario] = gateway.folder / STORE_FILE


def _filled(run: Run, scenario: BacklogScenario, rounds: int) -> Path:
    """A store that has enough for so many rounds, written to the disk."""
    file = run.folder / f"waiting-{scenario.waiting}.db"
    begun = time.monotonic()
    count = scenario.waiting + scenario.taken * rounds
    fill(file, count)
    os.sync()
    say(f"  {count:,} receipts stored in {time.monotonic() - begun:.1f} s")
    return file


def fill(file: Path, count: int) -> None:
    """Store final reports with a receipt each, all due, as if nobody had been bound."""
    with closing(SqlStore(f"sqlite:///{file}", max_parts=1)) as store:
        first = time.time() - AGO
        for begun in range(0, count, AT_A_TIME):
            numbers = range(begun, min(begun + AT_A_TIME, count))
            store.report([_report(first + number * 1e-3) for number in numbers])


def _report(at: float) -> Told:
    message_id, moment = str(uuid4()), datetime.fromtimestamp(at, UTC)
    receipt = Receipt(
        message_id=message_id,
        message_state=MessageState.DELIVERED,
        err=0,
        submitted_at=moment,
        done_at=moment,
        source=Address(5, 0, "Bench"),
        destination=Address(1, 1, "37255555555"),
    )
    told = NewReceipt(message_id, MessageState.DELIVERED, encode(deliver_sm(receipt)))
    return Told(SYSTEM_ID, message_key(at, message_id), "final", [told], at, at, at)


def _taken(run: Run, scenario: BacklogScenario, gateway: Gateway) -> Report | None:
    """Have receivers take their share; what goes wrong is a problem."""
    before = gateway.memory()["rss_mb"]
    asked = ("--take", scenario.taken, "--skip", scenario.taken // SKIPPED, "--watch", gateway.pid)
    ends = time.monotonic() + TAKE_WAIT
    try:
        with receivers(gateway, *asked) as taking:
            while "per_second" not in (found := taking.ask("count")):
                if time.monotonic() > ends:
                    raise Failed(f"{found['taken']} of {scenario.taken} receipts taken")
                time.sleep(0.1)
    except Failed as error:
        run.problem(scenario.name, str(error))
        return None
    for fault in ("doubled", "unexpected"):
        if found[fault]:
            run.problem(scenario.name, f"{found[fault]} {fault}")
    return {**found, "start_seconds": gateway.started, "idle_mb": before}
