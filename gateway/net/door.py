"""Who may connect at all, before anything is read: allow lists, and how many at a time. Pure.

What is kept is a number for each address with an open connection, so it is bounded by the
connections that are let in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.networks import Network, allows, neighbourhood


@dataclass(frozen=True, slots=True)
class DoorLimits:
    """`allow` has the networks of each listener, none for everybody; the rest is for all together.

    `per_address` counts an IPv6 client with its /64.
    """

    allow: Mapping[str, tuple[Network, ...]] = field(default_factory=dict)
    total: int = 10_000
    per_address: int = 1_000


class Door:
    """Counts the connections that are open. `limits` may be replaced: who is in stays in."""

    def __init__(self, limits: DoorLimits | None = None) -> None:
        self.limits = limits or DoorLimits()
        self.open = 0
        self._by_address: Counter[str] = Counter()

    def refusal(self, listener: str, host: str) -> str:
        """Why `host` may not connect: "allow", "total" or "per_address"; "" if it may.

        Takes no place: a connection that comes about calls `entered`.
        """
        limits = self.limits
        allow = limits.allow.get(listener, ())
        if allow and not allows(allow, host):
            return "allow"
        if self.open >= limits.total:
            return "total"
        if self._by_address[neighbourhood(host)] >= limits.per_address:
            return "per_address"
        return ""

    def entered(self, host: str) -> None:
        """A connection is open; `left` is called once when it is not any more."""
        self.open += 1
        self._by_address[neighbourhood(host)] += 1

    def left(self, host: str) -> None:
        """A connection of `host` that had entered has ended."""
        self.open -= 1
        address = neighbourhood(host)
        self._by_address[address] -= 1
        if not self._by_address[address]:
            del self._by_address[address]
