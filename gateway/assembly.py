"""Settings -> the parts that the service is put together from."""

from __future__ import annotations

from typing import Any

from structlog.typing import FilteringBoundLogger

from gateway import __version__
from gateway.bridge.accounts import Account, Accounts
from gateway.bridge.passwords import HASHER, PasswordCheck
from gateway.config import AccountSettings, OmnichannelSettings, Settings, SmppSettings
from gateway.omnichannel.client import Credentials
from gateway.omnichannel.transport import Transport, TransportSettings
from gateway.smpp.constants import CommandStatus
from gateway.smpp.session import SessionLimits
from gateway.smpp.timers import TimerLimits


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
