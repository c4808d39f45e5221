"""The API's limit of requests per second and source address."""

from __future__ import annotations

from collections import deque

WINDOW = 1.0  # seconds
ADDRESSES = 1000  # remembered before the idle ones are forgotten


class RateLimit:
    """At most `limit` requests of an address in any one second; 0 lets everything pass.

    How the API counts is not documented. This is the strictest reading, so that a client that
    keeps within it keeps within any other. A refused request does not count.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._passed: dict[str, deque[float]] = {}

    def allows(self, address: str, now: float) -> bool:
        """Count a request and tell whether it passes. `now` is in seconds, monotonic."""
        if not self._limit:
            return True
        passed = self._passed.get(address)
        if passed is None:
            if len(self._passed) >= ADDRESSES:
                self._forget_idle(now)
            passed = self._passed[address] = deque(maxlen=self._limit)
        if len(passed) == self._limit and now - passed[0] < WINDOW:
            return False
        passed.append(now)
        return True

    def _forget_idle(self, now: float) -> None:
        idle = [address for address, passed in self._passed.items() if now - passed[-1] >= WINDOW]
        for address in idle:
            del self._passed[address]
