"""One request in a worker's thread through requests, and what its end means."""

from __future__ import annotations

import http.client
import logging
import ssl
import time
from collections.abc import Iterator
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

import requests
import urllib3

from gateway.omnichannel.requests_watch import Job, WatchedAdapter, watching
from gateway.omnichannel.transport import (
    FailureKind,
    HttpAnswer,
    HttpFailure,
    HttpResult,
    TransportSettings,
)

_CHUNK = 65_536
_AFTER_DEADLINE = 1.0  # seconds later than the reactor's own clock, which is the one that decides
_WITHOUT_BODY = (204, 304)
# Its warning about a head that was cut off quotes the answer; what to think of one, is told here.
logging.getLogger("urllib3.connection").setLevel(logging.ERROR)


class Caller:
    """One worker's connection, kept as long as `max_connection_age` allows."""

    def __init__(self, settings: TransportSettings, context: ssl.SSLContext | None) -> None:
        self._settings = settings
        self._context = context
        self._proxy, self._credentials = _split_proxy(settings.proxy)
        self._session: requests.Session | None = None
        self._opened = 0.0

    def call(self, job: Job) -> HttpResult | None:
        """Do it. None when it was abandoned meanwhile; every other end becomes a failure."""
        with watching(job):
            try:
                return self._exchange(self._current(), job)
            except Exception as error:  # noqa: BLE001  the edge of a request: it answers
                return self._failure(job, error)

    def close(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None

    def _current(self) -> requests.Session:
        now = time.monotonic()
        if self._session is None or now - self._opened > self._settings.max_connection_age:
            self.close()
            self._session, self._opened = self._open(), now
        return self._session

    def _open(self) -> requests.Session:
        session = requests.Session()
        session.trust_env = False  # neither http_proxy nor .netrc
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        session.headers.clear()
        session.headers.update(
            {
                "User-Agent": self._settings.user_agent,
                "Accept": "application/json",
                "Accept-Encoding": "identity",
                "Content-Type": "application/json",
            }
        )
        adapter = WatchedAdapter(self._context, self._credentials)
        session.mount("https://", adapter)
        session.mount("http://", adapter)
        if self._proxy:
            session.proxies = {"http": self._proxy, "https": self._proxy}
        return session

    def _exchange(self, session: requests.Session, job: Job) -> HttpResult:
        left = max(0.001, job.end - time.monotonic())
        connect = self._settings.connect_timeout
        response = session.request(
            job.method,
            self._settings.base_url + job.path,
            data=job.body or None,
            headers={"Authorization": job.authorization},
            timeout=(connect if connect < left else left + _AFTER_DEADLINE, left + _AFTER_DEADLINE),
            allow_redirects=False,
            stream=True,
        )
        with response:
            body = bytearray()
            for chunk in _chunks(response.raw):
                body += chunk
                if len(body) > self._settings.max_answer_octets:
                    return HttpFailure(
                        FailureKind.TOO_LARGE,
                        True,
                        f"the answer has more than {self._settings.max_answer_octets} octets",
                    )
            headers = {name.lower(): value for name, value in response.headers.items()}
            if (
                "content-length" not in headers
                and "chunked" not in headers.get("transfer-encoding", "").lower()
                and response.status_code not in _WITHOUT_BODY
            ):
                # http.client takes a head that was cut off for a whole one.
                return HttpFailure(
                    FailureKind.CUT, True, "the answer tells no length, its end cannot be known"
                )
            return HttpAnswer(response.status_code, bytes(body), headers)

    def _failure(self, job: Job, error: Exception) -> HttpResult | None:
        if job.abandoned:
            return None
        causes = list(_causes(error))
        tls = self._settings.base_url.startswith("https:")
        kind = _kind(causes, job, tls=tls, proxy=bool(self._proxy))
        root = causes[-1]
        # The words of a parser's error may quote the answer, so its name must do.
        words = "" if isinstance(root, http.client.HTTPException) else f": {root}"
        return HttpFailure(kind, job.sent, f"requests {type(root).__name__}{words}")


def _chunks(raw: Any) -> Iterator[bytes]:
    while chunk := raw.read(_CHUNK, decode_content=False):
        yield chunk


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, then what is wrapped in it, innermost last; requests wraps as an argument."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        wrapped = [getattr(current, "reason", None), *reversed(current.args)]
        inner = [each for each in wrapped if isinstance(each, BaseException)]
        current = inner[0] if inner else current.__cause__


def _kind(causes: list[BaseException], job: Job, *, tls: bool, proxy: bool) -> FailureKind:
    def among(*types: type[BaseException]) -> bool:
        return any(isinstance(cause, types) for cause in causes)

    if job.sent:
        if among(requests.Timeout, urllib3.exceptions.TimeoutError, TimeoutError):
            return FailureKind.TIMEOUT
        if among(ConnectionError, ssl.SSLError, http.client.IncompleteRead):
            return FailureKind.CUT
        return FailureKind.PROTOCOL
    if proxy and among(requests.exceptions.ProxyError, urllib3.exceptions.ProxyError):
        return FailureKind.PROXY
    if proxy and not job.connected:
        return FailureKind.PROXY
    if among(urllib3.exceptions.NameResolutionError):
        return FailureKind.DNS
    if among(ssl.SSLError) or (tls and job.connected and not among(TimeoutError)):
        return FailureKind.TLS
    return FailureKind.CONNECT


def _split_proxy(proxy: str) -> tuple[str, str]:
    """The proxy's URL without, and its credentials as user:password."""
    if not proxy:
        return "", ""
    parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    host = parts.netloc.rpartition("@")[2]
    credentials = ""
    if parts.username:
        credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return urlunsplit((parts.scheme, host, "", "", "")), credentials
