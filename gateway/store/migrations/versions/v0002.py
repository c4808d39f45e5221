"""Delivery receipts that are delivered, what was told of a message, and reports to ask for.

Before, a failed part left its submit_sm; that becomes the receipt it was kept for.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

from gateway.errors import GatewayError
from gateway.smpp.codec import decode, encode
from gateway.smpp.constants import MessageState, Tag
from gateway.smpp.pdu import SubmitSm
from gateway.smpp.receipt import Receipt, deliver_sm

revision = "0002"
down_revision = "0001"

_UNKNOWN_ERROR = 255  # the receipt's err when nobody said what was wrong


def upgrade() -> None:
    """Make the tables of receipts, and fill them from those before."""
    op.create_table(
        "receipts",
        *_receipt_columns(),
        sa.Column("state", sa.SmallInteger, nullable=False),
        sa.Column("not_before", sa.BigInteger, nullable=False),
    )
    op.bulk_insert(sa.table("receipts", *map(sa.column, _FILLED)), list(_receipts()))
    for name, columns, condition in (
        ("receipts_claim", ["system_id", "not_before"], "state = 0"),
        ("receipts_pending", ["due_at"], "state = 0"),
        ("receipts_leased", ["due_at"], "state = 1"),
        ("receipts_not_final", ["key"], "kind != 0"),
    ):
        op.create_index(name, "receipts", columns, sqlite_where=sa.text(condition))
    op.create_table(
        "dead_receipts",
        *_receipt_columns(),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("died_at", sa.BigInteger, nullable=False),
    )
    op.create_index("dead_receipts_died_at", "dead_receipts", ["died_at"])
    op.create_table(
        "known",
        sa.Column("key", sa.LargeBinary(16), nullable=False),
        sa.Column("what", sa.SmallInteger, nullable=False),
        sa.PrimaryKeyConstraint("key", "what"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "awaited",
        sa.Column("key", sa.LargeBinary(16), nullable=False),
        sa.Column("system_id", sa.String, nullable=False),
        sa.Column("message_id", sa.String, nullable=False),
        sa.Column("route", sa.LargeBinary, nullable=False),
        sa.Column("submitted_at", sa.BigInteger, nullable=False),
        sa.Column("next_at", sa.BigInteger, nullable=False),
        sa.Column("polls", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("key"),
        sqlite_with_rowid=False,
    )
    op.create_index("awaited_next_at", "awaited", ["next_at"])
    op.drop_table("pending_receipts")


def _receipt_columns() -> list[Any]:
    return [
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), autoincrement=False,
            nullable=False,
        ),
        sa.Column("system_id", sa.String, nullable=False),
        sa.Column("message_id", sa.String, nullable=False),
        sa.Column("key", sa.LargeBinary(16), nullable=False),
        sa.Column("kind", sa.SmallInteger, nullable=False),
        sa.Column("message_state", sa.SmallInteger, nullable=False),
        sa.Column("pdu", sa.LargeBinary, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("last_status", sa.BigInteger, nullable=True),
        sa.Column("submitted_at", sa.BigInteger, nullable=False),
        sa.Column("received_at", sa.BigInteger, nullable=False),
        sa.Column("due_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    ]  # fmt: skip


_FILLED = (
    "id", "system_id", "message_id", "key", "kind", "message_state", "pdu", "attempts",
    "submitted_at", "received_at", "due_at", "state", "not_before",
)  # fmt: skip


def _receipts() -> Iterator[dict[str, object]]:
    """A pending, final receipt for each record of a failed part that can still be read."""
    for row in op.get_bind().execute(sa.text("SELECT * FROM pending_receipts ORDER BY id")):
        pdu = _deliver_sm(row)
        if pdu is None:
            continue
        yield {
            "id": row.id,
            "system_id": row.system_id,
            "message_id": row.message_id,
            "key": _key(row.submitted_at, row.message_id),
            "kind": 0,
            "message_state": row.message_state,
            "pdu": pdu,
            "attempts": 0,
            "submitted_at": row.submitted_at,
            "received_at": row.done_at,
            "due_at": row.done_at,
            "state": 0,
            "not_before": row.done_at,
        }


def _deliver_sm(row: Any) -> bytes | None:
    try:
        submit = decode(row.pdu)
        if not isinstance(submit, SubmitSm):
            return None
        receipt = Receipt(
            message_id=row.message_id,
            message_state=MessageState(row.message_state),
            err=_UNKNOWN_ERROR,
            submitted_at=datetime.fromtimestamp(row.submitted_at / 1e6, UTC),
            done_at=datetime.fromtimestamp(row.done_at / 1e6, UTC),
            source=submit.source,
            destination=submit.destination,
            service_type=submit.service_type,
            user_message_reference=_reference(submit),
        )
        return encode(deliver_sm(receipt))
    except (GatewayError, ValueError, struct.error):
        return None


def _reference(submit: SubmitSm) -> int | None:
    found = [tlv.value for tlv in submit.tlvs if tlv.tag == Tag.user_message_reference]
    return int.from_bytes(found[0], "big") if found and len(found[0]) == 2 else None


def _key(submitted_at: int, message_id: str) -> bytes:
    digest = hashlib.blake2b(message_id.encode(), digest_size=12).digest()
    return (submitted_at // 1_000_000).to_bytes(4, "big") + digest
