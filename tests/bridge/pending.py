"""Receipts as the store hands them out, for tests."""

from __future__ import annotations

from typing import Any

from gateway.smpp.codec import encode
from gateway.smpp.constants import MessageState
from gateway.smpp.pdu import Address, DeliverSm
from gateway.store.base import Pending


def pending(number: int, **fields: Any) -> Pending:
    """The receipt `number` of the account "bank", final and due at 0."""
    pdu = DeliverSm(
        0,
        source=Address(1, 1, "37255512345"),
        destination=Address(1, 1, "37255567890"),
        esm_class=4,
        short_message=f"id:{number}".encode(),
    )
    given: dict[str, Any] = {
        "id": number,
        "system_id": "bank",
        "key": number.to_bytes(16),
        "message_id": f"m{number}",
        "kind": "final",
        "message_state": MessageState.DELIVERED,
        "pdu": encode(pdu),
        "attempts": 0,
        "submitted_at": 0.0,
        "received_at": 0.0,
        "due_at": 0.0,
        **fields,
    }
    return Pending(**given)
