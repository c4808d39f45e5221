"""Callbacks over real sockets, to an independent server."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.sandbox import callback_client
from gateway.sandbox.callback_client import Callback, CallbackClient
from tests.omnichannel.certificates import Authority
from tests.omnichannel.https_server import Action, Answer, Cut, Hang, Raw, Stage, server_context
from tests.sandbox.receiver import LIMIT, Receiver

SIGNATURE = "0123456789abcdef" * 4
InReactor = Callable[..., Any]


class Trial:
    """A client in the running reactor; `counts` as the sandbox shows them."""

    def __init__(self, reactor: Any, in_reactor: InReactor, **settings: Any) -> None:
        self.counts: Counter[str] = Counter()
        settings = {"timeout": 2.0, "pause": 0.002, **settings}
        self.client: CallbackClient = in_reactor(CallbackClient, reactor, self.counts, **settings)
        self._in_reactor = in_reactor

    def post(self, url: str, body: bytes = b'{"a": 1}') -> threading.Event:
        """Post; what is returned is set once the callback was tried."""
        tried = threading.Event()

        def post() -> None:
            callback = Callback(url, body, SIGNATURE)
            callback.first.addCallback(lambda _: tried.set())
            self.client.post(callback)

        self._in_reactor(post)
        return tried

    def done(self) -> Counter[str]:
        """The counts, when nothing is outstanding any more."""
        deadline = time.monotonic() + LIMIT
        while self.client.outstanding:
            assert time.monotonic() < deadline, self.counts
            time.sleep(0.002)
        return self.counts


@pytest.fixture
def make(running_reactor: Any, in_reactor: InReactor) -> Iterator[Callable[..., Trial]]:
    made: list[Trial] = []

    def trial(**settings: Any) -> Trial:
        made.append(Trial(running_reactor, in_reactor, **settings))
        return made[-1]

    yield trial
    for each in made:
        in_reactor(each.client.close)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver(None) as running:
        yield running


def test_what_is_posted(make: Callable[..., Trial], receiver: Receiver) -> None:
    trial = make()
    assert trial.post(receiver.url).wait(LIMIT)
    assert trial.done() == {"dlr_sent": 1}
    [request] = receiver.requests
    assert (request.method, request.path, request.body) == ("POST", "/dlr/token", b'{"a": 1}')
    assert request.headers["x-messente-signature"] == SIGNATURE
    assert request.headers["content-type"].startswith("application/json")
    assert request.headers["host"] == f"127.0.0.1:{receiver.port}"


@pytest.mark.parametrize("status", [200, 201, 204, 302, 399])
def test_answers_that_accept(make: Callable[..., Trial], receiver: Receiver, status: int) -> None:
    receiver.script = iter([Answer(status, b"", (("location", "/elsewhere"),))])
    trial = make()
    trial.post(receiver.url)
    assert trial.done() == {"dlr_sent": 1}
    assert len(receiver.requests) == 1


@pytest.mark.parametrize(
    "action",
    [
        Answer(400, b"no"),
        Answer(404),
        Answer(503),
        Hang(),
        Cut(Stage.REQUEST_READ),
        Cut(Stage.REQUEST_READ, reset=True),
        Raw(b"SSH-2.0-OpenSSH_9.2\r\n"),
        Answer(200, drip_head=0.05),
    ],
)
def test_what_is_sent_again(make: Callable[..., Trial], receiver: Receiver, action: Action) -> None:
    receiver.script = iter([action, action])
    trial = make(timeout=0.1)
    assert trial.post(receiver.url).wait(LIMIT)
    assert trial.done() == {"dlr_sent": 1, "dlr_retried": 2}
    first, second, third = receiver.requests
    assert first.body == second.body == third.body


def test_given_up_after_five_repetitions_with_growing_pauses(
    make: Callable[..., Trial], receiver: Receiver
) -> None:
    receiver.script = iter([Answer(500)] * 9)
    trial = make(pause=0.004)
    started = time.monotonic()
    trial.post(receiver.url)
    assert trial.done() == {"dlr_retried": 5, "dlr_given_up": 1}
    assert time.monotonic() - started >= 0.004 * (1 + 2 + 4 + 8 + 16)
    assert len(receiver.requests) == 6


def test_nobody_listens(make: Callable[..., Trial]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    trial = make()
    assert trial.post(f"http://127.0.0.1:{port}/dlr").wait(LIMIT)
    assert trial.done() == {"dlr_retried": 5, "dlr_given_up": 1}


@pytest.mark.parametrize(("address", "name"), [("::1", "[::1]"), ("127.0.0.1", "localhost")])
def test_other_ways_to_write_loopback(make: Callable[..., Trial], address: str, name: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family) as listening:
        trial = make()
        trial.post(f"http://{name}:{listening.getsockname()[1]}/dlr")
        connection, _ = listening.accept()
        with connection:
            host = f"Host: {name}:{listening.getsockname()[1]}\r\n"
            assert host.encode() in connection.recv(4096)
            connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
            assert trial.done() == {"dlr_sent": 1}


def test_connections_are_kept(make: Callable[..., Trial], receiver: Receiver) -> None:
    trial = make()
    for _ in range(20):
        assert trial.post(receiver.url).wait(LIMIT)
    assert receiver.connections == 1


def test_no_more_at_once_than_allowed(
    make: Callable[..., Trial], receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callback_client, "AT_ONCE", 3)
    trial = make()
    for _ in range(50):
        trial.post(receiver.url)
    assert trial.done() == {"dlr_sent": 50}
    assert receiver.connections <= 3


def test_a_long_body_is_read_to_its_end(make: Callable[..., Trial], receiver: Receiver) -> None:
    receiver.script = iter([Answer(200, b"x" * 200_000)])
    trial = make()
    assert trial.post(receiver.url).wait(LIMIT)
    assert trial.post(receiver.url).wait(LIMIT)
    assert (trial.done(), receiver.connections) == ({"dlr_sent": 2}, 1)


def test_a_body_that_takes_too_long(make: Callable[..., Trial], receiver: Receiver) -> None:
    receiver.script = iter([Answer(200, b"x" * 9, drip=0.05)])
    trial = make(timeout=0.1)
    trial.post(receiver.url)
    assert trial.done() == {"dlr_sent": 1, "dlr_retried": 1}
    assert receiver.connections == 2


def test_https_with_any_certificate(make: Callable[..., Trial], tmp_path: Path) -> None:
    certificate = Authority(tmp_path).issue("elsewhere.example", expired=True)
    with Receiver(server_context(certificate, ["http/1.1"])) as receiver:
        trial = make()
        trial.post(receiver.url)
        trial.post(receiver.url)
        assert trial.done() == {"dlr_sent": 2}
        assert receiver.handshakes >= 1


def test_close_forgets_what_is_under_way(
    make: Callable[..., Trial], receiver: Receiver, in_reactor: InReactor
) -> None:
    receiver.script = iter([Answer(500), Hang()])
    trial = make(pause=60.0, timeout=60.0)
    assert trial.post(receiver.url).wait(LIMIT)  # waits for its repetition
    hanging = trial.post(receiver.url)
    receiver.got(2)
    in_reactor(trial.client.close)
    assert hanging.wait(LIMIT)
    assert (trial.client.outstanding, trial.counts) == (0, {})
    trial.post(receiver.url)
    time.sleep(0.01)
    assert len(receiver.requests) == 2
