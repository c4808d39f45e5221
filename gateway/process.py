"""What the operating system and the interpreter are told about a process that runs for years."""

from __future__ import annotations

import ctypes
import errno
import gc
import resource
import sys
import termios
import time
from contextlib import suppress
from typing import Any, Final, TextIO

from twisted.internet.task import LoopingCall

_M_MMAP_THRESHOLD: Final = -3  # malloc.h
_COLLECTED_EVERY: Final = 30.0  # seconds
_SINCE_LAST: Final = 1  # the generations up to it: what has been made since the last time


def prepare(reactor: Any) -> None:
    """What a process needs that runs for years under load."""
    # Twisted counts by the wall clock: one set back by an hour would stop every timer for one.
    reactor.seconds = time.monotonic
    # A thousand messages in flight are no reason to look for cycles: 8 % of the processor time
    # of a relayed message.
    gc.set_threshold(20_000, 20, 100)
    # Where there is little to look through that is looked for seldom: what is garbage by then has
    # spread over the heap.
    collecting = LoopingCall(gc.collect, _SINCE_LAST)
    collecting.clock = reactor
    collecting.start(_COLLECTED_EVERY, now=False)
    _return_large_blocks()
    # A descriptor for every client and every connection to the API: as many as we may have.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = 1 << 20 if most == resource.RLIM_INFINITY else most
    resource.setrlimit(resource.RLIMIT_NOFILE, (enough, most))


def keep_what_is_there() -> None:
    """The start is over: what was made by it is never garbage, and is not looked through again."""
    gc.collect()
    gc.freeze()


def room_for_clients(others: int) -> int:
    """How many descriptors are left for clients when `others` are for everything else.

    Clients take no more than that, or there would be none to reach the API with; where the limit
    is too small for both, they share it. Call it after `prepare`.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = sys.maxsize if soft == resource.RLIM_INFINITY else soft
    return max(limit - others, limit // 2)


def _return_large_blocks() -> None:
    """Have glibc give large blocks back to the system when they are freed.

    It learns from the first password check, which takes 19 MiB, to keep such blocks for
    good. A C library without mallopt has no such habit.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, 1 << 20)


def terminal_is_gone(stream: TextIO) -> bool:
    """Whether `stream` leads to a terminal that was closed."""
    try:
        termios.tcgetattr(stream.fileno())
    except termios.error as error:
        return bool(error.args[0] == errno.EIO)  # ENOTTY: it never was one
    except (OSError, ValueError):
        return False
    return False
