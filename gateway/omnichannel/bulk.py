"""Many messages in one request: its body, and each message's own outcome in the answer. Pure.

API document section 2.4: the answer has an entry for each message, in the same order. An
entry that failed names no recipient, so results can be told apart by their position only. That
is trusted as far as it can be checked: the number of entries, and in each that was accepted
the recipient and the channel. If anything does not fit, nothing of the answer is believed: a
message_id of somebody else's message is worse than none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from gateway.omnichannel.outcome import (
    Outcome,
    Override,
    Verdict,
    judge_errors,
    judge_unread,
)
from gateway.omnichannel.payload import SmsRequest, errors_of, id_of, object_of
from gateway.smpp.constants import CommandStatus

_CHANNEL: Final = "sms"
_REFUSED: Final = 400  # what an entry of errors counts as
# A whole request that was refused like this may have one bad message in it: halves are tried.
DIVISIBLE: Final = frozenset({400, 413})


class Mismatch(ValueError):
    """The answer is not one to these requests; the words say where."""


def body_of(messages: Sequence[bytes]) -> bytes:
    """The body of `POST /omnimessages` from those of single requests."""
    return b'{"messages":[%s]}' % b",".join(messages)


def judge_bulk(
    status: int,
    body: bytes,
    requests: Sequence[SmsRequest],
    overrides: tuple[Override, ...] = (),
) -> list[Outcome]:
    """The outcome of each request, in their order. Raises Mismatch for a 2xx that does not fit."""
    answer = object_of(body)
    if not 200 <= status < 300:
        return [judge_errors(status, errors_of(answer), overrides)] * len(requests)
    entries = answer.get("messages")
    if not isinstance(entries, list):
        raise Mismatch("2xx without messages")
    if len(entries) != len(requests):
        raise Mismatch(f"{len(entries)} entries for {len(requests)} messages")
    found = [
        _judge(status, entry, request, place, overrides)
        for place, (entry, request) in enumerate(zip(entries, requests, strict=True), 1)
    ]
    ids = [outcome.message_id for outcome in found if outcome.message_id]
    if len(set(ids)) != len(ids):
        raise Mismatch("two messages have the same omnimessage_id")
    return found


def _judge(
    status: int,
    entry: Any,
    request: SmsRequest,
    place: int,
    overrides: tuple[Override, ...],
) -> Outcome:
    if not isinstance(entry, dict):
        raise Mismatch(f"entry {place} is no object")
    omnimessage_id = id_of(entry)
    if not omnimessage_id:
        if errors := errors_of(entry):
            return judge_errors(_REFUSED, errors, overrides)
        raise Mismatch(f"entry {place} has neither an omnimessage_id nor errors")
    if _digits(entry.get("to")) != _digits(request.to):
        raise Mismatch(f"entry {place} names another recipient")
    if not _tells_channel(entry):
        raise Mismatch(f"entry {place} names another channel")
    return Outcome(Verdict.ACCEPTED, CommandStatus.ESME_ROK, omnimessage_id, status)


def _digits(number: object) -> str:
    return number.lstrip("+") if isinstance(number, str) else ""


def _tells_channel(entry: dict[str, Any]) -> bool:
    """Whether it is about one SMS: the documentation requires the list, and we send one."""
    channels = entry.get("messages")
    return (
        isinstance(channels, list)
        and len(channels) == 1
        and isinstance(channels[0], dict)
        and channels[0].get("channel") == _CHANNEL
    )


def unknown(
    status: int, detail: str, count: int, overrides: tuple[Override, ...] = ()
) -> list[Outcome]:
    """`count` outcomes of an answer that cannot be believed."""
    return [judge_unread(status, detail, overrides)] * count
