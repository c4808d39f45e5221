"""A text -> the octets of one message, or of the parts that carry it together. Pure.

An implementation of its own, which shares nothing with the gateway's reading of long
messages: what `send` cuts is a test of that reading. It is not smpplib.gsm either, which
cuts between an escape and its character, and between the halves of a surrogate pair.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

from smpplib import consts

from gateway.esme import SendError
from gateway.message import gsm0338

Long = Literal["udh", "udh16", "sar", "payload"]

ONE_SMS: Final = 140  # octets, 3GPP TS 23.040 section 9.2.3.24: 160 septets, 70 UCS-2 units
LARGEST_SHORT_MESSAGE: Final = 254
LARGEST_TLV: Final = 65_535
MOST_PARTS: Final = 255  # the octet that counts them has no room for more

# Octets of an SMS that the header takes. The MC writes sar_* TLVs as a header with the
# same 16-bit reference before it passes a part on, so they need its room as well.
HEADER_ROOM: Final[dict[str, int]] = {"udh": 6, "udh16": 7, "sar": 7}


class Part(NamedTuple):
    """What one submit_sm carries. `sar` is reference, total and number for the TLVs."""

    data_coding: int
    short_message: bytes = b""
    message_payload: bytes = b""
    udhi: bool = False
    sar: tuple[int, int, int] | None = None


class Content(NamedTuple):
    """A text in one coding, cut into what goes in each part; `long` says how they are tied."""

    pieces: tuple[bytes, ...]
    data_coding: int
    long: Long | None = None

    def parts(self, reference: int) -> list[Part]:
        """The parts in order; `reference` ties them together, as far as its width goes."""
        total = len(self.pieces)
        if total == 1:
            return [self._whole()]
        return [
            self._part(reference, total, number) for number, _ in enumerate(self.pieces, start=1)
        ]

    def _whole(self) -> Part:
        [octets] = self.pieces
        limit = LARGEST_SHORT_MESSAGE
        if self.long == "payload":
            limit = _room(self.data_coding, 0)
        if len(octets) > limit:
            return Part(self.data_coding, message_payload=octets)
        return Part(self.data_coding, octets)

    def _part(self, reference: int, total: int, number: int) -> Part:
        piece = self.pieces[number - 1]
        if self.long == "sar":
            return Part(self.data_coding, piece, sar=(reference & 0xFFFF, total, number))
        if self.long == "udh16":
            header = b"\x06\x08\x04" + (reference & 0xFFFF).to_bytes(2)
        else:
            header = b"\x05\x00\x03" + (reference & 0xFF).to_bytes()
        return Part(self.data_coding, header + bytes([total, number]) + piece, udhi=True)


def content_of(text: str, coding: str, long: Long | None = None) -> Content:
    """The text in the wanted coding: auto, gsm7, ucs2 or latin1; and how it is sent if long.

    Raises SendError: for the first character that has no place in the coding, and for a
    text that is too long.
    """
    data_coding, characters = _encoded(text, coding)
    whole = b"".join(characters)
    if long in HEADER_ROOM and len(whole) > _room(data_coding, 0):
        pieces = tuple(_cut(characters, _room(data_coding, HEADER_ROOM[long])))
        if len(pieces) > MOST_PARTS:
            raise SendError(
                f"the text makes {len(pieces)} parts, and a message has at most {MOST_PARTS}: "
                "use --long payload"
            )
        return Content(pieces, data_coding, long)
    if len(whole) > LARGEST_TLV:
        raise SendError(
            f"the text has {len(whole)} octets, and message_payload takes {LARGEST_TLV}: "
            "send it as several messages"
        )
    return Content((whole,), data_coding, long)


def references() -> Iterator[int]:
    """A reference for each message, beginning anywhere: the last run may have parts waiting."""
    reference = secrets.randbelow(0x10000)
    while True:
        yield reference
        reference = (reference + 1) & 0xFFFF


def _encoded(text: str, coding: str) -> tuple[int, list[bytes]]:
    """data_coding, and the octets of each character, which no cut may divide."""
    if coding in {"auto", "gsm7"}:
        # Not smpplib.gsm: it turns ` into a section sign and lacks the form feed.
        found = [gsm0338.encode(char) for char in text]
        if None not in found:
            return consts.SMPP_ENCODING_DEFAULT, [octets for octets in found if octets]
        if coding == "gsm7":
            alien = text[found.index(None)]
            raise SendError(f"{alien!r} is not in the GSM 7-bit alphabet: use --coding ucs2")
    if coding == "latin1":
        try:
            return consts.SMPP_ENCODING_ISO88591, [char.encode("latin-1") for char in text]
        except UnicodeEncodeError as error:
            raise SendError(f"{error.object!r} is not in Latin-1: use --coding ucs2") from None
    return consts.SMPP_ENCODING_ISO10646, [char.encode("utf-16-be", "replace") for char in text]


def _room(data_coding: int, header: int) -> int:
    """Octets of text in one SMS behind a header of so many octets, as SMPP carries them."""
    octets = ONE_SMS - header
    if data_coding == consts.SMPP_ENCODING_DEFAULT:
        return octets * 8 // 7  # one octet for each septet
    if data_coding == consts.SMPP_ENCODING_ISO10646:
        return octets - octets % 2
    return octets


def _cut(characters: list[bytes], room: int) -> Iterator[bytes]:
    piece = bytearray()
    for octets in characters:
        if len(piece) + len(octets) > room:
            yield bytes(piece)
            piece.clear()
        piece += octets
    yield bytes(piece)
