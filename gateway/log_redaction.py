"""What no line of the log may show: numbers are masked; text, passwords and tokens left out."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import Any, Final, cast

import structlog
from twisted.python.failure import Failure

# Fields that hold an address: masked, unless log.full_numbers says otherwise.
# fmt: off
NUMBERS: Final = frozenset({
    "destination", "destination_addr", "from", "msisdn", "number", "numbers", "recipient",
    "sender", "source", "source_addr", "to",
})
# Fields in whose prose a number may stand.
PROSE: Final = frozenset({"api_source", "code", "detail", "error", "exception", "reason"})
# Fields that no log may hold.
NEVER: Final = frozenset({
    "api_password", "authorization", "body", "content", "credentials", "dlr_url", "headers",
    "message", "message_payload", "password", "password_hash", "payload", "raw", "secret",
    "short_message", "text", "token", "udh",
})
# fmt: on
REDACTED: Final = "[redacted]"
_SPECIAL: Final = NUMBERS | PROSE | NEVER | {"exc_info", "failure"}
_NESTED: Final = frozenset({dict, list, tuple, bytes})
_LETTER: Final = re.compile(r"[^\W\d_]")
# Seven digits or more, also in groups.
_DIGITS: Final = re.compile(r"(?<![0-9])(?<!0x)\+?(?:\d ?){4,}(\d ?\d ?\d)(?!\d)")

EventDict = MutableMapping[str, Any]


class Redact:
    """The step that every event passes before it is written."""

    def __init__(self, full_numbers: bool) -> None:
        self.show_numbers(full_numbers)

    def show_numbers(self, full: bool) -> None:
        """Write them in `full` from now on, or masked."""
        self._number: Callable[[Any], Any] = (lambda value: value) if full else mask
        self._prose: Callable[[Any], Any] = (lambda value: value) if full else mask_prose

    def __call__(self, _logger: object, _method: str, event: EventDict) -> EventDict:
        for key in _SPECIAL.intersection(event):
            if key in NUMBERS:
                event[key] = self._number(event[key])
            elif key in PROSE:
                event[key] = self._prose(event[key])
            elif key in NEVER:
                event[key] = REDACTED
            elif text := _traceback(event.pop(key)):
                event["exception"] = self._prose(text)
        if not _NESTED.isdisjoint(map(type, event.values())):
            for key, value in event.items():
                event[key] = self._nested(value)
        return event

    def _nested(self, value: Any) -> Any:
        if isinstance(value, dict):
            return self(None, "", dict(value))
        if isinstance(value, list | tuple):
            return [self._nested(element) for element in value]
        if isinstance(value, bytes):
            return f"[{len(value)} octets]"
        return value


def _traceback(cause: Any) -> str:
    """The text of a Failure, an exception, exc_info=True inside an except block, or a text."""
    if isinstance(cause, str):
        return cause.rstrip()
    if isinstance(cause, Failure):
        return cause.getTraceback().rstrip()
    if not cause:
        return ""
    event = structlog.processors.format_exc_info(None, "", {"exc_info": cause})
    return str(cast("Mapping[str, Any]", event).get("exception", ""))


def mask(value: Any) -> Any:
    """An address with all but the last three digits hidden; an alphanumeric one stays readable.

    Takes a string, an int or a sequence of them.
    """
    if isinstance(value, int):
        value = str(value)
    if isinstance(value, str):
        if len(value) <= 3 or value.isalpha():
            return value
        if not value.isdecimal() and _LETTER.search(value):
            value = mask_prose(value)
            return value if sum(map(str.isdigit, value)) < 7 else f"***{value[-3:]}"
        return f"***{value[-3:]}"
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [mask(element) for element in value]
    return value


def mask_prose(value: Any) -> Any:
    """The same words with every run of seven or more digits cut to its last three."""
    if isinstance(value, str | BaseException):
        return _DIGITS.sub(r"***\1", str(value))
    return value
