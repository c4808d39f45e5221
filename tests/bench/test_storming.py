"""A storm of binds: its pace, its addresses, and what becomes of it."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from bench import storming
from bench.storming import Storm, sources
from bench.submits import HEADER

BIND_RESP = 0x80000009


class Listener:
    """Reads one bind of each connection, and does with it as told."""

    def __init__(self, answer: Callable[[int], bytes]) -> None:
        self.peers: list[str] = []
        self.binds: list[bytes] = []
        self.enough = threading.Semaphore(0)
        self._answer = answer
        self._held: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address: tuple[str, int] = self._listener.getsockname()
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, (host, _) = self._listener.accept()
            except OSError:
                return
            self.peers.append(host)
            with contextlib.suppress(ConnectionResetError):  # given up meanwhile
                self.binds.append(sock.recv(4096))
            octets = self._answer(len(self.peers))
            if octets == b"hold":
                self._held.append(sock)
            else:
                sock.sendall(octets)
                sock.close()
            self.enough.release()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)
        for sock in self._held:
            sock.close()


@contextmanager
def listening(answer: Callable[[int], bytes]) -> Iterator[Listener]:
    listener = Listener(answer)
    try:
        yield listener
    finally:
        listener.close()


def refused(_: int) -> bytes:
    return HEADER.pack(17, BIND_RESP, 0x0E, 1) + b"\0"


def storm(listener: Listener, binds: int, addresses: int = 1, rate: float = 500) -> Any:
    """Storm until so many binds were read; give the counts."""
    running = Storm(listener.address, rate, sources("127.0.0.2", addresses), "bench")
    read, write = os.pipe()
    thread = threading.Thread(target=running.run, args=(read,))
    thread.start()
    for _ in range(binds):
        assert listener.enough.acquire(timeout=5)
    os.close(write)
    thread.join(5)
    os.close(read)
    counts = running.count()
    running.close()
    return counts


def test_each_bind_is_wrong_and_its_answer_is_counted() -> None:
    with listening(refused) as listener:
        counts = storm(listener, 20)
    assert counts["status"].keys() == {"0x0E"}
    assert counts["begun"] == sum(counts["status"].values()) + counts["open"]
    assert set(listener.peers) == {"127.0.0.2"}
    names = {bind[16:].split(b"\0")[0] for bind in listener.binds}
    assert b"bench" in names
    assert any(name.startswith(b"nobody") for name in names)
    assert {bind[16:].split(b"\0")[1] for bind in listener.binds} == {b"Wrong-Pw"}


def test_addresses_come_in_turn() -> None:
    assert [*itertools.islice(sources("127.0.0.255", 3), 4)] == [
        *("127.0.0.255", "127.0.1.0", "127.0.1.1", "127.0.0.255")
    ]
    with listening(refused) as listener:
        storm(listener, 12, addresses=3)
    assert set(listener.peers) == {"127.0.0.2", "127.0.0.3", "127.0.0.4"}


def test_a_connection_closed_without_an_answer_is_told() -> None:
    with listening(lambda n: b"") as listener:
        counts = storm(listener, 10)
    assert counts["closed"] >= 9
    assert counts["status"] == {}


def test_binds_that_nobody_answers_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storming, "PATIENCE", 0.02)
    monkeypatch.setattr(storming, "MOST", 5)
    with listening(lambda n: b"hold") as listener:
        counts = storm(listener, 10)
    assert counts["given_up"] >= 5
    assert counts["open"] <= 5
    assert counts["held"] > 0, "no more than so many at once"


def test_the_pace_does_not_wait_for_answers() -> None:
    with listening(lambda n: b"hold") as listener:
        counts = storm(listener, 50, rate=1_000)
    assert counts["begun"] / counts["seconds"] == pytest.approx(1_000, rel=0.5)
