"""Lines to a file descriptor: whole, at once, and never at the cost of the gateway.

A reader that stalls or goes away must not stop the relaying. A write holds whole lines; when
the reader does not take them within a short time they are dropped, and the number of dropped
lines is written as soon as the reader takes lines again.
"""

from __future__ import annotations

import atexit
import os
import select
import threading
import time
from collections.abc import Callable
from typing import Final, Protocol, TextIO

PATIENCE: Final = 50  # ms of each second spent waiting for a reader who has a full pipe
CHUNK: Final = 4096  # PIPE_BUF: what a pipe that polls writable takes without blocking


class Output(Protocol):
    """Where rendered lines go, without their newline."""

    def write(self, line: bytes) -> None: ...


Later = Callable[[Callable[[], None]], object]


def open_output(stream: TextIO, later: Later | None = None) -> Output:
    """The fastest safe way to write lines to `stream`.

    With `later`, which calls what it is given at the end of the event loop's turn, the lines
    of a turn leave together: under load that is most of what a line costs.
    """
    try:
        descriptor = stream.fileno()
    except OSError:  # a stream in memory
        return _Stream(stream)
    stream.flush()
    output = Descriptor(descriptor)
    return output if later is None else _Gathered(output, later)


class _Stream:
    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, line: bytes) -> None:
        self._stream.write(line.decode() + "\n")
        self._stream.flush()


class _Gathered:
    """Lines of the event loop's thread wait for the end of its turn; others go at once."""

    def __init__(self, output: Descriptor, later: Later) -> None:
        self._output = output
        self._later = later
        self._home = threading.get_ident()
        self._lines: list[bytes] = []
        atexit.register(self.flush)

    def write(self, line: bytes) -> None:
        if threading.get_ident() != self._home:
            self._output.write(line)
            return
        self._lines.append(line)
        if len(self._lines) == 1:
            self._later(self.flush)

    def flush(self) -> None:
        lines, self._lines = self._lines, []
        self._output.write_all(lines)


class Descriptor:
    """An open file, pipe or terminal. Lines of several threads do not mix."""

    def __init__(self, descriptor: int) -> None:
        self.dropped = 0
        self._descriptor = descriptor
        self._second = 0.0  # when the second began for which `_waited` counts
        self._waited = 0.0  # ms spent waiting for the reader
        self._torn = False
        self._lock = threading.Lock()
        poll = select.poll()
        poll.register(descriptor, select.POLLOUT)
        self._writable = poll.poll

    def write(self, line: bytes) -> None:
        self.write_all([line])

    def write_all(self, lines: list[bytes]) -> None:
        """Write whole lines, as many at once as a pipe takes."""
        with self._lock:
            portion: list[bytes] = []
            size = 0
            for line in lines:
                if portion and size + len(line) + 1 > CHUNK:
                    self._write_portion(portion)
                    portion, size = [], 0
                portion.append(line)
                size += len(line) + 1
            if portion:
                self._write_portion(portion)

    def _write_portion(self, lines: list[bytes]) -> None:
        if not self._writable(0) and not self._wait():
            self.dropped += len(lines)
            return
        try:
            if self.dropped:
                self._report()
            self._write(b"\n".join(lines) + b"\n")
        except OSError:  # the reader is gone or the disk is full: relaying goes on
            self.dropped += len(lines)

    def _wait(self) -> bool:
        """Give a slow reader a moment, out of what there is for each second."""
        now = time.monotonic()
        if now - self._second >= 1.0:
            self._second, self._waited = now, 0.0
        left = PATIENCE - self._waited
        if left < 1:
            return False
        ready = bool(self._writable(left))
        self._waited += (time.monotonic() - now) * 1000
        return ready

    def _report(self) -> None:
        words = b'{"level":"warning","event":"log_lines_dropped","count":%d}\n' % self.dropped
        self._write(words)
        self.dropped = 0

    def _write(self, octets: bytes) -> None:
        if self._torn:  # the last line was cut off: it shall not spoil this one
            octets = b"\n" + octets
        written = os.write(self._descriptor, octets[:CHUNK])
        # A long traceback goes in pieces, so that a full pipe cannot block for good.
        while written < len(octets):
            self._torn = True
            if not self._writable(0) and not self._wait():
                raise BlockingIOError
            written += os.write(self._descriptor, octets[written : written + CHUNK])
        self._torn = False
