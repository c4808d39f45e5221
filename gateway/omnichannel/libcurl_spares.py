"""The transfers that are over, kept for the next requests, and let go when too many are.

A transfer is dear to make and holds about 40 KiB. After a burst there may be hundreds of them;
those that were not needed for a while are closed, half of them at a time.
"""

from __future__ import annotations

from collections.abc import Iterator

from gateway.omnichannel.libcurl_exchange import Exchange


class Spares:
    """Of one method."""

    __slots__ = ("_exchanges", "_least")

    def __init__(self) -> None:
        self._exchanges: list[Exchange] = []
        self._least = 0  # that there were since the last `thin`

    def take(self) -> Exchange | None:
        if not self._exchanges:
            return None
        exchange = self._exchanges.pop()
        if len(self._exchanges) < self._least:
            self._least = len(self._exchanges)
        return exchange

    def put(self, exchange: Exchange) -> None:
        self._exchanges.append(exchange)

    def thin(self) -> None:
        """Close half of those that nobody has needed since the last time."""
        surplus = (self._least + 1) // 2
        for exchange in self._exchanges[:surplus]:
            exchange.curl.close()
        del self._exchanges[:surplus]
        self._least = len(self._exchanges)

    def __iter__(self) -> Iterator[Exchange]:
        return iter(self._exchanges)

    def clear(self) -> None:
        for exchange in self._exchanges:
            exchange.curl.close()
        self._exchanges.clear()
