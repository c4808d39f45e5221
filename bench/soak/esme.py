"""An ESME on asyncio: what the soak's clients are made of.

It answers what the MC asks, as `deliver_status` says: a command_status for each deliver_sm, or
None for no answer at all.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import ssl
from collections.abc import Callable
from typing import NamedTuple

from bench.esme import (
    BIND_TRANSCEIVER,
    ENQUIRE_LINK,
    ENQUIRE_LINK_RESP,
    RESPONSE_BIT,
    UNBIND,
    bind_body,
    pdu,
)
from bench.submits import HEADER

DELIVER_SM, DELIVER_SM_RESP = 0x00000005, 0x80000005
QUERY_SM = 0x00000003
ANSWER_WAIT = 30.0  # seconds for any response
# receipted_message_id is the last TLV of a receipt; see bench.receiving.
RECEIPTED = slice(-37, -1)


class Answer(NamedTuple):
    command_status: int
    body: bytes

    @property
    def message_id(self) -> bytes:
        return self.body.rstrip(b"\0")


class Gone(Exception):
    """The connection ended, or an answer did not come in time."""


class Esme:
    """One bound connection. `received` is called with the body of each deliver_sm."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        received: Callable[[bytes], int | None],
        *,
        answers_links: bool = True,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._received = received
        self._answers_links = answers_links
        self._numbers = itertools.count(1)
        self._awaited: dict[int, asyncio.Future[Answer]] = {}
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def bound(
        cls,
        port: int,
        system_id: str,
        received: Callable[[bytes], int | None] = lambda body: 0,
        *,
        source: str = "127.0.0.1",
        password: str = "",
        bind: int = BIND_TRANSCEIVER,
        answers_links: bool = True,
        tls: ssl.SSLContext | None = None,
    ) -> Esme:
        """Connect and bind; the password is the system_id unless told. Raises Gone."""
        try:
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", port, local_addr=(source, 0), ssl=tls
            )
        except OSError as error:
            raise Gone(f"not connected: {error}") from error
        sock: socket.socket = writer.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        esme = cls(reader, writer, received, answers_links=answers_links)
        try:
            answer = await esme.ask(bind, bind_body(system_id, password or system_id))
            if answer.command_status:
                raise Gone(f"the bind was answered 0x{answer.command_status:02X}")
        except BaseException:
            esme.cut()
            raise
        return esme

    async def ask(self, command_id: int, body: bytes = b"") -> Answer:
        """Send a request and wait for its response. Raises Gone."""
        (asked,) = self.send(command_id, body)
        return await self.answer(asked)

    def send(self, command_id: int, *bodies: bytes) -> list[int]:
        """Send requests in one write; give their sequence_numbers for `answer`."""
        loop = asyncio.get_running_loop()
        numbers = [next(self._numbers) for _ in bodies]
        if self._reading.done():
            raise Gone("the connection has ended")
        self._awaited.update((number, loop.create_future()) for number in numbers)
        pairs = zip(numbers, bodies, strict=True)
        self._writer.write(b"".join(pdu(command_id, number, body) for number, body in pairs))
        return numbers

    async def answer(self, number: int) -> Answer:
        """The response to what has been sent. Raises Gone."""
        try:
            async with asyncio.timeout(ANSWER_WAIT):
                return await self._awaited[number]
        except TimeoutError:
            raise Gone(f"no answer in {ANSWER_WAIT:.0f} s") from None
        finally:
            del self._awaited[number]

    async def unbind(self) -> None:
        """Leave politely, or at least leave."""
        with contextlib.suppress(Gone):
            await self.ask(UNBIND)
        self.cut()

    def cut(self, *, reset: bool = False) -> None:
        """Leave at once."""
        self._reading.cancel()
        for future in self._awaited.values():
            if not future.done():
                future.set_exception(Gone("the connection was cut"))
                future.exception()  # nobody may be waiting
        transport = self._writer.transport
        (transport.abort if reset else transport.close)()

    async def closed(self, limit: float) -> bool:
        """Whether the MC ends the connection within `limit` seconds."""
        done, _ = await asyncio.wait({self._reading}, timeout=limit)
        return bool(done)

    async def _read(self) -> None:
        reason = "the connection has ended"
        try:
            while True:
                head = await self._reader.readexactly(HEADER.size)
                length, command_id, status, number = HEADER.unpack(head)
                body = await self._reader.readexactly(length - HEADER.size)
                if command_id & RESPONSE_BIT:
                    future = self._awaited.get(number)
                    if future is not None and not future.done():
                        future.set_result(Answer(status, body))
                elif command_id == ENQUIRE_LINK and self._answers_links:
                    self._writer.write(pdu(ENQUIRE_LINK_RESP, number))
                elif command_id == DELIVER_SM:
                    self._deliver(number, body)
                elif command_id == UNBIND:
                    self._writer.write(pdu(UNBIND | RESPONSE_BIT, number))
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            for future in self._awaited.values():
                if not future.done():
                    future.set_exception(Gone(reason))
                    future.exception()

    def _deliver(self, number: int, body: bytes) -> None:
        status = self._received(body)
        if status is not None:
            answer = HEADER.pack(17, DELIVER_SM_RESP, status, number) + b"\0"
            self._writer.write(answer)


def query(message_id: bytes) -> bytes:
    """The body of a query_sm that names no source address."""
    return message_id + b"\0" + b"\0\0\0"
