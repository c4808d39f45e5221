"""The kinds of field that the API's objects are made of, and how a broken rule is told.

A JSON value must have the very type that the schema names: no number for a string, no
string or boolean for an integer, and no null, since no field of a request is nullable
(but one, see `channels.Component`). Keys that the schema does not know are ignored: it does
not forbid them.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, StrictInt, StrictStr
from pydantic_core import PydanticCustomError

T = TypeVar("T")

E164 = re.compile(r"\+?[1-9][0-9]{1,14}")
NUMERIC_SENDER = re.compile(r"\+?[0-9]{1,15}")
ALPHANUMERIC_SENDER_MAX = 11
HEX_OCTETS = re.compile(r"(?:[0-9A-Fa-f]{2})+")
# 2018-06-22T09:05, with seconds and their fraction, with a zone or without
ISO_8601 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?"
    r"(?:Z|[+-][0-9]{2}:[0-9]{2})?"
)


def missing(detail: str, field: str = "") -> PydanticCustomError:
    """Return the error of something required that is absent: code 106 at `field`."""
    return PydanticCustomError("missing", "{detail}", {"detail": detail, "field": field})


def invalid(detail: str, field: str = "") -> PydanticCustomError:
    """Return the error of something present that is wrong: code 105 at `field`."""
    return PydanticCustomError("invalid", "{detail}", {"detail": detail, "field": field})


def _not_null(value: object) -> object:
    if value is None:
        raise invalid("Leave the key out, null is not accepted")
    return value


def _e164(value: str) -> str:
    if not E164.fullmatch(value):
        raise invalid("Phone number must be in E.164 format")
    return value


def _sender(value: str) -> str:
    if NUMERIC_SENDER.fullmatch(value) or 1 <= len(value) <= ALPHANUMERIC_SENDER_MAX:
        return value
    raise invalid("Invalid or disallowed sender: at most 11 characters, or 15 digits")


def _hex(value: str) -> str:
    if not HEX_OCTETS.fullmatch(value):
        raise invalid("Must be hex-encoded octets")
    return value


def _url(value: str) -> str:
    try:
        parts = urlsplit(value)
        usable = bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets that do not close, a port that is no number
        usable = False
    if not usable or parts.scheme not in {"http", "https"} or re.search(r"[\s\x00-\x1f]", value):
        raise invalid("Must be an http or https URL")
    return value


def _moment(value: object) -> datetime:
    if isinstance(value, str) and ISO_8601.fullmatch(value):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:  # February 30th, 25 o'clock
            pass
        else:
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    raise invalid("Must be a time in the ISO 8601 format, such as 2018-06-22T09:05:07Z")


Given = Annotated[T | None, BeforeValidator(_not_null)]
"""A key that may be left out (None then) but may not be null."""

Phone = Annotated[StrictStr, AfterValidator(_e164)]
SmsSender = Annotated[StrictStr, AfterValidator(_sender)]
Url = Annotated[StrictStr, AfterValidator(_url)]
Hex = Annotated[StrictStr, AfterValidator(_hex)]
Moment = Annotated[datetime, PlainValidator(_moment)]
Positive = Annotated[StrictInt, Field(ge=1)]
JsonObject = dict[str, Any]
