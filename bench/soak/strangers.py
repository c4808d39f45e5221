"""Strangers of a soak: those who never bind, and those at the other listeners.

The tally is told how each visit ended: "closed" is right for all of them.
"""

from __future__ import annotations

import ssl

from bench.esme import BIND_TRANSCEIVER, bind_body, pdu
from bench.soak.esme import Gone
from bench.soak.guests import MESSAGE
from bench.soak.place import GUESTS, Place, bound, say
from bench.submits import HEADER, SUBMIT_SM

HUGE = 0x7FFFFFFF
HTTP = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


async def wrong_password(place: Place) -> str:
    system_id = place.random.choice((GUESTS, "nobody"))
    try:
        await bound(place, system_id, password="Wrong-Pw", source=place.bad_source())
    except Gone:
        return "closed"
    return "bound"


async def silent(place: Place) -> str:
    return await say(place, place.smpp, b"")


async def half_a_header(place: Place) -> str:
    return await say(place, place.smpp, pdu(BIND_TRANSCEIVER, 1)[:7])


async def early_submits(place: Place) -> str:
    return await say(place, place.smpp, pdu(SUBMIT_SM, 1, MESSAGE) * 3)


async def garbage(place: Place) -> str:
    return await say(place, place.smpp, place.random.randbytes(2_000))


async def huge_length(place: Place) -> str:
    length = place.random.choice((HUGE, 100_000, 4, 0))
    return await say(place, place.smpp, HEADER.pack(length, BIND_TRANSCEIVER, 0, 1))


async def http(place: Place) -> str:
    return await say(place, place.smpp, HTTP)


async def tls(place: Place) -> str:
    return await say(place, place.smpp, _client_hello())


async def plain_to_tls(place: Place) -> str:
    return await say(place, place.smpp_tls, pdu(BIND_TRANSCEIVER, 1, bind_body(GUESTS, GUESTS)))


async def half_a_handshake(place: Place) -> str:
    return await say(place, place.smpp_tls, _client_hello()[:50])


def _client_hello() -> bytes:
    context = ssl.create_default_context()
    sent = ssl.MemoryBIO()
    handshake = context.wrap_bio(ssl.MemoryBIO(), sent, server_hostname="gateway.example")
    try:
        handshake.do_handshake()
    except ssl.SSLWantReadError:
        return sent.read()
    raise AssertionError("a handshake without a peer")


# At the callback listener and at the admin port.


def _post(path: str, content: bytes, headers: str = "", length: int | None = None) -> bytes:
    size = len(content) if length is None else length
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n{headers}"
    return f"{head}Content-Length: {size}\r\n\r\n".encode() + content


async def callback_unknown_path(place: Place) -> str:
    return await say(place, place.callbacks, _post("/", b"{}"))


async def callback_false_token(place: Place) -> str:
    token = place.random.randbytes(40).hex()
    signed = f"X-Messente-Signature: {'0' * 64}\r\n"
    return await say(place, place.callbacks, _post(f"/dlr/{token}", b"{}", signed))


async def callback_huge_body(place: Place) -> str:
    return await say(place, place.callbacks, _post("/dlr/x", b"x" * 100_000))


async def callback_huge_header(place: Place) -> str:
    return await say(place, place.callbacks, _post("/dlr/x", b"", f"X: {'x' * 100_000}\r\n"))


async def callback_unfinished(place: Place) -> str:
    return await say(place, place.callbacks, _post("/dlr/x", b"{", length=2_000))


async def callback_garbage(place: Place) -> str:
    return await say(place, place.callbacks, place.random.randbytes(500) + b"\r\n\r\n")


async def callback_tls(place: Place) -> str:
    return await say(place, place.callbacks, _client_hello() + b"\r\n\r\n")


async def admin_unknown_path(place: Place) -> str:
    octets = b"GET /nothing HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    return await say(place, place.admin, octets)
