"""The engines under the contract, and a way to call them from a test's thread."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred, gatherResults

from gateway.omnichannel.libcurl import LibcurlTransport
from gateway.omnichannel.requests_engine import RequestsTransport
from gateway.omnichannel.transport import HttpResult, Transport, TransportSettings
from tests.reactor_thread import in_reactor, running_reactor

AUTHORIZATION = "Basic Z2F0ZXdheTpzM2NyZXQ6w6Q="
BODY = b'{"to":"+37255555555"}'


@dataclass(frozen=True)
class Engine:
    """One row of the contract: which transport, and what the server offers by ALPN."""

    name: str
    build: Callable[[Any, TransportSettings], Transport]
    alpn: tuple[str, ...]

    @property
    def http2(self) -> bool:
        return "h2" in self.alpn and self.build is LibcurlTransport


ENGINES = (
    Engine("libcurl-h2", LibcurlTransport, ("h2", "http/1.1")),
    Engine("libcurl-h1", LibcurlTransport, ("http/1.1",)),
    Engine("requests", RequestsTransport, ("h2", "http/1.1")),
)


class Client:
    """A transport, called from outside the reactor's thread."""

    def __init__(self, engine: Engine, settings: TransportSettings) -> None:
        self.transport: Transport = in_reactor(engine.build, running_reactor(), settings)

    def call(self, method: str, path: str, body: bytes = BODY, timeout: float = 5.0) -> HttpResult:
        result: HttpResult = in_reactor(self.start, method, path, body, timeout)
        return result

    def timed(self, method: str, path: str, timeout: float) -> tuple[HttpResult, float]:
        """The result, and how many seconds it took."""
        start = time.monotonic()
        result = self.call(method, path, timeout=timeout)
        return result, time.monotonic() - start

    def post(self, path: str, body: bytes = BODY, timeout: float = 5.0) -> HttpResult:
        return self.call("post", path, body, timeout)

    def posts(self, *calls: tuple[str, float]) -> list[tuple[HttpResult, float]]:
        """POST to each (path, timeout) in one turn of the reactor; results with their seconds."""

        def all_of() -> Deferred[list[tuple[HttpResult, float]]]:
            return gatherResults([timed(path, timeout) for path, timeout in calls])

        def timed(path: str, timeout: float) -> Deferred[tuple[HttpResult, float]]:
            start = time.monotonic()
            deferred = self.start("post", path, BODY, timeout)
            return deferred.addCallback(lambda result: (result, time.monotonic() - start))

        results: list[tuple[HttpResult, float]] = in_reactor(all_of)
        return results

    def start(self, method: str, path: str, body: bytes, timeout: float) -> Deferred[HttpResult]:
        """To be called in the reactor's thread."""
        if method == "post":
            return self.transport.post(path, body, authorization=AUTHORIZATION, timeout=timeout)
        function = self.transport.get if method == "get" else self.transport.delete
        return function(path, authorization=AUTHORIZATION, timeout=timeout)

    def close(self) -> None:
        in_reactor(self.transport.close)
