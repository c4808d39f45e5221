"""One submit under way: where it came from, how far it is, and what its log line says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from gateway.bridge.accounts import Account
from gateway.message.charset import Decoded
from gateway.message.segment import Concatenation
from gateway.omnichannel.outcome import DONE, NO_ERROR, Outcome
from gateway.omnichannel.route import Route
from gateway.smpp.constants import InterfaceVersion
from gateway.smpp.pdu import SubmitSm, SubmitSmResp

# Takes the response to the ESME; False when the ESME is gone and will not see it.
Answer = Callable[[SubmitSmResp], bool]

# How much of a text tells it from the API's own words, in characters.
_TELLING: Final = 20
_LEAST_TELLING: Final = 4


@dataclass(frozen=True, slots=True)
class Origin:
    """The bound session that a request comes from."""

    session_id: str
    account: Account
    interface_version: InterfaceVersion


class Share(NamedTuple):
    """What one destination of a submit_multi has in common with the others.

    `common_id` is what the ESME is told instead of an id of its own, "" for none. `copy` counts
    the earlier destinations with the same number. `serial` is that of the whole PDU, whose
    response leaves when all are done (see `Unanswered`).
    """

    common_id: str = ""
    copy: int = 0
    serial: int = 0


@dataclass(slots=True)
class Journey:
    """One submit under way. `started` is a moment of the clock.

    `share` is None for a submit_sm, which is answered by itself.
    """

    submit: SubmitSm
    origin: Origin
    answer: Answer
    started: float
    share: Share | None = None
    decoded: Decoded | None = None
    time_to_send: str = ""
    part: Concatenation | None = None  # which part of a long message it brought
    base: bytes = b""  # of the ids of its set
    completes: bool = False  # its set, which is at the API now
    submits: tuple[SubmitSm, ...] = ()  # all parts of that set
    serial: int = 0  # by which its receipts know that it is not answered yet
    route: Route | None = None  # by which they come
    finished: bool = False

    @property
    def common_id(self) -> str:
        """See `Share`."""
        return self.share.common_id if self.share else ""


def event_of(
    journey: Journey, command_status: str, message_id: str, shown_id: str, seconds: float
) -> dict[str, object]:
    """What the line of every message says. `shown_id` is what the ESME was given."""
    submit, origin = journey.submit, journey.origin
    event: dict[str, object] = {
        "session_id": origin.session_id,
        "system_id": origin.account.system_id,
        "sequence_number": submit.sequence_number,
        "command_status": command_status,
        "source": submit.source.addr,
        "destination": submit.destination.addr,
        "seconds": round(seconds, 4),
    }
    if message_id:
        event["message_id"] = message_id
        if shown_id != message_id:
            event["shown_message_id"] = shown_id
    if journey.decoded is not None:
        decoded = journey.decoded
        event["charset"] = decoded.charset
        event["characters"] = len(decoded.text)
        if decoded.errors:
            event["decode_errors"] = decoded.errors
        if decoded.flags:
            event["flags"] = list(decoded.flags)
    if journey.part is not None:
        event |= part_fields(journey.part)
        if journey.base:
            event["set_id"] = journey.base.hex()
    return event


def part_fields(part: Concatenation) -> dict[str, object]:
    """Which part of which set, for a log line."""
    return {
        "part": part.number,
        "parts": part.total,
        "reference": part.reference,
        "reference_kind": part.kind,
    }


def api_fields(outcome: Outcome, text: str = "") -> dict[str, object]:
    """What the API said, as far as it says more than "accepted", without the message's text."""
    fields: dict[str, object] = {"outcome": outcome.verdict}
    if outcome.http_status and outcome.verdict not in DONE:
        fields["http_status"] = outcome.http_status
    if outcome.error is not NO_ERROR:
        error = outcome.error
        found = {"code": error.code, "api_source": error.source, "detail": error.detail}
        fields |= {name: _unquoted(value, text) for name, value in found.items() if value}
    return fields


def _unquoted(words: str, text: str) -> str:
    """`words` without the text that an API may quote, whole or cut off at the end."""
    if len(text) < _LEAST_TELLING:
        return words
    words = words.replace(text, "[text]")
    place = words.find(text[:_TELLING])
    return words if place < 0 else f"{words[:place]}[text]"
