"""What the statements cost: which indexes they use, and how many a batch takes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection, event

from gateway.store import statements
from gateway.store.batch import run_batch
from gateway.store.listed import Listed
from gateway.store.schema import METADATA
from gateway.store.sql import SqlStore
from tests.store.databases import OpenStore
from tests.store.parts import complete, key, part

LISTED = sorted(name for name, value in vars(statements).items() if isinstance(value, Listed))
SINGLE = ["OVERDUE", "PURGE_IDS", "PURGE_RECEIPTS"]


def plan(connection: Connection, text: str, parameters: tuple[object, ...]) -> list[str]:
    rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", parameters)
    return [row.detail for row in rows]


def plan_of(store: SqlStore, name: str) -> list[str]:
    statement: Any = getattr(statements, name)
    with store.transaction() as connection:
        if isinstance(statement, Listed):
            text = statement.text(connection.dialect, 4)
        else:
            text = str(statement.compile(connection))
        return plan(connection, text, (None,) * text.count("?"))


@pytest.mark.parametrize("name", LISTED + SINGLE)
def test_no_table_is_read_from_end_to_end(store: SqlStore, name: str) -> None:
    for detail in plan_of(store, name):
        scanned = re.match(r"SCAN (\w+)(?! USING COVERING INDEX)", detail)
        assert scanned is None or scanned[1] not in METADATA.tables, detail


@pytest.mark.parametrize(
    ("name", "search"),
    [
        ("FIND_ATTACHED", "SEARCH part_sets USING INDEX part_sets_attached (key_digest=?)"),
        ("FIND_ATTACHED", "SEARCH parts USING PRIMARY KEY (set_id=?)"),
        ("READ_PARTS", "SEARCH parts USING PRIMARY KEY (set_id=?)"),
        ("MARK_SENDING", "SEARCH part_sets USING INTEGER PRIMARY KEY (rowid=?)"),
        ("PUT_BACK", "SEARCH part_sets USING INTEGER PRIMARY KEY (rowid=?)"),
        ("DELETE_SETS", "SEARCH part_sets USING INTEGER PRIMARY KEY (rowid=?)"),
        ("OVERDUE", "SEARCH part_sets USING INDEX part_sets_deadline (deadline<?)"),
        ("READ_IDS", "SEARCH short_ids USING PRIMARY KEY (system_id=? AND number=?)"),
        ("PURGE_IDS", "SEARCH short_ids USING COVERING INDEX short_ids_kept_at (kept_at<?)"),
        (
            "PURGE_RECEIPTS",
            "SEARCH pending_receipts USING INDEX pending_receipts_done_at (done_at<?)",
        ),
    ],
)
def test_the_index_is_used(store: SqlStore, name: str, search: str) -> None:
    assert any(detail.startswith(search) for detail in plan_of(store, name)), plan_of(store, name)


@contextmanager
def counting(store: SqlStore) -> Iterator[list[str]]:
    seen: list[str] = []

    def note(_c: object, _cursor: object, text: str, *_: object) -> None:
        seen.append(text)

    with store.transaction() as connection:
        engine = connection.engine
    event.listen(engine, "before_cursor_execute", note)
    yield seen
    event.remove(engine, "before_cursor_execute", note)


@pytest.mark.parametrize("size", [1, 10, 300])
def test_a_batch_takes_the_same_few_statements_whatever_its_size(
    open_store: OpenStore, size: int
) -> None:
    store = open_store(max_parts=10_000)
    keys = [key(reference=reference) for reference in range(size)]
    kinds: list[tuple[int, Callable[[], object]]] = [
        # BEGIN, find, insert sets, write parts
        (4, lambda: store.add([part(1, b"1", of) for of in keys])),
        # BEGIN, find, read parts, mark sending
        (4, lambda: done.extend(store.add([part(2, b"2", of) for of in keys]))),
        # BEGIN, find, put back
        (3, lambda: store.release([(complete(one).base, "refused") for one in done])),
        # BEGIN, find, write parts
        (3, lambda: store.add([part(1, b"1", of) for of in keys])),
        # BEGIN, overdue, read parts, mark sending
        (4, lambda: store.expire(2_000.0, 1_000)),
        # BEGIN, delete
        (2, lambda: store.settle([complete(one).base for one in done])),
        # BEGIN, read, insert
        (3, lambda: store.keep_ids([("bank", f"{n + 1:08x}", 1.0) for n in range(size)])),
    ]
    done: list[Any] = []
    for expected, act in kinds:
        with counting(store) as seen:
            act()
        assert len(seen) == expected, seen


def test_a_mixed_batch_is_one_transaction(open_store: OpenStore) -> None:
    store = open_store(max_parts=10_000)
    parts = [part(number, b"x", key(reference=n)) for n in range(100) for number in (1, 2)]
    with counting(store) as seen:
        results = run_batch(store, parts)
    assert sum(text.startswith("BEGIN") for text in seen) == 1
    assert len(seen) == 4
    assert len({complete(one).base for one in results[1::2]}) == 100
