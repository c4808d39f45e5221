"""Fixtures that every room may want."""

from __future__ import annotations

import compileall
import py_compile
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import reactor_thread


def pytest_sessionstart() -> None:
    """Where Python is told to keep no compiled code, as in most containers, each of the hundreds
    of processes that the tests start would compile the gateway anew: a sixth of its start. What
    is kept here is valid for just the text that it was made from.
    """
    if sys.dont_write_bytecode:
        compileall.compile_dir(
            Path(__file__).parent.parent / "gateway",
            quiet=2,
            invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH,
        )


@pytest.fixture(scope="session")
def running_reactor() -> Any:
    """The process's Twisted reactor, running in a daemon thread."""
    return reactor_thread.running_reactor()


@pytest.fixture(scope="session")
def in_reactor() -> Callable[..., Any]:
    """`in_reactor(callable, *args)`: call it in the reactor's thread, wait for its result."""
    return reactor_thread.in_reactor
