"""The kinds of values that settings have: what is accepted, and what is said otherwise."""

from __future__ import annotations

import re
from datetime import UTC, timedelta, timezone, tzinfo
from ipaddress import ip_network
from typing import Annotated, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field

from gateway.networks import Network
from gateway.smpp.constants import CommandStatus

LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})

Alphabet = Literal["gsm7", "ascii", "latin-1", "cp1252", "utf-8"]
BindType = Literal["transmitter", "receiver", "transceiver"]
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


def _http_url(value: str, name: str, example: str) -> str:
    """Accept https, and http for loopback; a slash at the end is dropped."""
    parts = urlsplit(value)
    if parts.scheme not in {"https", "http"} or not parts.hostname:
        raise ValueError(f"write a URL such as {example}")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK_HOSTS:
        raise ValueError("http:// is for loopback addresses only, write https://")
    if parts.port == 0:
        raise ValueError("a port is 1 to 65535")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError(f"credentials, query and fragment do not belong in {name}")
    return value.rstrip("/")


def _base_url(value: str) -> str:
    return _http_url(value, "base_url", "https://api.messente.com/v1")


def _public_url(value: str) -> str:
    """Accept "" and what dlr_url may begin with: the API is handed it as it stands here."""
    if not value:
        return ""
    if not re.fullmatch(r"[!-~]+", value) or "?" in value or "#" in value:
        raise ValueError("write it in ASCII, without spaces, query and fragment")
    return _http_url(value, "public_url", "https://gateway.example.com")


def zone_of(name: str) -> tzinfo:
    """The zone of an IANA name or of "+hh:mm"; ValueError if it is neither."""
    if name == "UTC":
        return UTC
    if offset := re.fullmatch(r"([+-])(\d\d):([0-5]\d)", name):
        ahead = timedelta(hours=int(offset[2]), minutes=int(offset[3]))
        if ahead > timedelta(hours=14):
            raise ValueError("a zone is at most 14 hours from UTC")
        return timezone(ahead if offset[1] == "+" else -ahead)
    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError) as error:  # not there, a folder, no name at all
        raise ValueError(
            'write a zone such as "Europe/Tallinn" (if the machine has its tzdata) or "+02:00"'
        ) from error


def _timezone(value: str) -> str:
    zone_of(value)
    return value


def _status(value: str) -> str:
    """Accept the name of an error's command_status."""
    if value not in CommandStatus.__members__ or value == CommandStatus.ESME_ROK.name:
        raise ValueError(f'"{value}" is no command_status of an error, such as "ESME_RTHROTTLED"')
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


def _database(value: str) -> str:
    """Accept a SQLite URL; its path is made absolute by the loader."""
    if value != "sqlite://" and not re.fullmatch(r"sqlite:///[^?#]+", value):
        raise ValueError(
            'write "sqlite:///gateway.db" (beside the configuration file), '
            '"sqlite:////var/lib/smpp-gateway/gateway.db", or "sqlite://" for memory only'
        )
    return value


def _default_messages(value: dict[str, str]) -> dict[str, str]:
    for key, text in value.items():
        if not (key.isascii() and key.isdecimal() and 1 <= int(key) <= 255 and key[0] != "0"):
            raise ValueError(f'"{key}" is no sm_default_msg_id: write 1 to 255')
        if not text:
            raise ValueError(f'the text of "{key}" is empty')
    return value


def _network(value: object) -> object:
    if isinstance(value, Network):
        return value
    try:
        return ip_network(str(value), strict=False)
    except ValueError as error:
        raise ValueError('write an address or a network, such as "192.0.2.0/24"') from error


Endpoint = Annotated[str, AfterValidator(_endpoint)]
OwnName = Annotated[str, AfterValidator(_own_name)]
BaseUrl = Annotated[str, AfterValidator(_base_url)]
PublicUrl = Annotated[str, AfterValidator(_public_url)]
Timezone = Annotated[str, AfterValidator(_timezone)]
Proxy = Annotated[str, AfterValidator(_proxy), Field(repr=False)]  # may hold a password
Digits = Annotated[str, AfterValidator(_digits)]
Database = Annotated[str, AfterValidator(_database)]
DefaultMessages = Annotated[dict[str, str], AfterValidator(_default_messages)]
BindTypes = Annotated[tuple[BindType, ...], BeforeValidator(_listed)]
Name = Annotated[str, Field(min_length=1, max_length=255)]
Names = Annotated[tuple[Name, ...], BeforeValidator(_listed)]
Networks = Annotated[
    tuple[Annotated[Network, BeforeValidator(_network)], ...], BeforeValidator(_listed)
]
Priority = Literal["", "low", "regular", "high"]
Priorities = Annotated[tuple[Priority, ...], BeforeValidator(_four)]
Statuses = Annotated[tuple[Annotated[str, AfterValidator(_status)], ...], BeforeValidator(_listed)]
