"""What the fuzzer runs: one parser, its promises, and a way to read an input for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Target(NamedTuple):
    """`run` takes any octets, and raises only when the code under test breaks a promise.

    `weight` is its share of the time, `longest` the octets of the longest input made, `words`
    what the fuzzer may put in: what the parser looks for and chance would not find.
    """

    run: Callable[[bytes], None]
    weight: int = 1
    longest: int = 512
    words: tuple[bytes, ...] = ()


class Octets:
    """An input taken from its front; zeros stand behind its end."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        self._at = 0

    def __len__(self) -> int:
        return max(0, len(self._octets) - self._at)

    def one(self) -> int:
        self._at += 1
        return self._octets[self._at - 1] if self._at <= len(self._octets) else 0

    def some(self, count: int) -> bytes:
        """At most `count`: there may be fewer."""
        self._at += count
        return self._octets[self._at - count : self._at]

    def rest(self) -> bytes:
        return self.some(len(self))
