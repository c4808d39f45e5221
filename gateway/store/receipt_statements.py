"""Every statement about receipts, built once."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    CTE,
    Column,
    ColumnElement,
    Select,
    Table,
    bindparam,
    delete,
    func,
    literal_column,
    select,
    update,
)
from sqlalchemy.dialects import sqlite

from gateway.store.dialect import Gathered, Hex
from gateway.store.listed import Listed, inserting
from gateway.store.schema import (
    AWAITED,
    DEAD_RECEIPTS,
    FINAL,
    KNOWN,
    KNOWN_FINAL,
    LEASED,
    PENDING,
    RECEIPTS,
)
from gateway.store.statements import insert_all, purging

_receipt = RECEIPTS.c
_known = KNOWN.c
_awaited = AWAITED.c
_dead = DEAD_RECEIPTS.c

_PENDING: Final[ColumnElement[int]] = literal_column(str(PENDING))
_LEASED: Final[ColumnElement[int]] = literal_column(str(LEASED))
_pending = _receipt.state == _PENDING
_leased = _receipt.state == _LEASED
_not_final = _receipt.kind != literal_column(str(FINAL))


def _in(listed: CTE, of: Column[Any]) -> ColumnElement[bool]:
    return of.in_(select(listed.c[of.name]))


# A partial index is counted without a look at the rows.
COUNT: Final = select(
    func.max(
        select(func.coalesce(func.max(_receipt.id), 0)).scalar_subquery(),
        select(func.coalesce(func.max(_dead.id), 0)).scalar_subquery(),
    ),
    select(func.count()).select_from(RECEIPTS).where(_pending).scalar_subquery(),
    select(func.count()).select_from(RECEIPTS).where(_leased).scalar_subquery(),
    select(func.count()).select_from(DEAD_RECEIPTS).scalar_subquery(),
    select(func.count()).select_from(AWAITED).scalar_subquery(),
)
"""The highest id; the numbers of pending, leased, dead and awaited ones."""

# Reports


def _what_is_there() -> Listed:
    def build(listed: CTE) -> Select[Any]:
        known = select(Gathered(_known.what)).where(_known.key == listed.c.key)
        waiting = select(
            Gathered(_receipt.id, _receipt.kind, _receipt.attempts, _receipt.state)
        ).where(_receipt.key == listed.c.key, _not_final)
        awaited = select(literal_column("1")).where(_awaited.key == listed.c.key).exists()
        # `json`, since nothing promises that JSON is known as such outside of its subquery.
        return select(
            Gathered(
                Hex(listed.c.key),
                func.json(known.scalar_subquery()),
                func.json(waiting.scalar_subquery()),
                awaited,
            )
        ).where(listed.c.key.is_not(None))

    return Listed([_known.key], build)


FIND_MESSAGES: Final = _what_is_there()
"""key, [what] known, [id, kind, attempts, state] of receipts not final, whether awaited."""

INSERT_RECEIPTS: Final = insert_all(RECEIPTS, list(_receipt))

DELETE_RECEIPTS: Final = Listed(
    [_receipt.id], lambda listed: delete(RECEIPTS).where(_in(listed, _receipt.id))
)


def _insert_new(table: Table) -> Listed:
    """What is there already stays as it is."""
    insert = sqlite.insert(table)  # postgresql.insert has the same clause
    return Listed(list(table.c), lambda listed: inserting(insert, listed).on_conflict_do_nothing())


INSERT_KNOWN: Final = _insert_new(KNOWN)

# Claims


def _due() -> Listed:
    def build(listed: CTE) -> Select[Any]:
        due = (
            select(_receipt.not_before, _receipt.id)
            .where(
                _receipt.system_id == listed.c.system_id,
                _pending,
                _receipt.not_before <= bindparam("now"),
            )
            .order_by(_receipt.not_before, _receipt.id)
            .limit(bindparam("most"))
            .offset(literal_column("0"))  # else it is a parameter
            .correlate(listed)
            .subquery("due")
        )
        found = select(Gathered(due.c.not_before, due.c.id)).scalar_subquery()
        return select(Gathered(listed.c.system_id, func.json(found))).where(
            listed.c.system_id.is_not(None)
        )

    return Listed([_receipt.system_id], build)


FIND_DUE: Final = _due()
"""system_id, [not_before, id]: for each system_id of the list, at most `most`."""

READ_RECEIPTS: Final = Listed(
    [_receipt.id],
    lambda listed: select(
        Gathered(
            _receipt.id,
            _receipt.system_id,
            Hex(_receipt.key),
            _receipt.message_id,
            _receipt.kind,
            _receipt.message_state,
            Hex(_receipt.pdu),
            _receipt.attempts,
            _receipt.submitted_at,
            _receipt.received_at,
            _receipt.due_at,
        )
    ).where(_in(listed, _receipt.id)),
)
"""As in `base.Pending`."""

LEASE: Final = Listed(
    [_receipt.id],
    lambda listed: update(RECEIPTS).where(_in(listed, _receipt.id)).values(state=_LEASED),
)

RELEASE_ALL: Final = update(RECEIPTS).where(_leased).values(state=_PENDING)

# What became of them

FIND_FINALS: Final = Listed(
    [_known.key],
    lambda listed: select(Gathered(Hex(_known.key))).where(
        _in(listed, _known.key), _known.what == literal_column(str(KNOWN_FINAL))
    ),
)

RETURN: Final = Listed(
    [_receipt.id],
    lambda listed: update(RECEIPTS).where(_in(listed, _receipt.id)).values(state=_PENDING),
)

RETRY: Final = Listed(
    [_receipt.id, _receipt.last_status, _receipt.not_before],
    lambda listed: (
        update(RECEIPTS)
        .where(_receipt.id == listed.c.id)
        .values(
            state=_PENDING,
            attempts=_receipt.attempts + literal_column("1"),
            last_status=listed.c.last_status,
            not_before=listed.c.not_before,
        )
    ),
)


def _bury() -> Listed:
    moved = [column.name for column in _dead if column.name in _receipt]

    def build(listed: CTE) -> ColumnElement[Any] | Any:
        own = {
            "attempts": _receipt.attempts + listed.c.attempts,
            "last_status": listed.c.last_status,
        }
        found = select(
            *(own.get(name, _receipt[name]) for name in moved), listed.c.reason, listed.c.died_at
        ).select_from(listed.join(RECEIPTS, _receipt.id == listed.c.id))
        return DEAD_RECEIPTS.insert().from_select([*moved, "reason", "died_at"], found)

    return Listed([_dead.id, _dead.attempts, _dead.last_status, _dead.reason, _dead.died_at], build)


BURY: Final = _bury()
"""Copy to the dead ones; `attempts` are those to add."""


def _overdue() -> Select[Any]:
    overdue = (
        select(_receipt.due_at, _receipt.id, _receipt.system_id, _receipt.last_status)
        .where(_pending, _receipt.due_at < bindparam("due_before"))
        .order_by(_receipt.due_at, _receipt.id)
        .limit(bindparam("most"))
        .subquery("overdue")
    )
    return select(Gathered(*overdue.c))


OVERDUE_RECEIPTS: Final = _overdue()
"""due_at, id, system_id, last_status."""


def _oldest(state: ColumnElement[bool]) -> Any:
    due = select(_receipt.due_at).where(state, _receipt.due_at <= bindparam("now"))
    return due.order_by(_receipt.due_at).limit(literal_column("1")).scalar_subquery()


OLDEST: Final = select(_oldest(_pending), _oldest(_leased))

# Purge

PURGE_KNOWN: Final = purging(_known.key)
PURGE_DEAD: Final = purging(_dead.died_at)
