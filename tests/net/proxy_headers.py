"""PROXY headers as balancers write them, from the specification and not from the gateway."""

from __future__ import annotations

import struct
from ipaddress import ip_address

SIGNATURE = b"\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a"
LOCAL, PROXY = 0x20, 0x21
UNSPEC, TCP4, UDP4, TCP6, UDP6, UNIX = 0x00, 0x11, 0x12, 0x21, 0x22, 0x31


def v1(source: str, port: int = 40_000, destination: str = "", to_port: int = 2775) -> bytes:
    family = "TCP4" if ip_address(source).version == 4 else "TCP6"
    destination = destination or source
    return f"PROXY {family} {source} {destination} {port} {to_port}\r\n".encode("ascii")


def v2(source: str, port: int = 40_000, tlvs: bytes = b"", command: int = PROXY) -> bytes:
    packed = ip_address(source).packed
    transport = TCP4 if len(packed) == 4 else TCP6
    return raw_v2(command, transport, packed * 2 + struct.pack(">HH", port, 2775) + tlvs)


def raw_v2(command: int, transport: int, rest: bytes) -> bytes:
    return SIGNATURE + bytes([command, transport]) + struct.pack(">H", len(rest)) + rest


def tlv(kind: int, value: bytes) -> bytes:
    return struct.pack(">BH", kind, len(value)) + value
