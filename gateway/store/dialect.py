"""Where databases differ: how one is opened, and how many rows come back as one.

The rest of the SQL is the same for all. Another database needs an entry in `_OPENERS` and
a rendering of `Gathered` and `Hex`; and what is SQLite's own in `schema` and `sql` names it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from sqlalchemy import create_engine, event
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    IntegrityError,
    InterfaceError,
    ProgrammingError,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.pool import StaticPool
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import String

from gateway.store.base import StoreUnavailable
from gateway.store.owner import Owner

_BUSY_TIMEOUT: Final = 5.0  # seconds to wait for another process's write, of a backup say

_PREPARED: Final = 256  # statements that SQLite keeps ready: a `Listed` has one for each size

_PRAGMAS: Final = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",  # a commit is on the disk, not only handed to the system
    "PRAGMA foreign_keys = ON",
)

# Faults of one operation; any other is the database's.
_ITS_OWN: Final = (IntegrityError, DataError, InterfaceError, ProgrammingError)


class Hex(FunctionElement[str]):
    """Octets as hexadecimal digits."""

    name = "hex"
    type = String()
    inherit_cache = True


class Gathered(FunctionElement[str]):
    """All rows of a query in one: a JSON array of arrays.

    sqlite3 lets go of the interpreter's lock for every row it fetches, and beside a busy
    reactor each time may take 5 ms to get it back.
    """

    name = "gathered"
    type = String()
    inherit_cache = True


@compiles(Hex, "sqlite")
def _hex_sqlite(element: Hex, compiler: SQLCompiler, **kw: Any) -> str:
    return f"hex({compiler.process(element.clauses, **kw)})"


@compiles(Gathered, "sqlite")
def _gathered_sqlite(element: Gathered, compiler: SQLCompiler, **kw: Any) -> str:
    return f"json_group_array(json_array({compiler.process(element.clauses, **kw)}))"


class Database:
    """One open connection, and the right to it."""

    def __init__(self, url: str, *, visiting: bool = False) -> None:
        """`visiting`: beside the process that has it; it must be there.

        Raises StoreUnavailable.
        """
        with ExitStack() as opened:
            try:
                parsed = make_url(url)
                engine = _OPENERS[parsed.get_backend_name()](parsed, opened, visiting)
                opened.callback(engine.dispose)
                self.connection = opened.enter_context(engine.connect())
            except (ArgumentError, KeyError):
                raise StoreUnavailable(
                    "the store's url is not usable; an example: sqlite:///path/to/file"
                ) from None
            except OSError as problem:
                raise StoreUnavailable(f"{problem.filename}: {problem.strerror}") from None
            except DBAPIError as problem:
                raise unavailable(problem) from None
            self.close = opened.pop_all().close


def data_version(connection: Connection) -> int:
    """A number that changes when another connection writes to the database."""
    return int(connection.exec_driver_sql("PRAGMA data_version").scalar_one())


def unavailable(problem: DBAPIError) -> StoreUnavailable:
    """The error in the database's own words, which quote no parameter."""
    return StoreUnavailable(f"the store: {problem.orig}", whole=not isinstance(problem, _ITS_OWN))


def _sqlite(url: URL, opened: ExitStack, visiting: bool) -> Engine:
    if url.database not in (None, "", ":memory:"):
        file = Path(str(url.database))
        if str(file).startswith("file:"):
            raise StoreUnavailable(f"the store is a file by its path, not {file}")
        if visiting:
            file.stat()
        else:
            opened.callback(Owner(file).close)
            # SQLite would make it readable for everybody, and it holds what people wrote.
            os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    elif visiting:
        raise StoreUnavailable("the store is in the gateway's memory, where nobody else can look")
    engine = create_engine(
        url,
        poolclass=StaticPool,
        hide_parameters=True,  # an error's text must not quote a message
        connect_args={
            "timeout": _BUSY_TIMEOUT,
            "isolation_level": None,
            "cached_statements": _PREPARED,
        },
    )
    event.listen(engine, "connect", _set_pragmas)
    event.listen(engine, "begin", _begin if visiting else _begin_immediate)
    return engine


def _set_pragmas(connection: Any, _record: object) -> None:
    for pragma in _PRAGMAS:
        connection.execute(pragma).close()


def _begin(connection: Connection) -> None:
    # A visitor that reads must hold nobody up.
    connection.exec_driver_sql("BEGIN")


def _begin_immediate(connection: Connection) -> None:
    # sqlite3's own BEGIN comes late and asks for the write lock later still, when it
    # may fail at once instead of waiting.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


_OPENERS: Final[dict[str, Callable[[URL, ExitStack, bool], Engine]]] = {"sqlite": _sqlite}
