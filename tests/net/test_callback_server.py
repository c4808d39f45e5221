"""The callback listener over real sockets, with a use case of the test."""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import structlog
from structlog.testing import LogCapture
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from gateway.listeners import Listeners
from gateway.metrics import Metrics
from gateway.net.callback_server import CallbackSite
from gateway.net.http_channel import CLOSING, LINGER
from gateway.net.http_limits import HttpLimits
from gateway.tls import TlsFiles
from tests.omnichannel.certificates import Authority

MAX_BODY = 2048
_TIME = HttpLimits().request_timeout
BODY = b'{"status":"DELIVRD"}'
POST = b"POST /dlr/k1token HTTP/1.1\r\nHost: x\r\n"


class Taker:
    """Keeps what it is handed, and answers what `answer` gives."""

    require_signature = True

    def __init__(self) -> None:
        self.taken: list[tuple[str, bytes, str | None]] = []
        self.answer: Callable[[], Any] = lambda: 200

    def receive(self, token: str, body: bytes, signature: str | None) -> Deferred[int] | int:
        self.taken.append((token, body, signature))
        found: Deferred[int] | int = self.answer()
        return found


class Made:
    """A site on a port of its own."""

    def __init__(self, reactor: Any, in_reactor: Callable[..., Any], **options: Any) -> None:
        self.capture = LogCapture()
        log = structlog.wrap_logger(None, processors=[self.capture]).bind()
        self.taker = Taker()
        self.metrics = Metrics()
        self.in_reactor = in_reactor
        tls = options.pop("tls", None)
        endpoint = options.pop("endpoint", "127.0.0.1:0")
        self.clock = Clock()
        self.site = CallbackSite(
            self.clock, self.taker, self.metrics, log, max_body=MAX_BODY, **options
        )
        self.listeners = Listeners(reactor, log, self.metrics)
        in_reactor(self.listeners.open, "callbacks", endpoint, self.site, tls)
        self.port = self.listeners.port("callbacks")

    @property
    def events(self) -> list[str]:
        return [entry["event"] for entry in self.capture.entries if entry["event"] != "listening"]

    def count(self, result: str) -> float:
        return self.sample("webhooks_total", result=result)

    def sample(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"smppgw_{name}", labels) or 0

    def refused(self, reason: str) -> float:
        return self.sample("connections_refused_total", listener="callbacks", reason=reason)

    @property
    def timeouts(self) -> float:
        return self.sample("connections_dropped_total", listener="callbacks", reason="timeout")

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), 8)

    def talk(self, octets: bytes) -> bytes:
        """All that the site answers until it closes; the last request must ask it to."""
        with self.connect() as client:
            client.sendall(octets)
            return rest(client)

    def ask(
        self,
        method: str = "POST",
        path: str = "/dlr/k1token",
        body: Any = BODY,
        **headers: str,
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=8)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, found, answer.read()
        finally:
            connection.close()

    def wait(self, seconds: float) -> None:
        """Let that much time pass for the site."""
        self.in_reactor(self.clock.advance, seconds)

    def close(self) -> None:
        self.in_reactor(self.listeners.close_all)
        self.in_reactor(self.site.close)


def rest(client: socket.socket) -> bytes:
    found = b""
    while octets := client.recv(65_536):
        found += octets
    return found


def statuses(octets: bytes) -> list[int]:
    return [int(part[:3]) for part in octets.split(b"HTTP/1.1 ")[1:]]


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 8
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


@pytest.fixture
def make(running_reactor: Any, in_reactor: Callable[..., Any]) -> Iterator[Callable[..., Made]]:
    made: list[Made] = []

    def one(**options: Any) -> Made:
        made.append(Made(running_reactor, in_reactor, **options))
        return made[-1]

    yield one
    for each in made:
        each.close()


@pytest.fixture
def site(make: Callable[..., Made]) -> Made:
    return make()


def test_a_report_is_handed_over_as_it_came(site: Made) -> None:
    status, headers, body = site.ask(**{"X-Messente-Signature": "ab" * 32})
    assert (status, body) == (200, b"")
    assert site.taker.taken == [("k1token", BODY, "ab" * 32)]
    assert headers.keys() == {"content-length", "date"}
    assert site.events == []


def test_without_a_signature_none_is_handed_over(site: Made) -> None:
    site.ask(body=None)
    assert site.taker.taken == [("k1token", b"", None)]


@pytest.mark.parametrize("status", [200, 400, 401, 404, 503])
@pytest.mark.parametrize("later", [False, True])
def test_the_status_is_the_use_cases(site: Made, status: int, later: bool) -> None:
    answered: Deferred[int] = Deferred()
    site.taker.answer = lambda: answered if later else status
    if later:
        answered.callback(status)
    found, headers, body = site.ask()
    assert (found, body) == (status, b"")
    assert headers.get("retry-after") == ("5" if status == 503 else None)


def raises() -> int:
    raise KeyError("k1token")


def fails() -> Deferred[int]:
    failed: Deferred[int] = Deferred()
    failed.errback(KeyError("x"))
    return failed


@pytest.mark.parametrize("answer", [raises, fails])
def test_a_fault_of_ours_is_told_and_answered(site: Made, answer: Callable[[], Any]) -> None:
    site.taker.answer = answer
    assert site.ask()[0] == 500
    assert site.events == ["callback_failed"]
    site.taker.answer = lambda: 200
    assert site.ask()[0] == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/dlr/k1token", 405),
        ("HEAD", "/dlr/k1token", 405),
        ("PUT", "/dlr/k1token", 405),
        ("OPTIONS", "/dlr/k1token", 405),
        ("POST", "/", 404),
        ("POST", "/dlr", 404),
        ("POST", "/dlr/", 404),
        ("POST", "/dlr/k1token/", 404),
        ("POST", "/dlr/a/k1token", 404),
        ("POST", "//dlr/k1token", 404),
        ("POST", "/dlr/k1token?x=1", 404),
        ("GET", "/metrics", 404),
    ],
)
def test_everything_else_is_refused(site: Made, method: str, path: str, status: int) -> None:
    found, headers, body = site.ask(method, path)
    assert (found, body) == (status, b"")
    assert headers.get("allow") == ("POST" if status == 405 else None)
    assert site.count("method") == (status == 405)
    assert site.taker.taken == []
    assert site.events == []


def test_the_path_of_the_public_url_may_be_kept_or_taken_off(make: Callable[..., Made]) -> None:
    made = make(path="/hooks/sms")
    assert made.ask(path="/hooks/sms/dlr/k1token")[0] == 200
    assert made.ask(path="/dlr/k1token")[0] == 200
    assert made.ask(path="/hooks/dlr/k1token")[0] == 404


def test_a_form_is_no_form(site: Made) -> None:
    """A body is what was signed, whatever its type says."""
    for kind in ("application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        assert site.ask(body=b"a=1&b=2", **{"Content-Type": kind})[0] == 200
        assert site.taker.taken[-1][1] == b"a=1&b=2"


# Bodies.


def test_a_body_in_chunks(site: Made) -> None:
    assert site.ask(body=iter([b"abc", b"", b"def"]))[0] == 200
    assert site.taker.taken[0][1] == b"abcdef"


def test_the_largest_body(site: Made) -> None:
    assert site.ask(body=b"x" * MAX_BODY)[0] == 200
    assert site.ask(body=iter([b"x" * (MAX_BODY - 1), b"x"]))[0] == 200
    assert [len(body) for _, body, _ in site.taker.taken] == [MAX_BODY] * 2


@pytest.mark.parametrize(
    "body",
    [
        b"x" * (MAX_BODY + 1),
        b"x" * 500_000,
        iter([b"x" * MAX_BODY, b"x"]),
        iter([b"x" * 9000] * 50),
    ],
    ids=["one more", "far more", "one more in chunks", "far more in chunks"],
)
def test_a_body_that_is_too_large(site: Made, body: Any) -> None:
    """Who sends it sees the answer, although it was given before the end."""
    status, headers, _ = site.ask(body=body)
    assert (status, headers["connection"]) == (413, "close")
    assert site.count("too_large") == 1
    assert site.taker.taken == []


@pytest.mark.parametrize(
    "head", [b"Content-Length: 9999999999\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\nfff\r\n"]
)
def test_a_body_that_is_too_large_is_not_waited_for(site: Made, head: bytes) -> None:
    with site.connect() as client:
        client.sendall(POST + head + b"x" * (MAX_BODY + 1))
        assert client.recv(4096).startswith(b"HTTP/1.1 413 ")
        site.wait(LINGER)
        assert rest(client) == b""
    assert site.count("too_large") == 1


def test_a_large_body_is_not_invited(site: Made) -> None:
    invited = POST + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n"
    with site.connect() as client:
        client.sendall(invited % 3)
        assert client.recv(4096).startswith(b"HTTP/1.1 100 ")
        client.sendall(b"abc")
        assert client.recv(4096).startswith(b"HTTP/1.1 200 ")
        client.sendall(invited % (MAX_BODY + 1))
        until(lambda: site.count("too_large") == 1)
        site.wait(LINGER)
        assert statuses(rest(client)) == [413]


@pytest.mark.parametrize(
    "octets",
    [
        b"nonsense\r\n\r\n",
        POST + b"Content-Length: -1\r\n\r\n",
        POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc",
        POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        POST + b"X: x\r\n" * 501 + b"\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: x\r\n" * 20_000,
        POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"0" * 2_000,
    ],
)
def test_what_is_not_http_is_cut_off(site: Made, octets: bytes) -> None:
    assert set(statuses(site.talk(octets))) <= {400}
    assert site.taker.taken == []
    assert site.ask()[0] == 200


# Connections.


def test_a_connection_is_kept(site: Made) -> None:
    with site.connect() as client:
        for number in range(3):
            client.sendall(POST + b"Content-Length: 1\r\n\r\n%d" % number)
            assert client.recv(4096).startswith(b"HTTP/1.1 200 ")
        assert len(site.site.channels) == 1
    until(lambda: not site.site.channels)


def test_requests_one_behind_the_other(site: Made) -> None:
    """Many in one segment, each answered in its turn, the last one closing."""
    some = b"".join(POST + b"Content-Length: 2\r\n\r\n%02d" % number for number in range(99))
    last = POST + b"Connection: close\r\nContent-Length: 2\r\n\r\n99"
    assert statuses(site.talk(some + last)) == [200] * 100
    assert [body for _, body, _ in site.taker.taken] == [b"%02d" % n for n in range(100)]


def test_the_next_request_waits_for_the_answer(site: Made) -> None:
    held: list[Deferred[int]] = []

    def hold() -> Deferred[int]:
        held.append(Deferred())
        return held[-1]

    site.taker.answer = hold
    with site.connect() as client:
        client.sendall((POST + b"Content-Length: 1\r\n\r\n1") * 2)
        until(lambda: len(held) == 1)
        site.in_reactor(held[0].callback, 404)
        assert client.recv(4096).startswith(b"HTTP/1.1 404 ")
        until(lambda: len(held) == 2)
        site.in_reactor(held[1].callback, 200)
        assert client.recv(4096).startswith(b"HTTP/1.1 200 ")


def test_http_1_0(site: Made) -> None:
    answer = site.talk(b"POST /dlr/k1token HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc")
    assert statuses(answer) == [200]
    assert b"\r\nConnection: close\r\n" in answer
    assert site.taker.taken == [("k1token", b"abc", None)]


def test_a_client_that_has_gone(site: Made) -> None:
    """What it said counts; there is only nobody to answer."""
    held: Deferred[int] = Deferred()
    site.taker.answer = lambda: held
    with site.connect() as client:
        client.sendall(POST + b"Content-Length: 1\r\n\r\n1")
        until(lambda: bool(site.taker.taken))
    until(lambda: not site.site.channels)
    site.in_reactor(held.callback, 200)
    assert site.events == []
    site.taker.answer = lambda: 200
    assert site.ask()[0] == 200


@pytest.mark.parametrize(
    "sent", [b"", b"POST /dlr/k1token HT", POST + b"Content-Length: 9\r\n\r\n1"]
)
def test_octets_now_and_then_buy_no_time(site: Made, sent: bytes) -> None:
    with site.connect() as client:
        received = count_of_segments(site)
        client.sendall(sent)
        until(lambda: received() == bool(sent))
        site.wait(_TIME - 1)
        if sent:
            client.sendall(b"1")
            until(lambda: received() == 2)
        site.wait(1)
        assert rest(client) == b""
    assert site.events == []
    assert site.timeouts == (1 if sent else 0), "whoever said nothing was only idle"


def count_of_segments(site: Made) -> Callable[[], int]:
    """How many the only connection got from now on."""
    until(lambda: len(site.site.channels) == 1)
    (channel,) = site.site.channels
    given, seen = channel.dataReceived, [0]

    def counted(data: bytes) -> None:
        seen[0] += 1
        given(data)

    channel.dataReceived = counted  # type: ignore[method-assign]
    return lambda: seen[0]


def test_a_request_has_its_own_time(site: Made) -> None:
    """However long the connection was idle, and from one to the next."""
    with site.connect() as client:
        for _ in range(3):
            received = count_of_segments(site)
            site.wait(_TIME - 1)
            client.sendall(POST)
            until(lambda: received() > 0)  # noqa: B023  it is waited for here
            site.wait(_TIME - 1)
            client.sendall(b"Content-Length: 1\r\n\r\n1")
            assert client.recv(4096).startswith(b"HTTP/1.1 200 ")


def test_an_answer_may_take_longer_than_a_client_may(site: Made) -> None:
    held: Deferred[int] = Deferred()
    site.taker.answer = lambda: held
    with site.connect() as client:
        client.sendall(POST + b"Content-Length: 1\r\n\r\n1")
        until(lambda: bool(site.taker.taken))
        site.wait(10 * _TIME)
        site.in_reactor(held.callback, 200)
        assert client.recv(4096).startswith(b"HTTP/1.1 200 ")


def test_connections_have_a_limit(make: Callable[..., Made]) -> None:
    site = make(limits=HttpLimits(max_connections=2))
    with site.connect(), site.connect():
        until(lambda: len(site.site.channels) == 2)
        for _ in range(2):
            with site.connect() as third:
                assert third.recv(1) == b""
        assert site.events == ["connection_refused"] * 2
        [line, _] = [one for one in site.capture.entries if one["event"] == "connection_refused"]
        assert (line["listener"], line["peer"]) == ("callbacks", "127.0.0.1")
        assert (line["reason"], line["log_level"]) == ("total", "warning")
        assert "callbacks.max_connections" in line["detail"]
        assert site.refused("total") == 2
        site.site.door.limits = HttpLimits(max_connections=3)
        assert site.ask()[0] == 200
    until(lambda: not site.site.channels)
    assert site.ask()[0] == 200


def test_a_stop_lets_what_is_in_hand_finish(site: Made) -> None:
    held: Deferred[int] = Deferred()
    site.taker.answer = lambda: held
    with site.connect() as idle, site.connect() as busy:
        busy.sendall(POST + b"Content-Length: 1\r\n\r\n1")
        until(lambda: bool(site.taker.taken) and len(site.site.channels) == 2)
        site.in_reactor(site.site.close)
        assert rest(idle) == b""
        site.in_reactor(held.callback, 200)
        assert statuses(rest(busy)) == [200]


# Who may call.


@pytest.mark.parametrize(
    ("networks", "allowed"),
    [([], True), (["192.0.2.0/24", "127.0.0.0/8"], True), (["192.0.2.0/24"], False)],
)
def test_the_list_of_addresses(
    make: Callable[..., Made], networks: list[str], allowed: bool
) -> None:
    made = make(limits=HttpLimits(allow=tuple(ip_network(network) for network in networks)))
    for _ in range(2):
        if allowed:
            assert made.ask()[0] == 200
        else:
            with made.connect() as client:
                assert client.recv(1) == b""
    assert made.refused("allow") == (0 if allowed else 2)
    assert made.events == ([] if allowed else ["connection_refused"] * 2)
    assert len(made.taker.taken) == (2 if allowed else 0)


def test_another_list_holds_for_who_comes_next(site: Made) -> None:
    with site.connect() as client:
        until(lambda: len(site.site.channels) == 1)
        site.site.door.limits = HttpLimits(allow=(ip_network("192.0.2.0/24"),))
        client.sendall(POST + b"Content-Length: 1\r\n\r\n1")
        assert client.recv(4096).startswith(b"HTTP/1.1 200 ")
        with site.connect() as other:
            assert other.recv(1) == b""


# What a request may cost.


def header(octets: int) -> bytes:
    """A request without a body whose head has so many octets."""
    start = POST + b"X: "
    return start + b"x" * (octets - len(start) - 4) + b"\r\n\r\n"


def test_the_largest_head(make: Callable[..., Made]) -> None:
    site = make(limits=HttpLimits(max_header=2_000))
    with site.connect() as client:
        for _ in range(3):  # each by itself
            client.sendall(header(2_000))
            assert client.recv(4096).startswith(b"HTTP/1.1 200 ")
    assert site.count("header_too_large") == 0


@pytest.mark.parametrize(
    "octets",
    [
        header(2_001),
        header(50_000),
        POST + b"X: x\r\n" * 400,
        b"POST /dlr/" + b"x" * 3_000 + b" HTTP/1.1\r\n\r\n",
        b"x" * 4_000,
    ],
    ids=["one more", "far more", "many", "the first line", "no line at all"],
)
def test_a_head_that_is_too_large(make: Callable[..., Made], octets: bytes) -> None:
    site = make(limits=HttpLimits(max_header=2_000))
    with site.connect() as client:
        client.sendall(octets)
        answer = client.recv(4096)
        assert statuses(answer) == [431]
        assert b"\r\nConnection: close\r\n" in answer
        client.sendall(b"y" * 5_000)  # read, and forgotten
        site.wait(LINGER)
        assert rest(client) == b""
    assert site.count("header_too_large") == 1
    assert site.timeouts == 0
    assert site.taker.taken == []
    until(lambda: not site.site.channels)
    assert site.ask()[0] == 200


def test_other_limits_hold_for_connections_from_now_on(site: Made) -> None:
    with site.connect() as old:
        until(lambda: len(site.site.channels) == 1)
        site.site.door.limits = HttpLimits(max_header=1_000, request_timeout=5)
        site.site.max_body = 1
        with site.connect() as client:
            client.sendall(POST)
            until(lambda: any(one._asked for one in tuple(site.site.channels)))
            site.wait(5)
            assert rest(client) == b""
        assert site.timeouts == 1
        old.sendall(POST + b"Content-Length: 2\r\n\r\n12")
        assert old.recv(4096).startswith(b"HTTP/1.1 413 ")


def test_thousands_of_requests_in_one_write_are_served_bit_by_bit(site: Made) -> None:
    """What is read at a time bounds how long others wait, and what can be waiting."""
    one = b"POST /x HTTP/1.1\r\n\r\n"
    sizes: list[int] = []
    with site.connect() as client:
        until(lambda: len(site.site.channels) == 1)
        [channel] = site.site.channels
        given = channel.dataReceived

        def noted(data: bytes) -> None:
            sizes.append(len(data))
            given(data)

        channel.dataReceived = noted  # type: ignore[method-assign]
        client.sendall(one * 2_000 + POST + b"Connection: close\r\nContent-Length: 0\r\n\r\n")
        assert statuses(rest(client)) == [404] * 2_000 + [200]
    assert max(sizes) <= 4_096


def test_requests_of_a_client_that_never_reads_are_not_read(site: Made) -> None:
    request = b"POST /x HTTP/1.1\r\n\r\n"
    with site.connect() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        until(lambda: len(site.site.channels) == 1)
        [channel] = site.site.channels
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.sendall(request * 500_000)
        transport: Any = channel.transport
        unsent = len(transport.dataBuffer) + transport._tempDataLen
        assert unsent < 65_536
        site.wait(_TIME)
        site.wait(CLOSING)
        until(lambda: not site.site.channels)


def test_what_comes_while_an_answer_is_awaited_is_kept_up_to_a_bound(site: Made) -> None:
    held: Deferred[int] = Deferred()
    site.taker.answer = lambda: held
    with site.connect() as client:
        client.sendall(POST + b"Content-Length: 1\r\n\r\n1")
        until(lambda: bool(site.taker.taken))
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.sendall(header(1_000) * 20_000)
        [channel] = site.site.channels
        assert sum(map(len, channel._dataBuffer)) <= 16_384 + 4_096
    site.in_reactor(held.callback, 200)


# TLS.


def test_over_tls(make: Callable[..., Made], tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    files = authority.issue()
    made = make(tls=TlsFiles(files, files))
    context = ssl.create_default_context(cafile=authority.ca_file)
    connection = http.client.HTTPSConnection("localhost", made.port, context=context, timeout=8)
    for body in (b"abc", b"def"):
        connection.request("POST", "/dlr/k1token", body)
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (200, b"")
    connection.close()
    assert [body for _, body, _ in made.taker.taken] == [b"abc", b"def"]


def test_tls_1_1_and_http_2_are_not_spoken(make: Callable[..., Made], tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    files = authority.issue()
    made = make(tls=TlsFiles(files, files))
    context = ssl.create_default_context(cafile=authority.ca_file)
    context.set_alpn_protocols(["h2", "http/1.1"])
    with context.wrap_socket(made.connect(), server_hostname="localhost") as client:
        assert client.selected_alpn_protocol() is None
        assert client.version() in {"TLSv1.2", "TLSv1.3"}
        client.sendall(b"POST /dlr/k1token HTTP/1.0\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 200 ")
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        context.wrap_socket(made.connect(), server_hostname="localhost")


def test_a_client_that_never_says_goodbye_over_tls(
    make: Callable[..., Made], tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    files = authority.issue()
    made = make(tls=TlsFiles(files, files))
    context = ssl.create_default_context(cafile=authority.ca_file)
    with context.wrap_socket(made.connect(), server_hostname="localhost") as client:
        client.sendall(b"POST /dlr/k1token HTTP/1.0\r\n\r\n")
        until(lambda: bool(made.taker.taken))
        made.wait(CLOSING)
        until(lambda: not made.site.channels)
