"""What reports come to: one after the other, in memory, whatever the size of the batch.

The store tells what it has of their messages; `judge` says what each report was and what must
be written, so that the writing takes the same few statements for one report and for many.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.store.base import Kind, NewReceipt, Report, Reported
from gateway.store.schema import KNOWN_FINAL, KNOWN_HELD, KNOWN_INTERIM


class Waits(NamedTuple):
    """A receipt that is not the last word on its message."""

    kind: Kind
    attempts: int
    leased: bool


@dataclass(slots=True)
class Message:
    """What the store has of a message of the API; `judge` changes it."""

    known: set[int] = field(default_factory=set)
    waiting: dict[int, Waits] = field(default_factory=dict)  # by id; no final ones
    awaited: bool = False


class Stored(NamedTuple):
    """A receipt to write."""

    report: Report
    receipt: NewReceipt


@dataclass(slots=True)
class Judged:
    """What a batch came to."""

    results: list[Reported] = field(default_factory=list)
    stored: dict[int, Stored] = field(default_factory=dict)  # by id
    superseded: list[int] = field(default_factory=list)  # ids of rows to delete
    known: list[tuple[bytes, int]] = field(default_factory=list)  # to remember
    ended: list[bytes] = field(default_factory=list)  # keys that are awaited no more


def judge(
    reports: Sequence[Report], messages: Mapping[bytes, Message], ids: Iterator[int]
) -> Judged:
    """`messages` has each report's message by its key; `ids` gives one for each receipt."""
    judged = Judged()
    for report in reports:
        message = messages[report.key]
        if report.kind == "final":
            result = _final(report, message, judged, ids)
        else:
            result = _not_final(report, message, judged, ids)
        judged.results.append(result)
    return judged


def _final(report: Report, message: Message, judged: Judged, ids: Iterator[int]) -> Reported:
    ended = message.awaited
    if ended:
        message.awaited = False
        judged.ended.append(report.key)
    if KNOWN_FINAL in message.known:
        return Reported("repeated")
    for receipt_id, waits in list(message.waiting.items()):
        # An interim one that was not tried yet leaves first, as it became due before: but not if
        # the final one is about to leave already.
        overtaken = waits.attempts or report.leased
        if not waits.leased and (waits.kind == "unknown" or overtaken):
            ended = True
            del message.waiting[receipt_id]
            if judged.stored.pop(receipt_id, None) is None:
                judged.superseded.append(receipt_id)
    if report.receipts or ended:
        _remember(report, message, judged, KNOWN_FINAL)
    return _store(report, message, judged, ids)


def _not_final(report: Report, message: Message, judged: Judged, ids: Iterator[int]) -> Reported:
    if KNOWN_FINAL in message.known:
        return Reported("stale")
    if not report.receipts:
        return Reported("new")
    held = report.kind == "unknown"
    what = KNOWN_HELD if held else KNOWN_INTERIM + report.receipts[0].message_state
    if what in message.known:
        return Reported("repeated")
    _remember(report, message, judged, what)
    if held and report.leased:
        _remember(report, message, judged, KNOWN_FINAL)
    return _store(report, message, judged, ids)


def _remember(report: Report, message: Message, judged: Judged, what: int) -> None:
    message.known.add(what)
    judged.known.append((report.key, what))


def _store(report: Report, message: Message, judged: Judged, ids: Iterator[int]) -> Reported:
    mine = []
    for receipt in report.receipts:
        receipt_id = next(ids)
        mine.append(receipt_id)
        judged.stored[receipt_id] = Stored(report, receipt)
        if report.kind != "final":
            message.waiting[receipt_id] = Waits(report.kind, 0, report.leased)
    return Reported("new", tuple(mine))
