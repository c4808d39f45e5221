"""What is said of a message, by GET status and by a callback."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

from gateway.sandbox.delivery_result import callback_body, delivery_result
from gateway.sandbox.lifecycle import DELIVERED, Reached, Step, Timeline
from gateway.sandbox.state import MessagePart, MessageState

NOW = datetime(2026, 1, 1, 14, 0, 0, tzinfo=timezone(timedelta(hours=2)))
PART = MessagePart("part-id", "sms", "Me")
STATE = MessageState("the-id", "+372555", (PART,), NOW, Timeline(DELIVERED, NOW, 1.0))
PRICE = {"part_price": "0.1", "parts_count": 1, "total_price": "0.1"}


def test_in_process() -> None:
    assert delivery_result(STATE, PART, None) == {
        "status": None,
        "channel": "sms",
        "message_id": "part-id",
        "error": None,
        "err": None,
        "timestamp": "2026-01-01T12:00:00.000000",
        "price_info": None,
        "sender": "Me",
    }


def test_a_callback() -> None:
    reached = Reached(Step("UNDELIV", 1), NOW + timedelta(seconds=1.25))
    assert json.loads(callback_body(STATE, reached)) == {
        "status": "UNDELIV",
        "sender": "Me",
        "err": 1,
        "message_id": "part-id",
        "to": "+372555",
        "channel": "sms",
        "error": "Delivery failure",
        "omnimessage_id": "the-id",
        "timestamp": "2026-01-01T12:00:01.250000",
        "price_info": PRICE,
    }


def test_no_error_has_no_words() -> None:
    result = delivery_result(STATE, PART, Reached(Step("DELIVRD"), NOW))
    assert (result["err"], result["error"], result["price_info"]) == (0, None, PRICE)
