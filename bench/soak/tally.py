"""What is counted of the clients of a soak."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Tally:
    """Counts since the beginning. `sent` and what follows is of the steady clients alone."""

    sent: int = 0  # requests: submit_sm and query_sm
    ok: int = 0
    refused: Counter[str] = field(default_factory=Counter)  # by kind and status, as was meant
    surprises: Counter[str] = field(default_factory=Counter)  # answers that were not meant
    lost: int = 0  # without an answer
    asked: int = 0  # receipts of accepted messages
    awaited: set[bytes] = field(default_factory=set)  # message_ids whose receipt has not come
    strange: int = 0  # receipts that nobody awaits: the second one of a message, too
    guests: Counter[str] = field(default_factory=Counter)  # visits by kind and how they ended
    running: int = 0  # guests who are there

    def answered(self, kind: str, status: int, *, meant: bool) -> None:
        """Count an answer; `meant` says whether this kind is to be refused."""
        if not status:
            self.ok += 1
        if meant and status:
            self.refused[f"{kind} 0x{status:02X}"] += 1
        elif meant or status:
            self.surprises[f"{kind} 0x{status:02X}"] += 1

    def accepted(self, message_id: bytes) -> None:
        """A message that asked for a receipt has this id."""
        self.asked += 1
        self.awaited.add(message_id)

    def receipt(self, message_id: bytes) -> None:
        if message_id in self.awaited:
            self.awaited.remove(message_id)
        else:
            self.strange += 1

    def brief(self) -> dict[str, Any]:
        """For a line of progress."""
        return {
            "sent": self.sent,
            "ok": self.ok,
            "refused": sum(self.refused.values()),
            "surprises": sum(self.surprises.values()),
            "lost": self.lost,
            "awaited": len(self.awaited),
            "guests": sum(self.guests.values()),
        }
