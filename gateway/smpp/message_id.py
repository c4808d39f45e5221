"""How a message_id is written: the API's own UUID, or the same 128 bits in digits.

SMPP 3.4 allows 64 characters, but many clients keep fewer, read digits only, or convert
between hexadecimal in submit_sm_resp and decimal in receipts as 3.3 had it (Kannel's
msg-id-type). The three forms hold the same bits, so that no row is needed to read one back.
An id that is no UUID passes verbatim. 3.3 has room for eight hexadecimal digits only: there a
number with a stored row stands for the id, written by `short`.

Ids that the gateway makes itself, for parts and for submit_multi, are UUIDs of version 8 (RFC
9562): the API's are of version 4. All parts of a set share one base, whose last octet is 0 and
becomes the part's number.
"""

from __future__ import annotations

import re
from typing import Final, Literal
from uuid import UUID

Form = Literal["uuid", "hex", "decimal"]

_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_HEX: Final = re.compile(r"[0-9A-Fa-f]{32}")
_DECIMAL: Final = re.compile(r"[0-9]{1,64}")
_SHORT: Final = re.compile(r"[0-9A-Fa-f]{1,8}")
_SHORT_DECIMAL: Final = re.compile(r"[0-9]{1,10}")
_BITS: Final = 128
_SHORT_BITS: Final = 32
_OWN_VERSION: Final = 8
SHORT_DIGITS: Final = 8


def written(message_id: str, form: Form) -> str:
    """`message_id` in the form that an account reads; verbatim when it is no UUID.

    Only the canonical spelling (lower case, dashes) is converted: another one would come back
    changed.
    """
    if form == "uuid" or not _UUID.fullmatch(message_id):
        return message_id
    digits = message_id.replace("-", "")
    return digits if form == "hex" else str(int(digits, 16))


def read(text: str, form: Form) -> str:
    """The id that `written` put into this form; verbatim when it is not in it.

    Leading zeros that a client cut off or added are put right.
    """
    if form == "hex" and _HEX.fullmatch(text):
        return str(UUID(text))
    if form == "decimal" and _DECIMAL.fullmatch(text) and int(text) < 1 << _BITS:
        return str(UUID(int=int(text)))
    return text


def short(number: int, form: Form = "hex") -> str:
    """A 32-bit number as 3.3 writes it: eight digits in a response, decimal in a receipt."""
    return f"{number:010d}" if form == "decimal" else f"{number:08x}"


def read_short(text: str) -> list[int]:
    """The numbers that `text` may stand for: as hexadecimal first, as decimal second."""
    found = [int(text, 16)] if _SHORT.fullmatch(text) else []
    if _SHORT_DECIMAL.fullmatch(text) and int(text) < 1 << _SHORT_BITS:
        found.append(int(text))
    return found


def base_of(random: bytes) -> bytes:
    """Sixteen random octets as the base of ids: a UUID of version 8 whose last octet is 0."""
    octets = bytearray(random)
    octets[6] = octets[6] & 0x0F | _OWN_VERSION << 4
    octets[8] = octets[8] & 0x3F | 0x80
    octets[15] = 0
    return bytes(octets)


def of_part(base: bytes, number: int) -> str:
    """The id of part `number` (0 to 255) of the set with this base."""
    return str(UUID(bytes=base[:15] + bytes([number])))


def printable(text: str) -> str:
    """`text` for a log, if it can be an id at all: else an ESME may have put anything there."""
    if not text or _UUID.fullmatch(text.lower()) or _HEX.fullmatch(text) or _SHORT.fullmatch(text):
        return text
    return f"[{len(text)} characters]"


def is_own(message_id: str) -> bool:
    """Whether the gateway made this id itself, so that the API does not know it."""
    return bool(_UUID.fullmatch(message_id)) and UUID(message_id).version == _OWN_VERSION
