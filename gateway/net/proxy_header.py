"""The PROXY protocol, versions 1 and 2: what a balancer says of the client behind it. Pure.

Only the source address is of use here. Twisted has a parser of its own (protocols.haproxy),
which lets ValueError out of a port that is no number, takes any word for an address, gives up on
a header that arrives in two pieces, and buffers 64 KiB.

Source: HAProxy's proxy-protocol.txt, sections 2.1 and 2.2.
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address
from typing import Final, NamedTuple

_V1: Final = b"PROXY "
_V2: Final = b"\r\n\r\n\0\r\nQUIT\n"
_V1_LONGEST: Final = 107  # octets with CR LF
# The specification has a header fit the smallest segment, 536 octets; but the certificate of a
# TLS client, which HAProxy can add, does not. nginx reads as much as this.
_V2_LONGEST: Final = 4_096
LONGEST: Final = max(_V1_LONGEST, _V2_LONGEST)  # octets that decide about any header

_HEAD: Final = struct.Struct(">12sBBH")
_IPV4: Final = struct.Struct(">4s4sHH")  # source, destination, and their ports
_IPV6: Final = struct.Struct(">16s16sHH")
_LOCAL, _PROXY = 0x20, 0x21  # version 2 and its command
_UNSPECIFIED, _TCP4, _TCP6, _UNIX_STREAM = 0x00, 0x11, 0x21, 0x31  # family and transport


class Source(NamedTuple):
    """Where the client of a balancer connects from."""

    address: IPv4Address | IPv6Address
    port: int


class Header(NamedTuple):
    """A whole header: `length` octets are its own, what follows is the client's.

    `source` is None where the balancer speaks for itself (its health checks), or for a client
    that it has no IP address of.
    """

    source: Source | None
    length: int


class BadHeader(ValueError):
    """These octets begin no PROXY header that can be taken; the words say why."""


def read_header(octets: bytes) -> Header | None:
    """The header at the beginning of a connection, None while it is incomplete.

    Raises `BadHeader` as soon as that is certain, with `LONGEST` octets at the latest.
    """
    if octets.startswith(_V1):
        return _version_1(octets)
    if octets.startswith(_V2):
        return _version_2(octets)
    if _V1.startswith(octets) or _V2.startswith(octets):
        return None
    raise BadHeader("the connection begins without a PROXY protocol header")


def _version_1(octets: bytes) -> Header | None:
    end = octets.find(b"\r\n", 0, _V1_LONGEST)
    if end < 0:
        if len(octets) >= _V1_LONGEST:
            raise BadHeader(f"the PROXY line has no end within {_V1_LONGEST} octets")
        return None
    words = octets[:end].split(b" ")
    length = end + 2
    if words[1] == b"UNKNOWN":  # whatever follows is to be ignored
        return Header(None, length)
    kind: type[IPv4Address | IPv6Address]
    if words[1] == b"TCP4":
        kind = IPv4Address
    elif words[1] == b"TCP6":
        kind = IPv6Address
    else:
        raise BadHeader("the PROXY line is neither TCP4 nor TCP6 nor UNKNOWN")
    if len(words) != 6:
        raise BadHeader("the PROXY line has not two addresses and two ports")
    source, _ = (_address(word, kind) for word in words[2:4])
    port, _ = (_port(word) for word in words[4:6])
    return Header(Source(source, port), length)


def _address(word: bytes, kind: type[IPv4Address | IPv6Address]) -> IPv4Address | IPv6Address:
    try:
        if b"%" not in word:  # a zone, which the balancer's machine has and ours has not
            return kind(word.decode("ascii"))
    except ValueError:  # UnicodeDecodeError is one
        pass
    raise BadHeader(f"the PROXY line has an address that is no {kind.__name__}")


def _port(word: bytes) -> int:
    if not (word.isdigit() and len(word) <= 5 and int(word) <= 65_535):
        raise BadHeader("the PROXY line has a port that is none")
    return int(word)


def _version_2(octets: bytes) -> Header | None:
    if len(octets) < _HEAD.size:
        return None
    _, command, transport, size = _HEAD.unpack_from(octets)
    length = _HEAD.size + size
    if command not in {_LOCAL, _PROXY}:
        raise BadHeader(f"the PROXY header has the version and command 0x{command:02x}")
    if length > _V2_LONGEST:
        raise BadHeader(f"the PROXY header has {length} octets, more than {_V2_LONGEST}")
    addresses: struct.Struct | None = None
    kind: type[IPv4Address | IPv6Address] = IPv4Address
    if command == _PROXY:
        if transport == _TCP4:
            addresses = _IPV4
        elif transport == _TCP6:
            addresses, kind = _IPV6, IPv6Address
        elif transport not in {_UNSPECIFIED, _UNIX_STREAM}:
            raise BadHeader(f"the PROXY header is of no TCP connection, but 0x{transport:02x}")
    if addresses is not None and size < addresses.size:
        raise BadHeader(f"the PROXY header is too short for its addresses: {size} octets")
    if len(octets) < length:
        return None
    if addresses is None:
        return Header(None, length)
    source, _, port, _ = addresses.unpack_from(octets, _HEAD.size)  # and then TLVs, of no use
    return Header(Source(kind(source), port), length)
