"""Message ids for clients that know SMPP 3.3 only: 32-bit numbers, each with a stored row."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy.engine import Connection

from gateway.store import statements as sql

_BITS: Final = 32
_FIRST_EIGHT: Final = re.compile(r"[0-9A-Fa-f]{8}")

_Numbered = tuple[str, int]  # system_id, number


def find(connection: Connection, numbers: Sequence[_Numbered]) -> dict[_Numbered, str]:
    """The message_id of each number that has one."""
    rows = sql.READ_IDS.read(connection, list(dict.fromkeys(numbers)))
    return {(system_id, number): message_id for system_id, number, message_id in rows}


def keep(
    connection: Connection, ids: Sequence[tuple[str, str, int]], draw: Any = secrets.randbits
) -> list[int]:
    """A number for each (system_id, message_id, microseconds); `draw(bits)` is for tests."""
    wished = [(system_id, _wish(message_id) or draw(_BITS)) for system_id, message_id, _ in ids]
    taken: dict[_Numbered, str] = {}
    rows: list[tuple[str, int, str, int]] = []
    results = [0] * len(ids)
    waiting = list(range(len(ids)))
    while waiting:  # a second round only for numbers that were taken
        taken |= find(connection, [wished[place] for place in waiting])
        again = []
        for place in waiting:
            system_id, message_id, kept_at = ids[place]
            number = wished[place][1]
            holder = taken.get(wished[place])
            if number == 0 or holder not in (None, message_id):
                wished[place] = system_id, draw(_BITS)
                again.append(place)
                continue
            results[place] = number
            if holder is None:
                taken[wished[place]] = message_id
                rows.append((system_id, number, message_id, kept_at))
        waiting = again
    sql.INSERT_IDS.run(connection, rows)
    return results


def _wish(message_id: str) -> int | None:
    found = _FIRST_EIGHT.match(message_id)
    return int(found[0], 16) if found else None
