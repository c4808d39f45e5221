"""Sets and their parts in the database.

Each method takes the same few statements whatever the length of its list, on a connection
that is in a transaction.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import count

import orjson
from sqlalchemy.engine import Connection

from gateway.store import statements as sql
from gateway.store.base import Added, ExpiredSet, NewPart, Outcome, StoredPart
from gateway.store.joining import Joined, JoinedSet, digest_of, join
from gateway.store.ledger import Ledger, Taken
from gateway.store.schema import ATTACHED, DETACHED, SENDING
from gateway.store.times import micros, seconds


class Sets:
    """See `contract.Store`."""

    def __init__(self, connection: Connection, ledger: Ledger, max_parts: int) -> None:
        """Put back what a dead process was sending, and count what is there."""
        self._ledger = ledger
        self._max_parts = max_parts
        left = connection.execute(sql.LEFT_SENDING).all()
        _put_back(connection, [(set_id, digest, "unknown") for set_id, digest in left])
        # Those that a report may still be about.
        self._left = dict(tuple(row) for row in connection.execute(sql.LEFT_UNKNOWN))
        highest, sets, parts = connection.execute(sql.COUNT).one()
        ledger.gain(sets=sets, parts=parts)
        self._ids = count(highest + 1)

    def add(self, connection: Connection, parts: Sequence[NewPart]) -> list[Added]:
        digests = [digest_of(part.key) for part in parts]
        room = self._max_parts - self._ledger.counts.parts
        joined = join(parts, digests, _attached(connection, digests), self._ids, room)
        return self._write(connection, joined)

    def delete(self, connection: Connection, bases: Sequence[bytes]) -> list[bool]:
        """Whether each was in sending, and so was deleted."""
        deleted = [self._ledger.delete_set(base) for base in bases]
        sql.DELETE_SETS.run(connection, [(taken.id,) for taken in deleted if taken])
        return [taken is not None for taken in deleted]

    def release(self, connection: Connection, sets: Sequence[tuple[bytes, Outcome]]) -> None:
        mine = []
        for base, outcome in sets:
            taken = self._ledger.sets.give_back(base)
            if taken is not None:
                mine.append((taken.id, taken.digest, outcome))
        _put_back(connection, mine)

    def expire(self, connection: Connection, now: float, limit: int) -> list[ExpiredSet]:
        bounds = {"now": micros(now), "most": limit}
        due = orjson.loads(connection.execute(sql.OVERDUE, bounds).scalar_one())
        due.sort(key=lambda row: (row[-1], row[0]))  # an aggregate promises no order
        ids = [row[0] for row in due]
        stored = _read_parts(connection, ids)
        sql.MARK_SENDING.run(connection, [(set_id,) for set_id in ids])
        expired = []
        for set_id, base_hex, digest, system_id, total, outcome, _ in due:
            base = bytes.fromhex(base_hex)
            parts = tuple(stored[set_id][number] for number in sorted(stored[set_id]))
            self._ledger.sets.take(base, Taken(set_id, bytes.fromhex(digest), len(parts)))
            expired.append(ExpiredSet(base, system_id, total, outcome, parts))
        return expired

    def accepted(self, connection: Connection, bases: Sequence[bytes]) -> None:
        """The API has them: delete those of unknown outcome that a dead process left."""
        left = [(self._left[base],) for base in dict.fromkeys(bases) if base in self._left]
        found = sql.READ_UNKNOWN.read(connection, left)
        sql.DELETE_SETS.run(connection, [(set_id,) for set_id, _ in found])
        self._ledger.gain(sets=-len(found), parts=-sum(parts for _, parts in found))

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
                micros(one.opened_by.deadline),
            )
            for one in joined.touched
            if one.opened_by
        ]
        sql.INSERT_SETS.run(connection, fresh)
        rows = [
            (one.id, number, part.pdu, micros(part.received_at), part.common_id)
            for one in joined.touched
            for number, part in one.written.items()
        ]
        sql.WRITE_PARTS.run(connection, rows)
        self._ledger.gain(sets=len(fresh), parts=joined.gained)
        for completion in joined.completions:
            one = completion.joined
            self._ledger.sets.take(one.base, Taken(one.id, one.digest, one.total - 1))
            pdus = {number: part.pdu for number, part in stored.get(one.id, {}).items()}
            joined.results[completion.place] = completion.result(pdus)
        return [result for result in joined.results if result is not None]


def _put_back(connection: Connection, sets: Sequence[tuple[int, bytes, Outcome]]) -> None:
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
    for set_id, number, pdu, received_at, common_id in rows:
        part = StoredPart(number, bytes.fromhex(pdu), seconds(received_at), common_id)
        found[set_id][number] = part
    return found
