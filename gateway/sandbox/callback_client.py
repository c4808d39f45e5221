"""POSTs callbacks over kept connections, and repeats those that were not accepted."""

# mypy: disable-error-code="no-untyped-call"
# (twisted.web's client is not annotated throughout)

from __future__ import annotations

from collections import Counter, deque
from typing import Any, Final

from twisted.internet.abstract import isIPAddress
from twisted.internet.defer import Deferred, succeed
from twisted.internet.endpoints import (
    HostnameEndpoint,
    TCP4ClientEndpoint,
    wrapClientTLS,
)
from twisted.internet.interfaces import (
    IConsumer,
    IDelayedCall,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.ssl import CertificateOptions
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.client import URI, Agent, HTTPConnectionPool
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgentEndpointFactory, IBodyProducer, IResponse
from zope.interface import implementer

RETRIES: Final = 5  # as Messente documents for its older SMS API; nothing is known of this one
AT_ONCE: Final = 64  # connections, and so callbacks that wait for their answer
KEPT: Final = 15  # seconds an idle connection is kept, less than common servers do
JSON: Final = b"application/json; charset=utf-8"


class Callback:
    """One callback to one URL. `first` fires, with None, when it was tried once."""

    __slots__ = ("body", "failures", "first", "signature", "url")

    def __init__(self, url: str, body: bytes, signature: str) -> None:
        self.url = url.encode("ascii")
        self.body = body
        self.signature = signature.encode("ascii")
        self.failures = 0
        self.first: Deferred[None] = Deferred()


class CallbackClient:
    """Sends callbacks, at most AT_ONCE at a time; `outstanding` is how many are not done with.

    An answer of 200 to 399 accepts a callback. After any other, or none within `timeout`
    seconds, it is sent again `pause` seconds later, and then after twice the last pause each
    time, up to RETRIES times. `counts` gets "dlr_sent" (accepted), "dlr_retried" and
    "dlr_given_up". Certificates are not verified: a gateway on trial has one of its own.
    """

    _log = Logger()

    def __init__(
        self, reactor: IReactorTime, counts: Counter[str], *, timeout: float, pause: float
    ) -> None:
        self.outstanding = 0
        self._reactor = reactor
        self._counts = counts
        self._timeout = timeout
        self._pause = pause
        self._pool = HTTPConnectionPool(reactor)
        self._pool.maxPersistentPerHost = AT_ONCE
        self._pool.cachedConnectionTimeout = KEPT
        self._pool.retryAutomatically = False
        self._agent = Agent.usingEndpointFactory(reactor, _Endpoints(reactor, timeout), self._pool)
        self._waiting: deque[Callback] = deque()
        self._repeating: dict[Callback, IDelayedCall] = {}
        self._asking: set[Deferred[Any]] = set()
        self._closed = False

    def post(self, callback: Callback) -> None:
        """Send a callback when its turn has come."""
        self.outstanding += 1
        self._waiting.append(callback)
        self._start()

    def close(self) -> Deferred[None]:
        """Stop, and forget what was not sent. Fires when no connection is left."""
        self._closed = True
        self._waiting.clear()
        for call in self._repeating.values():
            call.cancel()
        self._repeating.clear()
        for asked in list(self._asking):
            asked.cancel()
        self.outstanding = 0
        closed: Deferred[None] = self._pool.closeCachedConnections()
        return closed

    def _start(self) -> None:
        while self._waiting and len(self._asking) < AT_ONCE and not self._closed:
            callback = self._waiting.popleft()
            asked = Deferred.fromCoroutine(self._ask(callback))
            asked.addTimeout(self._timeout, self._reactor)
            self._asking.add(asked)
            asked.addCallbacks(
                self._answered, self._failed, callbackArgs=(callback,), errbackArgs=(callback,)
            )
            asked.addBoth(self._done, asked, callback)

    async def _ask(self, callback: Callback) -> int:
        headers = {
            b"Content-Type": [JSON],
            b"User-Agent": [b"smpp-gateway sandbox"],
            b"X-Messente-Signature": [callback.signature],
        }
        response: IResponse = await self._agent.request(
            b"POST", callback.url, Headers(headers), _Body(callback.body)
        )
        rest = _Rest()
        response.deliverBody(rest)
        await rest.ended  # until then its connection takes no other request
        return int(response.code)

    def _answered(self, status: int, callback: Callback) -> None:
        if 200 <= status <= 399:
            self._counts["dlr_sent"] += 1
            self.outstanding -= 1
        else:
            self._not_accepted(callback, f"the answer was {status}")

    def _failed(self, failure: Failure, callback: Callback) -> None:
        if not self._closed:
            self._not_accepted(callback, type(failure.value).__name__)

    def _not_accepted(self, callback: Callback, reason: str) -> None:
        if callback.failures == RETRIES:
            self.outstanding -= 1
            self._counts["dlr_given_up"] += 1
            if self._counts["dlr_given_up"] == 1:
                self._log.warn(
                    "A callback was given up ({reason}); those to come are only counted, as "
                    "dlr_given_up",
                    reason=reason,
                )
            return
        pause = self._pause * 2**callback.failures
        callback.failures += 1
        self._repeating[callback] = self._reactor.callLater(pause, self._repeat, callback)

    def _repeat(self, callback: Callback) -> None:
        del self._repeating[callback]
        self._counts["dlr_retried"] += 1
        self._waiting.append(callback)
        self._start()

    def _done(self, result: object, asked: Deferred[Any], callback: Callback) -> object:
        self._asking.discard(asked)
        if not callback.first.called:
            callback.first.callback(None)
        self._start()
        return result


class _Rest(Protocol):
    """Reads the body of an answer and forgets it. `ended` fires at its end, however it came."""

    def __init__(self) -> None:
        self.ended: Deferred[None] = Deferred(self._cut)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if not self.ended.called:
            self.ended.callback(None)

    def _cut(self, _: Deferred[None]) -> None:
        if self.transport is not None:
            self.transport.loseConnection()


@implementer(IBodyProducer)
class _Body:
    """A body that is written at once: it is a few hundred octets."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        self.length = len(octets)

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        consumer.write(self._octets)
        return succeed(None)

    def stopProducing(self) -> None: ...

    def pauseProducing(self) -> None: ...

    def resumeProducing(self) -> None: ...


@implementer(IAgentEndpointFactory)
class _Endpoints:
    """Where a URL leads, with any certificate.

    The agent's own endpoint of an IPv4 address waits 0.3 seconds before it says that nobody
    listens, and encodes the address as if it were a name.
    """

    def __init__(self, reactor: IReactorTime, timeout: float) -> None:
        self._reactor = reactor
        self._timeout = timeout
        self._unverified = CertificateOptions(verify=False)

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        host = uri.host.decode("ascii")
        kind: Any = TCP4ClientEndpoint if isIPAddress(host) else HostnameEndpoint
        endpoint: IStreamClientEndpoint = kind(self._reactor, host, uri.port, self._timeout)
        if uri.scheme == b"https":
            return wrapClientTLS(self._unverified, endpoint)
        return endpoint
