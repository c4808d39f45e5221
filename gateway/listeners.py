"""The addresses that the service listens on, by name, and the certificates that they show.

On the wire: TCP, the PROXY header of a balancer, TLS, and what the listener is for. A factory
that wants no connection gives no protocol for it: then it is closed at once.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from structlog.typing import FilteringBoundLogger
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory

from gateway.config import Settings
from gateway.metrics import Metrics
from gateway.net.tls_server import TlsFactory
from gateway.tls import CannotUse, ServerTls, TlsFiles

_BACKLOG: Final = 1024  # connections that may wait to be accepted; a reconnect storm is short
HANDSHAKE: Final = 10.0  # seconds from the connection to the end of its TLS handshake
# The section and the key of a listener that is not `<name>.listen`.
_KEYS: Final = {"smpp_tls": ("smpp", "tls_listen")}


class CannotListen(Exception):
    """A listener's address, or a file of its TLS, cannot be used: the message names the key."""

    def __init__(self, name: str, address: str, error: Exception) -> None:
        section, key = _KEYS.get(name, (name, "listen"))
        if isinstance(error, CannotUse):
            super().__init__(f"{section}.{error}")
        else:
            reason = getattr(error, "socketError", error)
            words = getattr(reason, "strerror", reason)
            super().__init__(f"{section}.{key} {address}: {words}")
        self.address = address


class Listeners:
    """Those that are open. `reactor` is Twisted's."""

    def __init__(
        self,
        reactor: Any,
        log: FilteringBoundLogger,
        metrics: Metrics,
        *,
        handshake_timeout: float = HANDSHAKE,
    ) -> None:
        self._reactor = reactor
        self._log = log
        self._metrics = metrics
        self._handshake_timeout = handshake_timeout
        self._ports: dict[str, IListeningPort] = {}
        self._tls: dict[str, ServerTls] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._ports

    def open(
        self,
        name: str,
        endpoint: str,
        factory: Factory[Any],
        tls: ServerTls | TlsFiles | None = None,
        proxied: Callable[[Factory[Any]], Factory[Any]] | None = None,
    ) -> None:
        """Listen at `endpoint`, "" for nowhere. Raises CannotListen.

        `proxied` puts a factory behind one that reads PROXY headers, such as
        `net.proxied.ProxiedFactory`.
        """
        if not endpoint:
            return
        host, _, port = endpoint.rpartition(":")
        try:
            address = socket.getaddrinfo(
                host.strip("[]"), int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0][4][0]
            if tls is not None:
                tls = ServerTls(tls) if isinstance(tls, TlsFiles) else tls
                factory = TlsFactory(
                    self._reactor,
                    name,
                    factory,
                    tls,
                    self._metrics,
                    self._log,
                    self._handshake_timeout,
                )
            if proxied is not None:
                factory = proxied(factory)
            listening = self._reactor.listenTCP(int(port), factory, _BACKLOG, interface=address)
        except (socket.gaierror, UnicodeError, CannotListenError, CannotUse) as error:
            raise CannotListen(name, endpoint, error) from error
        self._ports[name] = listening
        if tls is not None:
            self._tls[name] = tls
            self._metrics.certificate_expiry(name).set(tls.expires_at)
        found = listening.getHost()
        self._log.info(
            "listening", listener=name, host=found.host, port=found.port, tls=tls is not None
        )

    def reload_tls(self, name: str, tls: ServerTls | TlsFiles) -> None:
        """Show another certificate to whoever connects from now on; connections stay.

        Files are read again, even if they are those from before: raises CannotUse, and then
        nothing has changed. What has been loaded already cannot fail.
        """
        running = self._tls[name]
        running.take_over(ServerTls(tls) if isinstance(tls, TlsFiles) else tls)
        self._metrics.certificate_expiry(name).set(running.expires_at)

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


def tls_files(settings: Settings) -> dict[str, TlsFiles]:
    """The files of each listener that is encrypted, by the listener's name."""
    smpp, calls, admin = settings.smpp, settings.callbacks, settings.admin
    found = {}
    if smpp.tls_listen:
        found["smpp_tls"] = TlsFiles(
            smpp.tls_certificate, smpp.tls_key, smpp.tls_client_ca, smpp.tls_client_required
        )
    if calls.listen and calls.tls_certificate:
        found["callbacks"] = TlsFiles(calls.tls_certificate, calls.tls_key)
    if admin.listen and admin.tls_certificate:
        found["admin"] = TlsFiles(
            admin.tls_certificate, admin.tls_key, admin.tls_client_ca, bool(admin.tls_client_ca)
        )
    return found


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
