"""The sandbox as a web site: who may ask, how often, which operation, and the answer's way out.

A request below /v1 passes, in this order: the rate limit (by source address), the password,
the path (404), the method (405), the operation. The pages below /sandbox are no part of the
API: they ask for the same password, are not limited and not counted.
"""

# mypy: disable-error-code="no-untyped-call"
# (twisted.web's Request, Resource and Site are not annotated throughout)

from __future__ import annotations

import base64
import hmac
from collections import Counter, deque
from collections.abc import Callable
from datetime import UTC, datetime

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from gateway.sandbox.answers import (
    NOT_FOUND,
    TOO_MANY_REQUESTS,
    UNAUTHORIZED,
    Answer,
    Wire,
    error_answer,
    json_answer,
    method_not_allowed,
)
from gateway.sandbox.api import Api
from gateway.sandbox.api_errors import ApiError
from gateway.sandbox.callback_client import CallbackClient
from gateway.sandbox.callbacks import Callbacks
from gateway.sandbox.rate import RateLimit
from gateway.sandbox.state import AcceptedMessage

SHOWN = 100  # messages at /sandbox/messages when no limit is given

Operation = Callable[[Request], Answer]


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _segments(request: Request) -> list[str]:
    return request.path.decode("latin-1").split("/")[1:] or [""]


class _QuietSite(Site):
    """A site that keeps no access log, and does not announce itself."""

    noisy = False

    def log(self, request: Request) -> None:
        """Write nothing: the lines would hold message ids."""


class _Everything(Resource):
    """One resource for all paths, so that 401, 404 and 405 are the API's own everywhere."""

    isLeaf = True

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__()
        self._sandbox = sandbox

    def render(self, request: Request) -> int:
        self._sandbox.handle(request)
        return NOT_DONE_YET


class Sandbox:
    """A stand-in of the Omnichannel API for one account; `site()` is what to listen with.

    `rate_limit` is in requests per second and source address, 0 for none. `latency` is in
    seconds and precedes every answer. `retry_after` adds that header to every 429. `now` is
    the wall clock that time_to_send and statuses are measured by. A message is delivered
    `delivery_delay` seconds after it is sent (see `lifecycle`). Callbacks go to loopback
    addresses only unless `callbacks_anywhere`; `callback_timeout` and `retry_pause` are those
    of `CallbackClient`.

    `counts` holds "requests" (below /v1), "accepted", "refused" and "cancelled" (messages),
    every answered HTTP status ("201"), "hang", "cut" and "gone" (the client left before its
    answer), and of the callbacks "dlr_sent", "dlr_retried", "dlr_given_up", "dlr_refused" and
    "dlr_dropped". `accepted` holds the newest 10,000 messages, the oldest first.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        *,
        username: str,
        password: str,
        rate_limit: int = 150,
        latency: float = 0.0,
        retry_after: bool = False,
        now: Callable[[], datetime] = _utc_now,
        delivery_delay: float = 1.0,
        callbacks_anywhere: bool = False,
        callback_timeout: float = 10.0,
        retry_pause: float = 1.0,
    ) -> None:
        self._reactor = reactor
        self._credentials = base64.b64encode(f"{username}:{password}".encode())
        self._rate = RateLimit(rate_limit)
        self._latency = latency
        self._retry_after = retry_after
        self._now = now
        self._held: dict[Request, IDelayedCall | None] = {}
        self.counts: Counter[str] = Counter()
        self._client = CallbackClient(
            reactor, self.counts, timeout=callback_timeout, pause=retry_pause
        )
        self._callbacks = Callbacks(
            reactor, self._client, self.counts, password=password, anywhere=callbacks_anywhere
        )
        self._api = Api(self.counts, self._callbacks, delivery_delay)

    @property
    def accepted(self) -> deque[AcceptedMessage]:
        return self._api.messages.accepted

    def site(self) -> Site:
        """Return a factory that serves this sandbox; several may serve the same."""
        return _QuietSite(_Everything(self), reactor=self._reactor)

    def close(self) -> None:
        """Close the connections whose answer is not sent yet, hanging ones included.

        Callbacks that are due later, or not yet accepted, are forgotten.
        """
        self._callbacks.close()
        self._client.close()
        for request in list(self._held):
            request.loseConnection()

    def handle(self, request: Request) -> None:
        """Answer one request, now or after its delay."""
        answer = self._answer(request)
        if answer.after is None:
            self._begin(request, answer)
            return
        self._held[request] = None
        request.notifyFinish().addErrback(self._gone, request)
        answer.after.addCallback(lambda _: self._held_long_enough(request, answer))

    def _held_long_enough(self, request: Request, answer: Answer) -> None:
        if request in self._held:  # else its client has left
            self._begin(request, answer)

    def _begin(self, request: Request, answer: Answer) -> None:
        delay = self._latency + answer.delay
        if not delay and answer.wire is not Wire.HANG:
            self._send(request, answer)
            return
        call: IDelayedCall | None = None
        if answer.wire is Wire.HANG:
            self.counts["hang"] += 1
        else:
            call = self._reactor.callLater(delay, self._send, request, answer)
        if request not in self._held:
            request.notifyFinish().addErrback(self._gone, request)
        self._held[request] = call

    def _gone(self, reason: Failure, request: Request) -> None:
        if request not in self._held:
            return  # it was answered, or cut on purpose
        call = self._held.pop(request)
        if call is not None:
            call.cancel()
        self.counts["gone"] += 1

    def _send(self, request: Request, answer: Answer) -> None:
        self._held.pop(request, None)
        if answer.wire is Wire.CUT_BEFORE:
            self.counts["cut"] += 1
            request.loseConnection()
            return
        if _segments(request)[0] == "v1":
            self.counts[str(answer.status)] += 1
        request.setResponseCode(answer.status)
        request.setHeader(b"Content-Type", answer.content_type)
        request.setHeader(b"Content-Length", b"%d" % len(answer.body))
        for name, value in answer.headers:
            request.setHeader(name, value)
        if answer.status == 429 and self._retry_after:
            request.setHeader(b"Retry-After", b"1")
        if answer.wire is Wire.CUT_WITHIN:
            self.counts["cut"] += 1
            request.write(answer.body[: len(answer.body) // 2])
            request.loseConnection()
            return
        request.write(answer.body)
        request.finish()

    def _answer(self, request: Request) -> Answer:
        path = _segments(request)
        if path[0] == "v1":
            self.counts["requests"] += 1
            peer = getattr(request.getClientAddress(), "host", "")
            if not self._rate.allows(peer, self._reactor.seconds()):
                return TOO_MANY_REQUESTS
        elif path[0] != "sandbox":
            return NOT_FOUND
        if not self._authorized(request):
            return UNAUTHORIZED
        route = self._route(path)
        if route is None:
            return NOT_FOUND
        method, operation = route
        if request.method != method:
            return method_not_allowed(method)
        return operation(request)

    def _authorized(self, request: Request) -> bool:
        header = request.requestHeaders.getRawHeaders(b"Authorization", [b""])[0]
        scheme, _, credentials = header.partition(b" ")
        return scheme.lower() == b"basic" and hmac.compare_digest(
            credentials.strip(), self._credentials
        )

    def _route(self, path: list[str]) -> tuple[bytes, Operation] | None:
        match path:
            case ["v1", "omnimessage"]:
                return b"POST", lambda request: self._api.send_one(
                    request.content.read(), self._now()
                )
            case ["v1", "omnimessages"]:
                return b"POST", lambda request: self._api.send_many(
                    request.content.read(), self._now()
                )
            case ["v1", "omnimessage", omnimessage_id, "status"]:
                return b"GET", lambda _: self._api.status(omnimessage_id.lower(), self._now())
            case ["v1", "omnimessage", omnimessage_id] if omnimessage_id:
                return b"DELETE", lambda _: self._api.cancel(omnimessage_id.lower(), self._now())
            case ["sandbox", "messages"]:
                return b"GET", self._show_messages
            case ["sandbox", "counts"]:
                return b"GET", lambda _: json_answer(200, self.counts)
            case _:
                return None

    def _show_messages(self, request: Request) -> Answer:
        given = request.args.get(b"limit", [b"%d" % SHOWN])[0]
        if not given.isdigit() or len(given) > 9:
            return error_answer(400, ApiError("105", "Must be a count of messages", "limit"))
        shown = self._api.shown(int(given), self._now())
        return json_answer(200, {"messages": shown})
