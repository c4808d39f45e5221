"""The callback listener: the API's reports come in by POST /dlr/<token>.

It is the one listener that strangers reach, and each message that asked for receipts calls it
at least once. So nothing is kept of what is not wanted, no client can hold a place for long,
and a request costs little: no resource tree, no form parsing, no access log, and an answer of
one write. All answers are empty.

A client's time is counted from its connection or its last answer to the first line of a
request, and from there to the end of that request. It does not begin anew with each octet.
"""

# mypy: disable-error-code="no-untyped-call"
# (twisted.web's Request and HTTPChannel are not annotated throughout)

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Final, Protocol

from structlog.typing import FilteringBoundLogger
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel, HTTPFactory, Request, datetimeToString

from gateway.metrics import Metrics
from gateway.networks import Network, allows
from gateway.omnichannel.callback import PATH

_TIME: Final = 60.0  # seconds; see above
_LINGER: Final = 2.0  # seconds that a client whose body is too large has to read why
_CLOSING: Final = 5.0  # seconds that a connection may take to close
_CONNECTIONS: Final = 1000  # at a time; the SMPP listener needs its share of open files
_SIGNATURE: Final = b"x-messente-signature"


class Callbacks(Protocol):
    """What takes the reports: `bridge.callbacks.Callbacks`."""

    def receive(self, token: str, body: bytes, signature: str | None) -> Deferred[int] | int:
        """The HTTP status to answer, and all that the API is told."""
        ...


class _Callback(Request):
    """One request, and its answer."""

    channel: _Channel | None  # type: ignore[assignment]  # the original has only its own

    def __init__(self, channel: _Channel, queued: object = False) -> None:
        super().__init__(channel, False)
        self._body: list[bytes] = []
        self._room = channel.factory.max_body
        self._refused = False
        channel.resetTimeout()

    def gotLength(self, length: int | None) -> None:
        """The headers are there; `length` is None for a body in chunks."""
        if length is not None and length > self._room:
            self.requestHeaders.removeHeader(b"expect")  # or the body would be invited
            self._refuse()

    def handleContentChunk(self, data: bytes) -> None:
        self._room -= len(data)
        if self._room >= 0:
            self._body.append(data)
        elif not self._refused:
            self._refuse()

    def _refuse(self) -> None:
        """Answer before the end of the body; the rest of it is read and forgotten.

        Closing at once would reset the connection, and the client would not see the answer.
        """
        assert self.channel is not None  # noqa: S101
        self._refused = True
        self._body.clear()
        self.channel.factory.count("too_large")
        self.channel.write(_head(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, keep=False))
        self.channel.setTimeout(_LINGER)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        assert self.channel is not None  # noqa: S101
        if self._refused:
            self.channel.loseConnection()
            return
        self.method, self.uri, self.clientproto = command, path, version
        site = self.channel.factory
        token = site.token_of(path)
        if not site.allowed(self.client.host):
            site.count("forbidden")
            self._answer(HTTPStatus.FORBIDDEN)
        elif token is None:
            self._answer(HTTPStatus.NOT_FOUND)
        elif command != b"POST":
            site.count("method")
            self._answer(HTTPStatus.METHOD_NOT_ALLOWED)
        else:
            self._receive(site, token)

    def _receive(self, site: CallbackSite, token: str) -> None:
        signatures = self.requestHeaders.getRawHeaders(_SIGNATURE)
        signature = signatures[0].decode("latin-1") if signatures else None
        try:
            status = site.callbacks.receive(token, b"".join(self._body), signature)
        except Exception:
            site.logger.error("callback_failed", exc_info=True)
            self._answer(HTTPStatus.INTERNAL_SERVER_ERROR)
            return
        if isinstance(status, Deferred):
            status.addCallback(self._answer).addErrback(self._failed, site)
        else:
            self._answer(status)

    def _failed(self, failure: Failure, site: CallbackSite) -> None:
        site.logger.error("callback_failed", failure=failure)
        self._answer(HTTPStatus.INTERNAL_SERVER_ERROR)

    def _answer(self, status: int) -> None:
        channel = self.channel
        if channel is None:
            return  # the client has gone; what it said counts all the same
        if channel.factory.closing:
            channel.persistent = False
        self.startedWriting = True
        channel.write(_head(status, keep=bool(channel.persistent)))
        self.finish()


_EXTRA: Final[dict[int, bytes]] = {
    HTTPStatus.METHOD_NOT_ALLOWED: b"Allow: POST\r\n",
    HTTPStatus.SERVICE_UNAVAILABLE: b"Retry-After: 5\r\n",
}


def _head(status: int, *, keep: bool) -> bytes:
    """A whole answer; `keep` says whether the connection stays."""
    return b"%sDate: %s\r\n\r\n" % (_lines(status, keep), datetimeToString())


@lru_cache(maxsize=64)
def _lines(status: int, keep: bool) -> bytes:
    phrase = HTTPStatus(status).phrase
    close = b"" if keep else b"Connection: close\r\n"
    return b"HTTP/1.1 %d %s\r\nContent-Length: 0\r\n%s%s" % (
        status,
        phrase.encode("ascii"),
        close,
        _EXTRA.get(status, b""),
    )


class _Channel(HTTPChannel):
    """One connection."""

    factory: CallbackSite
    requestFactory = _Callback  # type: ignore[assignment]
    _closing = False

    def connectionMade(self) -> None:
        super().connectionMade()
        self.factory.channels.add(self)
        self._host: IAddress = super().getHost()

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        self.factory.channels.discard(self)
        super().connectionLost(reason)

    def getHost(self) -> IAddress:
        """Ours; Twisted wants it for each request, and asks the kernel each time."""
        return self._host

    def dataReceived(self, data: bytes) -> None:
        """Unlike the original, some more octets are no reason to wait longer."""
        super(HTTPChannel, self).dataReceived(data)

    def loseConnection(self) -> None:
        """Close, and not for ever: over TLS the client has a say in it."""
        self._closing = True
        super().loseConnection()
        self.setTimeout(_CLOSING)

    def timeoutConnection(self) -> None:
        if self._closing:
            self.transport.abortConnection()  # type: ignore[union-attr]  # one of a stream
        else:
            self.loseConnection()


class CallbackSite(HTTPFactory):
    """What all connections share; to be listened with, and closed at a stop.

    `max_body` is in octets; `allow` empty lets everybody in; `path` is the one of
    callbacks.public_url: a proxy in front may take it off, but it need not.
    """

    noisy = False
    protocol = _Channel  # type: ignore[assignment]  # ALPN offers no HTTP/2, so needs no proxy

    def __init__(
        self,
        reactor: IReactorTime,
        callbacks: Callbacks,
        metrics: Metrics,
        log: FilteringBoundLogger,
        *,
        max_body: int,
        allow: Iterable[Network] = (),
        path: str = "",
    ) -> None:
        super().__init__(timeout=_TIME, reactor=reactor)
        self.callbacks = callbacks
        self.max_body = max_body
        self.channels: set[_Channel] = set()
        self.closing = False
        self._prefixes = tuple(prefix.encode("ascii") for prefix in {PATH, path.rstrip("/") + PATH})
        self._metrics = metrics
        self.logger = log
        self._full = False
        networks = tuple(allow)
        self.allowed: Callable[[str], bool] = lru_cache(maxsize=1024)(
            lambda peer: not networks or allows(networks, peer)
        )

    def buildProtocol(self, addr: IAddress | None) -> Any:
        if len(self.channels) >= _CONNECTIONS:
            if not self._full:
                self.logger.warning("callbacks_full", connections=_CONNECTIONS)
            self._full = True
            return None
        self._full = False
        return super().buildProtocol(addr)

    def token_of(self, uri: bytes) -> str | None:
        """The path's last segment, if the path is that of a report."""
        for prefix in self._prefixes:
            if uri.startswith(prefix):
                token = uri[len(prefix) :]
                if token and b"/" not in token and b"?" not in token:
                    return token.decode("latin-1")
        return None

    def count(self, result: str) -> None:
        self._metrics.webhooks(result).inc()

    def log(self, request: Request) -> None:
        """Nothing: no access log."""

    def close(self) -> None:
        """Close what is idle now, and each of the others after its answer."""
        self.closing = True
        for channel in tuple(self.channels):
            if not channel.requests:
                channel.loseConnection()
