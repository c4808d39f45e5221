"""Messages that share a request, each of which is answered by its own deadline.

Nobody waits longer because others may, and nobody has less time because others do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, Generic, Protocol, TypeVar

from twisted.internet.interfaces import IDelayedCall, IReactorTime

_EARLY: Final = 0.1  # seconds before a deadline, so that the answer is out by then
_PORTION: Final = 100  # messages whose time is over in one turn of the event loop


class Timed(Protocol):
    """`deadline` is in the clock's seconds."""

    deadline: float


_T = TypeVar("_T", bound=Timed)


class Deadlines(Generic[_T]):
    """Calls `over` with each of `items` when its time is over. One timer, until `stop`."""

    def __init__(
        self, clock: IReactorTime, items: Iterable[_T], over: Callable[[_T], None]
    ) -> None:
        self._clock = clock
        self._over = over
        self._left = sorted(items, key=lambda item: item.deadline, reverse=True)
        self._timer: IDelayedCall | None = None
        self._arm()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        self._left.clear()

    def _arm(self) -> None:
        if self._left:
            left = self._left[-1].deadline - _EARLY - self._clock.seconds()
            self._timer = self._clock.callLater(max(0.0, left), self._ring)

    def _ring(self) -> None:
        self._timer = None
        now = self._clock.seconds()
        due: list[_T] = []
        while self._left and self._left[-1].deadline - _EARLY <= now and len(due) < _PORTION:
            due.append(self._left.pop())
        self._arm()
        for item in due:
            self._over(item)
