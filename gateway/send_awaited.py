"""The receipts that a run of the `send` verb waits for, each matched to its message. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from gateway.send_answer import Answer
from gateway.send_receipts import Receipt

_HEX: Final = re.compile("[0-9a-f]+")
LONGEST_HEX: Final = 8  # digits of a 32-bit id
LONGEST_DECIMAL: Final = 10


@dataclass(frozen=True)
class Arrival:
    """A receipt that came, `seconds` after its message's answer: below 0 if it came before.

    `answer` is None when the receipt belongs to no message of this run, `seconds` is 0 then.
    `first` is False for a final receipt whose message had one already.
    """

    receipt: Receipt
    answer: Answer | None = None
    seconds: float = 0.0
    first: bool = True


@dataclass
class _Sent:
    answer: Answer
    answered: float
    stat: str | None = None  # of its final receipt


@dataclass
class _Early:
    receipt: Receipt
    came: float
    matched: bool = False


class Awaited:
    """The accepted messages of a run, and the receipts that are nobody's yet. `now` in seconds."""

    def __init__(self) -> None:
        self._sent: dict[str, list[_Sent]] = {}  # by every way to write their message_id
        self._early: dict[str, list[_Early]] = {}  # likewise
        self.missing = 0  # messages without a final receipt

    def answered(self, answer: Answer, now: float) -> Iterator[Arrival]:
        """Expect receipts for an accepted message; yields those that came before its answer."""
        self.missing += 1
        sent = _Sent(answer, now)
        ways = _ways(answer.message_id)
        for way in ways:
            self._sent.setdefault(way, []).append(sent)
        for way in ways:
            for early in self._early.pop(way, ()):
                if not early.matched:
                    early.matched = True
                    yield self._match(sent, early.receipt, early.came)

    def arrived(self, receipt: Receipt, now: float) -> Arrival | None:
        """Match a receipt to its message; None, and it is kept, when it fits none so far."""
        ways = _ways(receipt.message_id, "hex", "dec")
        for way in ways:
            if found := self._sent.get(way):
                return self._match(_one_of(found, receipt), receipt, now)
        early = _Early(receipt, now)
        for way in ways:
            self._early.setdefault(way, []).append(early)
        return None

    def strangers(self) -> Iterator[Arrival]:
        """Yield the receipts that fit no message, once no more answers are to come."""
        kept, self._early = self._early, {}
        for each in kept.values():
            for early in each:
                if not early.matched:
                    early.matched = True
                    yield Arrival(early.receipt)

    def _match(self, sent: _Sent, receipt: Receipt, came: float) -> Arrival:
        first = True
        if receipt.final:
            first = sent.stat is None
            self.missing -= first
            sent.stat = receipt.stat
        return Arrival(receipt, sent.answer, came - sent.answered, first)


def _one_of(found: list[_Sent], receipt: Receipt) -> _Sent:
    """A submit_multi has one id for all its numbers, of which one is the receipt's source."""
    same = [sent for sent in found if sent.answer.to.removeprefix("+") == receipt.source]
    possible = same or found
    return next((sent for sent in possible if sent.stat is None), possible[0])


def _ways(message_id: str, decimal: str = "dec", hexadecimal: str = "hex") -> list[str]:
    """The ways to know an id by, the most certain first.

    Some MCs answer in hexadecimal and write the receipt in decimal, or the other way round:
    each reading of the one as a number is a way to know the other, so the words are swapped
    for a receipt.
    """
    plain = message_id.lower().lstrip("0")
    ways = [f"as it is {message_id}", f"text {plain}"]
    if len(message_id) <= LONGEST_DECIMAL and message_id.isascii() and message_id.isdecimal():
        ways.append(f"{decimal} {int(message_id)}")
    # Few digits and no letter are taken for decimal.
    certain = len(message_id) == LONGEST_HEX or not plain.isdecimal()
    if certain and len(message_id) <= LONGEST_HEX and _HEX.fullmatch(plain):
        ways.append(f"{hexadecimal} {int(plain, 16)}")
    return ways
