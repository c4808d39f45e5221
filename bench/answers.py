"""The server's half of HTTP/2 and HTTP/1.1, cut down to what a measuring stub needs.

Every complete request gets the same answer, 201 with a fresh omnimessage_id. Request
headers are skipped, not decoded: nothing here is fit for anything but the bench, where the
stub must cost far less than what is measured against it.
"""

from __future__ import annotations

import itertools
import re
import secrets
import struct
from typing import Protocol

# Frame types and flags, RFC 9113 section 6.
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM = ACK = 0x1
END_HEADERS = 0x4
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DEFAULT_WINDOW = 65_535
LARGEST_WINDOW = 2**31 - 1
TOP_UP = 2**28  # octets of request bodies after which the connection's window is refilled
STREAM_WINDOW = 2**24
CONCURRENT_STREAMS = 1_000

_frame = struct.Struct(">HBBBI").unpack_from
_u32 = struct.Struct(">I")

RUN = secrets.token_hex(4).encode()
_numbers = itertools.count(1)

# Section 3 of the API's answers to POST; the two ids are one number under two variants.
BODY = (
    b'{"messages":[{"channel":"sms","message_id":"%b-0000-4000-9000-%b","sender":"Bench"}],'
    b'"omnimessage_id":"%b-0000-4000-8000-%b","to":"+37255555555"}'
)
BODY_LENGTH = len(BODY % (b"0" * 8, b"0" * 12, b"0" * 8, b"0" * 12))

# Literals without indexing over the static table: 8 is :status, 31 content-type.
HEADER_BLOCK = b"\x08\x03201" + b"\x0f\x10\x10application/json"


def pack(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def _template(kind: int, flags: int, payload: bytes, length: int) -> bytes:
    """Give a frame whose stream is a `%b`; literal percent signs must not occur."""
    return struct.pack(">I", length)[1:] + bytes((kind, flags)) + b"%b" + payload


_HTTP2_ANSWER = _template(HEADERS, END_HEADERS, HEADER_BLOCK, len(HEADER_BLOCK)) + _template(
    DATA, END_STREAM, BODY, BODY_LENGTH
)
_HTTP1_ANSWER = (
    b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    % BODY_LENGTH
) + BODY

_GREETING = pack(
    SETTINGS,
    0,
    0,
    struct.pack(">HIHI", 0x3, CONCURRENT_STREAMS, 0x4, STREAM_WINDOW),
) + pack(WINDOW_UPDATE, 0, 0, _u32.pack(LARGEST_WINDOW - DEFAULT_WINDOW))
_SETTINGS_ACK = pack(SETTINGS, ACK, 0, b"")


class ProtocolError(Exception):
    """The peer sent what this stub does not speak; the connection is of no more use."""


class Side(Protocol):
    """One connection's server side, without I/O.

    `feed` takes octets and returns what must be written at once and one token for each
    request that is now complete. `answer` returns the octets that answer those tokens;
    flow control may hold some back, which a later `feed` returns.
    """

    def feed(self, data: bytes) -> tuple[bytes, list[int]]: ...

    def answer(self, tokens: list[int]) -> bytes: ...


class Http2:
    """HTTP/2 (RFC 9113); a token is a stream identifier."""

    keeps_bodies = False

    def __init__(self) -> None:
        self._rest = b""
        self._greeted = False
        self._window = DEFAULT_WINDOW
        self._held: list[int] = []
        self._received = 0

    def feed(self, data: bytes) -> tuple[bytes, list[int]]:
        if self._rest:
            data = self._rest + data
        position, end = 0, len(data)
        control: list[bytes] = []
        if not self._greeted:
            if end < len(PREFACE):
                self._rest = data
                return b"", []
            if not data.startswith(PREFACE):
                raise ProtocolError("no HTTP/2 preface")
            position = len(PREFACE)
            self._greeted = True
            control.append(_GREETING)
        streams: list[int] = []
        while end - position >= 9:
            high, low, kind, flags, stream = _frame(data, position)
            length = high << 8 | low
            start = position + 9
            if start + length > end:
                break
            position = start + length
            if kind == DATA:
                self._received += length
                if self.keeps_bodies:
                    self.body(stream, data[start:position])
                if flags & END_STREAM:
                    streams.append(stream)
            elif kind == HEADERS:
                if flags & END_STREAM:
                    streams.append(stream)
            else:
                reply = self._other(kind, flags, stream, data[start:position])
                if reply:
                    control.append(reply)
        self._rest = data[position:]
        if self._received >= TOP_UP:
            control.append(pack(WINDOW_UPDATE, 0, 0, _u32.pack(self._received)))
            self._received = 0
        return b"".join(control), streams

    def body(self, stream: int, octets: bytes) -> None:
        """Take a piece of a request's body, if bodies are kept."""

    def _other(self, kind: int, flags: int, stream: int, payload: bytes) -> bytes:
        if kind == SETTINGS and not flags & ACK:
            return _SETTINGS_ACK
        if kind == PING and not flags & ACK:
            return pack(PING, ACK, 0, payload)
        if kind == WINDOW_UPDATE and stream == 0:
            self._window += _u32.unpack(payload)[0] & LARGEST_WINDOW
            if self._held:
                held, self._held = self._held, []
                return self.answer(held)
        return b""

    def answer(self, tokens: list[int]) -> bytes:
        room = self._window // BODY_LENGTH
        if room < len(tokens):
            self._held += tokens[room:]
            tokens = tokens[:room]
        self._window -= len(tokens) * BODY_LENGTH
        out = []
        for stream in tokens:
            octets = stream.to_bytes(4, "big")
            number = b"%012x" % next(_numbers)
            out.append(_HTTP2_ANSWER % (octets, octets, RUN, number, RUN, number))
        return b"".join(out)


class Http1:
    """HTTP/1.1 keep-alive with Content-Length bodies; a token only counts."""

    _content_length = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> tuple[bytes, list[int]]:
        if self._rest:
            data = self._rest + data
        position = complete = 0
        while (head := data.find(b"\r\n\r\n", position)) >= 0:
            found = self._content_length.search(data, position, head)
            after = head + 4 + (int(found[1]) if found else 0)
            if after > len(data):
                break
            position = after
            complete += 1
        self._rest = data[position:]
        return b"", [0] * complete

    def answer(self, tokens: list[int]) -> bytes:
        out = []
        for _ in tokens:
            number = b"%012x" % next(_numbers)
            out.append(_HTTP1_ANSWER % (RUN, number, RUN, number))
        return b"".join(out)
