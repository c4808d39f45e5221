"""How parts join sets: one after the other, in memory, whatever the size of the batch.

The store tells which sets are attached; `join` says what each part came to and what must
be written, so that the writing takes the same few statements for one part and for many.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from gateway.smpp.message_id import base_of
from gateway.store.base import BASE_OCTETS, Added, Complete, NewPart, SetKey, StoreFull, Waiting

DIGEST_OCTETS: Final = 16


def digest_of(key: SetKey) -> bytes:
    """The key in 16 octets. Lengths before the texts keep ("a", "bc") apart from ("ab", "c")."""
    system_id, source, destination, kind, reference, total = key
    text = (
        f"{len(system_id)}:{system_id}{len(source)}:{source}{len(destination)}:{destination}"
        f"{len(kind)}:{kind}{reference}:{total}"
    )
    return hashlib.blake2b(text.encode(), digest_size=DIGEST_OCTETS).digest()


def new_bases(count: int) -> Iterator[bytes]:
    """`count` fresh names of sets: random UUIDs of version 8 (RFC 9562), the last octet 0.

    The octets are drawn in one call, which lets go of the interpreter's lock only once.
    """
    drawn = os.urandom(BASE_OCTETS * count)
    for start in range(0, len(drawn), BASE_OCTETS):
        yield base_of(drawn[start : start + BASE_OCTETS])


@dataclass(slots=True)
class JoinedSet:
    """A set as the batch finds or makes it."""

    id: int
    base: bytes
    digest: bytes
    total: int
    stored: set[int]  # numbers in the store before the batch
    opened_by: NewPart | None = None  # None: it was in the store before
    written: dict[int, NewPart] = field(default_factory=dict)
    sending: bool = False

    def has(self, number: int) -> bool:
        return number in self.stored or number in self.written

    @property
    def missing(self) -> int:
        """How many parts it lacks."""
        return self.total - len(self.stored | self.written.keys())


class Completion(NamedTuple):
    """A part that made its set complete, and its place in the batch."""

    place: int
    joined: JoinedSet
    last: NewPart

    def result(self, stored: Mapping[int, bytes]) -> Complete:
        """All octets in order; `stored` are those from before the batch."""
        base, total, written = self.joined.base, self.joined.total, self.joined.written
        pdus = dict(stored)
        pdus.update((number, part.pdu) for number, part in written.items())
        pdus[self.last.number] = self.last.pdu
        return Complete(base, tuple(pdus[number] for number in range(1, total + 1)))


@dataclass(slots=True)
class Joined:
    """What a batch came to."""

    results: list[Added | None]  # None: complete, once the stored parts are read
    touched: list[JoinedSet]  # each one that gained, replaced or completed
    completions: list[Completion]
    gained: int  # parts that the store holds more than before


def join(
    parts: Sequence[NewPart],
    digests: Sequence[bytes],
    attached: dict[bytes, JoinedSet],
    ids: Iterator[int],
    room: int,
) -> Joined:
    """Let `parts` join the sets in `attached` (by digest; it is changed) or open others.

    `ids` gives one for each set opened; `room` is how many parts more may be stored.
    """
    results: list[Added | None] = []
    touched: dict[int, JoinedSet] = {}
    bases = new_bases(len(parts))
    completions: list[Completion] = []
    gained = 0
    for place, (part, digest) in enumerate(zip(parts, digests, strict=True)):
        total = part.key.total
        if not 1 <= part.number <= total:
            raise ValueError(f"part {part.number} of {total}")
        joined = attached.get(digest)
        if joined is None:
            joined = JoinedSet(next(ids), next(bases), digest, total, set(), part)
        replaced = joined.has(part.number)
        if not replaced and joined.missing == 1:
            joined.sending = True
            completions.append(Completion(place, joined, part))
            attached.pop(digest, None)
            results.append(None)
        elif not replaced and gained >= room:
            results.append(StoreFull("the store holds as many parts as it may"))
            continue
        else:
            joined.written[part.number] = part
            attached[digest] = joined
            gained += not replaced
            results.append(Waiting(joined.base, replaced))
        touched[joined.id] = joined
    return Joined(results, list(touched.values()), completions, gained)
