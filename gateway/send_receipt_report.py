"""What the `send` verb counts of receipts, and how it shows one."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from gateway.send_awaited import Arrival
from gateway.send_receipts import DELIVERED

NO_STAT: Final = "without a stat"


class ReceiptCounts:
    """The receipts of a run. `asked` is how many messages wait for one, parts counted singly.

    `states` counts the final ones by their stat, one for each message; `missing` messages
    have none.
    """

    def __init__(self) -> None:
        self.asked = 0
        self.interim = 0
        self.repeated = 0
        self.strangers = 0
        self.states: Counter[str] = Counter()

    def add(self, arrival: Arrival) -> None:
        """Count a receipt."""
        if arrival.answer is None:
            self.strangers += 1
        elif not arrival.receipt.final:
            self.interim += 1
        elif not arrival.first:
            self.repeated += 1
        else:
            self.states[arrival.receipt.stat or NO_STAT] += 1

    @property
    def came(self) -> int:
        return self.states.total()

    @property
    def missing(self) -> int:
        return self.asked - self.came

    @property
    def failed(self) -> int:
        """How many messages were not delivered, as far as their receipts say."""
        return self.came - self.states[DELIVERED]

    def lines(self) -> list[str]:
        """The summary for reading."""
        states = [f"{count} {stat}" for stat, count in self.states.most_common()]
        came = f"{self.came} came: {', '.join(states)}" if states else "none came"
        lines = [f"{self.asked:>8}  receipts asked for, {came}"]
        counted = {
            "not delivered, by their receipts": self.failed,
            "without a final receipt": self.missing,
            "on the way": self.interim,
            "repeated": self.repeated,
            "of other messages": self.strangers,
        }
        return lines + [f"{count:>8}  {what}" for what, count in counted.items() if count]

    def fields(self) -> dict[str, Any]:
        """The summary as JSON fields."""
        return {
            "asked": self.asked,
            "came": self.came,
            "missing": self.missing,
            "failed": self.failed,
            "states": dict(self.states),
            "interim": self.interim,
            "repeated": self.repeated,
            "others": self.strangers,
        }


def line_of(arrival: Arrival) -> str:
    """A receipt for reading, beginning as its answer's line does."""
    receipt, answer = arrival.receipt, arrival.answer
    words = [answer.to if answer else receipt.source]
    if answer and answer.parts > 1:
        words.append(f"{answer.part}/{answer.parts}")
    words += ["receipt", receipt.stat or NO_STAT, f"err {receipt.err}" if receipt.err else ""]
    words += [receipt.message_id, f"{arrival.seconds:.2f} s" if answer else "of another message"]
    words += ["" if receipt.final else "on the way", "" if arrival.first else "repeated"]
    return "  ".join(word for word in words if word)


def fields_of(arrival: Arrival) -> dict[str, Any]:
    """A receipt as JSON fields; message_id is the answer's, receipted_message_id the receipt's."""
    receipt, answer = arrival.receipt, arrival.answer
    return {
        "receipt": True,
        "to": answer.to if answer else None,
        "message_id": answer.message_id if answer else None,
        "part": answer.part if answer else None,
        "parts": answer.parts if answer else None,
        "stat": receipt.stat,
        "err": receipt.err,
        "final": receipt.final,
        "repeated": not arrival.first,
        "receipted_message_id": receipt.message_id,
        "source": receipt.source,
        "seconds": round(arrival.seconds, 3) if answer else None,
    }
