"""What a session asks of the shell around it, which runs the effects in order."""

from __future__ import annotations

from dataclasses import field

from gateway.smpp.pdu import Bind, CancelSm, DataSm, Pdu, QuerySm, SubmitMulti, SubmitSm
from gateway.values import value_class

# Requests that bring a message, and those that ask about one sent before.
Submission = SubmitSm | SubmitMulti | DataSm
Inquiry = QuerySm | CancelSm


@value_class
class Send:
    """Write this PDU."""

    pdu: Pdu


@value_class
class Forward:
    """Write this PDU, which was encoded before."""

    octets: bytes


@value_class
class Refuse:
    """Write this response: the session itself refuses a request. `detail` says why."""

    pdu: Pdu
    detail: str


@value_class
class Authenticate:
    """Check who binds, then call `Session.bind_accepted` or `Session.bind_refused`."""

    bind: Bind


@value_class
class Submit:
    """Relay this message, then call `Session.respond` once with its response.

    `received_at` is the moment its octets were read: it may have waited for the window.
    """

    pdu: Submission
    received_at: float = field(default=0.0, compare=False)


@value_class
class Inquire:
    """Ask about this earlier message, then call `Session.respond` once with its response."""

    pdu: Inquiry
    received_at: float = field(default=0.0, compare=False)


@value_class
class Answered:
    """What the ESME answered to the deliver_sm with this tag.

    None: nothing in time, or the session could not send it any more.
    """

    tag: int
    command_status: int | None


@value_class
class PauseReading:
    """Take no more octets from the socket: the ESME has its whole window unanswered."""


@value_class
class ResumeReading:
    """Take octets from the socket again."""


@value_class
class Flag:
    """Something worth counting that the session survives; `reason` is the metric's label."""

    reason: str
    detail: str = ""


@value_class
class Close:
    """Close the connection once all that was sent is written; `reason` is for the log."""

    reason: str


Effect = (
    Send
    | Forward
    | Refuse
    | Authenticate
    | Submit
    | Inquire
    | Answered
    | PauseReading
    | ResumeReading
    | Flag
    | Close
)
