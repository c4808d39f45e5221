"""The default HTTP engine: libcurl's multi interface, driven by the reactor.

- *The sockets live in an epoll of our own*, and the reactor watches that one descriptor.
  libcurl opens, closes and reuses descriptor numbers as it likes, sometimes closing one
  before it says so; here that costs nothing, in the reactor it would raise.
- *A hanging request holds up nobody.* With PIPEWAIT, requests wait for a connection that is
  being set up, to share it by HTTP/2. When it turns out to be HTTP/1.1, libcurl leaves them
  waiting until its request has ended. So as long as the server's HTTP version is not known,
  those that wait are released when the first connection is ready; later, only HTTP/2 waits.
- *One turn of the reactor is one batch.* A new request only marks libcurl as due; the turn
  that follows starts everything that was queued.

`libcurl_exchange` holds what one transfer is. Where pycurl (or epoll) is missing, the import
of this module fails with ImportError.
"""

from __future__ import annotations

from select import EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, epoll
from typing import Any

import pycurl
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from gateway.omnichannel.libcurl_exchange import Exchange
from gateway.omnichannel.transport import FailureKind, HttpFailure, HttpResult, TransportSettings

_EVENTS = {
    pycurl.POLL_IN: EPOLLIN,
    pycurl.POLL_OUT: EPOLLOUT,
    pycurl.POLL_INOUT: EPOLLIN | EPOLLOUT,
}
_ROUNDS = 4  # of libcurl's own follow-up work in one turn, so that sessions get theirs


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
        self._free: dict[str, list[Exchange]] = {"POST": [], "GET": [], "DELETE": []}
        self._busy: dict[pycurl.Curl, Exchange] = {}
        # Until the first answer it is not known whether connections are shared.
        self._unsure = self._shared = settings.http2 and settings.base_url.startswith("https:")

        self._due = False  # libcurl wants to be called at once
        self._driving = False
        self._turn: Any = None  # the delayed call that starts what was queued
        self._alarm: Any = None  # the delayed call for libcurl's next timeout
        self._alarm_at = self._wanted_at = 0.0

        self._epoll = epoll()
        self._watched: set[int] = set()
        multi = self._multi = pycurl.CurlMulti()
        multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch)
        multi.setopt(pycurl.M_TIMERFUNCTION, self._set_timer)
        multi.setopt(pycurl.M_PIPELINING, pycurl.PIPE_MULTIPLEX)
        multi.setopt(pycurl.M_MAX_CONCURRENT_STREAMS, 1000)
        multi.setopt(pycurl.M_MAX_TOTAL_CONNECTIONS, settings.max_connections)
        multi.setopt(pycurl.M_MAX_HOST_CONNECTIONS, settings.max_connections)
        multi.setopt(pycurl.M_MAXCONNECTS, settings.max_connections)
        reactor.addReader(self)

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
        self._reactor.removeReader(self)
        ended = list(self._busy.values())
        self._busy.clear()
        for exchange in ended:
            self._multi.remove_handle(exchange.curl)
            exchange.curl.close()
        for exchanges in self._free.values():
            for exchange in exchanges:
                exchange.curl.close()
            exchanges.clear()
        self._multi.close()
        self._epoll.close()
        for exchange in ended:
            exchange.deferred.callback(_closed(sent=exchange.attempts > 0))
        return succeed(None)

    def _start(
        self, method: str, path: str, body: bytes, authorization: str, timeout: float
    ) -> Deferred[HttpResult]:
        if self._closed:
            return succeed(_closed(sent=False))
        free = self._free[method]
        exchange = free.pop() if free else Exchange(method, self._settings)
        exchange.load(path, body, authorization, timeout)
        exchange.wait_for_connection(self._shared)
        deferred = exchange.deferred
        self._busy[exchange.curl] = exchange
        self._multi.add_handle(exchange.curl)  # libcurl asks to be called at once: _set_timer
        return deferred

    # libcurl calls these

    def _watch(self, what: int, fd: int, _multi: object, _data: object) -> None:
        """M_SOCKETFUNCTION: from now on libcurl waits for these events of this socket."""
        events = _EVENTS.get(what)
        if events is None:  # POLL_REMOVE, sometimes when the socket is closed already
            if fd in self._watched:
                self._watched.discard(fd)
                try:
                    self._epoll.unregister(fd)
                except OSError:  # closing it has removed it
                    return
            return
        try:
            if fd in self._watched:
                self._epoll.modify(fd, events)
            else:
                self._epoll.register(fd, events)
                self._watched.add(fd)
        except FileNotFoundError:  # closed without a word and opened again under its number
            self._epoll.register(fd, events)
        except FileExistsError:
            self._epoll.modify(fd, events)
            self._watched.add(fd)

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

    def fileno(self) -> int:
        return self._epoll.fileno()

    def logPrefix(self) -> str:
        return "libcurl"

    def connectionLost(self, reason: Failure) -> None:
        """The reactor has stopped."""
        self.close()

    def doRead(self) -> None:
        """Some of libcurl's sockets are ready."""
        self._driving = True
        act = self._multi.socket_action
        for fd, events in self._epoll.poll(0):
            if fd not in self._watched:  # closed by an earlier one of this list
                continue
            mask = 0
            if events & EPOLLIN:
                mask |= pycurl.CSELECT_IN
            if events & EPOLLOUT:
                mask |= pycurl.CSELECT_OUT
            if events & (EPOLLERR | EPOLLHUP):
                mask |= pycurl.CSELECT_ERR
            act(fd, mask)
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
        for _ in range(_ROUNDS):
            if self._due:
                self._due = False
                self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
            if self._unsure:
                self._release()
            self._deliver()
            if self._closed or not self._due:
                break
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
        self._multi.add_handle(nudge)
        self._multi.remove_handle(nudge)
        nudge.close()

    def _deliver(self) -> None:
        waiting = 1
        while waiting and not self._closed:
            waiting, good, bad = self._multi.info_read()
            for curl in good:
                if exchange := self._busy.pop(curl, None):
                    self._shared = exchange.multiplexed
                    self._unsure = False
                    self._end(exchange, exchange.answer())
            for curl, code, message in bad:
                if exchange := self._busy.pop(curl, None):
                    if exchange.resume(code, message):
                        self._multi.remove_handle(curl)
                        self._busy[curl] = exchange
                        self._multi.add_handle(curl)
                    else:
                        self._end(exchange, exchange.failure(code, message))

    def _end(self, exchange: Exchange, result: HttpResult) -> None:
        self._multi.remove_handle(exchange.curl)
        deferred = exchange.deferred
        exchange.unload()
        self._free[exchange.method].append(exchange)
        deferred.callback(result)


def _closed(*, sent: bool) -> HttpFailure:
    return HttpFailure(FailureKind.CLOSED, sent, "the transport is closed")
