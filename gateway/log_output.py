"""Lines to a file descriptor: whole, at once, and never at the cost of the gateway.

A reader that stalls or goes away must not stop the relaying. Each line is one write; when
the reader does not take it within a short time it is dropped, and the number of dropped
lines is written as soon as the reader takes lines again.
"""

from __future__ import annotations

import os
import select
import threading
from typing import Final, Protocol, TextIO

PATIENCE: Final = 50  # ms the first line that finds the pipe full waits for its reader
CHUNK: Final = 4096  # PIPE_BUF: what a pipe that polls writable takes without blocking


class Output(Protocol):
    """Where rendered lines go."""

    def write(self, line: bytes) -> None: ...


def open_output(stream: TextIO) -> Output:
    """The fastest safe way to write lines to `stream`."""
    try:
        descriptor = stream.fileno()
    except OSError:  # a stream in memory
        return _Stream(stream)
    stream.flush()
    return Descriptor(descriptor)


class _Stream:
    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, line: bytes) -> None:
        self._stream.write(line.decode() + "\n")
        self._stream.flush()


class Descriptor:
    """An open file, pipe or terminal. Lines of several threads do not mix."""

    def __init__(self, descriptor: int) -> None:
        self.dropped = 0
        self._descriptor = descriptor
        self._patience = PATIENCE
        self._lock = threading.Lock()
        poll = select.poll()
        poll.register(descriptor, select.POLLOUT)
        self._writable = poll.poll

    def write(self, line: bytes) -> None:
        octets = line + b"\n"
        with self._lock:
            if not self._writable(self._patience):
                self.dropped += 1
                self._patience = 0
                return
            try:
                if self.dropped:
                    self._report()
                self._write(octets)
            except OSError:  # the reader is gone or the disk is full: relaying goes on
                self.dropped += 1
            else:
                self._patience = PATIENCE

    def _report(self) -> None:
        words = b'{"level":"warning","event":"log_lines_dropped","count":%d}\n' % self.dropped
        self._write(words)
        self.dropped = 0

    def _write(self, octets: bytes) -> None:
        if len(octets) <= CHUNK:
            written = os.write(self._descriptor, octets)
            if written == len(octets):
                return
            octets = octets[written:]
        # A long traceback goes in pieces, so that a full pipe cannot block for good.
        while octets:
            if not self._writable(PATIENCE * 20):
                raise BlockingIOError
            octets = octets[os.write(self._descriptor, octets[:CHUNK]) :]
