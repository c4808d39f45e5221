"""The API's DeliveryResult: what a callback and an answer to GET status say of a message."""

from __future__ import annotations

import json
from datetime import UTC
from typing import Any, Final

from gateway.sandbox.lifecycle import Reached
from gateway.sandbox.state import MessagePart, MessageState

TIMESTAMP: Final = "%Y-%m-%dT%H:%M:%S.%f"  # the documentation's samples bear no zone
# The words are the API's for err; 0 has none.
ERRORS: Final = {
    1: "Delivery failure",
    2: "Expired",
    3: "Invalid number",
    4: "Error crediting account",
    5: "Invalid number format",
    6: "Too many identical messages",
    7: "Sender name not allowed",
    8: "Operator blacklisted",
    9: "Unroutable",
    10: "Seen",
    999: "General temporary error",
}
# Nothing is sent, so no parts are counted.
PRICE: Final = {"part_price": "0.1", "parts_count": 1, "total_price": "0.1"}


def delivery_result(
    state: MessageState, part: MessagePart, reached: Reached | None
) -> dict[str, Any]:
    """Return an entry of `statuses`: nulls for a part that is in process, or not yet tried."""
    when = reached.at if reached else state.received
    return {
        "status": reached.step.status if reached else None,
        "channel": part.channel,
        "message_id": part.message_id,
        "error": ERRORS.get(reached.step.err) if reached else None,
        "err": reached.step.err if reached else None,
        "timestamp": when.astimezone(UTC).strftime(TIMESTAMP),
        "price_info": PRICE if reached else None,
        "sender": part.sender,
    }


def callback_body(state: MessageState, reached: Reached) -> bytes:
    """Return the body of a callback: one flat object, with the message's own two ids."""
    result = delivery_result(state, state.parts[0], reached)
    about = {"to": state.to, "omnimessage_id": state.omnimessage_id}
    return json.dumps({**result, **about}).encode()
