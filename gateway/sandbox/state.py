"""What the sandbox remembers of the messages it accepted, within bounds."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple

from gateway.sandbox.lifecycle import CANCELLED, Reached, Timeline

STATUSES = 100_000  # newest messages whose status can be asked and which can be cancelled
HISTORY = 10_000  # newest messages kept as they were posted


@dataclass(frozen=True, slots=True)
class AcceptedMessage:
    """An accepted message as it was posted. `request` is the decoded JSON object."""

    omnimessage_id: str
    to: str
    received: datetime
    request: dict[str, Any]


class MessagePart(NamedTuple):
    """A message's place in one channel."""

    message_id: str
    channel: str
    sender: str


@dataclass(slots=True)
class MessageState:
    """What GET status, DELETE and the callbacks need; `parts` in the order to be tried."""

    omnimessage_id: str
    to: str
    parts: tuple[MessagePart, ...]
    received: datetime
    timeline: Timeline
    dlr_url: str | None = None
    cancelled: datetime | None = None
    told: datetime | None = None  # a callback told what the message had come to by then

    def reached(self, now: datetime) -> Reached | None:
        """Return what the message has come to, never less than a callback has told.

        The timers of the callbacks do not run by the wall clock, which may lag behind them.
        """
        if self.cancelled is not None:
            return Reached(CANCELLED, self.cancelled)
        return self.timeline.reached(now if self.told is None else max(now, self.told))


class Messages:
    """The accepted messages: a history for whoever tries things out, and their states."""

    def __init__(self, *, statuses: int = STATUSES, history: int = HISTORY) -> None:
        self.accepted: deque[AcceptedMessage] = deque(maxlen=history)
        self._states: OrderedDict[str, MessageState] = OrderedDict()
        self._statuses = statuses

    def keep(self, state: MessageState, request: dict[str, Any]) -> None:
        """Remember an accepted message, and forget the oldest beyond the bounds."""
        if len(self._states) >= self._statuses:
            self._states.popitem(last=False)
        self._states[state.omnimessage_id] = state
        self.accepted.append(
            AcceptedMessage(state.omnimessage_id, state.to, state.received, request)
        )

    def state(self, omnimessage_id: str) -> MessageState | None:
        """Return the state of a message, None when it is unknown or forgotten."""
        return self._states.get(omnimessage_id)

    def cancel(self, omnimessage_id: str, now: datetime) -> MessageState | None:
        """Cancel a scheduled message; None when it is unknown, sent or cancelled already."""
        state = self._states.get(omnimessage_id)
        if state is None or state.cancelled is not None or state.timeline.begins <= now:
            return None
        state.cancelled = now
        return state

    def newest(self, count: int) -> Iterator[AcceptedMessage]:
        """Yield up to `count` accepted messages, the newest first."""
        return islice(reversed(self.accepted), count)
