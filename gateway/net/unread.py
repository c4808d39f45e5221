"""What a client leaves unread: octets written while its transport is full. Pure.

A transport is full when its own buffer and those of both kernels are, so this begins with
whoever is at least 64 KiB behind. Nothing that is written can be taken back; the only way to
bound it is to end the connection.
"""

from __future__ import annotations

from gateway.net.connection_limits import ConnectionLimits


class Unread:
    """From the moment at which the transport was full until it is empty."""

    __slots__ = ("octets", "since")

    def __init__(self, now: float) -> None:
        """`now` is monotonic seconds."""
        self.since = now
        self.octets = 0  # written since

    def beyond(self, limits: ConnectionLimits, now: float) -> bool:
        """Whether it is too much, or has been for too long."""
        too_long = now - self.since >= limits.unread_timeout
        return too_long or self.octets > limits.max_unread
