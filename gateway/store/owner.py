"""One process for one store file.

What a dead process left in sending is put back at opening, so it must be certain that it
is dead. The lock is the system's and ends with the process, however that ends.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from gateway.store.base import StoreUnavailable


class Owner:
    """The right to a store file, until `close`."""

    def __init__(self, file: Path) -> None:
        """Raises StoreUnavailable when another process has it, or the place is no good."""
        # A file beside it: closing any handle of the database's own would end SQLite's locks.
        lock = file.with_name(f"{file.name}-lock")
        try:
            self._handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as problem:
            raise StoreUnavailable(f"{lock}: {problem.strerror}") from None
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as problem:
            os.close(self._handle)
            if isinstance(problem, BlockingIOError):
                detail = f"{file} is in use by another gateway; each needs a store of its own"
            else:
                detail = f"{lock} cannot be locked: {problem.strerror}"
            raise StoreUnavailable(detail) from None

    def close(self) -> None:
        os.close(self._handle)
