"""The store in a database, through SQLAlchemy Core.

Each method takes the same few statements whatever the length of its list.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from sqlalchemy import Delete
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from gateway.store import awaiting, receipt_statements, short_ids, statements
from gateway.store.base import (
    Added,
    Awaited,
    Counts,
    ExpiredSet,
    FailedSet,
    Look,
    NewPart,
    Outcome,
    Pending,
    Report,
    Reported,
    SettledReceipt,
)
from gateway.store.dialect import Database, data_version, unavailable
from gateway.store.ledger import Ledger
from gateway.store.receipts import Receipts
from gateway.store.schema import MEMORIES
from gateway.store.sets import Sets
from gateway.store.times import micros
from gateway.store.upgrade import upgrade

_PURGED_AT_ONCE: Final = 10_000  # rows of a table: the others wait meanwhile


class SqlStore:
    """A store in the database that `url` names. See `contract.Store`."""

    def __init__(self, url: str, *, max_parts: int) -> None:
        """Open it, bring it up to date, put back what a dead process had in hand.

        `max_parts` is how many parts may wait. Raises StoreUnavailable.
        """
        self._inside = False
        self._ledger = Ledger(Counts(0, 0))
        self._database = Database(url)
        try:
            with self.transaction() as connection:
                upgrade(connection)
                self._sets = Sets(connection, self._ledger, max_parts)
                self._receipts = Receipts(connection, self._ledger)
                self._ledger.data_version = data_version(connection)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._database.close()

    def counts(self) -> Counts:
        return self._ledger.counts

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        if self._inside:
            yield self._database.connection
            return
        self._inside = True
        self._ledger.begin()
        try:
            with self._database.connection.begin():
                yield self._database.connection
        except DBAPIError as problem:
            self._ledger.rollback()
            # Without its cause: that one's text has the statement.
            raise unavailable(problem) from None
        except BaseException:
            self._ledger.rollback()
            raise
        finally:
            self._inside = False

    # Sets and parts

    def add(self, parts: Sequence[NewPart]) -> list[Added]:
        with self.transaction() as connection:
            return self._sets.add(connection, parts)

    def settle(self, bases: Sequence[bytes]) -> None:
        with self.transaction() as connection:
            self._sets.delete(connection, bases)

    def release(self, sets: Sequence[tuple[bytes, Outcome]]) -> None:
        with self.transaction() as connection:
            self._sets.release(connection, sets)

    def expire(self, now: float, limit: int) -> list[ExpiredSet]:
        with self.transaction() as connection:
            return self._sets.expire(connection, now, limit)

    def fail(self, sets: Sequence[FailedSet]) -> None:
        with self.transaction() as connection:
            deleted = self._sets.delete(connection, [one.base for one in sets])
            reports = [
                one.report._replace(leased=False)
                for one, mine in zip(sets, deleted, strict=True)
                if mine and one.report is not None
            ]
            self._receipts.report(connection, reports)

    # Receipts

    def report(self, reports: Sequence[Report]) -> list[Reported]:
        with self.transaction() as connection:
            self._sets.accepted(connection, [one.base for one in reports if one.base])
            return self._receipts.report(connection, reports)

    def claim(self, now: float, quotas: Sequence[tuple[str, int]]) -> list[list[Pending]]:
        with self.transaction() as connection:
            return self._receipts.claim(connection, now, quotas)

    def settle_receipts(self, settled: Sequence[SettledReceipt]) -> None:
        with self.transaction() as connection:
            self._receipts.settle(connection, settled)

    def expire_receipts(self, due_before: float, now: float, limit: int) -> list[str]:
        with self.transaction() as connection:
            return self._receipts.expire(connection, due_before, now, limit)

    def look(self, now: float) -> Look:
        with self.transaction() as connection:
            found = data_version(connection)
            changed = found != self._ledger.data_version
            if changed:
                self._ledger.data_version = found
                self._receipts.count(connection)
            return Look(self._receipts.oldest(connection, now), changed)

    # Awaited reports

    def await_reports(self, awaited: Sequence[Awaited]) -> None:
        with self.transaction() as connection:
            awaiting.await_reports(connection, self._ledger, awaited)

    def claim_awaited(self, now: float, limit: int, lease_until: float) -> list[Awaited]:
        with self.transaction() as connection:
            return awaiting.claim_awaited(connection, now, limit, lease_until)

    def postpone(self, postponed: Sequence[tuple[bytes, float]]) -> None:
        with self.transaction() as connection:
            awaiting.postpone(connection, postponed)

    def end_awaited(self, keys: Sequence[bytes]) -> None:
        with self.transaction() as connection:
            awaiting.end(connection, self._ledger, keys)

    # The rest

    def keep_ids(self, ids: Sequence[tuple[str, str, float]]) -> list[int]:
        with self.transaction() as connection:
            return short_ids.keep(
                connection, [(system_id, message, micros(now)) for system_id, message, now in ids]
            )

    def find_ids(self, numbers: Sequence[tuple[str, int]]) -> list[str | None]:
        with self.transaction() as connection:
            found = short_ids.find(connection, numbers)
        return [found.get(number) for number in numbers]

    def save_memories(self, memories: Mapping[str, bytes]) -> None:
        with self.transaction() as connection:
            statements.WRITE_MEMORIES.run(connection, list(memories.items()))

    def load_memories(self) -> dict[str, bytes]:
        with self.transaction() as connection:
            return {row.system_id: row.content for row in connection.execute(MEMORIES.select())}

    def purge(self, ids_before: float, finals_before: float, dead_before: float) -> bool:
        with self.transaction() as connection:
            # Keys begin with the second of submission.
            known_before = max(0, int(finals_before)).to_bytes(4, "big")
            ids = _purge(connection, statements.PURGE_IDS, micros(ids_before))
            known = _purge(connection, receipt_statements.PURGE_KNOWN, known_before)
            dead = _purge(connection, receipt_statements.PURGE_DEAD, micros(dead_before))
            self._ledger.gain(dead=-dead)
        return max(ids, known, dead) > _PURGED_AT_ONCE


def _purge(connection: Connection, statement: Delete, before: int | bytes) -> int:
    """How many rows went."""
    return connection.execute(statement, {"before": before, "most": _PURGED_AT_ONCE}).rowcount
