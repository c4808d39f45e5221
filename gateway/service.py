"""The composition root: builds everything from the settings, runs it, and drains it.

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
from twisted.internet.base import DelayedCall
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.task import LoopingCall, deferLater
from twisted.python.failure import Failure

from gateway import __version__, logs
from gateway.assembly import (
    make_accounts,
    make_bridge,
    make_store,
    make_transport,
    session_limits,
)
from gateway.bridge.passwords import PasswordCheck
from gateway.config import Settings
from gateway.listeners import CannotListen, Listeners, Tls, invitation
from gateway.metrics import Metrics
from gateway.net.http_server import admin_site
from gateway.net.smpp_server import SmppServer
from gateway.omnichannel.client import Credentials, OmnichannelClient
from gateway.omnichannel.outcome import read_overrides
from gateway.process import prepare
from gateway.store.base import StoreUnavailable
from gateway.systemd import Notifier

if TYPE_CHECKING:
    from gateway.sandbox.server import Sandbox

_LAST_MOMENT: Final = 0.5  # seconds for the last answers of a stop that ran out of time
_LAG_BEAT: Final = 0.25  # seconds between two looks at how late the event loop is


def run(settings: Settings, config_path: Path | None = None) -> int:
    """Run the gateway until SIGTERM, SIGINT or SIGHUP has drained it; the process's exit code."""
    from twisted.internet import reactor as installed  # installing it is part of running

    reactor: Any = installed  # its type is a matter of platform
    prepare(reactor)
    output = sys.stdout or open(os.devnull, "w")  # noqa: SIM115  for as long as we run
    logs.configure(settings.log, output, partial(reactor.callLater, 0))
    log = logs.get()
    service = Service(reactor, settings, log)

    manager = Notifier.from_environment(os.environ)

    def asked_to_stop(number: int, _frame: FrameType | None) -> None:
        manager.stopping()
        reactor.callFromThread(service.stop, signal.Signals(number).name)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, asked_to_stop)
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
    log.info("started", version=__version__, config=str(config_path or ""))
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
        self._stopping = False
        self._sandbox: Sandbox | None = None
        self._hard_stop: DelayedCall | None = None
        self._given_up: Deferred[None] = Deferred()
        api = settings.omnichannel
        self.listeners = Listeners(reactor, log)
        self.metrics = Metrics(name_accounts=settings.metrics.system_id)
        self.store = make_store(reactor, settings.store, self.metrics)
        self._transport = make_transport(reactor, api, log)
        self._passwords = PasswordCheck(reactor, reactor.seconds, settings.smpp.bind_cache)
        shared = Credentials.basic(api.username, api.password.get_secret_value())
        client = OmnichannelClient(
            self._transport, reactor, self.metrics, read_overrides(api.status_overrides)
        )
        self._accounts = make_accounts(settings, self._passwords, shared)
        self._bridge = make_bridge(
            reactor, settings, client, self._accounts, self.store, self.metrics, log
        )
        self.smpp = SmppServer(
            reactor,
            session_limits(settings.smpp),
            settings.smpp.system_id,
            self._accounts,
            self._bridge.submissions,
            self._bridge.inquiries,
            self._bridge.receipts.dispatcher,
            self.metrics,
            log,
        )
        self._lag = LoopingCall(self._observe_lag)
        self._lag.clock = reactor
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
        self._open_callbacks()
        site = admin_site(self.metrics.registry, self.not_ready, self._refresh_metrics)
        self.listeners.open("admin", settings.admin.listen, site)
        self.listeners.open("smpp", settings.smpp.listen, self.smpp)
        self._expected = self._reactor.seconds() + _LAG_BEAT
        self._lag.start(_LAG_BEAT, now=False)

    def _open_callbacks(self) -> None:
        calls, site = self._settings.callbacks, self._bridge.receipts.site
        if site is not None:
            tls = Tls(calls.tls_certificate, calls.tls_key) if calls.tls_certificate else None
            self.listeners.open("callbacks", calls.listen, site, tls)

    def not_ready(self) -> str:
        """Why no binds are accepted, "" while they are."""
        if self._stopping:
            return "draining"
        return "the store cannot be written" if self.store.failing else ""

    def _refresh_metrics(self) -> None:
        self.smpp.refresh_metrics()
        waiting = self.store.counts
        self.metrics.segment_sets_pending.set(waiting.sets)
        self.metrics.segments_pending.set(waiting.parts)
        self.metrics.receipts_pending.set(waiting.receipts)
        self.metrics.receipts_dead.set(waiting.dead)
        self.metrics.reports_awaited.set(waiting.awaited)

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
        drain = self._settings.drain
        self._log.info(
            "draining", reason=reason, connections=len(self.smpp.connections), timeout=drain.timeout
        )
        self._hard_stop = self._reactor.callLater(drain.delay + drain.timeout, self._give_up)
        Deferred.fromCoroutine(self._drain()).addErrback(self._drain_failed)

    async def _drain(self) -> None:
        if self._settings.drain.delay:
            pause: Deferred[None] = deferLater(self._reactor, self._settings.drain.delay)
            await _first(pause, self._given_up)
        self.listeners.close("smpp")
        await self.smpp.shut_down()
        # A client may have left before its answer: the API's is worth knowing all the same.
        await _first(self._bridge.relay.idle(), self._given_up)
        receipts = self._bridge.receipts
        receipts.dispatcher.stop()
        receipts.poller.stop()
        ended = Deferred.fromCoroutine(self._bridge.upkeep.stop())
        await _first(ended.addErrback(self._upkeep_failed), self._given_up)
        if self._hard_stop is not None and self._hard_stop.active():
            self._hard_stop.cancel()
        if self._lag.running:
            self._lag.stop()
        await self._transport.close()
        # Reports are taken to the last: each is committed before it is answered.
        self.listeners.close("callbacks")
        if receipts.site is not None:
            receipts.site.close()
        await self.store.stop()
        await self.listeners.close_all()
        if self._sandbox is not None:
            self._sandbox.close()
        self._passwords.stop()
        self._log.info("stopped")
        self._reactor.stop()

    def _upkeep_failed(self, failure: Failure) -> None:
        """Nor may it keep the rest from ending in order."""
        self._log.error("drain_failed", failure=failure)

    def _drain_failed(self, failure: Failure) -> None:
        """A fault of ours must not keep a stopping process alive."""
        self._log.error("drain_failed", failure=failure)
        self._reactor.stop()

    def _give_up(self) -> None:
        """End what is under way: each message gets its answer, each session a moment to take it."""
        if self._given_up.called:
            return
        self._transport.close()
        self._given_up.callback(None)
        self._reactor.callLater(_LAST_MOMENT, self._drop_connections)

    def _drop_connections(self) -> None:
        left = len(self.smpp.connections)
        if left:
            self._log.warning("connections_dropped", connections=left)
        self.smpp.abort()

    def abandon(self) -> None:
        """Undo a start that failed, before the event loop ever ran."""
        self._passwords.stop()
        self.store.stop()


async def _first(*awaited: Deferred[None]) -> None:
    """Wait until one of them has fired."""
    await DeferredList(awaited, fireOnOneCallback=True, consumeErrors=True)
