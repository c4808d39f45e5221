"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make every table."""
    big = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "part_sets",
        sa.Column("id", big, autoincrement=False, nullable=False),
        sa.Column("base", sa.LargeBinary(16), nullable=False),
        sa.Column("key_digest", sa.LargeBinary(16), nullable=False),
        sa.Column("system_id", sa.String, nullable=False),
        sa.Column("total", sa.SmallInteger, nullable=False),
        sa.Column("state", sa.SmallInteger, nullable=False),
        sa.Column("outcome", sa.String, nullable=False),
        sa.Column("deadline", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "part_sets_attached",
        "part_sets",
        ["key_digest"],
        unique=True,
        sqlite_where=sa.text("state = 0"),
    )
    op.create_index("part_sets_deadline", "part_sets", ["deadline"])
    op.create_table(
        "parts",
        sa.Column("set_id", big, nullable=False),
        sa.Column("number", sa.SmallInteger, nullable=False),
        sa.Column("pdu", sa.LargeBinary, nullable=False),
        sa.Column("received_at", sa.BigInteger, nullable=False),
        sa.Column("common_id", sa.String, nullable=False),
        sa.PrimaryKeyConstraint("set_id", "number"),
        sa.ForeignKeyConstraint(["set_id"], ["part_sets.id"], ondelete="CASCADE"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "pending_receipts",
        sa.Column("id", big, nullable=False),
        sa.Column("system_id", sa.String, nullable=False),
        sa.Column("message_id", sa.String, nullable=False),
        sa.Column("pdu", sa.LargeBinary, nullable=False),
        sa.Column("message_state", sa.SmallInteger, nullable=False),
        sa.Column("submitted_at", sa.BigInteger, nullable=False),
        sa.Column("done_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("pending_receipts_done_at", "pending_receipts", ["done_at"])
    op.create_table(
        "short_ids",
        sa.Column("system_id", sa.String, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("message_id", sa.String, nullable=False),
        sa.Column("kept_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("system_id", "number"),
        sqlite_with_rowid=False,
    )
    op.create_index("short_ids_kept_at", "short_ids", ["kept_at"])
    op.create_table(
        "memories",
        sa.Column("system_id", sa.String, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("system_id"),
        sqlite_with_rowid=False,
    )
