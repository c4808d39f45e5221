"""The tables.

A change here needs a new version beside it in `migrations/versions`, and `VERSION` raised.

Times are wall clock in whole microseconds: other than a float, an integer comes through
JSON unchanged.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    String,
    Table,
    literal_column,
)

VERSION: Final = 1

# States of a set. Literals and not parameters: a partial index serves only a query that
# names its condition. (The same condition for PostgreSQL would load its dialect, 3 MB.)
ATTACHED: Final = 0
SENDING: Final = 1
DETACHED: Final = 2

METADATA: Final = MetaData()

_ID: Final = BigInteger().with_variant(Integer, "sqlite")  # SQLite's own rowid

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

PENDING_RECEIPTS: Final = Table(
    "pending_receipts",
    METADATA,
    Column("id", _ID, primary_key=True),
    Column("system_id", String, nullable=False),
    Column("message_id", String, nullable=False),
    Column("pdu", LargeBinary, nullable=False),
    Column("message_state", SmallInteger, nullable=False),
    Column("submitted_at", BigInteger, nullable=False),
    Column("done_at", BigInteger, nullable=False),
)
Index("pending_receipts_done_at", PENDING_RECEIPTS.c.done_at)

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
