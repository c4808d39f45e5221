from __future__ import annotations

import http.client
import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter
from twisted.web import http as twisted_http

from gateway.net.http_server import admin_site

# Twisted's own pages for 404 and 405 are made of classes that it deprecates for others.


class Admin:
    """The site on a port of its own, and what it is told."""

    def __init__(self, running_reactor: Any, in_reactor: Callable[..., Any]) -> None:
        self.reason = ""
        self.refreshed = 0
        self.registry = CollectorRegistry()
        self.counter = Counter("things", "Things.", registry=self.registry)
        site = admin_site(self.registry, lambda: self.reason, self._refresh)
        self.listening = in_reactor(running_reactor.listenTCP, 0, site, 5, "127.0.0.1")

    def _refresh(self) -> None:
        self.refreshed += 1
        self.counter.inc()

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
