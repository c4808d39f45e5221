"""One client's SMPP connection: octets in and out around a `Session`, whose effects run here."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import Protocol
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from gateway.bridge.accounts import BIND_TYPES, Account, BindRefused
from gateway.bridge.journey import Origin
from gateway.metrics import UNKNOWN
from gateway.smpp import effects as e
from gateway.smpp.codec import encode
from gateway.smpp.constants import RESPONSE_BIT, CommandId, CommandStatus, name_of
from gateway.smpp.pdu import Bind
from gateway.smpp.session import Session
from gateway.smpp.states import INQUIRIES, SUBMISSIONS, State
from gateway.smpp.versions import Response

if TYPE_CHECKING:
    from gateway.net.smpp_server import SmppServer

# Flags whose request has a line of its own, in which it is refused or answered.
_TOLD_ELSEWHERE: Final = frozenset(
    {"malformed", "unknown_command_id", "wrong_state", "answer_after_close"}
)
_BACKLOG_BOUND: Final = 65_536  # octets read ahead while the window is full
_BACKLOG_UNBOUND: Final = 4_096  # and while a bind is being checked
_DETAIL_CHARACTERS: Final = 200  # of what a stranger made us log


class SmppConnection(Protocol):
    """One client's connection."""

    transport: Any  # a TCP or TLS transport: ITCPTransport, IPushProducer

    def __init__(self, server: SmppServer, session_id: str) -> None:
        self.server = server
        self.session = Session(server.limits, server.system_id, server.clock.seconds())
        self.account: Account | None = None
        self.session_id = session_id
        self.log = server.log.bind(session_id=session_id)
        self._origin: Origin | None = None
        self._peer = ""
        self._bind_type = ""
        self._close_reason = ""
        self._flagged: set[str] = set()
        self.gone_by = math.inf  # until then a closed connection may still deliver
        self._paused_for: set[str] = set()
        self._backlog: bytearray | None = None  # what was read while the session takes nothing
        self._backlog_since = 0.0
        self._asked: Deferred[None] | None = None  # whether this client may bind
        self._effects: list[e.Effect] = []
        self._running = False
        self._joined = False  # the dispatcher counts on it
        self._undelivered = 0  # deliver_sm that were unanswered when it left

    # Twisted's side.

    def connectionMade(self) -> None:
        self.transport.setTcpNoDelay(True)
        self.transport.setTcpKeepAlive(True)
        self.transport.registerProducer(self, True)
        self._peer = self.transport.getPeer().host
        self.server.connections.add(self)
        self.server.metrics.connections.inc()
        # Load balancers connect and leave all day long: not worth more than debug.
        self.log.debug("connected", peer=self._peer)

    def dataReceived(self, data: bytes) -> None:
        now = self.server.clock.seconds()
        if self._backlog is None:
            self.run(self.session.octets_received(data, now))
            return
        if not self._backlog:
            self._backlog_since = now
        self._backlog += data
        if len(self._backlog) > (_BACKLOG_BOUND if self.account else _BACKLOG_UNBOUND):
            self._pause("session")

    def _hold_back(self, _: e.PauseReading) -> None:
        """The session takes nothing for now. Reading goes on up to a bound all the same:
        whoever does not read does not notice that a client has gone, and keeps its place.
        """
        self._backlog = bytearray()

    def _go_on(self, _: e.ResumeReading) -> None:
        backlog, self._backlog = self._backlog, None
        self._resume("session")
        if backlog:
            now = self.server.clock.seconds()
            self.run(self.session.octets_received(bytes(backlog), now, self._backlog_since))

    def connectionLost(self, reason: Failure | None = None) -> None:
        self.session.connection_lost()
        self._leave()
        self.count_received()
        if self._asked is not None:
            self._asked.cancel()
        self.server.connections.discard(self)
        self.server.metrics.connections.dec()
        if self.account is None:
            self.log.debug("disconnected", peer=self._peer)
        else:
            self.account.release()
            self.server.metrics.sessions(self._bind_type).dec()
            undelivered = {"undelivered": self._undelivered} if self._undelivered else {}
            self.log.info(
                "session_ended",
                system_id=self.account.system_id,
                peer=self._peer,
                reason=self._close_reason or "closed by the ESME without unbind",
                unanswered=self.session.in_flight,
                **undelivered,
            )
        self.server.connection_gone()

    # IPushProducer, for the transport: a client that does not read its answers is not read
    # either, or they would pile up here without bound.

    def pauseProducing(self) -> None:
        self._pause("transport")

    def resumeProducing(self) -> None:
        self._resume("transport")
        if self._joined:
            self.server.dispatcher.writable(self)

    def stopProducing(self) -> None:
        """The connection is gone; connectionLost says the rest."""

    def _pause(self, reason: str) -> None:
        self._paused_for.add(reason)
        self.transport.pauseProducing()

    def _resume(self, reason: str) -> None:
        self._paused_for.discard(reason)
        if not self._paused_for:
            self.transport.resumeProducing()

    # The session's side.

    def run(self, effects: list[e.Effect]) -> None:
        """Carry out effects in the order in which the session made them.

        Some are answered at once (a bind out of the cache, a refused message), and the
        session's next effects then come while these still run: they queue up behind them.
        What is sent in one go leaves in one write.
        """
        self._effects += effects
        if self._running:
            return
        self._running = True
        octets: list[bytes] = []
        try:
            for effect in self._effects:  # which grows while it is walked
                kind = type(effect)
                if kind is e.Forward:
                    octets.append(effect.octets)  # type: ignore[union-attr]
                    self.server.sent[CommandId.deliver_sm] += 1
                    continue
                if kind is e.Send or kind is e.Refuse:
                    octets.append(encode(effect.pdu))  # type: ignore[union-attr]
                    self.server.sent[effect.pdu.command_id] += 1  # type: ignore[union-attr]
                    if kind is e.Send:
                        continue
                if octets and kind is e.Close:
                    self.transport.write(b"".join(octets))
                    octets.clear()
                self._RUN[kind](self, effect)
            if octets:
                self.transport.write(b"".join(octets))
        finally:
            self._running = False
            self._effects.clear()

    def count_received(self) -> None:
        """Hand on what the session has counted since the last time."""
        for command_id, count in self.session.received.items():
            self.server.metrics.pdus("in", command_id.name).inc(count)
        self.session.received.clear()

    def _submit(self, effect: e.Submit) -> None:
        assert self._origin is not None  # noqa: S101  only bound sessions submit
        self.server.relay.submit(effect.pdu, self._origin, self._answer, effect.received_at)

    def _inquire(self, effect: e.Inquire) -> None:
        assert self._origin is not None  # noqa: S101  only bound sessions inquire
        self.server.inquiries.inquire(effect.pdu, self._origin, self._answer, effect.received_at)

    def _answer(self, response: Response) -> bool:
        reachable = self.session.state is not State.CLOSED
        self.run(self.session.respond(response, self.server.clock.seconds()))
        return reachable

    def _refused(self, effect: e.Refuse) -> None:
        """Say and count what the session refused by itself; the response is on its way."""
        metrics = self.server.metrics
        status = name_of(CommandStatus, effect.pdu.command_status)
        request = effect.pdu.command_id & ~RESPONSE_BIT
        system_id = self.account.system_id if self.account else UNKNOWN
        label = metrics.account(system_id) if self.account else UNKNOWN
        if request in SUBMISSIONS:
            metrics.submits(label, status).inc()
            if effect.pdu.command_status == CommandStatus.ESME_RTHROTTLED:
                metrics.throttled(label, "window").inc()
        elif request in INQUIRIES:
            metrics.inquiries(label, CommandId(request).name, status).inc()
        elif request in BIND_TYPES:
            metrics.binds(BIND_TYPES[CommandId(request)], status).inc()
        self.log.warning(
            "request_refused",
            system_id=system_id,
            answer=effect.pdu.command_id.name,
            sequence_number=effect.pdu.sequence_number,
            command_status=status,
            detail=effect.detail[:_DETAIL_CHARACTERS],
            peer=self._peer,
        )

    def _flag(self, effect: e.Flag) -> None:
        self.server.metrics.pdu_errors(effect.reason).inc()
        # A client that is odd once is odd with every PDU: its log line comes once a session.
        known = effect.reason in self._flagged or effect.reason in _TOLD_ELSEWHERE
        log = self.log.debug if known else self.log.info
        self._flagged.add(effect.reason)
        detail = effect.detail[:_DETAIL_CHARACTERS]
        log("irregular", reason=effect.reason, detail=detail, peer=self._peer)

    def _close(self, effect: e.Close) -> None:
        self._close_reason = effect.reason
        self._leave()
        if self.account is None:
            self.log.info("connection_closed", peer=self._peer, reason=effect.reason)
        self.gone_by = self.server.clock.seconds() + self.server.limits.timers.unbind
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def drop(self) -> None:
        """End the connection at once, whatever is still to be sent."""
        self._close_reason = self._close_reason or "dropped by the gateway"
        self.transport.abortConnection()

    # The dispatcher's side: this is a `bridge.outbox.Receiver`.

    @property
    def room(self) -> int:
        """How many deliver_sm more it may have now; 0 while the client does not read."""
        if self.account is None or not self.session.may_deliver or "transport" in self._paused_for:
            return 0
        return max(0, self.account.settings.deliver_window - self.session.undelivered)

    def deliver(self, octets: bytes, tag: int) -> None:
        """Send an encoded deliver_sm.

        The dispatcher is told once what became of it, at once if it cannot leave.
        """
        self.run(self.session.deliver(octets, tag, self.server.clock.seconds()))

    def _answered(self, effect: e.Answered) -> None:
        self.server.dispatcher.answered(self, effect.tag, effect.command_status)

    def _leave(self) -> None:
        """Nothing is delivered any more. Before that an unbind is waited for, because what the
        client answers meanwhile is not sent again.
        """
        if self._joined:
            self._joined = False
            undelivered = self.session.take_undelivered()
            self._undelivered = len(undelivered)
            self.server.dispatcher.left(self, undelivered)

    # Binding.

    def _authenticate(self, effect: e.Authenticate) -> None:
        self._asked = Deferred.fromCoroutine(self._bind(effect.bind))
        self._asked.addErrback(self._bind_failed, effect.bind)

    async def _bind(self, bind: Bind) -> None:
        try:
            account = await self.server.doorkeeper.authenticate(bind, self._peer)
        except BindRefused as refusal:
            await self._refuse(bind, refusal)
        else:
            self._welcome(bind, account)

    def _welcome(self, bind: Bind, account: Account) -> None:
        server = self.server
        self.account = account
        self._bind_type = BIND_TYPES[bind.command_id]
        self._origin = Origin(self.session_id, account, self.session.interface_version)
        server.penalties.passed(self._peer)
        server.metrics.sessions(self._bind_type).inc()
        server.metrics.binds(self._bind_type, "ESME_ROK").inc()
        self.log.info(
            "bound",
            system_id=account.system_id,
            bind_type=self._bind_type,
            peer=self._peer,
            interface_version=f"0x{bind.interface_version:02x}",
            system_type=bind.system_type,
        )
        settings = account.settings
        self.run(
            self.session.bind_accepted(
                bind,
                server.clock.seconds(),
                window=settings.window,
                throttle_when_full=settings.window_full == "throttle",
            )
        )
        if self.session.may_deliver:  # whatever it is given now leaves behind the response
            self._joined = True
            server.dispatcher.joined(account, self)

    async def _refuse(self, bind: Bind, refusal: BindRefused) -> None:
        server = self.server
        status = name_of(CommandStatus, refusal.command_status)
        server.metrics.binds(BIND_TYPES[bind.command_id], status).inc()
        known = server.doorkeeper.knows(bind.system_id)
        self.log.warning(
            "bind_refused",
            # A stranger's word may be a password typed into the wrong field.
            system_id=bind.system_id if known else UNKNOWN,
            bind_type=BIND_TYPES[bind.command_id],
            peer=self._peer,
            command_status=status,
            detail=refusal.detail,
        )
        pause = server.penalties.failed(self._peer, server.clock.seconds())
        if pause:
            await deferLater(server.clock, pause)
        self.run(self.session.bind_refused(bind, refusal.command_status))

    def _bind_failed(self, failure: Failure, bind: Bind) -> None:
        """A fault of ours: the edge of the session, where it is logged and answered."""
        if failure.check(CancelledError):  # the client has left
            return
        self.log.error("bind_failed", failure=failure.getTraceback())
        self.run(self.session.bind_refused(bind, CommandStatus.ESME_RSYSERR))
        self.transport.loseConnection()

    # One for all connections: thousands of them are idle.
    _RUN: ClassVar[dict[type[e.Effect], Callable[[SmppConnection, Any], None]]] = {
        e.Refuse: _refused,
        e.Authenticate: _authenticate,
        e.Submit: _submit,
        e.Inquire: _inquire,
        e.Answered: _answered,
        e.PauseReading: _hold_back,
        e.ResumeReading: _go_on,
        e.Flag: _flag,
        e.Close: _close,
    }
