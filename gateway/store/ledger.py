"""What a store remembers beside the database: the sets in sending, and how many there are.

It follows the transaction: `rollback` takes back what was noted since `begin`.
"""

from __future__ import annotations

from typing import NamedTuple

from gateway.store.base import Counts


class Taken(NamedTuple):
    """A set in sending."""

    id: int
    digest: bytes
    parts: int  # in the store


class Ledger:
    """The sets that this process has in sending, and the counts of all."""

    def __init__(self, counts: Counts) -> None:
        self.sets, self.parts = counts
        self._taken: dict[bytes, Taken] = {}
        self._before: dict[bytes, Taken | None] = {}
        self._counts = counts

    def begin(self) -> None:
        self._before.clear()
        self._counts = Counts(self.sets, self.parts)

    def rollback(self) -> None:
        self.sets, self.parts = self._counts
        for base, taken in self._before.items():
            self._put(base, taken)
        self._before.clear()

    def gain(self, sets: int, parts: int) -> None:
        """So many more are stored."""
        self.sets += sets
        self.parts += parts

    def take(self, base: bytes, taken: Taken) -> None:
        """`base` is in sending from now on."""
        self._before.setdefault(base, self._taken.get(base))
        self._taken[base] = taken

    def give_back(self, base: bytes) -> Taken | None:
        """`base` is in sending no more; None when it was not."""
        taken = self._taken.pop(base, None)
        if taken is not None:
            self._before.setdefault(base, taken)
        return taken

    def delete(self, base: bytes) -> Taken | None:
        """`base` is deleted; None when it was not in sending."""
        taken = self.give_back(base)
        if taken is not None:
            self.gain(-1, -taken.parts)
        return taken

    def _put(self, base: bytes, taken: Taken | None) -> None:
        if taken is None:
            self._taken.pop(base, None)
        else:
            self._taken[base] = taken
