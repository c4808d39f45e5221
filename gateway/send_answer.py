"""What became of one request of the `send` verb."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gateway.smpp.constants import CommandStatus

NO_ANSWER: Final = "no answer in time"
NOT_SENT: Final = "not sent"


@dataclass(frozen=True)
class Answer:
    """What became of one part of a message to one number.

    `seconds` is 0 where nothing came back.
    """

    to: str
    status: str
    message_id: str = ""
    seconds: float = 0.0
    part: int = 1
    parts: int = 1

    @property
    def accepted(self) -> bool:
        return self.status == CommandStatus.ESME_ROK.name
