"""Receipts as they lie in the store, for tests of what is shown of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from gateway.smpp.codec import encode
from gateway.smpp.constants import MessageState
from gateway.smpp.pdu import Address
from gateway.smpp.receipt import Receipt, deliver_sm
from gateway.store.visitor import Row

ID = "4f2c0a8e-5d3b-4c1f-9e77-0b6a1d2c3e4f"
SECRET = "my PIN is 4711"


def pdu(message_id: str = ID, state: MessageState = MessageState.UNDELIVERABLE) -> bytes:
    moment = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
    receipt = Receipt(
        message_id, state, 8, moment, moment, Address(5, 0, "Bank"), Address(1, 1, "37255501234"),
        text=SECRET, user_message_reference=515,
    )  # fmt: skip
    return encode(deliver_sm(receipt))


def row(**other: Any) -> Row:
    made = Row(1, "pending", "bank", ID, "final", 5, 0, None, 80.0, 85.0, 90.0, 90.0, "", None,
               pdu())  # fmt: skip
    return made._replace(**other)
