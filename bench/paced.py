"""The parts of the bench with a load at a steady pace: what do many others do to its latency?

- `binds`: 5,000 sessions are bound, all of which answer enquire_link, most of which do nothing
  else. Beside it the same load alone, in turn with it, on the same gateway.
- `storm`: 500 binds a second with wrong passwords come meanwhile, from one address or from so
  many that none is locked out; in turn with quiet.
"""

from __future__ import annotations

import contextlib
import itertools
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from bench.children import Failed, ask, child, json_line
from bench.gateway import Gateway
from bench.results import Report, faults
from bench.run import Run, say
from bench.scenarios import BINDS, STORM, STORMS, PacedScenario

ENQUIRE_LINK = 5  # seconds of silence; six times as often as by default
ASKED_WITHIN = 6.5  # seconds in which each idle session must be asked once
BINDS_SMPP = f"""\
max_connections_per_address = 6000
enquire_link_interval = {ENQUIRE_LINK}
"""
MAX_BINDS = 6_000
ROUNDS = 3
LONGER = 5  # times the seconds of other rows: a 99th percentile needs messages
MANY_ADDRESSES = 20_000  # more than the binds of a row: each comes once
LOOKS = 30  # in 3 s and more
AFTERWARDS = 3.0  # seconds of quiet between two rows, for what a storm leaves behind
REACHED = 0.95  # of the storm's rate, or the row is a problem

_OUT = 'smppgw_pdus_total{command_id="enquire_link",direction="out"}'
_IN = 'smppgw_pdus_total{command_id="enquire_link_resp",direction="in"}'


def binds(run: Run) -> None:
    """Measure with and without the idle sessions; they bind anew for each round."""
    with run.gateways.serve("libcurl", smpp=BINDS_SMPP, max_binds=MAX_BINDS) as gateway:
        _paced(run, BINDS[0], gateway, run.warmup)  # the memory of one who has run before
        before = gateway.memory()["rss_mb"]
        for each in run.rounds(BINDS, most=ROUNDS):
            for scenario in each:
                if not scenario.idle:
                    found = _paced(run, scenario, gateway, run.seconds * LONGER)
                else:
                    found = _beside_idle(run, scenario, gateway)
                    found["kib"] = (found["rss_mb"] - before) * 1e6 / 1024 / scenario.idle
                run.add(scenario, found)


def _beside_idle(run: Run, scenario: PacedScenario, gateway: Gateway) -> Report:
    # Sessions that left while they were asked, in the rounds before: theirs are no fault.
    before = _unanswered(gateway, lambda: None)
    with gateway.idle(scenario.idle) as idle:
        bound = time.monotonic()
        found = _paced(run, scenario, gateway, run.seconds * LONGER)
        time.sleep(max(0.0, bound + ASKED_WITHIN - time.monotonic()))
        asked, least = idle.asked()
        found["asked"] = asked
        # Asking them is a turn of their loop, so that what they have read is answered.
        found["unanswered"] = _unanswered(gateway, idle.asked) - before
    if not least:
        run.problem(scenario.name, f"a session was not asked in {ASKED_WITHIN} s and more")
    if found["unanswered"]:
        run.problem(scenario.name, f"{found['unanswered']:.0f} enquire_links not answered")
    return found


def _unanswered(gateway: Gateway, turn: Callable[[], object]) -> float:
    """How many enquire_links of the gateway have no answer.

    Some are always on their way; those that will not be answered are in every look.
    """
    least = float("inf")
    for _ in range(LOOKS):
        turn()
        counts = gateway.metrics(_OUT, _IN)
        least = min(least, counts[_OUT] - counts[_IN])
        time.sleep(0.11)  # no part of the gateway's beat, which sends many at once
    return least


def storm(run: Run) -> None:
    """Measure in quiet and under each storm in turn, through one gateway."""
    firsts = itertools.count(2)  # no storm comes from where another has come from
    with run.gateways.serve("libcurl") as gateway:
        outcomes: dict[str, Report] = {}
        for each in run.rounds(STORMS, most=ROUNDS):
            for scenario in each:
                if not scenario.storm:
                    found = _paced(run, scenario, gateway, run.seconds * LONGER)
                else:
                    found, outcomes[scenario.storm] = _beside_storm(
                        run, scenario, gateway, next(firsts)
                    )
                run.add(scenario, found)
                time.sleep(AFTERWARDS)
    run.results.remarks += [
        f"What became of the binds of a storm from {source}, last round: {_told(found)}."
        for source, found in outcomes.items()
    ]


def _beside_storm(
    run: Run, scenario: PacedScenario, gateway: Gateway, number: int
) -> tuple[Report, Report]:
    if scenario.storm == "one address":
        first, addresses = f"127.0.0.{number}", 1
    else:
        first, addresses = f"127.{number}.0.0", MANY_ADDRESSES
    with _storming(gateway, first, addresses) as (process, log):
        found = _paced(run, scenario, gateway, run.seconds * LONGER)
        count = ask(process, "count", "the storm", log)
    found["storm_per_second"] = count["begun"] / count["seconds"]
    if found["storm_per_second"] < STORM * REACHED:
        run.problem(scenario.name, f"only {found['storm_per_second']:.0f} binds/s: {count}")
    if "0x00" in count["status"]:
        run.problem(scenario.name, "a wrong password was accepted")
    say(f"  {_told(count)}")
    return found, count


@contextlib.contextmanager
def _storming(
    gateway: Gateway, first: str, addresses: int
) -> Iterator[tuple[subprocess.Popen[str], Any]]:
    log = gateway.log.with_name("storming.log")
    command = [sys.executable, "-m", "bench.storming", "--port", gateway.smpp_port, "--rate", STORM]
    where = ("--first", first, "--addresses", addresses)
    with child([*map(str, command), *map(str, where)], log) as process:
        json_line(process.stdout, "the storm", log)
        yield process, log


def _told(count: Report) -> str:
    status = ", ".join(f"{word} {number:,}" for word, number in sorted(count["status"].items()))
    others = ", ".join(
        f"{count[name]:,} {words}"
        for name, words in (
            ("closed", "closed unanswered"),
            ("given_up", "given up after 10 s"),
            ("failed", "not connected"),
            ("open", "still open"),
            ("held", "held back"),
        )
        if count[name]
    )
    return (
        f"{count['begun']:,} begun, answers by status: {status or 'none'}; {others or 'no others'}"
    )


def _paced(run: Run, scenario: PacedScenario, gateway: Gateway, seconds: float) -> Report:
    """Give a load's report after comparing its counts with the upstream's. Raises Failed."""
    before = run.upstream.ask("count")["answered"]
    found = gateway.paced(scenario.binds, scenario.rate, run.warmup, seconds)
    answered = run.upstream.ask("count")["answered"] - before
    wrong = faults(found, answered, found["sent"])
    for fault in wrong:
        run.problem(scenario.name, fault)
    if not found["answered"]:
        raise Failed(f"{scenario.name}: nothing was answered")
    return found
