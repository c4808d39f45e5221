"""SMPP addresses to what the API takes: an E.164 destination and a sender.

The type of number (TON) is believed only where clients agree on it: 1 is international, 2
national, and in a sender 5 is alphanumeric. The others mean nothing reliable (many legacy
clients send whole numbers with TON 0), so digits under them are taken as international,
unless the account's numbering shows that they are national. A leading "+" wins over every
TON, a leading 00 over every one but 2. The numbering plan indicator is never looked at.

Details of a refusal say what was wrong, never the address itself.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.errors import GatewayError
from gateway.smpp.constants import CommandStatus, Ton
from gateway.smpp.pdu import Address

# E.164 allows 15 digits; no whole international number of less than 7 is in use.
FEWEST_DIGITS = 7
MOST_DIGITS = 15
SHORT_CODE_DIGITS = 6
ALPHANUMERIC_CHARACTERS = 11


class InvalidDestination(GatewayError):
    """destination_addr is no number that can be written as E.164."""

    command_status = CommandStatus.ESME_RINVDSTADR


class InvalidSource(GatewayError):
    """source_addr is neither a number nor an alphanumeric sender."""

    command_status = CommandStatus.ESME_RINVSRCADR


@dataclass(frozen=True, slots=True)
class Numbering:
    """How an account writes national numbers: with `trunk_prefix`, which `country_prefix` replaces.

    Both are digits only. Without a country_prefix no number is national; with an empty
    trunk_prefix (Spain, Denmark) only TON 2 is.
    """

    country_prefix: str = ""
    trunk_prefix: str = "0"


def destination(address: Address, numbering: Numbering) -> str:
    """`address` as "+" and 7 to 15 digits. Raises InvalidDestination."""
    ton, _, addr = address
    if not addr:
        raise InvalidDestination("destination_addr is empty")
    digits = addr.removeprefix("+")
    if not _numeric(digits):
        raise InvalidDestination(
            f"destination_addr has {_fault(digits)}, write digits only", ton=ton
        )
    whole = _with_country_code(addr, ton, numbering)
    if whole is None and ton == Ton.NATIONAL:
        raise InvalidDestination(
            "destination_addr is national (TON 2) but begins with 00"
            if numbering.country_prefix
            else "destination_addr is national (TON 2): set country_prefix for this account",
            ton=ton,
        )
    whole = whole or digits
    if whole.startswith("0"):
        raise InvalidDestination(
            "destination_addr begins with 0, which no country code does: for national "
            "numbers set country_prefix and trunk_prefix for this account",
            ton=ton,
        )
    if not FEWEST_DIGITS <= len(whole) <= MOST_DIGITS:
        raise InvalidDestination(
            f"destination_addr has {len(whole)} digits with its country code, "
            f"not {FEWEST_DIGITS} to {MOST_DIGITS}",
            ton=ton,
        )
    return "+" + whole


def sender(address: Address, numbering: Numbering, default_sender: str) -> str | None:
    """The API's `sender` for a source address, or None to leave it out of the request.

    * Empty: `default_sender` as it stands, None if that is empty too.
    * TON 5, or a letter under any TON: 1 to 11 printable ASCII characters, verbatim. The API
      documents A-Z and 0-9; real accounts also use space . - _ & + and the like, and the API
      itself knows which of them are activated. Only a number too long for that is read as one.
    * Up to 6 digits: a short code, without "+" whatever the TON (naz and smppload send TON 1,
      Kannel TON 2).
    * More digits: "+" and the number if it is known to be international or national, as for
      a destination. Else the digits verbatim: the API takes a number without "+" as well,
      and a guessed country code would name somebody else. At most 15 digits.

    Raises InvalidSource.
    """
    ton, _, addr = address
    if not addr:
        return default_sender or None
    digits = addr.removeprefix("+")
    numeric = _numeric(digits)
    if numeric:
        alphanumeric = ton == Ton.ALPHANUMERIC and len(addr) <= ALPHANUMERIC_CHARACTERS
    else:
        alphanumeric = ton == Ton.ALPHANUMERIC or any(char.isalpha() for char in addr)
    if alphanumeric:
        return _alphanumeric(addr, ton)
    if not numeric:
        raise InvalidSource(
            f"source_addr has {_fault(digits)}, write digits only or send TON 5", ton=ton
        )
    if len(digits) <= SHORT_CODE_DIGITS:
        return digits
    whole = _with_country_code(addr, ton, numbering)
    if whole is not None and whole.startswith("0"):
        raise InvalidSource("source_addr has a 0 where its country code should begin", ton=ton)
    if len(whole or digits) > MOST_DIGITS:
        raise InvalidSource(
            f"source_addr has {len(whole or digits)} digits, not {MOST_DIGITS} at most", ton=ton
        )
    return digits if whole is None else "+" + whole


def _with_country_code(addr: str, ton: int, numbering: Numbering) -> str | None:
    """The digits of the whole international number, or None if nothing tells what it is.

    TON 1 in front of a single leading 0 is a client's fixed setting and not a statement
    about this number, because no country code begins with 0.
    """
    if addr.startswith("+"):
        return addr[1:]
    if addr.startswith("00"):
        return None if ton == Ton.NATIONAL else addr[2:]
    if ton == Ton.INTERNATIONAL and not addr.startswith("0"):
        return addr
    country, trunk = numbering.country_prefix, numbering.trunk_prefix
    if country and (ton == Ton.NATIONAL or (trunk and addr.startswith(trunk))):
        return country + addr.removeprefix(trunk)
    return None


def _alphanumeric(addr: str, ton: int) -> str:
    if len(addr) > ALPHANUMERIC_CHARACTERS:
        raise InvalidSource(
            f"an alphanumeric source_addr has {len(addr)} characters, "
            f"not {ALPHANUMERIC_CHARACTERS} at most",
            ton=ton,
        )
    if not (addr.isascii() and addr.isprintable()):
        raise InvalidSource(
            f"an alphanumeric source_addr has {_fault(addr)}, write printable ASCII", ton=ton
        )
    if addr.isspace():
        raise InvalidSource("an alphanumeric source_addr has spaces only", ton=ton)
    return addr


def _numeric(text: str) -> bool:
    """Whether there are digits 0 to 9 only; `isdigit` alone takes the superscripts of Latin-1."""
    return text.isascii() and text.isdigit()


def _fault(text: str) -> str:
    """What kind of character is wrong in `text`, without showing any of it."""
    if not text:
        return "no digits"
    if not text.isascii():
        return "a character outside ASCII"
    if not text.isprintable():
        return "a control character"
    if " " in text:
        return "a space"
    return "a letter" if any(char.isalpha() for char in text) else "punctuation"
