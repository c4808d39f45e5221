"""How a database is opened, and what its faults become."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from traceback import format_exception

import pytest

from gateway.store import dialect
from gateway.store.base import Counts, StoreUnavailable
from gateway.store.dialect import Database
from gateway.store.sql import SqlStore
from tests.store.parts import part, poison


def url(place: Path) -> str:
    return f"sqlite:///{place}/store.db"


@contextmanager
def locked(place: Path) -> Iterator[None]:
    with closing(sqlite3.connect(place / "store.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


@pytest.mark.parametrize(
    ("pragma", "value"),
    [("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1), ("busy_timeout", 5_000)],
)
def test_commits_reach_the_disk(tmp_path: Path, pragma: str, value: object) -> None:
    with closing(SqlStore(url(tmp_path), max_parts=1)) as store, store.transaction() as connection:
        assert connection.exec_driver_sql(f"PRAGMA {pragma}").scalar() == value


def test_only_its_owner_reads_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with closing(SqlStore(url(tmp_path), max_parts=9)) as store:
            store.add([part(1, b"secret")])
            modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    finally:
        os.umask(before)
    assert set(modes) == {"store.db", "store.db-wal", "store.db-shm", "store.db-lock"}
    assert set(modes.values()) == {0o600}


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ("not a url", "not usable"),
        ("mysql://localhost/x", "not usable"),
        ("sqlite:///{place}/nowhere/store.db", r"nowhere/store\.db-lock: No such file"),
        ("sqlite:///{place}", r"Is a directory"),
        ("sqlite:///file:{place}/x.db?uri=true", "by its path"),
    ],
)
def test_what_cannot_be_opened(tmp_path: Path, bad: str, words: str) -> None:
    with pytest.raises(StoreUnavailable, match=words):
        Database(bad.format(place=tmp_path))


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "store.db").write_bytes(b"something else" * 1_000)
    for _ in range(2):  # the lock was given up
        with pytest.raises(StoreUnavailable, match="file is not a database"):
            SqlStore(url(tmp_path), max_parts=1)


def test_a_database_locked_by_another_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dialect, "_BUSY_TIMEOUT", 0.01)
    with closing(SqlStore(url(tmp_path), max_parts=9)) as store:
        with locked(tmp_path):
            with pytest.raises(StoreUnavailable, match="database is locked") as caught:
                store.add([part(1, b"1")])
            assert caught.value.whole
            assert store.counts() == Counts(0, 0)
        store.add([part(1, b"1")])
        assert store.counts() == Counts(1, 1)


def test_an_error_quotes_no_message(tmp_path: Path) -> None:
    with closing(SqlStore(url(tmp_path), max_parts=9)) as store:
        text = b"sec" + b"ret"  # not so in this source, which a traceback quotes
        poison(store, text)
        with pytest.raises(StoreUnavailable) as caught:
            store.add([part(1, text)])
    problem = caught.value
    assert problem.detail == "the store: poisoned"
    assert "secret" not in "".join(format_exception(problem))
    assert "secret" not in str(problem.__context__)


def test_a_wrong_value_is_the_fault_of_its_operation(tmp_path: Path) -> None:
    with closing(SqlStore(url(tmp_path), max_parts=9)) as store:
        with pytest.raises(StoreUnavailable) as caught:
            store.add([part(1, object())])  # type: ignore[arg-type]
        assert not caught.value.whole
