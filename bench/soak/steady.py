"""The steady clients of a soak: who they are, what they send and what they expect of it.

Twenty requests are one round of everything: plain messages, some that ask for a receipt, UCS-2,
a message of three parts, a question about the last message, and now and then one that the API
refuses. The last four digits of a destination tell the sandbox what to do with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import Iterator
from typing import NamedTuple

from bench.soak.esme import QUERY_SM, RECEIPTED, Esme, Gone, query
from bench.soak.tally import Tally
from bench.submits import SUBMIT_SM, TEXT, UDHI, body

CLIENTS = 8
ACCOUNT = "steady"
OUTSTANDING = 50  # requests of one client; its window is 100
# docs/sandbox.md. Nothing that refuses a whole request: others' messages may be in it.
DELIVERED, REFUSED = "5555", "2400"
DESTINATIONS = 10_000
REFUSED_EVERY = 40  # requests
UCS2 = 8
UCS2_TEXT = "Kood 123456 kehtib kümme minutit. Код 123456".encode("utf-16-be")
PARTS = 3
ROUND = 20  # requests
RECONNECT = 1.0  # seconds before a client that was cut comes back


class Request(NamedTuple):
    """One request, and whether it is meant to be refused."""

    kind: str
    body: bytes
    refused: bool = False
    receipt: bool = False


def requests(client: int) -> Iterator[Request | None]:
    """What a client sends, for ever. None stands for a question about its last message."""
    for number in itertools.count():
        place = number % ROUND
        to = _destination(client, number)
        if place < 9:
            yield Request("plain", body(to, TEXT))
        elif place < 14:
            yield Request("receipt", body(to, TEXT, registered_delivery=1), receipt=True)
        elif place == 14:
            yield Request("ucs2", body(to, UCS2_TEXT, data_coding=UCS2))
        elif place < 15 + PARTS:
            # The parts of a message have one destination and one reference.
            yield _part(_destination(client, number - place), number // ROUND, place - 14)
        elif place == 18:
            yield None
        elif number % REFUSED_EVERY == 19:
            yield Request(
                "refused", body(_destination(client, number, REFUSED), TEXT), refused=True
            )
        else:
            yield Request("plain", body(to, TEXT))


def _destination(client: int, number: int, last: str = DELIVERED) -> bytes:
    return f"37{client % 10}{number % DESTINATIONS:04d}{last}".encode()


def _part(destination: bytes, message: int, part: int) -> Request:
    header = bytes((5, 0, 3, message & 0xFF, PARTS, part))
    return Request("part", body(destination, header + TEXT, UDHI))


class Steady:
    """One steady client: bound for the whole soak, and back at once when it is cut."""

    def __init__(self, port: int, number: int, rate: float, tally: Tally) -> None:
        self._port = port
        self._number = number
        self._rate = rate
        self._tally = tally
        self._requests = requests(number)
        self._last: bytes = b""  # message_id of the last message that asked for nothing
        self._places = asyncio.Semaphore(OUTSTANDING)
        self._under_way: set[asyncio.Task[None]] = set()
        self._binding = asyncio.Lock()
        self._esme: Esme | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Send at a steady pace until `stop`; then wait for what is outstanding and stay bound.

        Raises Gone when the first bind fails.
        """
        await self._bind()
        # Not all of them at the same place of a round at the same time.
        due = time.monotonic() + self._number / CLIENTS * ROUND / self._rate
        for request in self._requests:
            due += 1 / self._rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            await self._places.acquire()
            if stop.is_set():
                break
            task = asyncio.create_task(self._send(request))
            self._under_way.add(task)
            task.add_done_callback(self._done)
        if self._under_way:
            await asyncio.wait(self._under_way)

    async def leave(self) -> None:
        if self._esme is not None:
            await self._esme.unbind()

    async def _bind(self) -> None:
        """Bind, unless another request has done so meanwhile."""
        async with self._binding:
            if self._esme is None or await self._esme.closed(0):
                self._esme = await Esme.bound(self._port, ACCOUNT, self._received)

    def _received(self, pdu_body: bytes) -> int:
        self._tally.receipt(pdu_body[RECEIPTED])
        return 0

    def _done(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self._places.release()

    async def _send(self, request: Request | None) -> None:
        tally = self._tally
        try:
            assert self._esme is not None, "bound before"
            if request is None:
                if not self._last:
                    return
                tally.sent += 1
                answer = await self._esme.ask(QUERY_SM, query(self._last))
                tally.answered("query", answer.command_status, meant=False)
                return
            tally.sent += 1
            answer = await self._esme.ask(SUBMIT_SM, request.body)
            tally.answered(request.kind, answer.command_status, meant=request.refused)
            if not answer.command_status:
                if request.receipt:
                    tally.accepted(answer.message_id)
                elif request.kind == "plain":
                    self._last = answer.message_id
        except Gone:
            tally.lost += 1
            await self._come_back()

    async def _come_back(self) -> None:
        await asyncio.sleep(RECONNECT)
        with contextlib.suppress(Gone):  # the next request that fails tries again
            await self._bind()
