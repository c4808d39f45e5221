"""Stored receipts for a person's eyes: as fields for JSON, as a table, one at a time.

Numbers are masked as in the log, and what the message said is never shown.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, Final

from gateway.cli_duration import duration
from gateway.log_redaction import mask
from gateway.receipt_advice import advice, status_of
from gateway.smpp.codec import MalformedPdu, decode
from gateway.smpp.constants import MessageState, Tag, name_of
from gateway.smpp.pdu import DeliverSm, Tlv
from gateway.smpp.receipt import STATS
from gateway.store.visitor import Row

Fields = dict[str, Any]  # what JSON is made of, in the order in which it is shown

_TEXT: Final = b" text:"  # what follows is the message's own
_NAME_WIDTH: Final = 14

# What the TLVs of a receipt say; of any other only the length is shown.
_TLVS: Final[dict[int, Callable[[bytes], str]]] = {
    Tag.user_message_reference: lambda value: str(int.from_bytes(value)),
    Tag.network_error_code: lambda value: (
        f"network type {value[0]}, error {int.from_bytes(value[1:])}" if value else ""
    ),
    Tag.message_state: lambda value: name_of(MessageState, int.from_bytes(value)),
    Tag.receipted_message_id: lambda value: value.rstrip(b"\0").decode("latin-1"),
}

# Columns of the table, and the fields that they show.
_COLUMNS: Final = {
    "state": "state",
    "account": "account",
    "message_id": "message_id",
    "stat": "stat",
    "age": "age",
    "tries": "attempts",
    "last status": "last_status",
    "next try": "next_try",
    "reason": "reason",
}


def since(row: Row) -> float:
    """The moment that its age counts from."""
    return row.due_at if row.died_at is None else row.died_at


def in_utc(moment: float | None) -> str | None:
    """ISO 8601 in whole seconds."""
    if moment is None:
        return None
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def listed(row: Row, now: float) -> Fields:
    """A receipt as an object of the list."""
    return {
        "state": row.state,
        "account": row.system_id,
        "message_id": row.message_id,
        "stat": _stat(row),
        "kind": row.kind,
        "age_seconds": round(max(0.0, now - since(row)), 1),
        "attempts": row.attempts,
        "last_status": status_of(row),
        "next_try": in_utc(row.not_before) if row.state == "pending" else None,
        "reason": row.reason or None,
    }


def table(rows: Iterable[Row], now: float) -> Iterator[str]:
    """The list as lines of equal columns, the first one with their names."""
    cells = [list(_COLUMNS)]
    for row in rows:
        fields = listed(row, now)
        fields |= {"age": duration(fields["age_seconds"]), "next_try": _next(row, now)}
        cells.append([_cell(fields[field]) for field in _COLUMNS.values()])
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        yield "  ".join(padded).rstrip()


def whole(row: Row, now: float, accounts: Collection[str], *, full_numbers: bool) -> Fields:
    """All that is known of a receipt; `accounts` are the system_ids of the configuration."""
    return {
        **listed(row, now),
        "message_state": name_of(MessageState, row.message_state),
        "submitted_at": in_utc(row.submitted_at),
        "received_at": in_utc(row.received_at),
        "due_at": in_utc(row.due_at),
        "died_at": in_utc(row.died_at),
        **_read(row.pdu, full_numbers),
        "advice": advice(row, now, accounts),
    }


def block(fields: Fields) -> Iterator[str]:
    """What `whole` returned as lines for a terminal."""
    for name, value in fields.items():
        if name == "age_seconds":
            name, value = "age", duration(value)
        if isinstance(value, dict):
            for tlv, meaning in value.items():
                yield f"{'TLV':<{_NAME_WIDTH}} {tlv} {_cell(meaning)}"
        elif value is not None:
            yield f"{name:<{_NAME_WIDTH}} {_cell(value)}"


def _stat(row: Row) -> str:
    try:
        return STATS[MessageState(row.message_state)]
    except ValueError:
        return name_of(MessageState, row.message_state)


def _next(row: Row, now: float) -> str | None:
    if row.state == "leased":
        return "sending"
    if row.not_before is None:
        return None
    return f"in {duration(row.not_before - now)}" if row.not_before > now else "due"


def _read(octets: bytes, full_numbers: bool) -> Fields:
    """What the deliver_sm says."""
    try:
        pdu = decode(octets)
    except (MalformedPdu, struct.error):
        pdu = None
    if not isinstance(pdu, DeliverSm):
        return {"receipt": None, "tlvs": {}}
    shown: Callable[[str], Any] = str if full_numbers else mask
    text, marker, _ = pdu.short_message.partition(_TEXT)
    return {
        "source": shown(pdu.source.addr),
        "destination": shown(pdu.destination.addr),
        "service_type": pdu.service_type or None,
        # Without the marker nobody knows whose text it is.
        "receipt": text.decode("latin-1") if marker else None,
        "tlvs": dict(map(_tlv, pdu.tlvs)),
    }


def _tlv(tlv: Tlv) -> tuple[str, str]:
    read = _TLVS.get(tlv.tag)
    return name_of(Tag, tlv.tag), read(tlv.value) if read else f"{len(tlv.value)} octets"


def _cell(value: object) -> str:
    """For a terminal, which no octet of it may steer; "-" where there is nothing."""
    text = "" if value is None else str(value)
    shown = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return "".join(shown) or "-"
