"""What a message says: alphabets, user data headers, parts, addresses, the request they become."""

from __future__ import annotations

import re
from typing import Any, Final

from gateway.bridge import translate
from gateway.bridge.translate import Writing
from gateway.config import AccountSettings
from gateway.errors import GatewayError
from gateway.message import address, charset, gsm0338, packed, segment, udh
from gateway.message.charset import AlphabetPolicy, BinaryContent, Decoded, UndecodableText
from gateway.message.gsm0338 import REPLACEMENT
from gateway.message.segment import Content, PortAddressed
from gateway.omnichannel import payload
from gateway.smpp.codec import MalformedPdu, decode
from gateway.smpp.constants import Tag
from gateway.smpp.pdu import Address, SubmitSm, Tlv
from tests.fuzz.smpp_targets import NOW
from tests.fuzz.target import Octets, Target

_POLICIES: Final = (
    AlphabetPolicy(),
    AlphabetPolicy(refuse_undecodable=True),
    AlphabetPolicy(packed=True),
    AlphabetPolicy(ascii_alphabet="gsm7", fallback_alphabet="utf-8"),
    AlphabetPolicy(default_alphabet="latin-1", ucs2_little_endian=True),
    AlphabetPolicy(default_alphabet="utf-8", strip_nul=True),
    AlphabetPolicy(default_alphabet="cp1252", ascii_alphabet="utf-8", refuse_undecodable=True),
    AlphabetPolicy(default_alphabet="ascii", fallback_alphabet="latin-1", packed=True),
)
_TAGS: Final = (
    *(Tag.sar_msg_ref_num, Tag.sar_total_segments, Tag.sar_segment_seqnum),
    *(Tag.source_port, Tag.destination_port, Tag.message_payload),
)
_NUMBERINGS: Final = (
    address.Numbering(),
    address.Numbering("372"),
    address.Numbering("34", ""),
    address.Numbering("1", "1"),
)
_E164: Final = re.compile(r"\+[1-9][0-9]{6,14}")


def alphabet(octets: bytes) -> None:
    """Every data_coding under every policy: text, or one of two refusals."""
    given = Octets(octets)
    data_coding, policy = given.one(), _POLICIES[given.one() % len(_POLICIES)]
    locking, single = given.one(), given.one()
    text = given.rest()
    try:
        found = charset.decode(text, data_coding, policy, locking, single)
    except BinaryContent:
        return
    except UndecodableText:
        assert policy.refuse_undecodable
        return
    _is_text(found, policy)
    assert found.errors <= len(text)
    charset.check_text(data_coding)
    if found.charset == "gsm7" and not (found.errors or locking or single or policy.strip_nul):
        septets = gsm0338.encode(found.text)
        assert septets is not None
        assert gsm0338.decode(septets) == found.text


def _is_text(found: Decoded, policy: AlphabetPolicy) -> None:
    found.text.encode("utf-8")  # no lone surrogate, for the API takes none
    assert found.errors >= 0
    assert found.text.count(REPLACEMENT) >= found.errors
    assert found.message_class in {None, 0, 1, 2, 3}
    assert not (policy.refuse_undecodable and found.errors)
    assert not (policy.strip_nul and "\0" in found.text)


def parts(octets: bytes) -> None:
    """Parts of a long message as they come: headers, sar_* parameters, ports, and their text."""
    given = Octets(octets)
    policy = _POLICIES[given.one() % len(_POLICIES)]
    contents: list[Content] = []
    while given and len(contents) < 8:
        flags, data_coding = given.one(), given.one()
        tlvs = tuple(
            Tlv(_TAGS[given.one() % len(_TAGS)], given.some(given.one() % 8))
            for _ in range(flags >> 4 & 7)
        )
        part = given.some(given.one() % 160)
        try:
            content = segment.read(part, udhi=bool(flags & 1), data_coding=data_coding, tlvs=tlvs)
        except PortAddressed as error:
            assert error.detail
            continue
        _is_part(content, part)
        contents.append(content)
    if contents:
        try:
            _is_text(segment.text_of(contents, policy), policy)
        except (BinaryContent, UndecodableText) as error:
            assert error.detail


def _is_part(content: Content, octets: bytes) -> None:
    header, part = content.header, content.concatenation
    if part is not None:
        assert 1 <= part.number <= part.total <= 255
        assert 0 <= part.reference <= 0xFFFFFFFF
        wide = part.kind != "udh8"
        made = udh.concatenation_header(part.reference, wide, part.total, part.number)
        again, text = udh.split(made + b"text", 0)
        assert (again.octets, text, again.malformed) == (made, b"text", False)
        number = part.reference & (0xFFFF if wide else 0xFF)
        assert udh.concatenation(again) == (number, wide, part.total, part.number)
    if header is None:
        assert content.octets == octets
        return
    assert header.octets + content.octets == octets
    assert header.octets or header.malformed
    elements = b"".join(bytes((iei, len(data))) + data for iei, data in header.elements)
    assert header.octets[1:].startswith(elements)
    kept = [each for each in header.elements if each.iei not in {0x24, 0x25}]
    rest = udh.without_languages(header)
    assert bool(rest) is bool(kept)
    if rest:
        again, _ = udh.split(rest + b"text", 0)
        assert (list(again.elements), again.malformed) == (kept, False)


def septets(octets: bytes) -> None:
    """Unpacking, beside the loop that the specification draws."""
    given = Octets(octets)
    fill = given.one() % 7
    octets = given.rest()
    found = packed.unpack(octets, fill)
    bits = int.from_bytes(octets, "little") >> fill
    count = max(0, (8 * len(octets) - fill) // 7)
    assert list(found) == [bits >> 7 * at & 0x7F for at in range(count)]
    kept = packed.without_padding(found, fill)
    assert kept == found or (kept == found[:-1] and found[-1] in {0, 13})


def addresses(octets: bytes) -> None:
    """A destination becomes E.164; a sender, what the API takes as one."""
    given = Octets(octets)
    numbering = _NUMBERINGS[given.one() % len(_NUMBERINGS)]
    written = Address(given.one(), given.one(), given.rest().decode("latin-1"))
    try:
        assert _E164.fullmatch(address.destination(written, numbering))
    except GatewayError as error:
        # A number is not told; " a " is one of the words that say so.
        assert written.addr not in error.detail or sum(map(str.isdecimal, written.addr)) < 4
    try:
        sender = address.sender(written, numbering, "")
    except GatewayError as error:
        assert error.detail
        return
    if sender is None:
        assert not written.addr
    else:
        assert sender.isascii()
        assert sender.isprintable()
        assert 1 <= len(sender) <= 16


def _writing(**fields: Any) -> Writing:
    return Writing.of(AccountSettings(system_id="bank", password_hash="x", **fields))


_WRITINGS: Final = (
    _writing(),
    _writing(country_prefix="372", packed=True, malformed_udh="refuse"),
    _writing(text_twice="message_payload", replace_if_present="refuse", strip_nul=True),
    _writing(text_twice="short_message", default_messages={"1": "Hi"}, undecodable="refuse"),
)


def request(octets: bytes) -> None:
    """A submit_sm becomes a request that can be written, or a refusal with its status."""
    given = Octets(octets)
    writing = _WRITINGS[given.one() % len(_WRITINGS)]
    body = given.rest()
    raw = (16 + len(body)).to_bytes(4) + b"\0\0\0\x04" + bytes(8) + body
    try:
        submit = decode(raw)
        assert isinstance(submit, SubmitSm)
        message = translate.read(submit, writing, NOW)
        found = translate.translate(message, (message.content,), writing)
    except MalformedPdu:
        return
    except GatewayError as error:
        assert error.command_status
        assert error.detail
        return
    assert found.request.text
    assert found.request.ttl is None or found.request.ttl > 0
    assert payload.encode(found.request)
    for includes_length in (False, True):
        bytes.fromhex(translate.passed_through(message.content, includes_length=includes_length))


TEXTS: Final[dict[str, Target]] = {
    "alphabet": Target(
        alphabet,
        weight=4,
        longest=164,
        words=(
            b"\x1b$B",
            b"\x1b(B",
            b"\x1b$)C",
            b"\x0e",
            b"\x0f",
            b"\xfe\xff",
            b"\xd8\x3d\xde\x00",
        ),
    ),
    "parts": Target(
        parts,
        weight=4,
        longest=512,
        words=(b"\x05\x00\x03", b"\x06\x08\x04", b"\x03\x24\x01", b"\x03\x25\x01", b"\x04\x01\x02"),
    ),
    "septets": Target(septets, longest=600),
    "addresses": Target(addresses, longest=28, words=(b"+", b"00")),
    "request": Target(request, weight=3, longest=300, words=(b"000002000000000R", b"\x04\x24")),
}
