"""Where this machine keeps the certificate authorities that it trusts."""

from __future__ import annotations

import os
import ssl

import certifi

# Wheels of pycurl bring an OpenSSL whose built-in path is that of the build machine, so the
# distribution's bundle must be named. Order: Debian and Alpine, RHEL, Alpine's alias, SUSE, RHEL 6,
# the BSDs and Homebrew.
_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
    "/etc/ssl/ca-bundle.pem",
    "/usr/local/share/certs/ca-root-nss.crt",
    "/opt/homebrew/etc/openssl@3/cert.pem",
)


def authorities_file(ca_file: str) -> str:
    """The PEM bundle to verify servers with: `ca_file` if given, else the system's.

    The system's is what OpenSSL is told (SSL_CERT_FILE included), then the usual places of
    the distributions, then certifi's copy for an image that has none.
    """
    if ca_file:
        return ca_file
    told = ssl.get_default_verify_paths().cafile
    for path in (told, *_BUNDLES):
        if path and os.path.isfile(path) and os.path.getsize(path):
            return path
    return certifi.where()
