"""How often the API may be asked: a limit over any second, a burst, and pauses. Pure.

The API counts requests as they arrive, and on the way some catch up with those before them.
So the limit holds for a little more than a second here, and never more than `burst` leave at
once; the rest are spread evenly.
"""

from __future__ import annotations

from collections import deque
from typing import Final

# By how much the way to the API may squeeze a second's requests together, in seconds.
_JITTER: Final = 0.05
_LOWERED: Final = 0.5  # of the rate, after the API said that it was too high
_LOWERED_FOR: Final = 10.0  # seconds after which the whole rate is tried again


class Rate:
    """At most `limit` requests in any second, of which `burst` at once; limit 0 allows all.

    Moments are monotonic seconds. `take` belongs behind a `ready_at` that has come.
    """

    def __init__(self, limit: float, burst: int) -> None:
        self._next = 0.0  # when the next request is due, were there no burst
        self._sent: deque[float] = deque()  # of the last second
        self._paused_until = 0.0
        self._lowered_until = 0.0
        self.change(limit, burst)

    def change(self, limit: float, burst: int) -> None:
        """Other numbers from now on; what was sent before counts."""
        self.limit = limit
        self.burst = max(1, min(burst, int(limit))) if limit else 0
        self._interval = (1 + _JITTER) / limit if limit else 0.0
        self._most = max(1, int(limit))

    def interval(self, now: float) -> float:
        """Seconds between two requests of a long row; 0 without a limit."""
        return self._interval / _LOWERED if now < self._lowered_until else self._interval

    def ready_at(self, now: float) -> float:
        """When the next request may leave: `now`, or later."""
        ready = max(now, self._paused_until)
        if not self._interval:
            return ready
        interval = self.interval(now)
        ready = max(ready, self._next - (self.burst - 1) * interval)
        if len(self._sent) >= self._most:
            ready = max(ready, self._sent[-self._most] + 1 + _JITTER)
        return ready

    def take(self, now: float) -> None:
        """A request leaves."""
        if not self._interval:
            return
        self._next = max(self._next, now) + self.interval(now)
        sent = self._sent
        sent.append(now)
        if len(sent) > self._most:
            sent.popleft()

    def late(self, since: float, now: float) -> None:
        """What left from `since` on is on its way only now: that is when the API counts it."""
        sent = self._sent
        for place in range(len(sent) - 1, -1, -1):
            if sent[place] < since:
                break
            sent[place] = now

    def refused(self, now: float, retry_after: float) -> None:
        """The API answered 429: nothing for `retry_after` seconds, then less for a while."""
        self._paused_until = max(self._paused_until, now + retry_after)
        self._lowered_until = self._paused_until + _LOWERED_FOR
