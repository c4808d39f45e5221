"""What the API accepts: a JSON value in, a message or the API's errors out.

Rules that hold for every refusal:

- code 106 when something required is absent, 105 when something present is wrong;
- `source` is the path of the field, `payload[to]`; inside a channel object it starts with the
  channel's name, `payload[sms][sender]`, and only an object whose channel cannot be told is
  named by its place, `payload[messages][0][channel]`;
- every fault that can be told at once is told, in the order of the schema's fields;
- a detail never repeats what was sent.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Discriminator, Tag, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from gateway.sandbox.api_errors import ApiError
from gateway.sandbox.channels import Rcs, Sms, Viber, WhatsApp
from gateway.sandbox.fields import Given, Moment, Phone, Url, invalid

BULK_MAX = 1000

# In the order of the schema's union: it decides what an object without a channel is.
CHANNELS: dict[str, type[Viber | Sms | WhatsApp | Rcs]] = {
    "viber": Viber,
    "sms": Sms,
    "whatsapp": WhatsApp,
    "rcs": Rcs,
}

DETAILS = {
    "missing": "Missing data for required field",
    "model_type": "Must be an object",
    "dict_type": "Must be an object",
    "list_type": "Must be an array",
}


def _accepted_by(model: type[BaseModel], value: object) -> bool:
    try:
        model.model_validate(value)
    except ValidationError:
        return False
    return True


def _channel_of(value: object) -> str | None:
    """Return the channel an object names, or the first that would take one naming none."""
    if not isinstance(value, dict):
        return None
    if "channel" in value:
        channel = value["channel"]
        return channel if isinstance(channel, str) else ""
    return next((name for name, model in CHANNELS.items() if _accepted_by(model, value)), None)


Message = Annotated[
    Annotated[Viber, Tag("viber")]
    | Annotated[Sms, Tag("sms")]
    | Annotated[WhatsApp, Tag("whatsapp")]
    | Annotated[Rcs, Tag("rcs")],
    Discriminator(_channel_of),
]


def _each_channel_once(messages: list[Message]) -> list[Message]:
    if not messages:
        raise invalid("At least one message is required")
    if len({message.channel for message in messages}) < len(messages):
        raise invalid("A channel can be used only once")
    return messages


class Omnimessage(BaseModel):
    """One message to one number, by the channels of `messages` in the order to be tried."""

    to: Phone
    messages: Annotated[list[Message], AfterValidator(_each_channel_once)]
    dlr_url: Given[Url] = None
    text_store: Given[Literal["plaintext", "sha256", "nostore"]] = None
    time_to_send: Given[Moment] = None
    priority: Given[Literal["low", "regular", "high"]] = None


_OMNIMESSAGE: TypeAdapter[Omnimessage] = TypeAdapter(Omnimessage)


def read_omnimessage(value: object) -> Omnimessage | tuple[ApiError, ...]:
    """Return the message that a decoded JSON value is, or the errors the API would give."""
    try:
        return _OMNIMESSAGE.validate_python(value)
    except ValidationError as refusal:
        faults = refusal.errors(include_url=False)
        return tuple(_api_error(fault) for fault in faults)


def read_bulk(value: object) -> list[Any] | tuple[ApiError, ...]:
    """Return the items of a bulk request, unread, or what is wrong with the request itself."""
    if not isinstance(value, dict):
        return (ApiError("105", "Must be an object", "payload"),)
    if "messages" not in value:
        return (ApiError("106", DETAILS["missing"], "payload[messages]"),)
    items = value["messages"]
    if not isinstance(items, list):
        return (ApiError("105", "Must be an array", "payload[messages]"),)
    if not 1 <= len(items) <= BULK_MAX:
        return (ApiError("105", f"Send 1 to {BULK_MAX} messages", "payload[messages]"),)
    return items


def _api_error(fault: ErrorDetails) -> ApiError:
    kind = fault["type"]
    path = list(fault["loc"])
    detail = DETAILS.get(kind, fault["msg"])
    missing = kind == "missing"
    if len(path) > 2 and path[0] == "messages":
        path = path[2:]
    if field := fault.get("ctx", {}).get("field"):
        path.append(field)
    if missing and "ctx" in fault:
        detail = fault["msg"]
    elif kind == "union_tag_not_found" and not isinstance(fault["input"], dict):
        detail = "Must be an object"
    elif kind.startswith("union_tag"):
        path.append("channel")
        missing = kind == "union_tag_not_found"
        names = ", ".join(CHANNELS)
        detail = DETAILS["missing"] if missing else f"Must be one of {names}"
    source = "payload" + "".join(f"[{part}]" for part in path)
    return ApiError("106" if missing else "105", detail, source)
