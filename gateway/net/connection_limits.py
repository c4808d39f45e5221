"""What bounds a connection beside its session: octets on their way in and out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MAX_READ_AHEAD_UNBOUND: Final = 4_096  # octets read ahead while a bind is being checked
# Octets that one connection is served in one turn of the event loop: some five messages. Turns
# with 8 KiB of each of ten that flood last so long that who has one message waits for 80 ms more.
TURN: Final = 512


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Octets, and seconds.

    `max_read_ahead` is what is read of a bound client while its window is full, `max_unread`
    what it may leave unread beyond the buffers of the transport, `unread_timeout` for how long
    it may leave those full.
    """

    max_read_ahead: int = 65_536
    max_unread: int = 1_048_576
    unread_timeout: float = 60.0
