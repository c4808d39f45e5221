"""Certificates and keys as operators have them: apart, in one file, with a chain, and wrong."""

from __future__ import annotations

import socket
from collections.abc import Callable
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

from gateway.listeners import CannotListen, Listeners, Tls
from gateway.logs import get
from gateway.tls import CannotUse, expired, read_pair, server_context
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
    server_context(str(certificate), str(key))


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
        server_context(good, str(key))
    assert str(caught.value) == f"tls_key: {key} {words.format(good=good)}"


def test_certificates_that_are_no_good(authority: Authority, tmp_path: Path) -> None:
    good, none = authority.issue(), tmp_path / "cert.pem"
    with pytest.raises(CannotUse, match=r"^tls_certificate: .* cannot be read: No such file"):
        server_context(str(none), good)
    none.write_text("none")
    with pytest.raises(CannotUse, match=r"^tls_certificate: .* holds no certificate in PEM$"):
        server_context(str(none), good)


def test_a_listener_with_bad_files_does_not_listen(authority: Authority) -> None:
    listeners = Listeners(None, get())
    with pytest.raises(CannotListen) as caught:
        listeners.open("callbacks", "127.0.0.1:0", Factory(), Tls("/none", "/none"))
    assert str(caught.value).startswith("callbacks.listen 127.0.0.1:0: tls_certificate: /none ")
    assert "callbacks" not in listeners


def test_the_chain_is_sent(
    authority: Authority, tmp_path: Path, running_reactor: Any, in_reactor: Callable[..., Any]
) -> None:
    key = authority.issue()
    chained = tmp_path / "chained.pem"
    chained.write_bytes(Path(key).read_bytes() + Path(authority.ca_file).read_bytes())
    listeners = Listeners(running_reactor, get())
    factory = Factory.forProtocol(Protocol)
    factory.noisy = False
    in_reactor(listeners.open, "smpp", "127.0.0.1:0", factory, Tls(str(chained), key))
    with socket.create_connection(("127.0.0.1", listeners.port("smpp")), 8) as plain:
        plain.settimeout(None)  # pyOpenSSL wants a socket that blocks
        client = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), plain)
        client.set_connect_state()
        client.do_handshake()
        sent = client.get_peer_cert_chain(as_cryptography=True)
    in_reactor(listeners.close_all)
    pair = read_pair(str(chained), key)
    assert sent == [pair.certificate, *pair.chain]
