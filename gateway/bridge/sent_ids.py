"""Which messages an account has sent, remembered in a few bits each. Pure.

query_sm and cancel_sm must not reach another account's message, and a plain message leaves no
row. So each account keeps a pair of Bloom filters of the ids that it was given: 32 bits and
four positions an id. An id that was never added is taken for known about twice in ten
thousand times, which is no way in: ids are random, and one must be known before it can be
asked for. When the newer filter is full the older one is dropped: between `capacity` and
twice as many of the newest ids are known.
"""

from __future__ import annotations

import struct
import zlib
from hashlib import blake2b
from typing import Final

_BITS_EACH: Final = 32
_POSITIONS: Final = struct.Struct(">4I")
_HEAD: Final = struct.Struct(">II")  # capacity, ids in the newer filter


class SentIds:
    """The ids of one account."""

    __slots__ = ("_capacity", "_count", "_newer", "_older", "changed")

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._count = 0
        # Made when the first id comes: most accounts of most gateways send little.
        self._newer = bytearray()
        self._older = bytearray()
        self.changed = False  # since the last `dump`

    def add(self, message_id: str) -> None:
        if not self._newer or self._count >= self._capacity:
            self._older = self._newer
            self._newer = bytearray(self._capacity * _BITS_EACH // 8)
            self._count = 0
        bits = self._newer
        for position in self._positions(message_id):
            bits[position >> 3] |= 1 << (position & 7)
        self._count += 1
        self.changed = True

    def __contains__(self, message_id: str) -> bool:
        positions = self._positions(message_id)
        return any(
            all(bits[position >> 3] & 1 << (position & 7) for position in positions)
            for bits in (self._newer, self._older)
            if bits
        )

    def _positions(self, message_id: str) -> list[int]:
        digest = blake2b(message_id.encode(), digest_size=_POSITIONS.size).digest()
        size = self._capacity * _BITS_EACH
        return [number % size for number in _POSITIONS.unpack(digest)]

    def dump(self) -> bytes:
        """What `load` takes; small while few ids were added."""
        self.changed = False
        head = _HEAD.pack(self._capacity, self._count)
        return head + zlib.compress(self._newer + self._older, 1)

    def load(self, dumped: bytes) -> None:
        """Add what `dump` gave; another capacity, or what cannot be read, is left out."""
        size = self._capacity * _BITS_EACH // 8
        try:
            capacity, count = _HEAD.unpack_from(dumped)
            bits = zlib.decompress(dumped[_HEAD.size :])
        except (struct.error, zlib.error):
            return
        if capacity == self._capacity and len(bits) in {size, 2 * size}:
            self._count += count
            self._newer = _either(self._newer, bits[:size])
            self._older = _either(self._older, bits[size:])


def _either(one: bytes | bytearray, other: bytes) -> bytearray:
    """The bits that are set in one of the two; empty stands for none."""
    both = int.from_bytes(one) | int.from_bytes(other)
    return bytearray(both.to_bytes(max(len(one), len(other))))
