"""What a store remembers beside the database: what this process has in hand, and how much there is.

It follows the transaction: `rollback` takes back what was noted since `begin`.
"""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeVar

from gateway.store.base import Counts

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class Taken(NamedTuple):
    """A set in sending."""

    id: int
    digest: bytes
    parts: int  # in the store


class Leased(NamedTuple):
    """A receipt that this process delivers."""

    key: bytes
    interim: bool


class InHand(Generic[_Key, _Value]):
    """What this process has taken; a dict that can go back to how it was."""

    def __init__(self) -> None:
        self._now: dict[_Key, _Value] = {}
        self._before: dict[_Key, _Value | None] = {}

    def begin(self) -> None:
        self._before.clear()

    def rollback(self) -> None:
        for key, value in self._before.items():
            if value is None:
                self._now.pop(key, None)
            else:
                self._now[key] = value
        self._before.clear()

    def take(self, key: _Key, value: _Value) -> None:
        self._before.setdefault(key, self._now.get(key))
        self._now[key] = value

    def give_back(self, key: _Key) -> _Value | None:
        """Have it no more; None when it was not taken."""
        value = self._now.pop(key, None)
        if value is not None:
            self._before.setdefault(key, value)
        return value


class Ledger:
    """The sets in sending by their base, the receipts leased by their id, and the counts."""

    def __init__(self, counts: Counts) -> None:
        self.counts = counts
        self.data_version = 0  # of the database, when others' writes were last looked for
        self.sets: InHand[bytes, Taken] = InHand()
        self.receipts: InHand[int, Leased] = InHand()
        self._before = counts, 0

    def begin(self) -> None:
        self.sets.begin()
        self.receipts.begin()
        self._before = self.counts, self.data_version

    def rollback(self) -> None:
        self.sets.rollback()
        self.receipts.rollback()
        self.counts, self.data_version = self._before

    def gain(
        self, *, sets: int = 0, parts: int = 0, receipts: int = 0, dead: int = 0, awaited: int = 0
    ) -> None:
        """So many more are stored."""
        gained = sets, parts, receipts, dead, awaited
        self.counts = Counts(*(a + b for a, b in zip(self.counts, gained, strict=True)))

    def delete_set(self, base: bytes) -> Taken | None:
        """`base` is deleted; None when it was not in sending."""
        taken = self.sets.give_back(base)
        if taken is not None:
            self.gain(sets=-1, parts=-taken.parts)
        return taken
