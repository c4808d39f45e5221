"""What strangers and broken clients can make the log say is bounded; the rest is counted.

Pure: the time comes in, and what was left out of a second comes out once that is over.
"""

from __future__ import annotations

from typing import Final, NamedTuple

# Events that whoever can connect may cause in any number, and the faults of ours that one of
# them may have found. A line that is the record of a message, a receipt or a bound session is
# never among them: an operator must be able to look up every one.
# fmt: off
SAMPLED: Final = frozenset({
    "bind_failed", "bind_refused", "callback_failed", "callback_refused", "connected",
    "connection_closed", "connection_refused", "disconnected", "irregular", "locked_out",
    "python_log", "python_warning", "relay_failed", "request_refused", "session_dropped",
    "session_failed", "tls_handshake_failed", "twisted", "unhandled_error",
})
# fmt: on
SECOND: Final = 1.0


class Suppressed(NamedTuple):
    """Lines of an event that were left out within some seconds."""

    event: str
    lines: int
    seconds: float


class Sampler:
    """Passes `limit` lines a second of each event, 0 for all of them; `limit` may change."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._seconds: dict[str, _Second] = {}

    def take(self, event: str, now: float) -> tuple[bool, Suppressed | None]:
        """Whether this line passes, and what was left out before, if that second is over.

        An event's second begins with its first line. `now` is in seconds and never runs back.
        """
        second, told = self._seconds.get(event), None
        if second is None or now - second.began >= SECOND:
            told = self._close(event, now)
            second = self._seconds[event] = _Second(now)
        if second.passed < self.limit or not self.limit:
            second.passed += 1
            return True, told
        second.left_out += 1
        return False, told

    def ended(self, now: float, *, everything: bool = False) -> list[Suppressed]:
        """What was left out in seconds that are over, or in `everything`; told once."""
        over = [
            event
            for event, second in self._seconds.items()
            if everything or now - second.began >= SECOND
        ]
        return [told for event in over if (told := self._close(event, now))]

    def _close(self, event: str, now: float) -> Suppressed | None:
        second = self._seconds.pop(event, None)
        if second is None or not second.left_out:
            return None
        return Suppressed(event, second.left_out, now - second.began)


class _Second:
    __slots__ = ("began", "left_out", "passed")

    def __init__(self, began: float) -> None:
        self.began = began
        self.passed = 0
        self.left_out = 0
