"""From what one PDU carries to a part of a message, and from parts to its text.

The octets of the parts are joined before they are decoded, because senders cut between an
escape and its character, between the halves of a surrogate pair and within a UCS-2 unit.
Parts of different data_coding or language are decoded each on its own.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from gateway.errors import GatewayError
from gateway.message import charset, packed, udh
from gateway.message.charset import AlphabetPolicy, Decoded
from gateway.message.data_coding import CODINGS, Alphabet
from gateway.message.udh import UserDataHeader
from gateway.smpp.constants import CommandStatus, Tag
from gateway.smpp.pdu import Tlv
from gateway.values import value_class

# The octets of a whole SMS, header included (3GPP TS 23.040 section 9.2.2.2).
SMS_OCTETS = 140

_HIGHEST_PORT = 0xFFFF
# sar_* values are read whatever their length, but these numbers they must not exceed: no
# more parts than SMPP allows, and no reference that would not fit where parts are kept.
_MOST_PARTS = 255
_HIGHEST_REFERENCE = 0xFFFFFFFF

_BYTE_ORDER_MARKS = (codecs.BOM_UTF16_BE, codecs.BOM_UTF16_LE)
_SAR_TAGS = (Tag.sar_msg_ref_num, Tag.sar_total_segments, Tag.sar_segment_seqnum)
_PORT_TAGS = (Tag.source_port, Tag.destination_port)
_USED_TAGS = frozenset((*_SAR_TAGS, *_PORT_TAGS))


class PortAddressed(GatewayError):
    """The message is meant for an application and not for a reader."""

    command_status = CommandStatus.ESME_RINVESMCLASS


class Concatenation(NamedTuple):
    """Which part of which long message; `kind` is "udh8", "udh16" or "sar".

    References of different kinds are never the same message.
    """

    kind: str
    reference: int
    total: int
    number: int


@value_class
class Content:
    """What one PDU says: the octets of its text, and how to read them.

    `flags` may hold "udh_malformed", "mwi_store" and "mwi_discard".
    """

    octets: bytes
    data_coding: int
    header: UserDataHeader | None = None
    concatenation: Concatenation | None = None
    locking: int = 0
    single: int = 0
    flags: tuple[str, ...] = ()


def read(octets: bytes, *, udhi: bool, data_coding: int, tlvs: tuple[Tlv, ...]) -> Content:
    """Take apart what stood in short_message or message_payload.

    A header is looked for if `udhi` says so. Its concatenation wins over the sar_*
    parameters, of which all three must be there. Raises PortAddressed for a port in the header
    or in the parameters.
    """
    if not tlvs and not udhi:
        return Content(octets, data_coding)
    numbers = {tag: int.from_bytes(value) for tag, value in tlvs if tag in _USED_TAGS}
    if found := {tag.name: numbers[tag] for tag in _PORT_TAGS if tag in numbers}:
        raise _port_addressed(found, CommandStatus.ESME_ROPTPARNOTALLWD)
    if not udhi or not octets:
        return Content(octets, data_coding, concatenation=_sar(numbers))
    header, text = udh.split(octets, data_coding)
    if (ports := udh.ports(header)) is not None:
        found = {"source port": ports.source, "destination port": ports.destination}
        raise _port_addressed(found, CommandStatus.ESME_RINVESMCLASS)
    concatenation = _udh(header) or _sar(numbers)
    locking, single = udh.languages(header)
    return Content(text, data_coding, header, concatenation, locking, single, _flags(header))


def _port_addressed(ports: dict[str, int], command_status: CommandStatus) -> PortAddressed:
    named = " and ".join(
        f"{name} {port if port <= _HIGHEST_PORT else 'out of range'}"
        for name, port in ports.items()
    )
    return PortAddressed(
        f"{named}: a port addresses an application, and only text for people is relayed; "
        "send the text without ports",
        command_status=command_status,
    )


def _sar(numbers: dict[int, int]) -> Concatenation | None:
    reference, total, number = (numbers.get(tag, -1) for tag in _SAR_TAGS)
    if 0 <= reference <= _HIGHEST_REFERENCE and 1 <= number <= total <= _MOST_PARTS:
        return Concatenation("sar", reference, total, number)
    return None


def _udh(header: UserDataHeader) -> Concatenation | None:
    if (part := udh.concatenation(header)) is None:
        return None
    kind = "udh16" if part.wide else "udh8"
    return Concatenation(kind, part.reference, part.total, part.number)


def _flags(header: UserDataHeader) -> tuple[str, ...]:
    """A message to be stored for one reason is stored (3GPP TS 23.040 section 9.2.3.24.2)."""
    flags: tuple[str, ...] = ("udh_malformed",) if header.malformed else ()
    if waiting := udh.message_waiting(header):
        stored = any(indication.store for indication in waiting)
        flags += ("mwi_store" if stored else "mwi_discard",)
    return flags


def missing(there: Iterable[int], total: int) -> str:
    """Which numbers of a set are not there, in few words: "2,5-9"; "" for none."""
    gaps = []
    expected = 1
    for number in [*sorted(there), total + 1]:
        if number > expected:
            last = number - 1
            gaps.append(str(expected) if last == expected else f"{expected}-{last}")
        expected = number + 1
    return ",".join(gaps)


def text_of(contents: Sequence[Content], policy: AlphabetPolicy) -> Decoded:
    """The text of the parts of one message, at least one, in the order of their numbers.

    charset and message_class are the first part's, errors are summed, flags are those of all
    parts. Raises what `charset.decode` raises.
    """
    if len(contents) == 1 and not policy.packed and not contents[0].flags:
        one = contents[0]  # nearly always
        return charset.decode(one.octets, one.data_coding, policy, one.locking, one.single)
    found = [
        charset.decode(octets, data_coding, policy, locking, single)
        for (data_coding, locking, single), run in groupby(contents, key=_coding)
        for octets in _joined(list(run), policy)
    ]
    first = found[0]
    flags = [flag for decoded in found for flag in decoded.flags]
    flags += [flag for content in contents for flag in content.flags]
    return Decoded(
        "".join(decoded.text for decoded in found),
        first.charset,
        sum(decoded.errors for decoded in found),
        first.message_class,
        tuple(dict.fromkeys(flags)),
    )


def _coding(content: Content) -> tuple[int, int, int]:
    return content.data_coding, content.locking, content.single


def _joined(run: list[Content], policy: AlphabetPolicy) -> Iterator[bytes]:
    """The octets of parts that are written alike: all together, if nothing speaks against it."""
    if policy.packed and charset.is_gsm7(run[0].data_coding, policy):
        yield b"".join(_septets(run))
    elif len(run) > 1 and CODINGS[run[0].data_coding].alphabet is Alphabet.UCS2:
        yield from _units(run)
    else:
        yield b"".join(content.octets for content in run)


def _septets(run: list[Content]) -> Iterator[bytes]:
    """The septets of each packed part, without its padding.

    A part that fills its SMS while more follow ends in text and not in padding. There its
    last septet stays, unless the next part begins with an escape: a sender that does not cut
    an escape from its character leaves the septet before it free.
    """
    headers = [len(content.header.octets) if content.header else 0 for content in run]
    fills = [packed.fill_bits(octets) for octets in headers]
    parts = [packed.unpack(content.octets, fill) for content, fill in zip(run, fills, strict=True)]
    for index, following in enumerate([*parts[1:], b"\x1b"]):
        full = headers[index] + len(run[index].octets) == SMS_OCTETS
        if full and not following.startswith(b"\x1b"):
            yield parts[index]
        else:
            yield packed.without_padding(parts[index], fills[index])


def _units(run: list[Content]) -> Iterator[bytes]:
    """UCS-2 of several parts in pieces that each begin with a whole unit.

    Parts of odd octet counts that are even together were cut within a unit. If the whole is
    odd, an octet is missing or too many: each odd part is taken to end with half a unit, so
    that its fault does not shift the parts behind it. A byte order mark holds for all pieces.
    """
    whole = b"".join(content.octets for content in run)
    if len(whole) % 2 == 0:
        yield whole
        return
    mark = whole[:2] if whole.startswith(_BYTE_ORDER_MARKS) else b""
    piece = b""
    for content in run:
        piece += content.octets
        if len(piece) % 2:
            yield piece
            piece = mark
    if piece != mark:
        yield piece
