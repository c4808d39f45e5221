"""Octets of a TCP stream -> whole PDUs, by command_length alone.

Framing is the only thing whose failure costs the session: when the length makes no sense,
the start of the next PDU is unknown. The same check catches HTTP and TLS octets on the
SMPP port, whose first four octets read as an absurd length.
"""

from __future__ import annotations

import struct
from typing import Final

from gateway.errors import GatewayError
from gateway.smpp.constants import CommandStatus

HEADER: Final = struct.Struct(">IIII")
_LENGTH: Final = struct.Struct(">I")

# What the first four octets are when a stranger knocks (read as command_length).
STRANGERS: Final[dict[bytes, str]] = {
    b"GET ": "an HTTP request",
    b"POST": "an HTTP request",
    b"HEAD": "an HTTP request",
    b"OPTI": "an HTTP request",
    b"PRI ": "an HTTP/2 client",
    b"SSH-": "an SSH client",
    b"PROX": "a PROXY protocol header",
    b"\r\n\r\n": "a PROXY protocol header",  # version 2
}


class BadLength(GatewayError):
    """command_length is below 16 or above the limit; the stream cannot be read further."""

    command_status = CommandStatus.ESME_RINVCMDLEN

    def __init__(self, head: bytes, limit: int) -> None:
        """`head` is what has been received of the header, at least 4 octets."""
        (length,) = _LENGTH.unpack_from(head)
        if head[:2] == b"\x16\x03":
            what = "a TLS handshake on the plain port"
        else:
            # A long number in decimal would be masked in the log, like a phone number.
            number = f"{length}" if length < 1_000_000 else f"0x{length:08X}"
            what = STRANGERS.get(head[:4], f"command_length {number}")
        super().__init__(f"{what}; a PDU has 16 to {limit} octets", command_length=length)
        self.sequence_number = HEADER.unpack_from(head)[3] if len(head) >= HEADER.size else 0


class Framer:
    """Holds the octets of one stream that are not yet taken.

    `limit` is the largest PDU accepted, in octets; it may change between two PDUs (a
    session allows less before it is bound). `feed` never looks at the octets; `next_pdu`
    takes one whole PDU at a time, so that a session can stop in the middle of a chunk.
    """

    __slots__ = ("_buffer", "_taken", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._buffer: bytes | bytearray = b""
        self._taken = 0

    def feed(self, octets: bytes) -> None:
        """Append what was received."""
        if self._taken == len(self._buffer):
            self._buffer = octets
        else:
            # A bytearray grows in place: a client that writes octet by octet costs no more.
            if isinstance(self._buffer, bytes):
                self._buffer = bytearray(self._buffer[self._taken :])
            else:
                del self._buffer[: self._taken]
            self._buffer += octets
        self._taken = 0

    def next_pdu(self) -> bytes | None:
        """Take one PDU with its header; None while it is incomplete.

        Raises `BadLength`, again at every further call.
        """
        have = len(self._buffer) - self._taken
        if have < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack_from(self._buffer, self._taken)
        if not HEADER.size <= length <= self.limit:
            head = bytes(self._buffer[self._taken : self._taken + HEADER.size])
            raise BadLength(head, self.limit)
        if have < length:
            return None
        start = self._taken
        self._taken = end = start + length
        pdu = bytes(self._buffer[start:end])
        if end == len(self._buffer):
            self._buffer, self._taken = b"", 0
        return pdu

    @property
    def pending(self) -> int:
        """Octets received and not yet taken."""
        return len(self._buffer) - self._taken
