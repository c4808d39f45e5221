"""Who is next, when many wait for their turn at the API: a fair share for each account. Pure.

Accounts take turns, message by message, so that a flood of one delays another's next message
by one message of each account and no more. Within an account the higher priority_flag goes
first, and what came first among equals.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from typing import Final, Generic, TypeVar

PRIORITIES: Final = 4  # priority_flag 0 to 3; what is above counts as the highest

# How many messages of a row must have left until what they met with counts for half.
_DOUBT: Final = 10
_MEMORY: Final = 100  # messages of a row that its experience reaches back to, or twice as many

Item = TypeVar("Item")


class _Row(deque[Item]):
    """Equals of an account, and how many of them have left since there have been any."""

    def __init__(self) -> None:
        super().__init__()
        self.served = 0
        self.since = 0  # in requests

    def pass_on(self, requests: int) -> Item:
        self.served += 1
        if self.served >= 2 * _MEMORY:
            self.served //= 2
            self.since += (requests - self.since) // 2
        return self.popleft()


class _Line(Generic[Item]):
    """What waits of one account: a row for each priority, the highest first."""

    __slots__ = ("count", "rows")

    def __init__(self) -> None:
        self.count = 0
        self.rows: tuple[_Row[Item], ...] = tuple(_Row() for _ in range(PRIORITIES))


class FairQueue(Generic[Item]):
    """What waits, by account and priority.

    `requests` is to be counted up with each that leaves, with messages from here or without.
    """

    def __init__(self) -> None:
        self.requests = 0
        self._lines: OrderedDict[str, _Line[Item]] = OrderedDict()  # the next to serve first
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Item]:
        """All that waits, by account."""
        return (item for line in self._lines.values() for row in line.rows for item in row)

    def ahead(self, account: str, priority: int) -> int:
        """How many go before another of this account and priority, at most.

        Every account that has as many waiting has its turn as often as this one.
        """
        turns = 0
        own = self._lines.get(account)
        if own is not None:
            turns = sum(map(len, own.rows[: _row(priority) + 1]))
        others = (line.count for line in self._lines.values() if line is not own)
        return turns + sum(min(count, turns + 1) for count in others)

    def wait(self, account: str, priority: int, ahead: int, most: int) -> float:
        """After how many requests another would have left that has so many ahead of it.

        `most` go in one request. That is what it is now; the row may have found that others
        keep coming that go first, and its experience counts more and more.
        """
        expected = (ahead + 1) / most
        line = self._lines.get(account)
        if line is None:
            return expected
        row = line.rows[_row(priority)]
        if not row:
            return expected
        passed = self.requests - row.since
        own = len(row) + 1
        return max(expected, (own * passed + _DOUBT * expected) / (row.served + _DOUBT))

    def add(self, item: Item, account: str, priority: int) -> None:
        line = self._lines.get(account)
        if line is None:
            line = self._lines[account] = _Line()
        row = line.rows[_row(priority)]
        if not row:
            row.served, row.since = 0, self.requests
        row.append(item)
        line.count += 1
        self._count += 1

    def put_back(self, item: Item, account: str, priority: int) -> None:
        """It was taken, and is the first of its account and priority again."""
        self.add(item, account, priority)
        self._lines[account].rows[_row(priority)].rotate(1)
        self._lines.move_to_end(account, last=False)

    def take(self, most: int) -> Iterator[Item]:
        """Up to `most`, each account in its turn."""
        lines = self._lines
        while most and lines:
            account, line = next(iter(lines.items()))
            item = next(row for row in line.rows if row).pass_on(self.requests)
            line.count -= 1
            self._count -= 1
            most -= 1
            if line.count:
                lines.move_to_end(account)
            else:
                del lines[account]
            yield item

    def expire(self, late: Callable[[Item], bool]) -> list[Item]:
        """Take out those for whom it is too late, wherever they stand.

        Some have less time left than those before them: they have waited elsewhere already.
        """
        found: list[Item] = []
        for account, line in tuple(self._lines.items()):
            for row in line.rows:
                if gone := list(filter(late, row)):
                    kept = [item for item in row if not late(item)]
                    row.clear()
                    row.extend(kept)
                    line.count -= len(gone)
                    found += gone
            if not line.count:
                del self._lines[account]
        self._count -= len(found)
        return found


def _row(priority: int) -> int:
    return PRIORITIES - 1 - min(priority, PRIORITIES - 1)
