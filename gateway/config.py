"""Every setting, its type, its default and its bounds.

These frozen models are what the rest of the gateway is handed; no other module reads a
dictionary. `config_file.load` builds them from TOML, the environment and secret files.
Times are seconds and sizes octets unless the name says otherwise.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator

from gateway.config_account import AccountSettings
from gateway.config_section import Section
from gateway.config_values import (
    BaseUrl,
    Database,
    Endpoint,
    Networks,
    OwnName,
    Proxy,
    PublicUrl,
    Seconds,
    SecondsOrOff,
)

__all__ = [
    "AccountSettings",
    "AdminSettings",
    "CallbackSettings",
    "DrainSettings",
    "LogSettings",
    "MetricsSettings",
    "OmnichannelSettings",
    "SandboxSettings",
    "Section",
    "Settings",
    "SmppSettings",
    "StoreSettings",
]


class SmppSettings(Section):
    """`[smpp]`: the listener that ESMEs bind to, and what holds for every session."""

    listen: Endpoint = "0.0.0.0:2775"
    allow: Networks = ()
    tls_listen: Endpoint = ""
    tls_certificate: str = ""
    tls_key: str = ""
    tls_client_ca: str = ""
    tls_client_required: bool = False
    tls_allow: Networks = ()
    proxy_protocol: Networks = ()
    system_id: OwnName = "gateway"
    max_connections: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    max_connections_per_address: Annotated[int, Field(ge=1, le=1_000_000)] = 1_000
    max_in_flight: Annotated[int, Field(ge=1, le=10_000_000)] = 10_000
    overload_status: Literal["ESME_RTHROTTLED", "ESME_RMSGQFUL", "ESME_RSYSERR"] = "ESME_RTHROTTLED"
    lockout_failures: Annotated[int, Field(ge=0, le=1_000_000)] = 20
    lockout_time: Seconds = 60
    max_read_ahead: Annotated[int, Field(ge=1_024, le=16_777_216)] = 65_536
    max_unread: Annotated[int, Field(ge=65_536, le=268_435_456)] = 1_048_576
    unread_timeout: Seconds = 60
    max_pdu: Annotated[int, Field(ge=512, le=1_048_576)] = 70_000
    max_pdu_before_bind: Annotated[int, Field(ge=128, le=70_000)] = 512
    session_init_timeout: Seconds = 10
    pdu_read_timeout: Seconds = 10
    enquire_link_interval: SecondsOrOff = 30
    inactivity_timeout: SecondsOrOff = 0
    response_timeout: Seconds = 30
    unbind_timeout: Seconds = 5
    wrong_credentials: Literal["ESME_RINVPASWD", "ESME_RBINDFAIL"] = "ESME_RINVPASWD"
    bind_cache: SecondsOrOff = 300
    keep_broken_tlv: bool = False


class OmnichannelSettings(Section):
    """`[omnichannel]`: the API and how it is reached."""

    base_url: BaseUrl = "https://api.messente.com/v1"
    username: str = ""
    password: SecretStr = SecretStr("")
    password_file: str = ""
    engine: Literal["libcurl", "requests"] = "libcurl"
    http2: bool = True
    ca_file: str = ""
    proxy: Proxy = ""
    max_connections: Annotated[int, Field(ge=1, le=10_000)] = 256
    connect_timeout: Seconds = 5
    max_connection_age: Seconds = 50
    max_connection_requests: Annotated[int, Field(ge=0, le=1_000_000_000)] = 900
    max_requests: Annotated[int, Field(ge=1, le=1_000_000)] = 500
    rate_limit: Annotated[float, Field(ge=0, le=1_000_000)] = 150
    rate_burst: Annotated[int, Field(ge=1, le=1_000_000)] = 4
    bulk: Literal["auto", "off"] = "auto"
    bulk_max: Annotated[int, Field(ge=2, le=1_000)] = 1_000
    bulk_octets: Annotated[int, Field(ge=1_024, le=67_108_864)] = 1_000_000
    max_waiting: Annotated[int, Field(ge=0, le=10_000_000)] = 10_000
    max_waiting_octets: Annotated[int, Field(ge=65_536, le=4_294_967_296)] = 67_108_864
    fail_fast_after: SecondsOrOff = 2
    probe_interval: Seconds = 1
    udh_includes_length: bool = True
    # "400", "105", "[sender]", "400 [sender]", "429": see docs/status-table.md
    status_overrides: dict[str, str] = Field(default_factory=dict)
    poll_rate: Annotated[float, Field(ge=0.01, le=10_000)] = 20
    poll_first: Seconds = 10
    poll_longest: Seconds = 3600
    # "UNDELIV 3", "FAILED", "8": see docs/status-table.md
    report_overrides: dict[str, str] = Field(default_factory=dict)


class CallbackSettings(Section):
    """`[callbacks]`: where the API tells what became of a message; reached from outside."""

    listen: Endpoint = ""
    public_url: PublicUrl = ""
    key_file: str = ""
    require_signature: bool = True
    allow: Networks = ()
    max_body: Annotated[int, Field(ge=1024, le=1_048_576)] = 16_384
    max_header: Annotated[int, Field(ge=1024, le=1_048_576)] = 16_384
    max_connections: Annotated[int, Field(ge=1, le=1_000_000)] = 1_000
    request_timeout: Seconds = 60
    tls_certificate: str = ""
    tls_key: str = ""


class AdminSettings(Section):
    """`[admin]`: metrics and health; private, so loopback by default."""

    listen: Endpoint = "127.0.0.1:8080"
    allow: Networks = ()
    max_connections: Annotated[int, Field(ge=1, le=100_000)] = 100
    tls_certificate: str = ""
    tls_key: str = ""
    tls_client_ca: str = ""


class SandboxSettings(Section):
    """`[sandbox]`: a local stand-in of the API inside the same process, for trials."""

    listen: Endpoint = ""
    rate_limit: Annotated[int, Field(ge=0)] = 150
    latency: Annotated[float, Field(ge=0, le=60)] = 0
    delivery_delay: Annotated[float, Field(ge=0, le=86_400)] = 1


class StoreSettings(Section):
    """`[store]`: what must survive a restart; only unfinished work."""

    url: Database = "sqlite:///gateway.db"
    max_parts: Annotated[int, Field(ge=1, le=100_000_000)] = 500_000
    short_ids_held: Annotated[int, Field(ge=60, le=31_536_000)] = 604_800
    receipts_held: Annotated[int, Field(ge=60, le=31_536_000)] = 259_200
    dead_receipts_held: Annotated[int, Field(ge=60, le=31_536_000)] = 2_592_000
    finals_held: Annotated[int, Field(ge=60, le=31_536_000)] = 604_800
    own_messages: Annotated[int, Field(ge=1_000, le=100_000_000)] = 100_000


class LogSettings(Section):
    """`[log]`: one event a line on standard output."""

    format: Literal["auto", "json", "text"] = "auto"
    level: Literal["debug", "info", "warning", "error"] = "info"
    messages: bool = True
    full_numbers: bool = False
    sampled: Annotated[int, Field(ge=0, le=1_000_000)] = 20


class DrainSettings(Section):
    """`[drain]`: how a stop is shared out; below the orchestrator's grace period."""

    delay: SecondsOrOff = 0
    timeout: Seconds = 20


class MetricsSettings(Section):
    """`[metrics]`: what the exposition may name."""

    system_id: bool = True


class Settings(Section):
    """The whole configuration."""

    smpp: SmppSettings = SmppSettings()
    omnichannel: OmnichannelSettings = OmnichannelSettings()
    callbacks: CallbackSettings = CallbackSettings()
    admin: AdminSettings = AdminSettings()
    sandbox: SandboxSettings = SandboxSettings()
    store: StoreSettings = StoreSettings()
    metrics: MetricsSettings = MetricsSettings()
    log: LogSettings = LogSettings()
    drain: DrainSettings = DrainSettings()
    accounts: tuple[AccountSettings, ...] = ()

    @field_validator("accounts")
    @classmethod
    def _distinct(cls, value: tuple[AccountSettings, ...]) -> tuple[AccountSettings, ...]:
        seen: set[str] = set()
        for account in value:
            if account.system_id in seen:
                raise ValueError(f"system_id {account.system_id!r} stands twice")
            seen.add(account.system_id)
        return value
