"""Certificates and keys as operators have them: apart, in one file, with a chain, and wrong.

`test_listeners.py` shows them to clients.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from OpenSSL import SSL
from twisted.internet.protocol import Factory, Protocol

from gateway.config import Settings
from gateway.config_environment import environment
from gateway.listeners import Listeners
from gateway.logs import get
from gateway.metrics import Metrics
from gateway.tls import CannotUse, ServerTls, TlsFiles, client_names, expired, read_pair
from tests.omnichannel.certificates import Authority


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def test_a_pair_in_one_file_or_two(authority: Authority, tmp_path: Path) -> None:
    both = authority.issue()
    octets = Path(both).read_bytes()
    begin = octets.index(b"-----BEGIN CERTIFICATE")
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    key.write_bytes(octets[:begin])
    certificate.write_bytes(octets[begin:] + Path(authority.ca_file).read_bytes())
    one, two = read_pair(both, both), read_pair(str(certificate), str(key))
    assert one.certificate == two.certificate
    assert (len(one.chain), len(two.chain)) == (0, 1)
    ServerTls(TlsFiles(str(certificate), str(key)))


def test_the_time_of_a_certificate(authority: Authority) -> None:
    good, old = authority.issue(), authority.issue(expired=True)
    assert not expired(good, good)
    assert expired(old, old)


def key_of(path: str) -> PrivateKeyTypes:
    return load_pem_private_key(Path(path).read_bytes(), None)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ("missing", "cannot be read: No such file or directory"),
        ("no pem", "holds no private key in PEM"),
        ("other key", "is not the key of the certificate in {good}"),
        ("encrypted", "is encrypted: write it without a passphrase"),
    ],
)
def test_keys_that_are_no_good(authority: Authority, tmp_path: Path, bad: str, words: str) -> None:
    good, key = authority.issue(), tmp_path / "key.pem"
    if bad == "no pem":
        key.write_text("no key")
    elif bad == "other key":
        key.write_bytes(Path(authority.issue("other.example.com")).read_bytes())
    elif bad == "encrypted":
        secret = BestAvailableEncryption(b"x")
        key.write_bytes(key_of(good).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, secret))
    with pytest.raises(CannotUse) as caught:
        ServerTls(TlsFiles(good, str(key)))
    assert str(caught.value) == f"tls_key: {key} {words.format(good=good)}"


def test_certificates_that_are_no_good(authority: Authority, tmp_path: Path) -> None:
    good, none = authority.issue(), tmp_path / "cert.pem"
    with pytest.raises(CannotUse, match=r"^tls_certificate: .* cannot be read: No such file"):
        ServerTls(TlsFiles(str(none), good))
    none.write_text("none")
    with pytest.raises(CannotUse, match=r"^tls_certificate: .* holds no certificate in PEM$"):
        ServerTls(TlsFiles(str(none), good))


def test_authorities_that_are_no_good(authority: Authority, tmp_path: Path) -> None:
    good, none = authority.issue(), tmp_path / "ca.pem"
    files = TlsFiles(good, good, str(none))
    with pytest.raises(CannotUse, match=r"^tls_client_ca: .* cannot be read: No such file"):
        ServerTls(files)
    none.write_text("none")
    with pytest.raises(CannotUse, match=r"^tls_client_ca: .* holds no certificate in PEM$"):
        ServerTls(files)
    with pytest.raises(CannotUse, match=r"^tls_client_required: nobody has a certificate without"):
        ServerTls(TlsFiles(good, good, client_required=True))


def test_what_cannot_be_loaded_changes_nothing(authority: Authority) -> None:
    good, old = authority.issue(), authority.issue(expired=True)
    tls = ServerTls(TlsFiles(good, good))
    expires_at, context = tls.expires_at, tls.serverConnectionForTLS(None).get_context()
    with pytest.raises(CannotUse):
        tls.load(TlsFiles(old, good))
    assert tls.expires_at == expires_at
    assert tls.serverConnectionForTLS(None).get_context() is context
    tls.load(TlsFiles(old, old))
    assert tls.expires_at < expires_at
    assert tls.serverConnectionForTLS(None).get_context() is not context


def test_the_first_end_in_a_chain_counts(authority: Authority, tmp_path: Path) -> None:
    good, old = authority.issue(), authority.issue(expired=True)
    chained = tmp_path / "chained.pem"
    chained.write_bytes(Path(good).read_bytes() + Path(old).read_bytes())
    end = read_pair(old, old).certificate.not_valid_after_utc.timestamp()
    assert ServerTls(TlsFiles(str(chained), good)).expires_at == end
    later = read_pair(good, good).certificate.not_valid_after_utc.timestamp()
    chained.write_bytes(Path(good).read_bytes() + Path(authority.ca_file).read_bytes())
    assert ServerTls(TlsFiles(str(chained), good)).expires_at == later


def test_check_config_reads_the_files_of_each_listener(authority: Authority) -> None:
    old = authority.issue(expired=True)
    pair = {"tls_certificate": old, "tls_key": old, "tls_client_ca": "/none"}
    given = {
        "smpp": {"tls_listen": "127.0.0.1:0", **pair},
        "admin": {"listen": "127.0.0.1:0", **pair, "tls_client_ca": ""},
        "omnichannel": {"username": "user", "password": "password"},
    }
    problems, _ = environment(Settings.model_validate(given))
    assert problems == [
        "smpp.tls_client_ca: /none cannot be read: No such file or directory",
        f"admin.tls_certificate: {old} has expired",
    ]


def shaken(server: SSL.Connection, client: SSL.Connection) -> None:
    """Let them shake hands, as far as they come."""
    for _ in range(4):
        for one, other in ((client, server), (server, client)):
            with suppress(SSL.WantReadError):
                one.do_handshake()
            with suppress(SSL.WantReadError):
                other.bio_write(one.bio_read(65_536))


class Transport:
    """Of a connection over TLS, or without a certificate."""

    def __init__(self, handle: object) -> None:
        self._handle = handle

    def getHandle(self) -> object:
        return self._handle


@pytest.mark.parametrize("version", [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION])
def test_the_names_in_a_certificate(authority: Authority, version: int) -> None:
    good, shown = authority.issue(), authority.issue("ESME.bank.example", common_name="Bank")

    def names(files: TlsFiles) -> tuple[str, ...]:
        server = ServerTls(files).serverConnectionForTLS(None)
        server.set_accept_state()
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_max_proto_version(version)
        context.use_certificate_file(shown)
        context.use_privatekey_file(shown)
        client = SSL.Connection(context)
        client.set_connect_state()
        shaken(server, client)
        return client_names(Transport(server))

    assert names(TlsFiles(good, good, authority.ca_file)) == ("bank", "esme.bank.example")
    assert names(TlsFiles(good, good)) == ()
    assert client_names(Transport(socket.socket)) == ()
    assert client_names(object()) == ()


def test_a_client_does_not_negotiate_anew(authority: Authority) -> None:
    good = authority.issue()
    server = ServerTls(TlsFiles(good, good)).serverConnectionForTLS(None)
    server.set_accept_state()
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_max_proto_version(SSL.TLS1_2_VERSION)
    client = SSL.Connection(context)
    client.set_connect_state()
    shaken(server, client)
    assert client.renegotiate()
    with pytest.raises(SSL.WantReadError):
        client.do_handshake()
    server.bio_write(client.bio_read(65_536))
    with pytest.raises(SSL.WantReadError):
        server.recv(10)
    client.bio_write(server.bio_read(65_536))
    with pytest.raises(SSL.Error, match="no renegotiation"):
        client.do_handshake()


# A service without memory that is both written and run, as systemd's MemoryDenyWriteExecute has
# it: cffi then gives OpenSSL no functions of Python's to call.
HARDENED = """
import ctypes, sys
if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0):
    sys.exit(77)
from gateway.tls import ServerTls, TlsFiles
_, good, authority = sys.argv
for client_ca in ("", authority):
    ServerTls(TlsFiles(good, good, client_ca, bool(client_ca))).serverConnectionForTLS(None)
"""


def test_in_a_hardened_service(authority: Authority) -> None:
    arguments = [sys.executable, "-c", HARDENED, authority.issue(), authority.ca_file]
    ended = subprocess.run(arguments, capture_output=True, text=True, check=False)
    if ended.returncode == 77:
        pytest.skip("this kernel cannot deny it")
    assert (ended.returncode, ended.stderr) == (0, "")


def test_the_chain_is_sent(
    authority: Authority, tmp_path: Path, running_reactor: Any, in_reactor: Callable[..., Any]
) -> None:
    key = authority.issue()
    chained = tmp_path / "chained.pem"
    chained.write_bytes(Path(key).read_bytes() + Path(authority.ca_file).read_bytes())
    listeners = Listeners(running_reactor, get(), Metrics())
    factory = Factory.forProtocol(Protocol)
    factory.noisy = False
    in_reactor(listeners.open, "smpp", "127.0.0.1:0", factory, TlsFiles(str(chained), key))
    with socket.create_connection(("127.0.0.1", listeners.port("smpp")), 8) as plain:
        plain.settimeout(None)  # pyOpenSSL wants a socket that blocks
        client = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), plain)
        client.set_connect_state()
        client.do_handshake()
        sent = client.get_peer_cert_chain(as_cryptography=True)
    in_reactor(listeners.close_all)
    pair = read_pair(str(chained), key)
    assert sent == [pair.certificate, *pair.chain]
