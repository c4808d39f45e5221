"""A store of any earlier version becomes one of this version; a later one is refused."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from threading import Barrier, Thread

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from gateway.smpp.codec import decode, encode
from gateway.smpp.constants import MessageState, Tag
from gateway.smpp.pdu import Address, DeliverSm, SubmitSm, Tlv
from gateway.store.base import Counts, StoreUnavailable, message_key
from gateway.store.dialect import Database
from gateway.store.schema import METADATA, VERSION
from gateway.store.sql import SqlStore
from gateway.store.upgrade import (
    MIGRATIONS,
    StoreTooNew,
    check_version,
    found_version,
    migrate,
    upgrade,
)
from tests.store.parts import added
from tests.store.receipts import report


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


def opened(file: Path, act: Callable[..., object]) -> None:
    with closing(Database(f"sqlite:///{file}")) as database, database.connection.begin():
        act(database.connection)


def tables(file: Path) -> dict[str, object]:
    """Every column, key, index and option, whatever the spelling of the SQL."""
    with closing(sqlite3.connect(file)) as connection:
        found: dict[str, object] = {}
        names = connection.execute("SELECT name, wr, strict FROM pragma_table_list").fetchall()
        for table, *options in names:
            if table.startswith("sqlite_"):
                continue
            indexes = connection.execute(f"PRAGMA index_list({table})").fetchall()
            found[table] = (
                options,
                connection.execute(f"PRAGMA table_info({table})").fetchall(),
                connection.execute(f"PRAGMA foreign_key_list({table})").fetchall(),
                sorted(
                    (
                        *index[1:],
                        str(connection.execute(f"PRAGMA index_xinfo({index[1]})").fetchall()),
                    )
                    for index in indexes
                ),
            )
        found["conditions"] = sorted(
            sql.split("WHERE")[1]
            for (sql,) in connection.execute("SELECT sql FROM sqlite_master WHERE type = 'index'")
            if sql and "WHERE" in sql
        )
        return found


def test_the_migrations_end_where_the_tables_are(file: Path, tmp_path: Path) -> None:
    opened(file, migrate)
    fresh = tmp_path / "fresh.db"
    opened(fresh, upgrade)
    assert set(METADATA.tables) < set(tables(fresh))
    assert tables(file) == tables(fresh)


def test_alembic_finds_nothing_to_do(file: Path) -> None:
    def compared(connection: object) -> None:
        migrate(connection)  # type: ignore[arg-type]
        context = MigrationContext.configure(connection)  # type: ignore[arg-type]
        assert compare_metadata(context, METADATA) == []

    opened(file, compared)


def test_the_version_is_that_of_the_last_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    script = ScriptDirectory.from_config(config)
    assert script.get_heads() == [f"{VERSION:04d}"]
    revisions = sorted(one.revision for one in script.walk_revisions())
    assert revisions == [f"{number:04d}" for number in range(1, VERSION + 1)]


@pytest.mark.parametrize("make", [migrate, upgrade])
def test_it_says_its_version(file: Path, make: Callable[..., object]) -> None:
    opened(file, make)
    opened(file, lambda connection: _is(found_version(connection), VERSION))


def _is(found: object, expected: object) -> None:
    assert found == expected


def test_a_migrated_store_works_and_keeps_what_it_holds(file: Path) -> None:
    opened(file, migrate)
    for parts in (0, 1):
        with closing(SqlStore(f"sqlite:///{file}", max_parts=9)) as store:
            assert store.counts().parts == parts
            added(store, 1, b"1")


def _failed_part(message_id: str, pdu: bytes, state: int) -> tuple[object, ...]:
    return "bank", message_id, pdu, state, 1_700_000_000_250_000, 1_700_000_300_000_000


def _records(*records: tuple[object, ...]) -> Callable[[Connection], None]:
    """Brings a database to version 1, with these records of failed parts."""

    def make(connection: Connection) -> None:
        migrate(connection, "0001")
        for record in records:
            connection.exec_driver_sql(
                "INSERT INTO pending_receipts (system_id, message_id, pdu, message_state, "
                "submitted_at, done_at) VALUES (?, ?, ?, ?, ?, ?)",
                record,
            )

    return make


def test_a_record_of_a_failed_part_becomes_its_receipt(file: Path) -> None:
    submit = SubmitSm(
        7,
        source=Address(5, 0, "Bank"),
        destination=Address(1, 1, "37255555555"),
        service_type="WAP",
        registered_delivery=1,
        short_message=b"secret",
        tlvs=(Tlv(Tag.user_message_reference, b"\x12\x34"),),
    )
    opened(
        file,
        _records(
            _failed_part("aa-1", encode(submit), MessageState.EXPIRED),
            _failed_part("broken", b"?", MessageState.EXPIRED),
            _failed_part("aa-2", encode(SubmitSm(8)), MessageState.REJECTED),
        ),
    )
    with closing(SqlStore(f"sqlite:///{file}", max_parts=9)) as store:
        assert store.counts() == Counts(0, 0, receipts=2)
        assert store.claim(1_700_000_299.9, [("bank", 9)]) == [[]]
        [[first, second]] = store.claim(1_700_000_300.0, [("bank", 9)])
    assert (first.message_id, first.kind, first.attempts) == ("aa-1", "final", 0)
    assert first.message_state == MessageState.EXPIRED
    assert first.key == message_key(1_700_000_000.25, "aa-1")
    assert (first.submitted_at, first.received_at) == (1_700_000_000.25, 1_700_000_300.0)
    receipt = decode(first.pdu)
    assert isinstance(receipt, DeliverSm)
    assert (receipt.source, receipt.destination) == (submit.destination, submit.source)
    assert receipt.service_type == "WAP"
    assert receipt.short_message == (
        b"id:aa-1 sub:001 dlvrd:000 submit date:2311142213 done date:2311142218 "
        b"stat:EXPIRED err:255 text:"
    )
    assert receipt.tlvs[0] == Tlv(Tag.user_message_reference, b"\x12\x34")
    assert b"stat:REJECTD" in second.pdu


def test_many_records(file: Path) -> None:
    records = [_failed_part(f"{n}", encode(SubmitSm(1)), 5) for n in range(300)]
    opened(file, _records(*records))
    with closing(SqlStore(f"sqlite:///{file}", max_parts=9)) as store:
        [found] = store.claim(2e9, [("bank", 1_000)])
        [told] = store.report([report()])
    assert [one.message_id for one in found] == [f"{n}" for n in range(300)]
    assert told.ids[0] > max(one.id for one in found)


@pytest.mark.parametrize(
    ("version", "words"),
    [
        ("0001", "start this version of the gateway once"),
        (f"{VERSION + 1:04d}", "use the program of the gateway that wrote it"),
        ("8a1f", "no gateway made it"),
    ],
)
def test_a_visitor_needs_this_very_version(file: Path, version: str, words: str) -> None:
    opened(file, upgrade)
    opened(file, check_version)
    set_version(file, version)
    with pytest.raises(StoreUnavailable, match=words):
        opened(file, check_version)


def test_a_visitor_finds_nothing_in_an_empty_file(file: Path) -> None:
    with pytest.raises(StoreUnavailable, match="no gateway has opened it"):
        opened(file, check_version)


def set_version(file: Path, version: str) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (version,))


def test_an_older_store_goes_through_the_migrations(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(file, upgrade)
    asked: list[object] = []
    monkeypatch.setattr("gateway.store.upgrade.VERSION", VERSION + 1)
    monkeypatch.setattr("gateway.store.upgrade.migrate", asked.append)
    opened(file, upgrade)
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("version", "words"),
    [
        (f"{VERSION + 1:04d}", f"has version {VERSION + 1} and this gateway knows {VERSION}"),
        ("8a1f", "has version '8a1f': no gateway made it"),
    ],
)
def test_a_store_that_is_not_known_is_refused_and_left_alone(
    file: Path, version: str, words: str
) -> None:
    with closing(SqlStore(f"sqlite:///{file}", max_parts=9)) as store:
        added(store, 1, b"1")
    set_version(file, version)
    with pytest.raises(StoreUnavailable, match=words) as caught:
        SqlStore(f"sqlite:///{file}", max_parts=9)
    assert isinstance(caught.value, StoreTooNew) == version.isdecimal()
    set_version(file, f"{VERSION:04d}")
    with closing(SqlStore(f"sqlite:///{file}", max_parts=9)) as store:
        assert store.counts().parts == 1


def test_of_many_that_open_it_at_once_one_gets_it(file: Path) -> None:
    barrier = Barrier(8)
    release = Barrier(9)
    results: list[object] = []

    def run() -> None:
        barrier.wait()
        try:
            store = SqlStore(f"sqlite:///{file}", max_parts=9)
        except StoreUnavailable as problem:
            results.append(problem.detail)
            release.wait()
            return
        results.append(store.counts())
        release.wait()
        store.close()

    threads = [Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    release.wait(20)
    for thread in threads:
        thread.join()
    refused = [one for one in results if isinstance(one, str)]
    assert len(refused) == 7
    assert all("in use" in one for one in refused)


def test_alembic_is_not_loaded_for_a_store_that_is_up_to_date(file: Path) -> None:
    program = (
        "import sys; from gateway.store.sql import SqlStore\n"
        "for _ in range(2): SqlStore(sys.argv[1], max_parts=1).close()\n"
        "assert not [name for name in sys.modules if 'alembic' in name]"
    )
    subprocess.run([sys.executable, "-c", program, f"sqlite:///{file}"], check=True, timeout=60)
