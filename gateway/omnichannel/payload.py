"""The bodies of the Omnichannel API as values (API document sections 2 to 4)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
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
    udh: str = ""  # hexadecimal: this is one part of a long message
    dlr_url: str = ""  # where its delivery reports go


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


class Delivery(NamedTuple):
    """One entry of a status answer: what became of a message in one channel.

    `status` is "" while the message is in process; `err` is 0 then. `timestamp` is aware, in
    UTC, None when there is none that can be read.
    """

    status: str = ""
    err: int = 0
    timestamp: datetime | None = None
    sender: str = ""


# The longest message_id that submit_sm_resp carries, without its NUL.
_LONGEST_ID = 64
_MOST_ERRORS = 20  # entries of one answer that are read
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
    if sms.udh:
        message["udh"] = sms.udh
    body: dict[str, Any] = {"to": sms.to, "messages": [message]}
    if sms.time_to_send:
        body["time_to_send"] = sms.time_to_send
    if sms.priority:
        body["priority"] = sms.priority
    if sms.dlr_url:
        body["dlr_url"] = sms.dlr_url
    # A copy, because orjson leaves its whole buffer of some kilobytes behind the octets.
    return bytes(memoryview(orjson.dumps(body)))


def read_accepted(body: bytes) -> str:
    """The omnimessage_id in a 2xx body, "" when there is none that SMPP can carry."""
    return id_of(object_of(body))


def read_errors(body: bytes) -> tuple[ApiError, ...]:
    """The errors of a body, () when it is not the API's: proxies answer what they like."""
    return errors_of(object_of(body))


def errors_of(found: dict[str, Any]) -> tuple[ApiError, ...]:
    """The errors of an object, an answer or an entry of one; () when there are none."""
    errors = found.get("errors")
    if not isinstance(errors, list):
        return ()
    return tuple(
        ApiError(*(word_of(error.get(key)) for key in ("code", "title", "detail", "source")))
        for error in errors[:_MOST_ERRORS]
        if isinstance(error, dict)
    )


def read_delivery(body: bytes) -> Delivery:
    """The newest entry of a status answer that says something, an empty one if none does.

    The entries stand in the order of sending (API document section 2.3).
    """
    found = [delivery_of(entry) for entry in entries_of(object_of(body))]
    return next((one for one in reversed(found) if one.status), found[0] if found else Delivery())


def tells_status(body: bytes) -> bool:
    """Whether a body is a status answer at all."""
    return isinstance(object_of(body).get("statuses"), list)


def confirms_cancel(body: bytes) -> bool:
    """Whether a body is the answer to a cancellation: `{}`, or one with more in it."""
    return body.strip() == b"{}" or bool(object_of(body))


def object_of(body: bytes) -> dict[str, Any]:
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


def id_of(found: dict[str, Any]) -> str:
    """The omnimessage_id of an object, "" when there is none that SMPP can carry."""
    omnimessage_id = found.get("omnimessage_id")
    if not isinstance(omnimessage_id, str) or len(omnimessage_id) > _LONGEST_ID:
        return ""
    return omnimessage_id if omnimessage_id.isascii() and omnimessage_id.isprintable() else ""


def entries_of(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """The entries of a status answer, in the order of sending, not more than are read."""
    statuses = answer.get("statuses")
    entries = statuses if isinstance(statuses, list) else []
    return [entry for entry in entries[:_MOST_ERRORS] if isinstance(entry, dict)]


def delivery_of(entry: dict[str, Any]) -> Delivery:
    """What one entry of a status answer says, or a callback's body, which has the same fields."""
    err = word_of(entry.get("err"))  # an integer, a string in the specification of 2019
    return Delivery(
        word_of(entry.get("status")),
        int(err) if err.isascii() and err.isdecimal() else 0,
        _moment(word_of(entry.get("timestamp"))),
        word_of(entry.get("sender")),
    )


def word_of(value: object) -> str:
    """A word of the API's, cut at its longest; "" for null and what is no word.

    Codes are documented as strings and have been integers; null is a missing source.
    """
    return str(value)[:_LONGEST_WORD] if isinstance(value, str | int) else ""


def _moment(text: str) -> datetime | None:
    """A timestamp; the API's samples bear no zone, which is UTC."""
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):  # the first and last day of the calendar have no zone
        return None
