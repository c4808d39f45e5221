"""The composition root: builds everything from the settings, runs it, has it reload, and drains it.

Nothing else knows which engine, which reactor or which listener is at work.
"""

from __future__ import annotations

import os
import signal
import sys
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

from structlog.typing import FilteringBoundLogger
from twisted.internet.task import LoopingCall

from gateway import __version__, logs
from gateway.applying import Running, apply
from gateway.assembly import (
    make_accounts,
    make_bridge,
    make_store,
    make_transport,
    pacing,
    shared_credentials,
)
from gateway.assembly_listeners import (
    admin_limits,
    behind_balancers,
    make_smpp,
    room,
)
from gateway.bridge.passwords import PasswordCheck
from gateway.config import Settings
from gateway.drain import Drain, Parts
from gateway.listeners import HANDSHAKE, CannotListen, Listeners, invitation, tls_files
from gateway.metrics import Metrics
from gateway.net.http_limits import HttpDoor
from gateway.net.http_server import admin_site
from gateway.omnichannel.client import OmnichannelClient
from gateway.omnichannel.outcome import read_overrides
from gateway.process import keep_what_is_there, terminal_is_gone
from gateway.process import prepare as prepare_process
from gateway.reloading import Prepared, Reloading, prepare
from gateway.store.base import StoreUnavailable
from gateway.systemd import Notifier

if TYPE_CHECKING:
    from gateway.sandbox.server import Sandbox

_BEAT: Final = 0.25  # seconds between two looks at how late the event loop is


def run(settings: Settings, config_path: Path) -> int:
    """Run the gateway until SIGTERM or SIGINT has drained it; the process's exit code.

    SIGHUP has `config_path` read again. Raises ConfigurationError for a key file that is no good.
    """
    from twisted.internet import reactor as installed  # installing it is part of running

    reactor: Any = installed  # its type is a matter of platform
    prepare_process(reactor)
    output = sys.stdout or open(os.devnull, "w")  # noqa: SIM115  for as long as we run
    logs.configure(settings.log, output, partial(reactor.callLater, 0))
    log = logs.get()
    manager = Notifier.from_environment(os.environ)
    service = Service(reactor, settings, log)
    logs.count_suppressed(
        lambda event, lines: service.metrics.log_lines_suppressed(event).inc(lines)
    )
    reloading = Reloading(
        reactor, config_path, service.prepared, service.apply, service.metrics, log, manager
    )

    def asked_to_stop(number: int, _frame: FrameType | None) -> None:
        manager.stopping()
        reactor.callFromThread(service.stop, signal.Signals(number).name)

    def asked_to_reload(number: int, frame: FrameType | None) -> None:
        if terminal_is_gone(output):  # whoever closes a window wants no daemon left behind
            asked_to_stop(number, frame)
        elif not service.stopping:
            reactor.callFromThread(reloading.reload)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, asked_to_stop)
    signal.signal(signal.SIGHUP, asked_to_reload)
    try:
        service.start()
    except CannotListen as error:
        log.error("cannot_listen", address=error.address, detail=str(error))
        print(f"cannot listen: {error}", file=sys.stderr)  # noqa: T201
        service.abandon()
        return 1
    except StoreUnavailable as error:
        log.error("store_unavailable", url=settings.store.url, detail=error.detail)
        print(f"store.url {settings.store.url}: {error.detail}", file=sys.stderr)  # noqa: T201
        service.abandon()
        return 1
    log.info("started", version=__version__, config=str(config_path))
    keep_what_is_there()
    manager.ready()
    if manager.watchdog_interval is not None:
        watchdog = LoopingCall(manager.watchdog)
        watchdog.clock = reactor
        watchdog.start(manager.watchdog_interval)
    if settings.sandbox.listen and settings.smpp.listen:
        print(invitation(settings, service.listeners), file=sys.stderr, flush=True)  # noqa: T201
    reactor.run(installSignalHandlers=False)  # ours, which were there before anything listened
    return 0


class Service:
    """One running gateway. `reactor` is Twisted's."""

    def __init__(self, reactor: Any, settings: Settings, log: FilteringBoundLogger) -> None:
        self._reactor = reactor
        self._settings = settings
        self._log = log
        self._sandbox: Sandbox | None = None
        self._drain: Drain | None = None
        self.prepared = prepare(settings)
        api = settings.omnichannel
        self.metrics = Metrics(name_accounts=settings.metrics.system_id)
        # An SMPP session without a bind ends by its own timer: the handshake's says more.
        handshake = min(HANDSHAKE, settings.smpp.session_init_timeout)
        self.listeners = Listeners(reactor, log, self.metrics, handshake_timeout=handshake)
        self.store = make_store(reactor, settings.store, self.metrics)
        self._transport = make_transport(reactor, api, log)
        self._passwords = PasswordCheck(reactor, reactor.seconds, settings.smpp.bind_cache)
        self._client = OmnichannelClient(
            self._transport,
            reactor,
            self.metrics,
            read_overrides(api.status_overrides),
            fail_fast_after=api.fail_fast_after,
            probe_interval=api.probe_interval,
            log=log,
            pacing=pacing(api),
        )
        self._accounts = make_accounts(
            settings,
            self.prepared.password_hashes,
            self._passwords,
            shared_credentials(settings),
        )
        self._bridge = make_bridge(
            reactor, settings, self._client, self._accounts, self.store, self.metrics, log
        )
        self.smpp = make_smpp(reactor, settings, self._accounts, self._bridge, self.metrics, log)
        self._admin_door = HttpDoor("admin", admin_limits(settings.admin), self.metrics, log)
        self._beat = LoopingCall(self._on_beat)
        self._beat.clock = reactor
        self._expected = 0.0

    def start(self) -> None:
        """Listen, the SMPP port last: whoever can bind can also be served.

        Raises CannotListen, and StoreUnavailable.
        """
        settings = self._settings
        self.store.open()
        self._passwords.start()
        self._bridge.upkeep.start()
        if settings.sandbox.listen:
            # It brings an HTTP client of Twisted's, 3 MB that no other gateway needs.
            from gateway.sandbox.server import Sandbox

            self._sandbox = sandbox = Sandbox(
                self._reactor,
                username=settings.omnichannel.username,
                password=settings.omnichannel.password.get_secret_value(),
                rate_limit=settings.sandbox.rate_limit,
                latency=settings.sandbox.latency,
                delivery_delay=settings.sandbox.delivery_delay,
            )
            self.listeners.open("sandbox", settings.sandbox.listen, sandbox.site())
        tls = tls_files(settings)
        callbacks = self._bridge.receipts.site
        if callbacks is not None:
            self.listeners.open(
                "callbacks", settings.callbacks.listen, callbacks, tls.get("callbacks")
            )
        site = admin_site(
            self.metrics.registry,
            self.not_ready,
            self._refresh_metrics,
            self._admin_door,
            self._reactor,
        )
        self.listeners.open("admin", settings.admin.listen, site, tls.get("admin"))
        if (fewer := room(settings)) < settings.smpp.max_connections:
            self._log.warning(
                "few_descriptors", max_connections=settings.smpp.max_connections, room=fewer
            )
        for name, endpoint in (
            ("smpp_tls", settings.smpp.tls_listen),
            ("smpp", settings.smpp.listen),
        ):
            proxied = behind_balancers(self._reactor, settings.smpp, self.smpp, name)
            self.listeners.open(name, endpoint, self.smpp.listener(name), tls.get(name), proxied)
        self._expected = self._reactor.seconds() + _BEAT
        self._beat.start(_BEAT, now=False)

    @property
    def stopping(self) -> bool:
        """Whether it drains."""
        return self._drain is not None

    def not_ready(self) -> str:
        """Why no binds are accepted, "" while they are."""
        if self.stopping:
            return "draining"
        return "the store cannot be written" if self.store.failing else ""

    def _refresh_metrics(self) -> None:
        self.smpp.refresh_metrics()
        self.metrics.submits_in_flight.set(self._bridge.load.in_flight)
        self.metrics.api_queue.set(self._client.pacer.waiting)
        self.metrics.api_queue_octets.set(self._client.pacer.octets)
        waiting = self.store.counts
        self.metrics.segment_sets_pending.set(waiting.sets)
        self.metrics.segments_pending.set(waiting.parts)
        self.metrics.receipts_pending.set(waiting.receipts)
        self.metrics.receipts_dead.set(waiting.dead)
        self.metrics.reports_awaited.set(waiting.awaited)

    def _on_beat(self) -> None:
        now = self._reactor.seconds()
        self.metrics.reactor_lag.observe(max(0.0, now - self._expected))
        self._expected = now + _BEAT
        logs.flush()

    def apply(self, prepared: Prepared) -> int:
        """Work by another configuration from now on; how many sessions that ended."""
        self._settings = prepared.settings
        running = Running(
            self._client,
            self._accounts,
            self._bridge,
            self.smpp,
            self.listeners,
            self._admin_door,
        )
        return apply(running, prepared)

    def stop(self, reason: str) -> None:
        """Drain, then end the event loop; a second call does not wait any longer."""
        if self._drain is not None:
            self._log.warning("stopping_at_once", reason=reason)
            self._drain.give_up()
            return
        parts = Parts(
            self.listeners,
            self.smpp,
            self._bridge,
            self._client,
            self._transport,
            self.store,
        )
        self._drain = Drain(self._reactor, parts, self._settings.drain, self._log, self._ended)
        self._drain.begin(reason)

    def _ended(self) -> None:
        if self._beat.running:
            self._beat.stop()
        if self._sandbox is not None:
            self._sandbox.close()
        self._passwords.stop()
        logs.flush(everything=True)
        self._reactor.stop()

    def abandon(self) -> None:
        """Undo a start that failed, before the event loop ever ran."""
        self._passwords.stop()
        self.store.stop()
