"""The user data header in front of the text, 3GPP TS 23.040 section 9.2.3.24.

The first octet counts the header's other octets (UDHL); information elements follow, each an
identifier, a length and its data. esm_class says that a header is there. `split` never
raises: what clients send as a header is sometimes none, and the text has to arrive all the
same. A reading ignores elements whose length or values cannot be right, and of several the
last counts, as section 9.2.3.24 demands.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from gateway.message.data_coding import CODINGS, Alphabet

CONCATENATION_8 = 0x00
SPECIAL_INDICATION = 0x01
PORTS_8 = 0x04
PORTS_16 = 0x05
CONCATENATION_16 = 0x08
SINGLE_SHIFT = 0x24
LOCKING_SHIFT = 0x25

# Section 9.2.3.24. What is missing is reserved.
NAMES: dict[int, str] = {
    CONCATENATION_8: "concatenated short messages, 8-bit reference",
    SPECIAL_INDICATION: "special SMS message indication",
    0x03: "not used, would read as a line feed",
    PORTS_8: "application ports, 8 bit",
    PORTS_16: "application ports, 16 bit",
    0x06: "SMSC control parameters",
    0x07: "UDH source indicator",
    CONCATENATION_16: "concatenated short messages, 16-bit reference",
    0x09: "wireless control message protocol",
    0x0A: "text formatting",
    0x0B: "predefined sound",
    0x0C: "user defined sound",
    0x0D: "predefined animation",
    0x0E: "large animation",
    0x0F: "small animation",
    0x10: "large picture",
    0x11: "small picture",
    0x12: "variable picture",
    0x13: "user prompt indicator",
    0x14: "extended object",
    0x15: "reused extended object",
    0x16: "compression control",
    0x17: "object distribution indicator",
    0x18: "standard WVG object",
    0x19: "character size WVG object",
    0x1A: "extended object data request command",
    0x20: "RFC 822 e-mail header",
    0x21: "hyperlink",
    0x22: "reply address",
    0x23: "enhanced voice mail information",
    SINGLE_SHIFT: "national language single shift",
    LOCKING_SHIFT: "national language locking shift",
    **dict.fromkeys(range(0x70, 0x80), "SIM toolkit security header"),
    **dict.fromkeys(range(0x80, 0xA0), "SME to SME specific use"),
    **dict.fromkeys(range(0xC0, 0xE0), "SC specific use"),
}

# The octets that the elements read here must have.
_LENGTHS: dict[int, int] = {
    CONCATENATION_8: 3,
    SPECIAL_INDICATION: 2,
    PORTS_8: 2,
    PORTS_16: 4,
    CONCATENATION_16: 4,
    SINGLE_SHIFT: 1,
    LOCKING_SHIFT: 1,
}
_LANGUAGES = frozenset({SINGLE_SHIFT, LOCKING_SHIFT})


class Element(NamedTuple):
    """One information element: its identifier and its data."""

    iei: int
    data: bytes


class UserDataHeader(NamedTuple):
    """The header as it stood on the wire, UDHL first, and the elements found in it.

    `malformed` says that UDHL and the elements do not agree. `octets` is empty if not even
    UDHL could be right and everything was taken for text.
    """

    octets: bytes
    elements: tuple[Element, ...]
    malformed: bool = False


class Concatenated(NamedTuple):
    """Which part of a long message this is; `wide` for a reference of 16 bits."""

    reference: int
    wide: bool
    total: int
    number: int


class Ports(NamedTuple):
    """The applications that the message is meant for and comes from."""

    destination: int
    source: int


class MessageWaiting(NamedTuple):
    """A special SMS message indication: keep this SMS or not, what waits and how many."""

    store: bool
    kind: int
    messages: int


def split(octets: bytes, data_coding: int) -> tuple[UserDataHeader, bytes]:
    """The header at the start of `octets`, and the text behind it. Raises nothing.

    A UDHL that reaches past the end leaves no header: `octets` is text from the first octet.
    Elements are read while they fit into UDHL; one that overruns, or an octet left over,
    makes the header malformed, and the text begins where UDHL says.

    Except for UCS-2 that would have an odd octet count then, while it is even from where the
    elements end one octet early: there the UDHL is one too high (fiorix/go-smpp issue 117).
    """
    if not octets or octets[0] >= len(octets):
        return UserDataHeader(b"", (), malformed=True), octets
    end = octets[0] + 1
    elements = []
    position = 1
    while end - position >= 2:
        after = position + 2 + octets[position + 1]
        if after > end:
            break
        elements.append(Element(octets[position], octets[position + 2 : after]))
        position = after
    malformed = position != end
    ucs2 = CODINGS[data_coding].alphabet is Alphabet.UCS2
    if ucs2 and position == end - 1 and (len(octets) - end) % 2:
        end = position
    return UserDataHeader(octets[:end], tuple(elements), malformed), octets[end:]


def concatenation(header: UserDataHeader) -> Concatenated | None:
    """The part that this is, or None. A number outside 1 to total counts as no element."""
    found = None
    for iei, data in _elements(header, CONCATENATION_8, CONCATENATION_16):
        *reference, total, number = data
        if 1 <= number <= total:
            wide = iei == CONCATENATION_16
            found = Concatenated(int.from_bytes(reference), wide, total, number)
    return found


def ports(header: UserDataHeader) -> Ports | None:
    """The ports that the message is meant for and comes from, or None."""
    found = None
    for _, data in _elements(header, PORTS_8, PORTS_16):
        half = len(data) // 2
        found = Ports(int.from_bytes(data[:half]), int.from_bytes(data[half:]))
    return found


def languages(header: UserDataHeader) -> tuple[int, int]:
    """The identifiers for the locking and the single shift table, 0 for the default one."""
    named = {iei: data[0] for iei, data in _elements(header, LOCKING_SHIFT, SINGLE_SHIFT)}
    return named.get(LOCKING_SHIFT, 0), named.get(SINGLE_SHIFT, 0)


def message_waiting(header: UserDataHeader) -> tuple[MessageWaiting, ...]:
    """The waiting messages that are indicated; each kind has an element of its own."""
    return tuple(
        MessageWaiting(bool(data[0] & 0x80), data[0] & 0x7F, data[1])
        for _, data in _elements(header, SPECIAL_INDICATION)
    )


def _elements(header: UserDataHeader, *ieis: int) -> Iterator[Element]:
    """The elements of these identifiers that have their length."""
    return (
        element
        for element in header.elements
        if element.iei in ieis and len(element.data) == _LENGTHS[element.iei]
    )


def without_languages(header: UserDataHeader) -> bytes:
    """A header of the other elements, for a text that is no longer in a national alphabet.

    b"" if there are none. What was malformed in the header does not come back.
    """
    return _header(element for element in header.elements if element.iei not in _LANGUAGES)


def concatenation_header(reference: int, wide: bool, total: int, number: int) -> bytes:
    """A header that says which part this is; total and number are at most 255.

    Of a `reference` beyond its 16 bits (8 unless `wide`) the low ones stay: they hold the
    parts together just as well.
    """
    iei, width = (CONCATENATION_16, 2) if wide else (CONCATENATION_8, 1)
    data = (reference & (1 << 8 * width) - 1).to_bytes(width) + bytes((total, number))
    return _header([Element(iei, data)])


def _header(elements: Iterable[Element]) -> bytes:
    body = b"".join(bytes((iei, len(data))) + data for iei, data in elements)
    return bytes((len(body),)) + body if body else b""
