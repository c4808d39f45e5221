"""Whether the API can be connected to, as far as attempts have shown. Pure: moments go in.

- `UP`: everybody asks.
- `SUSPECT`: an attempt was certainly not sent, because no connection could be made. From now on
  only probes go out, with growing pauses; all others wait for what comes of them, as a thousand
  messages that each try for themselves cost a thousand connects and the CPU.
- `DOWN`: that has lasted for fail_fast_after and nothing got through. Nobody waits any more,
  and one probe goes out every probe_interval.

Any answer means UP, whatever its status: a 401 or a 429 is a matter of the credentials, a 503
one of the message. So an API that refuses some connections and serves others stays UP.

What an attempt has shown is as old as the attempt. A failure counts for nothing if an answer
was read since it began. A request that was sent and not answered shows that there was a
connection when it began, and may have gone out long before the trouble did.
"""

from __future__ import annotations

import enum
import math
from typing import Final

FIRST_PAUSE: Final = 0.1  # seconds before the second attempt; doubles with each further one
LONGEST_PAUSE: Final = 2.0


class State(enum.Enum):
    """What is to become of a request; see the head of the module."""

    UP = "up"
    SUSPECT = "suspect"
    DOWN = "down"


class Availability:
    """The state and what it needs; `now` and `began` are moments of one clock, in seconds.

    `fail_fast_after` (0: never DOWN) and `probe_interval` are in seconds and may be replaced
    at any time.
    """

    def __init__(self, fail_fast_after: float = 2.0, probe_interval: float = 1.0) -> None:
        self.fail_fast_after = fail_fast_after
        self.probe_interval = probe_interval
        self.state = State.UP
        self.since = 0.0  # when the present or the last trouble began
        self.probe_at = math.inf  # when the next probe is due
        self._pause = FIRST_PAUSE
        self._answered_at = -math.inf

    def answered(self, now: float) -> None:
        """An answer was read, of any status."""
        self._answered_at = now
        self.state = State.UP
        self.probe_at = math.inf

    def sent(self, began: float, now: float) -> None:
        """A request that began then may have been read, and no answer came."""
        if self.state is not State.UP and began >= self.since:
            self.answered(now)

    def failed(self, began: float, now: float) -> None:
        """No connection could be made for an attempt that began then."""
        if began < self._answered_at:
            return
        if self.state is State.UP:
            self.state = State.SUSPECT
            self.since = now
            self._pause = FIRST_PAUSE
            self._next_probe(now)
        if now < self._gives_up_at():
            self.state = State.SUSPECT
        elif self.state is not State.DOWN:
            self.state = State.DOWN
            self._next_probe(now)

    def probing(self, now: float) -> None:
        """A probe goes out; the next one is due whether it has ended then or not.

        A probe that hangs on its way to the API must not keep the others from going.
        """
        self._pause = min(self._pause * 2, LONGEST_PAUSE)
        self._next_probe(now)

    def _gives_up_at(self) -> float:
        return self.since + self.fail_fast_after if self.fail_fast_after else math.inf

    def _next_probe(self, now: float) -> None:
        if self.state is State.DOWN:
            self.probe_at = now + self.probe_interval
            return
        self.probe_at = now + self._pause
        if now < self._gives_up_at() < self.probe_at:
            self.probe_at = self._gives_up_at()  # the one that decides
