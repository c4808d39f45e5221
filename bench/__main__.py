"""`python -m bench`: measure everything, print tables and the figures to reach.

Exits 1 when a message was lost, doubled or refused or a part did not run; a missed figure
is printed as MISS and does not change the exit code.
"""

from __future__ import annotations

import argparse
import resource
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

from bench import backlog, children, limited, messages, paced, parts, receipts, report
from bench.against import against
from bench.run import Run, say
from bench.trees import commit

PARTS: dict[str, Callable[[Run], None]] = {
    "compare": messages.compare,
    "matrix": messages.matrix,
    "latency": messages.latency,
    "scale": messages.scale,
    "limit": limited.limit,
    "fair": limited.fair,
    "idle": messages.idle,
    "flood": messages.flood,
    "parts": parts.parts,
    "pending": parts.pending,
    "mixed": messages.mixed,
    "receipts": receipts.receipts,
    "throughput": receipts.throughput,
    "backlog": backlog.backlog,
    "binds": paced.binds,
    "storm": paced.storm,
}
LONG = (
    *("matrix", "latency", "scale", "limit", "fair"),
    *("pending", "mixed", "backlog", "binds", "storm"),
)


def _stop(number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help=f"about a minute, without {', '.join(LONG)}"
    )
    parser.add_argument(
        "--only",
        action="append",
        choices=[*PARTS, "against"],
        help="may be repeated; against needs --against",
    )
    parser.add_argument(
        "--against",
        metavar="REV",
        help="also compare with this git revision; not done without, for it needs one. "
        "With --only against, do nothing else",
    )
    parser.add_argument("--rounds", type=int, help="rounds of rows in turn (5; quick: 3)")
    parser.add_argument("--seconds", type=float, help="measured time of a row (2; quick: 0.6)")
    parser.add_argument("--write", action="store_true", help="keep it in docs/performance.md")
    return parser


def _wanted(arguments: argparse.Namespace) -> list[str]:
    """Name the parts to run, in their order."""
    only, quick = arguments.only, arguments.quick
    wanted = [name for name in PARTS if (name in only if only else not quick or name not in LONG)]
    return [*wanted, "against"] if arguments.against else wanted


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line; a revision that does not exist is wrong before anything runs."""
    parser = _parser()
    arguments = parser.parse_args(given)
    if "against" in (arguments.only or ()) and not arguments.against:
        parser.error("--only against needs --against REV")
    if arguments.against:
        try:
            commit(arguments.against)
        except children.Failed as error:
            parser.error(f"--against: {error}")
    return arguments


def main(given: Sequence[str] | None = None) -> int:
    arguments = _arguments(given)
    quick = arguments.quick
    signal.signal(signal.SIGTERM, _stop)
    # A thousand sessions need more descriptors than a shell's usual limit; children inherit it.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with (
        tempfile.TemporaryDirectory(prefix="smpp-gateway-bench-") as folder,
        children.upstream(Path(folder)) as upstream,
    ):
        run = Run(
            Path(folder),
            upstream,
            seconds=arguments.seconds or (0.6 if quick else 2.0),
            rounds=arguments.rounds or (3 if quick else 5),
        )
        for part in _wanted(arguments):
            say(f"{part}:")
            with run.failure_is_a_problem(part):
                if part == "against":
                    against(run, arguments.against)
                else:
                    PARTS[part](run)
    text = report.render(run.results)
    print("\n" + text)
    for problem in run.results.problems:
        print(f"\nPROBLEM {problem}")
    if arguments.write and not run.results.problems:
        report.write(text)
        say(f"written to docs/{report.PAGE.name}")
    return 1 if run.results.problems else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
