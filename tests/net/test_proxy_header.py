"""PROXY headers, whole, in pieces, too long, and none at all."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.protocols.haproxy._v1parser import V1Parser
from twisted.protocols.haproxy._v2parser import V2Parser

from gateway.net.proxy_header import LONGEST, BadHeader, Header, Source, read_header
from tests.net import proxy_headers as wire
from tests.net.proxy_headers import raw_v2, tlv, v1, v2

CLIENT4 = Source(IPv4Address("192.0.2.7"), 40_000)
CLIENT6 = Source(IPv6Address("2001:db8::7"), 40_000)
LONGEST_V1 = b"PROXY TCP6 " + b" ".join([b"ffff:" * 7 + b"ffff"] * 2) + b" 65535 65535\r\n"
# As HAProxy 2.8 sends for a TLS client: authority, unique id, and the certificate itself.
TLVS = tlv(0x02, b"smpp.example.com") + tlv(0x05, b"x" * 128) + tlv(0x20, b"\1" * 2_048)

GOOD: dict[str, tuple[bytes, Source | None]] = {
    "v1 of IPv4": (v1("192.0.2.7"), CLIENT4),
    "v1 of IPv6": (v1("2001:db8::7"), CLIENT6),
    "v1 at its longest": (LONGEST_V1, Source(IPv6Address("ffff:" * 7 + "ffff"), 65_535)),
    "v1 with port 0": (v1("192.0.2.7", 0), Source(IPv4Address("192.0.2.7"), 0)),
    "v1 unknown": (b"PROXY UNKNOWN\r\n", None),
    "v1 unknown with words": (b"PROXY UNKNOWN ffff::1 what ever 1 2 3\r\n", None),
    "v2 of IPv4": (v2("192.0.2.7"), CLIENT4),
    "v2 of IPv6": (v2("2001:db8::7"), CLIENT6),
    "v2 with TLVs": (v2("192.0.2.7", tlvs=TLVS), CLIENT4),
    "v2 with TLVs that are none": (v2("2001:db8::7", tlvs=b"\xff"), CLIENT6),
    "v2 at its longest": (v2("192.0.2.7", tlvs=b"\4" * (4_096 - 28)), CLIENT4),
    "v2 local": (raw_v2(wire.LOCAL, wire.UNSPEC, b""), None),
    "v2 local with an address": (v2("192.0.2.7", command=wire.LOCAL), None),
    "v2 local of UDP": (raw_v2(wire.LOCAL, wire.UDP4, b"\0" * 12), None),
    "v2 unspecified": (raw_v2(wire.PROXY, wire.UNSPEC, b"what ever"), None),
    "v2 of a socket file": (raw_v2(wire.PROXY, wire.UNIX, b"/run/x".ljust(216, b"\0")), None),
}

BAD: dict[str, tuple[bytes, str]] = {
    "an SMPP bind": (struct.pack(">IIII", 30, 9, 0, 1), "without a PROXY protocol header"),
    "a TLS handshake": (b"\x16\x03\x01\x02\x00", "without a PROXY protocol header"),
    "HTTP": (b"GET / HTTP/1.1\r\n", "without a PROXY protocol header"),
    "one octet": (b"X", "without a PROXY protocol header"),
    "lower case": (b"proxy TCP4", "without a PROXY protocol header"),
    "no space": (b"PROXYTCP4", "without a PROXY protocol header"),
    "v2 cut by a wrong octet": (wire.SIGNATURE[:11] + b"\r", "without a PROXY protocol header"),
    "v1 without an end": (b"PROXY TCP4 " + b"1" * 96, "no end within 107 octets"),
    "v1 that ends too late": (b"PROXY UNKNOWN " + b"x" * 92 + b"\r\n", "no end within 107"),
    "v1 with a lone LF": (v1("192.0.2.7")[:-2].ljust(107, b"\n"), "no end within 107"),
    "v1 of nothing": (b"PROXY \r\n", "neither TCP4 nor TCP6"),
    "v1 of UDP": (b"PROXY UDP4 192.0.2.7 192.0.2.1 1 2\r\n", "neither TCP4 nor TCP6"),
    "v1 of two spaces": (b"PROXY  TCP4 192.0.2.7 192.0.2.1 1 2\r\n", "neither TCP4 nor TCP6"),
    "v1 with a word less": (b"PROXY TCP4 192.0.2.7 192.0.2.1 1\r\n", "two addresses"),
    "v1 with a word more": (b"PROXY TCP4 192.0.2.7 192.0.2.1 1 2 3\r\n", "two addresses"),
    "v1 with a space more": (b"PROXY TCP4 192.0.2.7 192.0.2.1 1 2 \r\n", "two addresses"),
    "v1 without an address": (b"PROXY TCP4 gateway 192.0.2.1 1 2\r\n", "no IPv4Address"),
    "v1 of another address": (b"PROXY TCP4 192.0.2.7 ::1 1 2\r\n", "no IPv4Address"),
    "v1 of the other family": (b"PROXY TCP6 192.0.2.7 192.0.2.1 1 2\r\n", "no IPv6Address"),
    "v1 with zeros in front": (b"PROXY TCP4 192.0.2.007 192.0.2.1 1 2\r\n", "no IPv4Address"),
    "v1 with a zone": (b"PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n", "no IPv6Address"),
    "v1 beyond ASCII": (b"PROXY TCP4 192.0.2.\xb2 192.0.2.1 1 2\r\n", "no IPv4Address"),
    "v1 with a port too high": (b"PROXY TCP4 192.0.2.7 192.0.2.1 65536 2\r\n", "port"),
    "v1 with a port too long": (b"PROXY TCP4 192.0.2.7 192.0.2.1 000001 2\r\n", "port"),
    "v1 with no port": (b"PROXY TCP4 192.0.2.7 192.0.2.1  2\r\n", "port"),
    "v1 with a sign": (b"PROXY TCP4 192.0.2.7 192.0.2.1 +1 2\r\n", "port"),
    "v1 with a wrong second port": (b"PROXY TCP4 192.0.2.7 192.0.2.1 1 x\r\n", "port"),
    "v2 of version 1": (raw_v2(0x11, wire.TCP4, b"\0" * 12), "0x11"),
    "v2 of version 3": (raw_v2(0x31, wire.TCP4, b"\0" * 12), "0x31"),
    "v2 of command 2": (raw_v2(0x22, wire.TCP4, b"\0" * 12), "0x22"),
    "v2 of UDP": (raw_v2(wire.PROXY, wire.UDP4, b"\0" * 12), "no TCP connection"),
    "v2 of UDP6": (raw_v2(wire.PROXY, wire.UDP6, b"\0" * 36), "no TCP connection"),
    "v2 of no family": (raw_v2(wire.PROXY, 0x41, b"\0" * 12), "no TCP connection"),
    "v2 of no transport": (raw_v2(wire.PROXY, 0x10, b"\0" * 12), "no TCP connection"),
    "v2 too short for IPv4": (raw_v2(wire.PROXY, wire.TCP4, b"\0" * 11), "too short"),
    "v2 too short for IPv6": (raw_v2(wire.PROXY, wire.TCP6, b"\0" * 35), "too short"),
    "v2 one octet too long": (v2("192.0.2.7", tlvs=b"\4" * (4_097 - 28)), "4097 octets"),
    "v2 as long as it goes": (raw_v2(wire.LOCAL, 0, b"\0" * 65_535), "65551 octets"),
}


@pytest.mark.parametrize("name", GOOD)
def test_a_header_and_what_follows(name: str) -> None:
    octets, source = GOOD[name]
    for behind in (b"", b"\0\0\0\x10", b"PROXY TCP4 ", wire.SIGNATURE):
        assert read_header(octets + behind) == Header(source, len(octets))
    assert len(octets) <= LONGEST


@pytest.mark.parametrize("name", GOOD)
def test_a_header_in_two_pieces_at_every_offset(name: str) -> None:
    octets, _ = GOOD[name]
    for cut in range(len(octets)):
        assert read_header(octets[:cut]) is None, cut


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_header_and_how_soon_that_is_said(name: str) -> None:
    """As long as it may become one it is waited for; from then on it is refused for ever."""
    octets, words = BAD[name]
    with pytest.raises(BadHeader, match=words):
        read_header(octets)
    refused_from = next(cut for cut in range(len(octets) + 1) if not may_become_one(octets[:cut]))
    assert refused_from <= 107
    assert not any(may_become_one(octets[:cut]) for cut in range(refused_from, len(octets) + 1))


def may_become_one(octets: bytes) -> bool:
    try:
        return read_header(octets) is None
    except BadHeader:
        return False


ANY_OCTETS = st.builds(
    bytes.__add__,
    st.sampled_from(
        [b"", b"PROXY ", b"PROXY TCP4 ", b"PROXY TCP6 ", b"PROXY UNKNOWN", wire.SIGNATURE]
        + [wire.SIGNATURE + bytes([wire.PROXY, transport]) for transport in (0x11, 0x21, 0x31)]
    ),
    st.one_of(
        st.binary(max_size=LONGEST),
        st.text("0123456789.:abcdef \r\n", max_size=120).map(str.encode),
    ),
)


@given(ANY_OCTETS)
def test_any_octets_are_a_header_or_refused_or_waited_for(octets: bytes) -> None:
    try:
        header = read_header(octets)
    except BadHeader:
        return
    if header is None:
        assert len(octets) < LONGEST, "enough to know"
    else:
        assert 0 < header.length <= len(octets)
        assert read_header(octets[: header.length]) == header
        assert read_header(octets[: header.length - 1]) is None


@given(st.ip_addresses(), st.integers(0, 65_535), st.binary(max_size=600))
def test_twisted_reads_the_same_address(
    address: IPv4Address | IPv6Address, port: int, tlvs: bytes
) -> None:
    for octets, parser in (
        (v1(str(address), port), V1Parser()),
        (v2(str(address), port), V2Parser()),
    ):
        found = read_header(octets)
        info, rest = parser.feed(octets)
        source: Any = info.source if info else None
        assert found == Header(Source(address, port), len(octets))
        assert (ip_address(source.host), source.port) == found.source
        assert rest == b""
    assert read_header(v2(str(address), port, tlvs)) == Header(
        Source(address, port), len(v2(str(address), port, tlvs))
    )
