"""One client's SMPP connection: octets in and out around a `Session`, whose effects run here."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import Protocol
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from gateway.bridge.accounts import BIND_TYPES, Account, BindRefused, WrongCredentials
from gateway.bridge.journey import Origin
from gateway.metrics import UNKNOWN
from gateway.net.connection_limits import MAX_READ_AHEAD_UNBOUND
from gateway.net.reading import Reading
from gateway.net.unread import Unread
from gateway.smpp import effects as e
from gateway.smpp.codec import encode
from gateway.smpp.constants import RESPONSE_BIT, CommandId, CommandStatus, name_of
from gateway.smpp.pdu import Bind
from gateway.smpp.session import Session
from gateway.smpp.states import INQUIRIES, SUBMISSIONS, State
from gateway.smpp.versions import Response
from gateway.tls import client_names

if TYPE_CHECKING:
    from gateway.net.smpp_server import SmppServer

# Flags whose request has a line of its own, in which it is refused or answered.
_TOLD_ELSEWHERE: Final = frozenset(
    {"malformed", "unknown_command_id", "wrong_state", "answer_after_close"}
)
_DETAIL_CHARACTERS: Final = 200  # of what a stranger made us log


class SmppConnection(Protocol):
    """One client's connection."""

    transport: Any  # a TCP or TLS transport: ITCPTransport, IPushProducer

    def __init__(self, server: SmppServer, session_id: str, listener: str, turn: int = 0) -> None:
        """`turn` is its place in the server's beat."""
        self.server = server
        self.turn = turn
        self.listener = listener  # its name, a label of metrics
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
        self.reading = Reading(self, server.clock)
        self._unread: Unread | None = None  # while the client does not read
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
        self.server.door.entered(self._peer)
        self.server.connections.add(self)
        self.server.metrics.connections.inc()
        # Load balancers connect and leave all day long: not worth more than debug.
        self.log.debug("connected", peer=self._peer)

    def dataReceived(self, data: bytes) -> None:
        self.reading.received(data)

    def connectionLost(self, reason: Failure | None = None) -> None:
        self.session.connection_lost()
        self.reading.end()
        self._leave()
        self.count_received()
        if self._asked is not None:
            self._asked.cancel()
        if self in self.server.connections:  # it is not if a transport failed to connect it
            self.transport.unregisterProducer()  # TLS would hold on to us, and we to it
            self.server.connections.remove(self)
            self.server.door.left(self._peer)
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
        if self._unread is None:  # a TCP transport says so at every write while it is full
            self._unread = Unread(self.server.clock.seconds())
        self.reading.pause("transport")

    def resumeProducing(self) -> None:
        self._unread = None
        self.reading.resume("transport")
        if self._joined:
            self.server.dispatcher.writable(self)

    def stopProducing(self) -> None:
        """The connection is gone; connectionLost says the rest."""

    # For `reading`.

    @property
    def max_read_ahead(self) -> int:
        """Octets."""
        if self.account is None:
            return MAX_READ_AHEAD_UNBOUND
        return self.server.connection_limits.max_read_ahead

    def take(self, octets: bytes, now: float, read_at: float) -> None:
        """Give octets of the client to the session."""
        try:
            self.run(self.session.octets_received(octets, now, read_at))
        except Exception:
            self.log.error("session_failed", exc_info=True)
            self.drop()

    def _hold(self, _: e.PauseReading) -> None:
        self.reading.hold()

    def _go_on(self, _: e.ResumeReading) -> None:
        self.reading.go_on()

    def read_ahead_full(self) -> None:
        self._flag(e.Flag("read_ahead_full", "sends on while its requests wait"))

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
                    self._write(b"".join(octets))
                    octets.clear()
                self._RUN[kind](self, effect)
            if octets:
                self._write(b"".join(octets))
        finally:
            self._running = False
            self._effects.clear()

    def _write(self, octets: bytes) -> None:
        unread = self._unread  # not what begins now: that the transport keeps
        self.transport.write(octets)
        if unread is not None:
            unread.octets += len(octets)
            self._mind_unread(unread)

    def _mind_unread(self, unread: Unread) -> None:
        """Drop a client that leaves too much unread, or for too long."""
        now = self.server.clock.seconds()
        if self._close_reason or not unread.beyond(self.server.connection_limits, now):
            return
        self.server.metrics.connections_dropped(self.listener, "unread").inc()
        self.log.warning(
            "session_dropped",
            listener=self.listener,
            system_id=self.account.system_id if self.account else UNKNOWN,
            peer=self._peer,
            reason="unread",
            octets=unread.octets,
            seconds=round(now - unread.since, 1),
        )
        self._close_reason = "does not read what it is sent"
        self.drop()

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
        self.reading.end()
        self.reading.regulate()  # a TLS client's goodbye must be read
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def tick(self, now: float) -> None:
        """What the passing of time asks for; call about once a second."""
        if self._unread is not None:
            self._mind_unread(self._unread)
        self.run(self.session.tick(now))

    def relimit(self) -> None:
        """Go by the limits of the server and the settings of the account as they are now."""
        self.session.relimit(self.server.limits)
        if self.account is not None:
            settings = self.account.settings
            throttles = settings.window_full == "throttle"
            now = self.server.clock.seconds()
            self.run(self.session.apply_window(settings.window, throttles, now))
        self.reading.regulate()

    def drop(self) -> None:
        """End the connection at once, whatever is still to be sent."""
        self._close_reason = self._close_reason or "dropped by the gateway"
        self.transport.abortConnection()

    # The dispatcher's side: this is a `bridge.outbox.Receiver`.

    @property
    def room(self) -> int:
        """How many deliver_sm more it may have now; 0 while the client does not read."""
        if self.account is None or not self.session.may_deliver or self._unread is not None:
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
        server = self.server
        left = server.penalties.locked_out(self._peer, server.clock.seconds())
        if left:
            words = f"the address is locked out for {math.ceil(left)} s more, unchecked"
            self._tell_refused(bind, BindRefused(words))
            self.run(self.session.bind_refused(bind, BindRefused.command_status))
            return
        try:
            names = client_names(self.transport)
            account = await server.doorkeeper.authenticate(bind, self._peer, names)
        except BindRefused as refusal:
            refusal.__traceback__ = None  # its frames know the failure, and us
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
        self._tell_refused(bind, refusal)
        penalty = server.penalties.failed(
            self._peer,
            server.clock.seconds(),
            wrong_credentials=isinstance(refusal, WrongCredentials),
        )
        if penalty.locked_out:
            self.log.warning(
                "locked_out",
                peer=self._peer,
                failures=penalty.locked_out,
                seconds=server.penalties.lockout_time,
            )
        if penalty.pause:
            await deferLater(server.clock, penalty.pause)
        self.run(self.session.bind_refused(bind, refusal.command_status))

    def _tell_refused(self, bind: Bind, refusal: BindRefused) -> None:
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
        e.PauseReading: _hold,
        e.ResumeReading: _go_on,
        e.Flag: _flag,
        e.Close: _close,
    }
