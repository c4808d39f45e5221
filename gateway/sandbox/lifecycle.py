"""What becomes of an accepted message: the statuses that it comes to, and when. Pure.

One course is the source of both: the callbacks to dlr_url and what GET status tells.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple


class Step(NamedTuple):
    """A status that a message comes to.

    That is `share` delivery delays and `seconds` after it is sent. The callback leaves then,
    or after `told` delivery delays.
    """

    status: str
    err: int = 0
    share: float = 1.0
    seconds: float = 0.0
    told: float | None = None


@dataclass(frozen=True, slots=True)
class Course:
    """The statuses of a message in their order, and what is odd about its callbacks."""

    steps: tuple[Step, ...]
    copies: int = 1  # of each callback; 0 is none
    forged: bool = False  # the signature is wrong
    before_answer: bool = False  # the first callback is answered before the client's POST is


DELIVERED: Final = Course((Step("DELIVRD"),))
CANCELLED: Final = Step("DELETED")


class Reached(NamedTuple):
    """A step and the moment at which a message came to it."""

    step: Step
    at: datetime


@dataclass(frozen=True, slots=True)
class Timeline:
    """The course of one message. `begins` is when it is sent, `delay` the delivery delay in s."""

    course: Course
    begins: datetime
    delay: float

    def reached(self, now: datetime) -> Reached | None:
        """Return the last step that the message has come to, None while it is in process."""
        last = None
        for step in self.course.steps:
            if (at := self._after(step.share, step)) <= now:
                last = Reached(step, at)
        return last

    def callbacks(self) -> list[tuple[datetime, Reached]]:
        """Return what is to be told and when, in the order of telling."""
        if not self.course.copies:
            return []
        told = [
            (
                self._after(step.share if step.told is None else step.told, step),
                Reached(step, self._after(step.share, step)),
            )
            for step in self.course.steps
        ]
        return sorted(told, key=lambda each: each[0])  # stable: steps at one time keep their order

    def _after(self, share: float, step: Step) -> datetime:
        return self.begins + timedelta(seconds=share * self.delay + step.seconds)
