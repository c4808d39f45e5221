"""What a process is told before it runs for years."""

from __future__ import annotations

import gc
import resource
import time
from collections.abc import Callable
from types import SimpleNamespace
from weakref import ref

from gateway.process import keep_what_is_there, prepare, room_for_clients


class Ring:
    """Knows itself."""

    def __init__(self) -> None:
        self.ring = self


def test_a_process_is_prepared_for_years() -> None:
    """A wall clock that is set back stops no timer; descriptors are as many as there may be."""
    timers: list[tuple[float, Callable[[], object]]] = []

    def call_later(seconds: float, function: Callable[[], object]) -> None:
        timers.append((seconds, function))

    reactor = SimpleNamespace(seconds=time.time, callLater=call_later)
    thresholds, limits = gc.get_threshold(), resource.getrlimit(resource.RLIMIT_NOFILE)
    soft, hard = limits
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 512), hard))
        prepare(reactor)
        keep_what_is_there()
        assert reactor.seconds is time.monotonic
        assert gc.get_freeze_count() > 0
        assert gc.get_threshold() != thresholds
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 512
        garbage = ref(Ring())
        [(seconds, collect)] = timers
        assert 0 < seconds <= 60
        assert garbage() is not None
        collect()
        assert garbage() is None
        assert len(timers) == 2, "and again"
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_clients_leave_descriptors_for_the_rest() -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (500, limits[1]))
        found = [room_for_clients(others) for others in (100, 250, 300, 5_000)]
        assert found == [400, 250, 250, 250], "never less than half"
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
