"""The requests that the MC itself sends in one session: sequence numbers and expiry."""

from __future__ import annotations

from typing import Final

from gateway.smpp.constants import RESPONSE_BIT, CommandId

_LAST: Final = 0x7FFFFFFF  # SMPP 3.4 section 3.2; the next one is 1


class OwnRequests:
    """Those sent and not yet answered."""

    __slots__ = ("_next", "_waiting")

    def __init__(self) -> None:
        self._next = 1
        self._waiting: dict[int, tuple[CommandId, float]] = {}

    def add(self, command_id: CommandId, until: float) -> int:
        """The sequence_number for a new request that expires at the moment `until`."""
        sequence_number = self._next
        self._next = 1 if sequence_number == _LAST else sequence_number + 1
        self._waiting[sequence_number] = (command_id, until)
        return sequence_number

    def settle(self, sequence_number: int, response_id: CommandId) -> CommandId | None:
        """Which request a response or generic_nack settles; None when it fits none."""
        command_id, _ = self._waiting.get(sequence_number, (None, 0.0))
        if command_id is None or response_id not in {
            command_id | RESPONSE_BIT,
            CommandId.generic_nack,
        }:
            return None
        del self._waiting[sequence_number]
        return command_id

    def awaits(self, command_id: CommandId) -> bool:
        """Whether a request of this kind is unanswered."""
        return any(waiting is command_id for waiting, _ in self._waiting.values())

    def expired(self, now: float) -> list[CommandId]:
        """Take out what has not been answered in time."""
        late = [number for number, (_, until) in self._waiting.items() if now >= until]
        return [self._waiting.pop(number)[0] for number in late]
