"""The structured log: one event a line, as JSON or, on a terminal, as readable text.

An event has a stable name and fields, bound explicitly to the logger that is handed on.
Redaction is one step that every event passes: numbers keep their last three digits, and
message text, passwords and tokens are never written, whoever logged them by mistake.

    log = logs.get().bind(session_id=7)
    log.info("bound", system_id="bank")

Twisted's log, the standard library's and Python's warnings come out as events too.
"""

from __future__ import annotations

import logging
import threading
import time
import warnings
from collections.abc import Callable
from typing import Any, Final, TextIO, cast

import structlog
from structlog.typing import FilteringBoundLogger, Processor
from twisted.logger import LogEvent, LogLevel, formatEvent, globalLogBeginner

from gateway.config import LogSettings
from gateway.log_lines import Json, Text
from gateway.log_output import Later, Output, open_output
from gateway.log_redaction import EventDict, Redact
from gateway.log_sampling import SAMPLED, Sampler, Suppressed

LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}


class _InForce:
    """What every logger made since `configure` shares, so that a change reaches them all."""

    def __init__(self, settings: LogSettings, as_text: bool) -> None:
        self.redact = Redact(settings.full_numbers)
        self.sampling = _Sampling(settings.sampled)
        self.processors: list[Processor] = [
            self.sampling,
            self.redact,
            Text() if as_text else Json(),
        ]
        # A class's own base decides its level, and changing that is the one way that costs
        # nothing: the methods below the level stay those that do nothing.
        self.logger_class: Any = type("_Logger", (_filtering(settings.level),), {})

    def apply(self, settings: LogSettings) -> None:
        self.redact.show_numbers(settings.full_numbers)
        self.sampling.sampler.limit = settings.sampled
        self.logger_class.__bases__ = (_filtering(settings.level),)


_in_force: _InForce | None = None


def configure(settings: LogSettings, stream: TextIO, later: Later | None = None) -> None:
    """Send every event of this process to `stream` from now on.

    A logger got before keeps what it was made with. `later` calls what it is given at the end
    of the event loop's turn; with it the lines of a turn leave together.
    """
    global _in_force
    output = open_output(stream, later)
    as_text = settings.format == "text" or (settings.format == "auto" and stream.isatty())
    _in_force = _InForce(settings, as_text)
    structlog.configure(
        processors=_in_force.processors,
        wrapper_class=_in_force.logger_class,
        logger_factory=lambda *_: _Lines(output),
        cache_logger_on_first_use=False,
    )
    _take_over()


def apply(settings: LogSettings) -> None:
    """Put level, full_numbers and sampled into force, for the loggers too that are in use.

    The format stays that of `configure`, and without that nothing happens.
    """
    if _in_force is not None:
        _in_force.apply(settings)


def count_suppressed(count: Callable[[str, int], object]) -> None:
    """Have `count` told of each event's lines that were left out: its name and how many."""
    if _in_force is not None:
        _in_force.sampling.count = count


def flush(*, everything: bool = False) -> None:
    """Tell what was left out in the seconds that are over; to be called about once a second,
    for a storm may stop without another line. `everything` is for the end of the process.
    """
    if _in_force is not None:
        _in_force.sampling.flush(everything=everything)


def get() -> FilteringBoundLogger:
    """A logger with the settings now in force. Make it once and keep it: events are cheap,
    loggers are not.
    """
    return cast("FilteringBoundLogger", structlog.get_logger().bind())


def _filtering(level: str) -> type[FilteringBoundLogger]:
    return structlog.make_filtering_bound_logger(LEVELS[level])


class _Sampling:
    """The step that leaves out what strangers say too often."""

    def __init__(self, limit: int) -> None:
        self.sampler = Sampler(limit)
        self.count: Callable[[str, int], object] = lambda event, lines: None
        self._lock = threading.Lock()  # a library may warn in a thread of its own

    def __call__(self, _logger: object, _method: str, event: EventDict) -> EventDict:
        name = event["event"]
        if name not in SAMPLED:
            return event
        with self._lock:
            passes, before = self.sampler.take(name, time.monotonic())
        if before is not None:
            self._tell(before)
        if not passes:
            raise structlog.DropEvent
        return event

    def flush(self, *, everything: bool) -> None:
        with self._lock:
            ended = self.sampler.ended(time.monotonic(), everything=everything)
        for suppressed in ended:
            self._tell(suppressed)

    def _tell(self, suppressed: Suppressed) -> None:
        self.count(suppressed.event, suppressed.lines)
        get().warning(
            "log_lines_suppressed",
            suppressed_event=suppressed.event,
            count=suppressed.lines,
            seconds=round(suppressed.seconds, 1),
        )


class _Lines:
    """What structlog hands each rendered line to; its methods are the levels' names."""

    def __init__(self, output: Output) -> None:
        self.debug = self.info = self.warning = self.error = self.critical = output.write


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
