"""The SMPP listener: what all connections share, their one beat, and the way to end them.

All timers of all sessions hang on one beat twice a second: a timer is never early and at
most half a second late.
"""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Final, Protocol

from structlog.typing import FilteringBoundLogger
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Factory
from twisted.internet.task import LoopingCall

from gateway.bridge.accounts import Account, BindPenalties
from gateway.bridge.journey import Origin
from gateway.bridge.submissions import Respond
from gateway.metrics import Metrics
from gateway.net.smpp_connection import SmppConnection
from gateway.smpp.constants import CommandId
from gateway.smpp.effects import Inquiry, Submission
from gateway.smpp.pdu import Bind
from gateway.smpp.session import SessionLimits

_BEAT: Final = 0.5  # seconds; how late a timer may be


class Doorkeeper(Protocol):
    """Who decides about binds: `bridge.accounts.Accounts`."""

    def authenticate(self, bind: Bind, peer: str) -> Deferred[Account]: ...

    def knows(self, system_id: str) -> bool: ...


class Relays(Protocol):
    """Who relays messages: `bridge.submissions.Submissions`."""

    def submit(
        self, pdu: Submission, origin: Origin, respond: Respond, received_at: float | None = None
    ) -> None: ...


class Inquires(Protocol):
    """Who knows what became of them: `bridge.inquiries.Inquiries`."""

    def inquire(
        self, pdu: Inquiry, origin: Origin, respond: Respond, received_at: float | None = None
    ) -> None: ...


class Dispatches(Protocol):
    """Who has receipts for those bound to receive them: `bridge.dispatcher.Dispatcher`.

    `left` is called once for every `joined`, with the tags of what is unanswered by then.
    """

    def joined(self, account: Account, receiver: SmppConnection) -> None: ...

    def answered(self, receiver: SmppConnection, tag: int, command_status: int | None) -> None: ...

    def left(self, receiver: SmppConnection, undelivered: list[int]) -> None: ...

    def writable(self, receiver: SmppConnection) -> None: ...


class SmppServer(Factory):
    """What all connections share, and the way to end them all."""

    noisy = False

    def __init__(
        self,
        clock: IReactorTime,
        limits: SessionLimits,
        system_id: str,
        doorkeeper: Doorkeeper,
        relay: Relays,
        inquiries: Inquires,
        dispatcher: Dispatches,
        metrics: Metrics,
        log: FilteringBoundLogger,
    ) -> None:
        self.clock = clock
        self.limits = limits
        self.system_id = system_id
        self.doorkeeper = doorkeeper
        self.relay = relay
        self.inquiries = inquiries
        self.dispatcher = dispatcher
        self.metrics = metrics
        self.log = log
        self.penalties = BindPenalties()
        self.connections: set[SmppConnection] = set()
        self.sent: Counter[CommandId] = Counter()  # PDUs, until the next exposition
        self._session_ids = itertools.count(1)
        self._beat = LoopingCall(self._tick)
        self._beat.clock = clock
        self._all_gone: Deferred[None] | None = None

    def buildProtocol(self, addr: IAddress | None) -> SmppConnection:
        return SmppConnection(self, f"s{next(self._session_ids)}")

    def doStart(self) -> None:
        super().doStart()  # type: ignore[no-untyped-call]
        self._beat.start(_BEAT, now=False)

    def doStop(self) -> None:
        super().doStop()  # type: ignore[no-untyped-call]
        if self._beat.running and not self.connections:
            self._beat.stop()

    def refresh_metrics(self) -> None:
        """Bring the metrics up to date with what was counted since the last exposition."""
        for connection in self.connections:
            connection.count_received()
        for command_id, count in self.sent.items():
            self.metrics.pdus("out", command_id.name).inc(count)
        self.sent.clear()
        in_flight = sum(connection.session.in_flight for connection in self.connections)
        self.metrics.submits_in_flight.set(in_flight)

    def _tick(self) -> None:
        now = self.clock.seconds()
        for connection in tuple(self.connections):
            if now >= connection.gone_by:
                connection.transport.abortConnection()
                continue
            try:
                connection.run(connection.session.tick(now))
            except Exception:
                self.log.error("session_failed", exc_info=True)
                connection.drop()

    def shut_down(self) -> Deferred[None]:
        """Let every session finish and unbind; fires when the last connection is gone."""
        self._all_gone = Deferred()
        now = self.clock.seconds()
        for connection in tuple(self.connections):
            connection.run(connection.session.shut_down(now))
        gone = self._all_gone
        self.connection_gone()
        return gone

    def abort(self) -> None:
        """Drop what is left, without ceremony."""
        for connection in tuple(self.connections):
            connection.drop()

    def connection_gone(self) -> None:
        """A connection has ended; the last one ends a shutdown."""
        if self._all_gone is None or self.connections:
            return
        gone, self._all_gone = self._all_gone, None
        if self._beat.running:
            self._beat.stop()
        gone.callback(None)
