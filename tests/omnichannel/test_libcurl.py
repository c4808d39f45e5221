"""What is the libcurl engine's own: sharing connections, refused streams, options, teardown."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pycurl
import pytest
from twisted.internet.defer import Deferred

from gateway.omnichannel.libcurl import LibcurlTransport
from gateway.omnichannel.transport import (
    FailureKind,
    HttpAnswer,
    HttpFailure,
    HttpResult,
    TransportSettings,
)
from tests.omnichannel.certificates import Authority
from tests.omnichannel.engines import BODY, Client, Engine
from tests.omnichannel.https_server import Answer, Hang, HttpsServer, Refuse, server_context
from tests.reactor_thread import in_reactor, running_reactor

GRACE = 0.25  # seconds that the contract allows beyond the timeout
BOTH = pytest.mark.parametrize("alpn", [("h2",), ("http/1.1",)], ids=["h2", "h1"])
H2 = Engine("libcurl-h2", LibcurlTransport, ("h2", "http/1.1"))


@contextmanager
def running(
    authority: Authority, certificate: str, alpn: tuple[str, ...], **settings: object
) -> Iterator[tuple[HttpsServer, Client]]:
    with HttpsServer(server_context(certificate, alpn)) as server:
        known = TransportSettings(
            server.base_url,
            "gateway/test",
            ca_file=authority.ca_file,
            **settings,  # type: ignore[arg-type]
        )
        client = Client(H2, known)
        try:
            yield server, client
        finally:
            client.close()


def test_http2_shares_one_connection(authority: Authority, certificate: str) -> None:
    with running(authority, certificate, ("h2", "http/1.1")) as (server, client):
        for _ in range(2):
            results = client.posts(*[("/a", 5.0)] * 100)
            assert all(isinstance(result, HttpAnswer) for result, _ in results)
        assert server.connections == 1
        assert len(server.requests) == 200


def test_http2_can_be_switched_off(authority: Authority, certificate: str) -> None:
    with running(authority, certificate, ("h2", "http/1.1"), http2=False) as (server, client):
        assert isinstance(client.post("/a"), HttpAnswer)
        assert ":method" not in server.requests[0].headers


def test_http11_opens_no_more_than_max_connections(authority: Authority, certificate: str) -> None:
    with running(authority, certificate, ("http/1.1",), max_connections=4) as (server, client):
        server.actions["/a"] = Answer(delay=0.01)
        results = client.posts(*[("/a", 5.0)] * 40)
        assert all(isinstance(result, HttpAnswer) for result, _ in results)
        assert server.connections == 4


def test_the_first_request_hangs_on_a_server_without_http2(
    authority: Authority, certificate: str
) -> None:
    with running(authority, certificate, ("http/1.1",)) as (server, client):
        server.actions["/hang"] = Hang()
        (hung, _), *others = client.posts(("/hang", 0.8), *[("/a", 5.0)] * 10)
        assert isinstance(hung, HttpFailure)
        assert all(isinstance(result, HttpAnswer) for result, _ in others)
        assert max(seconds for _, seconds in others) < 0.7


@pytest.mark.parametrize("method", ["post", "get", "delete"])
@pytest.mark.parametrize("reused", [False, True], ids=["fresh", "reused"])
def test_a_refused_stream_is_not_repeated(
    authority: Authority, certificate: str, reused: bool, method: str
) -> None:
    with running(authority, certificate, ("h2",)) as (server, client):
        if reused:
            assert isinstance(client.call(method, "/warm"), HttpAnswer)
        server.actions["/refuse"] = Refuse()
        result = client.call(method, "/refuse")
        assert isinstance(result, HttpFailure)
        assert (result.kind, result.sent) == (FailureKind.CUT, True)
        assert server.seen("/refuse") == 1


def test_headers_are_read_like_a_mapping(authority: Authority, certificate: str) -> None:
    with running(authority, certificate, ("http/1.1",)) as (server, client):
        server.actions["/a"] = Answer(429, b"", [("Retry-After", " 3 "), ("X-A", "b: c")])
        answer = client.post("/a")
        assert isinstance(answer, HttpAnswer)
        assert dict(answer.headers) == {"content-length": "0", "retry-after": "3", "x-a": "b: c"}
        assert len(answer.headers) == 3
        assert "Retry-After" not in answer.headers  # names are in lower case


def test_a_second_request_sees_nothing_of_the_first(authority: Authority, certificate: str) -> None:
    with running(authority, certificate, ("h2",)) as (server, client):
        server.actions["/one"] = Answer(500, b"x" * 1000, [("x-one", "1")])
        server.actions["/two"] = Answer(201, b"{}", [])
        first, second = client.post("/one"), client.post("/two")
        assert isinstance(first, HttpAnswer)
        assert isinstance(second, HttpAnswer)
        assert (second.status, second.body) == (201, b"{}")
        assert "x-one" not in second.headers
        assert (first.body, first.headers["x-one"]) == (b"x" * 1000, "1")


# No more than max_requests at once


@BOTH
def test_what_is_above_max_requests_waits_in_order(
    authority: Authority, certificate: str, alpn: tuple[str, ...]
) -> None:
    with running(authority, certificate, alpn, max_requests=1) as (server, client):
        results = client.posts(*[(f"/{number}", 5.0) for number in range(20)])
        assert all(isinstance(result, HttpAnswer) for result, _ in results)
        assert [each.path for each in server.requests] == [f"/v1/{each}" for each in range(20)]


@BOTH
def test_a_place_is_taken_as_soon_as_it_is_free(
    authority: Authority, certificate: str, alpn: tuple[str, ...]
) -> None:
    with running(authority, certificate, alpn, max_requests=5) as (server, client):
        server.actions["/a"] = Answer(delay=0.1)
        results = client.posts(*[("/a", 5.0)] * 15)
        assert all(isinstance(result, HttpAnswer) for result, _ in results)
        assert 0.3 <= max(seconds for _, seconds in results) < 0.6


@BOTH
def test_the_time_counts_while_a_request_waits(
    authority: Authority, certificate: str, alpn: tuple[str, ...]
) -> None:
    with running(authority, certificate, alpn, max_requests=2) as (server, client):
        server.actions["/hang"] = Hang()
        calls = [("/hang", 0.6), ("/hang", 0.6), ("/waits", 0.3), ("/hang", 0.9), ("/next", 3.0)]
        results = client.posts(*calls)
        failures = [result for result, _ in results[:4]]
        assert all(isinstance(each, HttpFailure) for each in failures)
        kinds = [(each.kind, each.sent) for each in failures if isinstance(each, HttpFailure)]
        late, never = (FailureKind.TIMEOUT, True), (FailureKind.TIMEOUT, False)
        assert kinds == [late, late, never, late]
        for (_, timeout), (_, seconds) in zip(calls[:4], results, strict=False):
            assert timeout - 0.02 < seconds < timeout + GRACE
        assert isinstance(results[4][0], HttpAnswer)
        assert server.seen("/waits") == 0


@BOTH
def test_close_ends_what_waits(
    authority: Authority, certificate: str, alpn: tuple[str, ...]
) -> None:
    with running(authority, certificate, alpn, max_requests=2) as (server, client):
        server.actions["/hang"] = Hang()
        pending = in_reactor(
            lambda: [[client.start("post", "/hang", BODY, 9.0) for _ in range(5)]]
        )[0]
        until(lambda: server.seen("/hang") == 2)
        client.close()
        ends = [in_reactor(lambda each=each: each) for each in pending]
        assert [(end.kind, end.sent) for end in ends] == [
            (FailureKind.CLOSED, number < 2) for number in range(5)
        ]
        calls = in_reactor(lambda: list(running_reactor().getDelayedCalls()))
        assert not [call for call in calls if "omnichannel" in repr(call.func)]


def test_the_first_requests_do_not_open_a_connection_each(
    authority: Authority, certificate: str
) -> None:
    with running(authority, certificate, ("h2",)) as (server, client):
        server.max_streams = 128  # nginx's
        server.actions["/a"] = Answer(delay=0.05)
        results = client.posts(*[("/a", 9.0)] * 500)
        assert all(isinstance(result, HttpAnswer) for result, _ in results)
        assert server.connections <= 4


# A connection is given up in time


def post_many(client: Client, total: int, at_once: int) -> Counter[object]:
    """POST to /0, /1, ... with so many in flight; count statuses and (kind, sent)."""
    ends: Counter[object] = Counter()

    def run() -> Deferred[None]:
        done: Deferred[None] = Deferred()
        numbers = iter(range(total))

        def post() -> None:
            if (number := next(numbers, None)) is not None:
                client.start("post", f"/{number}", BODY, 9.0).addCallback(end)

        def end(result: HttpResult) -> None:
            if isinstance(result, HttpAnswer):
                ends[result.status] += 1
            else:
                ends[result.kind, result.sent] += 1
            if ends.total() == total:
                done.callback(None)
            post()

        for _ in range(at_once):
            post()
        return done

    in_reactor(run)
    return ends


def test_a_server_that_goes_away_after_so_many_requests(
    authority: Authority, certificate: str
) -> None:
    with running(authority, certificate, ("h2",), max_connection_requests=18) as (server, client):
        server.keepalive_requests = 20
        for number in range(0, 2000, 50):  # these are on old connections while others go away
            server.actions[f"/{number}"] = Answer(delay=0.1)
        assert post_many(client, 2000, 60) == {201: 2000}
        assert set(Counter(each.path for each in server.requests).values()) == {1}
        assert len(server.requests) == 2000
        assert 2000 / 20 <= server.connections <= 2000 / 18 + 10
        assert max(Counter(each.connection for each in server.requests).values()) <= 18
        until(lambda: connections_to(server.port) <= 1)  # none of the old ones is left


def test_why_connections_are_given_up(authority: Authority, certificate: str) -> None:
    """What the setting is for: libcurl does not tell that the server left them alone."""
    with running(authority, certificate, ("h2",), max_connection_requests=0) as (server, client):
        server.keepalive_requests = 20
        ends = post_many(client, 200, 60)
        assert ends.keys() == {201, (FailureKind.CUT, True)}


def test_http11_connections_are_kept(authority: Authority, certificate: str) -> None:
    with running(authority, certificate, ("http/1.1",), max_connection_requests=5) as (
        server,
        client,
    ):
        assert post_many(client, 100, 4) == {201: 100}
        assert server.connections <= 4


def test_a_busy_connection_grows_old_too(authority: Authority, certificate: str) -> None:
    with running(authority, certificate, ("h2",), max_connection_age=1) as (server, client):
        server.actions["/slow"] = Answer(delay=1.4)
        assert isinstance(client.post("/a"), HttpAnswer)
        slow = in_reactor(lambda: [client.start("post", "/slow", BODY, 9.0)])[0]
        ends = time.monotonic() + 1.2
        while time.monotonic() < ends:
            assert isinstance(client.post("/a"), HttpAnswer)
            time.sleep(0.05)
        assert server.connections == 2
        assert isinstance(in_reactor(lambda: slow), HttpAnswer)


# Descriptors run out

# A process of its own, because a limit is one for all threads. The gaps below the highest
# descriptor are filled, so that exactly `spare` more can be opened, on a fresh engine and on
# one that has an idle connection.
WITHOUT_DESCRIPTORS = """
import json, os, resource, sys
from twisted.internet import reactor
from twisted.internet.defer import gatherResults, inlineCallbacks
from gateway.omnichannel.libcurl import LibcurlTransport
from gateway.omnichannel.transport import TransportSettings

BASE_URL, CA_FILE, HTTP2 = sys.argv[1:]
SETTINGS = TransportSettings(BASE_URL, "t", ca_file=CA_FILE, http2=HTTP2 == "h2")
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

def posts(transport, number, path, timeout):
    return gatherResults(
        [transport.post(path, b"{}", authorization="x", timeout=timeout) for _ in range(number)]
    )

def words(results):
    return [getattr(r, "status", None) or [r.kind.value, r.sent] for r in results]

@inlineCallbacks
def trial(spare, warm):
    transport = LibcurlTransport(reactor, SETTINGS)
    if warm:
        yield posts(transport, 1, "/warm", 5)
    top = max(map(int, os.listdir("/proc/self/fd")))
    held = [os.dup(0)]
    while held[-1] < top:
        held.append(os.dup(0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (held[-1] + 1 + spare, hard))
    began = reactor.seconds()
    try:
        during = yield posts(transport, 3, "/during", 0.5)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    seconds = reactor.seconds() - began
    for fd in held:
        os.close(fd)
    after = yield posts(transport, 3, "/after", 5)
    yield transport.close()
    return [words(during), words(after), seconds]

@inlineCallbacks
def main():
    try:
        for spare in range(7):
            for warm in (False, True):
                print(json.dumps((yield trial(spare, warm))), flush=True)
    finally:
        reactor.stop()

reactor.callWhenRunning(main)
reactor.run()
"""


@BOTH
def test_every_request_ends_while_no_descriptor_is_free(
    authority: Authority, certificate: str, alpn: tuple[str, ...]
) -> None:
    with HttpsServer(server_context(certificate, alpn)) as server:
        command = [sys.executable, "-c", WITHOUT_DESCRIPTORS]
        done = subprocess.run(
            [*command, server.base_url, authority.ca_file, alpn[0]],
            capture_output=True,
            text=True,
            timeout=30,
        )
    assert done.stderr == ""
    trials = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(trials) == 14
    for during, after, seconds in trials:
        assert after == [201] * 3  # the engine works again
        assert seconds < 0.5 + GRACE
        assert len(during) == 3
        assert all(end == 201 or end[1] is False for end in during)  # (kind, sent)
    assert 201 not in trials[0][0]
    assert trials[-1][0] == [201] * 3


def test_a_request_that_libcurl_does_not_take_is_answered(
    authority: Authority, certificate: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_curl: pycurl.Curl) -> None:
        raise pycurl.error(pycurl.E_MULTI_OUT_OF_MEMORY, "no memory")

    with running(authority, certificate, ("h2",), max_requests=1) as (server, client):
        with monkeypatch.context() as patch:
            patch.setattr(client.transport, "_add", full)
            for _ in range(2):
                result = client.post("/full")
                assert isinstance(result, HttpFailure)
                assert (result.kind, result.sent) == (FailureKind.CONNECT, False)
                assert "no memory" in result.detail
        assert isinstance(client.post("/a"), HttpAnswer)
        assert server.seen("/full") == 0


def until(condition: Callable[[], bool], seconds: float = 3.0) -> None:
    """Wait for it, and fail when it does not come."""
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.01)


def test_the_options_of_a_connection(authority: Authority, certificate: str) -> None:
    with running(authority, certificate, ("h2",)) as (server, client):
        assert isinstance(client.post("/a"), HttpAnswer)
        (sock,) = connected_to(server.port)
        with sock:
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 20_000
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


def connections_to(port: int) -> int:
    found = connected_to(port)
    for sock in found:
        sock.close()
    return len(found)


def connected_to(port: int) -> list[socket.socket]:
    """Duplicates of this process's client sockets to `port`."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            sock = socket.socket(fileno=os.dup(int(name)))
        except OSError:  # not a socket, or the descriptor of this very listing
            continue
        try:
            if sock.getpeername()[1] == port:
                found.append(sock)
                continue
        except (OSError, IndexError):  # not connected, or not of an internet family
            pass
        sock.close()
    return found
