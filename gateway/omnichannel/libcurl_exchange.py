"""One transfer of libcurl: a Curl handle, its options, its callbacks, what its end means.

Rules that the options serve:

- *One request, one attempt.* libcurl repeats a request by itself when a reused connection
  dies before an answer, or when an HTTP/2 server refuses the stream. A body that is read
  through READFUNCTION and cannot be rewound stops that for a POST, and `Exchange.attempt`
  stops it for every method: libcurl calls it (PREREQFUNCTION) before the first octet of a
  request goes out, and the second call is refused.
- *`sent` is known, not guessed.* The same call is the evidence: as long as it has not come, no
  octet of the request has been handed to a connection.
- *Nothing is sent on a connection that is known to have ended*: that is seen in the same call,
  which refuses it, and the request goes out on another one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pycurl
from twisted.internet.defer import Deferred

from gateway.omnichannel.libcurl_options import Pool, options, secrets
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

_TIMEOUT_STEP = 5  # milliseconds
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
    """One Curl handle and what it carries now; used again for the next request of its method.

    Its `pool` says which connections have ended; `refused` is the local port of the one that it
    was about to use, 0 for none.
    """

    __slots__ = (
        "attempts", "authorization", "chunks", "curl", "deferred", "ended", "getinfo", "length",
        "lines", "method", "path", "patient", "pool", "refused", "room", "sending", "setopt",
        "settings", "timeout",
    )  # fmt: skip

    def __init__(self, method: str, settings: TransportSettings, pool: Pool) -> None:
        self.curl = curl = pycurl.Curl()
        self.setopt, self.getinfo = curl.setopt, curl.getinfo
        self.method = method
        self.settings = settings
        self.path = self.authorization = ""  # as the handle has them now, like `timeout`
        self.timeout = self.length = 0  # milliseconds, octets
        self.patient = False
        self.sending = b""
        self.attempts = 0
        self.refused = 0
        self.room = settings.max_answer_octets
        self.lines: list[bytes] = []
        self.chunks: list[bytes] = []
        self.deferred: Deferred[HttpResult] = Deferred()
        for option, value in options(settings):
            curl.setopt(option, value)
        curl.setopt(pycurl.SHARE, pool.share)
        self.pool, self.ended = pool, pool.ended
        curl.setopt(pycurl.PREREQFUNCTION, self.attempt)
        curl.setopt(pycurl.WRITEFUNCTION, self.write)
        curl.setopt(pycurl.HEADERFUNCTION, self.lines.append)
        if method == "POST":
            curl.setopt(pycurl.POST, 1)
            curl.setopt(pycurl.POSTFIELDSIZE, 0)
            curl.setopt(pycurl.READFUNCTION, self.read)
        elif method == "DELETE":
            curl.setopt(pycurl.CUSTOMREQUEST, "DELETE")

    def join(self, pool: Pool) -> None:
        """Use the connections of this pool from now on. Not while a transfer is under way."""
        if self.pool is not pool:
            self.curl.unsetopt(pycurl.SHARE)
            self.setopt(pycurl.SHARE, pool.share)
            self.pool, self.ended = pool, pool.ended

    def wait_for_connection(self, patient: bool) -> None:
        """Whether to wait for a connection that is being set up, as it may take many streams."""
        self.setopt(pycurl.PIPEWAIT, int(patient))
        self.patient = patient

    def load(
        self,
        path: str,
        body: bytes,
        authorization: str,
        timeout: float,
        deferred: Deferred[HttpResult],
    ) -> None:
        """Make the handle ready for one request; only what differs from its last one costs."""
        if self.path != path:
            self.setopt(pycurl.URL, self.settings.base_url + path)
            self.path = path
        if self.authorization != authorization:
            self.setopt(pycurl.HTTPHEADER, [f"Authorization: {authorization}", *_HEADER_LINES])
            self.authorization = authorization
        # In steps, because callers that mean the same time differ by the odd millisecond.
        milliseconds = (int(timeout * 1000) // _TIMEOUT_STEP + 1) * _TIMEOUT_STEP
        if self.timeout != milliseconds:
            self.setopt(pycurl.TIMEOUT_MS, milliseconds)
            self.timeout = milliseconds
        if self.length != len(body):
            self.setopt(pycurl.POSTFIELDSIZE, len(body))
            self.length = len(body)
        self.sending = body
        self.attempts = 0
        self.refused = 0
        self.deferred = deferred

    def answer(self) -> HttpAnswer:
        """What was read, after libcurl reported success."""
        return HttpAnswer(
            self.getinfo(pycurl.RESPONSE_CODE), b"".join(self.chunks), _Headers(self.lines[:])
        )

    @property
    def multiplexed(self) -> bool:
        """Whether the answer came over HTTP/2."""
        version: int = self.getinfo(pycurl.INFO_HTTP_VERSION)
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
        elif code == pycurl.E_SEND_FAIL_REWIND:
            message = "the connection ended before an answer came"
        elif not sent and settings.proxy and kind is not FailureKind.TLS:
            kind = FailureKind.TIMEOUT if self._whole_time_used(code) else FailureKind.PROXY
        elif not sent and code == pycurl.E_OPERATION_TIMEDOUT and not self._whole_time_used(code):
            kind = FailureKind.CONNECT  # connect_timeout
        for secret in secrets(settings.proxy):
            message = message.replace(secret, "***")
        return HttpFailure(kind, sent, f"libcurl {code}: {message}")

    def _whole_time_used(self, code: int) -> bool:
        spent = self.getinfo(pycurl.TOTAL_TIME) * 1000
        return code == pycurl.E_OPERATION_TIMEDOUT and spent >= self.timeout - 1

    def resume(self, code: int, message: str) -> bool:
        """Whether it ended with nothing begun, and is ready to be added again.

        Either it was about to use a connection that has ended. Or it had waited for a free one
        for connect_timeout, which libcurl counts as connecting. What it has left of its time is
        set.
        """
        if self.attempts:
            return False
        if not (self.refused or self._waited_for_a_place(code, message)):
            return False
        left = self.timeout - int(self.getinfo(pycurl.TOTAL_TIME) * 1000)
        if left <= 1:
            return False
        self.setopt(pycurl.TIMEOUT_MS, left)
        self.timeout = left
        return True

    def _waited_for_a_place(self, code: int, message: str) -> bool:
        return (
            code == pycurl.E_OPERATION_TIMEDOUT
            and not self.getinfo(pycurl.NAMELOOKUP_TIME)
            and not message.startswith("Resolving")
        )

    def unload(self) -> None:
        """Forget the request and its answer; the handle keeps its options."""
        self.lines.clear()
        self.chunks.clear()
        self.sending = b""
        self.room = self.settings.max_answer_octets

    # libcurl calls these

    def attempt(self, _peer: str, _local: str, _peer_port: int, local_port: int) -> int:
        """PREREQFUNCTION: a connection is ready and the request would be sent now."""
        if local_port in self.ended:
            self.refused = local_port
            return pycurl.PREREQFUNC_ABORT
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
