"""What is shown of stored receipts."""

from __future__ import annotations

import json

import pytest

from gateway.receipts_shown import block, table, whole
from gateway.smpp.codec import encode
from gateway.smpp.constants import Tag
from gateway.smpp.pdu import DeliverSm, Tlv
from tests.stored_receipts import ID, SECRET, pdu, row


def test_the_table() -> None:
    rows = [
        row(due_at=10.0, not_before=345.0, attempts=2, last_status=0x64),
        row(state="leased", system_id="long-name", message_state=2, kind="final"),
        row(state="dead", not_before=None, attempts=1, reason="expired", died_at=100.0),
        row(not_before=50.0, message_id="esc\x1b[1m", message_state=77),
    ]
    escaped = r"esc\x1b[1m"
    assert list(table(rows, 280.0)) == [
        "state    account    message_id                            stat     age  tries"
        "  last status     next try  reason",
        f"pending  bank       {ID}  UNDELIV  4m   2      ESME_RX_T_APPN  in 65s    -",
        f"leased   long-name  {ID}  DELIVRD  3m   0      -               sending   -",
        f"dead     bank       {ID}  UNDELIV  3m   1      no answer       -         expired",
        f"pending  bank       {escaped:<36}  0x4D     3m   0      -               due       -",
    ]


def test_show_on_a_terminal() -> None:
    lines = list(block(whole(row(attempts=1), 110.0, {"bank"}, full_numbers=False)))
    assert lines == [
        "state          pending",
        "account        bank",
        f"message_id     {ID}",
        "stat           UNDELIV",
        "kind           final",
        "age            20s",
        "attempts       1",
        "last_status    no answer",
        "next_try       1970-01-01T00:01:30Z",
        "message_state  UNDELIVERABLE",
        "submitted_at   1970-01-01T00:01:20Z",
        "received_at    1970-01-01T00:01:25Z",
        "due_at         1970-01-01T00:01:30Z",
        "source         ***234",
        "destination    Bank",
        f"receipt        id:{ID} sub:001 dlvrd:000 submit date:2603011230 done date:2603011230"
        " stat:UNDELIV err:008",
        "TLV            user_message_reference 515",
        "TLV            network_error_code network type 3, error 8",
        "TLV            message_state UNDELIVERABLE",
        f"TLV            receipted_message_id {ID}",
        "advice         the client did not answer within smpp.response_timeout; it is tried again"
        " by itself, so the client may see it twice",
    ]


@pytest.mark.parametrize(
    "octets",
    [
        b"\0m",
        pdu()[:40],
        encode(DeliverSm(0, short_message=SECRET.encode())),
        encode(DeliverSm(0, tlvs=(Tlv(Tag.message_payload, SECRET.encode()),))),
    ],
)
def test_what_is_no_receipt(octets: bytes) -> None:
    """Nobody writes such a row; if one is there, it is shown without what it says."""
    shown = whole(row(pdu=octets), 110.0, {"bank"}, full_numbers=True)
    assert shown["receipt"] is None
    assert shown["tlvs"] in ({}, {"message_payload": f"{len(SECRET)} octets"})
    assert SECRET not in json.dumps(shown)
