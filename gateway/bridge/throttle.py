"""A rate with a burst, as the generic cell rate algorithm: one number of state. Pure."""

from __future__ import annotations


class Throttle:
    """Allows `rate` a second on average and `burst` at once; rate 0 allows everything."""

    __slots__ = ("_interval", "_next", "_tolerance")

    def __init__(self, rate: float, burst: int = 0) -> None:
        """`burst` 0 stands for one second's worth, at least 1."""
        self._interval = 1 / rate if rate else 0.0
        self._tolerance = (burst or max(1.0, rate)) * self._interval
        self._next = 0.0

    def allows(self, now: float) -> bool:
        """Take one at `now` (seconds); False when the rate is used up."""
        if not self._interval:
            return True
        earliest = max(self._next, now)
        if earliest - now > self._tolerance + self._interval:
            earliest = now  # the clock was set back: Twisted's seconds are the system's time
        if earliest - now > self._tolerance - self._interval + 1e-9:
            return False
        self._next = earliest + self._interval
        return True
