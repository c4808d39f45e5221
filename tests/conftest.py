"""Fixtures that every room may want."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests import reactor_thread


@pytest.fixture(scope="session")
def running_reactor() -> Any:
    """The process's Twisted reactor, running in a daemon thread."""
    return reactor_thread.running_reactor()


@pytest.fixture(scope="session")
def in_reactor() -> Callable[..., Any]:
    """`in_reactor(callable, *args)`: call it in the reactor's thread, wait for its result."""
    return reactor_thread.in_reactor
