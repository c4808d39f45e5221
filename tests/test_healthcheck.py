"""The probe against real listeners."""

from __future__ import annotations

import socket
import threading

import pytest

from gateway.healthcheck import probe


@pytest.mark.parametrize(
    ("answer", "healthy", "line"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n", True, "200 ok"),
        (b"HTTP/1.1 503 No\r\nContent-Length: 8\r\n\r\ndraining", False, "503 draining"),
        (b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", False, "302"),
        (b"SSH-2.0-OpenSSH\r\n", False, ""),
        (b"", False, ""),
    ],
)
def test_answers(answer: bytes, healthy: bool, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        found = probe(f"http://127.0.0.1:{server.getsockname()[1]}/readyz", 2)
        thread.join()
    assert found[0] is healthy
    assert "\n" not in found[1]
    if line:
        assert found[1] == line


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        assert probe(url, 0.1) == (False, f"{url}: no answer in 0.1 s")
    assert probe(url, 1) == (False, f"{url}: Connection refused")
    assert probe("readyz", 1)[0] is False
    assert probe("http://127.0.0.1:99999/", 1)[0] is False
