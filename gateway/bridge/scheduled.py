"""Messages that an account has sent for later, so that they can be found by their addresses. Pure.

Only what the API holds until its time can still be cancelled, and only this process's own
messages are known here: the memory is bounded and ends with the process. What cannot be found
is treated as sent, which is the truth for all but those.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, NamedTuple

from gateway.smpp.pdu import Address

AT_ONCE: Final = 100  # that one request cancels, the oldest first
_MOST: Final = 10_000  # of one account; the oldest are forgotten first


class _Entry(NamedTuple):
    service_type: str
    source: str
    destination: str
    due: float


class Scheduled:
    """The messages of one account whose time has not come. Moments are wall-clock seconds."""

    def __init__(self) -> None:
        self._entries: OrderedDict[str, _Entry] = OrderedDict()

    def add(
        self,
        omnimessage_id: str,
        service_type: str,
        source: Address,
        destination: Address,
        due: float,
    ) -> None:
        self._entries[omnimessage_id] = _Entry(
            service_type, _digits(source), _digits(destination), due
        )
        if len(self._entries) > _MOST:
            self._entries.popitem(last=False)

    def find(
        self, source: Address, destination: Address, now: float, service_type: str | None = None
    ) -> list[str]:
        """The ids of those between two addresses that are not due, the oldest first.

        None stands for any service_type. Type of number, numbering plan and "+" do not count.
        """
        wanted = (_digits(source), _digits(destination))
        return [
            omnimessage_id
            for omnimessage_id, entry in self._entries.items()
            if (entry.source, entry.destination) == wanted
            and entry.due > now
            and service_type in {None, entry.service_type}
        ]

    def forget(self, omnimessage_id: str) -> None:
        """It was cancelled."""
        self._entries.pop(omnimessage_id, None)


def _digits(address: Address) -> str:
    return address.addr.removeprefix("+")
