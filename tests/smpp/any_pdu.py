"""Hypothesis strategies: any PDU that the wire can carry, and any damage done to one."""

from __future__ import annotations

import dataclasses
import struct
from typing import Any, Final

from hypothesis import strategies as st

from gateway.smpp import pdu as p
from tests.smpp.known_pdus import KNOWN

ANY_32_BITS: Final = st.one_of(
    st.sampled_from([0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]), st.integers(0, 0xFFFFFFFF)
)
_OCTET: Final = st.integers(0, 255)


def cstring(most: int) -> st.SearchStrategy[str]:
    """Text of at most `most` octets: any Latin-1 character but NUL."""
    return st.text(st.characters(min_codepoint=1, max_codepoint=255), max_size=most)


def address(most: int = 20) -> st.SearchStrategy[p.Address]:
    return st.builds(p.Address, _OCTET, _OCTET, cstring(most))


tlvs: Final = st.lists(
    st.builds(p.Tlv, st.integers(0, 0xFFFF), st.binary(max_size=12)), max_size=4
).map(tuple)

# By field name, the maxima of SMPP 3.4 without the NUL (system_id and password: 64 accepted).
_FIELDS: Final[dict[str, st.SearchStrategy[Any]]] = {
    "system_id": cstring(64),
    "password": cstring(64),
    "system_type": cstring(12),
    "address_range": cstring(40),
    "service_type": cstring(5),
    "message_id": cstring(64),
    "schedule_delivery_time": cstring(16),
    "validity_period": cstring(16),
    "final_date": cstring(16),
    "source": address(),
    "destination": address(),
    "esme": address(64),
    "destinations": st.lists(
        st.one_of(address(), st.builds(p.DistributionList, cstring(20))), min_size=1, max_size=5
    ).map(tuple),
    "unsuccess": st.lists(st.builds(p.Unsuccess, address(), ANY_32_BITS), max_size=5).map(tuple),
    "short_message": st.binary(max_size=255),
    "tlvs": tlvs,
}
_LONG_ADDRESSES: Final = {p.DataSm, p.AlertNotification}
CLASSES: Final = sorted({type(value) for value, _ in KNOWN}, key=lambda cls: cls.__name__)


@st.composite
def pdus(draw: st.DrawFn, classes: list[type[p.Pdu]] = CLASSES) -> p.Pdu:
    """A PDU of any class with any content; half of the responses have no body."""
    cls = draw(st.sampled_from(classes))
    names = [field.name for field in dataclasses.fields(cls)]
    values: dict[str, Any] = {"sequence_number": draw(ANY_32_BITS)}
    if draw(st.booleans()):
        values["command_status"] = draw(ANY_32_BITS)
    has_body = cls.command_id < 0x80000000 or draw(st.booleans())
    if has_body:
        for name in set(names) - {"sequence_number", "command_status", "stray"}:
            values[name] = draw(_FIELDS.get(name, _OCTET))
        if cls in _LONG_ADDRESSES:
            values["source"] = draw(address(64))
    if "tlvs" not in names:
        values["stray"] = draw(st.binary(max_size=20))
    elif has_body:
        values["stray"] = draw(st.binary(max_size=3))
    return cls(**values)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A known PDU cut, grown and flipped, whose command_length is right for what is left."""
    _, octets = draw(st.sampled_from(KNOWN))
    broken = bytearray(octets[: draw(st.integers(16, len(octets)))])
    if draw(st.booleans()):
        broken += draw(st.binary(max_size=30))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(4, len(broken) - 1))
        broken[at] ^= 1 << draw(st.integers(0, 7))
    broken[:4] = struct.pack(">I", len(broken))
    return bytes(broken)
