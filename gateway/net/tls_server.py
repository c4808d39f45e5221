"""TLS between a TCP connection and the protocol that it is for.

That protocol is there from the start, so that whoever counts connections counts this one; it
reads nothing before the handshake is over. A handshake has a time limit, and so has a close:
in TLS the client has a say in it.
"""

# mypy: disable-error-code="no-untyped-call"
# (Twisted's TLS protocol is hardly annotated)

from __future__ import annotations

from typing import Any, Final

from OpenSSL import SSL
from structlog.typing import FilteringBoundLogger
from twisted.internet.interfaces import IAddress, IDelayedCall, IReactorTime
from twisted.internet.protocol import Factory
from twisted.protocols.tls import BufferingTLSTransport, TLSMemoryBIOFactory
from twisted.python.failure import Failure

from gateway.metrics import Metrics
from gateway.net.handshakes import HEAD, diagnose
from gateway.tls import ServerTls, openssl_words

_CLOSING: Final = 30.0  # seconds that a connection may take to close


class TlsConnection(BufferingTLSTransport):
    """One client's: the transport of the protocol inside."""

    factory: TlsFactory

    def __init__(self, factory: TlsFactory, inner: Any, connect: bool = True) -> None:
        super().__init__(factory, inner, connect)
        self.certificate_refused = ""  # why; `tls.ServerTls` says it
        self._head = b""
        self._shaken = self._late = False
        self._timer: IDelayedCall | None = None

    def makeConnection(self, transport: Any) -> None:
        factory = self.factory
        self._timer = factory.clock.callLater(factory.handshake_timeout, self._too_late)
        super().makeConnection(transport)

    def dataReceived(self, data: bytes) -> None:
        if self._shaken:
            super().dataReceived(data)
            # TCP waits for a producer, which may have nothing more to write.
            if self._lostTLSConnection:
                self._close_in_time()
            return
        self._head = (self._head + data[:HEAD])[:HEAD]
        super().dataReceived(data)
        if self._handshakeDone:
            self._shaken = True
            self._head = b""
            self._stop_timer()
            if self.disconnecting or self._lostTLSConnection:
                self._close_in_time()

    def _tlsShutdownFinished(self, reason: Failure | None) -> None:
        if reason is not None:  # it knows the frame it was made in, which knows it, and us
            reason.cleanFailure()
        super()._tlsShutdownFinished(reason)

    def _too_late(self) -> None:
        self._timer = None
        self._late = True
        self.abortConnection()

    def loseConnection(self) -> None:
        super().loseConnection()
        if self._shaken and self.connected:
            self._close_in_time()

    def abortConnection(self) -> None:
        if self.connected:  # Twisted's own stumbles over a connection that is gone
            super().abortConnection()

    def _close_in_time(self) -> None:
        if self._timer is None:
            self._timer = self.factory.clock.callLater(_CLOSING, self._closed_too_late)

    def _closed_too_late(self) -> None:
        self._timer = None
        self.abortConnection()

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        self._stop_timer()
        if not self._shaken:
            self._failed()
        super().connectionLost(reason)

    def _failed(self) -> None:
        """Tell why there was no handshake, if there was to be one.

        A balancer's probe leaves without a word, and a listener that stops ends handshakes.
        """
        error = self._reason.value if self._reason is not None else None
        if not self._late and (not self._head or (self.disconnecting and error is None)):
            return
        words = openssl_words(error) if isinstance(error, SSL.Error) else ""
        waited = self.factory.handshake_timeout if self._late else 0
        self.factory.failed(
            self.getPeer().host,
            *diagnose(self._head, words, self.certificate_refused, waited),
        )


class TlsFactory(TLSMemoryBIOFactory):
    """Wraps `inner`, whose `buildProtocol` may give None: such a connection is closed at once.

    `handshake_timeout` is in seconds, from the connection to the end of the handshake.
    """

    protocol = TlsConnection

    def __init__(
        self,
        clock: IReactorTime,
        listener: str,
        inner: Factory[Any],
        tls: ServerTls,
        metrics: Metrics,
        log: FilteringBoundLogger,
        handshake_timeout: float,
    ) -> None:
        super().__init__(tls, False, inner, clock)
        self.clock = clock
        self.handshake_timeout = handshake_timeout
        self._listener = listener
        self._metrics = metrics
        self._log = log

    def buildProtocol(self, addr: IAddress | None) -> Any:
        inner = self.wrappedFactory.buildProtocol(addr)
        return None if inner is None else TlsConnection(self, inner)

    def failed(self, peer: str, reason: str, detail: str) -> None:
        """A client's handshake came to nothing."""
        self._metrics.handshakes_failed(self._listener, reason).inc()
        self._log.warning(
            "tls_handshake_failed", listener=self._listener, peer=peer, reason=reason, detail=detail
        )
