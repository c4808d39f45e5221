"""A proxy before the sandbox, which does to every exchange what a test says.

It stands between the gateway and `smpp-gateway sandbox`, speaks HTTP/1.1, and knows where each
exchange ends, so that it can end the connection after any octet of it. What the sandbox
accepted is asked of the sandbox, what the gateway sent of `requests`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Self

from gateway.omnichannel.client import Credentials
from tests.e2e.daemon import LIMIT, PASSWORD, USERNAME, fixed_port

_KNOWN = Credentials.basic(USERNAME, PASSWORD).authorization.encode()


@dataclass(frozen=True)
class Request:
    """One request as it was read, whole, from the gateway."""

    octets: bytes
    connection: int

    @property
    def head(self) -> bytes:
        return self.octets.partition(b"\r\n\r\n")[0]

    @property
    def to(self) -> str:
        """The number of a message; "" for another request."""
        body = self.octets.partition(b"\r\n\r\n")[2]
        return str(json.loads(body)["to"]) if body else ""

    def says(self, authorization: str) -> bool:
        return f"authorization: {authorization}".encode().lower() in self.head.lower()


@dataclass(frozen=True)
class Cut:
    """The end of a connection after so many octets of its request, or else of its answer.

    With `request` that many reach the sandbox, with `answer` that many the gateway.
    """

    request: int | None = None
    answer: int | None = None
    reset: bool = False


def answer(status: int, body: bytes = b"", *headers: str) -> bytes:
    """The octets of an answer."""
    lines = (f"HTTP/1.1 {status} Status", f"Content-Length: {len(body)}", *headers, "", "")
    return "\r\n".join(lines).encode() + body


def _sandbox_does_it(_: Request) -> None:
    return None


@dataclass
class FaultyApi:
    """A context manager. The callables are asked for each request and may be replaced.

    Who comes with the Authorization `other` is let in to the sandbox with that of the rest.
    """

    sandbox_port: int
    other: str = ""
    instead: Callable[[Request], bytes | None] = _sandbox_does_it  # an answer, or the sandbox's
    delay: Callable[[Request], float] = lambda _: 0.0  # seconds before the sandbox gets it
    cut: Callable[[Request], Cut | None] = lambda _: None
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    answer_octets: int = 0  # of the latest answer of the sandbox's

    def __enter__(self) -> Self:
        self.port = fixed_port()
        self._loop = asyncio.new_event_loop()
        self._listener: socket.socket | None = None
        self._serving: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.up()
        return self

    def __exit__(self, *_: object) -> None:
        self.down()
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(LIMIT)
        self._loop.close()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def heal(self) -> None:
        """No faults from now on."""
        self.instead, self.delay, self.cut = _sandbox_does_it, lambda _: 0.0, lambda _: None

    def asked(self) -> Counter[str]:
        """How often each number was sent."""
        return Counter(request.to for request in self.requests)

    def up(self) -> None:
        """Accept connections, at the port that it always has."""
        self._run(self._listen())

    def down(self) -> None:
        """Refuse connections, and reset those that there are."""
        self._run(self._close())

    def _run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(LIMIT)

    async def _listen(self) -> None:
        # Not asyncio's server, which leaks what it accepts while it is closed.
        if self._listener is None:
            self._listener = socket.create_server(("127.0.0.1", self.port), backlog=1024)
            self._listener.setblocking(False)
            self._loop.add_reader(self._listener, self._accept, self._listener)

    def _accept(self, listener: socket.socket) -> None:
        sock, _ = listener.accept()
        self.connections += 1
        task = self._loop.create_task(self._serve(sock, self.connections))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _close(self) -> None:
        if self._listener:
            self._loop.remove_reader(self._listener)
            self._listener.close()
            self._listener = None
        for writer in list(self._writers):
            _end(writer, reset=True)

    async def _end(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(0.01)  # transports close in the turns that follow

    async def _serve(self, sock: socket.socket, number: int) -> None:
        reader, writer = await asyncio.open_connection(sock=sock, limit=1_000_000)
        sandbox: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._writers.add(writer)
        try:
            while True:
                request = Request(await _read(reader), number)
                self.requests.append(request)
                if (octets := self.instead(request)) is not None:
                    writer.write(octets)
                    continue
                await asyncio.sleep(self.delay(request))
                if sandbox is None:
                    sandbox = await asyncio.open_connection("127.0.0.1", self.sandbox_port)
                cut = self.cut(request) or Cut()
                octets = request.octets
                if self.other and request.says(self.other):
                    octets = octets.replace(self.other.encode(), _KNOWN)
                sandbox[1].write(octets[: cut.request])
                if cut.request is not None:
                    await sandbox[1].drain()
                    return _end(writer, reset=cut.reset)
                octets = await _read(sandbox[0])
                self.answer_octets = len(octets)
                writer.write(octets[: cut.answer])
                if cut.answer is not None:
                    await writer.drain()
                    return _end(writer, reset=cut.reset)
        except (OSError, EOFError, asyncio.CancelledError):
            pass  # the gateway, the sandbox or the end of the test closed it
        finally:
            self._writers.discard(writer)
            for one in (writer, sandbox[1] if sandbox else None):
                if one is not None:
                    one.close()


async def _read(reader: asyncio.StreamReader) -> bytes:
    """A whole request or answer. EOFError at the end."""
    head = await reader.readuntil(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name == b"content-length":
            return head + await reader.readexactly(int(value))
    return head


def _end(writer: asyncio.StreamWriter, *, reset: bool) -> None:
    """What was written has left; a reset overtakes nothing of it."""
    if reset:
        linger = struct.pack("ii", 1, 0)  # close() sends RST instead of FIN
        sock = writer.get_extra_info("socket")
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()
