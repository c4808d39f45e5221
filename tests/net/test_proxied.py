"""Connections behind a balancer: with a clock of the test, and with SMPP and TLS on sockets."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterator
from ipaddress import ip_network
from typing import Any

import pytest
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from gateway.net.door import DoorLimits
from gateway.net.proxied import HEADER_TIMEOUT, ProxiedFactory
from gateway.net.tls_server import TlsFactory
from gateway.tls import ServerTls, TlsFiles
from tests.e2e import raw_esme
from tests.e2e.raw_esme import RawEsme, bind_body, pdu
from tests.net.proxy_headers import LOCAL, UNSPEC, raw_v2, tlv, v1, v2
from tests.net.test_smpp_server import Gateway
from tests.omnichannel.certificates import Authority

BALANCER, STRANGER = "198.51.100.1", "203.0.113.9"
LONG = v2("2001:db8::7", tlvs=tlv(0x20, b"\1" * 4_000))


class Inner(Protocol):
    """What is behind the header; keeps what it is told."""

    def __init__(self, peer: Any) -> None:
        self.built_for = peer
        self.octets = b""
        self.ended = 0

    def dataReceived(self, data: bytes) -> None:
        self.octets += data

    def connectionLost(self, reason: Any = None) -> None:
        self.ended += 1

    @property
    def peer(self) -> str:
        transport: Any = self.transport
        assert transport.getPeer() == self.built_for
        return str(self.built_for.host)


class Inside(Factory):
    noisy = False
    closed = False
    started = 0

    def __init__(self) -> None:
        self.built: list[Inner] = []

    def buildProtocol(self, addr: Any) -> Inner | None:
        if self.closed:
            return None
        self.built.append(Inner(addr))
        return self.built[-1]

    def startFactory(self) -> None:
        self.started += 1


class Trial:
    """Connections to a factory, without a network."""

    def __init__(self) -> None:
        self.clock, self.inside = Clock(), Inside()
        self.refused: list[tuple[str, str]] = []
        networks = [ip_network("198.51.100.0/24"), ip_network("2001:db8:5::/48")]
        self.factory = ProxiedFactory(
            self.inside,
            self.clock,
            networks,
            HEADER_TIMEOUT,
            lambda *told: self.refused.append(told),
        )

    def connect(self, host: str = BALANCER) -> tuple[Any, StringTransport]:
        kind = IPv6Address if ":" in host else IPv4Address
        address = kind("TCP", host, 5_000)
        protocol = self.factory.buildProtocol(address)
        transport = StringTransport(peerAddress=address)
        protocol.makeConnection(transport)
        return protocol, transport


@pytest.fixture
def trial() -> Trial:
    return Trial()


@pytest.mark.parametrize("header", [v1("192.0.2.7"), v1("2001:db8::7"), v2("192.0.2.7"), LONG])
def test_headers_split_at_every_offset(trial: Trial, header: bytes) -> None:
    octets = header + b"\0\0\0\x10 and more"
    for cut in range(1, min(len(octets), 130)):
        protocol, transport = trial.connect()
        protocol.dataReceived(octets[:cut])
        protocol.dataReceived(octets[cut:])
        (inner,) = trial.inside.built
        assert inner.octets == b"\0\0\0\x10 and more"
        assert inner.peer in {"192.0.2.7", "2001:db8::7"}
        assert not transport.disconnecting
        protocol.dataReceived(b", and more")
        assert inner.octets == b"\0\0\0\x10 and more, and more"
        trial.inside.built.clear()
    assert trial.refused == []


def test_octet_by_octet(trial: Trial) -> None:
    protocol, _ = trial.connect("2001:db8:5::9")
    for octet in LONG:
        assert not trial.inside.built
        protocol.dataReceived(bytes([octet]))
    (inner,) = trial.inside.built
    assert (inner.peer, inner.octets) == ("2001:db8::7", b"")
    assert inner.built_for == IPv6Address("TCP", "2001:db8::7", 40_000)


@pytest.mark.parametrize("header", [raw_v2(LOCAL, UNSPEC, b""), b"PROXY UNKNOWN\r\n"])
def test_a_balancer_may_speak_for_itself(trial: Trial, header: bytes) -> None:
    protocol, _ = trial.connect()
    protocol.dataReceived(header + b"x")
    (inner,) = trial.inside.built
    assert (inner.peer, inner.octets) == (BALANCER, b"x")


def test_others_connect_as_if_there_were_no_balancer(trial: Trial) -> None:
    protocol, _ = trial.connect(STRANGER)
    (inner,) = trial.inside.built
    assert protocol is inner
    protocol.dataReceived(v1("192.0.2.7"))
    assert (inner.peer, inner.octets) == (STRANGER, v1("192.0.2.7"))
    assert not trial.clock.getDelayedCalls()


def test_the_networks_may_be_replaced(trial: Trial) -> None:
    trial.factory.networks = (ip_network("203.0.113.0/24"),)
    for host in (BALANCER, STRANGER):
        protocol, _ = trial.connect(host)
        protocol.dataReceived(v1("192.0.2.7"))
    assert [inner.peer for inner in trial.inside.built] == [BALANCER, "192.0.2.7"]


@pytest.mark.parametrize("first", [b"", v1("192.0.2.7")[:-1]])
def test_a_header_that_does_not_come(trial: Trial, first: bytes) -> None:
    protocol, transport = trial.connect()
    if first:
        protocol.dataReceived(first)
    trial.clock.advance(4.9)
    assert not transport.disconnecting
    trial.clock.advance(0.2)
    assert transport.disconnecting
    assert trial.refused == [(BALANCER, "no PROXY protocol header within 5 s")]
    protocol.dataReceived(b"\n")  # too late
    protocol.connectionLost(Failure(ConnectionError()))
    assert not trial.inside.built
    assert len(trial.refused) == 1


def test_octets_that_are_no_header(trial: Trial) -> None:
    protocol, transport = trial.connect()
    protocol.dataReceived(pdu(9, 1, bind_body()))
    assert transport.disconnecting
    assert trial.refused == [(BALANCER, "the connection begins without a PROXY protocol header")]
    protocol.dataReceived(v1("192.0.2.7"))
    assert not trial.inside.built
    assert not trial.clock.getDelayedCalls(), "nothing waits any more"
    assert len(trial.refused) == 1


def test_a_header_that_came_has_no_time_limit_behind_it(trial: Trial) -> None:
    protocol, transport = trial.connect()
    protocol.dataReceived(v2("192.0.2.7"))
    assert not trial.clock.getDelayedCalls()
    trial.clock.advance(60)
    assert not transport.disconnecting


def test_who_is_not_let_in_is_closed(trial: Trial) -> None:
    trial.inside.closed = True
    protocol, transport = trial.connect()
    protocol.dataReceived(v1("192.0.2.7") + b"what")
    protocol.dataReceived(b"ever")
    assert transport.disconnecting
    protocol.connectionLost(Failure(ConnectionError()))
    assert trial.refused == [], "whoever did not let it in has said so"
    assert trial.factory.buildProtocol(IPv4Address("TCP", STRANGER, 1)) is None


@pytest.mark.parametrize("octets", [b"", b"PROXY", v1("192.0.2.7")])
def test_the_end_is_told_once(trial: Trial, octets: bytes) -> None:
    """Health checks that connect and leave are nothing to be told of."""
    protocol, _ = trial.connect()
    protocol.dataReceived(octets)
    protocol.connectionLost(Failure(ConnectionError()))
    assert [inner.ended for inner in trial.inside.built] == [1] * len(trial.inside.built)
    assert len(trial.inside.built) == (octets == v1("192.0.2.7"))
    assert not trial.clock.getDelayedCalls()
    assert trial.refused == []
    assert not trial.factory.protocols


def test_the_factory_inside_starts_and_stops_with_it(trial: Trial) -> None:
    factory: Any = trial.factory
    factory.doStart()
    assert trial.inside.started == trial.inside.numPorts == 1
    factory.doStop()
    assert trial.inside.numPorts == 0


# SMPP behind it, on sockets

WAITED = 0.3  # seconds for the header


class Behind(Gateway):
    """The SMPP server behind a balancer at 127.0.0.1, in the clear and with TLS inside."""

    def __init__(self, reactor: Any, in_reactor: Callable[..., Any], files: TlsFiles) -> None:
        super().__init__(reactor, in_reactor)
        plain, inside = self.server.listener("smpp"), self.server.listener("smpp_tls")
        log = self.server.log
        tls = TlsFactory(reactor, "smpp_tls", inside, ServerTls(files), self.metrics, log, 5.0)
        self.ports = [self._listen("smpp", plain), self._listen("smpp_tls", tls)]

    def _listen(self, name: str, inside: Any) -> Any:
        proxied = ProxiedFactory(
            inside,
            self.reactor,
            [ip_network("127.0.0.1")],
            WAITED,
            lambda peer, words: self.server.turned_away(name, peer, "proxy_header", words),
        )
        return self.call(self.reactor.listenTCP, 0, proxied, 50, "127.0.0.1")

    def end(self) -> None:
        for port in self.ports:
            self.call(port.stopListening)
        super().end()


class Client(RawEsme):
    """Comes through the balancer."""

    def __init__(self, port: Any, header: bytes, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(port.getHost().port)
        self.socket.sendall(header)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("behind"))


@pytest.fixture
def behind(
    running_reactor: Any, in_reactor: Callable[..., Any], authority: Authority
) -> Iterator[Behind]:
    own = authority.issue()
    found = Behind(running_reactor, in_reactor, TlsFiles(own, own, authority.ca_file, False))
    yield found
    found.end()


@pytest.fixture
def tls(authority: Authority) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=authority.ca_file)
    context.load_cert_chain(authority.issue("bank.example"))
    return context


@pytest.mark.parametrize("header", [v1("192.0.2.7"), v2("192.0.2.7", tlvs=tlv(4, b"\0" * 500))])
def test_an_esme_behind_a_balancer(behind: Behind, header: bytes) -> None:
    with Client(behind.ports[0], header) as client:
        client.bind()
        assert behind.door.peers == ["192.0.2.7"]
        (bound,) = behind.events("bound")
        assert bound["peer"] == "192.0.2.7"
        (connection,) = behind.server.connections
        handle = connection.transport.getHandle()
        assert handle.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert handle.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert connection.transport.transport.producer is connection
        assert client.alive()
        behind.call(connection.transport.pauseProducing)
        assert not behind.call(
            lambda: connection.transport.transport in behind.reactor.getReaders()
        )
        behind.call(connection.transport.resumeProducing)
        assert client.alive()
        behind.call(connection.transport.abortConnection)
        assert client.rest() == []


def test_header_and_bind_in_one_segment_and_the_header_in_two(behind: Behind) -> None:
    header, bind = v1("192.0.2.7"), pdu(9, 1, bind_body())
    for first, second in ((header + bind, b""), (header[:9], header[9:] + bind)):
        with Client(behind.ports[0], first) as client:
            if second:
                time.sleep(0.02)
            client.send(second)
            assert client.expect().status == 0


def test_tls_behind_a_balancer(behind: Behind, tls: ssl.SSLContext) -> None:
    with Client(behind.ports[1], v2("2001:db8::7"), tls) as client:
        client.bind()
        assert behind.door.peers == ["2001:db8::7"]
        assert behind.door.names == [("bank.example",)]
        client.send(*(raw_esme.submit(number) for number in range(1, 30)))
        for number in range(1, 30):
            behind.until(lambda: behind.relay.waiting)
            behind.call(behind.relay.settle)
            assert client.expect().sequence == number
        (connection,) = behind.server.connections
        behind.call(connection.drop)
        with pytest.raises((ConnectionError, ssl.SSLError, AssertionError)):
            client.expect()
    behind.until(lambda: not behind.server.connections)
    (ended,) = behind.events("session_ended")
    assert ended["peer"] == "2001:db8::7"


def test_the_door_counts_clients_and_not_balancers(behind: Behind) -> None:
    allow = {"smpp_tls": (ip_network("192.0.2.0/24"),)}
    behind.server.door.limits = DoorLimits(allow, per_address=1)
    with Client(behind.ports[0], v1("192.0.2.7")) as one, Client(behind.ports[0], v1("192.0.2.8")):
        one.bind()
        with Client(behind.ports[0], v1("192.0.2.7")) as another:
            assert another.rest() == []
        with Client(behind.ports[1], v1("192.0.3.7")) as elsewhere:
            assert elsewhere.rest() == []
        told = [(event["listener"], event["peer"], event["reason"]) for event in refused(behind)]
        assert told == [
            ("smpp", "192.0.2.7", "per_address"),
            ("smpp_tls", "192.0.3.7", "allow"),
        ]
        assert one.alive()
    behind.until(lambda: behind.server.door.open == 0)


def refused(gateway: Gateway) -> list[Any]:
    gateway.until(lambda: gateway.events("connection_refused"))
    return gateway.events("connection_refused")


@pytest.mark.parametrize("octets", [b"", b"PROXY TCP4", pdu(9, 1, bind_body())])
@pytest.mark.parametrize("port", [0, 1])
def test_a_connection_without_its_header_ends(behind: Behind, octets: bytes, port: int) -> None:
    with Client(behind.ports[port], octets) as client:
        assert client.rest() == []
    (event,) = refused(behind)
    name = ("smpp", "smpp_tls")[port]
    assert (event["listener"], event["peer"], event["reason"]) == (
        name,
        "127.0.0.1",
        "proxy_header",
    )
    assert "PROXY protocol header" in event["detail"]
    assert event["log_level"] == "warning"
    labels = {"listener": name, "reason": "proxy_header"}
    assert behind.sample("smppgw_connections_refused_total", **labels) == 1
    assert not behind.server.connections


@pytest.mark.parametrize("header", [v1("192.0.2.7"), v2("192.0.2.7")])
def test_a_header_from_elsewhere_is_named(behind: Behind, header: bytes) -> None:
    """The listener without a balancer: an address in a header there would be a claim of anybody."""
    with RawEsme(behind.port).send(header) as client:
        client.rest()
    behind.until(lambda: behind.events("connection_closed"))
    shown = str(behind.capture.entries)
    assert "a PROXY protocol header; a PDU has 16 to" in shown
    assert "192.0.2.7" not in shown
