"""The store's rules in the plainest form: one operation at a time, in lists, in memory."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.store.base import (
    Complete,
    Counts,
    ExpiredSet,
    NewPart,
    Outcome,
    SetKey,
    StoredPart,
    StoreFull,
    Waiting,
)


@dataclass
class ModelSet:
    base: bytes
    key: SetKey
    deadline: float
    state: str = "attached"  # attached | sending | detached
    outcome: Outcome = ""
    parts: dict[int, StoredPart] = field(default_factory=dict)


class Model:
    """Its bases are numbers in octets; otherwise it answers as a store does."""

    def __init__(self, max_parts: int) -> None:
        self.max_parts = max_parts
        self.sets: list[ModelSet] = []
        self.opened = 0

    def attached(self, key: SetKey) -> ModelSet | None:
        return next((s for s in self.sets if s.state == "attached" and s.key == key), None)

    def sending(self, base: bytes) -> ModelSet | None:
        return next((s for s in self.sets if s.state == "sending" and s.base == base), None)

    def counts(self) -> Counts:
        return Counts(len(self.sets), sum(len(one.parts) for one in self.sets))

    def add(self, part: NewPart) -> Waiting | Complete | StoreFull:
        one = self.attached(part.key) or ModelSet(b"%d" % self.opened, part.key, part.deadline)
        replaced = part.number in one.parts
        completes = not replaced and len(one.parts) == part.key.total - 1
        if not (replaced or completes) and self.counts().parts >= self.max_parts:
            return StoreFull("full")
        if one not in self.sets:
            self.sets.append(one)
            self.opened += 1
        if completes:
            one.state = "sending"
            pdus = {number: stored.pdu for number, stored in one.parts.items()}
            pdus[part.number] = part.pdu
            return Complete(one.base, tuple(pdus[number] for number in sorted(pdus)))
        one.parts[part.number] = StoredPart(part.number, part.pdu, part.received_at, part.common_id)
        return Waiting(one.base, replaced)

    def settle(self, base: bytes) -> None:
        self.sets = [one for one in self.sets if one is not self.sending(base)]

    def release(self, base: bytes, outcome: Outcome) -> None:
        one = self.sending(base)
        if one is not None:
            one.state = "detached" if self.attached(one.key) else "attached"
            one.outcome = outcome

    def expire(self, now: float, limit: int) -> list[ExpiredSet]:
        due = [one for one in self.sets if one.state != "sending" and one.deadline <= now]
        due.sort(key=lambda one: one.deadline)
        for one in due[:limit]:
            one.state = "sending"
        return [
            ExpiredSet(
                one.base,
                one.key.system_id,
                one.key.total,
                one.outcome,
                tuple(one.parts[number] for number in sorted(one.parts)),
            )
            for one in due[:limit]
        ]

    def reopen(self) -> None:
        for one in sorted(self.sets, key=lambda one: one.deadline):
            if one.state == "sending":
                self.release(one.base, "unknown")
