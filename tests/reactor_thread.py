"""The real Twisted reactor (epoll where there is one) in a daemon thread, once a process."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.python.failure import Failure

LIMIT = 20.0  # seconds that one call may take


@functools.cache
def running_reactor() -> Any:
    """The process's reactor, running; the first call installs and starts it."""
    from twisted.internet import reactor  # noqa: TID251  this is a top-level program's place

    up = threading.Event()
    reactor.callWhenRunning(up.set)
    threading.Thread(
        target=reactor.run,
        kwargs={"installSignalHandlers": False},
        name="reactor",
        daemon=True,
    ).start()
    if not up.wait(LIMIT):
        raise TimeoutError("the reactor did not start")
    return reactor


def in_reactor(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call `function` in the reactor's thread; return its result, or its Deferred's result.

    Raises what the call raised, or TimeoutError after `LIMIT` seconds.
    """
    outcome: Future[Any] = Future()

    def run() -> None:
        def failed(failure: Failure) -> None:
            outcome.set_exception(failure.value)

        called: Deferred[Any] = maybeDeferred(function, *args, **kwargs)
        called.addCallbacks(outcome.set_result, failed)

    running_reactor().callFromThread(run)
    return outcome.result(LIMIT)
