"""The store's rules about receipts in the plainest form: one at a time, in lists, in memory."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.store.base import (
    Awaited,
    Counts,
    Dead,
    Delivered,
    Look,
    NewReceipt,
    Pending,
    Report,
    Reported,
    Retry,
    SettledReceipt,
)


@dataclass
class ModelReceipt:
    id: int
    report: Report
    receipt: NewReceipt
    not_before: float
    leased: bool
    attempts: int = 0
    last_status: int | None = None
    dead: str = ""

    def pending(self) -> Pending:
        report, receipt = self.report, self.receipt
        return Pending(
            self.id, report.system_id, report.key, receipt.message_id, report.kind,
            receipt.message_state, receipt.pdu, self.attempts, report.submitted_at,
            report.received_at, report.due_at,
        )  # fmt: skip


class ReceiptModel:
    """It gives ids in order from 1, as a store does that starts empty."""

    def __init__(self) -> None:
        self.receipts: list[ModelReceipt] = []
        self.finals: set[bytes] = set()
        self.held: set[bytes] = set()
        self.interims: set[tuple[bytes, int]] = set()
        self.awaited: list[Awaited] = []
        self.last = 0

    def live(self) -> list[ModelReceipt]:
        return [one for one in self.receipts if not one.dead]

    def counts(self) -> Counts:
        live = len(self.live())
        return Counts(0, 0, live, len(self.receipts) - live, len(self.awaited))

    def report(self, report: Report) -> Reported:
        key = report.key
        if report.kind == "final":
            before = len(self.awaited)
            self.end_awaited(key)
            ended = len(self.awaited) < before
            if key in self.finals:
                return Reported("repeated")
            for one in self.live():
                gone = one.report.kind == "unknown" or (
                    one.report.kind == "interim" and one.attempts > 0
                )
                if one.report.key == key and gone and not one.leased:
                    self.receipts.remove(one)
                    ended = True
            if report.receipts or ended:
                self.finals.add(key)
            return self.store(report)
        if key in self.finals:
            return Reported("stale")
        if not report.receipts:
            return Reported("new")
        if report.kind == "unknown":
            if key in self.held:
                return Reported("repeated")
            self.held.add(key)
            if report.leased:
                self.finals.add(key)
            return self.store(report)
        told = key, report.receipts[0].message_state
        if told in self.interims:
            return Reported("repeated")
        self.interims.add(told)
        return self.store(report)

    def store(self, report: Report) -> Reported:
        ids = []
        for receipt in report.receipts:
            self.last += 1
            ids.append(self.last)
            made = ModelReceipt(self.last, report, receipt, report.due_at, report.leased)
            self.receipts.append(made)
        return Reported("new", tuple(ids))

    def claim(self, now: float, quotas: list[tuple[str, int]]) -> list[list[Pending]]:
        claims = []
        for system_id, limit in quotas:
            due = [
                one
                for one in self.live()
                if one.report.system_id == system_id and not one.leased and one.not_before <= now
            ]
            due.sort(key=lambda one: (one.not_before, one.id))
            for one in due[:limit]:
                one.leased = True
                if one.report.kind == "unknown":
                    self.finals.add(one.report.key)
            claims.append([one.pending() for one in due[:limit]])
        return claims

    def settle(self, settled: SettledReceipt) -> None:
        for one in self.live():
            if one.id != settled.id or not one.leased:
                continue
            one.leased = False
            if isinstance(settled, Delivered):
                self.receipts.remove(one)
            elif isinstance(settled, Retry):
                one.attempts += 1
                one.not_before = settled.not_before
                if one.report.kind == "interim" and one.report.key in self.finals:
                    self.receipts.remove(one)
            elif isinstance(settled, Dead):
                one.attempts += 1
                one.dead = settled.reason

    def expire(self, due_before: float, limit: int) -> list[str]:
        due = [one for one in self.live() if not one.leased and one.report.due_at < due_before]
        due.sort(key=lambda one: (one.report.due_at, one.id))
        for one in due[:limit]:
            one.dead = "expired"
        return [one.report.system_id for one in due[:limit]]

    def look(self, now: float) -> Look:
        due = [one.report.due_at for one in self.live() if one.report.due_at <= now]
        return Look(min(due, default=None), changed=False)

    def await_report(self, awaited: Awaited) -> None:
        if all(one.key != awaited.key for one in self.awaited):
            self.awaited.append(awaited)

    def claim_awaited(self, now: float, limit: int, lease_until: float) -> list[Awaited]:
        due = [one for one in self.awaited if one.next_at <= now]
        due.sort(key=lambda one: (one.next_at, one.key))
        for one in due[:limit]:
            self.change(one, one._replace(next_at=lease_until))
        return due[:limit]

    def postpone(self, key: bytes, next_at: float) -> None:
        for one in list(self.awaited):
            if one.key == key:
                self.change(one, one._replace(next_at=next_at, polls=one.polls + 1))

    def change(self, one: Awaited, other: Awaited) -> None:
        self.awaited[self.awaited.index(one)] = other

    def end_awaited(self, key: bytes) -> None:
        self.awaited = [one for one in self.awaited if one.key != key]

    def reopen(self) -> None:
        for one in self.live():
            one.leased = False
        self.last = max((one.id for one in self.receipts), default=0)
