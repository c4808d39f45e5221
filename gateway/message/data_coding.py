"""What each data_coding value says, as data.

SMPP's own list decides for 0x00 to 0x0F, 3GPP TS 23.038 section 4 for 0x10 to 0xFF, where
SMPP says "reserved" or "see GSM 03.38". `TABLE` has the whole range.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class Alphabet(Enum):
    """What a data_coding value can say that the octets are.

    DEFAULT is what the account means by data_coding 0, ASCII what it means by 1.
    """

    DEFAULT = "the account's default alphabet"
    ASCII = "IA5"
    GSM7 = "GSM 7-bit"
    UCS2 = "UCS-2"
    LATIN_1 = "ISO-8859-1"
    CYRILLIC = "ISO-8859-5"
    HEBREW = "ISO-8859-8"
    JIS_X_0208 = "JIS X 0208"
    JIS_X_0212 = "JIS X 0212"
    KS_C_5601 = "KS C 5601"
    MUSIC = "music codes"
    PICTOGRAMS = "pictogram codes"
    BINARY = "8-bit binary"
    COMPRESSED = "compressed text (3GPP TS 23.042)"


_A = Alphabet

# Never text. Music codes are text as far as they are ISO-2022-JP.
NO_TEXT = frozenset({_A.PICTOGRAMS, _A.BINARY, _A.COMPRESSED})

CLASS = "class"  # bits 1-0 are the message class

# First and last data_coding, what the octets are, what else the value says.
TABLE: tuple[tuple[int, int, Alphabet, tuple[str, ...]], ...] = (
    # SMPP 3.4 section 5.2.19
    (0x00, 0x00, _A.DEFAULT, ()),
    (0x01, 0x01, _A.ASCII, ()),
    (0x02, 0x02, _A.BINARY, ()),
    (0x03, 0x03, _A.LATIN_1, ()),
    (0x04, 0x04, _A.BINARY, ()),
    (0x05, 0x05, _A.JIS_X_0208, ()),
    (0x06, 0x06, _A.CYRILLIC, ()),
    (0x07, 0x07, _A.HEBREW, ()),
    (0x08, 0x08, _A.UCS2, ()),
    (0x09, 0x09, _A.PICTOGRAMS, ()),
    (0x0A, 0x0A, _A.MUSIC, ()),
    (0x0B, 0x0B, _A.UCS2, ("reserved",)),
    (0x0C, 0x0C, _A.DEFAULT, ("reserved",)),
    (0x0D, 0x0D, _A.JIS_X_0212, ()),
    (0x0E, 0x0E, _A.KS_C_5601, ()),
    (0x0F, 0x0F, _A.DEFAULT, ("reserved",)),
    # 3GPP TS 23.038 section 4: general group, bit 4 says that the class is meant
    (0x10, 0x13, _A.GSM7, (CLASS,)),
    (0x14, 0x17, _A.BINARY, (CLASS,)),
    (0x18, 0x1B, _A.UCS2, (CLASS,)),
    (0x1C, 0x1F, _A.GSM7, (CLASS, "reserved")),
    (0x20, 0x3F, _A.COMPRESSED, ()),
    # the same once more, marked for automatic deletion
    (0x40, 0x43, _A.GSM7, ("auto_delete",)),
    (0x44, 0x47, _A.BINARY, ("auto_delete",)),
    (0x48, 0x4B, _A.UCS2, ("auto_delete",)),
    (0x4C, 0x4F, _A.GSM7, ("auto_delete", "reserved")),
    (0x50, 0x53, _A.GSM7, (CLASS, "auto_delete")),
    (0x54, 0x57, _A.BINARY, (CLASS, "auto_delete")),
    (0x58, 0x5B, _A.UCS2, (CLASS, "auto_delete")),
    (0x5C, 0x5F, _A.GSM7, (CLASS, "auto_delete", "reserved")),
    (0x60, 0x7F, _A.COMPRESSED, ("auto_delete",)),
    # reserved coding groups
    (0x80, 0xBF, _A.DEFAULT, ("reserved",)),
    # message waiting indication
    (0xC0, 0xCF, _A.GSM7, ("mwi_discard",)),
    (0xD0, 0xDF, _A.GSM7, ("mwi_store",)),
    (0xE0, 0xEF, _A.UCS2, ("mwi_store",)),
    # data coding and message class; bit 3 is reserved and ignored
    (0xF0, 0xF3, _A.GSM7, (CLASS,)),
    (0xF4, 0xF7, _A.BINARY, (CLASS,)),
    (0xF8, 0xFB, _A.GSM7, (CLASS,)),
    (0xFC, 0xFF, _A.BINARY, (CLASS,)),
)


class Coding(NamedTuple):
    """One data_coding value of `TABLE`."""

    alphabet: Alphabet
    message_class: int | None
    flags: tuple[str, ...]


CODINGS: tuple[Coding, ...] = tuple(
    Coding(
        alphabet,
        data_coding & 0x03 if CLASS in says else None,
        tuple(word for word in says if word != CLASS),
    )
    for first, last, alphabet, says in TABLE
    for data_coding in range(first, last + 1)
)
