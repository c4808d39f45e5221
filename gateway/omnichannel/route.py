"""Where the receipts of a message go, as few octets: what `dlr_url` carries, before it is sealed.

In order: version, flags, milliseconds (6 octets), serial (3), and then the texts, each an octet
of length and Latin-1, an address with TON and NPI in front. What is absent takes no octet. A
route with one target, the message itself, ends with its registered_delivery and
user_message_reference; any other with runs of targets.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from gateway.errors import GatewayError
from gateway.smpp.pdu import Address

LONGEST_ADDRESS: Final = 20  # of a submit_sm (SMPP 3.4 section 4.4.1), without the NUL
LONGEST_SERVICE_TYPE: Final = 5
BASE_OCTETS: Final = 16

# A route outlives the release that packed it: version 1 must be read for as long as keys live.
_VERSION: Final = 1
_V33, _SERVICE_TYPE, _TEXT, _COMMON_ID, _BASE, _REFERENCE, _RUNS = (1 << bit for bit in range(7))
_KNOWN_FLAGS: Final = (1 << 7) - 1
_HEAD_OCTETS: Final = 11  # version, flags, milliseconds, serial
_LARGEST_SERIAL: Final = (1 << 24) - 1
_LATEST: Final = 1 << 38  # seconds: their milliseconds need 48 bits
_NUMBERS: Final = 256  # of targets: an octet
_LONGEST_RUN: Final = 255


class BadRoute(GatewayError):
    """The octets hold no route."""


class Target(NamedTuple):
    """The message itself (number 0), or a part of it, that asked for receipts."""

    number: int  # 0: the message, or the part answered with the API's id; 1..255: a part
    registered_delivery: int  # the octet as the ESME wrote it
    user_message_reference: int | None = None  # 16 bits


class Route(NamedTuple):
    """Where the receipts of one API message go, and what they must repeat.

    Texts are Latin-1, so that any octet of a PDU can stand in them, and have at most 255
    characters.
    """

    system_id: str
    submitted_at: float  # wall clock; milliseconds survive sealing
    serial: int  # 0..2^24-1, distinguishes messages of one process
    source: Address  # of the submit_sm, as the ESME wrote it
    destination: Address
    service_type: str = ""
    v33: bool = False  # submitted over a bind of SMPP 3.3
    text: str = ""  # for the receipt's text: up to 20 printable ASCII characters
    common_id: str = ""  # what all destinations of a submit_multi were told, as it was written
    base: bytes = b""  # 16 octets: of the ids of the parts, see message_id.of_part
    targets: tuple[Target, ...] = ()


def pack(route: Route) -> bytes:
    """The octets of a route. Raises ValueError for a field that is out of its range."""
    (
        system_id, submitted_at, serial, (source_ton, source_npi, source), (ton, npi, destination),
        service_type, v33, text, common_id, base, targets,
    ) = route  # fmt: skip
    flags = _V33 if v33 else 0
    # chr() writes an octet below 256; above, the encoding refuses it.
    written = (
        f"{chr(len(system_id))}{system_id}"
        f"{chr(source_ton)}{chr(source_npi)}{chr(len(source))}{source}"
        f"{chr(ton)}{chr(npi)}{chr(len(destination))}{destination}"
    )
    if service_type:
        flags |= _SERVICE_TYPE
        written += chr(len(service_type)) + service_type
    if text:
        flags |= _TEXT
        written += chr(len(text)) + text
    if common_id:
        flags |= _COMMON_ID
        written += chr(len(common_id)) + common_id
    if base:
        if len(base) != BASE_OCTETS:
            raise ValueError(f"a base has {BASE_OCTETS} octets, not {len(base)}")
        flags |= _BASE
        written += base.decode("latin-1")
    if len(targets) == 1 and not targets[0].number:
        _, registered_delivery, reference = targets[0]
        written += chr(registered_delivery)
        if reference is not None:
            flags |= _REFERENCE
            written += chr(reference >> 8) + chr(reference & 0xFF)
    else:
        flags |= _RUNS
        written += _runs(targets)
    if not 0 <= submitted_at < _LATEST or not 0 <= serial <= _LARGEST_SERIAL:
        raise ValueError(f"neither {submitted_at} nor {serial} may be out of range")
    head = (_VERSION << 8 | flags) << 72 | round(submitted_at * 1000) << 24 | serial
    return head.to_bytes(_HEAD_OCTETS, "big") + written.encode("latin-1")


def _runs(targets: Iterable[Target]) -> str:
    """Targets as runs of consecutive numbers that ask for the same.

    A run is the first number, how many, registered_delivery, and either 0 or 1 with the 16 bits
    of user_message_reference. The parts of a message nearly always make one.
    """
    runs: list[tuple[Target, int]] = []
    for target in targets:
        if runs:
            first, count = runs[-1]
            if count < _LONGEST_RUN and first._replace(number=first.number + count) == target:
                runs[-1] = first, count + 1
                continue
        runs.append((target, 1))
    return "".join(
        f"{chr(number)}{chr(count)}{chr(registered_delivery)}"
        + ("\0" if reference is None else f"\1{chr(reference >> 8)}{chr(reference & 0xFF)}")
        for (number, registered_delivery, reference), count in runs
    )


def unpack(octets: bytes) -> Route:
    """The route that `pack` wrote. Raises BadRoute, and nothing else, for any other octets."""
    try:
        version, flags = octets[0], octets[1]
        if version != _VERSION or flags & ~_KNOWN_FLAGS:
            raise BadRoute(f"version {version} with flags {flags:#04x} is not known here")
        # Slices beyond the end are short and do not fail: the last check finds them.
        system_id, at = _text(octets, _HEAD_OCTETS)
        source, at = _address(octets, at)
        destination, at = _address(octets, at)
        service_type = text = common_id = ""
        if flags & _SERVICE_TYPE:
            service_type, at = _text(octets, at)
        if flags & _TEXT:
            text, at = _text(octets, at)
        if flags & _COMMON_ID:
            common_id, at = _text(octets, at)
        base = b""
        if flags & _BASE:
            base, at = octets[at : at + BASE_OCTETS], at + BASE_OCTETS
        if flags & _RUNS:
            targets = _targets(octets, at)
            at = max(at, len(octets))
        elif flags & _REFERENCE:
            targets = (Target(0, octets[at], octets[at + 1] << 8 | octets[at + 2]),)
            at += 3
        else:
            targets = (Target(0, octets[at]),)
            at += 1
    except IndexError:
        raise BadRoute("ends too early") from None
    if at != len(octets):
        raise BadRoute("has octets too few or too many")
    moment = int.from_bytes(octets[2:_HEAD_OCTETS], "big")
    return Route(
        system_id,
        (moment >> 24) / 1000,
        moment & _LARGEST_SERIAL,
        source,
        destination,
        service_type,
        bool(flags & _V33),
        text,
        common_id,
        base,
        targets,
    )


def _text(octets: bytes, at: int) -> tuple[str, int]:
    end = at + 1 + octets[at]
    return octets[at + 1 : end].decode("latin-1"), end


def _address(octets: bytes, at: int) -> tuple[Address, int]:
    addr, end = _text(octets, at + 2)
    return Address(octets[at], octets[at + 1], addr), end


def _targets(octets: bytes, at: int) -> tuple[Target, ...]:
    """The targets of the runs from `at` to the end."""
    targets: list[Target] = []
    while at < len(octets):
        number, count = octets[at], octets[at + 1]
        registered_delivery, referred = octets[at + 2], octets[at + 3]
        if not count or number + count > _NUMBERS or referred > 1:
            raise BadRoute("has a run of targets that cannot be")
        at += 4
        reference = None
        if referred:
            reference = octets[at] << 8 | octets[at + 1]
            at += 2
        targets += (
            Target(each, registered_delivery, reference) for each in range(number, number + count)
        )
    return tuple(targets)
