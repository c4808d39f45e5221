"""Outcomes on demand: the last four digits of a destination decide what happens.

x400 is a refusal of the message, the first digit choosing the field; 0 and an HTTP status is
that status; 9 is trouble on the wire. Everything else is accepted, and delivered unless it
begins with 7: 71 and an err is a final status with that err, 72 is another status, 73 is
something odd about the callbacks. docs/sandbox.md repeats these tables, and a test holds the
two together.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from gateway.sandbox.answers import (
    BAD_GATEWAY,
    FORBIDDEN,
    NOT_FOUND,
    PLAIN,
    SERVER_ERROR,
    TOO_MANY_REQUESTS,
    UNAUTHORIZED,
    Answer,
    Wire,
)
from gateway.sandbox.api_errors import ApiError
from gateway.sandbox.lifecycle import DELIVERED, Course, Step


@dataclass(frozen=True, slots=True)
class Script:
    """The outcome of one suffix, in one of three forms.

    `error`: the message is refused with 400; in a bulk request its item alone is.
    `refusal`: the whole request is refused with this answer, and nothing is accepted.
    Neither: the message is accepted, and then the answer is changed by the other fields.
    """

    suffix: str
    meaning: str
    error: ApiError | None = None  # {channel} in its source is the message's first channel
    refusal: Answer | None = None
    status: int = 201
    garbage: bytes = b""  # the body instead of the true one
    delay: float = 0.0
    wire: Wire = Wire.SEND

    @property
    def accepted(self) -> bool:
        """Whether the message is accepted, whatever the client gets to see."""
        return self.error is None and self.refusal is None

    @property
    def in_bulk(self) -> str:
        """What it hits in a bulk request, in the words of the documentation."""
        return "that item" if self.error else "the request"

    def error_for(self, channel: str) -> ApiError | None:
        """Return the refusal of a message whose first channel is `channel`."""
        if self.error is None or self.error.source is None:
            return None
        return replace(self.error, source=self.error.source.format(channel=channel))

    def applied_to(self, answer: Answer) -> Answer:
        """Return what the client gets instead of the answer that it earned."""
        if self.garbage:
            answer = replace(answer, body=self.garbage, content_type=PLAIN)
        return replace(answer, status=self.status, delay=self.delay, wire=self.wire)


def _refused(source: str, detail: str, code: str = "105") -> ApiError:
    return ApiError(code, detail, source)


SCRIPTS = (
    Script(
        "0400",
        "400, code 105, `payload[sms][sender]`",
        error=_refused("payload[{channel}][sender]", "Invalid or disallowed sender"),
    ),
    Script(
        "1400",
        "400, code 105, `payload[to]`",
        error=_refused("payload[to]", "Invalid phone number"),
    ),
    Script(
        "2400",
        "400, code 105, `payload[sms][text]`",
        error=_refused("payload[{channel}][text]", "Invalid text"),
    ),
    Script(
        "3400",
        "400, code 105, `payload[time_to_send]`",
        error=_refused("payload[time_to_send]", "Invalid time"),
    ),
    Script(
        "4400",
        "400, code 105, `payload[sms][ttl]`",
        error=_refused("payload[{channel}][ttl]", "Invalid ttl"),
    ),
    Script(
        "5400",
        "400, code 106, `payload[messages]`",
        error=_refused("payload[messages]", "Missing data", "106"),
    ),
    Script("0401", "401, code 103", refusal=UNAUTHORIZED),
    Script("0403", "403, code 102", refusal=FORBIDDEN),
    Script("0404", "404, code 101", refusal=NOT_FOUND),
    Script("0429", "429, plain text", refusal=TOO_MANY_REQUESTS),
    Script("0500", "500, code 104", refusal=SERVER_ERROR),
    Script("0502", "502 with an HTML page, as a proxy gives", refusal=BAD_GATEWAY),
    Script("0200", "200 instead of 201, the body is right", status=200),
    Script("0201", "201 with a body that is not JSON", garbage=b'{"omnimessage_id": \x00\xff\n'),
    Script("9000", "no answer, ever; the connection stays open", wire=Wire.HANG),
    Script("9001", "the connection is closed before any answer", wire=Wire.CUT_BEFORE),
    Script("9002", "the connection is closed in the middle of the body", wire=Wire.CUT_WITHIN),
    Script("9003", "201 after 3 seconds", delay=3.0),
)


class Fate(NamedTuple):
    """The course of the messages to one suffix."""

    suffix: str
    meaning: str
    course: Course


def _ends(status: str, err: int = 0) -> Course:
    return Course((Step(status, err),))


FATES = (
    Fate("7100", "`DELIVRD`, as any other number", DELIVERED),
    Fate("7101", "`UNDELIV`, err 1", _ends("UNDELIV", 1)),
    Fate("7102", "`EXPIRED`, err 2", _ends("EXPIRED", 2)),
    Fate("7103", "`FAILED`, err 3", _ends("FAILED", 3)),
    Fate("7104", "`REJECTD`, err 4: out of credit", _ends("REJECTD", 4)),
    Fate("7105", "`NACK`, err 5", _ends("NACK", 5)),
    Fate("7108", "`REJECTD`, err 8", _ends("REJECTD", 8)),
    Fate(
        "7110",
        "`DELIVRD`, and `SEEN` (err 10) after two delays",
        Course((Step("DELIVRD"), Step("SEEN", 10, share=2))),
    ),
    Fate(
        "7200",
        "`ACK` after a quarter of the delay, `ACCEPTD` after half of it, `DELIVRD`",
        Course((Step("ACK", share=0.25), Step("ACCEPTD", share=0.5), Step("DELIVRD"))),
    ),
    Fate("7201", "`DELETED`", _ends("DELETED")),
    Fate(
        "7202",
        "`UNKNOWN`, and `DELIVRD` after two delays",
        Course((Step("UNKNOWN"), Step("DELIVRD", share=2))),
    ),
    Fate("7203", "`UNKNOWN`, and nothing else", _ends("UNKNOWN")),
    Fate("7204", "`FROBBED`, a word that nobody knows", _ends("FROBBED")),
    Fate(
        "7300",
        "`DELIVRD` after 10 seconds, whatever the delay",
        Course((Step("DELIVRD", share=0, seconds=10),)),
    ),
    Fate("7301", "`DELIVRD`, each callback three times", Course(DELIVERED.steps, copies=3)),
    Fate(
        "7302",
        "`ACCEPTD` after half of the delay, `DELIVRD`; the callback of `ACCEPTD` comes last, "
        "after one and a half",
        Course((Step("ACCEPTD", share=0.5, told=1.5), Step("DELIVRD"))),
    ),
    Fate(
        "7303",
        "`DELIVRD` at once: the callback is sent and answered before the 201 leaves",
        Course((Step("DELIVRD", share=0),), before_answer=True),
    ),
    Fate("7304", "`DELIVRD`, but no callback", Course(DELIVERED.steps, copies=0)),
    Fate("7305", "in process for ever, no callback", Course((), copies=0)),
    Fate("7306", "`DELIVRD`, the signature is wrong", Course(DELIVERED.steps, forged=True)),
)

_BY_SUFFIX = {script.suffix: script for script in SCRIPTS}
_COURSES = {fate.suffix: fate.course for fate in FATES}


def script_for(to: str) -> Script | None:
    """Return the script of a destination, or None when it simply is accepted."""
    return _BY_SUFFIX.get(to[-4:])


def course_for(to: str) -> Course:
    """Return what becomes of a message that is accepted for a destination."""
    return _COURSES.get(to[-4:], DELIVERED)
