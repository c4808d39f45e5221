"""Submits whose response has not left yet: a receipt must never precede it.

Kannel takes a deliver_sm for a message_id that it has not been told with ESME_ROK and loses
it. The API may call back before its own answer is read, so what such a report brings waits
here for the response.

Each submit that asks for a receipt has a serial number, which its route carries to the API
and back. A number of an earlier process can only make a receipt wait for another message's
response, a moment at most.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

SERIALS: Final = 1 << 24


class Unanswered:
    """The serial numbers in use. `first` is where they begin, any number."""

    def __init__(self, first: int = 1) -> None:
        self._next = first % SERIALS or 1
        self._waiting: dict[int, list[Callable[[], None]] | None] = {}

    def __contains__(self, serial: int) -> bool:
        return serial in self._waiting

    def begin(self) -> int:
        """A number, never 0, for a submit whose response is still to come."""
        serial = self._next
        self._next = (serial + 1) % SERIALS or 1
        self._waiting[serial] = None
        return serial

    def answered(self, serial: int) -> None:
        """The response has left, or there will be none."""
        for call in self._waiting.pop(serial, None) or ():
            call()

    def when_answered(self, serial: int, call: Callable[[], None]) -> None:
        """Call once the response has left, at once if it has."""
        if serial not in self._waiting:
            call()
            return
        calls = self._waiting[serial] or []
        calls.append(call)
        self._waiting[serial] = calls
