"""Every statement about awaited reports, built once."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Select, bindparam, delete, select, update

from gateway.store.dialect import Gathered, Hex
from gateway.store.listed import Listed
from gateway.store.schema import AWAITED
from gateway.store.statements import insert_all

_awaited = AWAITED.c

FIND_AWAITED: Final = Listed(
    [_awaited.key],
    lambda listed: select(Gathered(Hex(_awaited.key))).where(
        _awaited.key.in_(select(listed.c.key))
    ),
)

INSERT_AWAITED: Final = insert_all(AWAITED, list(_awaited))

DELETE_AWAITED: Final = Listed(
    [_awaited.key], lambda listed: delete(AWAITED).where(_awaited.key.in_(select(listed.c.key)))
)


def _awaited_due() -> Select[Any]:
    due = (
        select(AWAITED)
        .where(_awaited.next_at <= bindparam("now"))
        .order_by(_awaited.next_at, _awaited.key)
        .limit(bindparam("most"))
        .subquery("due")
    ).c
    return select(
        Gathered(
            Hex(due.key),
            due.system_id,
            due.message_id,
            Hex(due.route),
            due.submitted_at,
            due.next_at,
            due.polls,
        )
    )


AWAITED_DUE: Final = _awaited_due()
"""As in `base.Awaited`."""

POSTPONE: Final = Listed(
    [_awaited.key, _awaited.next_at, _awaited.polls],
    lambda listed: (
        update(AWAITED)
        .where(_awaited.key == listed.c.key)
        .values(next_at=listed.c.next_at, polls=_awaited.polls + listed.c.polls)
    ),
)
"""`polls` are those to add."""
