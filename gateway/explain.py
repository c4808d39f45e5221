"""One PDU in words, for support work: the `decode` verb.

It reads with the gateway's own codec, so a PDU it calls malformed is one that the gateway
refuses, and the answer it names is the answer the gateway gives. What the text is and which
parts belong together, `explain_message` and `explain_sets` say. A bind's password is not
shown: explanations end in tickets.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from gateway.explain_message import explain_message
from gateway.explain_sets import Sets
from gateway.explain_words import MEANINGS, Explained
from gateway.message.charset import DEFAULT_POLICY, AlphabetPolicy
from gateway.smpp import pdu as p
from gateway.smpp.codec import MalformedPdu, decode, response_to
from gateway.smpp.constants import (
    RESPONSE_BIT,
    CommandId,
    CommandStatus,
    MessageState,
    Npi,
    Tag,
    Ton,
    name_of,
)
from gateway.smpp.framing import HEADER, BadLength, Framer
from gateway.smpp.layouts import BODY_NAMES

LIMIT: Final = 70_000  # smpp.max_pdu's default

# The parts of an address field, by the name the PDU value gives it.
ADDRESS_NAMES: Final = {
    "source": ("source_addr_ton", "source_addr_npi", "source_addr"),
    "destination": ("dest_addr_ton", "dest_addr_npi", "destination_addr"),
    "esme": ("esme_addr_ton", "esme_addr_npi", "esme_addr"),
}
TEXT_TAGS: Final = frozenset({Tag.additional_status_info_text, Tag.receipted_message_id})


def octets_of(written: str) -> bytes:
    """Octets from hexadecimal with spaces, colons, commas and 0x; ValueError on anything else."""
    digits = re.sub(r"0[xX]|\\x|[\s:,]", "", written)
    if not digits:
        raise ValueError("there is no hexadecimal to decode")
    if alien := re.search(r"[^0-9A-Fa-f]", digits):
        raise ValueError(f"{alien[0]!r} is not a hexadecimal digit")
    if len(digits) % 2:
        raise ValueError(f"{len(digits)} hexadecimal digits are not whole octets")
    return bytes.fromhex(digits)


def explain(octets: bytes, policy: AlphabetPolicy = DEFAULT_POLICY) -> list[Explained]:
    """Every PDU of a stream, its text read by `policy`, and behind them the long messages.

    A PDU that is malformed has a "malformed" entry and an "answer". If there are several
    PDUs, each part of a long message has "part_of", and each long message an entry of its
    own with "set".
    """
    framer = Framer(LIMIT)
    framer.feed(octets)
    sets = Sets(policy)
    found: list[Explained] = []
    try:
        while (frame := framer.next_pdu()) is not None:
            found.append(_pdu(frame, sets))
        found += _rest(octets, framer.pending)
    except BadLength as error:
        found.append(
            _broken(octets[-framer.pending :], error.detail, "at once, and closes the connection")
        )
    return [*found, *sets.explained()] if len(found) > 1 else found


def _rest(octets: bytes, pending: int) -> Iterator[Explained]:
    """What stands behind the last whole PDU, if anything does."""
    if not pending:
        return
    rest = octets[-pending:]
    detail = f"{len(rest)} octets are there"
    if len(rest) >= 4:
        detail = f"command_length announces {int.from_bytes(rest[:4])} octets, {detail}"
    yield _broken(rest, detail, "after smpp.pdu_read_timeout, and closes")


def _header(frame: bytes) -> Explained:
    length, command_id, status, sequence_number = HEADER.unpack_from(frame)
    return {
        "command": name_of(CommandId, command_id),
        "command_length": length,
        "command_id": f"0x{command_id:08X}",
        "command_status": name_of(CommandStatus, status),
        "sequence_number": sequence_number,
    }


def _broken(rest: bytes, detail: str, then: str) -> Explained:
    return {
        **(_header(rest) if len(rest) >= HEADER.size else {}),
        "malformed": {"field": "command_length", "detail": detail},
        "answer": f"generic_nack ESME_RINVCMDLEN {then}",
    }


def _pdu(frame: bytes, sets: Sets) -> Explained:
    explained = _header(frame)
    try:
        pdu = decode(frame)
    except MalformedPdu as error:
        answer = "none: responses are never answered"
        if not error.command_id & RESPONSE_BIT:
            response = response_to(error.command_id, error.sequence_number, error.command_status)
            answer = f"{response.command_id.name} {error.command_status.name}"
        return {
            **explained,
            "malformed": {"field": error.field, "detail": error.detail},
            "answer": f"{answer}; the session lives on",
        }
    fields: dict[str, Any] = {}
    meanings: dict[str, str] = {}
    for name in BODY_NAMES[type(pdu)]:
        for part, value, meaning in _field(name, getattr(pdu, name)):
            fields[part] = value
            if meaning:
                meanings[part] = meaning
    explained |= {"fields": fields, "meanings": meanings}
    tlvs: tuple[p.Tlv, ...] = getattr(pdu, "tlvs", ())
    explained["tlvs"] = [_tlv(tlv) for tlv in tlvs]
    if stray := getattr(pdu, "stray", b""):
        explained["stray"] = stray.hex()
    if isinstance(pdu, p.Message | p.DataSm | p.SubmitMulti):
        explained["message"], content = explain_message(pdu, sets.policy)
        if content is not None:
            sets.add(pdu, content, explained)
    return explained


def _field(name: str, value: Any) -> Iterator[tuple[str, Any, str]]:
    if value is None:
        return
    if isinstance(value, p.Address):
        ton, npi, addr = ADDRESS_NAMES[name]
        yield ton, value.ton, name_of(Ton, value.ton)
        yield npi, value.npi, name_of(Npi, value.npi)
        yield addr, value.addr, ""
    elif name == "password":
        yield name, f"[{len(value)} octets, not shown]", ""
    elif name == "short_message":
        yield "sm_length", len(value), ""
        yield name, value.hex(), ""
    elif isinstance(value, tuple):
        yield name, [_plain(element) for element in value], ""
    else:
        read = MEANINGS.get(name)
        yield name, value, read(value) if read else ""


def _plain(element: Any) -> Any:
    if isinstance(element, p.Unsuccess):
        status = name_of(CommandStatus, element.error_status)
        return {**element.address._asdict(), "error_status": status}
    return element._asdict()


def _tlv(tlv: p.Tlv) -> Explained:
    explained: Explained = {
        "tag": f"0x{tlv.tag:04X}",
        "name": Tag(tlv.tag).name if tlv.tag in set(Tag) else "unknown",
        "length": len(tlv.value),
        "value": tlv.value.hex(),
    }
    if tlv.tag in TEXT_TAGS:
        explained["meaning"] = tlv.value.rstrip(b"\0").decode("latin-1")
    elif tlv.tag == Tag.message_state and len(tlv.value) == 1:
        explained["meaning"] = name_of(MessageState, tlv.value[0])
    elif len(tlv.value) in {1, 2, 4} and tlv.tag != Tag.message_payload:
        explained["meaning"] = str(int.from_bytes(tlv.value))
    return explained
