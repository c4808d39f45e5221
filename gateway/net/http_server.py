"""The admin listener: metrics and health. Private: it asks for no password.

A connection is kept for a minute after its last answer, and no longer when requests come one behind
the other: an exposition takes milliseconds, and no scraper asks for the next one unanswered.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from twisted.internet.interfaces import IReactorTime
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from gateway.net.http_channel import BoundedChannel, BoundedFactory
from gateway.net.http_limits import HttpDoor

_PLAIN: Final = b"text/plain; charset=utf-8"
_INDEX: Final = b"""\
/metrics  for Prometheus
/livez    200 while the event loop turns
/readyz   200 while binds are accepted
"""


class _Page(Resource):
    """One address that is read; below it there is nothing."""

    def getChild(self, path: bytes, request: Request) -> Resource:
        return _Text(lambda: (404, b"not found\n"))

    def render(self, request: Request) -> bytes:
        if request.method in {b"GET", b"HEAD"}:
            return self.read(request)
        request.setResponseCode(405)
        request.setHeader(b"allow", b"GET, HEAD")
        return b"GET only\n"

    def read(self, request: Request) -> bytes:
        """The body; headers and status are set on the request."""
        request.setResponseCode(404)
        return b"not found\n"


class _Text(_Page):
    """A page that says one thing."""

    def __init__(self, say: Callable[[], tuple[int, bytes]]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._say = say

    def read(self, request: Request) -> bytes:
        status, text = self._say()
        request.setResponseCode(status)
        request.setHeader(b"content-type", _PLAIN)
        request.setHeader(b"cache-control", b"no-store")
        return text


class _Metrics(_Page):
    """The exposition, in the format that the scraper asks for."""

    def __init__(self, registry: CollectorRegistry, refresh: Callable[[], None]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._registry = registry
        self._refresh = refresh

    def read(self, request: Request) -> bytes:
        self._refresh()
        try:
            encode, content_type = choose_encoder(request.getHeader("accept") or "")
        except (TypeError, ValueError):  # a header that prometheus_client cannot read
            encode, content_type = choose_encoder("")
        request.setHeader(b"content-type", content_type.encode("ascii"))
        return encode(self._registry)


class _Reading(Request):
    """A request that reads; whoever sends a body is cut off, or it would fill the disk."""

    def handleContentChunk(self, data: bytes) -> None:
        self.loseConnection()  # type: ignore[no-untyped-call]


class _Channel(BoundedChannel):
    def requestDone(self, request: object) -> None:
        if self.clearLineBuffer():  # type: ignore[no-untyped-call]
            self.persistent = False
        super().requestDone(request)


class _AdminSite(BoundedFactory, Site):
    protocol = _Channel  # type: ignore[assignment]
    requestFactory = _Reading


def admin_site(
    registry: CollectorRegistry,
    not_ready: Callable[[], str],
    refresh: Callable[[], None],
    door: HttpDoor,
    reactor: IReactorTime | None = None,
) -> BoundedFactory:
    """The site of the admin listener.

    `not_ready` says in a few words why no binds are accepted, "" while they are. An API
    that cannot be reached is no such reason: every node would leave the balancer at once
    and every ESME rebind. `refresh` is called before each exposition. `door` says who may
    connect.
    """

    def readyz() -> tuple[int, bytes]:
        reason = not_ready()
        return (503, f"{reason}\n".encode()) if reason else (200, b"ready\n")

    root = _Page()  # type: ignore[no-untyped-call]
    root.putChild(b"", _Text(lambda: (200, _INDEX)))
    root.putChild(b"metrics", _Metrics(registry, refresh))
    root.putChild(b"livez", _Text(lambda: (200, b"alive\n")))
    root.putChild(b"readyz", _Text(readyz))
    site = _AdminSite(root, reactor=reactor)  # type: ignore[no-untyped-call]
    site.door = door
    site.channels = set()
    return site
