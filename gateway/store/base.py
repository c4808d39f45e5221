"""What the store keeps, as values.

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

The life of a delivery receipt:

- A *report* tells what became of a message. It becomes receipts, one for each part whose
  sender asked, which wait until they are due; or it is a repetition, and becomes nothing.
- `claim` *leases* due receipts to this process, which settles each: it was delivered, is to
  be tried again, is dead, or was not tried. What a process that died had leased waits again
  when the store is opened.
- A final report is remembered when its receipts are gone. An "unknown" one is held: a final
  one that comes before it is claimed takes its place, and from then on it is the final one.
- An *awaited* report is one to ask for; any final report of its message ends that.

Time is an argument: wall clock, in seconds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from gateway.errors import GatewayError
from gateway.smpp.constants import CommandStatus

BASE_OCTETS: Final = 16
KEY_OCTETS: Final = 16

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


Kind = Literal["final", "interim", "unknown"]
"""Whether more is to come; "unknown" is final unless something better comes in time."""


class NewReceipt(NamedTuple):
    """A receipt to be stored."""

    message_id: str  # as its ESME reads it
    message_state: int
    pdu: bytes  # encoded deliver_sm, sequence_number 0


class Report(NamedTuple):
    """What became of one message of the API."""

    system_id: str
    key: bytes  # from `message_key`
    kind: Kind
    receipts: Sequence[NewReceipt]  # all with one message_state; empty: it only ends awaiting
    submitted_at: float
    received_at: float
    due_at: float  # not to be delivered before
    leased: bool = False  # the caller delivers it at once, as if it had claimed it
    base: bytes = b""  # of the set that it is about, which a dead process may have left


class Reported(NamedTuple):
    """What a report was."""

    outcome: Literal["new", "repeated", "stale"]
    ids: tuple[int, ...] = ()  # of the receipts stored, in order; none unless it is new


class Pending(NamedTuple):
    """A receipt that was claimed; settle it."""

    id: int
    system_id: str
    key: bytes
    message_id: str
    kind: Kind
    message_state: int
    pdu: bytes
    attempts: int  # before this one
    submitted_at: float
    received_at: float
    due_at: float


class Delivered(NamedTuple):
    """The ESME has the receipt."""

    id: int


class Retry(NamedTuple):
    """The receipt is to be tried again."""

    id: int
    not_before: float
    command_status: int | None  # None: no answer


class Returned(NamedTuple):
    """The receipt was not tried: it is pending as it was before it was claimed."""

    id: int


class Dead(NamedTuple):
    """The receipt is given up; it is kept aside for a person to look at."""

    id: int
    command_status: int | None
    reason: str
    now: float


SettledReceipt = Delivered | Retry | Returned | Dead


class Awaited(NamedTuple):
    """A report to ask the API for."""

    key: bytes  # from `message_key`
    system_id: str
    message_id: str  # the API's
    route: bytes
    submitted_at: float
    next_at: float  # when to ask next
    polls: int = 0


class Look(NamedTuple):
    """How the receipts are."""

    oldest_due_at: float | None  # of those that are due, leased ones included
    changed: bool  # another process wrote to the database since the last look


class FailedSet(NamedTuple):
    """A set to delete, and what its sender must be told. The report is never leased."""

    base: bytes
    report: Report | None


class Counts(NamedTuple):
    """Sets and parts in the store, those in sending included; receipts, leased ones included."""

    sets: int
    parts: int
    receipts: int = 0
    dead: int = 0
    awaited: int = 0


def message_key(submitted_at: float, message_id: str) -> bytes:
    """The API's message in 16 octets.

    The time comes first, as 4 octets of seconds, so that what was submitted together lies
    together in the store. Fractions of a millisecond do not count.
    """
    seconds = round(submitted_at * 1_000) // 1_000
    digest = hashlib.blake2b(message_id.encode(), digest_size=KEY_OCTETS - 4).digest()
    return seconds.to_bytes(4, "big") + digest
