"""Settings -> everything that brings a report of the API to an ESME as a receipt."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from structlog.typing import FilteringBoundLogger

from gateway.bridge.accounts import Accounts
from gateway.bridge.awaiting import Awaiting, Schedule
from gateway.bridge.callbacks import Callbacks
from gateway.bridge.dispatcher import Dispatcher
from gateway.bridge.message_ids import MessageIds
from gateway.bridge.poller import Poller
from gateway.bridge.reports import Reports
from gateway.bridge.routes import Routes
from gateway.bridge.unanswered import Unanswered
from gateway.bridge.watch import Watch
from gateway.callback_keys import KeyFile
from gateway.config import CallbackSettings, Settings
from gateway.metrics import Metrics
from gateway.net.callback_server import CallbackSite
from gateway.net.http_limits import HttpLimits
from gateway.omnichannel.callback import KEY_OCTETS, Key, KeyRing
from gateway.omnichannel.client import OmnichannelClient
from gateway.omnichannel.report import read_report_overrides
from gateway.store.worker import StoreThread

Work = Callable[[], Coroutine[Any, Any, None]]


class Receipts(NamedTuple):
    """The use cases of receipts, tied to each other."""

    routes: Routes
    unanswered: Unanswered
    awaiting: Awaiting
    reports: Reports
    dispatcher: Dispatcher
    poller: Poller
    watch: Watch
    site: CallbackSite | None  # None when nobody can call back
    keys: KeyFile | None

    def works(self, log: FilteringBoundLogger) -> dict[str, Work]:
        """What is done once a second, by the name that the log gives it."""

        async def deliver() -> None:
            self.dispatcher.pump()
            await self.watch.look()

        async def follow_keys() -> None:
            if self.keys is not None:
                _follow(self.keys, log)

        return {"receipts": deliver, "poll": self.poller.poll, "callback_keys": follow_keys}


def _follow(keys: KeyFile, log: FilteringBoundLogger) -> None:
    """Use what the key file holds now."""
    before = keys.error
    if keys.reload_if_changed():
        log.info("callback_keys_read", keys=len(keys.ring.keys))
    elif keys.error is not None and keys.error is not before:
        log.error("callback_keys_unreadable", detail=str(keys.error))


def make_receipts(
    reactor: Any,
    settings: Settings,
    api: OmnichannelClient,
    accounts: Accounts,
    store: StoreThread,
    message_ids: MessageIds,
    metrics: Metrics,
    log: FilteringBoundLogger,
) -> Receipts:
    """Everything between the API's reports and the sessions that receive.

    Raises ConfigurationError for a key file that cannot be used.
    """
    tell, calls, asks = settings.log.messages, settings.callbacks, settings.omnichannel
    keys = KeyFile(Path(calls.key_file)) if calls.key_file else None
    ring = keys or (_passing_keys() if calls.public_url else None)
    schedule = Schedule(asks.poll_first, asks.poll_longest)
    unanswered = Unanswered(int.from_bytes(os.urandom(3)))
    dispatcher = Dispatcher(store, reactor, time.time, metrics, log, log_messages=tell)
    reports = Reports(
        store,
        dispatcher,
        accounts.get,
        message_ids,
        unanswered,
        time.time,
        metrics,
        log,
        read_report_overrides(asks.report_overrides),
        log_messages=tell,
    )
    return Receipts(
        Routes(ring, calls.public_url, time.time),
        unanswered,
        Awaiting(store, schedule, log),
        reports,
        dispatcher,
        Poller(
            store, reports, api, accounts.get, schedule, asks.poll_rate, time.time, metrics, log
        ),
        Watch(store, settings.store.receipts_held, time.time, metrics, log),
        _site(reactor, calls, ring, accounts, reports, metrics, log) if ring else None,
        keys,
    )


def callback_limits(settings: CallbackSettings) -> HttpLimits:
    """What the settings say about every connection of the callback listener."""
    return HttpLimits(
        settings.allow, settings.max_connections, settings.max_header, settings.request_timeout
    )


def _passing_keys() -> KeyRing:
    """Keys for a trial: reports about messages from before a restart cannot be read."""
    return KeyRing([Key("tr", time.time(), os.urandom(KEY_OCTETS))])


def _site(
    reactor: Any,
    settings: CallbackSettings,
    ring: KeyFile | KeyRing,
    accounts: Accounts,
    reports: Reports,
    metrics: Metrics,
    log: FilteringBoundLogger,
) -> CallbackSite:
    callbacks = Callbacks(
        ring,
        accounts.api_passwords,
        reports,
        metrics,
        log,
        require_signature=settings.require_signature,
    )
    return CallbackSite(
        reactor,
        callbacks,
        metrics,
        log,
        max_body=settings.max_body,
        limits=callback_limits(settings),
        path=urlsplit(settings.public_url).path,
    )
