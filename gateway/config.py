"""Every setting, its type, its default and its bounds.

These frozen models are what the rest of the gateway is handed; no other module reads a
dictionary. `config_file.load` builds them from TOML, the environment and secret files.
Times are seconds and sizes octets unless the name says otherwise.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from gateway.config_values import (
    LOOPBACK_HOSTS,
    Alphabet,
    BindTypes,
    Database,
    DefaultMessages,
    Digits,
    Endpoint,
    Networks,
    OwnName,
    Priorities,
    Proxy,
    Seconds,
    SecondsOrOff,
)
from gateway.smpp.message_id import Form


class Section(BaseModel):
    """A table of the file: frozen, and closed to keys it does not know."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        validate_default=True,
        hide_input_in_errors=True,
        allow_inf_nan=False,
    )


class SmppSettings(Section):
    """`[smpp]`: the listener that ESMEs bind to, and what holds for every session."""

    listen: Endpoint = "0.0.0.0:2775"
    system_id: OwnName = "gateway"
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

    base_url: str = "https://api.messente.com/v1"
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
    udh_includes_length: bool = True
    # "400", "105", "[sender]", "400 [sender]", "429": see docs/status-table.md
    status_overrides: dict[str, str] = Field(default_factory=dict)

    @field_validator("base_url")
    @classmethod
    def _https(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in {"https", "http"} or not parts.hostname:
            raise ValueError("write a URL such as https://api.messente.com/v1")
        if parts.scheme == "http" and parts.hostname not in LOOPBACK_HOSTS:
            raise ValueError("http:// is for loopback addresses only, write https://")
        if parts.port == 0:
            raise ValueError("a port is 1 to 65535")
        if "@" in parts.netloc or parts.query or parts.fragment:
            raise ValueError("credentials, query and fragment do not belong in base_url")
        return value.rstrip("/")


class AdminSettings(Section):
    """`[admin]`: metrics and health; private, so loopback by default."""

    listen: Endpoint = "127.0.0.1:8080"


class SandboxSettings(Section):
    """`[sandbox]`: a local stand-in of the API inside the same process, for trials."""

    listen: Endpoint = ""
    rate_limit: Annotated[int, Field(ge=0)] = 150
    latency: Annotated[float, Field(ge=0, le=60)] = 0


class StoreSettings(Section):
    """`[store]`: what must survive a restart; only unfinished work."""

    url: Database = "sqlite:///gateway.db"
    max_parts: Annotated[int, Field(ge=1, le=100_000_000)] = 500_000
    short_ids_held: Annotated[int, Field(ge=60, le=31_536_000)] = 604_800
    receipts_held: Annotated[int, Field(ge=60, le=31_536_000)] = 259_200
    own_messages: Annotated[int, Field(ge=1_000, le=100_000_000)] = 100_000


class LogSettings(Section):
    """`[log]`: one event a line on standard output."""

    format: Literal["auto", "json", "text"] = "auto"
    level: Literal["debug", "info", "warning", "error"] = "info"
    messages: bool = True
    full_numbers: bool = False


class DrainSettings(Section):
    """`[drain]`: how a stop is shared out; below the orchestrator's grace period."""

    delay: SecondsOrOff = 0
    timeout: Seconds = 20


class MetricsSettings(Section):
    """`[metrics]`: what the exposition may name."""

    system_id: bool = True


class AccountSettings(Section):
    """`[[accounts]]`: one ESME, who it is, what it may do and how it writes."""

    system_id: Annotated[str, Field(min_length=1, max_length=64)]
    password: SecretStr = SecretStr("")
    password_file: str = ""
    password_hash: Annotated[str, Field(repr=False)] = ""
    enabled: bool = True
    allow: Networks = ()
    bind_types: BindTypes = (
        "transmitter",
        "receiver",
        "transceiver",
    )
    max_binds: Annotated[int, Field(ge=1, le=10_000)] = 4
    throttle: Annotated[float, Field(ge=0, le=1_000_000)] = 0
    throttle_burst: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    window: Annotated[int, Field(ge=1, le=10_000)] = 100
    window_full: Literal["pause", "throttle"] = "pause"
    response_deadline: Annotated[float, Field(ge=0.5, le=300)] = 10

    username: str = ""
    api_password: SecretStr = SecretStr("")
    api_password_file: str = ""

    default_alphabet: Alphabet = "gsm7"
    ascii_alphabet: Alphabet = "ascii"
    fallback_alphabet: Literal["", "ascii", "latin-1", "cp1252", "utf-8"] = ""
    undecodable: Literal["replace", "refuse"] = "replace"
    ucs2_little_endian: bool = False
    strip_nul: bool = False
    packed: bool = False
    text_twice: Literal["refuse", "short_message", "message_payload"] = "refuse"
    default_messages: DefaultMessages = Field(default_factory=dict)

    malformed_udh: Literal["accept", "refuse"] = "accept"
    long_messages: Literal["reassemble", "passthrough"] = "reassemble"
    reassembly_timeout: Seconds = 300
    relay_incomplete: bool = False

    message_id_format: Form = "uuid"
    receipt_id_format: Literal["", "uuid", "hex", "decimal"] = ""
    multi_all_failed: Literal["status", "list"] = "status"
    replace_if_present: Literal["best_effort", "refuse"] = "best_effort"

    default_sender: str = ""
    country_prefix: Annotated[Digits, Field(max_length=4)] = ""
    trunk_prefix: Annotated[Digits, Field(max_length=2)] = "0"
    autoconvert: Literal["off", "on", "full"] = "off"
    priorities: Priorities = (
        "",
        "regular",
        "high",
        "high",
    )
    default_validity: Annotated[int, Field(ge=0, le=5_000_000)] = 0
    max_validity: Annotated[int, Field(ge=60, le=5_000_000)] = 604_800
    error_detail_tlv: bool = False

    @model_validator(mode="after")
    def _one_secret(self) -> Self:
        # The loader puts what password_file holds into password and keeps the file's name,
        # so these two together are one secret.
        given = [
            name
            for name, value in (
                ("password", self.password.get_secret_value() and not self.password_file),
                ("password_file", self.password_file),
                ("password_hash", self.password_hash),
            )
            if value
        ]
        if len(given) != 1:
            found = " and ".join(given) or "none"
            raise ValueError(
                f"give exactly one of password_hash, password_file, password (found {found})"
            )
        return self


class Settings(Section):
    """The whole configuration."""

    smpp: SmppSettings = SmppSettings()
    omnichannel: OmnichannelSettings = OmnichannelSettings()
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
