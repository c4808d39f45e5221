"""What a bind of the load generator submits: PDUs that are encoded once and then only patched."""

from __future__ import annotations

import struct
from typing import Protocol

SUBMIT_SM = 0x00000004
UDHI = 0x40  # esm_class: short_message begins with a user data header
UCS2 = 0x08  # data_coding
MESSAGE_PAYLOAD = 0x0424
HEADER = struct.Struct(">IIII")

TEXT = b"Your code is 123456. It is valid for ten minutes."
TOTAL = 2  # parts of every long message
# 153 characters fill a part beside a header of six octets; the last part is shorter.
TEXTS = ((TEXT * 4)[:153], (TEXT * 2)[:98])
MESSAGES = 100_000_000  # as many numbers as the eight digits of a destination have
DESTINATION = b"37255555555"
CYRILLIC = "Ваш код 123456. Он действует десять минут.".encode("utf-16-be")
LONG = (TEXT * 21)[:1_000]
# Of what `Mixed` repeats.
MIXED_SUBMITS, MIXED_MESSAGES = 5, 4


class Submits(Protocol):
    """Gives the next submit_sm of one bind, for ever."""

    @property
    def unfinished(self) -> bool:
        """Whether a message lacks its last part."""

    def encode(self, sequence_numbers: range) -> bytes: ...


def body(
    destination: bytes,
    short_message: bytes,
    esm_class: int = 0,
    registered_delivery: int = 0,
    data_coding: int = 0,
) -> bytes:
    """One submit_sm as a bank sends it: alphanumeric sender, international number, GSM text."""
    source = bytes((5, 0)) + b"Bench\0"
    # esm_class, protocol_id, priority_flag; no times; registered_delivery,
    # replace_if_present_flag, data_coding, sm_default_msg_id
    head = b"\0" + source + bytes((1, 1)) + destination + b"\0" + bytes((esm_class, 0, 0))
    tail = bytes((registered_delivery, 0, data_coding, 0, len(short_message)))
    return head + b"\0\0" + tail + short_message


class Whole:
    """Messages of one part, all alike; with `receipts`, each asks for one."""

    unfinished = False

    def __init__(self, *, receipts: bool = False) -> None:
        tail = body(DESTINATION, TEXT, registered_delivery=int(receipts))
        self._head, self._tail = _head(tail), tail

    def encode(self, sequence_numbers: range) -> bytes:
        head, tail = self._head, self._tail
        return b"".join([head + number.to_bytes(4, "big") + tail for number in sequence_numbers])


class Parts:
    """Messages of two parts, joined by the concatenation header `05 00 03 ref total seq`.

    Each message has a number: `first`, then `step` further each time. Its last eight digits
    are those of the destination, its last octet the reference, so no two of 100,000,000
    messages belong together, whatever is still in flight. `incomplete` leaves out every
    last part; with `receipts` each part asks for one.
    """

    def __init__(
        self, first: int, step: int, *, incomplete: bool = False, receipts: bool = False
    ) -> None:
        self.next = first
        self._step = step
        self._part = 1
        self._parts = 1 if incomplete else TOTAL
        self._templates = [_template(part, int(receipts)) for part in range(1, TOTAL + 1)]

    @property
    def unfinished(self) -> bool:
        return self._part != 1

    def encode(self, sequence_numbers: range) -> bytes:
        out = []
        for number in sequence_numbers:
            message = self.next
            out.append(
                self._templates[self._part - 1]
                % (number.to_bytes(4, "big"), b"%08d" % (message % MESSAGES), message & 0xFF)
            )
            if self._part == self._parts:
                self._part = 1
                self.next = message + self._step
            else:
                self._part += 1
        return b"".join(out)


class Mixed:
    """In turn: a short message, one in UCS-2, one in two parts, and 1,000 octets in one TLV.

    Each asks for a receipt. Those in parts are numbered as `Parts` are.
    """

    def __init__(self, first: int, step: int) -> None:
        self._parts = Parts(first, step, receipts=True)
        short = body(DESTINATION, TEXT, registered_delivery=1)
        other = body(DESTINATION, CYRILLIC, registered_delivery=1, data_coding=UCS2)
        long = body(DESTINATION, b"", registered_delivery=1)
        long += struct.pack(">HH", MESSAGE_PAYLOAD, len(LONG)) + LONG
        self._bodies = (short, other, None, None, long)
        self._turn = 0

    @property
    def next(self) -> int:
        return self._parts.next

    @property
    def unfinished(self) -> bool:
        return self._turn != 0

    def encode(self, sequence_numbers: range) -> bytes:
        out = []
        for number in sequence_numbers:
            whole = self._bodies[self._turn]
            if whole is None:
                out.append(self._parts.encode(range(number, number + 1)))
            else:
                out.append(_head(whole) + number.to_bytes(4, "big") + whole)
            self._turn = (self._turn + 1) % MIXED_SUBMITS
        return b"".join(out)


def _head(whole: bytes) -> bytes:
    """Of a submit_sm with this body, up to its sequence_number."""
    return HEADER.pack(HEADER.size + len(whole), SUBMIT_SM, 0, 0)[:12]


def _template(part: int, registered_delivery: int) -> bytes:
    """Give a PDU with places for sequence_number, digits of the destination and reference."""
    header = bytes((5, 0, 3, 0, TOTAL, part))
    whole = body(b"372" + bytes(8), header + TEXTS[part - 1], UDHI, registered_delivery)
    digits, reference = whole.index(b"372") + 3, whole.index(header) + 3
    pieces = whole[:digits], whole[digits + 8 : reference], whole[reference + 1 :]
    head = _head(whole)
    before, between, after = (piece.replace(b"%", b"%%") for piece in pieces)
    return head.replace(b"%", b"%%") + b"%b" + before + b"%b" + between + b"%c" + after
