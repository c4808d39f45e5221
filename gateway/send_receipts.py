"""Delivery receipts as any MC may write them. Pure.

A reader of its own, which shares nothing with what writes the gateway's receipts, and which
takes what other gateways send: the text's fields in any order and case or none at all, TLVs
without their NUL, an esm_class that does not say what it is.
"""

from __future__ import annotations

import re
import struct
from typing import Final, NamedTuple

HEADER: Final = 16  # octets before the body of a PDU
# SMPP 3.4 section 5.2.12, bits 5 to 2
MESSAGE_TYPE: Final = 0x3C
RECEIPT: Final = 0x04
INTERMEDIATE: Final = 0x20
UCS2: Final = 8

RECEIPTED_MESSAGE_ID: Final = 0x001E
NETWORK_ERROR_CODE: Final = 0x0423
MESSAGE_PAYLOAD: Final = 0x0424
MESSAGE_STATE: Final = 0x0427

STATS: Final = {
    0: "SCHEDULED",
    1: "ENROUTE",
    2: "DELIVRD",
    3: "EXPIRED",
    4: "DELETED",
    5: "UNDELIV",
    6: "ACCEPTD",
    7: "UNKNOWN",
    8: "REJECTD",
    9: "SKIPPED",
}
# What is told on the way; some MCs tell it in a receipt that is not marked as intermediate.
ON_THE_WAY: Final = frozenset({"SCHEDULED", "ENROUTE", "ACCEPTD"})
DELIVERED: Final = "DELIVRD"

_FIELD: Final = re.compile(r"\b(id|stat|err):\s*(\S+)", re.IGNORECASE)
_TEXT: Final = re.compile(r"\btext:", re.IGNORECASE)  # what follows is the message's own


class Receipt(NamedTuple):
    """What a receipt says; "" where it says nothing.

    `source` is the number that the message went to. `err` is as the receipt writes it.
    """

    message_id: str
    stat: str
    err: str
    source: str
    final: bool


def read_receipt(pdu: bytes) -> Receipt | None:
    """Read a whole deliver_sm. None when it is a message of somebody, or cannot be read."""
    try:
        deliver = _read(pdu)
    except (IndexError, struct.error):
        return None
    text = deliver.text
    written = _TEXT.split(text, maxsplit=1)[0]
    fields = {key.lower(): value for key, value in reversed(_FIELD.findall(written))}
    kind = deliver.esm_class & MESSAGE_TYPE
    named = _c_string(deliver.tlvs.get(RECEIPTED_MESSAGE_ID, b""))
    if kind not in {RECEIPT, INTERMEDIATE} and not named and not {"id", "stat"} <= fields.keys():
        return None
    state = deliver.tlvs.get(MESSAGE_STATE, b"")
    stat = fields.get("stat", "") or STATS.get(int.from_bytes(state) if state else -1, "")
    err = fields.get("err", "")
    network = deliver.tlvs.get(NETWORK_ERROR_CODE, b"")
    if not err and len(network) == 3:
        err = f"{int.from_bytes(network[1:]):03d}"
    final = kind != INTERMEDIATE and stat.upper() not in ON_THE_WAY
    return Receipt(named or fields.get("id", ""), stat, err, deliver.source, final)


class _Deliver(NamedTuple):
    source: str
    esm_class: int
    text: str
    tlvs: dict[int, bytes]


def _read(pdu: bytes) -> _Deliver:
    """Raises IndexError or struct.error where the body ends too early."""
    at = HEADER
    strings = []
    # service_type, source and destination; ton and npi before an address
    for skipped in (0, 2, 2):
        end = pdu.find(b"\0", at + skipped)
        if end < 0:
            raise IndexError
        strings.append(pdu[at + skipped : end].decode("latin-1"))
        at = end + 1
    esm_class = pdu[at]
    at += 3  # protocol_id and priority_flag too
    for _ in range(2):  # schedule_delivery_time, validity_period
        end = pdu.find(b"\0", at)
        if end < 0:
            raise IndexError
        at = end + 1
    # registered_delivery, replace_if_present_flag, data_coding, sm_default_msg_id, sm_length
    _, _, data_coding, _, length = struct.unpack_from(">BBBBB", pdu, at)
    at += 5
    message = pdu[at : at + length]
    at += length
    tlvs: dict[int, bytes] = {}
    while at + 4 <= len(pdu):
        tag, size = struct.unpack_from(">HH", pdu, at)
        tlvs.setdefault(tag, pdu[at + 4 : at + 4 + size])
        at += 4 + size
    message = message or tlvs.get(MESSAGE_PAYLOAD, b"")
    text = message.decode("utf-16-be" if data_coding == UCS2 else "latin-1", "replace")
    return _Deliver(strings[1], esm_class, text, tlvs)


def _c_string(octets: bytes) -> str:
    return octets.partition(b"\0")[0].decode("latin-1").strip()
