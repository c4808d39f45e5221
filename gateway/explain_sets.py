"""Which of several PDUs are parts of one long message, and its text once all are there.

By the gateway's rules: parts with the same addresses, reference, kind of reference and total
belong together in any order, one that is there already replaces the earlier one, and once a
set is complete its reference is free for the next message.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.explain_message import MessagePdu, explain_text
from gateway.explain_words import Explained
from gateway.message import segment
from gateway.message.charset import AlphabetPolicy
from gateway.message.segment import Concatenation, Content
from gateway.smpp import pdu as p


@dataclass
class _Set:
    number: int
    source_addr: str
    destination_addr: list[str]
    first: Concatenation
    contents: dict[int, Content] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        return len(self.contents) == self.first.total

    def missing(self) -> str:
        """The numbers that are not there, as "2,5-9"."""
        return segment.missing(self.contents, self.first.total)


class _Label(NamedTuple):
    explained: Explained
    part_of: str


class Sets:
    """The long messages of one stream; `policy` says how their text is read."""

    def __init__(self, policy: AlphabetPolicy) -> None:
        self.policy = policy
        self._sets: list[_Set] = []
        self._open: dict[object, _Set] = {}
        self._labels: list[_Label] = []

    def add(self, pdu: MessagePdu, content: Content, explained: Explained) -> None:
        """Take in a PDU and its explanation."""
        part = content.concatenation
        if part is None or part.total == 1:
            return
        to = _destinations(pdu)
        key = (pdu.source.addr, *to, part.kind, part.reference, part.total)
        if key not in self._open:
            self._open[key] = _Set(len(self._sets) + 1, pdu.source.addr, to, part)
            self._sets.append(self._open[key])
        found = self._open[key]
        again = ", in place of an earlier one" if part.number in found.contents else ""
        found.contents[part.number] = content
        words = f"set {found.number}, part {part.number} of {part.total}{again}"
        self._labels.append(_Label(explained, words))
        if found.complete:
            del self._open[key]

    def explained(self) -> list[Explained]:
        """An entry for each set, with its text or with what is missing.

        The explanations of their parts say "part_of" then.
        """
        for explained, words in self._labels:
            explained["part_of"] = words
        return [{"set": self._explain(found)} for found in self._sets]

    def _explain(self, found: _Set) -> Explained:
        explained: Explained = {
            "number": found.number,
            "source_addr": found.source_addr,
            "destination_addr": found.destination_addr,
            "kind": found.first.kind,
            "reference": found.first.reference,
            "parts": found.first.total,
        }
        if not found.complete:
            return {**explained, "missing": found.missing()}
        contents = tuple(content for _, content in sorted(found.contents.items()))
        return {**explained, "message": explain_text(contents, self.policy)}


def _destinations(pdu: MessagePdu) -> list[str]:
    if not isinstance(pdu, p.SubmitMulti):
        return [pdu.destination.addr]
    return [
        each.addr if isinstance(each, p.Address) else f"list {each.dl_name}"
        for each in pdu.destinations
    ]
