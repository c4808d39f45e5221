"""The tables.

A change here needs a new version beside it in `migrations/versions`, and `VERSION` raised.

Times are wall clock in whole microseconds: other than a float, an integer comes through
JSON unchanged.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    String,
    Table,
    column,
    literal_column,
)

VERSION: Final = 2

# States of a set. Literals and not parameters: a partial index serves only a query that
# names its condition. (The same condition for PostgreSQL would load its dialect, 3 MB.)
ATTACHED: Final = 0
SENDING: Final = 1
DETACHED: Final = 2

# States of a receipt.
PENDING: Final = 0
LEASED: Final = 1

# Kinds of a receipt, and of what is known of a message.
FINAL: Final = 0
INTERIM: Final = 1
UNKNOWN: Final = 2

KNOWN_FINAL: Final = 0
KNOWN_HELD: Final = 1  # an "unknown" that was not claimed
KNOWN_INTERIM: Final = 2  # and the message_state added to it

METADATA: Final = MetaData()

_ID: Final = BigInteger().with_variant(Integer, "sqlite")  # SQLite's own rowid


def _receipt_columns() -> list[Column[Any]]:
    """What a live receipt and a dead one have in common."""
    return [
        Column("system_id", String, nullable=False),
        Column("message_id", String, nullable=False),
        Column("key", LargeBinary(16), nullable=False),
        Column("kind", SmallInteger, nullable=False),
        Column("message_state", SmallInteger, nullable=False),
        Column("pdu", LargeBinary, nullable=False),
        Column("attempts", Integer, nullable=False),
        Column("last_status", BigInteger, nullable=True),
        Column("submitted_at", BigInteger, nullable=False),
        Column("received_at", BigInteger, nullable=False),
        Column("due_at", BigInteger, nullable=False),
    ]


def _state(state: int) -> ColumnElement[bool]:
    return column("state") == literal_column(str(state))


# `base` is random, and as the key of both tables it would spread a batch over as many pages
# of the file as it has parts. With ids that rise, what is new lies together: with 100,000
# sets waiting, a part costs a third of that. The process knows the id of what it is sending.
PART_SETS: Final = Table(
    "part_sets",
    METADATA,
    Column("id", _ID, primary_key=True, autoincrement=False),
    Column("base", LargeBinary(16), nullable=False),
    Column("key_digest", LargeBinary(16), nullable=False),
    Column("system_id", String, nullable=False),
    Column("total", SmallInteger, nullable=False),
    Column("state", SmallInteger, nullable=False),
    Column("outcome", String, nullable=False),
    Column("deadline", BigInteger, nullable=False),
)
Index(
    "part_sets_attached",
    PART_SETS.c.key_digest,
    unique=True,
    sqlite_where=PART_SETS.c.state == literal_column(str(ATTACHED)),
)
Index("part_sets_deadline", PART_SETS.c.deadline)

# WITHOUT ROWID: the rows lie in the key's own tree, one page to write instead of two.
PARTS: Final = Table(
    "parts",
    METADATA,
    Column("set_id", ForeignKey(PART_SETS.c.id, ondelete="CASCADE"), nullable=False),
    Column("number", SmallInteger, nullable=False),
    Column("pdu", LargeBinary, nullable=False),
    Column("received_at", BigInteger, nullable=False),
    Column("common_id", String, nullable=False),
    PrimaryKeyConstraint("set_id", "number"),
    sqlite_with_rowid=False,
)

# A delivery receipt, once it is stored: PENDING while it waits, LEASED while it is being sent.
# What is leased is in few indexes, since most receipts are leased from birth to their end.
RECEIPTS: Final = Table(
    "receipts",
    METADATA,
    Column("id", _ID, primary_key=True, autoincrement=False),
    *_receipt_columns(),
    Column("state", SmallInteger, nullable=False),
    Column("not_before", BigInteger, nullable=False),
)
Index("receipts_claim", RECEIPTS.c.system_id, RECEIPTS.c.not_before, sqlite_where=_state(PENDING))
Index("receipts_pending", RECEIPTS.c.due_at, sqlite_where=_state(PENDING))
Index("receipts_leased", RECEIPTS.c.due_at, sqlite_where=_state(LEASED))
Index(
    "receipts_not_final",
    RECEIPTS.c.key,
    sqlite_where=RECEIPTS.c.kind != literal_column(str(FINAL)),
)

# A receipt that was given up keeps its id, so that it can come back under it.
DEAD_RECEIPTS: Final = Table(
    "dead_receipts",
    METADATA,
    Column("id", _ID, primary_key=True, autoincrement=False),
    *_receipt_columns(),
    Column("reason", String, nullable=False),
    Column("died_at", BigInteger, nullable=False),
)
Index("dead_receipts_died_at", DEAD_RECEIPTS.c.died_at)

# What was told of a message. `what` is KNOWN_FINAL, KNOWN_HELD, or KNOWN_INTERIM and a state.
KNOWN: Final = Table(
    "known",
    METADATA,
    Column("key", LargeBinary(16), nullable=False),
    Column("what", SmallInteger, nullable=False),
    PrimaryKeyConstraint("key", "what"),
    sqlite_with_rowid=False,
)

AWAITED: Final = Table(
    "awaited",
    METADATA,
    Column("key", LargeBinary(16), nullable=False),
    Column("system_id", String, nullable=False),
    Column("message_id", String, nullable=False),
    Column("route", LargeBinary, nullable=False),
    Column("submitted_at", BigInteger, nullable=False),
    Column("next_at", BigInteger, nullable=False),
    Column("polls", Integer, nullable=False),
    PrimaryKeyConstraint("key"),
    sqlite_with_rowid=False,
)
Index("awaited_next_at", AWAITED.c.next_at)

SHORT_IDS: Final = Table(
    "short_ids",
    METADATA,
    Column("system_id", String, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("message_id", String, nullable=False),
    Column("kept_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("system_id", "number"),
    sqlite_with_rowid=False,
)
Index("short_ids_kept_at", SHORT_IDS.c.kept_at)

MEMORIES: Final = Table(
    "memories",
    METADATA,
    Column("system_id", String, primary_key=True),
    Column("content", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)
