"""Every statement about sets, parts, short ids and memories, built once."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    BindParameter,
    Column,
    ColumnElement,
    Delete,
    Select,
    Table,
    and_,
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
    ATTACHED,
    MEMORIES,
    PART_SETS,
    PARTS,
    SENDING,
    SHORT_IDS,
)

_set = PART_SETS.c
_part = PARTS.c
_id = SHORT_IDS.c

_attached = _set.state == literal_column(str(ATTACHED))
_SENDING: Final[ColumnElement[int]] = literal_column(str(SENDING))
_sending = _set.state == _SENDING


def insert_all(table: Table, columns: list[Column[Any]]) -> Listed:
    """A statement that inserts its list; `columns` are those of the table in its order."""
    return Listed(columns, lambda listed: inserting(table.insert(), listed))


# Sets and parts

COUNT: Final = select(
    select(func.coalesce(func.max(_set.id), 0)).scalar_subquery(),
    select(func.count()).select_from(PART_SETS).scalar_subquery(),
    select(func.count()).select_from(PARTS).scalar_subquery(),
)

FIND_ATTACHED: Final = Listed(
    [_set.key_digest],
    lambda listed: (
        select(Gathered(Hex(_set.key_digest), _set.id, Hex(_set.base), _set.total, _part.number))
        .select_from(PART_SETS.outerjoin(PARTS, _part.set_id == _set.id))
        .where(_attached, _set.key_digest.in_(select(listed.c.key_digest)))
    ),
)
"""key_digest, id, base, total, number: for each part of the attached sets; None in an empty set."""

READ_PARTS: Final = Listed(
    [_part.set_id],
    lambda listed: select(
        Gathered(_part.set_id, _part.number, Hex(_part.pdu), _part.received_at, _part.common_id)
    ).where(_part.set_id.in_(select(listed.c.set_id))),
)
"""set_id, number, pdu, received_at, common_id."""

INSERT_SETS: Final = insert_all(PART_SETS, list(_set))


def _write_parts() -> Listed:
    insert = sqlite.insert(PARTS)  # postgresql.insert has the same clause
    return Listed(
        list(_part),
        lambda listed: inserting(insert, listed).on_conflict_do_update(
            index_elements=[_part.set_id, _part.number],
            set_={
                "pdu": insert.excluded.pdu,
                "received_at": insert.excluded.received_at,
                "common_id": insert.excluded.common_id,
            },
        ),
    )


WRITE_PARTS: Final = _write_parts()

MARK_SENDING: Final = Listed(
    [_set.id],
    lambda listed: update(PART_SETS).where(_set.id.in_(select(listed.c.id))).values(state=_SENDING),
)

PUT_BACK: Final = Listed(
    [_set.id],
    lambda listed: (
        update(PART_SETS)
        .where(_set.id.in_(select(listed.c.id)))
        .values(state=bindparam("new_state"), outcome=bindparam("new_outcome"))
    ),
)

DELETE_SETS: Final = Listed(
    [_set.id],
    lambda listed: delete(PART_SETS).where(_set.id.in_(select(listed.c.id))),
)
"""Their parts go with them."""


def _overdue() -> Select[Any]:
    due = (
        select(
            _set.id,
            _set.base,
            _set.key_digest,
            _set.system_id,
            _set.total,
            _set.outcome,
            _set.deadline,
        )
        .where(_set.deadline <= bindparam("now"), _set.state != _SENDING)
        .order_by(_set.deadline, _set.id)
        .limit(bindparam("most"))
        .subquery("due")
    ).c
    return select(
        Gathered(
            due.id,
            Hex(due.base),
            Hex(due.key_digest),
            due.system_id,
            due.total,
            due.outcome,
            due.deadline,
        )
    )


OVERDUE: Final = _overdue()
"""id, base, key_digest, system_id, total, outcome, deadline."""

LEFT_SENDING: Final = (
    select(_set.id, _set.key_digest).where(_sending).order_by(_set.deadline, _set.id)
)

LEFT_UNKNOWN: Final = select(_set.base, _set.id).where(_set.outcome == "unknown")
"""Read at opening only: no index has the outcome."""

READ_UNKNOWN: Final = Listed(
    [_set.id],
    lambda listed: select(
        Gathered(
            _set.id,
            select(func.count()).where(_part.set_id == _set.id).scalar_subquery(),
        )
    ).where(
        _set.id.in_(select(listed.c.id)),
        _set.state != _SENDING,
        _set.outcome == literal_column("'unknown'"),
    ),
)
"""id and number of parts, of those that are not in sending and have this outcome still."""

# Short ids

# A join, because SQLite looks up `(system_id, number) IN ...` by its first half only.
READ_IDS: Final = Listed(
    [_id.system_id, _id.number],
    lambda listed: select(Gathered(_id.system_id, _id.number, _id.message_id)).select_from(
        listed.join(
            SHORT_IDS,
            and_(_id.system_id == listed.c.system_id, _id.number == listed.c.number),
        )
    ),
)

INSERT_IDS: Final = insert_all(SHORT_IDS, list(_id))

# Memories


def _write_memories() -> Listed:
    insert = sqlite.insert(MEMORIES)
    return Listed(
        list(MEMORIES.c),
        lambda listed: inserting(insert, listed).on_conflict_do_update(
            index_elements=[MEMORIES.c.system_id], set_={"content": insert.excluded.content}
        ),
    )


WRITE_MEMORIES: Final = _write_memories()

# Purge


def purging(times: Column[Any]) -> Delete:
    """Delete what is before a time; of many rows, the oldest only: `most` and one."""
    before: BindParameter[Any] = bindparam("before")
    enough = (
        select(times).where(times < before).order_by(times).limit(1).offset(bindparam("most"))
    ).scalar_subquery()
    return delete(times.table).where(times < before, times <= func.coalesce(enough, before))


PURGE_IDS: Final = purging(_id.kept_at)
