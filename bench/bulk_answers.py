"""Answers to one and to many messages, under the API's limit of requests a second.

Unlike `bench.answers` this half reads the bodies: the answer to `POST /omnimessages` has an
entry for each of its messages, with its recipient. The limit is read most strictly, over any
second; what is above it gets 429.
"""

from __future__ import annotations

import collections
import itertools
import re
import time

from bench import answers
from bench.answers import END_HEADERS, END_STREAM, Http2

_RECIPIENT = re.compile(rb'"to":"(\+\d+)"')
_MANY = b'{"messages":[{"to"'
_ENTRY = (
    b'{"messages":[{"channel":"sms","message_id":"%b","sender":"Bench"}],'
    b'"omnimessage_id":"%b-0000-4000-8000-%b","to":"%b"}'
)
_LARGEST_FRAME = 16_384
_TOO_MANY = b"\x08\x03429"
_numbers = itertools.count(1)


class Limit:
    """At most `limit` requests in any second, 0 for all, and what came of it."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.passed = 0
        self.refused = 0
        self.messages = 0
        self._moments: collections.deque[float] = collections.deque(maxlen=limit or 1)

    def allows(self) -> bool:
        now = time.monotonic()
        moments = self._moments
        if self.limit and len(moments) == self.limit and now - moments[0] < 1:
            self.refused += 1
            return False
        moments.append(now)
        self.passed += 1
        return True


class BulkHttp2(Http2):
    """HTTP/2 that answers each message of a request."""

    keeps_bodies = True

    def __init__(self, limit: Limit) -> None:
        super().__init__()
        self._limit = limit
        self._bodies: dict[int, list[bytes]] = {}

    def body(self, stream: int, octets: bytes) -> None:
        self._bodies.setdefault(stream, []).append(octets)

    def answer(self, tokens: list[int]) -> bytes:
        """Flow control is the client's affair here: its windows are wide, and it reads."""
        out = []
        for stream in tokens:
            body = b"".join(self._bodies.pop(stream, ()))
            if not self._limit.allows():
                out.append(_frame(answers.HEADERS, END_HEADERS | END_STREAM, stream, _TOO_MANY))
                continue
            told = content(body, self._limit)
            out.append(_frame(answers.HEADERS, END_HEADERS, stream, answers.HEADER_BLOCK))
            for start in range(0, len(told), _LARGEST_FRAME):
                piece = told[start : start + _LARGEST_FRAME]
                last = start + _LARGEST_FRAME >= len(told)
                out.append(_frame(answers.DATA, END_STREAM if last else 0, stream, piece))
        return b"".join(out)


def content(body: bytes, limit: Limit) -> bytes:
    """What the answer to a request says, which counts its messages."""
    entries = [_entry(recipient) for recipient in _RECIPIENT.findall(body)]
    limit.messages += len(entries)
    return b'{"messages":[%b]}' % b",".join(entries) if body.startswith(_MANY) else entries[0]


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return answers.pack(kind, flags, stream, payload)


def _entry(recipient: bytes) -> bytes:
    number = b"%012x" % next(_numbers)
    return _ENTRY % (number, answers.RUN, number, recipient)
