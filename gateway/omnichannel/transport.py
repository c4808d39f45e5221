"""What the gateway asks of an HTTP engine, and what it gets back.

A transport never raises and never repeats a request: it answers every call with one value,
an `HttpAnswer` when the API's whole answer was read, an `HttpFailure` otherwise. What
matters most in a failure is `sent`: False only when it is certain that the server cannot
have read the request (refused, DNS, TLS, a connect timeout). Everything else may have been
accepted by the API, and must not be repeated because the API has no idempotency key.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from twisted.internet.defer import Deferred

from gateway.values import value_class


class FailureKind(enum.Enum):
    """Why there is no answer; the value is the metric's and the log's word for it."""

    DNS = "dns"  # the name does not resolve
    CONNECT = "connect"  # refused, unreachable, or no connection within connect_timeout
    TLS = "tls"  # the handshake failed or the certificate was not accepted
    PROXY = "proxy"  # the HTTP proxy refused or could not be used
    TIMEOUT = "timeout"  # no whole answer within the request's time
    CUT = "cut"  # the connection ended before the whole answer was read
    TOO_LARGE = "too_large"  # the answer exceeded max_answer_octets
    PROTOCOL = "protocol"  # what came back is not HTTP
    CLOSED = "closed"  # the transport is shutting down


@value_class
class HttpAnswer:
    """A complete answer of any status. Redirects are answers: they are never followed."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)  # names in lower case


@value_class
class HttpFailure:
    """No answer. `sent` is True when the server may have read the request."""

    kind: FailureKind
    sent: bool
    detail: str  # the engine's own words, for the log; never a credential or a body


HttpResult = HttpAnswer | HttpFailure


@dataclass(frozen=True, slots=True)
class TransportSettings:
    """What both engines are built from. Times in seconds, sizes in octets."""

    base_url: str  # https://api.messente.com/v1, without a trailing slash
    user_agent: str
    ca_file: str = ""  # "" = the system's certificate authorities
    proxy: str = ""  # "" = none; http://user:password@host:port
    max_connections: int = 256
    connect_timeout: float = 5.0
    max_connection_age: float = 50.0  # shorter than common idle limits of servers
    # The next two are of libcurl alone: requests has a thread for each connection, where the
    # rest waits, and the server says on each answer of HTTP/1.1 whether it will take another.
    max_requests: int = 500  # at once; those above it wait for their turn
    max_connection_requests: int = 900  # of HTTP/2, then a new one; 0 = any number
    max_answer_octets: int = 4 * 1024 * 1024
    http2: bool = True  # by ALPN; requests always speaks HTTP/1.1


class Transport(Protocol):
    """One of the engines: `libcurl.LibcurlTransport` or `requests_engine.RequestsTransport`.

    `path` stands below base_url and starts with a slash. `authorization` is the whole
    header value. `timeout` is in seconds and counts from the call, so that waiting for a
    free connection or thread, or for its turn among max_requests, is included; the result
    arrives no later than `timeout` plus a quarter of a second, whatever the server does.
    """

    def post(
        self, path: str, body: bytes, *, authorization: str, timeout: float
    ) -> Deferred[HttpResult]: ...

    def get(self, path: str, *, authorization: str, timeout: float) -> Deferred[HttpResult]: ...

    def delete(self, path: str, *, authorization: str, timeout: float) -> Deferred[HttpResult]: ...

    def close(self) -> Deferred[None]:
        """Release sockets and threads; what is in flight ends as `FailureKind.CLOSED`."""
        ...
