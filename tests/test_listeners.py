"""Listeners with TLS, for clients of the standard library's `ssl`: who gets in, who does not
and what the operator reads about it, other certificates while it listens, and the end.
"""

from __future__ import annotations

import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import structlog
from cryptography import x509
from structlog.testing import LogCapture
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure

from gateway.listeners import CannotListen, Listeners
from gateway.metrics import Metrics
from gateway.net import tls_server
from gateway.net.proxied import ProxiedFactory
from gateway.tls import CannotUse, ServerTls, TlsFiles, client_names
from tests.e2e import raw_esme as wire
from tests.e2e.daemon import until
from tests.omnichannel.certificates import Authority

NAME = "smpp_tls"
HANDSHAKE = 0.3  # seconds
SMPP_BIND = wire.pdu(wire.BIND_TRANSCEIVER, 1, wire.bind_body())


def both(path: str) -> TlsFiles:
    """The certificate and its key in one file."""
    return TlsFiles(path, path)


class Echo(Protocol):
    """Sends back what comes; "names" is answered with those of the client's certificate."""

    factory: Echoes
    transport: Any

    def connectionMade(self) -> None:
        self.factory.connections.append(self)

    def dataReceived(self, data: bytes) -> None:
        self.factory.read += data
        names = ",".join(client_names(self.transport))
        self.transport.write(f"<{names}>".encode() if data == b"names" else data)

    def connectionLost(self, reason: Failure | None = None) -> None:
        self.factory.connections.remove(self)
        self.factory.lost += 1


class Echoes(Factory[Echo]):
    noisy = False
    protocol = Echo

    def __init__(self) -> None:
        self.connections: list[Echo] = []
        self.read = b""
        self.lost = 0
        self.full = False
        self.asked: list[IAddress | None] = []

    def buildProtocol(self, addr: IAddress | None) -> Echo | None:
        self.asked.append(addr)
        return None if self.full else super().buildProtocol(addr)


class Place:
    """An authority, a listener that shows its certificate, and what was logged."""

    def __init__(self, reactor: Any, in_reactor: Callable[..., Any], folder: Path) -> None:
        self.call, self.reactor, self.folder = in_reactor, reactor, folder
        self.authority = Authority(folder)
        self.files = both(self.authority.issue())
        self.capture = LogCapture()
        log = structlog.wrap_logger(None, processors=[self.capture]).bind()
        self.metrics, self.echoes = Metrics(), Echoes()
        self.listeners = Listeners(reactor, log, self.metrics, handshake_timeout=HANDSHAKE)

    def open(
        self,
        endpoint: str = "127.0.0.1:0",
        *,
        client_ca: str = "",
        client_required: bool = False,
        proxied: Callable[[Any], Any] | None = None,
    ) -> None:
        tls = self.files._replace(client_ca=client_ca, client_required=client_required)
        self.call(self.listeners.open, NAME, endpoint, self.echoes, tls, proxied)

    def close(self) -> None:
        self.call(self.listeners.close_all)
        self.call(lambda: [echo.transport.abortConnection() for echo in self.echoes.connections])
        until(lambda: not self.echoes.connections, "the end of every connection")

    def plain(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.listeners.port(NAME)), 8)

    def context(self, shown: str = "") -> ssl.SSLContext:
        """A client's, that trusts the authority and shows a certificate."""
        context = ssl.create_default_context(cafile=self.authority.ca_file)
        if shown:
            context.load_cert_chain(shown)
        return context

    def connect(self, context: ssl.SSLContext | None = None) -> ssl.SSLSocket:
        context = context or self.context()
        return context.wrap_socket(self.plain(), server_hostname="localhost")

    def ask(self, client: ssl.SSLSocket, octets: bytes = b"names") -> bytes:
        client.sendall(octets)
        return client.recv(4096)

    def events(self, name: str = "tls_handshake_failed") -> list[Any]:
        found: list[Any] = [entry for entry in self.capture.entries if entry["event"] == name]
        return found

    def sample(self, name: str, **labels: str) -> float | None:
        labels = {"listener": NAME, **labels}
        return self.metrics.registry.get_sample_value(f"smppgw_tls_{name}", labels)


@pytest.fixture
def place(running_reactor: Any, in_reactor: Callable[..., Any], tmp_path: Path) -> Iterator[Place]:
    found = Place(running_reactor, in_reactor, tmp_path)
    yield found
    found.close()


def serial(client: ssl.SSLSocket) -> int:
    shown = client.getpeercert(binary_form=True)
    assert shown is not None
    return x509.load_der_x509_certificate(shown).serial_number


# Who gets in.


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_is_served(place: Place, version: ssl.TLSVersion) -> None:
    place.open()
    context = place.context()
    context.maximum_version = version
    with place.connect(context) as client:
        assert client.version() == version.name.replace("_", ".")
        cipher = client.cipher()
        assert cipher is not None
        assert ("GCM" in cipher[0]) or ("CHACHA20" in cipher[0])
        assert client.compression() is None
        assert place.ask(client) == b"<>"
        assert place.ask(client, b"x" * 1000) == b"x" * 1000
    assert place.events() == []
    (listening,) = place.events("listening")
    assert (listening["listener"], listening["tls"]) == (NAME, True)
    assert place.sample("handshakes_failed_total", reason="protocol") is None


def test_a_listener_without_tls_says_so(place: Place) -> None:
    place.call(place.listeners.open, "admin", "127.0.0.1:0", place.echoes)
    assert place.events("listening")[0]["tls"] is False


def test_an_address_of_ipv6(place: Place) -> None:
    place.open("[::1]:0")
    with socket.create_connection(("::1", place.listeners.port(NAME)), 8) as plain:
        client = place.context().wrap_socket(plain, server_hostname="localhost")
        assert place.ask(client) == b"<>"
        client.close()
    assert getattr(place.echoes.asked[0], "host", "") == "::1"


def test_nothing_is_resumed(place: Place) -> None:
    place.open()
    context = place.context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with place.connect(context) as first:
        place.ask(first)
        session = first.session
    again = context.wrap_socket(place.plain(), server_hostname="localhost", session=session)
    with again:
        assert place.ask(again) == b"<>"
        assert not again.session_reused


@pytest.mark.parametrize("required", [False, True])
def test_the_names_of_a_client(place: Place, required: bool) -> None:
    ours = Authority(place.folder, "Clients")
    shown = ours.issue("smsc.bank.example", common_name="BANK-01")
    place.open(client_ca=ours.ca_file, client_required=required)
    with place.connect(place.context(shown)) as client:
        assert place.ask(client) == b"<bank-01,smsc.bank.example>"
    if not required:
        with place.connect() as client:
            assert place.ask(client) == b"<>"


def test_a_certificate_that_was_not_asked_for_has_no_names(place: Place) -> None:
    place.open()
    with place.connect(place.context(place.authority.issue("bank"))) as client:
        assert place.ask(client) == b"<>"


def test_a_client_whose_own_certificate_is_the_authority(place: Place) -> None:
    """Some operators are given a certificate of the client's, and no authority."""
    stranger = Authority(place.folder, "Stranger").issue("bank")
    pinned = place.folder / "pinned.pem"
    octets = Path(stranger).read_bytes()
    pinned.write_bytes(octets[octets.index(b"-----BEGIN CERTIFICATE") :])
    place.open(client_ca=str(pinned), client_required=True)
    with place.connect(place.context(stranger)) as client:
        assert place.ask(client) == b"<bank>"


def test_very_many_authorities(place: Place) -> None:
    """Their names alone are more than Twisted sends before it waits for the client."""
    bundle = place.folder / "bundle.pem"
    many = [Authority(place.folder, f"{number:03}-{'x' * 60}") for number in range(450)]
    bundle.write_bytes(b"".join(Path(one.ca_file).read_bytes() for one in many))
    place.open(client_ca=str(bundle), client_required=True)
    with place.connect(place.context(many[0].issue("bank"))) as client:
        assert place.ask(client) == b"<bank>"


def balancers(in_front: str) -> Callable[[Any], Any]:
    """Reads PROXY headers of the balancers `in_front`."""
    return lambda factory: ProxiedFactory(
        factory, factory.clock, [ip_network(in_front)], 8, lambda peer, words: None
    )


def test_a_client_behind_a_balancer(place: Place) -> None:
    """The header comes before TLS; names and addresses are the client's."""
    place.open(client_ca=place.authority.ca_file, proxied=balancers("127.0.0.0/8"))
    header = b"PROXY TCP4 192.0.2.7 192.0.2.1 1234 3550\r\n"
    with place.plain() as plain:
        plain.sendall(header)
        context = place.context(place.authority.issue("bank"))
        client = context.wrap_socket(plain, server_hostname="localhost")
        assert place.ask(client) == b"<bank>"
        assert place.echoes.connections[0].transport.getPeer().host == "192.0.2.7"
        client.close()
    until(lambda: place.echoes.lost == 1, "the end")
    sends(place, header + SMPP_BIND)
    until(lambda: place.echoes.lost == 2, "the end")
    assert [line["peer"] for line in place.events()] == ["192.0.2.7"]
    place.echoes.full = True
    sends(place, header + SMPP_BIND)
    assert len(place.events()) == 1


# Who does not.


def sends(place: Place, octets: bytes) -> None:
    """The listener closes the connection, perhaps with an alert."""
    with place.plain() as client:
        client.sendall(octets)
        try:
            while client.recv(4096):
                pass
        except ConnectionError:
            pass


def leaves(place: Place, octets: bytes) -> None:
    with place.plain() as client:
        client.sendall(octets)
        until(lambda: len(place.echoes.connections) == 1, "the connection")


def cannot(place: Place, context: ssl.SSLContext) -> None:
    """In TLS 1.3 a client is through before its certificate is looked at."""
    with pytest.raises((ssl.SSLError, ConnectionError)):
        served(place, context)


def served(place: Place, context: ssl.SSLContext) -> None:
    with place.connect(context) as client:
        if not place.ask(client):
            raise ConnectionError


def old_tls(place: Place) -> ssl.SSLContext:
    context = place.context()
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


def rsa_key_exchange(place: Place) -> ssl.SSLContext:
    context = place.context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("AES128-SHA")
    return context


PLAIN = "plain octets on the TLS port: "
CASES: dict[str, tuple[Callable[[Place], None], str, str]] = {
    "an SMPP bind": (
        lambda place: sends(place, SMPP_BIND),
        "plain_octets",
        f"{PLAIN}an SMPP bind_transceiver; switch the client's TLS on, or let it use smpp.listen",
    ),
    "HTTP": (
        lambda place: sends(place, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"),
        "plain_octets",
        f"{PLAIN}an HTTP request; let the client use https",
    ),
    "a PROXY header": (
        lambda place: sends(place, b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n" + SMPP_BIND),
        "plain_octets",
        f"{PLAIN}a PROXY protocol header from an address that smpp.proxy_protocol does not name",
    ),
    "anything": (
        lambda place: sends(place, b"\xff" * 100),
        "plain_octets",
        f"{PLAIN}no TLS record",
    ),
    "TLS 1.1": (
        lambda place: cannot(place, old_tls(place)),
        "protocol",
        "the client speaks no TLS later than 1.1; 1.2 or later is needed",
    ),
    "no cipher": (
        lambda place: cannot(place, rsa_key_exchange(place)),
        "protocol",
        "the client offers no cipher that is taken: in TLS 1.2 those are ECDHE with AES or"
        " ChaCha20, for the kind of key that the certificate has",
    ),
    "no trust": (
        lambda place: cannot(place, ssl.create_default_context()),
        "protocol",
        "the client ended it with the alert unknown ca: it does not trust this listener's"
        " certificate",
    ),
    "no certificate": (
        lambda place: cannot(place, place.context()),
        "client_certificate",
        "the client shows no certificate",
    ),
    "another authority": (
        lambda place: cannot(place, place.context(Authority(place.folder, "Other").issue("bank"))),
        "client_certificate",
        "the client's certificate is refused: its issuer is not in tls_client_ca",
    ),
    "an old certificate": (
        lambda place: cannot(place, place.context(place.authority.issue("bank", expired=True))),
        "client_certificate",
        "the client's certificate is refused: it has expired",
    ),
    "half a hello": (
        lambda place: leaves(place, b"\x16\x03\x01\x02\x00\x01"),
        "protocol",
        "the client left in the middle",
    ),
    "silence": (
        lambda place: sends(place, b""),
        "timeout",
        "the client said nothing in 0.3 s",
    ),
    "half a hello and no more": (
        lambda place: sends(place, b"\x16\x03\x01\x02\x00\x01"),
        "timeout",
        "it was not finished in 0.3 s",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_handshakes_that_come_to_nothing(place: Place, case: str) -> None:
    act, reason, detail = CASES[case]
    asks = "certificate" in case or "authority" in case
    place.open(client_ca=place.authority.ca_file if asks else "", client_required=asks)
    act(place)
    until(lambda: place.echoes.lost == 1, "the end")
    (line,) = place.events()
    assert line == {
        "event": "tls_handshake_failed",
        "log_level": "warning",
        "listener": NAME,
        "peer": "127.0.0.1",
        "reason": reason,
        "detail": detail,
    }
    assert place.sample("handshakes_failed_total", reason=reason) == 1
    assert place.echoes.read == b""
    with place.connect(place.context(place.authority.issue("bank"))) as client:
        assert place.ask(client)


def test_a_probe_is_no_failure(place: Place) -> None:
    place.open()
    place.plain().close()
    with place.plain() as client:  # a reset is no other
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    until(lambda: place.echoes.lost == 2, "the ends")
    assert place.events() == []


def test_a_handshake_that_the_service_ends_is_no_failure(place: Place) -> None:
    place.open()
    with place.plain() as client:
        client.sendall(b"\x16\x03\x01\x02\x00\x01")
        until(lambda: place.echoes.connections, "the connection")
        place.call(place.echoes.connections[0].transport.loseConnection)
        until(lambda: place.echoes.lost, "the end")
    assert place.events() == []


def test_a_connection_that_is_not_wanted_is_closed_at_once(place: Place) -> None:
    place.open()
    place.echoes.full = True
    with place.plain() as client:
        assert client.recv(10) == b""
    assert len(place.echoes.asked) == 1
    assert place.events() == []
    place.echoes.full = False
    with place.connect() as client:
        assert place.ask(client) == b"<>"


# Other certificates while it listens.


def test_another_certificate_serves_who_comes_and_leaves_who_is_there(place: Place) -> None:
    place.open()
    before = place.sample("certificate_expiry_timestamp_seconds")
    with place.connect() as first:
        assert place.ask(first) == b"<>"
        place.authority.issue()  # at the same path
        place.call(place.listeners.reload_tls, NAME, place.files)
        with place.connect() as second:
            renewed = serial(second)
            assert renewed != serial(first)
            assert place.ask(second) == b"<>"
        assert place.ask(first) == b"<>"
        Path(place.files.certificate).write_text("nothing")
        with pytest.raises(CannotUse, match="holds no certificate in PEM"):
            place.call(place.listeners.reload_tls, NAME, place.files)
        with place.connect() as third:
            assert serial(third) == renewed
        assert place.ask(first) == b"<>"
    assert before is not None
    assert (place.sample("certificate_expiry_timestamp_seconds") or 0) >= before


def test_what_was_loaded_before_is_taken_over(place: Place) -> None:
    place.open()
    loaded = ServerTls(both(place.authority.issue(expired=True)))
    place.call(place.listeners.reload_tls, NAME, loaded)
    context = place.context()
    with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
        place.connect(context)
    assert place.sample("certificate_expiry_timestamp_seconds") == loaded.expires_at


def test_clients_are_asked_for_certificates_from_a_reload_on(place: Place) -> None:
    place.open()
    asking = place.files._replace(client_ca=place.authority.ca_file, client_required=True)
    with place.connect() as first:
        place.call(place.listeners.reload_tls, NAME, asking)
        cannot(place, place.context())
        assert place.ask(first) == b"<>"
    with place.connect(place.context(place.authority.issue("bank"))) as client:
        assert place.ask(client) == b"<bank>"


def test_an_expired_certificate_still_serves(place: Place) -> None:
    place.files = both(place.authority.issue(expired=True))
    place.open()
    assert (place.sample("certificate_expiry_timestamp_seconds") or 0) < time.time()
    context = place.context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with place.connect(context) as client:
        assert place.ask(client) == b"<>"


# What cannot be listened with.


@pytest.mark.parametrize(
    ("name", "section"), [("smpp_tls", "smpp"), ("callbacks", "callbacks"), ("admin", "admin")]
)
def test_the_key_of_a_file_at_fault(place: Place, name: str, section: str) -> None:
    for files, key in (
        (place.files._replace(key="/none"), "tls_key"),
        (place.files._replace(client_ca="/none"), "tls_client_ca"),
    ):
        with pytest.raises(CannotListen) as caught:
            place.listeners.open(name, "127.0.0.1:0", place.echoes, files)
        words = f"{section}.{key}: /none cannot be read: No such file or directory"
        assert str(caught.value) == words
        assert caught.value.address == "127.0.0.1:0"
    assert name not in place.listeners


def test_the_key_of_an_address_at_fault(place: Place) -> None:
    place.open()
    endpoint = f"127.0.0.1:{place.listeners.port(NAME)}"
    for name, key in (("smpp_tls", "smpp.tls_listen"), ("smpp", "smpp.listen")):
        with pytest.raises(CannotListen) as caught:
            place.call(place.listeners.open, name, endpoint, place.echoes)
        assert str(caught.value) == f"{key} {endpoint}: Address already in use"


# Slow and silent clients.


class Producer:
    """A push producer that writes as long as it is let, and has something to write."""

    def __init__(self, transport: Any) -> None:
        self.transport = transport
        self.written = 0
        self.going = self.talkative = True

    def fill(self) -> None:
        while self.going and self.talkative:
            self.transport.write(bytes(50_000))
            self.written += 50_000
            assert self.written < 100_000_000, "nobody stops it"

    def pauseProducing(self) -> None:
        self.going = False

    def resumeProducing(self) -> None:
        self.going = True
        self.fill()

    def stopProducing(self) -> None:
        self.going = False


def stuck(place: Place) -> tuple[ssl.SSLSocket, Echo, Producer]:
    """A client that does not read, and a producer that waits for it and will say no more."""
    client = place.connect()
    assert place.ask(client) == b"<>"
    (echo,) = place.echoes.connections
    producer = Producer(echo.transport)

    def begin() -> None:
        echo.transport.registerProducer(producer, True)
        producer.fill()

    def silenced() -> bool:
        producer.talkative = producer.going  # the kernel may take some more at first
        return not producer.going

    place.call(begin)
    time.sleep(0.05)
    until(lambda: place.call(silenced), "the pause")
    return client, echo, producer


def test_who_does_not_read_is_not_written_to(place: Place) -> None:
    place.open()
    client, _, producer = stuck(place)
    with client:
        read = len(client.recv(65_536))
        while not producer.going:
            read += len(client.recv(65_536))
        assert 0 < read <= producer.written


def test_a_close_ends_without_the_client(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither does it answer the close_notify, nor close."""
    monkeypatch.setattr(tls_server, "_CLOSING", 0.1)
    place.open()
    with place.connect() as client:
        assert place.ask(client) == b"<>"
        place.call(place.echoes.connections[0].transport.loseConnection)
        until(lambda: place.echoes.lost, "the end")


def test_a_close_leaves_time_to_read(place: Place) -> None:
    place.open()
    with place.connect() as client:
        assert place.ask(client) == b"<>"
        transport = place.echoes.connections[0].transport

        def say_all() -> None:
            transport.write(bytes(1_000_000))
            transport.loseConnection()

        place.call(say_all)
        read = 0
        while octets := client.recv(65_536):
            read += len(octets)
        assert read == 1_000_000


def test_the_client_closes_while_it_does_not_read(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls_server, "_CLOSING", 0.1)
    place.open()
    client, _, producer = stuck(place)
    assert not producer.going
    with client:
        with pytest.raises(ssl.SSLError, match="APPLICATION_DATA_AFTER_CLOSE_NOTIFY"):
            client.unwrap()  # sends a close_notify; it stumbles over the first that it reads
        until(lambda: place.echoes.lost, "the end")


def test_an_abort_ends_at_once(place: Place) -> None:
    place.open()
    client, echo, _ = stuck(place)
    with client:
        place.call(echo.transport.abortConnection)
        until(lambda: place.echoes.lost, "the end", 1.0)
