"""When each request may leave for the API, and which messages leave together.

- *The rate* holds for all that is asked, with whosever credentials: the API counts by the
  address that requests come from. Each set of credentials has a rate of its own beside it,
  because the API may say 429 to one and not to another.
- *A message goes alone and at once* while nothing waits. When the rate is used up, messages wait
  in a fair queue, and the next request takes along as many as it may of those that wait with the
  same credentials: it is requests that the API counts, not messages.
- *Who cannot be answered in time is told at once*, not at the end of its time.
- *A 429 is no acceptance*: what it refused goes back to the head of the queue. Nothing is asked
  with these credentials for as long as the API says, and less for a while behind that.

All that waits hangs on one timer. One turn of the event loop sends, and tells, no more than a
portion of it: sessions have theirs between.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from gateway.omnichannel.lane import Errand, Lane, Message
from gateway.omnichannel.rate import Rate

LEAST_TIME: Final = 0.3  # seconds that a request must have left beside those of its answer
_LONGEST_ANSWER: Final = 10.0  # seconds that are reckoned with
_WEIGHT: Final = 0.1  # of the latest answer among all
_LOOK: Final = 0.25  # seconds between two looks for those whose time is over
_PORTION: Final = 100  # requests that leave in one turn, or errands that are left out
_MESSAGES: Final = 1000  # that leave in one turn, about: the request that reaches it goes
_TOO_LATE: Final = "waited for the API until it was too late to ask it"
_STOPPING: Final = "the gateway stops"

_M = TypeVar("_M", bound=Message)


@dataclass(frozen=True, slots=True)
class Pacing:
    """Numbers of the configuration.

    `rate_limit` (0: none) is in requests a second, of which `burst` leave at once. `bulk_max`
    messages go in one request (1: none share), with `bulk_octets` in its body. `most` messages
    and questions, and `most_octets` of messages' bodies, may wait.
    """

    rate_limit: float = 0
    burst: int = 4
    bulk_max: int = 1000
    bulk_octets: int = 1_000_000
    most: int = 10_000
    most_octets: int = 64 * 1024 * 1024


class Pacer:
    """See the head of the module. `clock` is the reactor."""

    def __init__(
        self,
        clock: IReactorTime,
        pacing: Pacing,
        leave: Callable[[Lane, Sequence[Errand]], None],
    ) -> None:
        """`leave` makes one request of what it is given."""
        self.pacing = pacing
        self.rate = Rate(pacing.rate_limit, pacing.burst)
        self.waiting = 0  # messages and questions
        self.octets = 0
        self.answer_time = 0.0  # seconds that the API takes, of late
        self._clock = clock
        self._send = leave
        self._lanes: dict[str, Lane] = {}  # by authorization
        self._busy: OrderedDict[Lane, None] = OrderedDict()  # that are true; the next first
        self._timer: IDelayedCall | None = None
        self._timer_at = 0.0
        self._turn_began: float | None = None  # of the event loop, in which requests leave
        self._look_at = math.inf  # when somebody's time may be over

    def change(self, pacing: Pacing) -> None:
        """Go by other numbers from now on."""
        self.pacing = pacing
        for rate in (self.rate, *(lane.rate for lane in self._lanes.values())):
            rate.change(pacing.rate_limit, pacing.burst)
        self._arm(self._clock.seconds(), self._busy)

    def close(self) -> None:
        """Leave out all that waits; nobody waits from now on."""
        self.pacing = replace(self.pacing, most=0)
        self._take_out(lambda _: True, _STOPPING)

    def lane(self, authorization: str) -> Lane:
        """Where what is asked with these credentials goes."""
        lane = self._lanes.get(authorization)
        if lane is None:
            lane = Lane(Rate(self.pacing.rate_limit, self.pacing.burst))
            self._lanes[authorization] = lane
        return lane

    # What comes in.

    def message(self, lane: Lane, message: Message) -> None:
        """Send it now, or have it wait, or leave it out."""
        if not (self.pacing.rate_limit or self._busy):
            self._send(lane, [message])
            return
        now = self._clock.seconds()
        if self._goes_at_once(lane, now):
            self._leave(lane, [message], now)
        elif self._full(message.octets):
            message.leave_out(f"{self.waiting} messages wait for the API, no more may")
        elif not self._in_time(lane, message, now):
            words = f"{self.waiting} messages wait for the API: it would be too late for this one"
            message.leave_out(words)
        else:
            lane.messages.add(message, message.account, message.priority)
            self._note(lane, [message])
            self._arm(now, [lane])

    def question(self, lane: Lane, question: Errand) -> None:
        """Send what shares its request with nothing: now, or in its turn."""
        now = self._clock.seconds()
        if self._goes_at_once(lane, now):
            self._leave(lane, [question], now)
        elif self._full(question.octets):
            question.leave_out(f"{self.waiting} messages wait for the API, no more may")
        else:
            lane.questions.append(question)
            self._note(lane, [question])
            self._arm(now, [lane])

    def refused(self, lane: Lane, errands: Sequence[_M], retry_after: float) -> list[_M]:
        """The API answered 429; gives those back for whom waiting is no use.

        Without a limit of ours nothing waits: the clients themselves are to slow down.
        """
        if not self.pacing.rate_limit:
            return list(errands)
        now = self._clock.seconds()
        lane.rate.refused(now, retry_after)
        late = []
        for message in reversed(errands):
            if self._late(message, now + retry_after):
                late.append(message)
                continue
            lane.messages.put_back(message, message.account, message.priority)
            self._note(lane, [message])
        self._arm(now, [lane])
        return late

    def divide(self, lane: Lane, messages: Sequence[Message]) -> None:
        """The API refused them as a whole, without a word on each: its halves are asked."""
        middle = len(messages) // 2
        for half in filter(None, (messages[:middle], messages[middle:])):
            lane.portions.append(list(half))
            self._note(lane, half)
        self._arm(self._clock.seconds(), [lane])

    def answered(self, seconds: float) -> None:
        """So long the API took: who leaves with less time left may be accepted, and not know."""
        self.answer_time += (min(seconds, _LONGEST_ANSWER) - self.answer_time) * _WEIGHT

    # Who goes when.

    def _goes_at_once(self, lane: Lane, now: float) -> bool:
        if self.rate.ready_at(now) > now or lane.rate.ready_at(now) > now or lane:
            return False
        return not any(other.rate.ready_at(now) <= now for other in self._busy)

    def _full(self, octets: int) -> bool:
        pacing = self.pacing
        return self.waiting >= pacing.most or self.octets + octets > pacing.most_octets

    def _in_time(self, lane: Lane, message: Message, now: float) -> bool:
        """Whether it may leave in time, at the pace of the moment."""
        last = message.deadline - LEAST_TIME - self.answer_time
        left = last - max(self.rate.ready_at(now), lane.rate.ready_at(now))
        others = len(self._busy) - (lane in self._busy)
        pace = max(self.rate.interval(now) * (others + 1), lane.rate.interval(now))

        def in_time_behind(ahead: int) -> bool:
            return lane.requests_before(message, ahead, self.pacing.bulk_max) * pace <= left

        # Who would be in time behind all of them need not count them by account.
        return in_time_behind(len(lane.messages)) or in_time_behind(
            lane.messages.ahead(message.account, message.priority)
        )

    def _leave(self, lane: Lane, errands: Sequence[Errand], now: float) -> None:
        self.rate.take(now)
        lane.rate.take(now)
        if self._turn_began is None and self.pacing.rate_limit:
            self._turn_began = now
            self._clock.callLater(0, self._on_its_way)
        self._send(lane, errands)

    def _on_its_way(self) -> None:
        """The event loop has come round, which takes long with much to do; now it is written."""
        began, self._turn_began = self._turn_began, None
        assert began is not None  # noqa: S101  it has just left
        self.rate.late(began, self._clock.seconds())

    def _arm(self, now: float, lanes: Iterable[Lane]) -> None:
        """Have the timer ring when one of these may leave, or somebody's time may be over."""
        if not self._busy:
            return
        ready, soonest = math.inf, self.rate.ready_at(now)
        for lane in lanes:
            ready = min(ready, lane.rate.ready_at(now))
            if ready <= soonest:
                break  # most are, and there may be a thousand
        at = max(now, min(max(ready, soonest), self._look_at))
        if self._timer is None:
            self._timer = self._clock.callLater(at - now, self._turn)
        elif at < self._timer_at:
            self._timer.reset(at - now)
        else:
            return
        self._timer_at = at

    def _turn(self) -> None:
        self._timer = None
        now = self._clock.seconds()
        if now >= self._look_at:
            self._take_out(lambda errand: self._late(errand, now), _TOO_LATE)
        sent = 0
        try:
            for _ in range(_PORTION):
                lane = self._next_lane(now)
                if lane is None or sent >= _MESSAGES:
                    break
                if errands := self._next(lane, now):
                    self._leave(lane, errands, now)
                    sent += len(errands)
        finally:
            self._arm(now, self._busy)

    def _next_lane(self, now: float) -> Lane | None:
        """Whose turn it is, each lane after the others; None if nobody may go."""
        if self.rate.ready_at(now) > now:
            return None
        for lane in self._busy:
            if lane.rate.ready_at(now) <= now:
                self._busy.move_to_end(lane)
                return lane
        return None

    def _next(self, lane: Lane, now: float) -> list[Errand]:
        """Take what is next in a lane, less those whose time is over."""
        taken = lane.next(self.pacing.bulk_max, self.pacing.bulk_octets)
        self._forget(lane, taken)
        late = [errand for errand in taken if self._late(errand, now)]
        self._tell(late, _TOO_LATE)
        return [errand for errand in taken if not self._late(errand, now)] if late else [*taken]

    def _late(self, errand: Errand, now: float) -> bool:
        return errand.deadline - now < LEAST_TIME + self.answer_time

    # Who waits.

    def _note(self, lane: Lane, waiting: Sequence[Errand]) -> None:
        self._busy[lane] = None
        self.waiting += len(waiting)
        for errand in waiting:
            self.octets += errand.octets
            self._look_at = min(self._look_at, errand.deadline - LEAST_TIME - self.answer_time)

    def _forget(self, lane: Lane, taken: Sequence[Errand]) -> None:
        if not lane:
            del self._busy[lane]
            if not self._busy:
                self._look_at = math.inf
        self.waiting -= len(taken)
        self.octets -= sum(errand.octets for errand in taken)

    def _take_out(self, which: Callable[[Errand], bool], words: str) -> None:
        """Leave those out, and find the moment of the next look."""
        found: list[Errand] = []
        first = math.inf
        for lane in tuple(self._busy):
            gone = lane.expire(which)
            self._forget(lane, gone)
            found += gone
            first = min(first, min((errand.deadline for errand in lane), default=math.inf))
        if self._busy:
            due = first - LEAST_TIME - self.answer_time
            self._look_at = max(due, self._clock.seconds() + _LOOK)
        self._tell(found, words)

    def _tell(self, left_out: Sequence[Errand], words: str) -> None:
        """Later, since whoever is told may ask again at once."""
        if left_out:
            self._clock.callLater(0, self._told, left_out, words)

    def _told(self, left_out: Sequence[Errand], words: str) -> None:
        for errand in left_out[:_PORTION]:
            errand.leave_out(words)
        self._tell(left_out[_PORTION:], words)
