"""What the `send` verb prints: readable on a terminal, JSON lines into a pipe."""

from __future__ import annotations

import json
import time
from collections import Counter
from types import TracebackType
from typing import Any, Final, Self

import click

from gateway.send_answer import Answer
from gateway.send_awaited import Arrival
from gateway.send_receipt_report import ReceiptCounts, fields_of, line_of

FEW: Final = 10  # up to so many answers get a line each on a terminal


class Report:
    """Prints answers and receipts as they come and, at the end of many, a summary.

    `total` is the number of answers to come, `receipts` whether receipts are asked for. Use
    it as a context manager around `send`, which reports to it.
    """

    def __init__(self, total: int, *, terminal: bool, receipts: bool = False) -> None:
        self._terminal = terminal
        self._receipts = ReceiptCounts() if receipts else None
        self._many = total > FEW
        self._statuses: Counter[str] = Counter()
        self._messages = 0
        self._times: list[float] = []
        self._started = self._answered = time.monotonic()
        self._bar: Any = None
        if terminal and self._many:
            self._bar = click.progressbar(length=total, label="Sending", show_pos=True)

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar:
            self._bar.__exit__(kind, error, traceback)
        if self._statuses and (self._many or not self._terminal or self._receipts):
            self._summarize()

    @property
    def all_accepted(self) -> bool:
        """Whether every part so far was answered with ESME_ROK for its number."""
        return set(self._statuses) <= {"ESME_ROK"}

    @property
    def missing(self) -> int:
        """How many accepted parts have no final receipt, if receipts were asked for."""
        return self._receipts.missing if self._receipts else 0

    def receipt(self, arrival: Arrival) -> None:
        """Count a receipt and print it where each has a line."""
        if self._receipts:
            self._receipts.add(arrival)
        if not self._terminal:
            _line(**fields_of(arrival))
        elif not self._bar:
            click.echo(line_of(arrival))

    def add(self, answer: Answer) -> None:
        """Count one answer and print it where each has a line."""
        self._answered = time.monotonic()
        self._statuses[answer.status] += 1
        if self._receipts:
            self._receipts.asked += answer.accepted
        self._messages += answer.part == 1
        if answer.seconds:
            self._times.append(answer.seconds)
        if not self._terminal:
            _line(
                to=answer.to,
                status=answer.status,
                message_id=answer.message_id,
                part=answer.part,
                parts=answer.parts,
                ms=round(answer.seconds * 1000, 3) if answer.seconds else None,
            )
        elif self._bar:
            self._bar.update(1)
        else:
            taken = f"{answer.seconds * 1000:.1f} ms" if answer.seconds else ""
            part = f"{answer.part}/{answer.parts}" if answer.parts > 1 else ""
            words = (answer.to, part, answer.status, answer.message_id, taken)
            click.echo("  ".join(word for word in words if word))

    def _summarize(self) -> None:
        elapsed = self._answered - self._started
        messages, parts = self._messages, self._statuses.total()
        rate = messages / elapsed if elapsed else 0.0
        p50, p99 = percentile(self._times, 50), percentile(self._times, 99)
        receipts = self._receipts
        if not self._terminal:
            _line(
                summary=True,
                messages=messages,
                parts=parts,
                statuses=dict(self._statuses),
                per_second=round(rate, 1),
                p50_ms=p50,
                p99_ms=p99,
                **({"receipts": receipts.fields()} if receipts else {}),
            )
            return
        for status, count in self._statuses.most_common():
            click.echo(f"{count:>8}  {status}")
        times = "" if p50 is None else f", answers: p50 {p50:.1f} ms, p99 {p99:.1f} ms"
        what = "messages" if parts == messages else f"messages in {parts} parts"
        click.echo(f"{messages:>8}  {what} in {elapsed:.1f} s, {rate:.1f} messages/s{times}")
        for line in receipts.lines() if receipts else ():
            click.echo(line)


def percentile(seconds: list[float], percent: int) -> float | None:
    """The nearest-rank percentile in milliseconds; None of nothing."""
    if not seconds:
        return None
    rank = -(-len(seconds) * percent // 100)
    return round(sorted(seconds)[rank - 1] * 1000, 3)


def _line(**fields: object) -> None:
    click.echo(json.dumps(fields))
