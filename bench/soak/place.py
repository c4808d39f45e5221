"""Where the guests of a soak go, and how they wait for the end of a connection."""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from bench.soak.esme import Esme

GUESTS, NARROW, STRICT, MUTE = "guests", "narrow", "strict", "mute"  # accounts
WINDOW = 10  # of narrow and strict
CLOSED_WITHIN = 30.0  # seconds; longer than every timer of the soak's configuration


@dataclass(frozen=True)
class Place:
    """Where the gateway is, and chance."""

    smpp: int
    smpp_tls: int
    callbacks: int
    admin: int
    tls: ssl.SSLContext
    random: random.Random

    def source(self) -> str:
        """One of many addresses."""
        return f"127.0.9.{self.random.randrange(1, 250)}"

    def bad_source(self) -> str:
        """One of few addresses, for those that shall be locked out now and then."""
        return f"127.0.8.{self.random.randrange(1, 4)}"


Visit = Callable[[Place], Awaitable[str]]


async def bound(place: Place, system_id: str, **options: Any) -> Esme:
    """Bind with the right password unless told. Raises Gone."""
    where: dict[str, Any] = {"port": place.smpp, "source": place.source()}
    return await Esme.bound(system_id=system_id, **(where | options))


async def until_closed(reader: asyncio.StreamReader) -> str:
    """Read to the end. Raises TimeoutError when it does not come."""
    try:
        async with asyncio.timeout(CLOSED_WITHIN):
            while await reader.read(65_536):
                pass
    except ConnectionError:
        pass
    return "closed"


async def say(place: Place, port: int, octets: bytes) -> str:
    """Connect, send this and wait for the end."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, local_addr=(place.source(), 0)
    )
    try:
        writer.write(octets)
        return await until_closed(reader)
    finally:
        writer.transport.abort()
