"""The callback listener: the API's reports come in by POST /dlr/<token>.

It is the one listener that strangers reach, and each message that asked for receipts calls it
at least once. So nothing is kept of what is not wanted, no client can hold a place for long,
and a request costs little: no resource tree, no form parsing, no access log, and an answer of
one write. All answers are empty.
"""

# mypy: disable-error-code="no-untyped-call"
# (twisted.web's Request and HTTPChannel are not annotated throughout)

from __future__ import annotations

from http import HTTPStatus
from typing import Final, Protocol

from structlog.typing import FilteringBoundLogger
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from twisted.web.http import Request

from gateway.metrics import Metrics
from gateway.net.http_channel import BoundedChannel, BoundedFactory, head
from gateway.net.http_limits import HttpDoor, HttpLimits
from gateway.omnichannel.callback import PATH

_SIGNATURE: Final = b"x-messente-signature"


class Callbacks(Protocol):
    """What takes the reports: `bridge.callbacks.Callbacks`."""

    require_signature: bool

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
        assert self.channel is not None  # noqa: S101
        self._refused = True
        self._body.clear()
        self.channel.factory.count("too_large")
        self.channel.refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        assert self.channel is not None  # noqa: S101
        if self._refused:
            self.channel.loseConnection()
            return
        self.method, self.uri, self.clientproto = command, path, version
        site = self.channel.factory
        token = site.token_of(path)
        if token is None:
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
        channel.write(head(status, keep=bool(channel.persistent)))
        self.finish()


class _Channel(BoundedChannel):
    factory: CallbackSite
    requestFactory = _Callback  # type: ignore[assignment]


class CallbackSite(BoundedFactory):
    """What all connections share; to be listened with, and closed at a stop.

    `max_body` is in octets and may be replaced, as may `door.limits`. `path` is the one of
    callbacks.public_url: a proxy in front may take it off, but it need not.
    """

    protocol = _Channel

    def __init__(
        self,
        reactor: IReactorTime,
        callbacks: Callbacks,
        metrics: Metrics,
        log: FilteringBoundLogger,
        *,
        max_body: int,
        limits: HttpLimits | None = None,
        path: str = "",
    ) -> None:
        super().__init__(reactor=reactor)
        self.callbacks = callbacks
        self.max_body = max_body
        self.door = HttpDoor("callbacks", limits or HttpLimits(), metrics, log)
        self.channels: set[BoundedChannel] = set()
        self.closing = False
        self._prefixes = tuple(prefix.encode("ascii") for prefix in {PATH, path.rstrip("/") + PATH})
        self._metrics = metrics
        self.logger = log

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

    def close(self) -> None:
        """Close what is idle now, and each of the others after its answer."""
        self.closing = True
        for channel in tuple(self.channels):
            if not channel.requests:
                channel.loseConnection()
