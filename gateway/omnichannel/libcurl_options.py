"""What holds for every request through libcurl: the options that are set once on each handle.

*Nothing from the surroundings*: no proxy variables, no .netrc, no cookies, no redirects.
"""

from __future__ import annotations

import socket
from typing import Any
from urllib.parse import unquote, urlsplit

import pycurl

from gateway.omnichannel.authorities import authorities_file
from gateway.omnichannel.transport import TransportSettings

_USER_TIMEOUT = 20_000  # ms that sent octets may stay unacknowledged before the kernel gives up
_BUFFER = 16_384  # octets; libcurl's 64 KiB for each upload are for files, this is its least


def options(settings: TransportSettings) -> list[tuple[int, Any]]:
    """The options with their values, in the order in which they are to be set."""
    found: list[tuple[int, Any]] = [
        (pycurl.NOSIGNAL, 1),
        (pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS),
        (pycurl.FOLLOWLOCATION, 0),
        (pycurl.USERAGENT, settings.user_agent),
        (pycurl.UPLOAD_BUFFERSIZE, _BUFFER),
        (pycurl.CONNECTTIMEOUT_MS, max(1, int(settings.connect_timeout * 1000))),
        (pycurl.MAXAGE_CONN, max(1, int(settings.max_connection_age))),
        (pycurl.MAXLIFETIME_CONN, max(1, int(settings.max_connection_age))),
        (pycurl.TCP_NODELAY, 1),
        (pycurl.TCP_KEEPALIVE, 1),
        (pycurl.TCP_KEEPIDLE, 20),
        (pycurl.TCP_KEEPINTVL, 10),
        (pycurl.SOCKOPTFUNCTION, _bound_silence),
        (pycurl.SSL_VERIFYPEER, 1),
        (pycurl.SSL_VERIFYHOST, 2),
        (pycurl.SSLVERSION, pycurl.SSLVERSION_TLSv1_2),
        (pycurl.CAINFO, authorities_file(settings.ca_file)),
        (
            pycurl.HTTP_VERSION,
            pycurl.CURL_HTTP_VERSION_2TLS if settings.http2 else pycurl.CURL_HTTP_VERSION_1_1,
        ),
        # "" keeps libcurl from reading http_proxy, https_proxy and no_proxy.
        (pycurl.PROXY, ""),
        (pycurl.NOPROXY, ""),
    ]
    if settings.proxy:
        parts = urlsplit(settings.proxy)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        port = f":{parts.port}" if parts.port else ""
        found.append((pycurl.PROXY, f"{parts.scheme or 'http'}://{host}{port}"))
        if parts.username:
            found.append((pycurl.PROXYUSERNAME, unquote(parts.username)))
            found.append((pycurl.PROXYPASSWORD, unquote(parts.password or "")))
    return found


def secrets(proxy: str) -> tuple[str, ...]:
    """What must not appear in a detail: the proxy's credentials, raw and decoded."""
    parts = urlsplit(proxy)
    words = (parts.password, parts.username)
    return tuple({form for word in words if word for form in (word, unquote(word))})


class Pool:
    """Connections that handles share. When the last handle has left it, they are closed."""

    __slots__ = ("ended", "share")

    def __init__(self) -> None:
        self.share = pycurl.CurlShare()
        self.share.setopt(pycurl.SH_SHARE, pycurl.LOCK_DATA_CONNECT)
        # The local ports of those that the server closed while they lay idle. One that libcurl
        # has found by itself stays here, and costs a later one with its port a new handshake.
        self.ended: set[int] = set()


def _bound_silence(fd: int, _purpose: int) -> int:
    """SOCKOPTFUNCTION: give up a connection whose peer acknowledges nothing.

    HTTP/2 sends every request over one connection. If the path goes dark, TCP would go on
    repeating for a quarter of an hour, and every request would wait for its own deadline.
    """
    # Borrowed, not duplicated: there may be no descriptor left to duplicate it into.
    sock = socket.socket(fileno=fd)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _USER_TIMEOUT)
    finally:
        sock.detach()
    return pycurl.SOCKOPT_OK
