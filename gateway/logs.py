"""The structured log: one event a line, as JSON or, on a terminal, as readable text.

An event has a stable name and fields, bound explicitly to the logger that is handed on.
Redaction is one step that every event passes: numbers keep their last three digits, and
message text, passwords and tokens are never written, whoever logged them by mistake.

    log = logs.get().bind(session_id=7)
    log.info("bind_accepted", system_id="bank")

Twisted's log, the standard library's and Python's warnings come out as events too.
"""

from __future__ import annotations

import logging
import re
import time
import warnings
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from json import JSONEncoder
from typing import Any, Final, TextIO, cast

import orjson
import structlog
from structlog.typing import FilteringBoundLogger
from twisted.logger import LogEvent, LogLevel, formatEvent, globalLogBeginner
from twisted.python.failure import Failure

from gateway.config import LogSettings
from gateway.log_output import Later, Output, open_output

LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}

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


def configure(settings: LogSettings, stream: TextIO, later: Later | None = None) -> None:
    """Send every event of this process to `stream` from now on.

    A logger got before keeps the settings it was made with. `later` calls what it is given
    at the end of the event loop's turn; with it the lines of a turn leave together.
    """
    output = open_output(stream, later)
    as_text = settings.format == "text" or (settings.format == "auto" and stream.isatty())
    render = _Text() if as_text else _Json()
    structlog.configure(
        processors=[_Redact(settings.full_numbers), render],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[settings.level]),
        logger_factory=lambda *_: _Lines(output),
        cache_logger_on_first_use=False,
    )
    _take_over()


def get() -> FilteringBoundLogger:
    """A logger with the settings now in force. Make it once and keep it: events are cheap,
    loggers are not.
    """
    return cast("FilteringBoundLogger", structlog.get_logger().bind())


class _Lines:
    """What structlog hands each rendered line to; its methods are the levels' names."""

    def __init__(self, output: Output) -> None:
        self.debug = self.info = self.warning = self.error = self.critical = output.write


class _Redact:
    def __init__(self, full_numbers: bool) -> None:
        self._number: Callable[[Any], Any] = (lambda value: value) if full_numbers else mask
        self._prose: Callable[[Any], Any] = (lambda value: value) if full_numbers else mask_prose

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


class _Json:
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


class _Text:
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


def _take_over() -> None:
    """Route Twisted, logging and warnings here, once per process."""
    root = logging.getLogger()
    if any(isinstance(handler, _FromLogging) for handler in root.handlers):
        return
    root.addHandler(_FromLogging())
    # Below warning, smpplib logs whole PDUs and urllib3 whole URLs: message text and tokens.
    root.setLevel(logging.WARNING)
    globalLogBeginner.beginLoggingTo([cast("Any", from_twisted)], redirectStandardIO=False)
    warnings.showwarning = _from_warnings


class _FromLogging(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        level = "error" if record.levelno >= logging.ERROR else "warning"
        getattr(get(), level)(
            "python_log",
            logger=record.name,
            detail=record.getMessage(),
            exc_info=record.exc_info,
        )


def _from_warnings(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    get().warning(
        "python_warning",
        category=category.__name__,
        detail=str(message),
        where=f"{filename}:{lineno}",
    )


def from_twisted(event: LogEvent) -> None:
    """A Twisted log observer. A failure is an error; what Twisted finds worth an info is debug."""
    if "log_io" in event:
        return  # twisted.web's access lines: their paths hold callback tokens
    if event.get("isError") and not event.get("log_failure"):
        return  # a Deferred's heading; the failure itself is the next event
    level, log = event.get("log_level"), get()
    fields = {"namespace": event.get("log_namespace", ""), "detail": formatEvent(event) or ""}
    if failure := event.get("log_failure"):
        log.error("unhandled_error", failure=failure, **fields)
    elif level in {LogLevel.error, LogLevel.critical}:
        log.error("twisted", **fields)
    elif level is LogLevel.warn:
        log.warning("twisted", **fields)
    else:
        log.debug("twisted", **fields)
