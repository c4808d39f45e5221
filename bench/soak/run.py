"""One soak from its beginning to its end: the load, the samples and what is left behind."""

from __future__ import annotations

import asyncio
import random
import time
from asyncio import FIRST_COMPLETED
from collections.abc import Callable
from typing import Any

from bench.children import Failed
from bench.soak import samples
from bench.soak.daemon import LISTENERS, Daemon
from bench.soak.place import Place
from bench.soak.samples import Sample
from bench.soak.steady import CLIENTS, Steady
from bench.soak.tally import Tally
from bench.soak.verdict import Ending
from bench.soak.visits import visits

EVERY = 5.0  # seconds between samples
TOLD_EVERY = 10.0
RELOADED_EVERY = 60.0
PRIMED = 3.0  # seconds of the load before what is taken for the baseline
DELIVERY_WAIT = 30.0  # for the last receipts, and until the last connections are gone


class Soak:
    """One run."""

    def __init__(
        self,
        run: Daemon,
        seconds: float,
        rate: float,
        guests: float,
        tell: Callable[[Soak, Sample], None],
    ) -> None:
        """`rate` is that of the steady clients, `guests` that of visits; `tell` the progress."""
        self.tally = Tally()
        self.ending = Ending()
        self.samples: list[Sample] = []
        self.begun = 0.0
        self._run = run
        self._seconds = seconds
        self._rate = rate
        self._guests = guests
        self._tell = tell
        self._told = 0.0
        self._reloaded = 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Raises Failed when the gateway is gone, Gone when a steady client cannot bind."""
        await self._prime()
        self.ending.baseline = await self._look()
        self.begun = time.monotonic()
        ports, rate = self._run.ports, self._rate / CLIENTS
        steady = [Steady(ports["smpp"], number, rate, self.tally) for number in range(CLIENTS)]
        chance = random.Random(1)  # the same in each soak
        where = {name: ports[name] for name in LISTENERS}
        place = Place(**where, tls=self._run.tls, random=chance)
        load = asyncio.gather(
            *(client.run(stop) for client in steady),
            visits(place, self._guests, self.tally, stop),
        )
        try:
            await self._watch(load, stop)
        except Failed:
            load.cancel()
            await asyncio.gather(load, return_exceptions=True)
            raise
        stop.set()
        await load
        await self._until(lambda: not self.tally.awaited)
        for client in steady:
            await client.leave()
        await self._settle()

    async def _watch(self, load: asyncio.Future[Any], stop: asyncio.Event) -> None:
        """Look at it every few seconds, as long as the load lasts. Raises Failed."""
        ends = self.begun + self._seconds
        ends_it: set[asyncio.Future[Any]] = {load, asyncio.create_task(stop.wait())}
        while time.monotonic() < ends and not stop.is_set() and not load.done():
            await asyncio.wait(ends_it, timeout=EVERY, return_when=FIRST_COMPLETED)
            sample = await self._look()
            self.samples.append(sample)
            if sample.at - self._reloaded >= RELOADED_EVERY:
                self._reloaded = sample.at
                self._run.reload()
            if sample.at - self._told >= TOLD_EVERY - EVERY / 2:
                self._told = sample.at
                self._tell(self, sample)

    async def _prime(self) -> None:
        """Have a client come and go, so that what is made once is there."""
        first = Tally()
        client, stop = Steady(self._run.ports["smpp"], 0, 50, first), asyncio.Event()
        asyncio.get_running_loop().call_later(PRIMED, stop.set)
        await client.run(stop)
        await self._until(lambda: not first.awaited)
        await client.leave()
        await asyncio.sleep(1)

    async def _look(self) -> Sample:
        """Take a sample. Raises Failed when there is nothing to look at."""
        run = self._run
        try:
            return await asyncio.to_thread(samples.take, run.pid, run.ports)
        except OSError as error:
            trouble = "\n".join(run.trouble)
            raise Failed(f"the gateway cannot be looked at ({error}):\n{trouble}") from error

    async def _settle(self) -> None:
        """Wait until nothing is open that was not open before, and stop the gateway."""
        own = self.ending.baseline
        assert own is not None
        ends = time.monotonic() + DELIVERY_WAIT
        while True:
            last = self.ending.last = await self._look()
            back = last.own_descriptors <= own.own_descriptors
            if (back and not last.connections) or time.monotonic() > ends:
                break
            await asyncio.sleep(1)
        self.ending.exit_code = await self._run.stop()
        self.ending.trouble = list(self._run.trouble)
        self.ending.events = self._run.events

    @staticmethod
    async def _until(true: Callable[[], bool]) -> None:
        ends = time.monotonic() + DELIVERY_WAIT
        while not true() and time.monotonic() < ends:
            await asyncio.sleep(0.1)
