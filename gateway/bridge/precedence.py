"""What must go before a receipt: its submit's response, and earlier states of its message."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.store.base import Pending


@dataclass(slots=True)
class _Queue:
    ahead: int = 0  # how many things must happen first
    parked: list[Pending] = field(default_factory=list)


class Precedence:
    """Receipts that wait, by the key of their message."""

    def __init__(self) -> None:
        self._queues: dict[bytes, _Queue] = {}

    def hold(self, key: bytes) -> None:
        """Something goes before every receipt of this message; `release` it once."""
        self._queues.setdefault(key, _Queue()).ahead += 1

    def release(self, key: bytes) -> list[Pending]:
        """It is done; what may leave because of that, in order."""
        queue = self._queues.get(key)
        if queue is None:
            return []
        queue.ahead -= 1
        if queue.ahead:
            return []
        del self._queues[key]
        return queue.parked

    def park(self, pending: Pending) -> bool:
        """Keep it until what goes before is done; False when nothing does."""
        queue = self._queues.get(pending.key)
        if queue is None:
            return False
        queue.parked.append(pending)
        return True
