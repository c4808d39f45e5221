"""Databases in memory that one test hands on to the next, as empty as new ones.

Making the tables takes SQLAlchemy some 5 ms, and a new engine compiles every statement anew;
the tests of this room open more than a thousand stores.
"""

from __future__ import annotations

import sqlite3
from functools import cache
from unittest.mock import patch

from sqlalchemy.engine import Connection

from gateway.store import sql
from gateway.store.dialect import Database
from gateway.store.upgrade import upgrade

URL = "sqlite://"

_left: list[Database] = []  # open, and nobody's


def open_store(max_parts: int) -> sql.SqlStore:
    """What `SqlStore("sqlite://", max_parts=max_parts)` is."""
    with patch.object(sql, "Database", _Lent):
        return sql.SqlStore(URL, max_parts=max_parts)


class _Lent:
    """Stands in for a `Database` until it is closed."""

    def __init__(self, _url: str) -> None:
        self._database: Database | None = _left.pop() if _left else Database(URL)
        self.connection = self._database.connection
        _empty().backup(_driver(self.connection))

    def close(self) -> None:
        """A second time does nothing: the database may be somebody else's by then."""
        if self._database is not None:
            _left.append(self._database)
            self._database = None


@cache
def _empty() -> sqlite3.Connection:
    """A database with the tables and nothing in them."""
    database = Database(URL)
    with database.connection.begin():
        upgrade(database.connection)
    copy = sqlite3.connect(":memory:")
    _driver(database.connection).backup(copy)
    database.close()
    return copy


def _driver(connection: Connection) -> sqlite3.Connection:
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    return driver
