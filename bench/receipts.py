"""The parts of the bench that have to do with receipts: reports come in, or are asked for.

- `receipts`: callbacks are posted to a gateway, which commits each to a store in a file, with a
  wait for the disk, answers it, and delivers its receipt. A mere twisted.web handler is given the
  same requests by the same client.
- `throughput`: messages that ask for a receipt beside messages that do not, through one gateway,
  and a bare loop that posts as many bodies as it can. Nothing is reported. What is asked for must
  leave no trace in the store.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench.children import Failed, ask, child, finished, json_line
from bench.configuration import STORE_FILE
from bench.gateway import Gateway
from bench.measure import filesystem, sync_us
from bench.results import Report
from bench.run import Run
from bench.scenarios import RECEIPTS, THROUGHPUT, CallbackScenario

BINDS = 2
OLDEST_AGE = "smppgw_receipt_oldest_age_seconds"
DELIVERY_WAIT = 15.0  # seconds after the last callback until its receipt must be there


class Receivers:
    """The process `bench.receiving`, bound to a gateway."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self._process = process
        self._log = log

    def ask(self, command: str) -> dict[str, Any]:
        return ask(self._process, command, "the receivers", self._log)


@contextlib.contextmanager
def receivers(gateway: Gateway, *arguments: object) -> Iterator[Receivers]:
    """Bind receivers. Raises Failed when one is refused."""
    log = gateway.log.with_name("receiving.log")
    command = [sys.executable, "-m", "bench.receiving", "--port", gateway.smpp_port]
    with child([*map(str, command), "--binds", str(BINDS), *map(str, arguments)], log) as process:
        json_line(process.stdout, "the receivers", log)
        yield Receivers(process, log)


@contextlib.contextmanager
def bare_web(folder: Path) -> Iterator[tuple[int, int]]:
    """Start the mere handler; give its process id and its port."""
    log = folder / "bare_web.log"
    with child([sys.executable, "-m", "bench.bare_web"], log) as process:
        yield process.pid, json_line(process.stdout, "the bare handler", log)["port"]


def receipts(run: Run) -> None:
    """Measure callbacks, with and without a log line for each, and the mere handler in turn."""
    with contextlib.ExitStack() as stack:
        bare = stack.enter_context(bare_web(run.folder))
        rows: list[tuple[CallbackScenario, Gateway | None]] = []
        for scenario in RECEIPTS:
            gateway = None
            if not scenario.bare:
                gateway = stack.enter_context(
                    run.gateways.serve("libcurl", messages=scenario.messages, callbacks=True)
                )
            rows.append((scenario, gateway))
        _tell_disk(run)
        key_file = next(gateway for _, gateway in rows if gateway).folder / "callback-keys"
        for each in run.rounds(rows):
            for scenario, gateway in each:
                if gateway is None:
                    found = _post(run, scenario, *bare, key_file)
                else:
                    found = _called_back(run, scenario, gateway)
                if found:
                    run.add(scenario, found)


def _tell_disk(run: Run) -> None:
    remark = (
        f"The stores of receipts stood on {filesystem(run.folder)}, where 4 KiB more in a file "
        f"with fdatasync took {sync_us(run.folder):,.0f} us (median)."
    )
    run.results.remarks.append(remark)


def _called_back(run: Run, scenario: CallbackScenario, gateway: Gateway) -> Report | None:
    """Post, and have the receipts taken; each report must become one receipt."""
    ages: list[float] = []
    with receivers(gateway) as taking:
        found = _post(
            run,
            scenario,
            gateway.pid,
            gateway.callback_port,
            gateway.folder / "callback-keys",
            lambda: ages.append(gateway.metric(OLDEST_AGE)),
        )
        if found is None:
            return None
        wanted = found["answered"]
        ends = time.monotonic() + DELIVERY_WAIT
        while (count := taking.ask("count"))["taken"] < wanted and time.monotonic() < ends:
            time.sleep(0.05)
        inside = taking.ask(f"between {found['begun']} {found['ended']}")["taken"]
    found["delivered_per_second"] = inside / (found["ended"] - found["begun"])
    found["oldest_age"] = max(ages, default=0.0)
    wrong = {
        f"{count['taken']} receipts of {wanted} reports": count["taken"] != wanted,
        f"{count['doubled']} receipts twice": count["doubled"],
        f"{count['unexpected']} PDUs that are no deliver_sm": count["unexpected"],
        f"{BINDS - count['bound']} receivers lost": count["bound"] != BINDS,
    }
    for words, is_so in wrong.items():
        if is_so:
            run.problem(scenario.name, words)
    return found


def _post(
    run: Run,
    scenario: CallbackScenario,
    pid: int,
    port: int,
    key_file: Path,
    meanwhile: Callable[[], None] | None = None,
) -> Report | None:
    """Give the client's report; what goes wrong is a problem."""
    try:
        found = finished(
            "bench.posting",
            run.folder / "posting.log",
            (run.warmup + run.seconds) * 3 + 60,
            *("--port", port, "--watch", pid, "--connections", scenario.connections),
            *("--key-file", key_file, "--warmup", run.warmup, "--seconds", run.seconds),
            meanwhile=meanwhile,
        )
    except Failed as error:
        run.problem(scenario.name, str(error))
        return None
    for fault in ("lost", "cut"):
        if found[fault]:
            run.problem(scenario.name, f"{found[fault]} {fault}")
    if found["status"].keys() != {"200"}:
        run.problem(scenario.name, f"HTTP status {found['status']}")
    return found


def throughput(run: Run) -> None:
    """Measure a bare loop, and messages with and without a receipt asked for, in turn."""
    with run.gateways.serve("libcurl", callbacks=True) as gateway:
        for each in run.rounds(THROUGHPUT):
            for scenario in each:
                before = _written(gateway)
                run.measure(scenario, gateway)
                grown = _written(gateway) - before
                if grown:
                    run.problem(scenario.name, f"{grown} octets more in the store")


def _written(gateway: Gateway) -> int:
    """The octets of the store's file and its journal."""
    files = (gateway.folder / f"{STORE_FILE}{suffix}" for suffix in ("", "-wal"))
    return sum(file.stat().st_size for file in files if file.exists())
