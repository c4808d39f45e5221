"""A connection that has ended is gone at once, and does not wait for the garbage collector.

That looks last at what lived long: thousands of sessions that leave together after hours would
take their memory with them into days of waiting.
"""

from __future__ import annotations

import gc
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast
from weakref import ref

import pytest
from twisted.internet.defer import Deferred, fail

from gateway.bridge.accounts import Accounts, BindRefused
from gateway.bridge.passwords import Busy
from gateway.net.tls_server import TlsConnection
from gateway.smpp.constants import CommandStatus
from tests.e2e import raw_esme as wire
from tests.e2e.raw_esme import RawEsme, pdu
from tests.net.test_smpp_server import Gateway
from tests.net.test_tls_smpp import TlsGateway


class FullCheck:
    """A password check with no room for one more."""

    def check(self, *_: Any) -> Deferred[bool]:
        return fail(Busy("too many binds are being checked"))


@pytest.fixture(autouse=True)
def _nobody_collects() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def gateway(running_reactor: Any, in_reactor: Callable[..., Any]) -> Iterator[Gateway]:
    found = Gateway(running_reactor, in_reactor)
    yield found
    found.end()


@pytest.fixture
def tls(
    running_reactor: Any, in_reactor: Callable[..., Any], tmp_path: Path
) -> Iterator[TlsGateway]:
    found = TlsGateway(running_reactor, in_reactor, tmp_path)
    yield found
    found.end()


def watched(gateway: Gateway) -> ref[Any]:
    """A weak reference to the only connection there is."""
    gateway.until(lambda: gateway.server.connections)
    found: ref[Any] = gateway.call(lambda: ref(gateway.connection()))
    return found


def gone(gateway: Gateway, connection: ref[Any]) -> None:
    gateway.until(lambda: not gateway.server.connections)
    gateway.until(lambda: connection() is None)


def test_a_session_that_unbinds(gateway: Gateway) -> None:
    with gateway.bound() as client:
        connection = watched(gateway)
        client.send(wire.submit(2))
        gateway.until(lambda: gateway.relay.waiting)
        gateway.call(gateway.relay.settle)
        client.expect()
        client.ask(pdu(wire.UNBIND, 3))
    gone(gateway, connection)


def test_a_session_that_is_cut(gateway: Gateway) -> None:
    with gateway.bound():
        connection = watched(gateway)
    gone(gateway, connection)


def test_a_client_that_sends_garbage(gateway: Gateway) -> None:
    with RawEsme(gateway.port) as client:
        connection = watched(gateway)
        client.send(b"GET / HTTP/1.1\r\n\r\n").rest()
    gone(gateway, connection)


def test_a_bind_that_is_refused(gateway: Gateway) -> None:
    gateway.door.verdict = lambda: fail(BindRefused("wrong password"))
    with RawEsme(gateway.port) as client:
        connection = watched(gateway)
        client.send(pdu(wire.BIND_TRANSCEIVER, 1, wire.bind_body())).rest()
    gone(gateway, connection)


def test_a_bind_for_whose_check_there_is_no_room(gateway: Gateway) -> None:
    """A storm of them left a heap of rings, and the event loop stood still to look for them."""
    full = cast(Any, FullCheck())
    gateway.server.doorkeeper = Accounts([], full, CommandStatus.ESME_RINVPASWD)
    with RawEsme(gateway.port) as client:
        connection = watched(gateway)
        client.send(pdu(wire.BIND_TRANSCEIVER, 1, wire.bind_body())).rest()
    gone(gateway, connection)


def test_a_session_over_tls(tls: TlsGateway) -> None:
    with tls.bound():
        connection = watched(tls.inner)
    gone(tls.inner, connection)


def test_a_tls_client_that_leaves_without_a_word(tls: TlsGateway) -> None:
    with tls.bound() as client:
        connection = watched(tls.inner)
        transport = tls.call(lambda: ref(tls.inner.connection().transport))
        assert isinstance(transport(), TlsConnection)
        socket.socket(fileno=client.socket.detach()).close()
    gone(tls.inner, connection)
    tls.until(lambda: transport() is None)


def test_a_handshake_that_fails(tls: TlsGateway) -> None:
    with socket.create_connection(("127.0.0.1", tls.port)) as client:
        connection = watched(tls.inner)
        transport = tls.call(lambda: ref(tls.inner.connection().transport))
        assert isinstance(transport(), TlsConnection)
        client.sendall(b"\0\0\0\x10\0\0\0\x15\0\0\0\0\0\0\0\1")
        while client.recv(100):
            pass
    gone(tls.inner, connection)
    tls.until(lambda: transport() is None)
