"""A store in each kind of database, and opening it again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy.engine import Engine

from gateway.store import dialect
from gateway.store.sql import SqlStore
from tests.store.databases import DATABASES, LASTING, OpenStore


@pytest.fixture(scope="package", autouse=True)
def statements_compiled_once() -> Iterator[None]:
    """SQLAlchemy compiles a statement once for each engine, which the gateway has one of. These
    tests open thousands, so theirs share what is compiled; that is half of the time they take.
    """
    create_engine = sqlalchemy.create_engine
    first = create_engine("sqlite://")
    first.connect().close()  # its dialect has seen a database

    def sharing(*arguments: Any, **keywords: Any) -> Engine:
        engine = create_engine(*arguments, **keywords)
        engine.dialect, engine._compiled_cache = first.dialect, first._compiled_cache
        return engine

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dialect, "create_engine", sharing)
        yield
    first.dispose()


@pytest.fixture(params=DATABASES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlStore]:
    """An empty store with room for ten parts."""
    opened = SqlStore(DATABASES[request.param](tmp_path), max_parts=10)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def no_waiting_for_the_disk() -> Iterator[None]:
    """For tests that commit a thousand times."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dialect, "_PRAGMAS", (*dialect._PRAGMAS, "PRAGMA synchronous = OFF"))
        yield


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of an empty store. A copy of it is opened quicker than tables are made."""
    file = tmp_path_factory.mktemp("empty") / "store.db"
    SqlStore(f"sqlite:///{file}", max_parts=1).close()
    return file


@pytest.fixture(params=LASTING)
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpenStore]:
    """Opens the test's store; close one before the next is opened."""
    with ExitStack() as closing:

        def opened(max_parts: int = 10) -> SqlStore:
            one = SqlStore(DATABASES[request.param](tmp_path), max_parts=max_parts)
            closing.callback(one.close)
            return one

        yield opened
