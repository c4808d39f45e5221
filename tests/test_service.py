"""The composition root: what it makes of the settings, and its life inside a running reactor."""

from __future__ import annotations

import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from structlog.testing import LogCapture

from gateway import service
from gateway.config import Settings
from gateway.listeners import CannotListen, invitation
from gateway.omnichannel.requests_engine import RequestsTransport
from tests.e2e import raw_esme as wire
from tests.e2e.daemon import free_port, until
from tests.e2e.raw_esme import RawEsme, pdu


def settings(**sections: Any) -> Settings:
    """Everything on free loopback ports, with the sandbox inside."""
    port = free_port()
    given: dict[str, Any] = {
        "smpp": {"listen": "127.0.0.1:0", "unbind_timeout": 0.5},
        "admin": {"listen": "127.0.0.1:0"},
        "sandbox": {"listen": f"127.0.0.1:{port}"},
        "omnichannel": {
            "base_url": f"http://127.0.0.1:{port}/v1",
            "username": "sandbox",
            "password": "sandbox",
        },
        "drain": {"timeout": 5},
        "store": {"url": "sqlite://"},
        "accounts": [{"system_id": "demo", "password": "demo"}],
    }
    for name, section in sections.items():
        given[name] = given[name] | section if isinstance(section, dict) else section
    return Settings.model_validate(given)


class Running:
    """The test process's reactor, which a service may not stop."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self.stopped = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def stop(self) -> None:
        self.stopped += 1


class Made:
    """A service under test, and what it logged."""

    def __init__(self, reactor: Any, in_reactor: Callable[..., Any], given: Settings) -> None:
        self.call = in_reactor
        self.given = given
        self.reactor = Running(reactor)
        self.capture = LogCapture()
        self.log = structlog.wrap_logger(None, processors=[self.capture]).bind()
        self.service: service.Service = in_reactor(service.Service, self.reactor, given, self.log)

    def names(self) -> list[str]:
        return [entry["event"] for entry in self.capture.entries]

    def stop(self) -> None:
        """Drain it, with nobody bound."""
        self.call(self.service.stop, "the test's end")
        until(lambda: self.reactor.stopped, "the stop")


@pytest.fixture
def make(running_reactor: Any, in_reactor: Callable[..., Any]) -> Iterator[Callable[..., Made]]:
    made: list[Made] = []

    def one(given: Settings) -> Made:
        made.append(Made(running_reactor, in_reactor, given))
        return made[-1]

    yield one
    for each in made:
        if not each.reactor.stopped:
            each.stop()


def test_the_smpp_listener_comes_last(make: Callable[..., Made]) -> None:
    """Whoever can bind can also be served."""
    made = make(settings())
    made.call(made.service.start)
    listening = [entry for entry in made.capture.entries if entry["event"] == "listening"]
    assert [entry["listener"] for entry in listening] == ["sandbox", "admin", "smpp"]
    for entry in listening:
        assert entry["port"] == made.service.listeners.port(entry["listener"]) > 0
        socket.create_connection(("127.0.0.1", entry["port"])).close()


def test_a_message_from_bind_to_the_sandbox(make: Callable[..., Made]) -> None:
    made = make(settings())
    made.call(made.service.start)
    with RawEsme(made.service.listeners.port("smpp")) as client:
        answer = client.bind().ask(wire.submit(2))
        assert (answer.status, len(answer.message_id)) == (wire.ROK, 36)
        client.ask(pdu(wire.UNBIND, 3))


def test_stopping_is_not_ready_and_ends_once(make: Callable[..., Made]) -> None:
    made = make(settings())
    made.call(made.service.start)
    assert made.service.not_ready() == ""
    with RawEsme(made.service.listeners.port("smpp")) as client:
        client.bind()
        made.call(made.service.stop, "SIGTERM")
        assert made.service.not_ready() == "draining"
        admin = made.service.listeners.port("admin")
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"http://127.0.0.1:{admin}/readyz", timeout=5)
        assert refused.value.code == 503
        refused.value.close()
        assert made.reactor.stopped == 0
        assert client.expect().command_id == wire.UNBIND
        made.call(made.service.stop, "SIGTERM")
        assert client.rest() == []
    while not made.reactor.stopped:
        made.call(lambda: None)
    names = [name for name in made.names() if name in LIFE]
    assert names == ["draining", "stopping_at_once", "connections_dropped", "stopped"]
    assert made.reactor.stopped == 1


LIFE = {"draining", "stopping_at_once", "connections_dropped", "stopped"}


def test_listeners_may_be_off(make: Callable[..., Made]) -> None:
    made = make(settings(admin={"listen": ""}))
    made.call(made.service.start)
    with pytest.raises(KeyError):
        made.service.listeners.port("admin")
    assert "metrics" not in invitation(made.given, made.service.listeners)


def test_the_invitation_is_filled_in(make: Callable[..., Made]) -> None:
    made = make(settings())
    made.call(made.service.start)
    words = invitation(made.given, made.service.listeners)
    assert (
        f"127.0.0.1:{made.service.listeners.port('smpp')}, system_id demo, password demo" in words
    )
    assert f"http://127.0.0.1:{made.service.listeners.port('admin')}/metrics" in words
    assert f"send --port {made.service.listeners.port('smpp')} --to +" in words


def test_an_address_in_use_is_an_error_of_the_start(make: Callable[..., Made]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        taken_port = taken.getsockname()[1]
        made = make(settings(smpp={"listen": f"127.0.0.1:{taken_port}"}))
        with pytest.raises(CannotListen, match=r"^smpp\.listen .* in use") as refused:
            made.call(made.service.start)
    assert refused.value.address == f"127.0.0.1:{taken_port}"


def test_a_host_that_does_not_resolve_is_an_error_of_the_start(
    make: Callable[..., Made], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    made = make(settings(smpp={"listen": "gateway.invalid:2775"}))
    with monkeypatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", unknown)
        with pytest.raises(CannotListen, match="Name or service not known"):
            made.call(made.service.start)


def test_a_name_is_listened_on(make: Callable[..., Made]) -> None:
    made = make(settings(smpp={"listen": "localhost:0"}))
    made.call(made.service.start)
    socket.create_connection(("localhost", made.service.listeners.port("smpp"))).close()


def test_ipv6_is_listened_on(make: Callable[..., Made]) -> None:
    made = make(settings(smpp={"listen": "[::1]:0"}))
    made.call(made.service.start)
    socket.create_connection(("::1", made.service.listeners.port("smpp"))).close()


def test_requests_stands_in_where_pycurl_is_missing(
    make: Callable[..., Made], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gateway.omnichannel.libcurl", None)
    made = make(settings(admin={"listen": ""}))
    assert isinstance(made.service._transport, RequestsTransport)
    assert made.names() == ["engine_missing"]
    made.call(made.service.start)


def test_the_configured_engine_is_taken(make: Callable[..., Made]) -> None:
    libcurl = pytest.importorskip("gateway.omnichannel.libcurl")
    for engine, kind in (("libcurl", libcurl.LibcurlTransport), ("requests", RequestsTransport)):
        made = make(settings(omnichannel={"engine": engine}))
        assert isinstance(made.service._transport, kind)
        made.call(made.service.start)
