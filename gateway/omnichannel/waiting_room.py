"""The requests that wait for the API, in the order in which they came.

Two kinds of waiting: one that is *ready* goes as soon as the API may be asked, one that *rests*
has just failed and does not go before its pause is over. Each has a latest moment to go, after
which asking is no use; the room looks through them at most ten times a second, never one timer
each.
"""

from __future__ import annotations

import heapq
import itertools
import math
from typing import Final, Generic, TypeVar

_Item = TypeVar("_Item")

_LOOK: Final = 0.1  # seconds between two looks at who has waited for too long


class WaitingRoom(Generic[_Item]):
    """Items are told apart by identity; moments are in seconds of one clock.

    It is false while nobody waits.
    """

    def __init__(self) -> None:
        self._ready: dict[_Item, float] = {}  # until when
        self._resting: list[tuple[float, int, _Item, float]] = []  # a heap, by the pause's end
        self._numbers = itertools.count()
        self._looked_at = -math.inf
        self._look_at = math.inf

    def __bool__(self) -> bool:
        return bool(self._ready or self._resting)

    @property
    def any_ready(self) -> bool:
        return bool(self._ready)

    @property
    def next_at(self) -> float:
        """When somebody's pause is over, or somebody may have waited for too long."""
        return min(self._look_at, self._resting[0][0] if self._resting else math.inf)

    def enter(self, item: _Item, latest: float) -> None:
        """It is ready, and may go until `latest`."""
        self._ready[item] = latest
        self._look_at = min(self._look_at, max(latest, self._looked_at + _LOOK))

    def rest(self, item: _Item, until: float, latest: float) -> None:
        """It is ready at `until`, which is not after `latest`."""
        heapq.heappush(self._resting, (until, next(self._numbers), item, latest))

    def wake(self, now: float) -> None:
        """Whose pause is over is ready."""
        while self._resting and self._resting[0][0] <= now:
            _, _, item, latest = heapq.heappop(self._resting)
            self.enter(item, latest)

    def next_ready(self) -> _Item | None:
        """The first that is ready; it has left the room."""
        for item in self._ready:
            del self._ready[item]
            return item
        return None

    def next(self) -> _Item | None:
        """The first that is ready, or else the one whose pause ends first; it has left."""
        found = self.next_ready()
        if found is None and self._resting:
            _, _, found, _ = heapq.heappop(self._resting)
        return found

    def late(self, now: float, most: int) -> list[_Item]:
        """Those whose latest moment has passed, not more than `most` at a time; they have left."""
        if now < self._look_at:
            return []
        found = [item for item, latest in self._ready.items() if latest < now]
        self._looked_at = now
        self._look_at = now if len(found) > most else self._next_look(now)
        for item in found[:most]:
            del self._ready[item]
        return found[:most]

    def _next_look(self, now: float) -> float:
        left = (latest for latest in self._ready.values() if latest >= now)
        return max(min(left, default=math.inf), now + _LOOK)
