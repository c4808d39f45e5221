"""A listener's certificate and key, from two files in PEM."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL
from twisted.internet.ssl import CertificateOptions, TLSVersion


class CannotUse(ValueError):
    """A file is no good for TLS: the message begins with the setting's `key`, and says why."""

    def __init__(self, key: str, words: str) -> None:
        super().__init__(f"{key}: {words}")


class Pair(NamedTuple):
    """A private key, its certificate, and the certificates between that and a root."""

    key: PrivateKeyTypes
    certificate: x509.Certificate
    chain: list[x509.Certificate]


def read_pair(certificate: str, key: str) -> Pair:
    """What the files hold that belongs together. Raises CannotUse.

    The certificate stands first in its file, the chain behind it; one file may hold it all.
    """
    certificates, keys = _read("tls_certificate", certificate), _read("tls_key", key)
    try:
        found = x509.load_pem_x509_certificates(certificates)
    except ValueError as error:
        raise CannotUse("tls_certificate", f"{certificate} holds no certificate in PEM") from error
    try:
        private = load_pem_private_key(keys, password=None)
    except TypeError as error:
        raise CannotUse("tls_key", f"{key} is encrypted: write it without a passphrase") from error
    except ValueError as error:
        raise CannotUse("tls_key", f"{key} holds no private key in PEM") from error
    if private.public_key() != found[0].public_key():
        raise CannotUse("tls_key", f"{key} is not the key of the certificate in {certificate}")
    return Pair(private, found[0], found[1:])


def _read(key: str, path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise CannotUse(key, f"{path} cannot be read: {error.strerror}") from error


def server_context(certificate: str, key: str) -> CertificateOptions:
    """What Twisted's listenSSL takes: TLS 1.2 and later. Raises CannotUse."""
    read_pair(certificate, key)  # its words are clearer than OpenSSL's
    options = CertificateOptions(raiseMinimumTo=TLSVersion.TLSv1_2)
    context = options.getContext()
    try:
        context.use_certificate_chain_file(certificate)
        context.use_privatekey_file(key)
    except SSL.Error as error:  # such as a key that is too short
        words = ", ".join(reason for _, _, reason in error.args[0])
        raise CannotUse("tls_certificate", f"{certificate} is refused: {words}") from error
    # No protocol by ALPN, whatever the client offers: HTTP/1.1 and SMPP need none. Without this,
    # Twisted 26 answers an offer such as curl's (h2, http/1.1) with an alert.
    context.set_alpn_select_callback(lambda connection, offered: SSL.NO_OVERLAPPING_PROTOCOLS)
    return options


def expired(certificate: str, key: str) -> bool:
    """Whether the certificate's time is over. Raises CannotUse."""
    return read_pair(certificate, key).certificate.not_valid_after_utc < datetime.now(UTC)
