"""Reports to ask the API for, in the database; see `contract.Store`.

Each function takes the same few statements whatever the length of its list, on a connection
that is in a transaction.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import orjson
from sqlalchemy.engine import Connection

from gateway.store import awaited_statements as sql
from gateway.store.base import Awaited
from gateway.store.ledger import Ledger
from gateway.store.times import micros, seconds


def await_reports(connection: Connection, ledger: Ledger, awaited: Sequence[Awaited]) -> None:
    """Keep them; the first one of a key stays."""
    there = _there(connection, [one.key for one in awaited])
    rows = {}
    for one in awaited:
        if one.key not in there:
            there.add(one.key)
            rows[one.key] = (
                one.key,
                one.system_id,
                one.message_id,
                one.route,
                micros(one.submitted_at),
                micros(one.next_at),
                one.polls,
            )
    sql.INSERT_AWAITED.run(connection, list(rows.values()))
    ledger.gain(awaited=len(rows))


def claim_awaited(
    connection: Connection, now: float, limit: int, lease_until: float
) -> list[Awaited]:
    """As they were found, with the `next_at` that was due."""
    bounds = {"now": micros(now), "most": limit}
    claimed = [
        Awaited(
            bytes.fromhex(key),
            system_id,
            message_id,
            bytes.fromhex(route),
            seconds(submitted_at),
            seconds(next_at),
            polls,
        )
        for key, system_id, message_id, route, submitted_at, next_at, polls in orjson.loads(
            connection.execute(sql.AWAITED_DUE, bounds).scalar_one()
        )
    ]
    claimed.sort(key=lambda one: (one.next_at, one.key))  # an aggregate promises no order
    until = micros(lease_until)
    sql.POSTPONE.run(connection, [(one.key, until, 0) for one in claimed])
    return claimed


def postpone(connection: Connection, postponed: Sequence[tuple[bytes, float]]) -> None:
    """Set when each is due next, and count the polls."""
    polls = Counter(key for key, _ in postponed)
    last = dict(postponed)
    sql.POSTPONE.run(connection, [(key, micros(last[key]), polls[key]) for key in last])


def end(connection: Connection, ledger: Ledger, keys: Sequence[bytes]) -> None:
    """Await them no more."""
    there = _there(connection, keys)
    sql.DELETE_AWAITED.run(connection, [(key,) for key in there])
    ledger.gain(awaited=-len(there))


def _there(connection: Connection, keys: Sequence[bytes]) -> set[bytes]:
    """Those keys that are awaited."""
    rows = [(key,) for key in dict.fromkeys(keys)]
    return {bytes.fromhex(key) for (key,) in sql.FIND_AWAITED.read(connection, rows)}
