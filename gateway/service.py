"""The composition root: builds everything from the settings, runs it, and drains it.

Nothing else knows which engine, which reactor or which listener is at work.
"""

from __future__ import annotations

import gc
import signal
import socket
import sys
import time
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, Final

from structlog.typing import FilteringBoundLogger
from twisted.internet.base import DelayedCall
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure

from gateway import __version__, logs
from gateway.bridge.accounts import Account, Accounts
from gateway.bridge.passwords import HASHER, PasswordCheck
from gateway.bridge.relay import Relay
from gateway.config import AccountSettings, OmnichannelSettings, Settings, SmppSettings
from gateway.metrics import Metrics
from gateway.net.http_server import admin_site
from gateway.net.smpp_server import SmppServer
from gateway.omnichannel.client import Credentials, OmnichannelClient
from gateway.omnichannel.outcome import read_overrides
from gateway.omnichannel.transport import Transport, TransportSettings
from gateway.sandbox.server import Sandbox
from gateway.smpp.constants import CommandStatus
from gateway.smpp.session import SessionLimits
from gateway.smpp.timers import TimerLimits

_BACKLOG: Final = 1024  # connections that may wait to be accepted; a reconnect storm is short
_LAG_BEAT: Final = 0.25  # seconds between two looks at how late the event loop is


def run(settings: Settings, config_path: Path | None = None) -> int:
    """Run the gateway until SIGTERM or SIGINT has drained it; the process's exit code."""
    from twisted.internet import reactor as installed  # installing it is part of running

    reactor: Any = installed  # its type is a matter of platform
    # Twisted counts by the wall clock: one set back by an hour would stop every timer for one.
    reactor.seconds = time.monotonic

    # What lives from the start is never garbage, and a thousand messages in flight are no
    # reason to look for cycles: 8 % of the processor time of a relayed message.
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)
    logs.configure(settings.log, sys.stdout, partial(reactor.callLater, 0))
    log = logs.get()
    service = Service(reactor, settings, log)
    try:
        service.start()
    except CannotListenError as error:
        log.error("cannot_listen", address=f"{error.interface}:{error.port}", detail=str(error))
        print(f"cannot listen: {error}", file=sys.stderr)  # noqa: T201
        service.abandon()
        return 1
    log.info("started", version=__version__, config=str(config_path or ""))
    if settings.sandbox.listen and settings.smpp.listen:
        print(service.invitation(), file=sys.stderr, flush=True)  # noqa: T201

    def asked_to_stop(number: int, _frame: FrameType | None) -> None:
        reactor.callFromThread(service.stop, signal.Signals(number).name)

    def take_signals() -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, asked_to_stop)

    reactor.callWhenRunning(take_signals)
    reactor.run()
    return 0


def make_transport(
    reactor: Any, settings: OmnichannelSettings, log: FilteringBoundLogger
) -> Transport:
    """The configured HTTP engine; requests stands in where pycurl is not installed."""
    options = TransportSettings(
        base_url=settings.base_url,
        user_agent=f"smpp-omnichannel-gateway/{__version__}",
        ca_file=settings.ca_file,
        proxy=settings.proxy,
        max_connections=settings.max_connections,
        connect_timeout=settings.connect_timeout,
        max_connection_age=settings.max_connection_age,
        http2=settings.http2,
    )
    engine: Transport
    if settings.engine == "libcurl":
        try:
            from gateway.omnichannel.libcurl import LibcurlTransport
        except ImportError:
            log.warning("engine_missing", detail="pycurl is not installed, using requests")
        else:
            engine = LibcurlTransport(reactor, options)
            return engine
    from gateway.omnichannel.requests_engine import RequestsTransport

    engine = RequestsTransport(reactor, options)
    return engine


def session_limits(settings: SmppSettings) -> SessionLimits:
    """What the settings say about every session."""
    return SessionLimits(
        timers=TimerLimits(
            session_init=settings.session_init_timeout,
            pdu_read=settings.pdu_read_timeout,
            enquire_link=settings.enquire_link_interval,
            inactivity=settings.inactivity_timeout,
            response=settings.response_timeout,
            unbind=settings.unbind_timeout,
        ),
        max_pdu=settings.max_pdu,
        max_pdu_before_bind=settings.max_pdu_before_bind,
        keep_broken_tlv=settings.keep_broken_tlv,
    )


def make_accounts(settings: Settings, passwords: PasswordCheck, shared: Credentials) -> Accounts:
    """The accounts, with a hash for each password that was configured in plain."""

    def password_hash(account: AccountSettings) -> str:
        return account.password_hash or HASHER.hash(account.password.get_secret_value())

    return Accounts(
        [Account(account, password_hash(account), shared) for account in settings.accounts],
        passwords,
        CommandStatus[settings.smpp.wrong_credentials],
    )


class Service:
    """One running gateway. `reactor` is Twisted's."""

    def __init__(self, reactor: Any, settings: Settings, log: FilteringBoundLogger) -> None:
        self._reactor = reactor
        self._settings = settings
        self._log = log
        self._stopping = False
        self._ports: dict[str, IListeningPort] = {}
        self._sandbox: Sandbox | None = None
        self._hard_stop: DelayedCall | None = None
        api = settings.omnichannel
        self.metrics = Metrics(name_accounts=settings.metrics.system_id)
        self._transport = make_transport(reactor, api, log)
        self._passwords = PasswordCheck(reactor, reactor.seconds, settings.smpp.bind_cache)
        shared = Credentials.basic(api.username, api.password.get_secret_value())
        client = OmnichannelClient(
            self._transport, reactor, self.metrics, read_overrides(api.status_overrides)
        )
        self.smpp = SmppServer(
            reactor,
            session_limits(settings.smpp),
            settings.smpp.system_id,
            make_accounts(settings, self._passwords, shared),
            Relay(client, reactor, self.metrics, log, log_messages=settings.log.messages),
            self.metrics,
            log,
        )
        self._lag = LoopingCall(self._observe_lag)
        self._lag.clock = reactor
        self._expected = 0.0

    def start(self) -> None:
        """Listen, the SMPP port last: whoever can bind can also be served."""
        settings = self._settings
        self._passwords.start()
        if settings.sandbox.listen:
            self._sandbox = sandbox = Sandbox(
                self._reactor,
                username=settings.omnichannel.username,
                password=settings.omnichannel.password.get_secret_value(),
                rate_limit=settings.sandbox.rate_limit,
                latency=settings.sandbox.latency,
            )
            self._listen("sandbox", settings.sandbox.listen, sandbox.site())
        site = admin_site(self.metrics.registry, self.not_ready, self.smpp.refresh_metrics)
        self._listen("admin", settings.admin.listen, site)
        self._listen("smpp", settings.smpp.listen, self.smpp)
        self._expected = self._reactor.seconds() + _LAG_BEAT
        self._lag.start(_LAG_BEAT, now=False)

    def _listen(self, name: str, endpoint: str, factory: Factory[Any]) -> None:
        if not endpoint:
            return
        host, _, port = endpoint.rpartition(":")
        address = socket.getaddrinfo(
            host.strip("[]"), int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0][4][0]
        listening = self._reactor.listenTCP(int(port), factory, _BACKLOG, interface=address)
        self._ports[name] = listening
        found = listening.getHost()
        self._log.info("listening", listener=name, host=found.host, port=found.port)

    def port(self, name: str) -> int:
        """The port of a listener (smpp, admin, sandbox), for those configured as 0."""
        address: Any = self._ports[name].getHost()
        return int(address.port)

    def not_ready(self) -> str:
        """Why no binds are accepted, "" while they are."""
        return "draining" if self._stopping else ""

    def invitation(self) -> str:
        """What a newcomer needs next, with everything filled in."""
        host, _, _ = self._settings.smpp.listen.rpartition(":")
        port = self.port("smpp")
        command = Path(sys.argv[0])
        if command.is_absolute() and command.is_relative_to(Path.cwd()):
            command = command.relative_to(Path.cwd())
        account = self._settings.accounts[0].system_id if self._settings.accounts else "?"
        lines = [
            "",
            "The gateway runs, with a stand-in of the API inside: nothing leaves this machine.",
            "",
            f"  bind      {host}:{port}, system_id {account}"
            + (", password demo" if account == "demo" else ""),
            *self._where_metrics_are(),
            "",
            "Send a message from a second terminal:",
            "",
            f'  {command} send --port {port} --to +37255555555 --text "Hello"',
            "",
            "Ctrl-C stops it.",
            "",
        ]
        return "\n".join(lines)

    def _where_metrics_are(self) -> list[str]:
        if "admin" not in self._ports:
            return []
        host, _, _ = self._settings.admin.listen.rpartition(":")
        return [f"  metrics   http://{host}:{self.port('admin')}/metrics"]

    def _observe_lag(self) -> None:
        now = self._reactor.seconds()
        self.metrics.reactor_lag.observe(max(0.0, now - self._expected))
        self._expected = now + _LAG_BEAT

    def stop(self, reason: str) -> None:
        """Drain, then end the event loop; a second call does not wait any longer."""
        if self._stopping:
            self._log.warning("stopping_at_once", reason=reason)
            self._give_up()
            return
        self._stopping = True
        timeout = self._settings.drain.timeout
        self._log.info(
            "draining", reason=reason, connections=len(self.smpp.connections), timeout=timeout
        )
        if "smpp" in self._ports:
            self._ports.pop("smpp").stopListening()
        self._hard_stop = self._reactor.callLater(timeout, self._give_up)
        Deferred.fromCoroutine(self._drain()).addErrback(self._drain_failed)

    async def _drain(self) -> None:
        await self.smpp.shut_down()
        if self._hard_stop is not None and self._hard_stop.active():
            self._hard_stop.cancel()
        if self._lag.running:
            self._lag.stop()
        await self._transport.close()
        await DeferredList([_stopped(port) for port in self._ports.values()])
        if self._sandbox is not None:
            self._sandbox.close()
        self._passwords.stop()
        self._log.info("stopped")
        self._reactor.stop()

    def _drain_failed(self, failure: Failure) -> None:
        """A fault of ours must not keep a stopping process alive."""
        self._log.error("drain_failed", failure=failure)
        self._reactor.stop()

    def _give_up(self) -> None:
        left = len(self.smpp.connections)
        if left:
            self._log.warning("connections_dropped", connections=left)
        self.smpp.abort()

    def abandon(self) -> None:
        """Undo a start that failed, before the event loop ever ran."""
        self._passwords.stop()


def _stopped(port: IListeningPort) -> Deferred[Any]:
    stopped = port.stopListening()
    assert stopped is not None  # noqa: S101  TCP ports always answer with a Deferred
    return stopped
