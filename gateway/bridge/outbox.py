"""One account's receivers, and which of them gets the next receipt. Knows no clock and no store."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final, Protocol

from gateway.store.base import Pending

_FIRST_PAUSE: Final = 1.0  # seconds without receipts for a receiver that could not take one
_LONGEST_PAUSE: Final = 30.0


class Receiver(Protocol):
    """A session bound as receiver or transceiver: `net.smpp_connection.SmppConnection`."""

    @property
    def session_id(self) -> str: ...

    @property
    def room(self) -> int:
        """How many deliver_sm more it may have now."""

    def deliver(self, octets: bytes, tag: int) -> None:
        """Send an encoded deliver_sm.

        `Dispatcher.answered` or `Dispatcher.left` is called once with `tag`.
        """


@dataclass(slots=True)
class _Seat:
    """A receiver, and how it has done of late."""

    receiver: Receiver
    paused_until: float = 0.0
    failures: int = 0  # one after the other

    def room(self, now: float) -> int:
        return self.receiver.room if now >= self.paused_until else 0


class Outbox:
    """What waits for one account's receivers in memory; all of it is leased from the store."""

    def __init__(self) -> None:
        self.ready: deque[Pending] = deque()  # may leave at once, in this order
        self.backlogged = False  # more is due in the store
        self.claiming = False
        self._seats: deque[_Seat] = deque()  # whose turn is next stands first

    def __bool__(self) -> bool:
        """Whether anybody is there to receive."""
        return bool(self._seats)

    def join(self, receiver: Receiver) -> None:
        self._seats.append(_Seat(receiver))

    def leave(self, receiver: Receiver) -> None:
        self._seats = deque(seat for seat in self._seats if seat.receiver is not receiver)

    def room(self, now: float) -> int:
        """How many receipts all of them together may have now."""
        return sum(seat.room(now) for seat in self._seats)

    def next_receiver(self, now: float) -> Receiver | None:
        """Whose turn it is among those with room; the turn passes on."""
        for _ in range(len(self._seats)):
            seat = self._seats[0]
            self._seats.rotate(-1)
            if seat.room(now) > 0:
                return seat.receiver
        return None

    def went_well(self, receiver: Receiver) -> None:
        """It took one."""
        for seat in self._seats:
            if seat.receiver is receiver:
                seat.failures = 0

    def went_badly(self, receiver: Receiver, now: float) -> None:
        """It could not take one now: leave it in peace, each time for twice as long.

        What fails while it is left in peace was sent before, and says nothing new.
        """
        for seat in self._seats:
            if seat.receiver is receiver and now >= seat.paused_until:
                pause = min(_FIRST_PAUSE * 2.0 ** min(seat.failures, 10), _LONGEST_PAUSE)
                seat.paused_until = now + pause
                seat.failures += 1
