"""The default HTTP engine: libcurl's multi interface, driven by the reactor.

- *No more than max_requests are with libcurl*; the others wait in a `libcurl_line.Line`.
- *A connection of HTTP/2 is given up in time.* After keepalive_requests a server such as nginx
  says goodbye (GOAWAY) and reads no later request. libcurl does not tell those from requests
  that were cut off, so each would be an unknown outcome. Before that, every handle moves to a
  new pool of connections; what is under way on the old ones goes on undisturbed. All requests
  since the last move are counted as if they had gone over one connection.
- *A hanging request holds up nobody.* With PIPEWAIT, requests wait for a connection that is
  being set up, to share it by HTTP/2. When it turns out to be HTTP/1.1, libcurl leaves them
  waiting until its request has ended. So as long as the server's HTTP version is not known,
  those that wait are released when the first connection is ready; later, only HTTP/2 waits.
- *One turn of the reactor is one batch.* A new request only marks libcurl as due; the turn
  that follows starts everything that was queued.

`libcurl_exchange` holds what one transfer is, `libcurl_sockets` what is waited for. Where pycurl
(or epoll) is missing, the import of this module fails with ImportError.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Any

import pycurl
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from gateway.omnichannel.libcurl_exchange import Exchange
from gateway.omnichannel.libcurl_line import Line, Waiting, out_of_time
from gateway.omnichannel.libcurl_options import Pool
from gateway.omnichannel.libcurl_sockets import Sockets
from gateway.omnichannel.libcurl_spares import Spares
from gateway.omnichannel.transport import FailureKind, HttpFailure, HttpResult, TransportSettings

_log = Logger()
_THINNED_EVERY = 30.0  # seconds
_ROUNDS = 4  # of libcurl's own follow-up work in one turn, so that sessions get theirs
# Requests before the first answer. Every server of HTTP/2 takes as many on one connection
# (RFC 9113, 6.5.2); above its limit, each of the others would open one of its own.
_UNSURE_REQUESTS = 100


@implementer(IReadDescriptor)
class LibcurlTransport:
    """`transport.Transport` on libcurl: HTTP/2 where the server offers it, else HTTP/1.1.

    `reactor` needs IReactorTime and IReactorFDSet. Every method is to be called in the
    reactor's thread. A closed transport answers every call with `FailureKind.CLOSED`.
    """

    def __init__(self, reactor: Any, settings: TransportSettings) -> None:
        self._reactor = reactor
        self._settings = settings
        self._closed = False
        self._spares = {method: Spares() for method in ("POST", "GET", "DELETE")}
        self._busy: dict[pycurl.Curl, Exchange] = {}
        self._line = Line(reactor)
        # Until the first answer it is not known whether connections are shared.
        self._unsure = self._shared = settings.http2 and settings.base_url.startswith("https:")
        self._retire_after = settings.max_connection_requests or sys.maxsize
        self._room = settings.max_requests
        if self._unsure:
            self._room = min(self._room, self._retire_after, _UNSURE_REQUESTS)

        self._pool = Pool()
        self._pool_requests = 0  # that have been given to this pool

        self._due = False  # libcurl wants to be called at once
        self._driving = False
        self._turn: Any = None  # the delayed call that starts what was queued
        self._alarm: Any = None  # the delayed call for libcurl's next timeout
        self._alarm_at = self._wanted_at = 0.0

        self._sockets = Sockets(self._pool.ended)
        self.fileno = self._sockets.fileno
        multi = self._multi = pycurl.CurlMulti()
        multi.setopt(pycurl.M_SOCKETFUNCTION, self._sockets.watch)
        multi.setopt(pycurl.M_TIMERFUNCTION, self._set_timer)
        multi.setopt(pycurl.M_PIPELINING, pycurl.PIPE_MULTIPLEX)
        multi.setopt(pycurl.M_MAX_CONCURRENT_STREAMS, 1000)
        multi.setopt(pycurl.M_MAX_TOTAL_CONNECTIONS, settings.max_connections)
        multi.setopt(pycurl.M_MAX_HOST_CONNECTIONS, settings.max_connections)
        multi.setopt(pycurl.M_MAXCONNECTS, settings.max_connections)
        self._add, self._remove = multi.add_handle, multi.remove_handle
        reactor.addReader(self)
        self._thinning = LoopingCall(self._thin)
        self._thinning.clock = reactor
        self._thinning.start(_THINNED_EVERY, now=False)

    def post(
        self, path: str, body: bytes, *, authorization: str, timeout: float
    ) -> Deferred[HttpResult]:
        return self._start("POST", path, body, authorization, timeout)

    def get(self, path: str, *, authorization: str, timeout: float) -> Deferred[HttpResult]:
        return self._start("GET", path, b"", authorization, timeout)

    def delete(self, path: str, *, authorization: str, timeout: float) -> Deferred[HttpResult]:
        return self._start("DELETE", path, b"", authorization, timeout)

    def close(self) -> Deferred[None]:
        if self._closed:
            return succeed(None)
        self._closed = True
        for call in (self._turn, self._alarm):
            if call is not None and call.active():
                call.cancel()
        self._thinning.stop()
        self._reactor.removeReader(self)
        waiting = self._line.clear()
        ended = list(self._busy.values())
        self._busy.clear()
        for exchange in ended:
            with suppress(pycurl.error):  # whatever it says, its caller gets an answer
                self._remove(exchange.curl)
            exchange.curl.close()
        for spares in self._spares.values():
            spares.clear()
        self._pool.share.close()
        self._multi.close()
        self._sockets.close()
        for exchange in ended:
            exchange.deferred.callback(_closed(sent=exchange.attempts > 0))
        for request in waiting:
            request.deferred.callback(_closed(sent=False))
        return succeed(None)

    def _start(
        self, method: str, path: str, body: bytes, authorization: str, timeout: float
    ) -> Deferred[HttpResult]:
        if self._closed:
            return succeed(_closed(sent=False))
        deferred: Deferred[HttpResult] = Deferred()
        if self._line or len(self._busy) >= self._room:
            deadline = self._reactor.seconds() + timeout
            self._line.add(Waiting(method, path, body, authorization, deadline, deferred))
        else:
            self._begin(method, path, body, authorization, timeout, deferred)
        return deferred

    def _begin(
        self,
        method: str,
        path: str,
        body: bytes,
        authorization: str,
        timeout: float,
        deferred: Deferred[HttpResult],
    ) -> None:
        if self._pool_requests >= self._retire_after and self._shared:
            self._renew_pool()
        self._pool_requests += 1
        exchange = self._spares[method].take() or Exchange(method, self._settings, self._pool)
        exchange.load(path, body, authorization, timeout, deferred)
        if exchange.patient is not self._shared:
            exchange.wait_for_connection(self._shared)
        self._busy[exchange.curl] = exchange
        try:
            self._add(exchange.curl)  # libcurl asks to be called at once: _set_timer
        except pycurl.error as error:  # no memory, no descriptor: a transport never raises
            del self._busy[exchange.curl]
            exchange.curl.close()
            detail = f"libcurl takes no request: {error}"
            deferred.callback(HttpFailure(FailureKind.CONNECT, False, detail))

    def _renew_pool(self) -> None:
        """Let new requests go out on new connections; idle ones are closed."""
        self._pool = Pool()
        self._sockets.ended = self._pool.ended
        self._pool_requests = 0
        for spares in self._spares.values():
            for exchange in spares:
                exchange.join(self._pool)

    def _thin(self) -> None:
        for spares in self._spares.values():
            spares.thin()

    def _advance(self) -> None:
        """Begin as many of those that wait as there is room for."""
        while self._line and len(self._busy) < self._room and not self._closed:
            each = self._line.next()
            left = each.deadline - self._reactor.seconds()
            if left > 0:
                self._begin(
                    each.method, each.path, each.body, each.authorization, left, each.deferred
                )
            else:
                each.deferred.callback(out_of_time())

    # libcurl calls this

    def _set_timer(self, milliseconds: int) -> None:
        """M_TIMERFUNCTION: when libcurl wants to be called; must not call it back from here."""
        if self._closed:
            return
        if milliseconds == 0:
            self._wanted_at = 0.0
            self._due = True
            if not self._driving and self._turn is None:
                self._turn = self._reactor.callLater(0, self._begin_turn)
            return
        if milliseconds < 0:
            self._wanted_at = 0.0
            return
        # Every transfer moves this time; the delayed call is moved only when it would be late.
        self._wanted_at = at = self._reactor.seconds() + milliseconds / 1000
        if self._alarm is None:
            self._alarm_at = at
            self._alarm = self._reactor.callLater(milliseconds / 1000, self._ring)
        elif at < self._alarm_at:
            self._alarm_at = at
            self._alarm.reset(milliseconds / 1000)

    # The reactor calls these

    def logPrefix(self) -> str:
        return "libcurl"

    def connectionLost(self, reason: Failure) -> None:
        """The reactor has stopped."""
        self.close()

    def doRead(self) -> None:
        """Some of libcurl's sockets are ready."""
        try:
            self._driving = True
            act = self._multi.socket_action
            for fd, mask in self._sockets.ready():
                act(fd, mask)
        except Exception:  # noqa: BLE001  raised, it would end the engine for good
            _log.failure("libcurl failed; what is under way ends at its own deadline")
        self._drive()

    def _begin_turn(self) -> None:
        self._turn = None
        self._drive()

    def _ring(self) -> None:
        self._alarm = None
        if not self._wanted_at:
            return
        left = self._wanted_at - self._reactor.seconds()
        if left > 0:
            self._alarm_at = self._wanted_at
            self._alarm = self._reactor.callLater(left, self._ring)
        else:
            self._wanted_at = 0.0
            self._due = True
            self._drive()

    def _drive(self) -> None:
        """Give libcurl the time it asked for, and deliver what has ended."""
        self._driving = True
        try:
            for _ in range(_ROUNDS):
                if self._due:
                    self._due = False
                    self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
                if self._unsure:
                    self._release()
                self._deliver()
                if self._closed or not self._due:
                    break
        except Exception:  # noqa: BLE001  raised, it would end the engine for good
            _log.failure("libcurl failed; what is under way ends at its own deadline")
        finally:
            self._driving = False
        if self._due and self._turn is None and not self._closed:
            self._turn = self._reactor.callLater(0, self._begin_turn)

    def _release(self) -> None:
        """The first connection is ready: let the others share it, or open their own."""
        exchanges = self._busy.values()
        if not any(exchange.attempts for exchange in exchanges):
            return
        self._unsure = self._shared = False
        for exchange in exchanges:
            if not exchange.attempts:
                exchange.wait_for_connection(False)
        nudge = pycurl.Curl()  # removing a handle makes libcurl look at those that wait
        self._add(nudge)
        self._remove(nudge)
        nudge.close()

    def _deliver(self) -> None:
        waiting = 1
        while waiting and not self._closed:
            waiting, good, bad = self._multi.info_read()
            if good and (last := self._busy.get(good[-1])):  # one speaks for the batch
                self._shared = last.multiplexed
                self._unsure = False
                self._room = self._settings.max_requests
            for curl in good:
                if exchange := self._busy.pop(curl, None):
                    self._end(exchange, exchange.answer())
            for curl, code, message in bad:
                if exchange := self._busy.pop(curl, None):
                    if exchange.resume(code, message):
                        self._again(exchange)
                    else:
                        self._end(exchange, exchange.failure(code, message))

    def _again(self, exchange: Exchange) -> None:
        """Nothing was begun: add it again, where it meets no connection that has ended."""
        self._remove(exchange.curl)
        if port := exchange.refused:
            exchange.refused = 0
            if not self._shared:
                self._pool.ended.discard(port)  # libcurl has closed it
            elif exchange.pool is self._pool:  # libcurl would use it again and again
                self._renew_pool()
            exchange.join(self._pool)
        self._busy[exchange.curl] = exchange
        self._add(exchange.curl)

    def _end(self, exchange: Exchange, result: HttpResult) -> None:
        self._remove(exchange.curl)
        deferred = exchange.deferred
        exchange.unload()
        if exchange.pool is not self._pool:
            exchange.join(self._pool)
        self._spares[exchange.method].put(exchange)
        if self._line:
            self._advance()
        deferred.callback(result)


def _closed(*, sent: bool) -> HttpFailure:
    return HttpFailure(FailureKind.CLOSED, sent, "the transport is closed")
