"""One request to the API over all its attempts, as `attempts` sees it.

There is one for every message, so it has methods, and no closures and no Deferred of its own:
that is a tenth of what a message costs. `Asked` has both, for what is rarer.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from gateway.omnichannel.availability import FIRST_PAUSE, LONGEST_PAUSE
from gateway.omnichannel.outcome import Outcome
from gateway.omnichannel.transport import HttpResult

TRANSPORT_SLACK: Final = 0.25  # by how much a transport may overrun its timeout
SHORTEST_TIMEOUT: Final = 0.05  # seconds; with less left, another attempt is no use


class Exchange(ABC):
    """How one request is made, and what becomes of its result.

    Attempts begin in time for `deadline`, and an answer is waited for until `last`; both are
    moments of the clock. At its end `done` is called, or `failed`, or both if `done` fails.
    """

    __slots__ = ("_pause", "deadline", "last")

    def __init__(self, deadline: float, last: float | None = None) -> None:
        """`last` is `deadline` if it is not given."""
        self.deadline = deadline
        self.last = deadline if last is None else last
        self._pause = FIRST_PAUSE / 2

    @abstractmethod
    def call(self, timeout: float) -> Deferred[HttpResult]:
        """Make the request; its result comes within so many seconds."""

    @abstractmethod
    def read(self, result: HttpResult, seconds: float) -> Outcome:
        """What the result of one attempt comes to, which took so long; 0: none was made."""

    @abstractmethod
    def done(self, outcome: Outcome) -> None:
        """The last attempt came to this."""

    @abstractmethod
    def failed(self, failure: Failure) -> None:
        """A fault of ours on the way; whoever asked must hear of it."""

    @property
    def latest(self) -> float:
        """When an attempt must begin at the latest."""
        return self.deadline - TRANSPORT_SLACK - SHORTEST_TIMEOUT

    def next_pause(self) -> float:
        self._pause = min(self._pause * 2, LONGEST_PAUSE)
        return self._pause


class Asked(Exchange):
    """One whose two halves are functions; its Deferred fires once with what it came to."""

    __slots__ = ("_call", "_read", "deferred")

    def __init__(
        self,
        call: Callable[..., Deferred[HttpResult]],
        read: Callable[[HttpResult, float], Outcome],
        deadline: float,
        last: float | None = None,
    ) -> None:
        """`call` takes the `timeout`."""
        super().__init__(deadline, last)
        self._call = call
        self._read = read
        self.deferred: Deferred[Outcome] = Deferred()

    def call(self, timeout: float) -> Deferred[HttpResult]:
        return self._call(timeout=timeout)

    def read(self, result: HttpResult, seconds: float) -> Outcome:
        return self._read(result, seconds)

    def done(self, outcome: Outcome) -> None:
        self.deferred.callback(outcome)

    def failed(self, failure: Failure) -> None:
        if not self.deferred.called:
            self.deferred.errback(failure)
