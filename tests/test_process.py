"""What a process is told before it runs for years."""

from __future__ import annotations

import gc
import resource
import time
from types import SimpleNamespace

from gateway.process import prepare, room_for_clients


def test_a_process_is_prepared_for_years() -> None:
    """A wall clock that is set back stops no timer; descriptors are as many as there may be."""
    reactor = SimpleNamespace(seconds=time.time)
    thresholds, limits = gc.get_threshold(), resource.getrlimit(resource.RLIMIT_NOFILE)
    soft, hard = limits
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 512), hard))
        prepare(reactor)
        assert reactor.seconds is time.monotonic
        assert gc.get_freeze_count() > 0
        assert gc.get_threshold() != thresholds
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 512
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
