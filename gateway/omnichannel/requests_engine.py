"""The portable HTTP engine: requests on a pool of threads, HTTP/1.1.

Each worker thread has one connection of its own, so that `max_connections` is the number of
threads. The deadline is the reactor's: at that moment a request that still waits is never
sent, and one under way loses its socket, which frees its thread. A thread that hangs where no
socket can be shut (in the resolver) is a daemon and answers nobody any more.

An answer that tells no length (neither Content-Length nor chunked) is `FailureKind.CUT` here:
http.client cannot tell its end, nor a head that was cut off, from a broken connection.
"""

from __future__ import annotations

import ssl
import threading
import time
from queue import SimpleQueue
from typing import Any

from twisted.internet.defer import Deferred, succeed

from gateway.omnichannel.authorities import authorities_file
from gateway.omnichannel.requests_caller import Caller
from gateway.omnichannel.requests_watch import Job
from gateway.omnichannel.transport import (
    FailureKind,
    HttpFailure,
    HttpResult,
    TransportSettings,
)

_CLOSE_LIMIT = 1.0  # seconds that close() waits for the threads


class RequestsTransport:
    """`transport.Transport` on requests.

    `reactor` needs IReactorTime and IReactorFromThreads. Every method is to be called in the
    reactor's thread. A closed transport answers every call with `FailureKind.CLOSED`.
    """

    def __init__(self, reactor: Any, settings: TransportSettings) -> None:
        self._reactor = reactor
        self._settings = settings
        self._context: ssl.SSLContext | None = None
        self._unusable = ""  # why there is no context
        if settings.base_url.startswith("https:"):
            self._load_authorities()
        self._queue: SimpleQueue[Job | None] = SimpleQueue()
        self._threads = 0
        self._busy = 0  # jobs that a thread has or will take
        self._open: set[Job] = set()  # not answered yet
        self._closed: Deferred[None] | None = None

    def post(
        self, path: str, body: bytes, *, authorization: str, timeout: float
    ) -> Deferred[HttpResult]:
        return self._start("POST", path, body, authorization, timeout)

    def get(self, path: str, *, authorization: str, timeout: float) -> Deferred[HttpResult]:
        return self._start("GET", path, b"", authorization, timeout)

    def delete(self, path: str, *, authorization: str, timeout: float) -> Deferred[HttpResult]:
        return self._start("DELETE", path, b"", authorization, timeout)

    def close(self) -> Deferred[None]:
        if self._closed is not None:
            return succeed(None)
        done: Deferred[None] = Deferred()
        self._closed = done
        for job in list(self._open):
            self._answer(
                job, HttpFailure(FailureKind.CLOSED, job.abandon(), "the transport is closed")
            )
        for _ in range(self._threads):
            self._queue.put(None)
        if not self._threads:
            done.callback(None)
        else:
            done.addTimeout(_CLOSE_LIMIT, self._reactor, onTimeoutCancel=lambda *_: None)
        return done

    def _load_authorities(self) -> None:
        try:
            self._context = ssl.create_default_context(
                cafile=authorities_file(self._settings.ca_file)
            )
            self._context.minimum_version = ssl.TLSVersion.TLSv1_2
        except OSError as error:  # ssl.SSLError too
            self._unusable = f"{self._settings.ca_file or 'the CA bundle'}: {error}"

    def _start(
        self, method: str, path: str, body: bytes, authorization: str, timeout: float
    ) -> Deferred[HttpResult]:
        if self._closed is not None:
            return succeed(HttpFailure(FailureKind.CLOSED, False, "the transport is closed"))
        if self._unusable:
            return succeed(HttpFailure(FailureKind.TLS, False, self._unusable))
        if self._threads < min(self._busy + 1, self._settings.max_connections):
            try:
                threading.Thread(target=self._work, name="requests", daemon=True).start()
            except RuntimeError as error:  # no memory, no process: the others do its work
                if not self._threads:
                    return succeed(HttpFailure(FailureKind.CONNECT, False, str(error)))
            else:
                self._threads += 1
        job = Job(method, path, body, authorization, time.monotonic() + timeout)
        job.alarm = self._reactor.callLater(timeout, self._ring, job, timeout)
        self._open.add(job)
        self._busy += 1
        self._queue.put(job)
        return job.deferred

    def _ring(self, job: Job, timeout: float) -> None:
        sent = job.abandon()
        self._answer(
            job, HttpFailure(FailureKind.TIMEOUT, sent, f"no whole answer within {timeout:g} s")
        )

    def _answer(self, job: Job, result: HttpResult) -> None:
        if job not in self._open:
            return
        self._open.remove(job)
        if job.alarm.active():
            job.alarm.cancel()
        job.deferred.callback(result)

    def _finish(self, job: Job, result: HttpResult | None) -> None:
        """A worker has done with it; None: it was answered by somebody else meanwhile."""
        self._busy -= 1
        if result is not None:
            self._answer(job, result)

    def _ended(self) -> None:
        self._threads -= 1
        if self._closed is not None and not self._threads and not self._closed.called:
            self._closed.callback(None)

    def _work(self) -> None:
        """A worker's thread."""
        caller = Caller(self._settings, self._context)
        while (job := self._queue.get()) is not None:
            result = None if job.abandoned else caller.call(job)
            self._reactor.callFromThread(self._finish, job, result)
        caller.close()
        self._reactor.callFromThread(self._ended)
