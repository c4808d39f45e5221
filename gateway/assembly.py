"""Settings -> the parts that the service is put together from."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from structlog.typing import FilteringBoundLogger

from gateway import __version__
from gateway.assembly_receipts import Receipts, make_receipts
from gateway.bridge.accounts import Account, Accounts
from gateway.bridge.expiry import Expiry
from gateway.bridge.inquiries import Inquiries
from gateway.bridge.load import Load
from gateway.bridge.message_ids import MessageIds
from gateway.bridge.passwords import PasswordCheck
from gateway.bridge.reassembly import Reassembly
from gateway.bridge.relay import Relay
from gateway.bridge.replacing import Replacing
from gateway.bridge.sent_ids import SentIds
from gateway.bridge.submissions import Submissions
from gateway.bridge.upkeep import Upkeep
from gateway.config import (
    OmnichannelSettings,
    Settings,
    SmppSettings,
    StoreSettings,
)
from gateway.metrics import Metrics
from gateway.net.connection_limits import ConnectionLimits
from gateway.omnichannel.client import Credentials, OmnichannelClient
from gateway.omnichannel.pacer import Pacing
from gateway.omnichannel.transport import Transport, TransportSettings
from gateway.smpp.constants import CommandStatus
from gateway.smpp.session import SessionLimits
from gateway.smpp.timers import TimerLimits
from gateway.store.sql import SqlStore
from gateway.store.worker import StoreThread


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
        max_connection_requests=settings.max_connection_requests,
        max_requests=settings.max_requests,
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


def pacing(settings: OmnichannelSettings) -> Pacing:
    """At what pace the API is asked."""
    return Pacing(
        rate_limit=settings.rate_limit,
        burst=settings.rate_burst,
        bulk_max=1 if settings.bulk == "off" else settings.bulk_max,
        bulk_octets=settings.bulk_octets,
        most=settings.max_waiting,
        most_octets=settings.max_waiting_octets,
    )


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


def connection_limits(settings: SmppSettings) -> ConnectionLimits:
    """What they say about every connection beside its session."""
    return ConnectionLimits(
        max_read_ahead=settings.max_read_ahead,
        max_unread=settings.max_unread,
        unread_timeout=settings.unread_timeout,
    )


def make_store(reactor: Any, settings: StoreSettings, metrics: Metrics) -> StoreThread:
    """The store's thread, not opened yet."""

    def observe(seconds: float, failed: list[str]) -> None:
        metrics.store_operation("batch").observe(seconds)
        for operation in failed:
            metrics.store_errors(operation).inc()

    return StoreThread(
        reactor, lambda: SqlStore(settings.url, max_parts=settings.max_parts), observe
    )


class Bridge(NamedTuple):
    """The use cases, tied to each other."""

    receipts: Receipts
    relay: Relay
    submissions: Submissions
    inquiries: Inquiries
    upkeep: Upkeep
    load: Load

    def tell_messages(self, tell: bool) -> None:
        """Whether each message has its log line (log.messages)."""
        self.relay.log_messages = self.submissions.log_messages = tell
        self.inquiries.log_messages = self.receipts.reports.log_messages = tell
        self.receipts.dispatcher.settling.log_messages = tell


def make_bridge(
    reactor: Any,
    settings: Settings,
    api: OmnichannelClient,
    accounts: Accounts,
    store: StoreThread,
    metrics: Metrics,
    log: FilteringBoundLogger,
) -> Bridge:
    """Everything between the sessions and the API. Raises ConfigurationError for a bad key file."""
    tell = settings.log.messages
    ids = MessageIds(store, time.time, log)
    receipts = make_receipts(reactor, settings, api, accounts, store, ids, metrics, log)
    routes, unanswered, awaiting = receipts.routes, receipts.unanswered, receipts.awaiting
    load = Load(metrics, settings.smpp.max_in_flight, CommandStatus[settings.smpp.overload_status])
    reassembly = Reassembly(store, reactor, time.time, log)
    expiry = Expiry(
        store,
        reassembly,
        accounts.get,
        api,
        routes,
        receipts.reports,
        awaiting,
        time.time,
        metrics,
        log,
    )
    relay = Relay(
        api,
        reactor,
        metrics,
        log,
        reassembly,
        ids,
        Replacing(api, time.time, log),
        routes,
        unanswered,
        awaiting,
        load,
        log_messages=tell,
        udh_includes_length=settings.omnichannel.udh_includes_length,
    )
    return Bridge(
        receipts,
        relay,
        Submissions(relay, ids, unanswered, os.urandom, metrics, log, log_messages=tell),
        Inquiries(api, ids, reactor, time.time, metrics, log, load, log_messages=tell),
        Upkeep(
            store,
            {"expire": expiry.expire, **receipts.works(log)},
            accounts.remembering,
            reactor,
            time.time,
            log,
            short_ids_held=settings.store.short_ids_held,
            finals_held=settings.store.finals_held,
            dead_receipts_held=settings.store.dead_receipts_held,
        ),
        load,
    )


def shared_credentials(settings: Settings) -> Credentials:
    """The API credentials of accounts that have none of their own."""
    api = settings.omnichannel
    return Credentials.basic(api.username, api.password.get_secret_value())


def make_accounts(
    settings: Settings,
    password_hashes: Mapping[str, str],
    passwords: PasswordCheck,
    shared: Credentials,
) -> Accounts:
    """The accounts, none of them bound; `password_hashes` are by system_id."""
    accounts = Accounts([], passwords, CommandStatus[settings.smpp.wrong_credentials])
    renew_accounts(accounts, settings, password_hashes, shared)
    return accounts


def renew_accounts(
    accounts: Accounts,
    settings: Settings,
    password_hashes: Mapping[str, str],
    shared: Credentials,
) -> None:
    """Have the accounts be those of `settings`; who stays keeps its sessions and its memory.

    Each remembers its own messages, unless it is the only one.
    """
    several = len(settings.accounts) > 1
    found = []
    for one in settings.accounts:
        password_hash = password_hashes[one.system_id]
        account = accounts.former(one.system_id)
        if account is None:
            account = Account(one, password_hash, shared)
        else:
            account.apply(one, password_hash, shared)
        if several and account.sent is None:
            account.sent = SentIds(settings.store.own_messages)
        found.append(account)
    accounts.replace(found)
    accounts.wrong_credentials = CommandStatus[settings.smpp.wrong_credentials]
