"""The wire: framing, PDUs, times, message ids, receipts, the header of a balancer."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import cycle
from typing import Final

from gateway.net.proxy_header import LONGEST, BadHeader, Header, read_header
from gateway.send_receipts import read_receipt
from gateway.smpp import message_id, timefmt
from gateway.smpp import receipt as receipts
from gateway.smpp.codec import MalformedPdu, decode, encode, response_to
from gateway.smpp.constants import CommandStatus, InterfaceVersion, MessageState
from gateway.smpp.framing import BadLength, Framer
from gateway.smpp.pdu import Address, DeliverSm, Pdu
from tests.fuzz.target import Octets, Target

NOW: Final = datetime(2026, 2, 28, 23, 59, 59, 250_000, tzinfo=UTC)
_LIMITS: Final = (16, 33, 512, 70_000)
_STATES: Final = tuple(MessageState)
_TEXT: Final = re.compile(
    r"id:\S+ sub:001 dlvrd:00[01] submit date:\d{10} done date:\d{10} stat:[A-Z]{7}"
    r" err:\d{3} text:[ -~]{0,20}"
)


def framer(octets: bytes) -> None:
    """The chunks do not matter, and no octet is lost."""
    given = Octets(octets)
    limit = _LIMITS[given.one() % len(_LIMITS)]
    sizes = given.some(given.one() % 8)
    stream = given.rest()
    whole, framed, pending = _frames([stream], limit)
    assert all(16 <= len(pdu) <= limit for pdu in whole)
    assert all(int.from_bytes(pdu[:4]) == len(pdu) for pdu in whole)
    assert b"".join(whole) + stream[len(stream) - pending :] == stream
    again, still_framed, left = _frames(_cut(stream, sizes or b"\x01"), limit)
    assert (again, still_framed) == (whole, framed)
    assert left == pending or not framed


def _frames(chunks: Iterable[bytes], limit: int) -> tuple[list[bytes], bool, int]:
    """The PDUs, whether their framing is sound, and how many octets are left."""
    framing = Framer(limit)
    found = []
    for chunk in chunks:
        framing.feed(chunk)
        try:
            while (pdu := framing.next_pdu()) is not None:
                found.append(pdu)
        except BadLength as error:
            assert error.detail
            assert _is_lost(framing)
            return found, False, framing.pending
    return found, True, framing.pending


def _is_lost(framing: Framer) -> bool:
    try:
        framing.next_pdu()
    except BadLength:
        return True
    return False


def _cut(stream: bytes, sizes: bytes) -> Iterator[bytes]:
    at = 0
    for size in cycle(sizes):
        if at >= len(stream):
            return
        yield stream[at : at + (size or 1)]
        at += size or 1


def codec(octets: bytes) -> None:
    """What is read is written the same; what is not names its request and its fault."""
    raw = octets[4:].ljust(12, b"\0")
    raw = (len(raw) + 4).to_bytes(4) + raw
    command_id, number = int.from_bytes(raw[4:8]), int.from_bytes(raw[12:16])
    for keep_broken_tlv in (False, True):
        try:
            pdu = decode(raw, keep_broken_tlv=keep_broken_tlv)
        except MalformedPdu as error:
            assert (error.command_id, error.sequence_number) == (command_id, number)
            assert error.field
            assert error.detail
            unknown = error.command_status is CommandStatus.ESME_RINVCMDID
            assert unknown or command_id < 0x80000000, "nobody is told of a malformed response"
            answer = response_to(command_id, number, error.command_status)
            assert decode(encode(answer)) == answer
            continue
        assert (pdu.command_id, pdu.sequence_number) == (command_id, number)
        assert encode(pdu) == raw
        assert repr(pdu)
        if pdu.command_id < 0x80000000 and hasattr(pdu, "tlvs"):
            stray: bytes = getattr(pdu, "stray", b"")
            assert len(stray) < 4 or (keep_broken_tlv and _is_stub(stray))
        return  # nothing was broken that could be kept


def _is_stub(octets: bytes) -> bool:
    """Whether they begin a TLV that is longer than they are."""
    return int.from_bytes(octets[2:4]) + 4 > len(octets)


def times(octets: bytes) -> None:
    """A time is read as a moment in UTC that is written the same again."""
    text = octets.decode("latin-1")
    try:
        moment = timefmt.parse(text, NOW)
    except timefmt.InvalidTime as error:
        assert str(error)
        return
    if moment is None:
        assert not text
        return
    assert moment.tzinfo is UTC
    if text.endswith("R"):
        assert moment >= NOW
    with suppress(timefmt.InvalidTime):  # a moment of 1999 or 2100
        again = timefmt.parse(timefmt.format_absolute(moment), NOW)
        assert again == moment.replace(microsecond=0)


def message_ids(octets: bytes) -> None:
    """Whatever a client asks about reads as some id, and what the API gave comes back."""
    text = octets.decode("latin-1")
    for form in ("uuid", "hex", "decimal"):
        found = message_id.read(text, form)
        assert message_id.read(message_id.written(found, form), form) == found
    assert len(message_id.read_short(text)) <= 2
    assert message_id.printable(text).isprintable() or text in {"", message_id.printable(text)}
    message_id.is_own(text)


def written_receipt(octets: bytes) -> None:
    """A receipt has the form of appendix B, and an independent reader finds in it what counts."""
    given = Octets(octets)
    state = _STATES[given.one() % len(_STATES)]
    written = receipts.Receipt(
        message_id=given.some(1 + given.one() % 32).hex() or "0",
        message_state=state,
        err=int.from_bytes(given.some(2)) % 1000,
        submitted_at=NOW + timedelta(seconds=int.from_bytes(given.some(3))),
        done_at=NOW + timedelta(seconds=int.from_bytes(given.some(4))),
        source=Address(
            given.one(), given.one(), given.some(20).replace(b"\0", b"").decode("latin-1")
        ),
        destination=Address(1, 1, "37255500001"),
        final=bool(given.one() & 1),
        text=given.rest().decode("utf-8", "replace"),
    )
    assert _TEXT.fullmatch(receipts.text_of(written))
    pdu = receipts.deliver_sm(written, 7)
    raw = encode(pdu)
    assert decode(raw) == pdu
    found = read_receipt(raw)
    assert found is not None
    assert (found.message_id, found.stat) == (written.message_id, receipts.STATS[state])
    assert (int(found.err), found.source) == (written.err, written.destination.addr)
    bare: Pdu = decode(receipts.addressed(raw, 8, InterfaceVersion.V33))
    assert isinstance(bare, DeliverSm)
    assert (bare.sequence_number, bare.short_message, bare.tlvs) == (8, pdu.short_message, ())


def read_receipts(octets: bytes) -> None:
    """Any octets of any MC are a receipt or none."""
    found = read_receipt(octets)
    assert found is None or found.err == found.err.strip()


def proxy(octets: bytes) -> None:
    """Chunks do not matter here either, and what is decided stays decided."""
    found = _header(octets)
    if found is None:
        assert len(octets) < LONGEST
    if isinstance(found, Header):
        assert 0 < found.length <= min(len(octets), LONGEST)
        assert _header(octets[: found.length]) == found
        for length in range(0, found.length, 1 + found.length // 8):
            assert _header(octets[:length]) is None, length
    for length in range(0, len(octets), 1 + len(octets) // 8):
        if _header(octets[:length]) is BadHeader:
            assert found is BadHeader, length


def _header(octets: bytes) -> Header | type[BadHeader] | None:
    try:
        return read_header(octets)
    except BadHeader as error:
        assert str(error)
        return BadHeader


SMPP: Final[dict[str, Target]] = {
    "codec": Target(codec, weight=6, longest=400),
    "framer": Target(framer, longest=300),
    "times": Target(times, longest=24, words=(b"R", b"+", b"-", b"000000")),
    "message_ids": Target(message_ids, longest=66, words=(b"-4000-8", b"-8000-8")),
    "written_receipt": Target(written_receipt, longest=128),
    "read_receipts": Target(
        read_receipts,
        longest=300,
        words=(b"id:", b" stat:", b" err:", b"text:", b"\x00\x1e", b"\x04\x23", b"\x04\x27"),
    ),
    "proxy": Target(
        proxy,
        longest=256,
        words=(b"PROXY ", b"TCP4 ", b"TCP6 ", b"UNKNOWN", b"\r\n", b"\r\n\r\n\0\r\nQUIT\n", b"::"),
    ),
}
