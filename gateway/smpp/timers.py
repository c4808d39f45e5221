"""The timers of a session: a record of moments and one question, what is due now.

SMPP 3.4 section 7.2. All moments are seconds of one monotonic clock that the caller reads.
Any octet from the peer proves that it lives; only a message counts as activity.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto


@dataclass(frozen=True, slots=True)
class TimerLimits:
    """Seconds; 0 switches enquire_link and inactivity off."""

    session_init: float = 10
    pdu_read: float = 10
    enquire_link: float = 30
    inactivity: float = 0
    response: float = 30
    unbind: float = 5


class Due(Enum):
    """What the passing of time asks for."""

    NOTHING = auto()
    SESSION_INIT = auto()  # no successful bind in time: close
    PDU_READ = auto()  # half a PDU for too long: generic_nack, close
    ENQUIRE_LINK = auto()  # silence: ask whether the peer lives
    INACTIVITY = auto()  # no message for too long: unbind


@dataclass(slots=True)
class Timers:
    """The moments that matter; `partial_since` is None while no PDU is incomplete."""

    limits: TimerLimits
    connected_at: float
    heard_at: float
    message_at: float
    partial_since: float | None = None

    def due(self, now: float, *, bound: bool) -> Due:
        """The most urgent thing due at `now` for a bound or a not yet bound session."""
        limits = self.limits
        if self.partial_since is not None and now - self.partial_since >= limits.pdu_read:
            return Due.PDU_READ
        if not bound:
            late = now - self.connected_at >= limits.session_init
            return Due.SESSION_INIT if late else Due.NOTHING
        if limits.inactivity and now - self.message_at >= limits.inactivity:
            return Due.INACTIVITY
        if limits.enquire_link and now - self.heard_at >= limits.enquire_link:
            return Due.ENQUIRE_LINK
        return Due.NOTHING
