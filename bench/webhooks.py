"""Callbacks as the API sends them: final reports about messages that asked for a receipt.

Their routes are sealed as the gateway seals its own, with the same key file, and the bodies
signed with the API's password. Each is about a message of its own, submitted a while ago, so
that no receipt waits for its submit.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

from gateway.callback_keys import read
from gateway.omnichannel.callback import KeyRing, signature
from gateway.omnichannel.route import Route, Target
from gateway.smpp.pdu import Address

SUBMITTED = 10.0  # seconds before its report
SERIALS = 1 << 24

# API document section 4: the body of a callback.
BODY = (
    '{"to":"+37255555555","sender":"Bench","channel":"sms","omnimessage_id":"%s",'
    '"message_id":"5e3b0d9c-2f1c-4a86-9d0e-7c2b1f0a9e55","status":"DELIVRD",'
    '"timestamp":"2026-01-05T10:00:00Z","err":"0","error":null}'
)


class Webhooks:
    """An endless supply of them."""

    def __init__(self, key_file: Path, system_id: str, password: str) -> None:
        self._ring = KeyRing(read(key_file))
        self._system_id = system_id
        self._password = password
        self._serials = itertools.count(1)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        """The next request, head and body."""
        now = time.time()
        route = Route(
            self._system_id,
            now - SUBMITTED,
            next(self._serials) % SERIALS,
            Address(5, 0, "Bench"),
            Address(1, 1, "37255555555"),
            targets=(Target(0, 1),),
        )
        body = (BODY % uuid4()).encode()
        return request(self._ring.seal(route, now), body, signature(body, self._password))


def request(token: str, body: bytes, signed: str) -> bytes:
    """A POST over a connection that stays."""
    head = (
        f"POST /dlr/{token} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"X-Messente-Signature: {signed}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
