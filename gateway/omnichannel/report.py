"""A delivery report of the API, and what a receipt says of it (API document section 4).

A callback brings one report, a status answer one for each channel. The API's words and their
states stand in `outcome.STATES`. A word that the API adds later is UNKNOWN, never an error.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final, Literal, NamedTuple

from gateway.omnichannel.outcome import STATES, state_of
from gateway.omnichannel.payload import delivery_of, id_of, object_of, word_of
from gateway.smpp.constants import MessageState

# unknown: held for a while, and final if nothing else comes. none: there is nothing to tell.
Kind = Literal["final", "interim", "unknown", "none"]

_M = MessageState
# What a state is to the ESME; all others are final.
KINDS: Final[dict[MessageState, Kind]] = {
    _M.ENROUTE: "none",
    _M.ACCEPTED: "interim",
    _M.UNKNOWN: "unknown",
}
# No failure, so no error, whatever stands in err: SEEN comes with 10.
NO_FAILURE: Final = frozenset({_M.ENROUTE, _M.ACCEPTED, _M.DELIVERED})
LARGEST_ERR: Final = 999  # three digits of the receipt's text
NO_CODE: Final = 255  # a failure for which the API names none
# `stat` of a receipt (SMPP 3.4 appendix B). Each is a word of the API's too.
STATS: Final = ("DELIVRD", "EXPIRED", "DELETED", "UNDELIV", "ACCEPTD", "UNKNOWN", "REJECTD")

_STATUS: Final = re.compile(r"[A-Z][A-Z_]*")
_CODE: Final = re.compile(r"[0-9]{1,5}")
_LIKENESS: Final = 0.77  # UNDELIVERED is a slip for UNDELIV; SENT is none for SEEN


class DeliveryReport(NamedTuple):
    """One callback body, or one entry of a status answer.

    `status` is "" while the message is in process; `err` is 0 then. `timestamp` is aware, in
    UTC, None when there is none that can be read. Words are cut at 300 characters.
    """

    omnimessage_id: str
    status: str = ""
    err: int = 0
    error: str = ""
    timestamp: datetime | None = None
    to: str = ""
    channel: str = ""


class Judged(NamedTuple):
    """What a receipt says. `err` is 0..999: as its text prints it, and its network_error_code."""

    message_state: MessageState
    kind: Kind
    err: int


class ReportOverride(NamedTuple):
    """One configured exception; all that is given must match."""

    status: str  # "" = any
    err: int | None  # None = any
    message_state: MessageState | None  # None leaves the state
    printed: int | None  # None leaves what is printed as err

    @property
    def precision(self) -> tuple[bool, bool]:
        """How much must match; an err says more than a status."""
        return self.err is not None, bool(self.status)


def read_report(body: bytes) -> DeliveryReport | None:
    """The report of a callback's body; None when it is not the API's, or of no message."""
    found = object_of(body)
    message_id = id_of(found)
    if not message_id:
        return None
    delivery = delivery_of(found)
    return DeliveryReport(
        message_id,
        delivery.status,
        delivery.err,
        word_of(found.get("error")),
        delivery.timestamp,
        word_of(found.get("to")),
        word_of(found.get("channel")),
    )


def read_report_overrides(table: Mapping[str, str]) -> tuple[ReportOverride, ...]:
    """The overrides of a configuration, the most precise first.

    Keys are one or two words: a status of the API ("UNDELIV") and an err ("3"). Values are a
    `stat` and three digits for `err` ("REJECTD 003"), or one of the two. Raises ValueError that
    names what cannot be read.
    """
    overrides = [ReportOverride(*_read_key(key), *_read_value(key, table[key])) for key in table]
    return tuple(sorted(overrides, key=lambda override: override.precision, reverse=True))


def _read_key(key: str) -> tuple[str, int | None]:
    status, err = "", None
    for word in key.split():
        if _STATUS.fullmatch(word) and not status:
            status = word
        elif _CODE.fullmatch(word) and err is None:
            err = int(word)
        elif _STATUS.fullmatch(word) or _CODE.fullmatch(word):
            raise ValueError(f"{key!r}: {word!r} is a second word of one kind")
        else:
            raise ValueError(f"{key!r}: {word!r} is neither a status (UNDELIV) nor an err (3)")
    if not status and err is None:
        raise ValueError(f"{key!r} names no report: give a status (UNDELIV), an err (3), or both")
    # The API may add words, so one that is not known is no fault unless it looks like a slip.
    near = difflib.get_close_matches(status, [*STATES], 1, _LIKENESS)
    if status not in STATES and near:
        raise ValueError(f"{key!r}: {status!r} is no status, did you mean {near[0]!r}?")
    return status, err


def _read_value(key: str, value: str) -> tuple[MessageState | None, int | None]:
    stat, _, digits = value.strip().partition(" ")
    if stat.isdecimal() and not digits:
        stat, digits = "", stat
    digits = digits.strip()
    if (stat and stat not in STATS) or (digits and not re.fullmatch(r"[0-9]{3}", digits)):
        raise ValueError(
            f"{key!r}: {value!r} is no stat ({', '.join(STATS)}) with three digits behind it "
            "(REJECTD 003), nor one of the two"
        )
    if not stat and not digits:
        raise ValueError(f"{key!r} has no value: give a stat (REJECTD), three digits, or both")
    return STATES[stat].message_state if stat else None, int(digits) if digits else None


def judge_report(status: str, err: int, overrides: tuple[ReportOverride, ...] = ()) -> Judged:
    """What a report's status and err mean. Of a message in process nothing is overridden."""
    message_state = state_of(status).message_state
    printed = None
    if status:
        for override in overrides:
            if override.status in {"", status} and override.err in {None, err}:
                if override.message_state is not None:
                    message_state = override.message_state
                printed = override.printed
                break
    if printed is None:
        code = err if 0 < err <= LARGEST_ERR else NO_CODE
        printed = 0 if message_state in NO_FAILURE else code
    return Judged(message_state, KINDS.get(message_state, "final"), printed)
