"""Clients of a soak that bind, come and go, and do not all behave.

Each visit is bounded in time and of one kind. What it returns is how it ended, for the tally:
"left" by itself, or "closed" by the gateway, which is right; anything else is wrong. None may
have an effect on the steady clients, so they come from other addresses and bind to other accounts.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from bench.esme import BIND_RECEIVER, BIND_TRANSCEIVER, ENQUIRE_LINK, UNBIND, bind_body, pdu
from bench.soak.place import CLOSED_WITHIN, GUESTS, MUTE, NARROW, STRICT, WINDOW, Place, bound, say
from bench.submits import SUBMIT_SM, TEXT, body

STAY = 8.0  # seconds that a receiver is there
DESTINATION = b"37255555555"
MESSAGE = body(DESTINATION, TEXT)
WITH_RECEIPT = body(DESTINATION, TEXT, registered_delivery=1)
RX_T_APPN, RX_R_APPN = 0x64, 0x66
STAYED = "was not closed"
# Enquire_links a second whose answers nobody reads: the kernels hold 2 to 4 MB of them, and only
# then does the gateway notice.
UNREAD_LINKS = 20_000


# Those that come and go.


async def passer_by(place: Place) -> str:
    esme = await bound(place, GUESTS)
    for _ in range(5):
        await esme.ask(SUBMIT_SM, MESSAGE)
    await esme.ask(ENQUIRE_LINK)
    await esme.unbind()
    return "left"


async def passer_by_tls(place: Place) -> str:
    esme = await bound(place, GUESTS, port=place.smpp_tls, tls=place.tls)
    await esme.ask(SUBMIT_SM, MESSAGE)
    await esme.unbind()
    return "left"


async def cut_off_tls(place: Place) -> str:
    esme = await bound(place, GUESTS, port=place.smpp_tls, tls=place.tls)
    esme.send(SUBMIT_SM, *[MESSAGE] * 10)
    await asyncio.sleep(place.random.random() * 0.02)
    esme.cut(reset=True)
    return "left"


async def cut_off(place: Place) -> str:
    """Gone while its messages are on their way."""
    esme = await bound(place, GUESTS)
    esme.send(SUBMIT_SM, *[MESSAGE] * 10)
    await asyncio.sleep(place.random.random() * 0.02)
    esme.cut(reset=place.random.random() < 0.5)
    return "left"


async def unbound_early(place: Place) -> str:
    """Unbinds while its messages are on their way, and gets their answers first."""
    esme = await bound(place, GUESTS)
    numbers = esme.send(SUBMIT_SM, *[MESSAGE] * 10)
    await esme.ask(UNBIND)
    for number in numbers:
        await esme.answer(number)
    esme.cut()
    return "left"


# Those that bind and then do not behave.


async def links_unanswered(place: Place) -> str:
    esme = await bound(place, GUESTS, answers_links=False)
    try:
        return "closed" if await esme.closed(CLOSED_WITHIN) else STAYED
    finally:
        esme.cut()


async def never_reads(place: Place) -> str:
    """Asks and asks, and reads no answer and no receipt."""
    loop = asyncio.get_running_loop()
    with socket.socket() as sock:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.bind((place.source(), 0))
        await loop.sock_connect(sock, ("127.0.0.1", place.smpp))
        await loop.sock_sendall(sock, pdu(BIND_TRANSCEIVER, 1, bind_body(MUTE, MUTE)))
        await loop.sock_recv(sock, 16)
        links = b"".join(pdu(ENQUIRE_LINK, number) for number in range(2, UNREAD_LINKS))
        messages = b"".join(pdu(SUBMIT_SM, UNREAD_LINKS + n, WITH_RECEIPT) for n in range(20))
        try:
            async with asyncio.timeout(CLOSED_WITHIN):
                while True:
                    await loop.sock_sendall(sock, links + messages)
                    await asyncio.sleep(1)
        except TimeoutError:
            return STAYED
        except ConnectionError:
            return "closed"


async def half_a_submit(place: Place) -> str:
    whole = pdu(SUBMIT_SM, 2, MESSAGE)
    bind = pdu(BIND_TRANSCEIVER, 1, bind_body(GUESTS, GUESTS))
    return await say(place, place.smpp, bind + whole[: place.random.randrange(1, len(whole))])


async def window_overflow(place: Place) -> str:
    """Many more than its window, at once; the gateway reads on when it likes."""
    return await _overflow(place, NARROW, {0})


async def window_throttled(place: Place) -> str:
    return await _overflow(place, STRICT, {0, 0x58})


async def _overflow(place: Place, system_id: str, allowed: set[int]) -> str:
    esme = await bound(place, system_id)
    numbers = esme.send(SUBMIT_SM, *[MESSAGE] * WINDOW * 20)
    answers = [await esme.answer(number) for number in numbers]
    await esme.unbind()
    wrong = {answer.command_status for answer in answers} - allowed
    return f"answered {wrong}" if wrong else "left"


async def mute_receiver(place: Place) -> str:
    return await _receiver(place, lambda: None)


async def refusing_receiver(place: Place) -> str:
    return await _receiver(place, lambda: place.random.choice((RX_T_APPN, RX_R_APPN)))


async def good_receiver(place: Place) -> str:
    """Takes what the two before have left behind."""
    return await _receiver(place, lambda: 0)


async def _receiver(place: Place, status: Callable[[], int | None]) -> str:
    receiver = await bound(place, MUTE, received=lambda _: status(), bind=BIND_RECEIVER)
    sender = await bound(place, MUTE)
    await sender.ask(SUBMIT_SM, WITH_RECEIPT)
    await sender.unbind()
    await asyncio.sleep(STAY)
    await receiver.unbind()
    return "left"


async def nonsense(place: Place) -> str:
    """Requests that do not belong there, and a body that is none."""
    esme = await bound(place, GUESTS)
    await esme.ask(BIND_TRANSCEIVER, bind_body(GUESTS, GUESTS))
    await esme.ask(SUBMIT_SM, place.random.randbytes(40))
    await esme.ask(0x00000FFF, b"")
    await esme.unbind()
    return "left"
