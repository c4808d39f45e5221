"""An SMPP load generator that costs a few microseconds a message.

N transceiver binds keep a window of W submit_sm outstanding for some seconds. PDUs are
encoded once, only what differs is patched in. Every submit_sm_resp must belong to an
outstanding sequence_number, and at the end none may be missing. One JSON line tells the
result:

- `sent`, `answered`, `lost`, `unexpected` of the whole run, `status` by command_status; all
  count submit_sm, which with `--parts 2` are two for a message;
- `per_second`, `p50_ms`, `p99_ms` of the time after the warm-up. Both times last at least
  until as many are answered as are outstanding at once;
- `load_cpu_us`: what this process itself costs per submit_sm;
- with `--watch PID`, `cpu_us` per submit_sm and the memory of that process in the same time;
- with `--parts 2`, `first_p50_ms`, `last_p50_ms` and so on of the first and the last parts
  apart;
- with `--parts 2` or `--mixed`, `next`: the `--first` of a further run that shall share no message
  with this one.

With `--rate R` so many messages leave each second instead, whatever their answers take (see
`bench.pacing`). `late_p99_ms` is how late they left, `most` how many were outstanding at once.

With `--incomplete N` the first parts of N messages are submitted and nothing else; only the
counts are told. With `--idle` the sessions are bound and only answer enquire_link, until
standard input ends; one line tells how many are bound as soon as they are, another at the
end, and each line read meanwhile is answered by how many enquire_links came.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from bench.esme import Refused, Session
from bench.loading import Load
from bench.pacing import PacedLoad
from bench.submits import Mixed, Parts, Submits, Whole

SLOWEST = 500  # first parts a second that are waited for


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="SMPP load generator")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--system-id", default="bench")
    parser.add_argument("--password", default="bench")
    parser.add_argument("--binds", type=int, default=4)
    parser.add_argument("--window", type=int, default=100, help="submit_sm outstanding a bind")
    parser.add_argument("--warmup", type=float, default=0.5)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--drain", type=float, default=20.0)
    parser.add_argument("--watch", type=int, metavar="PID", help="measure this process too")
    parser.add_argument("--parts", type=int, choices=(1, 2), default=1, help="of a message")
    parser.add_argument("--receipts", action="store_true", help="ask for one with each message")
    parser.add_argument("--first", type=int, default=0, help="number of the first message")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--rate", type=float, help="messages a second, all binds together")
    mode.add_argument("--incomplete", type=int, metavar="N", help="first parts only, N of them")
    mode.add_argument("--mixed", action="store_true", help="messages of different lengths")
    mode.add_argument("--idle", action="store_true", help="bind, then only stay")
    return parser.parse_args(given)


def _bound(arguments: argparse.Namespace, submits: Sequence[Submits]) -> list[Session]:
    """Bind a session for each. Raises SystemExit when one is refused."""
    address = (arguments.host, arguments.port)
    try:
        return [
            Session.bound(address, arguments.system_id, arguments.password, each)
            for each in submits
        ]
    except (Refused, OSError) as error:
        raise SystemExit(f"cannot bind: {error}") from error


def main(given: Sequence[str] | None = None) -> None:
    arguments = _arguments(given)
    incomplete: int | None = arguments.incomplete
    binds, numbers = arguments.binds, range(arguments.first, arguments.first + arguments.binds)
    parts: list[Parts] | list[Mixed] = []
    if arguments.mixed:
        parts = [Mixed(number, binds) for number in numbers]
    elif incomplete is not None or arguments.parts > 1:
        parts = [Parts(number, binds, incomplete=incomplete is not None) for number in numbers]
    whole = [Whole(receipts=arguments.receipts) for _ in range(binds)]
    sessions = _bound(arguments, parts or whole)
    if arguments.rate:
        paced = PacedLoad(sessions, arguments.watch)
        times = arguments.warmup, arguments.seconds, arguments.drain
        _say(paced.pace(arguments.rate, *times))
        paced.unbind()
        return
    load = Load(sessions, arguments.watch)
    if arguments.idle:
        _say({"bound": len(sessions)})
        load.idle(sys.stdin.fileno(), lambda: _say(load.asked()))
        _say({"bound": load.bound})
    else:
        window = arguments.window
        if incomplete is not None:
            limit = arguments.drain + incomplete / SLOWEST
            report = load.submit(incomplete, window, limit)
        else:
            report = load.run(window, arguments.warmup, arguments.seconds, arguments.drain)
        if parts:
            report["next"] = max(each.next for each in parts) + binds
        _say(report)
    load.unbind()


def _say(report: dict[str, Any]) -> None:
    print(json.dumps(report), flush=True)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
