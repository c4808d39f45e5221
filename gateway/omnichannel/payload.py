"""The bodies of the Omnichannel API as values (API document sections 2 to 4)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson


class SmsRequest(NamedTuple):
    """One SMS for `POST /omnimessage`. None and "" leave a field to the API's default."""

    to: str  # E.164 with its plus
    text: str
    sender: str | None = None
    ttl: int | None = None  # seconds
    time_to_send: str = ""  # ISO 8601, UTC
    priority: str = ""  # low | regular | high
    autoconvert: str = "off"  # on | full | off


class Accepted(NamedTuple):
    """What a 201 says. Only the id is needed; it becomes the SMPP message_id."""

    omnimessage_id: str


@dataclass(frozen=True, slots=True)
class ApiError:
    """One entry of `errors`. `source` is "" when the API names no field."""

    code: str = ""
    title: str = ""
    detail: str = ""
    source: str = ""

    @property
    def field(self) -> str:
        """The field at fault: `sender` of `payload[sms][sender]`, "" for none."""
        return self.source.rpartition("[")[2].rstrip("]")


# The longest message_id that submit_sm_resp carries, without its NUL.
_LONGEST_ID = 64
_MOST_ERRORS = 20  # of one answer that are read
# What is kept of a word of the API's, in characters: a log line has an end.
_LONGEST_WORD = 300


def encode(sms: SmsRequest) -> bytes:
    """The request body: JSON in UTF-8. Raises TypeError for a lone surrogate."""
    message: dict[str, Any] = {
        "channel": "sms",  # optional in the schema, but an SDK reads its absence as Viber
        "text": sms.text,
        "autoconvert": sms.autoconvert,
    }
    if sms.sender:
        message["sender"] = sms.sender
    if sms.ttl is not None:
        message["ttl"] = sms.ttl
    body: dict[str, Any] = {"to": sms.to, "messages": [message]}
    if sms.time_to_send:
        body["time_to_send"] = sms.time_to_send
    if sms.priority:
        body["priority"] = sms.priority
    # A copy, because orjson leaves its whole buffer of some kilobytes behind the octets.
    return bytes(memoryview(orjson.dumps(body)))


def read_accepted(body: bytes) -> Accepted | None:
    """The acceptance in a 2xx body; None when there is no id that SMPP can carry."""
    found = _object(body).get("omnimessage_id")
    if not isinstance(found, str) or not 0 < len(found) <= _LONGEST_ID:
        return None
    return Accepted(found) if found.isascii() and found.isprintable() else None


def read_errors(body: bytes) -> tuple[ApiError, ...]:
    """The errors of a body, () when it is not the API's: proxies answer what they like."""
    errors = _object(body).get("errors")
    if not isinstance(errors, list):
        return ()
    return tuple(
        ApiError(*(_text(error.get(key)) for key in ("code", "title", "detail", "source")))
        for error in errors[:_MOST_ERRORS]
        if isinstance(error, dict)
    )


def _object(body: bytes) -> dict[str, Any]:
    """The JSON object of a body, {} for anything else."""
    try:
        value = orjson.loads(body)
    except ValueError:
        # Stricter than what is sent: a byte order mark, or half a surrogate pair where a text
        # was cut, must not hide an acceptance.
        try:
            value = json.loads(body)
        except (ValueError, RecursionError):
            return {}
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    """Codes are documented as strings and have been integers; null is a missing source."""
    return str(value)[:_LONGEST_WORD] if isinstance(value, str | int) else ""
