"""Message ids for clients that know SMPP 3.3 only: 32-bit numbers, each with a stored row.

A message that is asked about again gets its number again, though others came and went: its
receipt must name it as its response did.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from typing import Final

from sqlalchemy.engine import Connection

from gateway.store import statements as sql

_FIRST_EIGHT: Final = re.compile(r"[0-9A-Fa-f]{8}")

_Numbered = tuple[str, int]  # system_id, number


def find(connection: Connection, numbers: Sequence[_Numbered]) -> dict[_Numbered, str]:
    """The message_id of each number that has one."""
    rows = sql.READ_IDS.read(connection, list(dict.fromkeys(numbers)))
    return {(system_id, number): message_id for system_id, number, message_id in rows}


def choice(message_id: str, rank: int) -> int:
    """The number that `message_id` wishes for with rank 0, 1 and so on; 0 stands for none."""
    first = _FIRST_EIGHT.match(message_id)
    if rank == 0 and first:
        return int(first[0], 16)
    digest = hashlib.blake2b(f"{rank}:{message_id}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big")


def keep(
    connection: Connection,
    ids: Sequence[tuple[str, str, int]],
    choose: Callable[[str, int], int] = choice,
) -> list[int]:
    """A number for each (system_id, message_id, microseconds); `choose` is for tests."""
    taken: dict[_Numbered, str] = {}
    rows: list[tuple[str, int, str, int]] = []
    results = [0] * len(ids)
    waiting = list(range(len(ids)))
    rank = 0
    while waiting:  # a second round only for messages whose numbers were both taken
        wishes = {
            place: [(ids[place][0], choose(ids[place][1], rank + n)) for n in (0, 1)]
            for place in waiting
        }
        taken |= find(connection, [wish for both in wishes.values() for wish in both])
        for place, both in wishes.items():
            system_id, message_id, kept_at = ids[place]
            # Its own before a free one: who had the first one meanwhile may be gone.
            mine = [wish for wish in both if taken.get(wish) == message_id]
            free = [wish for wish in both if wish[1] and wish not in taken]
            for _, number in (mine or free)[:1]:
                results[place] = number
                if not mine:
                    taken[system_id, number] = message_id
                    rows.append((system_id, number, message_id, kept_at))
        waiting = [place for place in waiting if not results[place]]
        rank += 2
    sql.INSERT_IDS.run(connection, rows)
    return results
