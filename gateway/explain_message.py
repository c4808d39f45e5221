"""What a message PDU says: its user data header, its place in a long message, its text.

Read with the gateway's own modules, as an account reads it. What they leave aside, a
malformed header for example, is named here with what they do instead.
"""

from __future__ import annotations

from typing import Final

from gateway.errors import GatewayError
from gateway.explain_elements import explain_element, part_words
from gateway.explain_words import Explained
from gateway.message import segment, udh
from gateway.message.charset import AlphabetPolicy, BinaryContent
from gateway.message.segment import Content, PortAddressed
from gateway.smpp import pdu as p
from gateway.smpp.constants import EsmClass, Tag

MessagePdu = p.Message | p.DataSm | p.SubmitMulti

SAR_TAGS: Final = (Tag.sar_msg_ref_num, Tag.sar_total_segments, Tag.sar_segment_seqnum)


def explain_message(pdu: MessagePdu, policy: AlphabetPolicy) -> tuple[Explained, Content | None]:
    """The explanation, and the content for `segment.text_of` unless the gateway refuses it."""
    explained: Explained = {}
    octets, notes = _octets(pdu)
    udhi = bool(pdu.esm_class & EsmClass.UDHI)
    if udhi and octets:
        header, _ = udh.split(octets, pdu.data_coding)
        explained |= _header(header, octets)
    elif udhi:
        notes.append("esm_class announces a user data header, and there are no octets")
    try:
        content = segment.read(octets, udhi=udhi, data_coding=pdu.data_coding, tlvs=pdu.tlvs)
    except PortAddressed as error:
        return {**explained, **_noted(notes), "refused": _refusal(error)}, None
    if part := content.concatenation:
        meaning = part_words(part.number, part.total, part.reference)
        explained["concatenation"] = {**part._asdict(), "meaning": meaning}
    notes += _sar_notes(pdu.tlvs, content)
    return {**explained, **_noted(notes), **explain_text((content,), policy)}, content


def explain_text(contents: tuple[Content, ...], policy: AlphabetPolicy) -> Explained:
    """The text of the parts of one message, in their order, as `policy` has it read."""
    try:
        decoded = segment.text_of(contents, policy)
    except BinaryContent as error:
        return {"binary": error.detail}
    explained: Explained = {"charset": decoded.charset, "text": decoded.text}
    if decoded.errors:
        explained["undecodable"] = decoded.errors
    if decoded.message_class is not None:
        explained["message_class"] = decoded.message_class
    if decoded.flags:
        explained["flags"] = list(decoded.flags)
    return explained


def _octets(pdu: MessagePdu) -> tuple[bytes, list[str]]:
    """What stands in short_message, else in the last message_payload."""
    short = b"" if isinstance(pdu, p.DataSm) else pdu.short_message
    payloads = [tlv.value for tlv in pdu.tlvs if tlv.tag == Tag.message_payload]
    payload = payloads[-1] if payloads else b""
    if not short or not payload:
        return short or payload, []
    return short, [
        "short_message and message_payload are both filled: short_message is read here, and "
        "an account refuses both unless its text_twice chooses one"
    ]


def _header(header: udh.UserDataHeader, octets: bytes) -> Explained:
    explained: Explained = {
        "udh": header.octets.hex(),
        "udh_elements": [
            explain_element(element, header.elements[place:])
            for place, element in enumerate(header.elements, start=1)
        ],
    }
    if header.malformed:
        explained["udh_malformed"] = _fault(header, octets)
    return explained


def _fault(header: udh.UserDataHeader, octets: bytes) -> str:
    """What is wrong with a malformed header, and where the text begins all the same."""
    announced = octets[0]
    if not header.octets:
        return (
            f"UDHL {announced} reaches past the end of {len(octets)} octets: there is no header, "
            "and all of them are read as text"
        )
    used = 1 + sum(2 + len(element.data) for element in header.elements)
    if len(header.octets) == announced:
        return (
            f"UDHL {announced} is one too high: the text begins where the elements end, "
            f"at octet {used}"
        )
    return (
        f"UDHL announces {announced} octets and the elements make {used - 1}: the other "
        f"{announced + 1 - used} are ignored, the text begins where UDHL says, at octet "
        f"{announced + 1}"
    )


def _sar_notes(tlvs: tuple[p.Tlv, ...], content: Content) -> list[str]:
    """Why sar_* TLVs that are there do not count."""
    found, part = {tlv.tag for tlv in tlvs}, content.concatenation
    if found.isdisjoint(SAR_TAGS) or (part and part.kind == "sar"):
        return []
    if part:
        return ["the user data header wins over the sar_* TLVs"]
    if missing := [tag.name for tag in SAR_TAGS if tag not in found]:
        return [f"the sar_* TLVs are ignored: without {' and '.join(missing)}"]
    return ["the sar_* TLVs are ignored: their values cannot be right"]


def _noted(notes: list[str]) -> Explained:
    return {"notes": notes} if notes else {}


def _refusal(error: GatewayError) -> str:
    return f"{error.command_status.name}: {error.detail}"
