"""Parts of messages for tests."""

from __future__ import annotations

from typing import Any

from gateway.store.base import Complete, ExpiredSet, NewPart, SetKey, Waiting
from gateway.store.contract import Store
from gateway.store.sql import SqlStore


def key(total: int = 2, reference: int = 7, **other: Any) -> SetKey:
    return SetKey("bank", "Bank", "37255555555", "udh8", reference, total)._replace(**other)


def part(number: int, pdu: bytes, of: SetKey | None = None, **other: Any) -> NewPart:
    return NewPart(of or key(), number, pdu, 1_000.125, 1_300.0)._replace(**other)


def waiting(result: object) -> Waiting:
    assert isinstance(result, Waiting)
    return result


def complete(result: object) -> Complete:
    assert isinstance(result, Complete)
    return result


def added(store: Store, number: int, pdu: bytes, of: SetKey | None = None, **other: Any) -> Waiting:
    """Add a part that does not complete its set."""
    return waiting(store.add([part(number, pdu, of, **other)])[0])


def everything(store: Store) -> dict[bytes, ExpiredSet]:
    """Every set not in sending, by its base; they are in sending now."""
    return {one.base: one for one in store.expire(1e9, 10_000)}


def contents(one: ExpiredSet) -> dict[int, bytes]:
    return {stored.number: stored.pdu for stored in one.parts}


def poison(store: SqlStore, pdu: bytes) -> None:
    """The database refuses parts with these octets."""
    with store.transaction() as connection:
        connection.exec_driver_sql(
            f"CREATE TRIGGER poison BEFORE INSERT ON parts WHEN NEW.pdu = x'{pdu.hex()}' "
            "BEGIN SELECT RAISE(ABORT, 'poisoned'); END"
        )
