"""What is written, what is hidden, and that nothing a reader does can hurt the writer."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from twisted.logger import globalLogPublisher
from twisted.python.failure import Failure

from gateway import log_output, logs
from gateway.config import LogSettings
from gateway.log_output import Descriptor

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def put_back() -> Iterator[None]:
    """Undo what configure changes in the process."""
    root, level, show = logging.getLogger(), logging.getLogger().level, warnings.showwarning
    yield
    structlog.reset_defaults()
    root.handlers = [h for h in root.handlers if not isinstance(h, logs._FromLogging)]
    root.setLevel(level)
    warnings.showwarning = show
    if logs.from_twisted in globalLogPublisher._observers:
        globalLogPublisher.removeObserver(logs.from_twisted)


@pytest.fixture
def written(put_back: None, monkeypatch: pytest.MonkeyPatch) -> Lines:
    """Configure JSON into memory, without taking over the process; the objects written."""
    monkeypatch.setattr(logs, "_take_over", lambda: None)
    stream = io.StringIO()
    logs.configure(LogSettings(format="json", level="debug"), stream)
    return lambda: [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_is_one_object_a_line(written: Lines) -> None:
    log = logs.get().bind(session_id="s1")
    log.info("bound", system_id="bank", peer="192.0.2.7", seconds=0.25)
    log.warning("bind_refused", detail="two\nlines \x1b[2J ja õ")
    first, second = written()
    assert list(first)[:3] == ["timestamp", "level", "event"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first.pop("timestamp"))
    assert first == {
        "level": "info",
        "event": "bound",
        "session_id": "s1",
        "system_id": "bank",
        "peer": "192.0.2.7",
        "seconds": 0.25,
    }
    assert second["detail"] == "two\nlines \x1b[2J ja õ"


def test_the_least_level(put_back: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_take_over", lambda: None)
    stream = io.StringIO()
    logs.configure(LogSettings(format="json", level="warning"), stream)
    logs.get().info("quiet")
    logs.get().warning("loud")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["loud"]


@pytest.mark.parametrize(
    ("field", "value", "shown"),
    [
        ("to", "+37251234567", "***567"),
        ("to", 37251234567, "***567"),
        ("destination", "003725 123 4567", "***567"),
        ("source", "12345", "***345"),
        ("source", "112", "112"),
        ("sender", "Demo", "Demo"),
        ("sender", "Info24", "Info24"),
        ("sender", "Bank37251234567", "Bank***567"),
        ("sender", "", ""),
        ("to", None, None),
        ("numbers", ["+37251234567", "+37251234999"], ["***567", "***999"]),
        ("source", (1, 1, "37251234567"), ["1", "1", "***567"]),
        ("detail", "no route to +37251234567, 112 or 123456", "no route to ***567, 112 or 123456"),
        ("detail", "a1234567b", "a***567b"),
        ("detail", "command_id 0x00000077 from 37251234567", "command_id 0x00000077 from ***567"),
        ("detail", "0x80000004, 0x12345678", "0x80000004, 0x12345678"),
        ("detail", "+37251234567 / 0037251234567 / 372 5123 4567", "***567 / ***567 / ***567"),
        ("api_source", "payload[to][37251234567]", "payload[to][***567]"),
        ("api_source", "payload[sms][sender]", "payload[sms][sender]"),
        ("reason", ValueError("37251234567"), "***567"),
        ("password", "s3cret", "[redacted]"),
        ("text", "Hello", "[redacted]"),
        ("short_message", b"Hello", "[redacted]"),
        ("authorization", "Basic abc", "[redacted]"),
        ("token", "abc", "[redacted]"),
        ("body", {"to": "x"}, "[redacted]"),
        ("octets", b"Hello", "[5 octets]"),
        ("request", {"to": "+37251234567", "text": "Hello", "n": 1},
         {"to": "***567", "text": "[redacted]", "n": 1}),
        ("items", [{"password": "x"}, b"ab"], [{"password": "[redacted]"}, "[2 octets]"]),
        ("message_id", "3f0c2a40-1111-2222-3333-444455556666",
         "3f0c2a40-1111-2222-3333-444455556666"),
    ],
)  # fmt: skip
def test_redaction(written: Lines, field: str, value: Any, shown: Any) -> None:
    logs.get().info("x", **{field: value})
    assert written()[0][field] == shown


def test_bound_fields_are_redacted_too(written: Lines) -> None:
    logs.get().bind(to="+37251234567", password="x").info("y")
    assert (written()[0]["to"], written()[0]["password"]) == ("***567", "[redacted]")


def test_full_numbers_never_uncover_text(put_back: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_take_over", lambda: None)
    stream = io.StringIO()
    logs.configure(LogSettings(format="json", full_numbers=True), stream)
    logs.get().info("x", to="+37251234567", detail="to +37251234567", text="Hello")
    event = json.loads(stream.getvalue())
    assert (event["to"], event["detail"]) == ("+37251234567", "to +37251234567")
    assert event["text"] == "[redacted]"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object, {1, 2}, "\ud800"])
def test_odd_values_lose_no_event(written: Lines, value: Any) -> None:
    logs.get().info("x", value=value, other=1)
    assert str(written()[0]["other"]) == "1"


def test_exceptions_are_one_event(written: Lines) -> None:
    try:
        raise ValueError("number 37251234567")
    except ValueError as error:
        logs.get().error("a", exc_info=True)
        logs.get().error("b", exc_info=error)
        logs.get().error("c", failure=Failure())
        logs.get().error("d", failure=Failure().getTraceback())
    logs.get().info("e", exc_info=None)
    *failed, fine = written()
    assert len(failed) == 4
    for event in failed:
        assert event["exception"].startswith("Traceback")
        assert event["exception"].endswith("number ***567")
    assert "exception" not in fine


def test_text_for_a_terminal(put_back: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_take_over", lambda: None)
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: True)
    logs.configure(LogSettings(), stream)
    logs.get().info("bound", system_id="bank", peer="192.0.2.7:1", n=3, system_type="\x1b[2J a")
    try:
        raise ValueError("x\x1b[2J")
    except ValueError:
        logs.get().error("bad", exc_info=True)
    first, second, *rest = stream.getvalue().splitlines()
    assert re.fullmatch(
        r"\d\d:\d\d:\d\d\.\d{3} info    bound system_id=bank peer=192\.0\.2\.7:1 n=3 "
        r'system_type="\\u001b\[2J a"',
        first,
    )
    assert second.endswith(" error   bad")
    assert rest[0] == "    Traceback (most recent call last):"
    assert "\x1b" not in stream.getvalue()


PROGRAM = """
import logging, sys, warnings
from twisted.internet import defer
from twisted.logger import Logger
from gateway import logs
from gateway.config import LogSettings
Logger().info("before")
logs.configure(LogSettings(level="debug"), sys.stdout)
logs.configure(LogSettings(level="debug"), sys.stdout)
defer.fail(ValueError("number 37251234567"))
logging.getLogger("urllib3").warning("%s failed", "37251234567")
logging.getLogger("smpplib").info("secret")
try:
    1 / 0
except ZeroDivisionError:
    logging.getLogger("x").exception("oops")
warnings.warn("old", UserWarning)
Logger().warn("twisted {word}", word="warns")
from twisted.python import log
print("a token", file=log.logfile)
"""


def test_foreign_logs_come_out_as_events() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", PROGRAM], capture_output=True, text=True, timeout=30
    )
    assert done.stderr == ""
    events = [json.loads(line) for line in done.stdout.splitlines()]
    told = [(e["level"], e["event"], e["detail"].partition("\n")[0]) for e in events]
    assert told == [
        ("debug", "twisted", "before"),
        ("error", "unhandled_error", ""),
        ("warning", "python_log", "***567 failed"),
        ("error", "python_log", "oops"),
        ("warning", "python_warning", "old"),
        ("warning", "twisted", "twisted warns"),
    ]
    assert events[1]["exception"].endswith("ValueError: number ***567")
    assert "ZeroDivisionError" in events[3]["exception"]


def test_lines_of_threads_do_not_mix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_output, "PATIENCE", 10_000)  # a busy machine shall drop no line
    reader, writer = os.pipe()
    output = Descriptor(writer)
    long = b"x" * 5000  # above what a pipe takes at once

    def write() -> None:
        for _ in range(50):
            output.write(long)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    octets = b""
    while octets.count(b"\n") < 200:
        octets += os.read(reader, 65536)
    for thread in threads:
        thread.join()
    assert set(octets.splitlines()) == {long}
    os.close(reader)
    os.close(writer)


def test_a_full_pipe_drops_lines_and_says_how_many() -> None:
    reader, writer = os.pipe()
    output = Descriptor(writer)
    for number in range(2000):
        output.write(b"%0100d" % number)
    assert 0 < output.dropped < 2000
    dropped = output.dropped
    lines = os.read(reader, 1 << 20).splitlines()
    assert len(lines) == 2000 - dropped
    output.write(b"after")
    report, after = os.read(reader, 1 << 20).splitlines()
    assert json.loads(report) == {
        "level": "warning",
        "event": "log_lines_dropped",
        "count": dropped,
    }
    assert after == b"after"
    os.close(reader)
    os.close(writer)


def test_a_reader_that_left_hurts_nobody() -> None:
    reader, writer = os.pipe()
    output = Descriptor(writer)
    os.close(reader)
    output.write(b"a")
    output.write(b"b")
    assert output.dropped == 2
    os.close(writer)
    output.write(b"c")
    assert output.dropped == 3


def filled(free: int = 0) -> tuple[int, int]:
    """A pipe's two ends, with room for so many octets more."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    try:
        while True:
            os.write(writer, b"." * 4096)
    except BlockingIOError:
        os.set_blocking(writer, True)
    if free:
        os.read(reader, free)
    return reader, writer


def test_a_reader_that_stalls_costs_a_twentieth_of_the_time() -> None:
    reader, writer = filled()
    output = Descriptor(writer)
    began = time.monotonic()
    for number in range(1_000):
        output.write(b"%d" % number)
    assert time.monotonic() - began < 0.2
    assert output.dropped == 1_000
    os.close(reader)
    os.close(writer)


def test_each_second_has_some_patience_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = filled()
    output = Descriptor(writer)
    real = time.monotonic
    later = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: real() + later)

    def spent() -> float:
        began = real()
        for _ in range(10):
            output.write(b"x")
        return real() - began

    assert 0.04 < spent() < 0.2
    assert spent() < 0.04
    later = 1.0
    assert 0.04 < spent() < 0.2
    os.close(reader)
    os.close(writer)


def test_a_reader_that_is_only_slow_gets_every_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_output, "PATIENCE", 10_000)  # however busy the machine
    reader, writer = filled()
    output = Descriptor(writer)
    drain = threading.Timer(0.01, os.read, (reader, 1 << 20))
    drain.start()
    output.write(b"kept")
    drain.join()
    assert output.dropped == 0
    assert os.read(reader, 100) == b"kept\n"
    os.close(reader)
    os.close(writer)


def test_a_line_that_was_cut_off_does_not_spoil_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_output, "PATIENCE", 2)
    reader, writer = filled(free=4096)
    output = Descriptor(writer)
    output.write(b"x" * 10_000)
    assert output.dropped == 1
    torn = os.read(reader, 1 << 20).lstrip(b".")
    assert torn == b"x" * 4096
    for line in (b"after", b"later"):
        output.write(line)
    end, report, *lines = os.read(reader, 1 << 20).splitlines()
    assert end == b""  # of the torn line
    assert json.loads(report)["count"] == 1
    assert lines == [b"after", b"later"]
    os.close(reader)
    os.close(writer)


# Sampling, and what changes while the gateway runs.


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that time.monotonic gives."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_a_storm_is_sampled_and_its_rest_told(written: Lines, clock: list[float]) -> None:
    logs.apply(LogSettings(level="debug", sampled=2))
    counted: list[tuple[str, int]] = []
    logs.count_suppressed(lambda event, lines: counted.append((event, lines)))
    log = logs.get().bind(session_id="s1")
    for _ in range(50):
        log.warning("bind_refused", peer="192.0.2.7")
        log.warning("message_refused", detail="each has its line")
    clock[0] += 1
    log.warning("bind_refused", peer="192.0.2.8")
    names = [event["event"] for event in written()]
    assert names.count("message_refused") == 50
    assert names.count("bind_refused") == 3
    *_, summary, last = written()
    assert last["peer"] == "192.0.2.8"
    summary.pop("timestamp")
    assert summary == {
        "level": "warning",
        "event": "log_lines_suppressed",
        "suppressed_event": "bind_refused",
        "count": 48,
        "seconds": 1.0,
    }
    assert counted == [("bind_refused", 48)]


def test_a_storm_that_stops_is_told_too(written: Lines, clock: list[float]) -> None:
    logs.apply(LogSettings(level="debug", sampled=1))
    for _ in range(3):
        logs.get().info("irregular")
    logs.flush()
    assert len(written()) == 1, "its second is not over"
    clock[0] += 1.25
    logs.flush()
    logs.flush()
    _, summary = written()
    assert (summary["count"], summary["seconds"]) == (2, 1.2)
    for _ in range(2):
        logs.get().info("irregular")
    logs.flush(everything=True)
    assert written()[-1]["count"] == 1


def test_what_the_level_leaves_out_is_not_counted(written: Lines, clock: list[float]) -> None:
    logs.apply(LogSettings(level="info", sampled=1))
    for _ in range(5):
        logs.get().debug("connected")
    logs.flush(everything=True)
    assert written() == []


def test_settings_reach_the_loggers_in_use(written: Lines) -> None:
    log = logs.get().bind(to="+37251234567")
    log.debug("a")
    logs.apply(LogSettings(level="warning", full_numbers=True))
    log.info("b")
    log.bind(n=1).info("b")
    log.warning("c")
    logs.apply(LogSettings(level="debug"))
    log.bind(n=2).debug("d")
    assert [(event["event"], event["to"]) for event in written()] == [
        ("a", "***567"),
        ("c", "+37251234567"),
        ("d", "***567"),
    ]


def test_a_logger_of_another_configuration_keeps_its_own(written: Lines) -> None:
    before = logs.get()
    other = io.StringIO()
    logs.configure(LogSettings(format="json", level="error"), other)
    logs.apply(LogSettings(format="json", level="warning"))
    before.debug("a")
    logs.get().info("b")
    logs.get().warning("c")
    assert [event["event"] for event in written()] == ["a"]
    assert json.loads(other.getvalue())["event"] == "c"
