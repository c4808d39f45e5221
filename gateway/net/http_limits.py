"""Who may connect to an HTTP listener, and what such a connection may cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from structlog.typing import FilteringBoundLogger

from gateway.metrics import Metrics
from gateway.networks import Network, allows


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """`allow` is empty for everybody.

    `max_header` is in octets, for the first line of a request and all its headers together;
    `request_timeout` is in seconds: see `net.http_channel`.
    """

    allow: tuple[Network, ...] = ()
    max_connections: int = 1_000
    max_header: int = 16_384
    request_timeout: float = 60.0


_REFUSED: Final = {
    "allow": "the address is not in {0}.allow",
    "total": "as many connections are open as {0}.max_connections lets in",
}


class HttpDoor:
    """Admits connections, and counts those that a limit kept out or ended.

    `listener` is its name, and that of its section in the configuration. `limits` may be
    replaced at any time: who is in stays in.
    """

    def __init__(
        self, listener: str, limits: HttpLimits, metrics: Metrics, log: FilteringBoundLogger
    ) -> None:
        self.limits = limits
        self._listener = listener
        self._metrics = metrics
        self._log = log

    def admits(self, host: str, connections: int) -> bool:
        """Whether `host` may connect while so many connections are open; says so if not."""
        if self.limits.allow and not allows(self.limits.allow, host):
            reason = "allow"
        elif connections >= self.limits.max_connections:
            reason = "total"
        else:
            return True
        self._metrics.connections_refused(self._listener, reason).inc()
        self._log.warning(
            "connection_refused",
            listener=self._listener,
            peer=host,
            reason=reason,
            detail=_REFUSED[reason].format(self._listener),
        )
        return False

    def dropped(self, reason: str) -> None:
        """A limit ended a connection."""
        self._metrics.connections_dropped(self._listener, reason).inc()
