"""What the API's answer means for the ESME: two tables, and the one function that reads them.

API document section 6. The HTTP status decides first, because the documentation itself
swaps codes 104 and 105 in one place; within a 400 the field at fault decides; `code` only
where neither says enough. Every row can be overridden in the configuration.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final, NamedTuple

from gateway.omnichannel.payload import (
    ApiError,
    confirms_cancel,
    read_accepted,
    read_errors,
    tells_status,
)
from gateway.smpp.constants import CommandStatus, MessageState
from gateway.values import value_class

_S = CommandStatus


class Verdict(StrEnum):
    """The kinds of answers; the value is the metric's label and the log's word."""

    ACCEPTED = "accepted"
    ANSWERED = "answered"  # what was asked about a message is told, or done
    REFUSED = "refused"  # this message is at fault
    THROTTLED = "throttled"  # 429: not accepted, may be tried later
    UNAUTHORIZED = "unauthorized"  # our credentials or address: alarm
    MISCONFIGURED = "misconfigured"  # our URL or method: alarm
    SERVER_ERROR = "server_error"  # the API says it failed
    UNREACHABLE = "unreachable"  # certainly not sent
    CROWDED = "crowded"  # not asked: it would have waited too long for its turn
    UNKNOWN = "unknown"  # may have been accepted: never repeated


DONE: Final = frozenset({Verdict.ACCEPTED, Verdict.ANSWERED})
ALARMING: Final = frozenset({Verdict.UNAUTHORIZED, Verdict.MISCONFIGURED})
# An API that says it failed may have accepted the message before it did.
MAYBE_ACCEPTED: Final = frozenset({Verdict.UNKNOWN, Verdict.SERVER_ERROR})


class Row(NamedTuple):
    """What one kind of answer becomes."""

    verdict: Verdict
    command_status: CommandStatus


# By HTTP status; the hundreds are what is left over. 2xx is read by its body instead.
BY_STATUS: Final[dict[int, Row]] = {
    300: Row(Verdict.MISCONFIGURED, _S.ESME_RSYSERR),  # never followed
    400: Row(Verdict.REFUSED, _S.ESME_RSUBMITFAIL),  # all 4xx
    401: Row(Verdict.UNAUTHORIZED, _S.ESME_RSYSERR),
    403: Row(Verdict.UNAUTHORIZED, _S.ESME_RSYSERR),
    404: Row(Verdict.MISCONFIGURED, _S.ESME_RSYSERR),
    405: Row(Verdict.MISCONFIGURED, _S.ESME_RSYSERR),
    407: Row(Verdict.UNAUTHORIZED, _S.ESME_RSYSERR),  # a proxy wants credentials
    408: Row(Verdict.SERVER_ERROR, _S.ESME_RSYSERR),
    413: Row(Verdict.REFUSED, _S.ESME_RINVMSGLEN),
    415: Row(Verdict.MISCONFIGURED, _S.ESME_RSYSERR),
    429: Row(Verdict.THROTTLED, _S.ESME_RTHROTTLED),
    500: Row(Verdict.SERVER_ERROR, _S.ESME_RSYSERR),  # all 5xx
}

# A 400 by the field at fault, the last part of `source`.
BY_FIELD: Final[dict[str, CommandStatus]] = {
    "sender": _S.ESME_RINVSRCADR,
    "to": _S.ESME_RINVDSTADR,
    "text": _S.ESME_RINVMSGLEN,
    "time_to_send": _S.ESME_RINVSCHED,
    "validity": _S.ESME_RINVEXPIRY,
    "ttl": _S.ESME_RINVEXPIRY,
}


class State(NamedTuple):
    """A status of the API's in SMPP's words."""

    message_state: MessageState
    final: bool


_M = MessageState
_UNKNOWN_STATE: Final = State(_M.UNKNOWN, final=False)
# API document section 4.3; "" is the null of a message that is in process.
STATES: Final[dict[str, State]] = {
    "": State(_M.ENROUTE, final=False),
    "ACK": State(_M.ACCEPTED, final=False),
    "ACCEPTD": State(_M.ACCEPTED, final=False),
    "DELIVRD": State(_M.DELIVERED, final=True),
    "SEEN": State(_M.DELIVERED, final=True),
    "UNDELIV": State(_M.UNDELIVERABLE, final=True),
    "FAILED": State(_M.UNDELIVERABLE, final=True),
    "EXPIRED": State(_M.EXPIRED, final=True),
    "REJECTD": State(_M.REJECTED, final=True),
    "NACK": State(_M.REJECTED, final=True),
    "DELETED": State(_M.DELETED, final=True),
    "UNKNOWN": _UNKNOWN_STATE,
}

# What the body of a 2xx must be to answer a question, by what the answer "no such message" is.
ANSWERS: Final[dict[CommandStatus, Callable[[bytes], bool]]] = {
    _S.ESME_RQUERYFAIL: tells_status,
    _S.ESME_RCANCELFAIL: confirms_cancel,
}

NO_ERROR: Final = ApiError()
UNREACHABLE: Final = Row(Verdict.UNREACHABLE, _S.ESME_RSYSERR)
CROWDED: Final = Row(Verdict.CROWDED, _S.ESME_RTHROTTLED)
UNKNOWN: Final = Row(Verdict.UNKNOWN, _S.ESME_RSYSERR)


@value_class
class Outcome:
    """The judgement of one exchange. `message_id` is set when the verdict is ACCEPTED."""

    verdict: Verdict
    command_status: CommandStatus
    message_id: str = ""
    http_status: int = 0  # 0: there was no answer
    error: ApiError = NO_ERROR


class Override(NamedTuple):
    """One configured exception; all that is given must match."""

    status: int  # 0 = any; 3, 4 and 5 stand for their hundred
    code: str
    field: str
    verdict: str
    command_status: CommandStatus

    @property
    def precision(self) -> tuple[int, bool]:
        """How much must match; 429 is more than 4xx."""
        return sum(map(bool, self[:4])), self.status > 9


def read_overrides(table: Mapping[str, str]) -> tuple[Override, ...]:
    """The overrides of a configuration, the most precise first.

    Keys are words separated by spaces: an HTTP status ("429", "5xx"), an API code ("105"),
    a field in brackets ("[sender]") or a verdict ("unknown"); values are names of
    `CommandStatus`. Raises ValueError that names what cannot be read.
    """
    overrides = []
    for key, name in table.items():
        status, code, field, verdict = 0, "", "", ""
        for word in key.split():
            if word.startswith("[") and word.endswith("]"):
                field = word[1:-1]
            elif word in set(Verdict) - DONE:
                verdict = word
            elif word.isdecimal() and 100 < int(word) < 200:
                code = word
            elif len(word) == 3 and word[0] in "345" and (word[1:] == "xx" or word.isdecimal()):
                status = int(word[0] if word[1:] == "xx" else word)
            else:
                raise ValueError(
                    f"{key!r}: {word!r} is neither an HTTP status (429, 5xx), an API code (105), "
                    f"a field ([sender]) nor an outcome (unknown)"
                )
        if name not in CommandStatus.__members__ or name == "ESME_ROK":
            raise ValueError(f"{key!r}: {name!r} is not a command_status that can refuse")
        override = Override(status, code, field, verdict, CommandStatus[name])
        if not key.split() or override.precision[0] != len(key.split()):
            raise ValueError(f"{key!r} names no answer, or two words of one kind")
        overrides.append(override)
    return tuple(sorted(overrides, key=lambda override: override.precision, reverse=True))


def judge(status: int, body: bytes, overrides: tuple[Override, ...] = ()) -> Outcome:
    """What a complete HTTP answer means."""
    if 200 <= status < 300:
        message_id = read_accepted(body)
        if message_id:
            return Outcome(Verdict.ACCEPTED, _S.ESME_ROK, message_id, status)
        # It may well have been accepted, but there is no id to answer with.
        return judge_unread(status, "2xx without omnimessage_id", overrides)
    return judge_errors(status, read_errors(body), overrides)


def judge_errors(
    status: int, errors: tuple[ApiError, ...], overrides: tuple[Override, ...] = ()
) -> Outcome:
    """What an answer means that is none of success; an entry of a bulk answer counts as 400."""
    row = BY_STATUS.get(status) or BY_STATUS.get(status // 100 * 100, UNKNOWN)
    error = errors[0] if errors else NO_ERROR
    if status == 400:
        # Several errors in one answer: the first that names a field of the message speaks.
        error = next((found for found in errors if found.field in BY_FIELD), error)
        row = row._replace(command_status=BY_FIELD.get(error.field, row.command_status))
    return _overridden(row, status, error, overrides)


def judge_unread(status: int, detail: str, overrides: tuple[Override, ...] = ()) -> Outcome:
    """What a 2xx means that does not say what it must: accepted or not, nobody knows."""
    return _overridden(UNKNOWN, status, ApiError(detail=detail), overrides)


def judge_inquiry(
    status: int, body: bytes, unknown_message: CommandStatus, overrides: tuple[Override, ...] = ()
) -> Outcome:
    """What the answer to a question about a message means.

    `unknown_message` says which question it was, and is what 404 means, and 400 as well: an
    id that the API cannot read is nobody's.
    """
    if 200 <= status < 300:
        if ANSWERS[unknown_message](body) and not read_errors(body):
            return Outcome(Verdict.ANSWERED, _S.ESME_ROK, "", status)
        return judge_unread(status, "2xx without the answer that was asked for", overrides)
    if status in {400, 404}:
        errors = read_errors(body)
        error = errors[0] if errors else NO_ERROR
        return Outcome(Verdict.REFUSED, unknown_message, "", status, error)
    return judge(status, body, overrides)


def state_of(status: str) -> State:
    """What a status of the API is to SMPP; words that it adds later are UNKNOWN."""
    return STATES.get(status, _UNKNOWN_STATE)


def judge_failure(*, sent: bool, detail: str, overrides: tuple[Override, ...] = ()) -> Outcome:
    """What the absence of an answer means; `sent` when the API may have read the request."""
    return _overridden(UNKNOWN if sent else UNREACHABLE, 0, ApiError(detail=detail), overrides)


def judge_crowded(detail: str, overrides: tuple[Override, ...] = ()) -> Outcome:
    """What it means that the gateway did not ask, because it would have been too late."""
    return _overridden(CROWDED, 0, ApiError(detail=detail), overrides)


def _overridden(row: Row, status: int, error: ApiError, overrides: tuple[Override, ...]) -> Outcome:
    command_status = row.command_status
    for override in overrides:
        if (
            override.status in {0, status, status // 100}
            and override.code in {"", error.code}
            and override.field in {"", error.field}
            and override.verdict in {"", row.verdict}
        ):
            command_status = override.command_status
            break
    return Outcome(row.verdict, command_status, "", status, error)
