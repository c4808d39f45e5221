"""Delivery receipts in the database: from the report to their end.

Each method takes the same few statements whatever the length of its list, on a connection
that is in a transaction.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import count, islice
from typing import Any, Final

import orjson
from sqlalchemy.engine import Connection

from gateway.store import receipt_statements as sql
from gateway.store.awaited_statements import DELETE_AWAITED
from gateway.store.base import (
    Dead,
    Delivered,
    Kind,
    Pending,
    Report,
    Reported,
    Retry,
    SettledReceipt,
)
from gateway.store.ledger import Leased, Ledger
from gateway.store.reporting import Judged, Message, Waits, judge
from gateway.store.schema import FINAL, INTERIM, KNOWN_FINAL, LEASED, PENDING, UNKNOWN
from gateway.store.times import micros, seconds

_NUMBERS: Final[dict[Kind, int]] = {"final": FINAL, "interim": INTERIM, "unknown": UNKNOWN}
KINDS: Final[dict[int, Kind]] = {number: kind for kind, number in _NUMBERS.items()}

EXPIRED: Final = "expired"  # why a receipt died that nobody came for


class Receipts:
    """See `contract.Store`."""

    def __init__(self, connection: Connection, ledger: Ledger) -> None:
        """Put back what a dead process had leased, and count what is there."""
        self._ledger = ledger
        connection.execute(sql.RELEASE_ALL)
        self._ids = count(self.count(connection) + 1)

    def count(self, connection: Connection) -> int:
        """Count what is there anew; the highest id."""
        highest, pending, leased, dead, awaited = connection.execute(sql.COUNT).one()
        self._ledger.counts = self._ledger.counts._replace(
            receipts=pending + leased, dead=dead, awaited=awaited
        )
        return int(highest)

    def report(self, connection: Connection, reports: Sequence[Report]) -> list[Reported]:
        judged = judge(reports, _messages(connection, reports), self._ids)
        sql.DELETE_RECEIPTS.run(connection, [(one,) for one in judged.superseded])
        sql.INSERT_RECEIPTS.run(connection, list(_rows(judged)))
        sql.INSERT_KNOWN.run(connection, judged.known)
        DELETE_AWAITED.run(connection, [(key,) for key in judged.ended])
        self._ledger.gain(
            receipts=len(judged.stored) - len(judged.superseded), awaited=-len(judged.ended)
        )
        for receipt_id, (report, _) in judged.stored.items():
            if report.leased:
                leased = Leased(report.key, report.kind == "interim")
                self._ledger.receipts.take(receipt_id, leased)
        return judged.results

    def claim(
        self, connection: Connection, now: float, quotas: Sequence[tuple[str, int]]
    ) -> list[list[Pending]]:
        wanted: Counter[str] = Counter()
        for system_id, limit in quotas:
            wanted[system_id] += max(limit, 0)
        most = max(wanted.values(), default=0)
        rows = [(system_id,) for system_id in wanted if most]
        due = {
            # An aggregate promises no order.
            system_id: [one for _, one in sorted(found)][: wanted[system_id]]
            for system_id, found in sql.FIND_DUE.read(connection, rows, now=micros(now), most=most)
        }
        ids = [one for found in due.values() for one in found]
        claimed = {row[0]: _pending(row) for row in sql.READ_RECEIPTS.read(connection, _each(ids))}
        sql.LEASE.run(connection, _each(ids))
        held = {one.key for one in claimed.values() if one.kind == "unknown"}
        sql.INSERT_KNOWN.run(connection, [(key, KNOWN_FINAL) for key in held])
        for one in claimed.values():
            self._ledger.receipts.take(one.id, Leased(one.key, one.kind == "interim"))
        queues = {system_id: iter(found) for system_id, found in due.items()}
        return [
            [claimed[one] for one in islice(queues.get(system_id, iter(())), max(limit, 0))]
            for system_id, limit in quotas
        ]

    def settle(self, connection: Connection, settled: Sequence[SettledReceipt]) -> None:
        deleted: list[int] = []
        returned: list[int] = []
        retried: list[tuple[Retry, Leased]] = []
        dead: list[tuple[object, ...]] = []
        for one in settled:
            leased = self._ledger.receipts.give_back(one.id)
            if leased is None:
                continue
            if isinstance(one, Delivered):
                deleted.append(one.id)
            elif isinstance(one, Retry):
                retried.append((one, leased))
            elif isinstance(one, Dead):
                dead.append((one.id, 1, one.command_status, one.reason, micros(one.now)))
            else:
                returned.append(one.id)
        interim = {leased.key for _, leased in retried if leased.interim}
        finals = _finals(connection, list(interim))
        late = [one.id for one, leased in retried if leased.interim and leased.key in finals]
        again = [
            (one.id, one.command_status, micros(one.not_before))
            for one, _ in retried
            if one.id not in late
        ]
        sql.RETURN.run(connection, _each(returned))
        sql.RETRY.run(connection, again)
        self._bury(connection, dead)
        sql.DELETE_RECEIPTS.run(connection, _each(deleted + late))
        self._ledger.gain(receipts=-len(deleted) - len(late))

    def expire(
        self, connection: Connection, due_before: float, now: float, limit: int
    ) -> list[str]:
        bounds = {"due_before": micros(due_before), "most": limit}
        overdue = sorted(
            orjson.loads(connection.execute(sql.OVERDUE_RECEIPTS, bounds).scalar_one())
        )
        died_at = micros(now)
        rows = [(one, 0, last_status, EXPIRED, died_at) for _, one, _, last_status in overdue]
        self._bury(connection, rows)
        return [system_id for _, _, system_id, _ in overdue]

    def oldest(self, connection: Connection, now: float) -> float | None:
        """When the oldest one that is due became due."""
        found = connection.execute(sql.OLDEST, {"now": micros(now)}).one()
        return min((seconds(one) for one in found if one is not None), default=None)

    def _bury(self, connection: Connection, dead: Sequence[tuple[object, ...]]) -> None:
        sql.BURY.run(connection, dead)
        sql.DELETE_RECEIPTS.run(connection, [(row[0],) for row in dead])
        self._ledger.gain(receipts=-len(dead), dead=len(dead))


def _each(ids: Sequence[int]) -> list[tuple[int]]:
    return [(one,) for one in ids]


def _messages(connection: Connection, reports: Sequence[Report]) -> dict[bytes, Message]:
    """What there is of each report's message, by its key."""
    keys = [(key,) for key in dict.fromkeys(report.key for report in reports)]
    return {
        bytes.fromhex(key): Message(
            {what for (what,) in known},
            {
                one: Waits(KINDS[kind], attempts, state == LEASED)
                for one, kind, attempts, state in waiting
            },
            bool(awaited),
        )
        for key, known, waiting, awaited in sql.FIND_MESSAGES.read(connection, keys)
    }


def _rows(judged: Judged) -> Iterator[tuple[object, ...]]:
    """In the order of the table's columns."""
    for receipt_id, (report, receipt) in judged.stored.items():
        due_at = micros(report.due_at)
        yield (
            receipt_id,
            report.system_id,
            receipt.message_id,
            report.key,
            _NUMBERS[report.kind],
            int(receipt.message_state),
            receipt.pdu,
            0,
            None,
            micros(report.submitted_at),
            micros(report.received_at),
            due_at,
            LEASED if report.leased else PENDING,
            due_at,
        )


def _pending(row: Sequence[Any]) -> Pending:
    one, system_id, key, message_id, kind, state, pdu, attempts, *moments = row
    key, pdu = bytes.fromhex(key), bytes.fromhex(pdu)
    submitted_at, received_at, due_at = map(seconds, moments)
    return Pending(
        one, system_id, key, message_id, KINDS[kind], state, pdu, attempts,
        submitted_at, received_at, due_at,
    )  # fmt: skip


def _finals(connection: Connection, keys: Sequence[bytes]) -> set[bytes]:
    """Those keys whose final report is known."""
    found = sql.FIND_FINALS.read(connection, [(key,) for key in keys])
    return {bytes.fromhex(key) for (key,) in found}
