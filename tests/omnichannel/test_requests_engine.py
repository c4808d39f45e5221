"""What is the requests engine's own: its threads, and sockets that are closed at the deadline."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from gateway.omnichannel.requests_engine import RequestsTransport
from gateway.omnichannel.transport import FailureKind, HttpAnswer, HttpFailure, TransportSettings
from tests.omnichannel.certificates import Authority
from tests.omnichannel.engines import Client, Engine
from tests.omnichannel.https_server import Answer, Hang, HttpsServer, server_context

ENGINE = Engine("requests", RequestsTransport, ("http/1.1",))


@pytest.fixture
def server(certificate: str) -> Iterator[HttpsServer]:
    with HttpsServer(server_context(certificate, ("http/1.1",))) as running:
        yield running


def opened(server: HttpsServer, authority: Authority, max_connections: int) -> Client:
    return Client(
        ENGINE,
        TransportSettings(
            server.base_url, "t", ca_file=authority.ca_file, max_connections=max_connections
        ),
    )


def threads() -> int:
    return sum(thread.name == "requests" for thread in threading.enumerate())


def until(reached: object, seconds: float = 3) -> None:
    assert callable(reached)
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end, "not reached"
        time.sleep(0.01)


def test_threads_are_no_more_than_needed_and_end(server: HttpsServer, authority: Authority) -> None:
    before = threads()
    client = opened(server, authority, 3)
    assert threads() == before
    for _ in range(3):
        client.post("/a")
    assert threads() == before + 1
    server.actions["/slow"] = Answer(delay=0.02)
    client.posts(*[("/slow", 5.0)] * 9)
    assert threads() == before + 3
    client.close()
    until(lambda: threads() == before)


@pytest.mark.parametrize(
    "stuck",
    [Hang(), Answer(drip_head=0.05), Answer(body=b"x" * 1000, drip=0.05)],
    ids=["no answer", "dripping head", "dripping body"],
)
def test_the_deadline_frees_the_thread(
    server: HttpsServer, authority: Authority, stuck: Hang | Answer
) -> None:
    client = opened(server, authority, 1)
    server.actions["/stuck"] = stuck
    (late, _), (result, seconds) = client.posts(("/stuck", 0.3), ("/next", 5))
    assert isinstance(late, HttpFailure)
    assert isinstance(result, HttpAnswer)
    assert seconds < 0.6
    client.close()


def test_a_name_that_never_resolves_is_never_sent_to(
    server: HttpsServer, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve = threading.Event()
    original = socket.getaddrinfo

    def hanging(*args: object, **kwargs: object) -> object:
        resolve.wait(5)
        return original(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", hanging)
    client = opened(server, authority, 1)
    result = client.post("/a", timeout=0.2)
    assert isinstance(result, HttpFailure)
    assert (result.kind, result.sent) == (FailureKind.TIMEOUT, False)
    resolve.set()  # too late: the caller was told that nothing was sent
    assert isinstance(client.post("/b"), HttpAnswer)
    assert server.seen("/a") == 0
    client.close()


def test_an_unusable_request_costs_no_thread(authority: Authority) -> None:
    client = Client(ENGINE, TransportSettings("https://local host/v1", "t", max_connections=1))
    for _ in range(2):  # the second needs the only thread
        result = client.post("/a", timeout=1)
        assert isinstance(result, HttpFailure)
        assert result.kind is not FailureKind.TIMEOUT
        assert not result.sent
    client.close()


def test_every_socket_has_nodelay(
    server: HttpsServer, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    original = socket.socket.connect

    def connect(self: socket.socket, address: object) -> None:
        seen.append(self.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        original(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", connect)
    client = opened(server, authority, 1)
    client.post("/a")
    client.close()
    assert seen
    assert all(seen)


def no_thread_for(monkeypatch: pytest.MonkeyPatch, times: list[int]) -> None:
    """Let the next `times[0]` threads of the engine not start."""
    start = threading.Thread.start

    def refuse(self: threading.Thread) -> None:
        if self.name == "requests" and times[0]:
            times[0] -= 1
            raise RuntimeError("can't start new thread")
        start(self)

    monkeypatch.setattr(threading.Thread, "start", refuse)


def test_a_thread_that_cannot_start_keeps_its_place(
    server: HttpsServer, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = threads()
    client = opened(server, authority, 1)
    no_thread_for(monkeypatch, [3])
    for _ in range(3):
        result = client.post("/refused")
        assert isinstance(result, HttpFailure)
        assert (result.kind, result.sent) == (FailureKind.CONNECT, False)
        assert result.detail == "can't start new thread"
    assert isinstance(client.post("/a"), HttpAnswer)
    assert server.seen("/refused") == 0
    assert threads() == before + 1
    closed_in_time(client, before)


def test_the_other_threads_do_the_work_of_one_that_cannot_start(
    server: HttpsServer, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = threads()
    client = opened(server, authority, 3)
    assert isinstance(client.post("/a"), HttpAnswer)
    server.actions["/slow"] = Answer(delay=0.05)
    no_thread_for(monkeypatch, times := [2])
    results = client.posts(*[("/slow", 5.0)] * 3)
    assert times == [0]
    assert all(isinstance(result, HttpAnswer) for result, _ in results)
    assert threads() == before + 1
    client.posts(*[("/slow", 5.0)] * 9)
    assert threads() == before + 3  # the places were not lost
    closed_in_time(client, before)


def closed_in_time(client: Client, before: int) -> None:
    """A thread that was counted but never ran would be waited for."""
    began = time.monotonic()
    client.close()
    assert time.monotonic() - began < 0.5
    until(lambda: threads() == before)
