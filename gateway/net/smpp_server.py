"""The SMPP listener: what all connections share, their one beat, and the way to end them.

All timers of all sessions hang on one beat, at which a tenth of the sessions has its turn: a
timer is never early and at most half a second late.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from structlog.typing import FilteringBoundLogger
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Factory
from twisted.internet.task import LoopingCall

from gateway.bridge.accounts import Account
from gateway.bridge.journey import Origin
from gateway.bridge.penalties import BindPenalties
from gateway.bridge.submissions import Respond
from gateway.metrics import Metrics
from gateway.net.connection_limits import ConnectionLimits
from gateway.net.door import Door
from gateway.net.smpp_connection import SmppConnection
from gateway.net.turns import Turns
from gateway.smpp.constants import CommandId
from gateway.smpp.effects import Inquiry, Submission
from gateway.smpp.pdu import Bind
from gateway.smpp.session import SessionLimits

_ROUND: Final = 0.5  # seconds in which every session has its turn; how late a timer may be
_TURNS: Final = 10


class Doorkeeper(Protocol):
    """Who decides about binds: `bridge.accounts.Accounts`."""

    def authenticate(self, bind: Bind, peer: str, names: Iterable[str]) -> Deferred[Account]: ...

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


# Why the door refuses a connection, in words.
_REFUSED: Final = {
    "allow": "the address is not in the listener's allow list",
    "total": "as many connections are open as smpp.max_connections lets in",
    "per_address": "the address has as many as smpp.max_connections_per_address lets in",
}


class SmppListener(Factory):
    """One address that SMPP clients connect to."""

    noisy = False

    def __init__(self, server: SmppServer, name: str) -> None:
        self.server = server
        self.name = name

    def buildProtocol(self, addr: IAddress | None) -> SmppConnection | None:
        return self.server.accept(self.name, getattr(addr, "host", ""))

    def startFactory(self) -> None:
        self.server.listening_begun()

    def stopFactory(self) -> None:
        self.server.listening_ended()


class SmppServer:
    """What all connections share, and the way to end them all."""

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
        door: Door | None = None,
        penalties: BindPenalties | None = None,
        connection_limits: ConnectionLimits | None = None,
    ) -> None:
        self.clock = clock
        self.limits = limits
        self.connection_limits = connection_limits or ConnectionLimits()
        self.system_id = system_id
        self.doorkeeper = doorkeeper
        self.relay = relay
        self.inquiries = inquiries
        self.dispatcher = dispatcher
        self.metrics = metrics
        self.log = log
        self.door = door or Door()
        self.penalties = penalties or BindPenalties()
        self.connections: set[SmppConnection] = set()
        self.sent: Counter[CommandId] = Counter()  # PDUs, until the next exposition
        self._session_ids = itertools.count(1)
        self._turns = Turns(_TURNS, _ROUND)
        self._beat = LoopingCall(self._tick)
        self._beat.clock = clock
        self._all_gone: Deferred[None] | None = None
        self._stopping = False
        self._listening = 0

    def listener(self, name: str) -> SmppListener:
        """What listens, as "smpp" or "smpp_tls"; each has its own `allow` list at the door."""
        return SmppListener(self, name)

    def listening_begun(self) -> None:
        self._listening += 1
        if not self._beat.running:
            self._beat.start(self._turns.beat, now=False)

    def listening_ended(self) -> None:
        self._listening -= 1
        if self._beat.running and not self._listening and not self.connections:
            self._beat.stop()

    def accept(self, listener: str, peer: str) -> SmppConnection | None:
        """The connection of a client that may come in, None for others."""
        if self._stopping:  # its PROXY header came late: it would be served, and never unbound
            return None
        reason = self.door.refusal(listener, peer)
        if reason:
            self.turned_away(listener, peer, reason, _REFUSED[reason])
            return None
        number = next(self._session_ids)
        return SmppConnection(self, f"s{number}", listener, turn=number % _TURNS)

    def turned_away(self, listener: str, peer: str, reason: str, detail: str) -> None:
        """Say and count that a connection was closed before anything was read of it."""
        self.metrics.connections_refused(listener, reason).inc()
        self.log.warning(
            "connection_refused", listener=listener, peer=peer, reason=reason, detail=detail
        )

    def refresh_metrics(self) -> None:
        """Bring the metrics up to date with what was counted since the last exposition."""
        for connection in self.connections:
            connection.count_received()
        for command_id, count in self.sent.items():
            self.metrics.pdus("out", command_id.name).inc(count)
        self.sent.clear()
        locked_out = self.penalties.addresses_locked_out(self.clock.seconds())
        self.metrics.locked_out.set(locked_out)

    def _tick(self) -> None:
        now = self.clock.seconds()
        due = self._turns.due(now)
        for connection in [one for one in self.connections if one.turn in due]:
            if now >= connection.gone_by:
                connection.transport.abortConnection()
                continue
            self._guarded(connection, connection.tick, now)

    def _guarded(self, connection: SmppConnection, do: Callable[..., None], *args: object) -> None:
        """A fault of ours ends the one connection; the others never hear of it."""
        try:
            do(*args)
        except Exception:
            connection.log.error("session_failed", exc_info=True)
            connection.drop()

    def relimit(self, limits: SessionLimits, connection_limits: ConnectionLimits) -> None:
        """Go by these limits from now on, and by the accounts' settings as they are now.

        The sessions that are there do too.
        """
        self.limits = limits
        self.connection_limits = connection_limits
        for connection in tuple(self.connections):
            self._guarded(connection, connection.relimit)

    def dismiss(self, admitted: Callable[[Account], bool]) -> int:
        """Have the sessions of accounts that are not `admitted` finish and unbind; how many."""
        now = self.clock.seconds()
        dismissed = 0
        for connection in tuple(self.connections):
            if connection.account is not None and not admitted(connection.account):
                connection.run(connection.session.shut_down(now))
                dismissed += 1
        return dismissed

    def shut_down(self) -> Deferred[None]:
        """Let every session finish and unbind; fires when the last connection is gone."""
        self._stopping = True
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
