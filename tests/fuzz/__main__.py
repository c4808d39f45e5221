"""`python -m tests.fuzz`: coverage-guided fuzzing of everything that reads what strangers write.

All targets in turn, the important ones longer. Exits 1 when an input broke a promise; it lies
in tests/fuzz/found then, made as short as it goes.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from tests.fuzz.fuzzing import FOUND, Result, fuzz, keep, shrunk
from tests.fuzz.targets import TARGETS

_ONE_SECOND = 1.0  # the least that a target gets


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    many = parser.add_mutually_exclusive_group()
    many.add_argument("--seconds", type=float, default=3600, help="in all (3600)")
    many.add_argument("--runs", type=int, default=0, help="executions of each target")
    parser.add_argument(
        "--target", action="append", choices=[*TARGETS], help="may be repeated; all if not given"
    )
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="targets at a time (processors)"
    )
    parser.add_argument(
        "--keep", action="store_true", help="write tests/fuzz/corpus anew from all that was found"
    )
    return parser


def _say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


def _run(names: Sequence[str], arguments: argparse.Namespace) -> list[Result]:
    weights = sum(TARGETS[name].weight for name in names)
    share = arguments.seconds * min(arguments.jobs, len(names)) / weights

    def run(name: str) -> Result:
        target = TARGETS[name]
        seconds = max(_ONE_SECOND, share * target.weight)
        result = fuzz(name, target, seconds=seconds, runs=arguments.runs, say=_say)
        _say(f"{result.line}  {'FAILED' if result.failure else 'done'}")
        if arguments.keep and not result.failure:
            keep(name)
        return result

    # The longest first, so that none is left to run alone at the end.
    order = sorted(names, key=lambda name: -TARGETS[name].weight)
    with ThreadPoolExecutor(arguments.jobs) as pool:
        return list(pool.map(run, order))


def _explain(result: Result) -> None:
    print(f"\n{result.name} FAILED:\n{result.failure}")
    if result.artifact is None or not result.artifact.exists():
        return
    octets = shrunk(TARGETS[result.name], result.artifact.read_bytes())
    result.artifact.write_bytes(octets)
    print(
        f"The input is {result.artifact}. Once the fault is mended, add this row to "
        f"tests/fuzz/regressions.py, so that the test run plays it for ever:\n"
        f'    ("{result.name}", "{octets.hex()}", "what was wrong"),'
    )


def main(given: Sequence[str] | None = None) -> int:
    arguments = _parser().parse_args(given)
    if importlib.util.find_spec("atheris") is None:
        print(
            "SKIPPED: atheris is not installed. It has wheels for CPython 3.11 to 3.13 on Linux "
            "with glibc on x86_64; the test run plays the kept inputs everywhere."
        )
        return 0
    results = _run(arguments.target or [*TARGETS], arguments)
    for result in results:
        if result.failure:
            _explain(result)
    failed = [result.name for result in results if result.failure]
    executions = sum(result.executions for result in results)
    seconds = sum(result.seconds for result in results)
    print(
        f"\n{executions:,} executions of {len(results)} targets, "
        f"{executions / seconds:,.0f}/s each, {sum(result.new for result in results)} new inputs; "
        + (f"FAILED: {', '.join(failed)}, see {FOUND}" if failed else "no promise was broken")
    )
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
