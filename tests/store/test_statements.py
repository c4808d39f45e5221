"""What the statements cost: which indexes they use, and how many a batch takes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection, event

from gateway.store import awaited_statements, receipt_statements, statements
from gateway.store.base import Dead, Delivered, Retry
from gateway.store.batch import run_batch
from gateway.store.listed import Listed
from gateway.store.schema import METADATA
from gateway.store.sql import SqlStore
from tests.store.databases import OpenStore
from tests.store.parts import complete, key, part
from tests.store.receipts import awaited, report

STATEMENTS: dict[str, Any] = {
    name: vars(module)[name]
    for module in (statements, receipt_statements, awaited_statements)
    for name in vars(module)
    if name.isupper()
}
LISTED = sorted(name for name, value in STATEMENTS.items() if isinstance(value, Listed))
SINGLE = [
    "OVERDUE", "OVERDUE_RECEIPTS", "RELEASE_ALL", "OLDEST", "AWAITED_DUE",
    "PURGE_IDS", "PURGE_KNOWN", "PURGE_DEAD",
]  # fmt: skip

# Of the whole table only the rows that the index has, which are few.
BY_A_PARTIAL_INDEX = ["SCAN receipts USING INDEX receipts_leased"]


def plan(connection: Connection, text: str, parameters: tuple[object, ...]) -> list[str]:
    rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", parameters)
    return [row.detail for row in rows]


def plan_of(store: SqlStore, name: str) -> list[str]:
    statement: Any = STATEMENTS[name]
    with store.transaction() as connection:
        if isinstance(statement, Listed):
            text = statement.text(connection.dialect, 4)
        else:
            text = str(statement.compile(connection))
        return plan(connection, text, (None,) * text.count("?"))


@pytest.mark.parametrize("name", LISTED + SINGLE)
def test_no_table_is_read_from_end_to_end(store: SqlStore, name: str) -> None:
    for detail in plan_of(store, name):
        if detail in BY_A_PARTIAL_INDEX:
            continue
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
        ("READ_UNKNOWN", "SEARCH part_sets USING INTEGER PRIMARY KEY (rowid=?)"),
        ("READ_UNKNOWN", "SEARCH parts USING PRIMARY KEY (set_id=?)"),
        ("FIND_MESSAGES", "SEARCH known USING PRIMARY KEY (key=?)"),
        ("FIND_MESSAGES", "SEARCH receipts USING INDEX receipts_not_final (key=?)"),
        ("FIND_MESSAGES", "SEARCH awaited USING PRIMARY KEY (key=?)"),
        (
            "FIND_DUE",
            "SEARCH receipts USING INDEX receipts_claim (system_id=? AND not_before<?)",
        ),
        ("READ_RECEIPTS", "SEARCH receipts USING INTEGER PRIMARY KEY (rowid=?)"),
        ("LEASE", "SEARCH receipts USING INTEGER PRIMARY KEY (rowid=?)"),
        ("RETURN", "SEARCH receipts USING INTEGER PRIMARY KEY (rowid=?)"),
        ("RETRY", "SEARCH receipts USING INTEGER PRIMARY KEY (rowid=?)"),
        ("BURY", "SEARCH receipts USING INTEGER PRIMARY KEY (rowid=?)"),
        ("DELETE_RECEIPTS", "SEARCH receipts USING INTEGER PRIMARY KEY (rowid=?)"),
        ("FIND_FINALS", "SEARCH known USING PRIMARY KEY (key=? AND what=?)"),
        ("OVERDUE_RECEIPTS", "SEARCH receipts USING INDEX receipts_pending (due_at<?)"),
        ("OLDEST", "SEARCH receipts USING INDEX receipts_pending (due_at<?)"),
        ("OLDEST", "SEARCH receipts USING INDEX receipts_leased (due_at<?)"),
        ("FIND_AWAITED", "SEARCH awaited USING PRIMARY KEY (key=?)"),
        ("DELETE_AWAITED", "SEARCH awaited USING PRIMARY KEY (key=?)"),
        ("POSTPONE", "SEARCH awaited USING PRIMARY KEY (key=?)"),
        ("AWAITED_DUE", "SEARCH awaited USING INDEX awaited_next_at (next_at<?)"),
        ("PURGE_KNOWN", "SEARCH known USING PRIMARY KEY (key<?)"),
        (
            "PURGE_DEAD",
            "SEARCH dead_receipts USING INDEX dead_receipts_died_at (died_at<?)",
        ),
    ],
)
def test_the_index_is_used(store: SqlStore, name: str, search: str) -> None:
    assert any(detail.startswith(search) for detail in plan_of(store, name)), plan_of(store, name)


@pytest.mark.parametrize("name", ["FIND_DUE", "OVERDUE_RECEIPTS", "OLDEST", "AWAITED_DUE"])
def test_the_index_has_the_order_too(store: SqlStore, name: str) -> None:
    """Sorting would read all that is due, however few are wanted."""
    assert not [detail for detail in plan_of(store, name) if "TEMP B-TREE" in detail]


def test_the_counts_need_no_row(store: SqlStore) -> None:
    with store.transaction() as connection:
        text = str(receipt_statements.COUNT.compile(connection))
        plans = plan(connection, text, (0,) * text.count("?"))
    indexes = ("receipts_pending", "receipts_leased", "dead_receipts_died_at", "awaited_next_at")
    for index in indexes:
        assert any(re.match(rf"SCAN \w+ USING (COVERING )?INDEX {index}", one) for one in plans)


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
        # BEGIN, find, insert receipts, insert known
        (4, lambda: store.report(finals)),
        # BEGIN, find due, read, lease
        (4, lambda: pending.extend(store.claim(99.0, [("bank", size)])[0])),
        # BEGIN, retry
        (2, lambda: store.settle_receipts([Retry(one.id, 1.0, 8) for one in pending])),
        # BEGIN, find overdue, bury, delete
        (4, lambda: store.expire_receipts(99.0, 99.0, size)),
        # BEGIN, find, insert receipts, insert known
        (4, lambda: leased.extend(store.report(born_leased))),
        # BEGIN, bury, delete, delete
        (4, lambda: store.settle_receipts(dead_and_delivered())),
        # BEGIN, find, insert
        (3, lambda: store.await_reports(asked)),
        # BEGIN, find due, postpone
        (3, lambda: store.claim_awaited(99.0, size, 1.0)),
        # BEGIN, postpone
        (2, lambda: store.postpone([(one.key, 9.0) for one in asked])),
        # BEGIN, find, delete
        (3, lambda: store.end_awaited([one.key for one in asked])),
        # BEGIN, data_version, oldest
        (3, lambda: store.look(99.0)),
        # BEGIN, read, insert
        (3, lambda: store.keep_ids([("bank", f"{n + 1:08x}", 1.0) for n in range(size)])),
    ]
    done: list[Any] = []
    pending: list[Any] = []
    leased: list[Any] = []
    finals = [report(f"{n}") for n in range(size)]
    born_leased = [report(f"leased {n}", leased=True) for n in range(size + 1)]
    asked = [awaited(f"{n}") for n in range(size)]

    def dead_and_delivered() -> list[Any]:
        first, *rest = [one.ids[0] for one in leased]
        return [Dead(first, 8, "x", 1.0), *map(Delivered, rest)]

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
