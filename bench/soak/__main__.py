"""`python -m bench.soak`: run the gateway under mixed load for some minutes; does anything grow?

The sandbox stands for the API in a process of its own; the clients are in this one. A line of
progress comes every ten seconds on standard error, the result on standard output. Exits 1 when
something was missed. Ctrl-C ends the load, and what has been seen until then is judged.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from bench.children import Failed
from bench.exposition import quantile
from bench.report import table
from bench.soak.daemon import daemon
from bench.soak.esme import Gone
from bench.soak.run import Soak
from bench.soak.samples import Sample
from bench.soak.verdict import as_json, judge, warmed_up

WARM_UP = 120.0  # seconds at least, if the soak is long enough for that


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--rate", type=float, default=300.0, help="requests/s of steady clients")
    parser.add_argument("--guests", type=float, default=2.0, help="visits/s of all the others")
    parser.add_argument("--json", action="store_true", help="JSON lines on standard output")
    return parser.parse_args(given)


def warm_up(seconds: float) -> float:
    """How much of a soak is not judged: its first third, at least two minutes, at most half."""
    return min(max(WARM_UP, seconds / 3), seconds / 2)


def _lag(soak: Soak, sample: Sample) -> float | None:
    """The 99th percentile since the last line, as the bound of the histogram above it."""
    before = soak.samples[-3:][0]
    return quantile(before.lag, sample.lag, 0.99)


def _tell(soak: Soak, sample: Sample) -> None:
    brief, lag = soak.tally.brief(), _lag(soak, sample)
    figures = {
        "MB": f"{sample.rss_mb:.1f}",
        "fds": f"{sample.descriptors} ({sample.to_api} to the API, {sample.of_api} of it)",
        "threads": sample.threads,
        "lag p99 <= ms": "-" if lag is None else f"{lag * 1e3:g}",
        "sessions": sample.sessions,
        "in flight": sample.in_flight,
        "receipts": sample.receipts_pending,
        **{name: f"{count:,}" for name, count in brief.items()},
    }
    words = ", ".join(f"{name} {figure}" for name, figure in figures.items())
    print(f"{(sample.at - soak.begun) / 60:.1f} min: {words}", file=sys.stderr, flush=True)


def _tell_machine(soak: Soak, sample: Sample) -> None:
    line = asdict(sample) | soak.tally.brief()
    line |= {"at": sample.at - soak.begun, "lag_p99": _lag(soak, sample)}
    del line["lag"]
    print(json.dumps(line), flush=True)


async def _main(arguments: argparse.Namespace) -> int:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with tempfile.TemporaryDirectory(prefix="smpp-gateway-soak-") as folder:
        async with daemon(Path(folder)) as run:
            tell = _tell_machine if arguments.json else _tell
            seconds = arguments.minutes * 60
            soak = Soak(run, seconds, arguments.rate, arguments.guests, tell)
            await soak.run(stop)
    lasted = soak.samples[-1].at - soak.begun if soak.samples else 0.0
    judged_samples = warmed_up(soak.samples, soak.begun, warm_up(lasted))
    judged = judge(judged_samples, soak.tally, soak.ending)
    found = as_json(judged, soak.tally, soak.ending)
    if arguments.json:
        print(json.dumps(found), flush=True)
    else:
        rows = ((one.what, one.word, one.bound, one.measured) for one in judged)
        print("\n" + table(("figure", "", "bound", "measured"), rows, words=4))
        print("\nVisits: " + ", ".join(f"{k} {v}" for k, v in found["guests"].items()))
        print("\nLog: " + ", ".join(f"{k} {v:,}" for k, v in found["events"].items()))
    return 0 if found["passed"] else 1


def main(given: Sequence[str] | None = None) -> int:
    arguments = _arguments(given)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        return asyncio.run(_main(arguments))
    except (Failed, Gone) as error:
        print(f"the soak failed: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
