"""The octets of one client on their way to its session.

- While the session takes nothing, reading goes on up to a bound all the same: whoever does not
  read does not notice that a client has gone, and keeps its place.
- Much at a time is handed on in several turns of the event loop: 64 KiB are up to 4,096 PDUs, and
  while they are served nobody else is. Until then no more is read.
- While the client does not read its answers it is not read either.
"""

from __future__ import annotations

from typing import Any, Protocol
from weakref import proxy

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from gateway.net.connection_limits import TURN


class Reader(Protocol):
    """Whose octets they are: `net.smpp_connection.SmppConnection`."""

    transport: Any

    @property
    def max_read_ahead(self) -> int:
        """Octets."""

    def take(self, octets: bytes, now: float, read_at: float) -> None:
        """Give them to the session; `hold` or `go_on` may be called in between."""

    def read_ahead_full(self) -> None:
        """The bound is reached, and reading stops."""


class Reading:
    """See the head of the module."""

    __slots__ = ("_ahead", "_clock", "_full", "_paused", "_reader", "_since", "_turn", "held")

    def __init__(self, reader: Reader, clock: IReactorTime) -> None:
        self.held = False  # the session takes nothing
        # It has us. A ring of the two would stay for as long as nobody looks for rings: what lived
        # long is looked at last, and then thousands of sessions leave together.
        self._reader: Reader = proxy(reader)
        self._clock = clock
        self._ahead = bytearray()
        self._since = 0.0  # when the first of it was read
        self._full = False
        self._paused: set[str] = set()  # why the transport does not read
        self._turn: IDelayedCall | None = None

    @property
    def ahead(self) -> int:
        """Octets read that the session was not given."""
        return len(self._ahead)

    def received(self, data: bytes) -> None:
        """What the transport has read."""
        now = self._clock.seconds()
        if not (self.held or self._ahead):
            if len(data) <= TURN:
                self._reader.take(data, now, now)
                return
            self._since = now
            self._ahead += data
            self._serve()
            return
        if not self._ahead:
            self._since = now
        self._ahead += data
        self.regulate()

    def _serve(self) -> None:
        """A turn's worth; the rest in the next turn."""
        octets = bytes(self._ahead[:TURN])
        del self._ahead[:TURN]
        if self._ahead and self._turn is None:
            self._turn = self._clock.callLater(0, self._next_turn)
        self.regulate()
        self._reader.take(octets, self._clock.seconds(), self._since)

    def _next_turn(self) -> None:
        self._turn = None
        if self._ahead and not self.held:
            self._serve()

    def hold(self) -> None:
        """The session takes nothing for now."""
        self.held = True
        self.regulate()

    def go_on(self) -> None:
        """It does again."""
        self.held = False
        if self._ahead and self._turn is None:
            self._serve()
        else:
            self.regulate()

    def regulate(self) -> None:
        """Read, or do not, by what is there and by the bound."""
        full = self.held and len(self._ahead) > self._reader.max_read_ahead
        if full and not self._full:
            self._reader.read_ahead_full()
        self._full = full
        if full or (self._ahead and not self.held):
            self.pause("session")
        else:
            self.resume("session")

    def pause(self, reason: str) -> None:
        """Do not read until `resume` with this reason, and with all others."""
        if reason not in self._paused:
            self._paused.add(reason)
            self._reader.transport.pauseProducing()

    def resume(self, reason: str) -> None:
        if reason in self._paused:
            self._paused.discard(reason)
            if not self._paused:
                self._reader.transport.resumeProducing()

    def end(self) -> None:
        """What is left is of no use any more."""
        self._ahead.clear()
        self.held = False
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None
