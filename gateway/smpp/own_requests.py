"""The requests that the MC itself sends in one session: sequence numbers and expiry."""

from __future__ import annotations

from typing import Final, NamedTuple

from gateway.smpp.constants import RESPONSE_BIT, CommandId

_LAST: Final = 0x7FFFFFFF  # SMPP 3.4 section 3.2; the next one is 1


class OwnRequest(NamedTuple):
    """One that is not answered yet; `tag` is by what the sender of a deliver_sm knows it."""

    command_id: CommandId
    until: float
    tag: int = 0


class OwnRequests:
    """Those sent and not yet answered; `undelivered` counts the deliver_sm among them."""

    __slots__ = ("_next", "_waiting", "undelivered")

    def __init__(self) -> None:
        self.undelivered = 0
        self._next = 1
        self._waiting: dict[int, OwnRequest] = {}

    def add(self, command_id: CommandId, until: float, tag: int = 0) -> int:
        """The sequence_number for a new request that expires at the moment `until`."""
        sequence_number = self._next
        self._next = 1 if sequence_number == _LAST else sequence_number + 1
        self._waiting[sequence_number] = OwnRequest(command_id, until, tag)
        self.undelivered += command_id is CommandId.deliver_sm
        return sequence_number

    def settle(self, sequence_number: int, response_id: CommandId) -> OwnRequest | None:
        """Which request a response or generic_nack settles; None when it fits none."""
        request = self._waiting.get(sequence_number)
        if request is None or response_id not in {
            request.command_id | RESPONSE_BIT,
            CommandId.generic_nack,
        }:
            return None
        return self._take(sequence_number)

    def awaits(self, command_id: CommandId) -> bool:
        """Whether a request of this kind is unanswered."""
        return any(request.command_id is command_id for request in self._waiting.values())

    def expired(self, now: float) -> list[OwnRequest]:
        """Take out what has not been answered in time."""
        late = [number for number, request in self._waiting.items() if now >= request.until]
        return [self._take(number) for number in late]

    def take_undelivered(self) -> list[int]:
        """Take out every deliver_sm; their tags, the first one sent first."""
        left = [
            number
            for number, request in self._waiting.items()
            if request.command_id is CommandId.deliver_sm
        ]
        return [self._take(number).tag for number in left]

    def _take(self, sequence_number: int) -> OwnRequest:
        request = self._waiting.pop(sequence_number)
        self.undelivered -= request.command_id is CommandId.deliver_sm
        return request
