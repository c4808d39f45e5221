"""A tiny HTTP proxy that knows CONNECT, for the transports' contract."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from dataclasses import dataclass, field


@dataclass
class ConnectProxy:
    """Use as a context manager. `heads` keeps the head of every request, as text."""

    status: str = "200 Connection established"
    heads: list[str] = field(default_factory=list)

    def __enter__(self) -> ConnectProxy:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                octets = client.recv(4096)
                if not octets:
                    return
                head += octets
            self.heads.append(head.decode("latin-1"))
            accepted = self.status.startswith("200")
            rest = "\r\n" if accepted else "Content-Length: 0\r\n\r\n"
            client.sendall(f"HTTP/1.1 {self.status}\r\n{rest}".encode())
            if not accepted:
                return
            host, _, port = self.heads[-1].split()[1].rpartition(":")
            with socket.create_connection((host, int(port))) as server:
                _copy(client, server)


def _copy(one: socket.socket, other: socket.socket) -> None:
    peers = {one: other, other: one}
    while True:
        for sock in select.select(list(peers), [], [])[0]:
            octets = sock.recv(65_536)
            if not octets:
                return
            peers[sock].sendall(octets)
