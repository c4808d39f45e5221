"""The visits of a soak: all kinds in turn, so many at once and so many a second at most."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator

from bench.soak import guests, strangers
from bench.soak.esme import Gone
from bench.soak.place import Place, Visit
from bench.soak.tally import Tally

AT_ONCE = 60
VISIT_LIMIT = 60.0  # seconds
TURNED_AWAY = "gone"  # cut before the end of the visit, or not let in: locked out, for example

# Good receivers come after the bad ones, so that receipts do not pile up.
VISITS: tuple[Visit, ...] = (
    guests.passer_by,
    guests.mute_receiver,
    guests.cut_off,
    strangers.silent,
    guests.unbound_early,
    strangers.wrong_password,
    guests.good_receiver,
    guests.links_unanswered,
    strangers.garbage,
    guests.passer_by_tls,
    strangers.half_a_header,
    guests.half_a_submit,
    guests.refusing_receiver,
    strangers.early_submits,
    guests.window_overflow,
    strangers.http,
    strangers.plain_to_tls,
    guests.window_throttled,
    strangers.tls,
    guests.good_receiver,
    guests.nonsense,
    guests.cut_off_tls,
    strangers.half_a_handshake,
    strangers.huge_length,
    strangers.wrong_password,
    strangers.callback_unknown_path,
    strangers.callback_false_token,
    strangers.callback_huge_body,
    strangers.callback_huge_header,
    strangers.callback_unfinished,
    strangers.callback_garbage,
    strangers.callback_tls,
    strangers.admin_unknown_path,
)
# What costs the gateway seconds, once in so many rounds.
COSTLY: tuple[Visit, ...] = (guests.never_reads,)
COSTLY_EVERY = 5


def kinds() -> Iterator[Visit]:
    """Who comes next, for ever."""
    for number in itertools.count():
        yield from VISITS
        if number % COSTLY_EVERY == 0:
            yield from COSTLY


async def visits(place: Place, rate: float, tally: Tally, stop: asyncio.Event) -> None:
    """Have guests come until `stop`; then wait for those who are there."""
    free = asyncio.Semaphore(AT_ONCE)
    there: set[asyncio.Task[None]] = set()

    def left(task: asyncio.Task[None]) -> None:
        there.discard(task)
        free.release()

    for visit in kinds():
        await free.acquire()
        if stop.is_set():
            break
        task = asyncio.create_task(_visit(visit, place, tally))
        there.add(task)
        task.add_done_callback(left)
        await asyncio.sleep(1 / rate)
    if there:
        await asyncio.wait(there)


async def _visit(visit: Visit, place: Place, tally: Tally) -> None:
    tally.running += 1
    try:
        async with asyncio.timeout(VISIT_LIMIT):
            ended = await visit(place)
    except TimeoutError:
        ended = "too long"
    except (Gone, OSError):
        ended = TURNED_AWAY
    finally:
        tally.running -= 1
    tally.guests[f"{visit.__name__}: {ended}"] += 1
