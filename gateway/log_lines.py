"""Events as lines: JSON for machines, readable text for a terminal."""

from __future__ import annotations

import re
import time
from json import JSONEncoder
from typing import Final

import orjson

from gateway.log_redaction import EventDict


class _Clock:
    """UTC in ISO 8601 with milliseconds; the calendar is worked out once a second."""

    def __init__(self) -> None:
        self._second = 0
        self._text = ""

    def __call__(self) -> str:
        now = time.time()
        second = int(now)
        if second != self._second:
            self._text = time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(second))
            self._second = second
        return f"{self._text}{int((now - second) * 1000):03d}Z"


class Json:
    """One object, with `timestamp`, `level` and `event` in front."""

    def __init__(self) -> None:
        self._clock = _Clock()
        self._encode_oddities = JSONEncoder(
            separators=(",", ":"), default=str, skipkeys=True
        ).encode

    def __call__(self, _logger: object, method: str, event: EventDict) -> bytes:
        line = {"timestamp": self._clock(), "level": method, "event": event.pop("event", "")}
        line.update(event)
        try:
            return orjson.dumps(line, default=str)
        except TypeError:  # a loop, a lone surrogate, a huge number: no reason to lose the event
            plain = {key: str(value) for key, value in line.items()}
            return self._encode_oddities(plain).encode("ascii")


class Text:
    """`12:00:00.000 info    bind_accepted system_id=bank`; tracebacks below their line."""

    PLAIN: Final = re.compile(r"[\w.+*:/@\[\]-]+")

    def __init__(self) -> None:
        self._clock = _Clock()
        self._quote = JSONEncoder(default=str).encode

    def __call__(self, _logger: object, method: str, event: EventDict) -> bytes:
        name, exception = event.pop("event", ""), event.pop("exception", "")
        words = [self._clock()[11:23], f"{method:<7}", str(name)]
        for key, value in event.items():
            text = str(value) if isinstance(value, str | int | float) else self._quote(value)
            words.append(f"{key}={text if self.PLAIN.fullmatch(text) else self._quote(text)}")
        line = " ".join(words)
        # A peer chooses some of these characters: none may steer the terminal.
        below = "".join(f"\n    {self._quote(row)[1:-1]}" for row in exception.splitlines())
        return (line + below).encode("utf-8", "backslashreplace")
