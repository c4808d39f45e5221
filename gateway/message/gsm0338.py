"""The GSM 7-bit default alphabet of 3GPP TS 23.038 section 6.2.1, one septet per octet.

SMPP carries this alphabet unpacked, so a septet stands in the low bits of an octet of its
own and an octet of 0x80 and above is no character at all. Bit 7 is never masked away: a
Latin-1 `é` sent by mistake would silently become an `i`.
"""

from __future__ import annotations

import codecs
import re

ESCAPE = "\x1b"
REPLACEMENT = "\ufffd"

# 3GPP TS 23.038 section 6.2.1, sixteen codes a line. 0x00 is `@` and no terminator, 0x09 is
# capital Ç. 0x1B stands for itself here: `_unescape` reads it together with what follows.
BASE = (
    "@£$¥èéùìòÇ\nØø\rÅå"
    "Δ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ"
    " !\"#¤%&'()*+,-./"
    "0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNO"
    "PQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmno"
    "pqrstuvwxyzäöñüà"
)

# Section 6.2.1.1, the codes behind 0x1B.
EXTENSION = {
    0x0A: "\f",
    0x14: "^",
    0x28: "{",
    0x29: "}",
    0x2F: "\\",
    0x3C: "[",
    0x3D: "~",
    0x3E: "]",
    0x40: "|",
    0x65: "€",
}

_DECODING = BASE + REPLACEMENT * 128
_ENCODING: dict[int, bytes] = {
    **{ord(char): bytes([code]) for code, char in enumerate(BASE) if char != ESCAPE},
    **{ord(char): bytes([0x1B, code]) for code, char in EXTENSION.items()},
}

# What an escape and the base-table character behind it mean together. A second escape is
# reserved for a further table and shows as a space (section 6.2.1.1), and so does an escape
# that ends the message.
_ESCAPED = {BASE[code]: char for code, char in EXTENSION.items()} | {ESCAPE: " ", "": " "}
_ESCAPE_AND_NEXT = re.compile(ESCAPE + "(.?)", re.DOTALL)


def _unescape(match: re.Match[str]) -> str:
    """The extension character, or the base-table one when the code has no extension."""
    char: str = match[1]
    return _ESCAPED.get(char, char)


def decode(octets: bytes) -> str:
    """The text of unpacked GSM 7-bit octets, with U+FFFD for each octet of 0x80 and above.

    No other octet gives U+FFFD, so counting it counts the errors.
    """
    text = codecs.charmap_decode(octets, "strict", _DECODING)[0]
    return _ESCAPE_AND_NEXT.sub(_unescape, text) if ESCAPE in text else text


def encode(text: str) -> bytes | None:
    """Unpacked GSM 7-bit octets, two for an extension character, or None.

    None means that some character is in neither table, and that the text needs UCS-2.
    """
    try:
        return codecs.charmap_encode(text, "strict", _ENCODING)[0]
    except UnicodeEncodeError:
        return None
