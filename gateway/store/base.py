"""What the store keeps, as values, and what a store must do.

The life of a long message ("set"):

- The first part opens a set, which is *attached* to its key. Parts with that key join it,
  and a part with a number that is already there replaces the one before.
- The part that completes a set is handed out with the others and is not stored itself. In
  the same transaction the set becomes *sending* and is detached from its key, so that the
  next part with this key opens another set: clients reuse references, some use 0 for all.
- `settle` deletes a set that was sent. `release` puts back one that was not: it waits for
  the client's retry, attached again unless another set took the key meanwhile; then it
  stays detached until its deadline.
- `expire` hands out sets, attached or detached, whose deadline is over, as sending; `fail`
  deletes such a set and records what its sender must be told, both or neither.
- What a process that died left in sending is put back, with the outcome "unknown", when
  the store is opened.

A set in sending belongs to this process until it is settled, released or failed. Doing
any of these to another set changes nothing, so that a repetition does no harm.

Time is an argument: wall clock, in seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Final, Literal, NamedTuple, Protocol

from gateway.errors import GatewayError
from gateway.smpp.constants import CommandStatus

BASE_OCTETS: Final = 16

Outcome = Literal["", "refused", "unknown"]
"""What became of a set when it was last sent: "" never sent; "refused" certainly not
accepted; "unknown" perhaps accepted."""


class StoreUnavailable(GatewayError):
    """The store did not do it; nothing of the operation is stored.

    `whole` says that the database itself is at fault (disk full, locked), so that other
    operations would fare no better now.
    """

    command_status = CommandStatus.ESME_RSYSERR
    temporary = True

    def __init__(self, detail: str, *, whole: bool = False) -> None:
        super().__init__(detail)
        self.whole = whole


class StoreFull(GatewayError):
    """No room for one more part; parts that complete or replace are still taken."""

    command_status = CommandStatus.ESME_RMSGQFUL
    temporary = True


class SetKey(NamedTuple):
    """What the parts of one long message have in common."""

    system_id: str
    source: str
    destination: str
    kind: str  # udh8 | udh16 | sar
    reference: int
    total: int


class NewPart(NamedTuple):
    """A part to add."""

    key: SetKey
    number: int  # 1..total
    pdu: bytes
    received_at: float
    deadline: float  # of the set, if this part opens one
    common_id: str = ""  # what its sender was told, if that is not the part's own id


class Waiting(NamedTuple):
    """The part is committed; its set misses others."""

    base: bytes
    replaced: bool


class Complete(NamedTuple):
    """All parts in order, with the one that completed them; `settle` or `release` the set."""

    base: bytes
    pdus: tuple[bytes, ...]


Added = Waiting | Complete | StoreFull


class StoredPart(NamedTuple):
    """A part as it lies in the store."""

    number: int
    pdu: bytes
    received_at: float
    common_id: str = ""


class ExpiredSet(NamedTuple):
    """A set whose deadline is over, with its parts in order; `settle`, `release` or `fail` it."""

    base: bytes
    system_id: str
    total: int
    outcome: Outcome
    parts: tuple[StoredPart, ...]


class PendingReceipt(NamedTuple):
    """A receipt to be delivered to `system_id`."""

    system_id: str
    message_id: str
    pdu: bytes
    message_state: int
    submitted_at: float
    done_at: float


class FailedSet(NamedTuple):
    """A set to delete, and the receipts for its parts."""

    base: bytes
    receipts: Sequence[PendingReceipt]


class Counts(NamedTuple):
    """Sets and parts in the store, those in sending included."""

    sets: int
    parts: int


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
        """The receipts of a set that is not in sending are not recorded."""

    def keep_ids(self, ids: Sequence[tuple[str, str, float]]) -> list[int]:
        """A 32-bit number, never 0, for each (system_id, message_id, now).

        It is unique for the system_id: the first eight hexadecimal digits of message_id if
        those are free (or this message's already), else a random one.
        """

    def find_ids(self, numbers: Sequence[tuple[str, int]]) -> list[str | None]:
        """The message_id for each (system_id, number)."""

    def save_memories(self, memories: Mapping[str, bytes]) -> None:
        """Keep one blob for each system_id, in place of the one before."""

    def load_memories(self) -> dict[str, bytes]: ...

    def purge(self, ids_before: float, receipts_before: float) -> bool:
        """Forget short ids kept, and receipts done, before these times.

        Deletes a bounded number of rows; True when there may be more.
        """

    def counts(self) -> Counts:
        """Exact, from memory."""

    def close(self) -> None: ...
