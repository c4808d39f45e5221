"""The store in a database, through SQLAlchemy Core.

Each method takes the same few statements whatever the length of its list.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Final

import orjson
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from gateway.store import short_ids
from gateway.store import statements as sql
from gateway.store.base import (
    Added,
    Counts,
    ExpiredSet,
    FailedSet,
    NewPart,
    Outcome,
    PendingReceipt,
    StoredPart,
)
from gateway.store.dialect import Database, unavailable
from gateway.store.joining import Joined, JoinedSet, digest_of, join
from gateway.store.ledger import Ledger, Taken
from gateway.store.schema import ATTACHED, DETACHED, MEMORIES, SENDING
from gateway.store.upgrade import upgrade

_PURGED_AT_ONCE: Final = 10_000  # rows of a table: the others wait meanwhile


class SqlStore:
    """A store in the database that `url` names. See `base.Store` for the contract."""

    def __init__(self, url: str, *, max_parts: int) -> None:
        """Open it, bring it up to date, put back what a dead process was sending.

        `max_parts` is how many parts may wait. Raises StoreUnavailable.
        """
        self._max_parts = max_parts
        self._inside = False
        self._ledger = Ledger(Counts(0, 0))
        self._database = Database(url)
        try:
            with self.transaction() as connection:
                upgrade(connection)
                self._put_back(
                    connection,
                    [
                        (set_id, digest, "unknown")
                        for set_id, digest in connection.execute(sql.LEFT_SENDING).all()
                    ],
                )
                highest, sets, parts = connection.execute(sql.COUNT).one()
            self._ledger.gain(sets, parts)
            self._ids = count(highest + 1)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._database.close()

    def counts(self) -> Counts:
        return Counts(self._ledger.sets, self._ledger.parts)

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
        digests = [digest_of(part.key) for part in parts]
        with self.transaction() as connection:
            room = self._max_parts - self._ledger.parts
            joined = join(parts, digests, _attached(connection, digests), self._ids, room)
            return self._write(connection, joined)

    def settle(self, bases: Sequence[bytes]) -> None:
        with self.transaction() as connection:
            mine = [taken for base in bases if (taken := self._ledger.delete(base))]
            sql.DELETE_SETS.run(connection, [(taken.id,) for taken in mine])

    def release(self, sets: Sequence[tuple[bytes, Outcome]]) -> None:
        with self.transaction() as connection:
            mine = []
            for base, outcome in sets:
                taken = self._ledger.give_back(base)
                if taken is not None:
                    mine.append((taken.id, taken.digest, outcome))
            self._put_back(connection, mine)

    def expire(self, now: float, limit: int) -> list[ExpiredSet]:
        with self.transaction() as connection:
            bounds = {"now": _micros(now), "most": limit}
            due = orjson.loads(connection.execute(sql.OVERDUE, bounds).scalar_one())
            due.sort(key=lambda row: (row[-1], row[0]))  # an aggregate promises no order
            ids = [row[0] for row in due]
            stored = _read_parts(connection, ids)
            sql.MARK_SENDING.run(connection, [(set_id,) for set_id in ids])
            expired = []
            for set_id, base_hex, digest, system_id, total, outcome, _ in due:
                base = bytes.fromhex(base_hex)
                parts = tuple(stored[set_id][number] for number in sorted(stored[set_id]))
                self._ledger.take(base, Taken(set_id, bytes.fromhex(digest), len(parts)))
                expired.append(ExpiredSet(base, system_id, total, outcome, parts))
            return expired

    def fail(self, sets: Sequence[FailedSet]) -> None:
        with self.transaction() as connection:
            mine = []
            receipts: list[PendingReceipt] = []
            for failed in sets:
                taken = self._ledger.delete(failed.base)
                if taken is not None:
                    mine.append((taken.id,))
                    receipts += failed.receipts
            sql.DELETE_SETS.run(connection, mine)
            rows = [
                (*one[:-2], _micros(one.submitted_at), _micros(one.done_at)) for one in receipts
            ]
            sql.INSERT_RECEIPTS.run(connection, rows)

    # The rest

    def keep_ids(self, ids: Sequence[tuple[str, str, float]]) -> list[int]:
        with self.transaction() as connection:
            return short_ids.keep(
                connection, [(system_id, message, _micros(now)) for system_id, message, now in ids]
            )

    def find_ids(self, numbers: Sequence[tuple[str, int]]) -> list[str | None]:
        with self.transaction() as connection:
            found = short_ids.find(connection, numbers)
        return [found.get(number) for number in numbers]

    def save_memories(self, memories: Mapping[str, bytes]) -> None:
        with self.transaction() as connection:
            sql.WRITE_MEMORIES.run(connection, list(memories.items()))

    def load_memories(self) -> dict[str, bytes]:
        with self.transaction() as connection:
            return {row.system_id: row.content for row in connection.execute(MEMORIES.select())}

    def purge(self, ids_before: float, receipts_before: float) -> bool:
        more = False
        with self.transaction() as connection:
            for statement, before in (
                (sql.PURGE_IDS, ids_before),
                (sql.PURGE_RECEIPTS, receipts_before),
            ):
                bounds = {"before": _micros(before), "most": _PURGED_AT_ONCE}
                more |= connection.execute(statement, bounds).rowcount > _PURGED_AT_ONCE
        return more

    def _write(self, connection: Connection, joined: Joined) -> list[Added]:
        """Write what a batch came to; its results."""
        known = [one.joined.id for one in joined.completions if not one.joined.opened_by]
        stored = _read_parts(connection, known)
        # These leave their key before others take it.
        sql.MARK_SENDING.run(connection, [(set_id,) for set_id in known])
        fresh = [
            (
                one.id,
                one.base,
                one.digest,
                one.opened_by.key.system_id,
                one.total,
                SENDING if one.sending else ATTACHED,
                "",
                _micros(one.opened_by.deadline),
            )
            for one in joined.touched
            if one.opened_by
        ]
        sql.INSERT_SETS.run(connection, fresh)
        rows = [
            (one.id, number, part.pdu, _micros(part.received_at), part.common_id)
            for one in joined.touched
            for number, part in one.written.items()
        ]
        sql.WRITE_PARTS.run(connection, rows)
        self._ledger.gain(len(fresh), joined.gained)
        for completion in joined.completions:
            one = completion.joined
            self._ledger.take(one.base, Taken(one.id, one.digest, one.total - 1))
            pdus = {number: part.pdu for number, part in stored.get(one.id, {}).items()}
            joined.results[completion.place] = completion.result(pdus)
        return [result for result in joined.results if result is not None]

    def _put_back(self, connection: Connection, sets: Sequence[tuple[int, bytes, Outcome]]) -> None:
        """Attach each (id, digest, outcome) again, or leave it detached if it cannot be."""
        held = set(_attached(connection, [digest for _, digest, _ in sets]))
        groups = defaultdict(list)
        for set_id, digest, outcome in sets:
            groups[DETACHED if digest in held else ATTACHED, outcome].append((set_id,))
            held.add(digest)
        for (state, outcome), ids in groups.items():
            sql.PUT_BACK.run(connection, ids, new_state=state, new_outcome=outcome)


def _attached(connection: Connection, digests: Sequence[bytes]) -> dict[bytes, JoinedSet]:
    """The sets attached to these keys, by digest."""
    found: dict[bytes, JoinedSet] = {}
    rows = [(digest,) for digest in dict.fromkeys(digests)]
    for digest, set_id, base, total, number in sql.FIND_ATTACHED.read(connection, rows):
        key = bytes.fromhex(digest)
        if key not in found:
            found[key] = JoinedSet(set_id, bytes.fromhex(base), key, total, set())
        if number is not None:
            found[key].stored.add(number)
    return found


def _read_parts(connection: Connection, ids: Sequence[int]) -> dict[int, dict[int, StoredPart]]:
    """The stored parts of these sets, by their number."""
    found: dict[int, dict[int, StoredPart]] = {set_id: {} for set_id in ids}
    rows = sql.READ_PARTS.read(connection, [(one,) for one in ids])
    for set_id, number, pdu, micros, common_id in rows:
        received_at = micros / 1_000_000
        found[set_id][number] = StoredPart(number, bytes.fromhex(pdu), received_at, common_id)
    return found


def _micros(seconds: float) -> int:
    return round(seconds * 1_000_000)
