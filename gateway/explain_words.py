"""What the numbers in a PDU's fields mean, in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from gateway.smpp.constants import EsmClass, MessageState, Npi, Ton, name_of

Explained = dict[str, Any]  # what JSON is made of, in the order in which it is shown

MODES: Final = ("default mode", "datagram", "forward", "store and forward")
TYPES: Final = {
    0x00: "default type",
    0x04: "delivery receipt",
    0x08: "delivery acknowledgement",
    0x10: "manual acknowledgement",
    0x18: "conversation abort",
    0x20: "intermediate notification",
}
RECEIPTS: Final = (
    "no receipt",
    "receipt on success and failure",
    "receipt on failure",
    "receipt on success",
)
# First value of each range of data_coding -> what it means (SMPP 5.0 4.7.7, 3GPP 23.038 4).
CODING_GROUPS: Final = (
    (0xF0, "message class group"),
    (0xE0, "message waiting, store, UCS-2"),
    (0xD0, "message waiting, store, GSM 7-bit"),
    (0xC0, "message waiting, discard, GSM 7-bit"),
    (0x80, "reserved"),
    (0x40, "general group with automatic deletion"),
    (0x20, "general group, compressed"),
    (0x10, "general group with a message class"),
)
SMPP_CODINGS: Final = (
    "the account's default alphabet",
    "IA5/ASCII",
    "8-bit binary",
    "Latin-1",
    "8-bit binary",
    "JIS X 0208",
    "Cyrillic ISO-8859-5",
    "Hebrew ISO-8859-8",
    "UCS-2",
    "pictograms",
    "ISO-2022-JP music codes",
    "reserved",
    "reserved",
    "JIS X 0212",
    "KS C 5601",
    "reserved",
)


def _esm_class(value: int) -> str:
    kind = TYPES.get(value & EsmClass.TYPE_MASK, f"type 0x{value & EsmClass.TYPE_MASK:02X}")
    words = [MODES[value & EsmClass.MODE_MASK], kind]
    if value & EsmClass.UDHI:
        words.append("user data header")
    if value & EsmClass.REPLY_PATH:
        words.append("reply path")
    return ", ".join(words)


def _registered_delivery(value: int) -> str:
    return RECEIPTS[value & 3] + (", intermediate notification" if value & 0x10 else "")


def _data_coding(value: int) -> str:
    if value < len(SMPP_CODINGS):
        return SMPP_CODINGS[value]
    return next(words for first, words in CODING_GROUPS if value >= first)


# Field -> its value in words; fields that speak for themselves have no entry.
MEANINGS: Final[dict[str, Callable[[int], str]]] = {
    "esm_class": _esm_class,
    "registered_delivery": _registered_delivery,
    "data_coding": _data_coding,
    "interface_version": lambda value: f"SMPP {value >> 4}.{value & 15}",
    "message_state": lambda value: name_of(MessageState, value),
    "addr_ton": lambda value: name_of(Ton, value),
    "addr_npi": lambda value: name_of(Npi, value),
}
