"""Brings a database to this version's schema.

An empty one gets today's tables at once; an older one goes through `migrations`, with
alembic; one that is up to date needs neither, and does not pay for importing alembic.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sqlalchemy import Column, Connection, MetaData, String, Table, inspect, select

from gateway.store.base import StoreUnavailable
from gateway.store.schema import METADATA, VERSION

MIGRATIONS: Final = Path(__file__).parent / "migrations"

# alembic's own table; the versions are named "0001", "0002" and so on
_VERSIONS: Final = Table(
    "alembic_version", MetaData(), Column("version_num", String(32), primary_key=True)
)


class StoreTooNew(StoreUnavailable):
    """A later version of the gateway wrote this store."""


def upgrade(connection: Connection) -> None:
    """Bring the schema up to date, in the transaction that `connection` is in.

    Raises `StoreTooNew`.
    """
    found = found_version(connection)
    if found == VERSION:
        return
    if found > VERSION:
        raise StoreTooNew(
            f"the store has version {found} and this gateway knows {VERSION}: "
            "use a later gateway, or a backup from before it was updated"
        )
    if found == 0:
        METADATA.create_all(connection)
        _VERSIONS.create(connection)
        connection.execute(_VERSIONS.insert().values(version_num=f"{VERSION:04d}"))
        return
    migrate(connection)


def check_version(connection: Connection) -> None:
    """Raise StoreUnavailable unless the store has this version already."""
    found = found_version(connection)
    if found == 0:
        raise StoreUnavailable("the store is empty: no gateway has opened it yet")
    if found < VERSION:
        raise StoreUnavailable(
            f"the store has version {found} and this program knows {VERSION}: start this "
            "version of the gateway once, which brings it up to date"
        )
    if found > VERSION:
        raise StoreTooNew(
            f"the store has version {found} and this program knows {VERSION}: use the program "
            "of the gateway that wrote it"
        )


def found_version(connection: Connection) -> int:
    """The number of the schema's version; 0 for an empty database."""
    if not inspect(connection).has_table(_VERSIONS.name):
        return 0
    found = connection.execute(select(_VERSIONS.c.version_num)).scalar()
    if found is None:
        return 0
    if not found.isdecimal():
        raise StoreUnavailable(f"the store has version {found!r}: no gateway made it")
    return int(found)


def migrate(connection: Connection, to: str = "head") -> None:
    """Run the migrations up to a version, in the transaction that `connection` is in."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, to)
