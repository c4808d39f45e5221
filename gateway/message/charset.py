"""data_coding to text.

`data_coding.TABLE` says what the octets are, a short function for each alphabet reads them.
Text always encodes as UTF-8: what does not decode becomes U+FFFD and is counted, or is
refused when the account wants it so.

An account says what data_coding 0 means (`default_alphabet`); the values that both lists
leave open (0x0C, 0x0F, 0x80-0xBF) are read like 0. A value that names GSM 7-bit itself
(a message class, a waiting indication) is GSM 7-bit whatever the account says. GSM 7-bit
stands here one septet to an octet, in the tables of the languages that the user data header
names; `gateway.message.segment` unpacks it before.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable
from dataclasses import dataclass

from gateway.errors import GatewayError
from gateway.message import gsm0338
from gateway.message.data_coding import CODINGS, NO_TEXT, Alphabet
from gateway.message.gsm0338 import REPLACEMENT
from gateway.smpp.constants import CommandStatus
from gateway.values import value_class


@dataclass(frozen=True, slots=True)
class AlphabetPolicy:
    """How one account writes. Alphabets: gsm7, ascii, latin-1, cp1252, utf-8.

    `ascii_alphabet` is what data_coding 1 means: node-smpp sends GSM 03.38 there.

    `fallback_alphabet` reads a message of data_coding 0 (or a value read like it) or 1 that
    does not decode, if that leaves fewer errors. Without one, data_coding 0 gives U+FFFD for
    each bad octet, and data_coding 1 falls back to cp1252, because octets of 0x80 and above
    in "ASCII" are Windows text far more often than anything else. That built-in fallback
    holds only while data_coding 1 means ascii and undecodable text is not refused. A text with
    a national language has none: its header says that it is GSM 7-bit.

    `ucs2_little_endian` is for UCS-2 without a byte order mark; a mark wins over it.
    `strip_nul` drops U+0000, which is kept otherwise. `packed` says that GSM 7-bit comes eight
    septets to seven octets; `decode` takes them unpacked all the same.
    """

    default_alphabet: str = "gsm7"
    ascii_alphabet: str = "ascii"
    fallback_alphabet: str = ""
    refuse_undecodable: bool = False
    ucs2_little_endian: bool = False
    strip_nul: bool = False
    packed: bool = False


DEFAULT_POLICY = AlphabetPolicy()


@value_class
class Decoded:
    """A message's text and how it was found.

    `errors` counts the octets or units that did not decode. `message_class` is 0 (flash) to
    3 (3GPP TS 23.038 section 4). `flags` may hold "reserved" (no list defines this
    data_coding), "auto_delete", "mwi_store", "mwi_discard", "odd_ucs2" (half a UCS-2 unit
    at the end), "guessed" (7-bit octets under JIS without an escape sequence, read as
    ASCII) and "fallback" (the alphabet of `charset` is the fallback).
    """

    text: str
    charset: str
    errors: int = 0
    message_class: int | None = None
    flags: tuple[str, ...] = ()


class BinaryContent(GatewayError):
    """The data_coding says that the octets are no text, which the API cannot carry."""

    command_status = CommandStatus.ESME_RINVDCS


class UndecodableText(GatewayError):
    """Octets do not decode, and the account refuses such text."""

    command_status = CommandStatus.ESME_RINVDCS


# Text, the charset it was read in, errors and flags: the fields of `Decoded`. A plain tuple,
# because one is made for every message.
Reading = tuple[str, str, int, tuple[str, ...]]
Reader = Callable[[bytes, AlphabetPolicy], Reading]


class _NoText(Exception):
    """A reader's answer that the octets are no text."""


# Held, because a look-up by name costs more than decoding a short message.
_DECODERS = {
    charset: codecs.getdecoder(charset)
    for charset in (
        *("ascii", "latin-1", "cp1252", "utf-8", "utf-16-be", "utf-16-le"),
        *("iso8859-5", "iso8859-8", "iso2022-jp", "iso2022-jp-1", "iso2022-jp-ext"),
        *("cp932", "euc-jp", "cp949", "iso2022-kr"),
    )
}
_UTF_16 = {codecs.BOM_UTF16_BE: "utf-16-be", codecs.BOM_UTF16_LE: "utf-16-le"}
_KS_C_5601_DESIGNATION = b"\x1b$)C"


def _read(octets: bytes, charset: str) -> Reading:
    """Read in one charset, with U+FFFD for what it does not have."""
    if charset == "gsm7":
        text = gsm0338.decode(octets)
        return text, charset, text.count(REPLACEMENT), ()
    decoder = _DECODERS[charset]
    try:
        return decoder(octets)[0], charset, 0, ()
    except UnicodeDecodeError:
        text = decoder(octets, "replace")[0]
        # A U+FFFD that the ESME sent is no error; it survives "ignore" too.
        sent = decoder(octets, "ignore")[0].count(REPLACEMENT)
        return text, charset, text.count(REPLACEMENT) - sent, ()


def _read_national(octets: bytes, locking: int, single: int) -> Reading:
    text = gsm0338.decode(octets, locking, single)
    return text, "gsm7", text.count(REPLACEMENT), ()


def _with_fallback(octets: bytes, charset: str, fallback: str) -> Reading:
    first = _read(octets, charset)
    if not first[2] or not fallback:
        return first
    text, charset, errors, _ = _read(octets, fallback)
    return (text, charset, errors, ("fallback",)) if errors < first[2] else first


def _default(octets: bytes, policy: AlphabetPolicy) -> Reading:
    return _with_fallback(octets, policy.default_alphabet, policy.fallback_alphabet)


def _ascii(octets: bytes, policy: AlphabetPolicy) -> Reading:
    fallback = policy.fallback_alphabet
    if not fallback and policy.ascii_alphabet == "ascii" and not policy.refuse_undecodable:
        fallback = "cp1252"
    return _with_fallback(octets, policy.ascii_alphabet, fallback)


def _ucs2(octets: bytes, policy: AlphabetPolicy) -> Reading:
    """UTF-16: every client that has an emoji sends surrogate pairs under UCS-2."""
    charset = "utf-16-le" if policy.ucs2_little_endian else "utf-16-be"
    if marked := _UTF_16.get(octets[:2]):
        charset = marked
        octets = octets[2:]
    if len(octets) % 2 == 0:
        return _read(octets, charset)
    text, charset, errors, _ = _read(octets[:-1], charset)
    return text + REPLACEMENT, charset, errors + 1, ("odd_ucs2",)


def _jis_x_0208(octets: bytes, policy: AlphabetPolicy) -> Reading:
    """Follow what clients do: the specification does not say how the codes are written."""
    if b"\x1b" in octets:
        return _read(octets, "iso2022-jp")
    if octets.isascii():
        return octets.decode("ascii"), "ascii", 0, ("guessed",)
    return _read(octets, "cp932")


def _jis_x_0212(octets: bytes, policy: AlphabetPolicy) -> Reading:
    return _read(octets, "iso2022-jp-1" if octets.isascii() else "euc-jp")


def _ks_c_5601(octets: bytes, policy: AlphabetPolicy) -> Reading:
    """In eight bits, or in seven as ISO-2022-KR."""
    if _KS_C_5601_DESIGNATION in octets:
        return _read(octets, "iso2022-kr")
    if b"\x0e" in octets or b"\x0f" in octets:
        # Without the designation the codec takes what is shifted out for ASCII.
        return _read(_KS_C_5601_DESIGNATION + octets, "iso2022-kr")
    return _read(octets, "cp949")


def _music(octets: bytes, policy: AlphabetPolicy) -> Reading:
    """ISO-2022-JP music codes: text as far as they are ISO-2022-JP, binary otherwise."""
    reading = _read(octets, "iso2022-jp-ext")
    if reading[2]:
        raise _NoText
    return reading


def _always(charset: str) -> Reader:
    return lambda octets, policy: _read(octets, charset)


def _no_text(octets: bytes, policy: AlphabetPolicy) -> Reading:
    raise _NoText


_READERS: dict[Alphabet, Reader] = {
    Alphabet.DEFAULT: _default,
    Alphabet.ASCII: _ascii,
    Alphabet.GSM7: _always("gsm7"),
    Alphabet.UCS2: _ucs2,
    Alphabet.LATIN_1: _always("latin-1"),
    Alphabet.CYRILLIC: _always("iso8859-5"),
    Alphabet.HEBREW: _always("iso8859-8"),
    Alphabet.JIS_X_0208: _jis_x_0208,
    Alphabet.JIS_X_0212: _jis_x_0212,
    Alphabet.KS_C_5601: _ks_c_5601,
    Alphabet.MUSIC: _music,
    **dict.fromkeys(NO_TEXT, _no_text),
}
# What `decode` needs for each data_coding, in one look-up.
_READINGS = tuple(
    (_READERS[alphabet], message_class, flags) for alphabet, message_class, flags in CODINGS
)


def is_gsm7(data_coding: int, policy: AlphabetPolicy = DEFAULT_POLICY) -> bool:
    """Whether an account's text of this `data_coding` (0 to 255) is GSM 7-bit."""
    alphabet = CODINGS[data_coding].alphabet
    return (
        alphabet is Alphabet.GSM7
        or (alphabet is Alphabet.DEFAULT and policy.default_alphabet == "gsm7")
        or (alphabet is Alphabet.ASCII and policy.ascii_alphabet == "gsm7")
    )


def check_text(data_coding: int) -> None:
    """Raise BinaryContent if `data_coding` (0 to 255) never announces text, whatever the octets."""
    if CODINGS[data_coding].alphabet in NO_TEXT:
        raise _binary_content(data_coding)


def _binary_content(data_coding: int) -> BinaryContent:
    return BinaryContent(
        f"data_coding 0x{data_coding:02X} means {CODINGS[data_coding].alphabet.value}, "
        "and the API takes text only",
        data_coding=data_coding,
    )


def decode(
    octets: bytes,
    data_coding: int,
    policy: AlphabetPolicy = DEFAULT_POLICY,
    locking: int = 0,
    single: int = 0,
) -> Decoded:
    """The text of a short message without its user data header.

    `locking` and `single` are the languages that the header names (`gsm0338.decode`). They
    mean nothing where the octets are not GSM 7-bit.

    Raises BinaryContent when `data_coding` (0 to 255) announces no text, and UndecodableText
    when the policy refuses octets that do not decode. Nothing else is raised.
    """
    read, message_class, flags = _READINGS[data_coding]
    try:
        if (locking or single) and is_gsm7(data_coding, policy):
            text, charset, errors, found = _read_national(octets, locking, single)
        else:
            text, charset, errors, found = read(octets, policy)
    except _NoText:
        raise _binary_content(data_coding) from None
    if errors and policy.refuse_undecodable:
        raise UndecodableText(
            f"{errors} places in {len(octets)} octets do not decode as {charset} "
            f"(data_coding 0x{data_coding:02X})",
            data_coding=data_coding,
            charset=charset,
            errors=errors,
        )
    if policy.strip_nul:
        text = text.replace("\0", "")
    return Decoded(text, charset, errors, message_class, flags + found)
