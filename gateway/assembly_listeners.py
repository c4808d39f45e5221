"""Settings -> what listens: who may connect, from behind which balancers, encrypted with what."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from structlog.typing import FilteringBoundLogger
from twisted.internet.protocol import Factory

from gateway.assembly import Bridge, connection_limits, session_limits
from gateway.bridge.accounts import Accounts
from gateway.bridge.penalties import BindPenalties
from gateway.config import AdminSettings, Settings, SmppSettings
from gateway.metrics import Metrics
from gateway.net.door import Door, DoorLimits
from gateway.net.http_limits import HttpLimits
from gateway.net.proxied import HEADER_TIMEOUT, ProxiedFactory
from gateway.net.smpp_server import SmppServer
from gateway.process import room_for_clients

_OTHERS: Final = 64  # descriptors for the store, the log, the event loop and what listens


def room(settings: Settings) -> int:
    """How many SMPP connections there is room for: this process's open files are bounded too."""
    others = settings.omnichannel.max_connections + settings.admin.max_connections + _OTHERS
    if settings.callbacks.listen:
        others += settings.callbacks.max_connections
    return min(settings.smpp.max_connections, room_for_clients(others))


def _door_limits(settings: Settings) -> DoorLimits:
    smpp = settings.smpp
    return DoorLimits(
        {"smpp": smpp.allow, "smpp_tls": smpp.tls_allow},
        room(settings),
        smpp.max_connections_per_address,
    )


def make_smpp(
    reactor: Any,
    settings: Settings,
    accounts: Accounts,
    bridge: Bridge,
    metrics: Metrics,
    log: FilteringBoundLogger,
) -> SmppServer:
    """What is behind both SMPP listeners."""
    smpp = settings.smpp
    return SmppServer(
        reactor,
        session_limits(smpp),
        smpp.system_id,
        accounts,
        bridge.submissions,
        bridge.inquiries,
        bridge.receipts.dispatcher,
        metrics,
        log,
        Door(_door_limits(settings)),
        BindPenalties(smpp.lockout_failures, smpp.lockout_time),
        connection_limits(smpp),
    )


def limit_smpp(server: SmppServer, settings: Settings) -> None:
    """Have these limits hold from now on, for who is there and for who comes."""
    smpp = settings.smpp
    server.door.limits = _door_limits(settings)
    server.penalties.lockout_failures = smpp.lockout_failures
    server.penalties.lockout_time = smpp.lockout_time
    server.relimit(session_limits(smpp), connection_limits(smpp))


def admin_limits(settings: AdminSettings) -> HttpLimits:
    """What the settings say about every connection of the admin listener."""
    return HttpLimits(settings.allow, settings.max_connections)


def behind_balancers(
    reactor: Any, settings: SmppSettings, server: SmppServer, listener: str
) -> Callable[[Factory[Any]], Factory[Any]] | None:
    """What reads the PROXY headers of smpp.proxy_protocol, None if there are no balancers."""
    if not settings.proxy_protocol:
        return None

    def refused(peer: str, words: str) -> None:
        server.turned_away(listener, peer, "proxy_header", words)

    return partial(
        ProxiedFactory,
        reactor=reactor,
        networks=settings.proxy_protocol,
        timeout=HEADER_TIMEOUT,
        refused=refused,
    )
