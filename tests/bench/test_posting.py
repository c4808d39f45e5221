"""The client that posts callbacks."""

from __future__ import annotations

import itertools
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from bench.posting import Poster

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
REQUEST = b"POST / HTTP/1.1\r\n\r\n%08d"


@contextmanager
def server(answer: Callable[[int], bytes]) -> Iterator[tuple[tuple[str, int], list[bytes]]]:
    """Answers the n-th request of each connection; b"" closes it instead."""
    listener, seen = socket.create_server(("127.0.0.1", 0)), list[bytes]()

    def serve(sock: socket.socket) -> None:
        with sock:
            for number in itertools.count(1):
                data = sock.recv(65_536)
                if not data:
                    return
                seen.append(data)
                out = answer(number)
                if not out:
                    return
                sock.sendall(out[:20])
                sock.sendall(out[20:])

    def accept() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=serve, args=(sock,), daemon=True).start()

    accepting = threading.Thread(target=accept)
    accepting.start()
    try:
        yield listener.getsockname(), seen
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        accepting.join(5)


def requests() -> Iterator[bytes]:
    return (REQUEST % number for number in itertools.count())


def test_every_request_is_sent_once_and_answered() -> None:
    with server(lambda n: OK) as (address, seen):
        report = Poster(address, 3, requests()).run(0.02, 0.05, 5)
    assert report["sent"] == report["answered"] == len(seen) == len(set(seen)) > 3
    assert report["lost"] == report["cut"] == 0
    assert report["status"] == {"200": report["sent"]}
    assert report["per_second"] > 0
    assert 0 < report["p50_ms"] <= report["p99_ms"]
    assert report["ended"] - report["begun"] == pytest.approx(0.05, abs=0.04)


def test_other_answers_are_told() -> None:
    refusal = OK.replace(b"200", b"503")
    with server(lambda n: refusal if n == 2 else OK) as (address, _):
        report = Poster(address, 2, requests()).run(0.02, 0.05, 5)
    assert report["status"]["503"] == 2


def test_a_connection_that_is_cut_loses_its_request() -> None:
    with server(lambda n: OK if n < 3 else b"") as (address, seen):
        report = Poster(address, 2, requests()).run(0.02, 0.02, 5)
    assert report["cut"] == 2
    assert report["lost"] == 2
    assert len(seen) == report["sent"] == 6
