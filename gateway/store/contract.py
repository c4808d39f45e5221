"""What a store must do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from gateway.store.base import (
    Added,
    Awaited,
    Counts,
    ExpiredSet,
    FailedSet,
    Look,
    NewPart,
    Outcome,
    Pending,
    Report,
    Reported,
    SettledReceipt,
)


class Store(Protocol):
    """A store. Every method is called from one thread, and is durable when it returns.

    All raise `StoreUnavailable`. Lists are worked on as if one by one, in their order.
    """

    def transaction(self) -> AbstractContextManager[object]:
        """Calls within are one transaction: all of them or, when the block raises, none."""

    def add(self, parts: Sequence[NewPart]) -> list[Added]:
        """One result for each part. Raises ValueError for a number outside 1..total."""

    def settle(self, bases: Sequence[bytes]) -> None: ...

    def release(self, sets: Sequence[tuple[bytes, Outcome]]) -> None: ...

    def expire(self, now: float, limit: int) -> list[ExpiredSet]:
        """At most `limit` sets with a deadline up to `now`, the oldest deadline first."""

    def fail(self, sets: Sequence[FailedSet]) -> None:
        """The report of a set that is not in sending is not stored."""

    def report(self, reports: Sequence[Report]) -> list[Reported]:
        """Store the receipts of each report that tells something new.

        A final one is new unless a final one is known, and ends what was awaited for its
        message. It takes the place of an "unknown" one that was not claimed yet, and of
        interim ones that were tried and wait to be tried again. An interim one is new for the
        first time that its state is told, an "unknown" one for the first time, both until the
        final one is known: then they are "stale". What has no receipts is not remembered,
        except a final one that ended something.

        A set with `base` that a dead process left, outcome "unknown", is deleted unless it is
        in sending again: the API has it.
        """

    def claim(self, now: float, quotas: Sequence[tuple[str, int]]) -> list[list[Pending]]:
        """For each (system_id, limit): receipts that are due, leased now, the oldest first."""

    def settle_receipts(self, settled: Sequence[SettledReceipt]) -> None:
        """Those not leased by this process are left alone.

        An interim receipt that is to be tried again is deleted if the final one is known.
        """

    def expire_receipts(self, due_before: float, now: float, limit: int) -> list[str]:
        """Give up receipts that were due before a time and are not leased.

        They are dead, with the reason "expired". A system_id for each, the oldest first.
        """

    def await_reports(self, awaited: Sequence[Awaited]) -> None:
        """Keep them; a key that is there already stays as it is."""

    def claim_awaited(self, now: float, limit: int, lease_until: float) -> list[Awaited]:
        """Those to ask for, the longest due first; not due again before `lease_until`."""

    def postpone(self, postponed: Sequence[tuple[bytes, float]]) -> None:
        """Set the `next_at` of each key, and count the poll."""

    def end_awaited(self, keys: Sequence[bytes]) -> None: ...

    def look(self, now: float) -> Look:
        """When another process wrote, the counts are counted anew."""

    def keep_ids(self, ids: Sequence[tuple[str, str, float]]) -> list[int]:
        """A 32-bit number, never 0, for each (system_id, message_id, now).

        It is unique for the system_id: the first eight hexadecimal digits of message_id if
        those are free, else one derived from message_id. The same message gets the same again.
        """

    def find_ids(self, numbers: Sequence[tuple[str, int]]) -> list[str | None]:
        """The message_id for each (system_id, number)."""

    def save_memories(self, memories: Mapping[str, bytes]) -> None:
        """Keep one blob for each system_id, in place of the one before."""

    def load_memories(self) -> dict[str, bytes]: ...

    def purge(self, ids_before: float, finals_before: float, dead_before: float) -> bool:
        """Forget short ids kept, reports on messages submitted, and receipts that died before.

        Deletes a bounded number of rows; True when there may be more.
        """

    def counts(self) -> Counts:
        """Exact, from memory."""

    def close(self) -> None: ...
