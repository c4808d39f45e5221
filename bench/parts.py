"""The parts of the bench that submit long messages, each in two parts.

The gateway commits the first part to its store and answers it; the last part makes it post
the whole message. The store is a file beside the gateway's configuration, in the folder of
the run.
"""

from __future__ import annotations

import contextlib

from bench.measure import filesystem, sync_us
from bench.run import Row, Run
from bench.scenarios import PARTS, PENDING


def parts(run: Run) -> None:
    """Measure long messages through one gateway."""
    with run.gateways.serve(PARTS.engine, parts=True) as gateway:
        run.results.remarks.append(
            f"The store stood on {filesystem(run.folder)}, where 4 KiB more in a file with "
            f"fdatasync took {sync_us(run.folder):,.0f} us (median)."
        )
        run.in_turn([(PARTS, gateway)])


def pending(run: Run) -> None:
    """Measure long messages beside few and beside many of which the last part is missing.

    Both gateways stay up; which of them goes first changes from round to round.
    """
    with contextlib.ExitStack() as stack:
        rows: list[Row] = []
        for scenario in PENDING:
            gateway = stack.enter_context(run.gateways.serve(scenario.engine, parts=True))
            run.fill(scenario, gateway)
            rows.append((scenario, gateway))
        run.in_turn(rows, alternate=True)
