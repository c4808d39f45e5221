"""A local HTTPS stand-in of the API that costs a few microseconds a request.

TLS over memory buffers on one epoll loop; HTTP/2 and HTTP/1.1 by ALPN (`bench.answers`).
The first line on standard output is `{"port": ..., "ca_file": ...}`. Then every line read
from standard input is a command, answered by one JSON line:

- `count`: requests answered so far, how many wait, how many waited at most, connections
  opened and this process's CPU seconds; with `--limit` the messages accepted and the requests
  refused with 429 as well;
- `latency MS`: hold every answer that long from now on.

The end of standard input ends the process, so it never outlives the bench.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import resource
import select
import socket
import ssl
import sys
import time
from pathlib import Path

from bench import certificate
from bench.answers import Http1, Http2, ProtocolError, Side
from bench.bulk_answers import BulkHttp2, Limit

READ = 262_144
READABLE, WRITABLE = select.EPOLLIN, select.EPOLLIN | select.EPOLLOUT


class Connection:
    """One client's TLS connection."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, limit: Limit | None) -> None:
        self.socket = sock
        self.closed = False
        self.blocked = False
        self.waiting = 0
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._side: Side | None = None
        self._unsent = b""
        self._limit = limit

    def read(self) -> list[int]:
        """Take what arrived; give the tokens of complete requests.

        Raises ConnectionError at the end of the connection, ssl.SSLError and ProtocolError
        for a peer that cannot be served.
        """
        data = self.socket.recv(READ)
        if not data:
            raise ConnectionResetError("closed by the client")
        self._incoming.write(data)
        if self._side is None:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self.send()
                return []
            if self._tls.selected_alpn_protocol() != "h2":
                self._side = Http1()
            else:
                self._side = BulkHttp2(self._limit) if self._limit else Http2()
        plain = []
        while self._incoming.pending or self._tls.pending():
            try:
                chunk = self._tls.read(READ)
            except ssl.SSLWantReadError:
                break
            if not chunk:
                raise ConnectionResetError("closed by the client")
            plain.append(chunk)
        control, tokens = self._side.feed(b"".join(plain))
        if control:
            self._encrypt(control)
        if control or self._outgoing.pending:
            self.send()
        return tokens

    def answer(self, tokens: list[int]) -> None:
        assert self._side is not None, "an answer follows a request"
        data = self._side.answer(tokens)
        if data:
            self._encrypt(data)
            self.send()

    def _encrypt(self, data: bytes) -> None:
        sent = self._tls.write(data)
        while sent < len(data):
            sent += self._tls.write(data[sent:])

    def send(self) -> None:
        """Write what is encrypted; `blocked` says whether some is left for later."""
        data = self._unsent + self._outgoing.read()
        try:
            sent = self.socket.send(data)
        except BlockingIOError:
            sent = 0
        self._unsent = data[sent:]
        self.blocked = bool(self._unsent)


class Upstream:
    """The listener, its connections and the answers that wait for their time."""

    def __init__(
        self,
        listener: socket.socket,
        context: ssl.SSLContext,
        latency: float,
        limit: Limit | None = None,
    ) -> None:
        self._limit = limit
        self.latency = latency  # seconds
        self.answered = 0
        self.opened = 0
        self._waiting = 0
        self._waiting_most = 0
        self._listener = listener
        self._context = context
        self._epoll = select.epoll()
        self._connections: dict[int, Connection] = {}
        self._later: collections.deque[tuple[float, Connection, list[int]]] = collections.deque()
        self._control = b""

    def run(self, commands: int) -> None:
        """Serve until the file descriptor `commands` ends."""
        epoll, listener = self._epoll, self._listener.fileno()
        self._listener.setblocking(False)
        epoll.register(listener, READABLE)
        epoll.register(commands, READABLE)
        while True:
            for descriptor, event in epoll.poll(self._until_next(), 256):
                connection = self._connections.get(descriptor)
                if connection is not None:
                    self._serve(connection, event)
                elif descriptor == listener:
                    self._accept()
                elif descriptor == commands and not self._command(commands):
                    return
            if self._later:
                self._release()

    def _until_next(self) -> float:
        return max(0.0, self._later[0][0] - time.monotonic()) if self._later else -1

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except BlockingIOError:
            return
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.opened += 1
        self._connections[sock.fileno()] = Connection(sock, self._context, self._limit)
        self._epoll.register(sock.fileno(), READABLE)

    def _serve(self, connection: Connection, event: int) -> None:
        try:
            if event & select.EPOLLOUT:
                connection.send()
                self._watch(connection)
            if event & ~select.EPOLLOUT:
                tokens = connection.read()
                if tokens:
                    if self.latency:
                        self._hold(connection, tokens)
                    else:
                        connection.answer(tokens)
                        self.answered += len(tokens)
                if connection.blocked:
                    self._watch(connection)
        except BlockingIOError:
            return
        except (ConnectionError, ssl.SSLError, ProtocolError):
            self._drop(connection)

    def _hold(self, connection: Connection, tokens: list[int]) -> None:
        self._later.append((time.monotonic() + self.latency, connection, tokens))
        self._waiting += len(tokens)
        self._waiting_most = max(self._waiting_most, self._waiting)

    def _release(self) -> None:
        now = time.monotonic()
        while self._later and self._later[0][0] <= now:
            _, connection, tokens = self._later.popleft()
            self._waiting -= len(tokens)
            if connection.closed:
                continue
            try:
                connection.answer(tokens)
            except (ConnectionError, ssl.SSLError):
                self._drop(connection)
                continue
            self.answered += len(tokens)
            if connection.blocked:
                self._watch(connection)

    def _watch(self, connection: Connection) -> None:
        self._epoll.modify(connection.socket, WRITABLE if connection.blocked else READABLE)

    def _drop(self, connection: Connection) -> None:
        connection.closed = True
        del self._connections[connection.socket.fileno()]
        self._epoll.unregister(connection.socket)
        connection.socket.close()

    def _command(self, descriptor: int) -> bool:
        data = os.read(descriptor, 4096)
        *lines, self._control = (self._control + data).split(b"\n")
        for line in lines:
            match line.split():
                case [b"count"]:
                    usage = resource.getrusage(resource.RUSAGE_SELF)
                    report = {
                        "answered": self.answered,
                        "waiting": self._waiting,
                        "waiting_most": self._waiting_most,
                        "connections": self.opened,
                        "cpu": usage.ru_utime + usage.ru_stime,
                    }
                    if self._limit:
                        report["messages"] = self._limit.messages
                        report["refused"] = self._limit.refused
                case [b"latency", milliseconds]:
                    self.latency = float(milliseconds) / 1000
                    self._waiting_most = self._waiting
                    report = {"latency": self.latency}
                case _:
                    report = {"error": "commands: count, latency MS"}  # type: ignore[dict-item]
            print(json.dumps(report), flush=True)
        return bool(data)


def main() -> None:
    parser = argparse.ArgumentParser(description="local HTTPS stand-in of the API")
    parser.add_argument("--folder", type=Path, required=True, help="where ca.pem is written")
    parser.add_argument("--latency", type=float, default=0.0, help="milliseconds an answer waits")
    parser.add_argument("--limit", type=int, help="requests a second; bulk is understood")
    arguments = parser.parse_args()
    ca_file, server_file = certificate.make(arguments.folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server_file)
    context.set_alpn_protocols(["h2", "http/1.1"])
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    print(json.dumps({"port": listener.getsockname()[1], "ca_file": str(ca_file)}), flush=True)
    limit = None if arguments.limit is None else Limit(arguments.limit)
    Upstream(listener, context, arguments.latency / 1000, limit).run(sys.stdin.fileno())


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
