"""The addresses that the service listens on, by the name of their section."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import Any, Final, NamedTuple

from structlog.typing import FilteringBoundLogger
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory

from gateway.config import Settings
from gateway.tls import CannotUse, server_context

_BACKLOG: Final = 1024  # connections that may wait to be accepted; a reconnect storm is short


class CannotListen(Exception):
    """A listener's address, or a file of its TLS, cannot be used."""

    def __init__(self, name: str, address: str, error: Exception) -> None:
        reason = getattr(error, "socketError", error)
        super().__init__(f"{name}.listen {address}: {getattr(reason, 'strerror', reason)}")
        self.address = address


class Tls(NamedTuple):
    """Files in PEM: the certificate with its chain behind it, and its key."""

    certificate: str
    key: str


class Listeners:
    """Those that are open. `reactor` is Twisted's."""

    def __init__(self, reactor: Any, log: FilteringBoundLogger) -> None:
        self._reactor = reactor
        self._log = log
        self._ports: dict[str, IListeningPort] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._ports

    def open(self, name: str, endpoint: str, factory: Factory[Any], tls: Tls | None = None) -> None:
        """Listen at `endpoint`, "" for nowhere. Raises CannotListen."""
        if not endpoint:
            return
        host, _, port = endpoint.rpartition(":")
        try:
            address = socket.getaddrinfo(
                host.strip("[]"), int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0][4][0]
            if tls is None:
                listening = self._reactor.listenTCP(int(port), factory, _BACKLOG, interface=address)
            else:
                context = server_context(*tls)
                listening = self._reactor.listenSSL(
                    int(port), factory, context, _BACKLOG, interface=address
                )
        except (socket.gaierror, UnicodeError, CannotListenError, CannotUse) as error:
            raise CannotListen(name, endpoint, error) from error
        self._ports[name] = listening
        found = listening.getHost()
        self._log.info("listening", listener=name, host=found.host, port=found.port)

    def port(self, name: str) -> int:
        """The port of a listener, for those configured as 0."""
        address: Any = self._ports[name].getHost()
        return int(address.port)

    def close(self, name: str) -> None:
        """Accept no more, if it is open; connections stay."""
        if name in self._ports:
            self._ports.pop(name).stopListening()

    def close_all(self) -> Deferred[Any]:
        """Fires when every one of them is closed."""
        ports, self._ports = self._ports, {}
        return DeferredList([_stopped(port) for port in ports.values()])


def _stopped(port: IListeningPort) -> Deferred[Any]:
    stopped = port.stopListening()
    assert stopped is not None  # noqa: S101  TCP ports always answer with a Deferred
    return stopped


def invitation(settings: Settings, listeners: Listeners) -> str:
    """What a newcomer needs next, with everything filled in."""
    host, _, _ = settings.smpp.listen.rpartition(":")
    port = listeners.port("smpp")
    command = Path(sys.argv[0])
    if command.is_absolute() and command.is_relative_to(Path.cwd()):
        command = command.relative_to(Path.cwd())
    account = settings.accounts[0].system_id if settings.accounts else "?"
    lines = [
        "",
        "The gateway runs, with a stand-in of the API inside: nothing leaves this machine.",
        "",
        f"  bind      {host}:{port}, system_id {account}"
        + (", password demo" if account == "demo" else ""),
        *_where_metrics_are(settings, listeners),
        "",
        "Send a message from a second terminal:",
        "",
        f'  {command} send --port {port} --to +37255555555 --text "Hello"',
        "",
        "Ctrl-C stops it.",
        "",
    ]
    return "\n".join(lines)


def _where_metrics_are(settings: Settings, listeners: Listeners) -> list[str]:
    if "admin" not in listeners:
        return []
    host, _, _ = settings.admin.listen.rpartition(":")
    return [f"  metrics   http://{host}:{listeners.port('admin')}/metrics"]
