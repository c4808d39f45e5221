"""A scripted HTTPS server for the transports' contract: HTTP/1.1 and HTTP/2 by ALPN, in threads.

Independent of the engines under test: stdlib sockets and ssl, a few lines of HTTP/1.1, and
the `h2` library. What it does with a request is looked up by path in `actions`; every
request that it read as a whole is kept in `requests`.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
import hyperframe.frame

_LINGER_RESET = struct.pack("ii", 1, 0)  # close() sends RST instead of FIN


class Stage(Enum):
    """How far the server goes before it cuts the connection."""

    REQUEST_UNREAD = 1  # octets have arrived, none was read
    REQUEST_READ = 2  # the whole request was read, no octet of an answer sent
    ANSWER_HEAD = 3  # in the middle of the answer's head
    ANSWER_BODY = 4  # in the middle of the answer's body


@dataclass(frozen=True)
class Answer:
    status: int = 201
    body: bytes = b"{}"
    headers: Sequence[tuple[str, str]] = (("content-type", "application/json"),)
    delay: float = 0.0  # seconds before the head
    drip: float = 0.0  # seconds between the octets of the body
    drip_head: float = 0.0  # HTTP/1.1: seconds between the octets of the head
    then_close: bool = False  # close the connection as soon as the answer is out


@dataclass(frozen=True)
class Cut:
    stage: Stage
    reset: bool = False


@dataclass(frozen=True)
class Raw:
    """These octets instead of an answer, then the end."""

    octets: bytes


@dataclass(frozen=True)
class Hang:
    """No answer, ever."""


@dataclass(frozen=True)
class Refuse:
    """HTTP/2: GOAWAY that declares the stream unprocessed, as nginx after keepalive_requests."""


Action = Answer | Cut | Raw | Hang | Refuse


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: int


@dataclass
class HttpsServer:
    """Use as a context manager. `context` None means plain HTTP."""

    context: ssl.SSLContext | None
    actions: dict[str, Action] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    connections: int = 0  # TCP connections accepted
    handshakes: int = 0  # TLS handshakes that succeeded
    cut_unread: Cut | None = None  # what becomes of the next octets on any connection
    stall_handshake: bool = False
    max_streams: int = 1000
    keepalive_requests: int = 0  # HTTP/2: GOAWAY with that request of a connection; 0 = never
    unprocessed: int = 0  # HTTP/2 requests that came after the GOAWAY and were left alone

    def __enter__(self) -> HttpsServer:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port: int = self._listener.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._closing = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in list(self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    @property
    def base_url(self) -> str:
        return f"{'https' if self.context else 'http'}://localhost:{self.port}/v1"

    def seen(self, path: str) -> int:
        """How often a request for `path` was read as a whole."""
        return sum(request.path == f"/v1{path}" for request in self.requests)

    def action(self, request: Request) -> Action:
        self.requests.append(request)
        return self.actions.get(request.path.removeprefix("/v1"), Answer())

    def pause(self, seconds: float) -> None:
        self._closing.wait(seconds)

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(sock, self.connections), daemon=True).start()

    def _serve(self, raw: socket.socket, number: int) -> None:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._open.add(raw)
        sock = raw
        try:
            if self.stall_handshake:
                self._closing.wait()
                return
            if self.context:
                sock = self.context.wrap_socket(raw, server_side=True)
                self._open.discard(raw)
                self._open.add(sock)
                self.handshakes += 1
            speaks_h2 = isinstance(sock, ssl.SSLSocket) and sock.selected_alpn_protocol() == "h2"
            (_Http2 if speaks_h2 else _Http1)(self, sock, number).run()
        except (OSError, _CutNowError, h2.exceptions.ProtocolError):  # the client, a script or
            pass  # the end of the test closed it
        finally:
            self._open.discard(sock)
            sock.close()

    def wait_for_octets(self, sock: socket.socket) -> None:
        """Return when the client has sent something, still unread by us."""
        if isinstance(sock, ssl.SSLSocket) and sock.pending():
            return
        select.select([sock], [], [])
        if self.cut_unread is not None:
            cut(sock, self.cut_unread)


class _CutNowError(Exception):
    pass


def cut(sock: socket.socket, how: Cut) -> None:
    if how.reset:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)
    else:
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
    raise _CutNowError


class _Http1:
    def __init__(self, server: HttpsServer, sock: socket.socket, number: int) -> None:
        self._server, self._sock, self._number = server, sock, number

    def run(self) -> None:
        buffer = b""
        while True:
            while b"\r\n\r\n" not in buffer:
                self._server.wait_for_octets(self._sock)
                octets = self._sock.recv(65_536)
                if not octets:
                    return
                buffer += octets
            head, _, buffer = buffer.partition(b"\r\n\r\n")
            line, *rest = head.decode("latin-1").split("\r\n")
            headers = {
                name.strip().lower(): value.strip()
                for name, _, value in (header.partition(":") for header in rest)
            }
            length = int(headers.get("content-length", "0"))
            while len(buffer) < length:
                buffer += self._sock.recv(65_536)
            body, buffer = buffer[:length], buffer[length:]
            method, path, _ = line.split(" ")
            request = Request(method, path, headers, body, self._number)
            if not self._act(self._server.action(request)):
                return

    def _act(self, action: Action) -> bool:
        """Whether the connection goes on."""
        sock, pause = self._sock, self._server.pause
        if isinstance(action, Raw):
            sock.sendall(action.octets)
            return False
        if isinstance(action, (Hang, Refuse)):
            pause(3600)
            return False
        if isinstance(action, Cut):
            if action.stage is Stage.ANSWER_HEAD:
                sock.sendall(b"HTTP/1.1 201 Crea")
            elif action.stage is Stage.ANSWER_BODY:
                sock.sendall(b'HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\n{"messages"')
            cut(sock, action)
        assert isinstance(action, Answer)
        pause(action.delay)
        head = [f"HTTP/1.1 {action.status} Status", f"Content-Length: {len(action.body)}"]
        head += [f"{name}: {value}" for name, value in action.headers]
        octets = "\r\n".join([*head, "", ""]).encode("latin-1")
        if not action.drip_head and not action.drip:
            sock.sendall(octets + action.body)
            return not action.then_close
        _drip(sock.sendall, octets, action.drip_head, pause)
        _drip(sock.sendall, action.body, action.drip, pause)
        return not action.then_close


def _drip(
    send: Callable[[bytes], object],
    octets: bytes,
    interval: float,
    pause: Callable[[float], object],
) -> None:
    if not interval:
        send(octets)
        return
    for index in range(len(octets)):
        send(octets[index : index + 1])
        pause(interval)


class _Http2:
    def __init__(self, server: HttpsServer, sock: socket.socket, number: int) -> None:
        self._server, self._sock, self._number = server, sock, number
        self._lock = threading.RLock()  # one thread at a time in the TLS object and in h2
        self._heads: dict[int, dict[str, str]] = {}
        self._bodies: dict[int, bytes] = {}
        self._unanswered: set[int] = set()
        self._last = 0  # the last stream that is processed, once GOAWAY has said so
        config = h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        self._h2 = h2.connection.H2Connection(config)
        self._h2.local_settings = h2.settings.Settings(  # assigning to the old ones asks for an ACK
            client=False,
            initial_values={h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: server.max_streams},
        )

    def run(self) -> None:
        self._h2.initiate_connection()
        self._flush()
        while True:
            self._server.wait_for_octets(self._sock)
            with self._lock:
                octets = self._sock.recv(65_536)
                if not octets:
                    return
                events = self._h2.receive_data(octets)
                self._flush()
            for event in events:
                self._receive(event)

    def _receive(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.RequestReceived):
            if self._last:
                self._server.unprocessed += 1
                return
            self._unanswered.add(event.stream_id)
            if self._server.keepalive_requests == (event.stream_id + 1) // 2:
                self._go_away(event.stream_id)
            self._heads[event.stream_id] = {str(k): str(v) for k, v in event.headers}
            self._bodies[event.stream_id] = b""
        elif isinstance(event, h2.events.DataReceived):
            if event.stream_id in self._bodies:
                self._bodies[event.stream_id] += event.data
            with self._lock:
                self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                self._flush()
        elif isinstance(event, h2.events.StreamEnded):
            stream = event.stream_id
            if stream not in self._heads:
                return
            headers, body = self._heads.pop(stream), self._bodies.pop(stream)
            request = Request(headers[":method"], headers[":path"], headers, body, self._number)
            self._act(stream, self._server.action(request))

    def _go_away(self, stream: int) -> None:
        """Like nginx: later streams are read and left alone, earlier ones are answered."""
        self._last = stream
        with self._lock:  # not by h2, which would send nothing more on the connection
            self._sock.sendall(hyperframe.frame.GoAwayFrame(0, last_stream_id=stream).serialize())

    def _act(self, stream: int, action: Action) -> None:
        if isinstance(action, Raw):
            with self._lock:
                self._sock.sendall(action.octets)
            raise _CutNowError
        if isinstance(action, Refuse):
            with self._lock:
                self._h2.close_connection(last_stream_id=max(0, stream - 2))
                self._flush()
            return
        if isinstance(action, Cut):
            with self._lock:
                if action.stage is Stage.ANSWER_HEAD:
                    self._sock.sendall(b"\x00\x00\x40\x01\x04")
                elif action.stage is Stage.ANSWER_BODY:
                    self._h2.send_headers(stream, [(":status", "201")])
                    self._h2.send_data(stream, b'{"messages"')
                    self._flush()
                cut(self._sock, action)
        if not isinstance(action, Answer):
            return
        if action.delay or action.drip or len(action.body) > 10_000:
            threading.Thread(target=self._answer_later, args=(stream, action), daemon=True).start()
        else:
            self._answer(stream, action)

    def _answer_later(self, stream: int, action: Answer) -> None:
        self._server.pause(action.delay)
        with contextlib.suppress(OSError, _CutNowError, h2.exceptions.ProtocolError, ValueError):
            self._answer(stream, action)

    def _answer(self, stream: int, action: Answer) -> None:
        size = str(len(action.body))
        headers = [(":status", str(action.status)), ("content-length", size), *action.headers]
        with self._lock:
            self._h2.send_headers(stream, headers)
            if not action.drip and len(action.body) <= 10_000:
                self._h2.send_data(stream, action.body, end_stream=True)
                self._flush()
                self._unanswered.discard(stream)
                if self._last and not self._unanswered:
                    self._sock.shutdown(socket.SHUT_RDWR)
                if action.then_close:
                    self._server.pause(0.05)  # a client may still have to acknowledge
                    cut(self._sock, Cut(Stage.ANSWER_BODY))
                return
            self._flush()

        def send(octets: bytes) -> None:
            while octets:
                with self._lock:
                    room = min(self._h2.local_flow_control_window(stream), 16_384)
                    if room:
                        self._h2.send_data(stream, octets[:room])
                        self._flush()
                        octets = octets[room:]
                if not room:
                    time.sleep(0.01)

        _drip(send, action.body, action.drip, self._server.pause)
        with self._lock:
            self._h2.end_stream(stream)
            self._flush()

    def _flush(self) -> None:
        self._sock.sendall(self._h2.data_to_send())


def server_context(chain: str, alpn: Sequence[str]) -> ssl.SSLContext:
    """`chain` is a PEM file with key and certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    context.set_alpn_protocols(list(alpn))
    return context


def unused_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: Any = sock.getsockname()[1]
        return int(port)
