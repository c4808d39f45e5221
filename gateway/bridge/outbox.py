"""One account's receivers, and which of them gets the next receipt. Knows no clock and no store."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final, Protocol

from gateway.store.base import Pending

_FIRST_PAUSE: Final = 1.0  # seconds without receipts for a receiver that could not take one
_LONGEST_PAUSE: Final = 30.0
_ENOUGH: Final = 1_000  # room beyond which nobody is asked for more


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


@dataclass(slots=True, eq=False)
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
        self._turns: deque[_Seat] = deque()  # whose turn is next stands first
        self._seats: dict[Receiver, _Seat] = {}

    def __bool__(self) -> bool:
        """Whether anybody is there to receive."""
        return bool(self._seats)

    def join(self, receiver: Receiver) -> None:
        seat = self._seats[receiver] = _Seat(receiver)
        self._turns.append(seat)

    def leave(self, receiver: Receiver) -> None:
        seat = self._seats.pop(receiver, None)
        if seat is not None:
            self._turns.remove(seat)

    def room(self, now: float) -> int:
        """How many receipts all of them together may have now, or more than enough of them.

        It is asked for at every bind, and an account may have thousands.
        """
        total = 0
        for seat in self._turns:
            total += seat.room(now)
            if total >= _ENOUGH:
                break
        return total

    def next_receiver(self, now: float) -> Receiver | None:
        """Whose turn it is among those with room; the turn passes on."""
        for _ in range(len(self._turns)):
            seat = self._turns[0]
            self._turns.rotate(-1)
            if seat.room(now) > 0:
                return seat.receiver
        return None

    def went_well(self, receiver: Receiver) -> None:
        """It took one."""
        if receiver in self._seats:
            self._seats[receiver].failures = 0

    def went_badly(self, receiver: Receiver, now: float) -> None:
        """It could not take one now: leave it in peace, each time for twice as long.

        What fails while it is left in peace was sent before, and says nothing new.
        """
        seat = self._seats.get(receiver)
        if seat is not None and now >= seat.paused_until:
            pause = min(_FIRST_PAUSE * 2.0 ** min(seat.failures, 10), _LONGEST_PAUSE)
            seat.paused_until = now + pause
            seat.failures += 1
