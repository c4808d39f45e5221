"""TLS of a listener: its certificate and key, and who may show one of its own. Files in PEM.

Nobody resumes a session: no keys of tickets are kept, so that what was said stays secret when
a process is taken over later, and a client's certificate is looked at with every connection.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL
from OpenSSL.crypto import X509, X509StoreFlags
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from zope.interface import implementer

# Of TLS 1.2; 1.3 has its own. CBC is for clients of Java 7, which have nothing better.
_CIPHERS: Final = b"ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES"
_OPTIONS: Final = (
    SSL.OP_NO_COMPRESSION
    | SSL.OP_NO_RENEGOTIATION
    | SSL.OP_NO_TICKET
    | SSL.OP_CIPHER_SERVER_PREFERENCE
)
_NAMES: Final = 16_384  # octets; see below
# X509_V_ERR_* of OpenSSL's x509_vfy.h that an operator meets.
_REFUSALS: Final = {
    9: "it is not valid yet",
    10: "it has expired",
    18: "it is self-signed and not in tls_client_ca",
    19: "its root is not in tls_client_ca",
    20: "its issuer is not in tls_client_ca",
    21: "its issuer is not in tls_client_ca",
    23: "it is revoked",
    24: "its issuer is no authority",
    26: "it is not meant for clients (extended key usage)",
    66: "its key is too short",
    67: "its issuer's key is too short",
    68: "its signature's digest is too weak",
}


class CannotUse(ValueError):
    """A file is no good for TLS: the message begins with the setting's `key`, and says why."""

    def __init__(self, key: str, words: str) -> None:
        super().__init__(f"{key}: {words}")


class Pair(NamedTuple):
    """A private key, its certificate, and the certificates between that and a root."""

    key: PrivateKeyTypes
    certificate: x509.Certificate
    chain: list[x509.Certificate]


class TlsFiles(NamedTuple):
    """The certificate with its chain behind it, its key, and the authorities of clients.

    With `client_ca` a client may show a certificate, and with `client_required` it has to.
    """

    certificate: str
    key: str
    client_ca: str = ""
    client_required: bool = False


@implementer(IOpenSSLServerConnectionCreator)
class ServerTls:
    """What a TLS listener needs, and may get anew while it listens: TLS 1.2 and later.

    `expires_at` is when the first of its certificates ends, in seconds since 1970. Raises
    CannotUse, also in `load`, which then leaves everything as it is. May be made on a thread.
    """

    def __init__(self, files: TlsFiles) -> None:
        self.load(files)

    def load(self, files: TlsFiles) -> None:
        """Read the files, even the same ones again: they serve each new connection."""
        pair = read_pair(files.certificate, files.key)
        self._context = _context(files)
        ends = [one.not_valid_after_utc for one in (pair.certificate, *pair.chain)]
        self.expires_at = min(ends).timestamp()

    def take_over(self, other: ServerTls) -> None:
        """Serve new connections with what `other` has loaded."""
        self._context, self.expires_at = other._context, other.expires_at

    def serverConnectionForTLS(self, protocol: Any) -> SSL.Connection:
        # No protocol is agreed on by ALPN, whatever the client offers: neither HTTP/1.1 nor
        # SMPP needs it. Twisted's own options answer an offer such as curl's with an alert.
        connection = SSL.Connection(self._context)
        connection.set_app_data(protocol)
        return connection


def _context(files: TlsFiles) -> SSL.Context:
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_options(_OPTIONS)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)  # idle sessions take half the memory
    context.set_cipher_list(_CIPHERS)
    try:
        context.use_certificate_chain_file(files.certificate)
        context.use_privatekey_file(files.key)
        context.check_privatekey()  # both may have been replaced since they were read
    except SSL.Error as error:  # such as a key that is too short
        words = f"{files.certificate} is refused: {openssl_words(error)}"
        raise CannotUse("tls_certificate", words) from error
    if files.client_ca:
        _ask_for_certificates(context, files)
    elif files.client_required:
        raise CannotUse("tls_client_required", "nobody has a certificate without tls_client_ca")
    return context


def _ask_for_certificates(context: SSL.Context, files: TlsFiles) -> None:
    named = [one.subject.public_bytes() for one in _certificates("tls_client_ca", files.client_ca)]
    try:
        context.load_verify_locations(files.client_ca)
        # Their names help a client to choose, if they fit into what Twisted sends in one go.
        if sum(map(len, named)) < _NAMES:
            context.load_client_ca(files.client_ca.encode())
    except SSL.Error as error:
        words = f"{files.client_ca} is refused: {openssl_words(error)}"
        raise CannotUse("tls_client_ca", words) from error
    store = context.get_cert_store()
    assert store is not None  # noqa: S101
    # Whatever stands in the file is trusted: an authority below a root, or one client.
    store.set_flags(X509StoreFlags.PARTIAL_CHAIN)
    mode = SSL.VERIFY_PEER
    if files.client_required:
        mode |= SSL.VERIFY_FAIL_IF_NO_PEER_CERT
    try:
        context.set_verify(mode, _note_refusal)
    except MemoryError:  # MemoryDenyWriteExecute of systemd: the log then knows less
        context.set_verify(mode)


def _note_refusal(connection: SSL.Connection, shown: X509, error: int, depth: int, ok: int) -> bool:
    """Tell the connection's protocol what OpenSSL thinks of a certificate, and change nothing."""
    if not ok:
        words = _REFUSALS.get(error, f"OpenSSL's verification error {error}")
        connection.get_app_data().certificate_refused = words
    return bool(ok)


def openssl_words(error: SSL.Error) -> str:
    """What OpenSSL says; "" if it says nothing."""
    queue = error.args[0] if error.args and isinstance(error.args[0], list) else ()
    return ", ".join(reason for _, _, reason in queue)


def client_names(transport: Any) -> tuple[str, ...]:
    """Whom the certificate of this connection's client names, in lower case.

    Its common name and its DNS names; () without TLS, and without a certificate that one of
    the authorities in tls_client_ca stands behind.
    """
    handle = getattr(transport, "getHandle", lambda: None)()
    # A handshake with VERIFY_PEER ends only with a good certificate, or without any.
    if not isinstance(handle, SSL.Connection) or not handle.get_verify_mode() & SSL.VERIFY_PEER:
        return ()
    shown = handle.get_peer_certificate()
    if shown is None:
        return ()
    certificate = shown.to_cryptography()
    try:
        named = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        names = [str(attribute.value) for attribute in named]
        names += _dns_names(certificate)
    except ValueError:  # OpenSSL reads more than is well-formed: such a name counts for nothing
        return ()
    return tuple(dict.fromkeys(name.lower() for name in names))


def _dns_names(certificate: x509.Certificate) -> list[str]:
    kind = x509.SubjectAlternativeName
    try:
        return certificate.extensions.get_extension_for_class(kind).value.get_values_for_type(
            x509.DNSName
        )
    except (x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        return []


def read_pair(certificate: str, key: str) -> Pair:
    """What the files hold that belongs together. Raises CannotUse.

    The certificate stands first in its file, the chain behind it; one file may hold it all.
    """
    found = _certificates("tls_certificate", certificate)
    octets = _read("tls_key", key)
    try:
        private = load_pem_private_key(octets, password=None)
    except TypeError as error:
        raise CannotUse("tls_key", f"{key} is encrypted: write it without a passphrase") from error
    except ValueError as error:
        raise CannotUse("tls_key", f"{key} holds no private key in PEM") from error
    if private.public_key() != found[0].public_key():
        raise CannotUse("tls_key", f"{key} is not the key of the certificate in {certificate}")
    return Pair(private, found[0], found[1:])


def _certificates(key: str, path: str) -> list[x509.Certificate]:
    """At least one."""
    octets = _read(key, path)
    try:
        return x509.load_pem_x509_certificates(octets)
    except ValueError as error:
        raise CannotUse(key, f"{path} holds no certificate in PEM") from error


def _read(key: str, path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise CannotUse(key, f"{path} cannot be read: {error.strerror}") from error


def expired(certificate: str, key: str) -> bool:
    """Whether the certificate's time is over. Raises CannotUse."""
    return read_pair(certificate, key).certificate.not_valid_after_utc < datetime.now(UTC)
