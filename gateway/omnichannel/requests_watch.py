"""The watch that is kept on a request while a worker's thread has it.

requests says neither whether a request went out nor gives a way to end a call from outside.
Both come from the two connection classes below it: every octet passes `_Watched.send`, and
the socket is lent to the `Job`, so that the reactor can shut it down at the deadline.
"""

from __future__ import annotations

import os
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import urllib3
from requests.adapters import HTTPAdapter
from twisted.internet.defer import Deferred
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util import make_headers

from gateway.omnichannel.transport import HttpResult


class AbandonedError(Exception):
    """The deadline has passed or the transport was closed: nothing more may be sent."""


class Job:
    """A request on its way from the reactor to a worker and back.

    The reactor may `abandon` it at any moment. From then on no octet of the request leaves;
    and what `abandon` returns is final: whether one has left before.
    """

    def __init__(self, method: str, path: str, body: bytes, authorization: str, end: float) -> None:
        self.method = method
        self.path = path
        self.body = body
        self.authorization = authorization
        self.end = end  # time.monotonic()
        self.deferred: Deferred[HttpResult] = Deferred()
        self.alarm: Any = None  # the reactor's delayed call for the deadline
        self.connected = False
        self.sent = False
        self._abandoned = False
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None  # a duplicate: ours to close

    def watch(self, sock: socket.socket) -> None:
        """Remember the socket under the request; raises `AbandonedError` when it is too late."""
        with self._lock:
            if self._abandoned:
                raise AbandonedError
            self.connected = True
            if self._socket is None:
                self._socket = socket.socket(fileno=os.dup(sock.fileno()))

    def begin(self) -> None:
        """The next thing is to send; raises `AbandonedError` when it is too late."""
        with self._lock:
            if self._abandoned:
                raise AbandonedError
            self.sent = True

    def abandon(self) -> bool:
        """End it, whatever the worker waits for; return whether the request may have been read."""
        with self._lock:
            self._abandoned = True
            if self._socket is not None:
                try:
                    self._socket.shutdown(socket.SHUT_RDWR)
                except OSError:  # the server was first
                    return self.sent
            return self.sent

    @property
    def abandoned(self) -> bool:
        with self._lock:
            return self._abandoned

    def release(self) -> None:
        with self._lock:
            if self._socket is not None:
                self._socket.close()
                self._socket = None


_thread = threading.local()  # .job: what this thread works on


@contextmanager
def watching(job: Job) -> Iterator[None]:
    """Until the end of the block, connections of this thread work for `job`."""
    _thread.job = job
    try:
        yield
    finally:
        _thread.job = None
        job.release()


class _Watched(HTTPConnection):
    """Tells the thread's job about its socket, and asks it before a request is sent."""

    _connecting = False

    def _new_conn(self) -> socket.socket:
        sock = super()._new_conn()
        try:
            _thread.job.watch(sock)
        except AbandonedError:
            sock.close()
            raise
        return sock

    def connect(self) -> None:
        self._connecting = True
        try:
            super().connect()
        finally:
            self._connecting = False

    def send(self, data: Any) -> None:
        if not self._connecting:  # else it is the CONNECT for a proxy
            if self.sock is None:
                self.connect()
            _thread.job.watch(self.sock)
            _thread.job.begin()
        super().send(data)


class _WatchedTls(_Watched, HTTPSConnection):
    pass


class _HttpPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Watched


class _HttpsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _WatchedTls


class WatchedAdapter(HTTPAdapter):
    """HTTPAdapter with the watched connections and one TLS context for all threads."""

    def __init__(self, context: ssl.SSLContext | None, credentials: str) -> None:
        self._context = context
        self._credentials = credentials
        super().__init__(max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._context, **kwargs)
        _use_watched_pools(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        known = proxy in self.proxy_manager
        manager = super().proxy_manager_for(proxy, ssl_context=self._context, **kwargs)
        if not known:
            _use_watched_pools(manager)
        return manager

    def proxy_headers(self, proxy: str) -> dict[str, str]:
        return make_headers(proxy_basic_auth=self._credentials) if self._credentials else {}

    def cert_verify(self, conn: Any, url: str, verify: object, cert: object) -> None:
        # The context has the authorities already; the original loads them anew each time.
        conn.cert_reqs = "CERT_REQUIRED"


def _use_watched_pools(manager: Any) -> None:
    manager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}
