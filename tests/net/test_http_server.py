from __future__ import annotations

import http.client
import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from ipaddress import ip_network
from typing import Any, cast

import pytest
import structlog
from prometheus_client import CollectorRegistry, Counter
from structlog.testing import LogCapture
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Clock
from twisted.web import http as twisted_http

from gateway.metrics import Metrics
from gateway.net.http_channel import CLOSING, LINGER
from gateway.net.http_limits import HttpDoor, HttpLimits
from gateway.net.http_server import admin_site
from tests.net.test_callback_server import rest, statuses, until

# Twisted's own pages for 404 and 405 are made of classes that it deprecates for others.


class Admin:
    """The site on a port of its own, and what it is told."""

    def __init__(self, running_reactor: Any, in_reactor: Callable[..., Any]) -> None:
        self.reason = ""
        self.refreshed = 0
        self.registry = CollectorRegistry()
        self.counter = Counter("things", "Things.", registry=self.registry)
        self.metrics, self.clock, self.in_reactor = Metrics(), Clock(), in_reactor
        self.capture = LogCapture()
        log = structlog.wrap_logger(None, processors=[self.capture]).bind()
        door = HttpDoor("admin", HttpLimits(max_connections=5), self.metrics, log)
        self.site = admin_site(
            self.registry, lambda: self.reason, self._refresh, door, cast(IReactorTime, self.clock)
        )
        self.listening = in_reactor(running_reactor.listenTCP, 0, self.site, 5, "127.0.0.1")

    def _refresh(self) -> None:
        self.refreshed += 1
        self.counter.inc()

    def sample(self, name: str, reason: str) -> float:
        labels = {"listener": "admin", "reason": reason}
        return self.metrics.registry.get_sample_value(f"smppgw_{name}_total", labels) or 0

    def wait(self, seconds: float) -> None:
        """Let that much time pass for the site."""
        self.in_reactor(self.clock.advance, seconds)

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.listening.getHost().port

    def ask(
        self, path: str, method: str = "GET", accept: bytes = b""
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(*self.address, timeout=8)
        try:
            connection.request(method, path, headers={"Accept": accept} if accept else {})
            answer = connection.getresponse()
            headers = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, headers, answer.read()
        finally:
            connection.close()


@pytest.fixture
def admin(running_reactor: Any, in_reactor: Callable[..., Any]) -> Iterator[Admin]:
    found = Admin(running_reactor, in_reactor)
    yield found
    in_reactor(found.listening.stopListening)


def test_readiness_follows_the_reason(admin: Admin) -> None:
    assert admin.ask("/readyz")[::2] == (200, b"ready\n")
    admin.reason = "draining"
    assert admin.ask("/readyz")[::2] == (503, b"draining\n")
    assert admin.ask("/livez")[::2] == (200, b"alive\n")
    admin.reason = ""
    assert admin.ask("/readyz")[0] == 200


def test_each_exposition_is_refreshed_first(admin: Admin) -> None:
    for count in (1, 2):
        status, headers, body = admin.ask("/metrics")
        assert (status, admin.refreshed) == (200, count)
        assert headers["content-type"].startswith("text/plain")
        assert f"things_total {count}.0\n".encode() in body


def test_health_is_never_cached(admin: Admin) -> None:
    for path in ("/livez", "/readyz"):
        assert admin.ask(path)[1]["cache-control"] == "no-store"


def test_the_index_names_every_page(admin: Admin) -> None:
    status, _, body = admin.ask("/")
    assert status == 200
    for page in ("/metrics", "/livez", "/readyz"):
        assert page.encode() in body
        assert admin.ask(page)[0] == 200


def test_head_has_no_body(admin: Admin) -> None:
    status, headers, body = admin.ask("/readyz", "HEAD")
    assert (status, headers["content-length"], body) == (200, "6", b"")


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("/metrics", "POST", 405),
        ("/readyz", "POST", 405),
        ("/nothing", "GET", 404),
        ("/metrics/more", "GET", 404),
        ("/livez/x/y", "GET", 404),
        ("//metrics", "GET", 404),
    ],
)
def test_what_is_not_there(admin: Admin, path: str, method: str, status: int) -> None:
    assert admin.ask(path, method)[0] == status
    assert admin.refreshed == 0


def test_openmetrics_for_those_who_ask(admin: Admin) -> None:
    _, headers, body = admin.ask("/metrics", accept=b"application/openmetrics-text; version=1.0.0")
    assert headers["content-type"].startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")


@pytest.mark.parametrize(
    "accept",
    [
        b"application/openmetrics-text; version=abc",
        b"text/plain; version=\xff",
        "text/plain; version=\u00e9".encode(),
        b";;;,=,",
    ],
)
def test_an_odd_accept_gets_the_plain_exposition(admin: Admin, accept: bytes) -> None:
    status, headers, body = admin.ask("/metrics", accept=accept)
    assert (status, headers["content-type"].partition(";")[0]) == (200, "text/plain")
    assert b"things_total 1.0\n" in body


@pytest.mark.parametrize("head", [b"Content-Length: 50000000", b"Transfer-Encoding: chunked"])
def test_a_body_is_cut_off_and_never_kept(
    admin: Admin, head: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    files: list[Any] = []

    def spool(*given: Any, **named: Any) -> Any:
        files.append(tempfile.TemporaryFile(*given, **named))  # noqa: SIM115  Twisted closes it
        return files[-1]

    class Spools:
        TemporaryFile = staticmethod(spool)

    monkeypatch.setattr(twisted_http, "tempfile", Spools)
    some = b"x" * 65_536
    chunk = b"10000\r\n" + some + b"\r\n" if b"chunked" in head else some

    def send(client: socket.socket) -> None:
        for _ in range(700):
            client.sendall(chunk)

    with socket.create_connection(admin.address, 8) as client:
        client.sendall(b"POST /metrics HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n\r\n")
        with pytest.raises(ConnectionError):
            send(client)
    for file in files:
        assert file.closed or os.fstat(file.fileno()).st_size == 0
    assert admin.ask("/livez")[0] == 200
    assert admin.refreshed == 0


# Who may connect, and what that may cost.

GET = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"


def test_the_list_of_addresses(admin: Admin) -> None:
    admin.site.door.limits = HttpLimits(allow=(ip_network("192.0.2.0/24"),))
    with socket.create_connection(admin.address, 8) as client:
        assert client.recv(1) == b""
    assert admin.sample("connections_refused", "allow") == 1
    [line] = admin.capture.entries
    assert (line["event"], line["listener"], line["reason"]) == (
        "connection_refused",
        "admin",
        "allow",
    )
    assert "admin.allow" in line["detail"]
    admin.site.door.limits = HttpLimits(allow=(ip_network("127.0.0.0/8"),))
    assert admin.ask("/livez")[0] == 200


def test_connections_have_a_limit(admin: Admin) -> None:
    admin.site.door.limits = HttpLimits(max_connections=1)
    with socket.create_connection(admin.address, 8):
        until(lambda: len(admin.site.channels) == 1)
        with socket.create_connection(admin.address, 8) as second:
            assert second.recv(1) == b""
    assert admin.sample("connections_refused", "total") == 1
    until(lambda: not admin.site.channels)
    assert admin.ask("/livez")[0] == 200


def test_a_connection_is_kept_for_a_scraper(admin: Admin) -> None:
    with socket.create_connection(admin.address, 8) as client:
        for count in (1, 2, 3):
            client.sendall(GET)
            until(lambda: admin.refreshed == count)  # noqa: B023  it is waited for here
            assert client.recv(65_536).startswith(b"HTTP/1.1 200 ")
            admin.wait(50)
        admin.wait(10)
        assert rest(client) == b""
    assert admin.sample("connections_dropped", "timeout") == 0


def test_of_requests_one_behind_the_other_the_first_is_answered(admin: Admin) -> None:
    """A thousand expositions in one turn of the event loop would stop everything else."""
    with socket.create_connection(admin.address, 8) as client:
        client.sendall(GET * 100)
        assert statuses(rest(client)) == [200]
    assert admin.refreshed == 1


def test_octets_now_and_then_buy_no_time(admin: Admin) -> None:
    with socket.create_connection(admin.address, 8) as client:
        client.sendall(b"GET /livez HT")
        until(lambda: any(channel._asked for channel in tuple(admin.site.channels)))
        admin.wait(59)
        client.sendall(b"T")
        admin.wait(1)
        assert rest(client) == b""
    assert admin.sample("connections_dropped", "timeout") == 1


def test_a_head_that_is_too_large(admin: Admin) -> None:
    with socket.create_connection(admin.address, 8) as client:
        client.sendall(b"GET /livez HTTP/1.1\r\nX: " + b"x" * 20_000 + b"\r\n\r\n")
        assert statuses(client.recv(4096)) == [431]
        admin.wait(LINGER)
        assert rest(client) == b""


def test_who_never_reads_the_exposition_is_dropped(admin: Admin) -> None:
    Counter("wide", "x" * 16_000_000, registry=admin.registry)
    with socket.create_connection(admin.address, 8) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        client.sendall(GET)
        until(lambda: admin.refreshed == 1)
        admin.wait(60)
        admin.wait(CLOSING)
        until(lambda: not admin.site.channels)
