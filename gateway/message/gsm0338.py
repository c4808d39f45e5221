"""The GSM 7-bit alphabets of 3GPP TS 23.038 section 6.2.1, one septet per octet.

SMPP carries this alphabet unpacked, so a septet stands in the low bits of an octet of its
own and an octet of 0x80 and above is no character at all. Bit 7 is never masked away: a
Latin-1 `é` sent by mistake would silently become an `i`.
"""

from __future__ import annotations

import codecs
import re

from gateway.message.gsm_languages import EXTENSION, LOCKING, SINGLE

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

_NO_SEPTETS = REPLACEMENT * 128
_DECODING = BASE + _NO_SEPTETS
_NATIONAL_DECODING = {language: table + _NO_SEPTETS for language, table in LOCKING.items()}
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


def decode(octets: bytes, locking: int = 0, single: int = 0) -> str:
    """The text of unpacked GSM 7-bit octets.

    `locking` names the language whose table replaces the default alphabet, `single` the one
    whose table replaces the extensions; 0, and a language that has no such table, leave the
    default one. U+FFFD stands for each octet of 0x80 and above and for each code that the
    language does not define, and for nothing else, so counting it counts the errors.
    """
    if locking or single:
        return _decode_national(octets, locking, single)
    text = codecs.charmap_decode(octets, "strict", _DECODING)[0]
    return _ESCAPE_AND_NEXT.sub(_unescape, text) if ESCAPE in text else text


def _decode_national(octets: bytes, locking: int, single: int) -> str:
    """The same rules by codes and not by characters, because undefined codes share one."""
    decoding = _NATIONAL_DECODING.get(locking, _DECODING)
    extension = SINGLE.get(single, EXTENSION)
    plain, *escaped = octets.split(b"\x1b")
    text = [codecs.charmap_decode(plain, "strict", decoding)[0]]
    pieces = iter(escaped)
    for piece in pieces:
        if not piece:  # a second escape, with plain text behind it, or the end
            text.append(" ")
            piece = next(pieces, b"")
        elif char := extension.get(piece[0]):
            text.append(char)
            piece = piece[1:]
        text.append(codecs.charmap_decode(piece, "strict", decoding)[0])
    return "".join(text)


def encode(text: str) -> bytes | None:
    """Unpacked octets of the default alphabet, two for an extension character, or None.

    None means that some character is in neither table, and that the text needs UCS-2.
    """
    try:
        return codecs.charmap_encode(text, "strict", _ENCODING)[0]
    except UnicodeEncodeError:
        return None
