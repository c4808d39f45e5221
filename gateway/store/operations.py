"""What a store can be asked for, each as a value. See `contract.Store`.

What is a value already stands for its own operation: `NewPart`, `FailedSet`, `Report` and
`Awaited`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from gateway.store.base import Awaited, FailedSet, NewPart, Outcome, Report, SettledReceipt


class Settle(NamedTuple):
    """`Store.settle`."""

    base: bytes


class Release(NamedTuple):
    """`Store.release`."""

    base: bytes
    outcome: Outcome


class Expire(NamedTuple):
    """`Store.expire`."""

    now: float
    limit: int


class SettleReceipt(NamedTuple):
    """`Store.settle_receipts`."""

    settled: SettledReceipt


class Claim(NamedTuple):
    """`Store.claim`."""

    now: float
    quotas: Sequence[tuple[str, int]]


class ExpireReceipts(NamedTuple):
    """`Store.expire_receipts`."""

    due_before: float
    now: float
    limit: int


class ClaimAwaited(NamedTuple):
    """`Store.claim_awaited`."""

    now: float
    limit: int
    lease_until: float


class Postpone(NamedTuple):
    """`Store.postpone`."""

    key: bytes
    next_at: float


class EndAwaited(NamedTuple):
    """`Store.end_awaited`."""

    key: bytes


class LookAt(NamedTuple):
    """`Store.look`."""

    now: float


class KeepId(NamedTuple):
    """`Store.keep_ids`."""

    system_id: str
    message_id: str
    now: float


class FindId(NamedTuple):
    """`Store.find_ids`."""

    system_id: str
    number: int


class SaveMemories(NamedTuple):
    """`Store.save_memories`."""

    memories: Mapping[str, bytes]


class LoadMemories(NamedTuple):
    """`Store.load_memories`."""


class Purge(NamedTuple):
    """`Store.purge`."""

    ids_before: float
    finals_before: float
    dead_before: float


Operation = (
    Settle
    | FailedSet
    | Release
    | NewPart
    | Expire
    | SettleReceipt
    | Report
    | Claim
    | ExpireReceipts
    | Awaited
    | ClaimAwaited
    | Postpone
    | EndAwaited
    | LookAt
    | KeepId
    | FindId
    | SaveMemories
    | LoadMemories
    | Purge
)

# What each is called in a metric and in the log.
NAMES: Final[dict[type[Any], str]] = {
    NewPart: "add",
    Settle: "settle",
    Release: "release",
    FailedSet: "fail",
    Expire: "expire",
    Report: "report",
    Claim: "claim",
    SettleReceipt: "settle_receipt",
    ExpireReceipts: "expire_receipts",
    Awaited: "await_report",
    ClaimAwaited: "claim_awaited",
    Postpone: "postpone",
    EndAwaited: "end_awaited",
    LookAt: "look",
    KeepId: "keep_id",
    FindId: "find_id",
    SaveMemories: "save_memories",
    LoadMemories: "load_memories",
    Purge: "purge",
}
