"""One statement for a list of any length.

sqlite3 lets go of the interpreter's lock for every statement it runs, executemany included,
and beside a busy reactor each time may take 5 ms to get it back. So a batch is written by
statements over a list, `WITH listed(...) AS (VALUES (?, ?), ...)`.

Such a statement is compiled once, for one row, and its text is stretched to powers of two,
so that the database too keeps it prepared. A shorter list is filled up with NULL, which
matches nothing and is not inserted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any, Final, NamedTuple, TypeVar

import orjson
from sqlalchemy import CTE, Column, Insert, Select, bindparam, column, select, values
from sqlalchemy.engine import Connection, CursorResult, Dialect
from sqlalchemy.sql.elements import ClauseElement

MOST: Final = 1024  # rows at once; SQLite takes 32,766 values

_ROW: Final = re.compile(r"\(VALUES (\(.*?\))\)")

Row = Sequence[object]
_Insert = TypeVar("_Insert", bound=Insert)


class _OneRow(NamedTuple):
    """A compiled statement over one row."""

    before: str
    row: str
    after: str
    names_before: list[str]  # of other parameters
    names_after: list[str]


class Listed:
    """A statement over a list of rows, whose columns are like those given."""

    def __init__(
        self, columns: Sequence[Column[Any]], build: Callable[[CTE], ClauseElement]
    ) -> None:
        """`build` makes the statement from the list, which has the columns' names."""
        self._columns = columns
        self._build = build
        self._compiled: dict[str, _OneRow] = {}
        self._texts: dict[tuple[str, int], str] = {}

    def run(self, connection: Connection, rows: Sequence[Row], **others: object) -> None:
        """Execute for all rows; `others` are the statement's own parameters."""
        for _ in self._results(connection, rows, others):
            pass

    def read(self, connection: Connection, rows: Sequence[Row], **others: object) -> list[Any]:
        """Execute a query for one `Gathered` value and return its rows."""
        found: list[Any] = []
        for result in self._results(connection, rows, others):
            found += orjson.loads(result.scalar_one())
        return found

    def text(self, dialect: Dialect, size: int) -> str:
        """The statement for `size` rows."""
        key = dialect.name, size
        if key not in self._texts:
            one = self._one_row(dialect)
            self._texts[key] = one.before + ", ".join([one.row] * size) + one.after
        return self._texts[key]

    def _results(
        self, connection: Connection, rows: Sequence[Row], others: dict[str, object]
    ) -> Iterator[CursorResult[Any]]:
        one = self._one_row(connection.dialect)
        before = [others[name] for name in one.names_before]
        after = [others[name] for name in one.names_after]
        for start in range(0, len(rows), MOST):
            part = rows[start : start + MOST]
            size = 1 << (len(part) - 1).bit_length()
            fill = [None] * ((size - len(part)) * len(self._columns))
            values = (*before, *chain.from_iterable(part), *fill, *after)
            yield connection.exec_driver_sql(self.text(connection.dialect, size), values)

    def _one_row(self, dialect: Dialect) -> _OneRow:
        if dialect.name not in self._compiled:
            self._compiled[dialect.name] = self._compile(dialect)
        return self._compiled[dialect.name]

    def _compile(self, dialect: Dialect) -> _OneRow:
        row = tuple(bindparam(f"listed_{c.name}", type_=c.type) for c in self._columns)
        listed = values(*(column(c.name, c.type) for c in self._columns), name="listed")
        statement = self._build(listed.data([row]).cte("listed"))
        compiled = dialect.statement_compiler(dialect, statement)
        names = list(compiled.positiontup or ())  # only positional parameters can be repeated
        begin = names.index(row[0].key)
        text = str(compiled)
        [found] = _ROW.finditer(text)
        return _OneRow(
            text[: found.start(1)],
            found[1],
            text[found.end(1) :],
            names[:begin],
            names[begin + len(row) :],
        )


def rows_of(listed: CTE) -> Select[Any]:
    """The rows of the list without those that fill it up."""
    return select(listed).where(next(iter(listed.c)).is_not(None))


def inserting(insert: _Insert, listed: CTE) -> _Insert:
    """`insert` of the list's rows."""
    return insert.from_select(list(listed.c.keys()), rows_of(listed))
