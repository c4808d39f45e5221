"""Delivery receipts: the deliver_sm that tells what became of a message, and who asked for it.

The text is that of SMPP 3.4 appendix B, in the strictest reading that clients are known to have:
one space between the fields, dates of ten digits (aiosmpplib drops the connection on twelve),
an err of three digits, a stat of seven letters and `text:` even when it is empty (php-smpp,
vumi). It is ASCII with data_coding 0 whatever the message was. The TLVs say the same again to
binds of 3.4 and above. No vendor's TLV is among them: smpplib raises on one.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Final, NamedTuple

from gateway.smpp.codec import decode, encode
from gateway.smpp.constants import EsmClass, InterfaceVersion, MessageState, Tag
from gateway.smpp.pdu import Address, DeliverSm, Tlv

TEXT_CHARACTERS: Final = 20  # of the message, which the receipt repeats

_M = MessageState

# The words of appendix B, which is all that jsmpp knows; 5.0's two states have none of their own.
STATS: Final[dict[MessageState, str]] = {
    _M.SCHEDULED: "ENROUTE",
    _M.ENROUTE: "ENROUTE",
    _M.DELIVERED: "DELIVRD",
    _M.EXPIRED: "EXPIRED",
    _M.DELETED: "DELETED",
    _M.UNDELIVERABLE: "UNDELIV",
    _M.ACCEPTED: "ACCEPTD",
    _M.UNKNOWN: "UNKNOWN",
    _M.REJECTED: "REJECTD",
    _M.SKIPPED: "UNKNOWN",
}
# Not delivered, as far as anybody knows.
FAILURES: Final = frozenset(
    {_M.EXPIRED, _M.DELETED, _M.UNDELIVERABLE, _M.UNKNOWN, _M.REJECTED, _M.SKIPPED}
)
# On their way still: told to those alone who asked for it, final or not (jookies/jasmin#885).
_ON_THE_WAY: Final = frozenset({_M.SCHEDULED, _M.ENROUTE, _M.ACCEPTED})

# registered_delivery, SMPP 5.0 section 4.7.21; the bits between ask for what no API reports.
_FINAL_MASK: Final = 0x03
_EVERY_FINAL: Final = 1
_FAILURES_ONLY: Final = 2
_INTERMEDIATE: Final = 0x10

_GSM: Final = 3  # network_error_code: the type of network, SMPP 3.4 section 5.3.2.31
_DATE: Final = "%y%m%d%H%M"


class Receipt(NamedTuple):
    """What became of one message, and what its receipt must repeat of it.

    `message_id` is written as its ESME reads it, ASCII, up to 64 characters; `err` is 0 to 999.
    The two moments are aware, in the zone in which they are to be printed. `source` and
    `destination` are those of the submit_sm. Of `text` the first 20 characters are used.
    """

    message_id: str
    message_state: MessageState
    err: int
    submitted_at: datetime
    done_at: datetime
    source: Address
    destination: Address
    text: str = ""
    service_type: str = ""
    user_message_reference: int | None = None  # 16 bits, if the submit_sm had one
    final: bool = True  # else an intermediate notification


def wants(registered_delivery: int, message_state: MessageState, final: bool) -> bool:
    """Whether who submitted with this `registered_delivery` asked to be told of this state.

    `final`: no other state will follow. SMPP 3.4 leaves 3 in the low bits reserved; it is read
    as 5.0 has it, success only.
    """
    if not final or message_state in _ON_THE_WAY:
        return bool(registered_delivery & _INTERMEDIATE)
    asked = registered_delivery & _FINAL_MASK
    if asked <= _EVERY_FINAL:
        return asked == _EVERY_FINAL
    return (message_state in FAILURES) is (asked == _FAILURES_ONLY)


def text_of(receipt: Receipt) -> str:
    """The text of appendix B, ASCII."""
    stat = STATS[receipt.message_state]
    text = "".join(c if " " <= c <= "~" else "?" for c in receipt.text[:TEXT_CHARACTERS])
    return (
        f"id:{receipt.message_id} sub:001 dlvrd:{stat == 'DELIVRD':03d}"
        f" submit date:{receipt.submitted_at:{_DATE}} done date:{receipt.done_at:{_DATE}}"
        f" stat:{stat} err:{receipt.err:03d} text:{text}"
    )


def deliver_sm(receipt: Receipt, sequence_number: int = 0) -> DeliverSm:
    """The receipt as a PDU: from the message's destination to its source.

    Raises ValueError for a message_id that is not ASCII.
    """
    kind = EsmClass.DELIVERY_RECEIPT if receipt.final else EsmClass.INTERMEDIATE_NOTIFICATION
    return DeliverSm(
        sequence_number,
        service_type=receipt.service_type,
        source=receipt.destination,
        destination=receipt.source,
        esm_class=kind.value,
        short_message=text_of(receipt).encode("ascii"),
        tlvs=_tlvs_of(receipt),
    )


def _tlvs_of(receipt: Receipt) -> tuple[Tlv, ...]:
    state = receipt.message_state
    tlvs = []
    if receipt.user_message_reference is not None:
        reference = receipt.user_message_reference.to_bytes(2, "big")
        tlvs.append(Tlv(Tag.user_message_reference, reference))
    if state in FAILURES:
        code = bytes([_GSM]) + receipt.err.to_bytes(2, "big")
        tlvs.append(Tlv(Tag.network_error_code, code))
    tlvs.append(Tlv(Tag.message_state, bytes([state])))
    # The last one: naz takes what follows its tag for a part of the id. With its NUL: smpplib
    # cuts the last octet whatever it is.
    message_id = receipt.message_id.encode("ascii") + b"\0"
    tlvs.append(Tlv(Tag.receipted_message_id, message_id))
    return tuple(tlvs)


def addressed(octets: bytes, sequence_number: int, version: InterfaceVersion) -> bytes:
    """An encoded deliver_sm with this sequence_number, as a bind of this version may have it.

    3.3 has no TLVs.
    """
    if version < InterfaceVersion.V34:
        pdu = decode(octets)
        assert isinstance(pdu, DeliverSm)  # noqa: S101  nothing else is delivered
        octets = encode(replace(pdu, tlvs=()))
    return octets[:12] + sequence_number.to_bytes(4) + octets[16:]
