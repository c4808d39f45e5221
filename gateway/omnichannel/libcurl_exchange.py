"""One transfer of libcurl: a Curl handle, its options, its callbacks, what its end means.

Rules that the options serve:

- *One request, one attempt.* libcurl repeats a request by itself when a reused connection
  dies before an answer, or when an HTTP/2 server refuses the stream. A body that is read
  through READFUNCTION and cannot be rewound stops that for a POST, and `Exchange.attempt`
  stops it for every method: libcurl calls it (PREREQFUNCTION) before the first octet of a
  request goes out, and the second call is refused.
- *`sent` is known, not guessed.* The same call is the evidence: as long as it has not come, no
  octet of the request has been handed to a connection.
- *Nothing from the surroundings*: no proxy variables, no .netrc, no cookies, no redirects.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

import pycurl
from twisted.internet.defer import Deferred

from gateway.omnichannel.authorities import authorities_file
from gateway.omnichannel.transport import (
    FailureKind,
    HttpAnswer,
    HttpFailure,
    HttpResult,
    TransportSettings,
)

_KINDS: Mapping[int, FailureKind] = {
    pycurl.E_COULDNT_RESOLVE_PROXY: FailureKind.PROXY,
    97: FailureKind.PROXY,  # CURLE_PROXY, which pycurl does not name
    pycurl.E_COULDNT_RESOLVE_HOST: FailureKind.DNS,
    pycurl.E_COULDNT_CONNECT: FailureKind.CONNECT,
    pycurl.E_INTERFACE_FAILED: FailureKind.CONNECT,
    pycurl.E_SSL_CONNECT_ERROR: FailureKind.TLS,
    pycurl.E_PEER_FAILED_VERIFICATION: FailureKind.TLS,
    pycurl.E_SSL_CACERT_BADFILE: FailureKind.TLS,
    pycurl.E_SSL_CIPHER: FailureKind.TLS,
    pycurl.E_SSL_CERTPROBLEM: FailureKind.TLS,
    pycurl.E_SSL_ISSUER_ERROR: FailureKind.TLS,
    pycurl.E_SSL_ENGINE_NOTFOUND: FailureKind.TLS,
    pycurl.E_SSL_CRL_BADFILE: FailureKind.TLS,
    pycurl.E_OPERATION_TIMEDOUT: FailureKind.TIMEOUT,
    pycurl.E_GOT_NOTHING: FailureKind.CUT,
    pycurl.E_SEND_ERROR: FailureKind.CUT,
    pycurl.E_RECV_ERROR: FailureKind.CUT,
    pycurl.E_PARTIAL_FILE: FailureKind.CUT,
    pycurl.E_SEND_FAIL_REWIND: FailureKind.CUT,
    pycurl.E_ABORTED_BY_CALLBACK: FailureKind.CUT,  # only `Exchange.attempt` aborts
    92: FailureKind.CUT,  # CURLE_HTTP2_STREAM, likewise
    pycurl.E_FILESIZE_EXCEEDED: FailureKind.TOO_LARGE,
}  # any other code: PROTOCOL

_USER_TIMEOUT = 20_000  # ms that sent octets may stay unacknowledged before the kernel gives up
_HEADER_LINES = (
    "Accept: application/json",
    "Content-Type: application/json",
    "Expect:",  # no "100-continue" before a body
)


class _Headers(Mapping[str, str]):
    """The answer's header lines, parsed when somebody looks: most answers are not looked at."""

    __slots__ = ("_lines", "_parsed")

    def __init__(self, lines: list[bytes]) -> None:
        self._lines = lines
        self._parsed: dict[str, str] | None = None

    def _fields(self) -> dict[str, str]:
        if self._parsed is None:
            self._parsed = {}
            for line in self._lines:
                if line.startswith(b"HTTP/"):
                    self._parsed.clear()  # the head of a 1xx answer came before this one
                    continue
                name, colon, value = line.decode("latin-1").partition(":")
                if colon:
                    self._parsed[name.strip().lower()] = value.strip()
        return self._parsed

    def __getitem__(self, name: str) -> str:
        return self._fields()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields())

    def __len__(self) -> int:
        return len(self._fields())

    def __repr__(self) -> str:
        return repr(self._fields())


class Exchange:
    """One Curl handle and what it carries now; used again for the next request of its method."""

    __slots__ = (
        "attempts", "authorization", "chunks", "curl", "deferred", "lines", "method", "path",
        "patient", "room", "sending", "settings", "timeout",
    )  # fmt: skip

    def __init__(self, method: str, settings: TransportSettings) -> None:
        self.curl = curl = pycurl.Curl()
        self.method = method
        self.settings = settings
        self.path = self.authorization = ""  # as the handle has them now, like `timeout`
        self.timeout = 0  # milliseconds
        self.patient = False
        self.sending = b""
        self.attempts = 0
        self.room = settings.max_answer_octets
        self.lines: list[bytes] = []
        self.chunks: list[bytes] = []
        self.deferred: Deferred[HttpResult] = Deferred()
        for option, value in _options(settings):
            curl.setopt(option, value)
        curl.setopt(pycurl.PREREQFUNCTION, self.attempt)
        curl.setopt(pycurl.WRITEFUNCTION, self.write)
        curl.setopt(pycurl.HEADERFUNCTION, self.lines.append)
        if method == "POST":
            curl.setopt(pycurl.POST, 1)
            curl.setopt(pycurl.READFUNCTION, self.read)
        elif method == "DELETE":
            curl.setopt(pycurl.CUSTOMREQUEST, "DELETE")

    def wait_for_connection(self, patient: bool) -> None:
        """Whether to wait for a connection that is being set up, as it may take many streams."""
        if self.patient is not patient:
            self.curl.setopt(pycurl.PIPEWAIT, int(patient))
            self.patient = patient

    def load(self, path: str, body: bytes, authorization: str, timeout: float) -> None:
        """Make the handle ready for one request; only what differs from its last one costs."""
        setopt = self.curl.setopt
        if self.path != path:
            setopt(pycurl.URL, self.settings.base_url + path)
            self.path = path
        if self.authorization != authorization:
            setopt(pycurl.HTTPHEADER, [f"Authorization: {authorization}", *_HEADER_LINES])
            self.authorization = authorization
        milliseconds = max(1, int(timeout * 1000))
        if self.timeout != milliseconds:
            setopt(pycurl.TIMEOUT_MS, milliseconds)
            self.timeout = milliseconds
        if self.method == "POST":
            setopt(pycurl.POSTFIELDSIZE, len(body))
            self.sending = body
        self.attempts = 0
        self.deferred = Deferred()

    def answer(self) -> HttpAnswer:
        """What was read, after libcurl reported success."""
        return HttpAnswer(
            self.curl.getinfo(pycurl.RESPONSE_CODE), b"".join(self.chunks), _Headers(self.lines[:])
        )

    @property
    def multiplexed(self) -> bool:
        """Whether the answer came over HTTP/2."""
        version: int = self.curl.getinfo(pycurl.INFO_HTTP_VERSION)
        return version >= pycurl.CURL_HTTP_VERSION_2_0

    def failure(self, code: int, message: str) -> HttpFailure:
        """What libcurl's error means. Not to be called before the transfer has ended."""
        settings = self.settings
        sent = self.attempts > 0
        kind = _KINDS.get(code, FailureKind.PROTOCOL)
        if code == pycurl.E_WRITE_ERROR and self.room < 0:
            kind = FailureKind.TOO_LARGE
            message = f"the answer has more than {settings.max_answer_octets} octets"
        elif self.attempts > 1:
            kind, message = FailureKind.CUT, "the connection ended, a second attempt was refused"
        elif not sent and settings.proxy and kind is not FailureKind.TLS:
            kind = FailureKind.TIMEOUT if self._whole_time_used(code) else FailureKind.PROXY
        elif not sent and code == pycurl.E_OPERATION_TIMEDOUT and not self._whole_time_used(code):
            kind = FailureKind.CONNECT  # connect_timeout
        for secret in _secrets(settings.proxy):
            message = message.replace(secret, "***")
        return HttpFailure(kind, sent, f"libcurl {code}: {message}")

    def _whole_time_used(self, code: int) -> bool:
        spent = self.curl.getinfo(pycurl.TOTAL_TIME) * 1000
        return code == pycurl.E_OPERATION_TIMEDOUT and spent >= self.timeout - 1

    def resume(self, code: int, message: str) -> bool:
        """Whether it ended only because it had waited for a free connection for connect_timeout.

        libcurl counts that as connecting. Nothing was begun, so it is made ready to be added
        again with the time that is left.
        """
        info = self.curl.getinfo
        if code != pycurl.E_OPERATION_TIMEDOUT or self.attempts or info(pycurl.NAMELOOKUP_TIME):
            return False
        if message.startswith("Resolving"):
            return False
        left = self.timeout - int(info(pycurl.TOTAL_TIME) * 1000)
        if left <= 1:
            return False
        self.curl.setopt(pycurl.TIMEOUT_MS, left)
        self.timeout = left
        return True

    def unload(self) -> None:
        """Forget the request and its answer; the handle keeps its options."""
        self.lines.clear()
        self.chunks.clear()
        self.sending = b""
        self.room = self.settings.max_answer_octets

    # libcurl calls these

    def attempt(self, *_: object) -> int:
        """PREREQFUNCTION: a connection is ready and the request would be sent now."""
        self.attempts += 1
        return pycurl.PREREQFUNC_OK if self.attempts == 1 else pycurl.PREREQFUNC_ABORT

    def read(self, size: int) -> bytes:
        """READFUNCTION: the next octets of the body, b"" at its end."""
        octets = self.sending[:size]
        self.sending = self.sending[size:]
        return octets

    def write(self, octets: bytes) -> int | None:
        """WRITEFUNCTION: keep what was read; a number that is not its length ends the transfer."""
        self.room -= len(octets)
        if self.room < 0:
            return 0
        self.chunks.append(octets)
        return None


def _secrets(proxy: str) -> tuple[str, ...]:
    """What must not appear in a detail: the proxy's credentials, raw and decoded."""
    parts = urlsplit(proxy)
    words = (parts.password, parts.username)
    return tuple({form for word in words if word for form in (word, unquote(word))})


def _options(settings: TransportSettings) -> list[tuple[int, Any]]:
    """What holds for every request; set once on each handle."""
    options: list[tuple[int, Any]] = [
        (pycurl.NOSIGNAL, 1),
        (pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS),
        (pycurl.FOLLOWLOCATION, 0),
        (pycurl.USERAGENT, settings.user_agent),
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
        options.append((pycurl.PROXY, f"{parts.scheme or 'http'}://{host}{port}"))
        if parts.username:
            options.append((pycurl.PROXYUSERNAME, unquote(parts.username)))
            options.append((pycurl.PROXYPASSWORD, unquote(parts.password or "")))
    return options


def _bound_silence(fd: int, _purpose: int) -> int:
    """SOCKOPTFUNCTION: give up a connection whose peer acknowledges nothing.

    HTTP/2 sends every request over one connection. If the path goes dark, TCP would go on
    repeating for a quarter of an hour, and every request would wait for its own deadline.
    """
    with socket.socket(fileno=socket.dup(fd)) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _USER_TIMEOUT)
    return pycurl.SOCKOPT_OK
