"""SMPP over TLS, for smpplib and for sockets of the standard library."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import smpplib.client
from structlog.typing import FilteringBoundLogger
from twisted.internet.protocol import Factory

from gateway.bridge.accounts import Account
from gateway.config import AccountSettings
from gateway.listeners import Listeners
from gateway.omnichannel.client import Credentials
from gateway.smpp.constants import CommandStatus
from gateway.smpp.pdu import Tlv
from gateway.tls import TlsFiles, client_names
from tests.e2e import raw_esme as wire
from tests.e2e.raw_esme import RawEsme, pdu
from tests.net.test_smpp_server import Gateway, receipts
from tests.omnichannel.certificates import Authority

NAME = "smpp_tls"


def factory_of(server: Any) -> Factory[Any]:
    found: Factory[Any] = server.listener(NAME) if hasattr(server, "listener") else server
    return found


class TlsEsme(RawEsme):
    """The same over TLS."""

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        super().__init__(port)
        self.socket: ssl.SSLSocket = context.wrap_socket(self.socket, server_hostname="localhost")


class TlsGateway:
    """A gateway's SMPP server behind a TLS listener that may ask for certificates."""

    def __init__(self, reactor: Any, in_reactor: Callable[..., Any], folder: Path) -> None:
        self.inner = Gateway(reactor, in_reactor)
        self.call, self.until = self.inner.call, self.inner.until
        self.authority = Authority(folder)
        server = self.authority.issue()
        self.files = TlsFiles(server, server, self.authority.ca_file)
        log: FilteringBoundLogger = self.inner.server.log
        self.listeners = Listeners(reactor, log, self.inner.metrics, handshake_timeout=0.4)
        factory = factory_of(self.inner.server)
        self.call(self.listeners.open, NAME, "127.0.0.1:0", factory, self.files)
        self.port = self.listeners.port(NAME)

    def context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.authority.ca_file)

    def bound(self) -> TlsEsme:
        return TlsEsme(self.port, self.context()).bind()

    def end(self) -> None:
        self.call(self.listeners.close_all)
        self.inner.end()


@pytest.fixture
def gateway(
    running_reactor: Any, in_reactor: Callable[..., Any], tmp_path: Path
) -> Iterator[TlsGateway]:
    found = TlsGateway(running_reactor, in_reactor, tmp_path)
    yield found
    found.end()


def test_smpplib_binds_and_submits(gateway: TlsGateway) -> None:
    gateway.inner.relay.at_once = CommandStatus.ESME_ROK
    context = gateway.context()
    context.check_hostname = False  # it gives no name
    client = smpplib.client.Client(
        "127.0.0.1", gateway.port, timeout=8, ssl_context=context, allow_unknown_opt_params=True
    )
    client.connect()
    answer = client.bind_transceiver(system_id="demo", password="demo")
    assert answer.status == 0
    client.send_message(source_addr="Demo", destination_addr="37255500001", short_message=b"hello")
    assert client.read_pdu().status == 0
    client.unbind()
    client.disconnect()
    assert gateway.inner.door.peers == ["127.0.0.1"]


def test_what_comes_in_one_flight(gateway: TlsGateway) -> None:
    """The bind and what follows it may be in the record that ends the handshake."""
    gateway.inner.relay.at_once = CommandStatus.ESME_ROK
    with TlsEsme(gateway.port, gateway.context()) as client:
        bind = pdu(wire.BIND_TRANSCEIVER, 1, wire.bind_body())
        client.send(bind, *(wire.submit(number) for number in range(2, 400)))
        assert [client.expect().sequence for _ in range(399)] == list(range(1, 400))


def test_no_delay_and_keep_alive_are_set_below_tls(gateway: TlsGateway) -> None:
    with gateway.bound():
        handle = gateway.inner.connection().transport.transport.getHandle()
        assert handle.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert handle.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


def test_the_names_of_the_client(gateway: TlsGateway) -> None:
    context = gateway.context()
    context.load_cert_chain(gateway.authority.issue("esme.bank.example", common_name="Bank"))
    with TlsEsme(gateway.port, context).bind():
        transport = gateway.inner.connection().transport
        assert gateway.call(client_names, transport) == ("bank", "esme.bank.example")
    gateway.until(lambda: not gateway.inner.server.connections)
    with gateway.bound():
        assert gateway.call(client_names, gateway.inner.connection().transport) == ()


def test_a_session_outlives_another_certificate(gateway: TlsGateway) -> None:
    with gateway.bound() as client:
        gateway.authority.issue()
        gateway.call(gateway.listeners.reload_tls, NAME, gateway.files)
        assert client.alive()
        with gateway.bound() as another:
            assert another.alive()
            assert another.socket.getpeercert(True) != client.socket.getpeercert(True)
        assert client.alive()


@pytest.mark.parametrize("octets", [pdu(wire.BIND_TRANSCEIVER, 1, wire.bind_body()), b""])
def test_without_a_handshake_nothing_is_told_of_smpp(gateway: TlsGateway, octets: bytes) -> None:
    with RawEsme(gateway.port) as client:
        client.send(octets)
        client.socket.settimeout(8)
        try:
            while client.socket.recv(4096):  # an alert
                pass
        except ConnectionError:
            pass
    gateway.until(lambda: not gateway.inner.server.connections)
    told = [entry for entry in gateway.inner.capture.entries if entry["log_level"] != "debug"]
    assert [entry["event"] for entry in told] == ["listening", "tls_handshake_failed"]
    assert gateway.inner.metrics.registry.get_sample_value("smppgw_connections") == 0
    assert gateway.inner.sample("smppgw_pdu_errors_total", reason="bad_length") == 0


def test_who_does_not_read_gets_no_more_and_is_not_read(gateway: TlsGateway) -> None:
    settings = {"system_id": "demo", "password": "demo", "deliver_window": 10_000}
    gateway.inner.door.account = Account(
        AccountSettings.model_validate(settings), "", Credentials.basic("user", "password")
    )
    count = 24 * 16  # 24 MiB, far more than the kernel keeps for both ends
    waiting = receipts(*range(count), tlvs=(Tlv(0x0424, b"x" * 65_000),))
    with gateway.bound() as client:
        gateway.until(lambda: gateway.inner.dispatcher.receivers)
        gateway.inner.dispatcher.receipts = waiting
        connection = gateway.inner.connection()
        gateway.call(gateway.inner.dispatcher.give, connection)
        below = connection.transport.transport
        gateway.until(lambda: below not in gateway.inner.reactor.getReaders())
        assert connection.room == 0
        assert waiting
        assert [client.expect().sequence for _ in range(count)] == list(range(1, count + 1))
        assert waiting == []
        gateway.until(lambda: below in gateway.inner.reactor.getReaders())
        assert client.alive()


def test_a_client_that_never_closes(gateway: TlsGateway) -> None:
    """`unbind_timeout` bounds the close, also of a TLS that waits for a close_notify."""
    with gateway.bound() as client:
        client.send(pdu(wire.UNBIND, 2))
        assert client.expect().command_id == wire.UNBIND | wire.RESP
        gateway.until(lambda: not gateway.inner.server.connections)


def test_a_stop_ends_handshakes_too(gateway: TlsGateway) -> None:
    server = gateway.inner.server
    with RawEsme(gateway.port) as client, gateway.bound() as bound:
        gateway.until(lambda: len(server.connections) == 2)
        began = time.monotonic()
        gone = gateway.call(lambda: [server.shut_down()])[0]
        assert client.rest() == []
        assert time.monotonic() - began < 0.3
        assert bound.expect().command_id == wire.UNBIND
        bound.send(pdu(wire.UNBIND | wire.RESP, 1))
        assert bound.rest() == []
        bound.socket.close()
        gateway.call(lambda: gone)
    assert gateway.inner.events("tls_handshake_failed") == []


def test_a_dropped_session_is_gone_at_once(gateway: TlsGateway) -> None:
    with gateway.bound() as client:
        gateway.call(gateway.inner.server.abort)
        gateway.until(lambda: not gateway.inner.server.connections)
        assert client.rest() == []
