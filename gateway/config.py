"""Every setting, its type, its default and its bounds.

These frozen models are what the rest of the gateway is handed; no other module reads a
dictionary. `config_file.load` builds them from TOML, the environment and secret files.
Times are seconds and sizes octets unless the name says otherwise.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)

LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})

Alphabet = Literal["gsm7", "ascii", "latin-1", "cp1252", "utf-8"]
BindType = Literal["transmitter", "receiver", "transceiver"]
Network = IPv4Network | IPv6Network
Seconds = Annotated[float, Field(gt=0, le=86_400)]
SecondsOrOff = Annotated[float, Field(ge=0, le=86_400)]


def _endpoint(value: str) -> str:
    """Accept "", "host:port" and "[v6]:port"; port 0 picks a free one."""
    if value and not re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^\s:\[\]]+):\d{1,5}", value):
        raise ValueError('write "address:port", for example "127.0.0.1:2775", or "" for none')
    if value and int(value.rpartition(":")[2]) > 65_535:
        raise ValueError("a port is at most 65535")
    return value


def _own_name(value: str) -> str:
    """Accept what a bind response carries: up to 15 printable ASCII characters."""
    if not re.fullmatch(r"[!-~]{0,15}", value):
        raise ValueError("write up to 15 letters, digits and signs of ASCII, without spaces")
    return value


def _proxy(value: str) -> str:
    """Accept "" and "http://[user:password@]host:port"; the message never repeats the value."""
    if value:
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname or not parts.port:
            raise ValueError('write "http://host:port", or "" for none')
        if parts.path.strip("/") or parts.query or parts.fragment:
            raise ValueError("a proxy has a host and a port, but no path")
    return value


def _digits(value: str) -> str:
    if value and not re.fullmatch(r"[0-9]+", value):
        raise ValueError('write digits only, for example "372"')
    return value


def _listed(value: object) -> object:
    """Let an environment variable give a list as comma-separated words."""
    if isinstance(value, str):
        return [word.strip() for word in value.split(",") if word.strip()]
    return value


def _four(value: object) -> object:
    """Like `_listed`, but an empty word is one of the four."""
    words = [word.strip() for word in value.split(",")] if isinstance(value, str) else value
    if isinstance(words, list | tuple) and len(words) != 4:
        raise ValueError("give four words, for priority_flag 0, 1, 2 and 3")
    return words


def _network(value: object) -> object:
    if isinstance(value, Network):
        return value
    try:
        return ip_network(str(value), strict=False)
    except ValueError as error:
        raise ValueError('write an address or a network, such as "192.0.2.0/24"') from error


Endpoint = Annotated[str, AfterValidator(_endpoint)]
Networks = Annotated[
    tuple[Annotated[Network, BeforeValidator(_network)], ...], BeforeValidator(_listed)
]
Priority = Literal["", "low", "regular", "high"]


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
    system_id: Annotated[str, AfterValidator(_own_name)] = "gateway"
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
    proxy: Annotated[str, AfterValidator(_proxy), Field(repr=False)] = ""  # may hold a password
    max_connections: Annotated[int, Field(ge=1, le=10_000)] = 256
    connect_timeout: Seconds = 5
    max_connection_age: Seconds = 50
    max_connection_requests: Annotated[int, Field(ge=0, le=1_000_000_000)] = 900
    max_requests: Annotated[int, Field(ge=1, le=1_000_000)] = 500
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
    bind_types: Annotated[tuple[BindType, ...], BeforeValidator(_listed)] = (
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
    text_twice: Literal["refuse", "short_message", "message_payload"] = "refuse"

    default_sender: str = ""
    country_prefix: Annotated[str, Field(max_length=4), AfterValidator(_digits)] = ""
    trunk_prefix: Annotated[str, Field(max_length=2), AfterValidator(_digits)] = "0"
    autoconvert: Literal["off", "on", "full"] = "off"
    priorities: Annotated[tuple[Priority, ...], BeforeValidator(_four)] = (
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
