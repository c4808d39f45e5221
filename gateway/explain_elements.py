"""The information elements of a user data header in words, 3GPP TS 23.040 section 9.2.3.24."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from gateway.explain_words import Explained
from gateway.message import gsm_languages, udh

# Bits 1-0 of a special message indication (section 9.2.3.24.2).
WAITING: Final = ("voice", "fax", "e-mail", "other")
VIDEO: Final = 0b00111  # bits 4-0: "other", and of the extended kinds the only one so far


def part_words(number: int, total: int, reference: int) -> str:
    """Which part of which message."""
    return f"part {number} of {total}, reference {reference}"


def explain_element(element: udh.Element, later: tuple[udh.Element, ...]) -> Explained:
    """One element; `later` are those behind it, of which one may win over it."""
    explained: Explained = {
        "iei": f"0x{element.iei:02X}",
        "name": udh.NAMES.get(element.iei, "reserved"),
        "data": element.data.hex(),
    }
    for ieis, read in READINGS:
        if element.iei not in ieis:
            continue
        if not (words := read(_alone(element))):
            explained["meaning"] = "ignored: its length or its values cannot be right"
            continue
        overridden = ieis != _INDICATION and any(
            other.iei in ieis and read(_alone(other)) for other in later
        )
        explained["meaning"] = f"{words}; a later element wins" if overridden else words
    return explained


def _alone(element: udh.Element) -> udh.UserDataHeader:
    """A header of this element only, for the gateway's own readings."""
    return udh.UserDataHeader(b"", (element,))


def _concatenation(header: udh.UserDataHeader) -> str:
    found = udh.concatenation(header)
    return part_words(found.number, found.total, found.reference) if found else ""


def _ports(header: udh.UserDataHeader) -> str:
    found = udh.ports(header)
    return f"to port {found.destination}, from port {found.source}" if found else ""


def _waiting(header: udh.UserDataHeader) -> str:
    return ", ".join(
        f"{found.messages} {_kind(found.kind)} waiting, "
        + ("store this message" if found.store else "discard this message")
        for found in udh.message_waiting(header)
    )


def _kind(kind: int) -> str:
    return "video" if kind & 0x1F == VIDEO else WAITING[kind & 0x03]


def _locking(header: udh.UserDataHeader) -> str:
    return _language(udh.languages(header)[0], gsm_languages.LOCKING)


def _single(header: udh.UserDataHeader) -> str:
    return _language(udh.languages(header)[1], gsm_languages.SINGLE)


def _language(language: int, tables: dict[int, Any]) -> str:
    if language in tables:
        return gsm_languages.NAMES[language]
    name = gsm_languages.NAMES.get(language, f"language {language}")
    return f"{name} has no such table: the default one is used"


_INDICATION: Final = frozenset({udh.SPECIAL_INDICATION})  # each kind has an element of its own

# Identifiers of which the last counts, and what the gateway reads in one of them.
READINGS: Final[tuple[tuple[frozenset[int], Callable[[udh.UserDataHeader], str]], ...]] = (
    (frozenset({udh.CONCATENATION_8, udh.CONCATENATION_16}), _concatenation),
    (frozenset({udh.PORTS_8, udh.PORTS_16}), _ports),
    (_INDICATION, _waiting),
    (frozenset({udh.LOCKING_SHIFT}), _locking),
    (frozenset({udh.SINGLE_SHIFT}), _single),
)
