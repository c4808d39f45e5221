"""Reports and receipts for tests."""

from __future__ import annotations

from typing import Any

from gateway.store.base import Awaited, NewReceipt, Pending, Report, message_key
from gateway.store.contract import Store
from gateway.store.schema import RECEIPTS
from gateway.store.sql import SqlStore

DELIVERED, ACCEPTED, UNKNOWN = 2, 6, 7


def report(message: str = "m", *parts: str, **other: Any) -> Report:
    """A final report with a receipt for each part, or for the message; due at 12 seconds."""
    kind = other.get("kind", "final")
    state = {"final": DELIVERED, "interim": ACCEPTED, "unknown": UNKNOWN}[kind]
    receipts = [NewReceipt(one, state, b"\x00" + one.encode()) for one in parts or (message,)]
    made = Report("bank", message_key(10.5, message), kind, receipts, 10.5, 11.25, 12.0)
    return made._replace(**other)


def awaited(message: str = "m", next_at: float = 20.0, **other: Any) -> Awaited:
    made = Awaited(message_key(10.5, message), "bank", message, b"\x00r", 10.5, next_at)
    return made._replace(**other)


def claimed(store: Store, now: float = 1e9, limit: int = 100) -> list[Pending]:
    """What is due for "bank", leased now."""
    [found] = store.claim(now, [("bank", limit)])
    return found


def names(pendings: list[Pending]) -> list[str]:
    return [one.message_id for one in pendings]


def live(store: SqlStore) -> list[str]:
    """The message_ids of all live receipts, leased or not, in the order of their ids."""
    with store.transaction() as connection:
        query = RECEIPTS.select().order_by(RECEIPTS.c.id)
        return [row.message_id for row in connection.execute(query)]
