"""What is the libcurl engine's own: sharing connections, refused streams, options, teardown."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from gateway.omnichannel.libcurl import LibcurlTransport
from gateway.omnichannel.transport import FailureKind, HttpAnswer, HttpFailure, TransportSettings
from tests.omnichannel.certificates import Authority
from tests.omnichannel.engines import Client, Engine
from tests.omnichannel.https_server import Answer, Hang, HttpsServer, Refuse, server_context

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


def test_the_options_of_a_connection(authority: Authority, certificate: str) -> None:
    with running(authority, certificate, ("h2",)) as (server, client):
        assert isinstance(client.post("/a"), HttpAnswer)
        (sock,) = connected_to(server.port)
        with sock:
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 20_000
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


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
