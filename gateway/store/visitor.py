"""The receipts of a store, for a person beside the gateway that has it open.

A visitor needs no right to the store, puts nothing back, and touches nothing that the gateway
has in hand. What it changes it changes in bites, so that the gateway never waits long; the
gateway sees it at its next `look`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final, Literal, NamedTuple

from sqlalchemy import ColumnElement, Select, delete, insert, literal, literal_column, null, select
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from gateway.store.base import Kind
from gateway.store.dialect import Database, unavailable
from gateway.store.receipts import KINDS
from gateway.store.schema import DEAD_RECEIPTS, LEASED, PENDING, RECEIPTS
from gateway.store.times import micros, seconds
from gateway.store.upgrade import check_version

_BITE: Final = 500  # rows in one transaction: the gateway waits meanwhile

_ALL: Final = 1_000_000  # rows that are shown of one message

_live = RECEIPTS.c
_dead = DEAD_RECEIPTS.c
_pending = _live.state == literal_column(str(PENDING))
_leased = _live.state == literal_column(str(LEASED))

Which = Literal["pending", "dead", "all"]
"""Receipts that wait or are being sent; those that were given up; both."""


class Row(NamedTuple):
    """A receipt as it lies in the store."""

    id: int
    state: Literal["pending", "leased", "dead"]
    system_id: str
    message_id: str
    kind: Kind
    message_state: int
    attempts: int
    last_status: int | None  # the command_status that it was refused with last
    submitted_at: float
    received_at: float
    due_at: float
    not_before: float | None  # when it is tried next, unless it is dead
    reason: str  # why it is dead, else empty
    died_at: float | None
    pdu: bytes  # deliver_sm, with numbers and perhaps text


@dataclass(frozen=True)
class _Filter:
    """Which receipts are meant; None means any. `before` is in microseconds."""

    system_id: str | None = None
    message_id: str | None = None
    before: int | None = None

    def terms(self, of: Any, since: ColumnElement[int]) -> list[ColumnElement[bool]]:
        """For the columns `of` a table, whose receipts are as old as `since` says."""
        terms: list[ColumnElement[bool]] = []
        if self.system_id is not None:
            terms.append(of.system_id == self.system_id)
        if self.message_id is not None:
            terms.append(of.message_id == self.message_id)
        if self.before is not None:
            terms.append(since < self.before)
        return terms


def _unobserved(_done: int) -> None:
    pass


class Visitor:
    """Ages count from when a receipt became due, or died; `older_than` is in seconds.

    What works in bites calls `progress` after each, with how many receipts are done by then.
    All methods raise StoreUnavailable; the bites before that are done for good.
    """

    def __init__(self, url: str) -> None:
        """Raises StoreUnavailable when there is no store, or one of another version."""
        self._database = Database(url, visiting=True)
        try:
            with self._transaction() as connection:
                check_version(connection)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._database.close()

    def list_receipts(
        self,
        state: Which,
        system_id: str | None = None,
        older_than: float | None = None,
        *,
        now: float,
        limit: int,
    ) -> list[Row]:
        """At most `limit` of each kind, the oldest first; those that wait before dead ones."""
        meant = _Filter(system_id, before=_before(older_than, now))
        return self._read(state, meant, limit)

    def show(self, message_id: str) -> list[Row]:
        """All receipts of a message, by its id as the ESME reads it."""
        return self._read("all", _Filter(message_id=message_id), _ALL)

    def retry_dead(
        self,
        system_id: str | None = None,
        message_id: str | None = None,
        older_than: float | None = None,
        *,
        now: float,
        progress: Callable[[int], None] = _unobserved,
    ) -> int:
        """Dead receipts are due now, as if for the first time; how many there were."""
        meant = _Filter(system_id, message_id, _before(older_than, now))
        terms = meant.terms(_dead, _dead.died_at)
        bites = self._bites(
            _dead.id, terms, lambda connection, ids: _revive(connection, ids, micros(now))
        )
        return _total(bites, progress)

    def purge(
        self,
        state: Which,
        system_id: str | None = None,
        older_than: float | None = None,
        *,
        now: float,
        progress: Callable[[int], None] = _unobserved,
    ) -> int:
        """Delete receipts that nobody is sending right now; how many there were."""
        meant = _Filter(system_id, before=_before(older_than, now))
        bites: list[Iterator[int]] = []
        if state != "dead":
            terms = [_pending, *meant.terms(_live, _live.due_at)]
            bites.append(self._bites(_live.id, terms, _delete_pending))
        if state != "pending":
            terms = meant.terms(_dead, _dead.died_at)
            bites.append(self._bites(_dead.id, terms, _delete_dead))
        return _total(chain.from_iterable(bites), progress)

    def _read(self, state: Which, meant: _Filter, limit: int) -> list[Row]:
        rows: list[Row] = []
        with self._transaction() as connection:
            if state != "dead":
                for each in (_pending, _leased):  # either has an index by age
                    terms = [each, *meant.terms(_live, _live.due_at)]
                    query = _LIVE_ROWS.where(*terms).order_by(_live.due_at).limit(limit)
                    rows += map(_row, connection.execute(query))
                rows.sort(key=lambda row: (row.due_at, row.id))
                del rows[limit:]
            if state != "pending":
                terms = meant.terms(_dead, _dead.died_at)
                query = _DEAD_ROWS.where(*terms).order_by(_dead.died_at, _dead.id).limit(limit)
                rows += map(_row, connection.execute(query))
        return rows

    def _bites(
        self,
        key: ColumnElement[int],
        terms: Sequence[ColumnElement[bool]],
        act: Callable[[Connection, Sequence[int]], int],
    ) -> Iterator[int]:
        """Let `act` do its work on some ids at once; what it did each time.

        The ids are found in transactions of their own, which hold nobody up.
        """
        last = -1
        while True:
            with self._transaction() as connection:
                query = select(key).where(key > last, *terms).order_by(key).limit(_BITE)
                ids = connection.execute(query).scalars().all()
            if not ids:
                return
            last = ids[-1]
            with self._transaction() as connection:
                done = act(connection, ids)
            yield done

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        try:
            with self._database.connection.begin():
                yield self._database.connection
        except DBAPIError as problem:
            raise unavailable(problem) from None


def _total(bites: Iterable[int], progress: Callable[[int], None]) -> int:
    total = 0
    for done in bites:
        total += done
        progress(total)
    return total


def _before(older_than: float | None, now: float) -> int | None:
    return None if older_than is None else micros(now - older_than)


def _rows_of(of: Any, *others: ColumnElement[Any]) -> Select[Any]:
    return select(
        of.id, of.system_id, of.message_id, of.kind, of.message_state, of.attempts,
        of.last_status, of.submitted_at, of.received_at, of.due_at, of.pdu, *others,
    )  # fmt: skip


_LIVE_ROWS: Final = _rows_of(
    _live, _live.state, _live.not_before, literal("").label("reason"), null().label("died_at")
)
_DEAD_ROWS: Final = _rows_of(
    _dead, null().label("state"), null().label("not_before"), _dead.reason, _dead.died_at
)
_STATES: Final[dict[int | None, Literal["pending", "leased", "dead"]]] = {
    PENDING: "pending",
    LEASED: "leased",
    None: "dead",
}


def _row(found: Any) -> Row:
    return Row(
        found.id,
        _STATES[found.state],
        found.system_id,
        found.message_id,
        KINDS[found.kind],
        found.message_state,
        found.attempts,
        found.last_status,
        seconds(found.submitted_at),
        seconds(found.received_at),
        seconds(found.due_at),
        None if found.not_before is None else seconds(found.not_before),
        found.reason,
        None if found.died_at is None else seconds(found.died_at),
        found.pdu,
    )


def _revive(connection: Connection, ids: Sequence[int], now: int) -> int:
    new = {"attempts": 0, "last_status": None, "due_at": now, "state": PENDING, "not_before": now}
    values = [literal(new[c.name], c.type) if c.name in new else _dead[c.name] for c in _live]
    found = select(*values).where(_dead.id.in_(ids))
    # A write comes first: a transaction that has read may be too late to write.
    revived = connection.execute(insert(RECEIPTS).from_select(list(_live), found)).rowcount
    connection.execute(delete(DEAD_RECEIPTS).where(_dead.id.in_(ids)))
    return revived


def _delete_pending(connection: Connection, ids: Sequence[int]) -> int:
    return connection.execute(delete(RECEIPTS).where(_live.id.in_(ids), _pending)).rowcount


def _delete_dead(connection: Connection, ids: Sequence[int]) -> int:
    return connection.execute(delete(DEAD_RECEIPTS).where(_dead.id.in_(ids))).rowcount
