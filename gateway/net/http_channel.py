"""HTTP connections that are bounded in number, in time and in what is kept of them.

- A client's time is counted from its connection or its last answer to the first line of a request,
  and from there to the end of that request. It does not begin anew with each octet.
- The first line and the headers have a bound together, beyond which the answer is 431.
- Little is read at a time, because requests that come one behind the other in one read are served
  in one turn of the event loop.
- Who does not read its answers is not read; that is Twisted's own doing.
"""

# mypy: disable-error-code="no-untyped-call"
# (HTTPChannel is not annotated throughout)

from __future__ import annotations

from functools import lru_cache
from http import HTTPStatus
from typing import Any, Final

from twisted.internet.interfaces import IAddress
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel, HTTPFactory, datetimeToString

from gateway.net.http_limits import HttpDoor

LINGER: Final = 2.0  # seconds that a client who is refused in the middle has to read why
CLOSING: Final = 5.0  # seconds that a connection may take to close
_READ: Final = 4_096  # octets


class BoundedChannel(HTTPChannel):
    """One connection."""

    factory: BoundedFactory
    _head = 0  # octets of the request's first line and headers
    _asked = False  # something came of a request that is not answered
    _refused = False
    _deaf = False  # reads, and forgets
    _closing = False

    def connectionMade(self) -> None:
        super().connectionMade()
        self.factory.channels.add(self)
        self._host: IAddress = super().getHost()
        transport: Any = self.transport
        getattr(transport, "transport", transport).bufferSize = _READ  # that of TCP below TLS

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        self.factory.channels.discard(self)
        super().connectionLost(reason)

    def getHost(self) -> IAddress:
        """Ours; Twisted wants it for each request, and asks the kernel each time."""
        return self._host

    def dataReceived(self, data: bytes) -> None:
        """Unlike the original, some more octets are no reason to wait longer."""
        if not self._deaf:
            self._asked = True
            super(HTTPChannel, self).dataReceived(data)

    def lineReceived(self, line: bytes) -> bool | None:
        """A line of the head; True ends the reading of lines."""
        if not self._head:
            self.resetTimeout()
        self._head += len(line) + 2
        if self._head > self.factory.door.limits.max_header:
            return self.lineLengthExceeded(line)
        super().lineReceived(line)
        return None

    def lineLengthExceeded(self, line: bytes) -> bool:
        self.clearLineBuffer()
        self.factory.count("header_too_large")
        self.refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        self._deaf = True
        return True

    def allHeadersReceived(self) -> None:
        self._head = 0
        super().allHeadersReceived()

    def requestDone(self, request: Any) -> None:
        self._asked = False
        super().requestDone(request)

    def refuse(self, status: int) -> None:
        """Answer before the end of a request, whose rest is read and forgotten.

        Closing at once would reset the connection, and the client would not see the answer.
        """
        self._refused = True
        self.write(head(status, keep=False))
        self.setTimeout(LINGER)

    def loseConnection(self) -> None:
        """Close, and not for ever: over TLS the client has a say in it."""
        self._closing = True
        super().loseConnection()
        self.setTimeout(CLOSING)

    def timeoutConnection(self) -> None:
        if self._closing:
            self.transport.abortConnection()  # type: ignore[union-attr]  # one of a stream
            return
        if self._asked and not self._refused:
            self.factory.door.dropped("timeout")
        self.loseConnection()


class BoundedFactory(HTTPFactory):
    """What all connections of a listener share. `door` is set by whoever makes it."""

    noisy = False
    protocol = BoundedChannel  # type: ignore[assignment]  # ALPN offers no HTTP/2: no proxy for it

    door: HttpDoor
    channels: set[BoundedChannel]

    def buildProtocol(self, addr: IAddress | None) -> Any:
        limits = self.door.limits
        if not self.door.admits(getattr(addr, "host", ""), len(self.channels)):
            return None
        self.timeOut = limits.request_timeout
        channel: Any = super().buildProtocol(addr)
        # Its own bounds, which ours come before: one for all lines, the other for each.
        channel.totalHeadersSize = channel.MAX_LENGTH = limits.max_header
        return channel

    def count(self, result: str) -> None:
        """A request was refused for its size."""

    def log(self, request: object) -> None:
        """Nothing: no access log."""


_EXTRA: Final[dict[int, bytes]] = {
    HTTPStatus.METHOD_NOT_ALLOWED: b"Allow: POST\r\n",
    HTTPStatus.SERVICE_UNAVAILABLE: b"Retry-After: 5\r\n",
}


def head(status: int, *, keep: bool) -> bytes:
    """A whole answer, which is empty; `keep` says whether the connection stays."""
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
