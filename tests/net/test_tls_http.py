"""The admin listener over TLS, and TLS octets on a plain HTTP listener."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
import structlog
from structlog.testing import LogCapture

from gateway.listeners import Listeners
from gateway.metrics import Metrics
from gateway.net import tls_server
from gateway.net.http_limits import HttpDoor, HttpLimits
from gateway.net.http_server import admin_site
from gateway.tls import TlsFiles
from tests.e2e.daemon import until
from tests.omnichannel.certificates import Authority

HELLO = bytes.fromhex("1603010200010001fc0303") + bytes(range(256)) * 2


class Admin:
    def __init__(self, reactor: Any, in_reactor: Callable[..., Any], folder: Path) -> None:
        self.call = in_reactor
        self.authority = Authority(folder)
        self.capture = LogCapture()
        log = structlog.wrap_logger(None, processors=[self.capture]).bind()
        metrics = Metrics()
        door = HttpDoor("admin", HttpLimits(), metrics, log)
        self.site = admin_site(metrics.registry, lambda: "", lambda: None, door)
        self.listeners = Listeners(reactor, log, metrics)
        own = self.authority.issue()
        files = TlsFiles(own, own, self.authority.ca_file, client_required=True)
        self.call(self.listeners.open, "admin", "127.0.0.1:0", self.site, files)
        self.port = self.listeners.port("admin")

    def context(self, shown: str = "") -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.authority.ca_file)
        if shown:
            context.load_cert_chain(shown)
        return context

    def get(self, path: str, context: ssl.SSLContext) -> tuple[int, bytes]:
        connection = http.client.HTTPSConnection("localhost", self.port, context=context, timeout=8)
        with closing(connection):
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()


@pytest.fixture
def admin(running_reactor: Any, in_reactor: Callable[..., Any], tmp_path: Path) -> Iterator[Admin]:
    found = Admin(running_reactor, in_reactor, tmp_path)
    yield found
    found.call(found.listeners.close_all)


def test_metrics_are_for_those_with_a_certificate(admin: Admin) -> None:
    shown = admin.context(admin.authority.issue("prometheus"))
    assert admin.get("/livez", shown) == (200, b"alive\n")
    status, body = admin.get("/metrics", shown)
    assert status == 200
    assert b'smppgw_tls_certificate_expiry_timestamp_seconds{listener="admin"}' in body
    with pytest.raises((ssl.SSLError, ConnectionError)):
        admin.get("/metrics", admin.context())
    until(lambda: len(admin.capture.entries) > 1, "the line")
    assert [entry["event"] for entry in admin.capture.entries[1:]] == ["tls_handshake_failed"]


def test_a_scraper_that_never_closes(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls_server, "_CLOSING", 0.1)
    context = admin.context(admin.authority.issue("prometheus"))
    with socket.create_connection(("127.0.0.1", admin.port), 8) as plain:
        client = context.wrap_socket(plain, server_hostname="localhost")
        client.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 200 OK")
        client.settimeout(8)
        while octets := client.recv(4096):
            assert b"HTTP" not in octets
        raw = socket.socket(fileno=client.detach())
        raw.settimeout(8)
        with suppress(ConnectionResetError):
            assert raw.recv(1) == b""  # not only a close_notify: TCP's end
        raw.close()


def test_tls_on_a_plain_port_ends_without_a_fault(admin: Admin) -> None:
    admin.call(admin.listeners.open, "callbacks", "127.0.0.1:0", admin.site)
    for octets in (HELLO + b"\r\n", HELLO * 40):
        with socket.create_connection(
            ("127.0.0.1", admin.listeners.port("callbacks")), 8
        ) as client:
            client.sendall(octets)
            try:
                while client.recv(4096):
                    pass
            except ConnectionResetError:
                pass
    assert {entry["event"] for entry in admin.capture.entries} == {"listening"}
