"""The ids that an ESME is given, and the API's ids that they stand for.

An account's message_id_format is a way of writing the same 128 bits (`smpp.message_id`). A
bind of 3.3 has room for eight digits, so it gets a number whose row in the store leads back
to the id.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from structlog.typing import FilteringBoundLogger
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from gateway.bridge.accounts import Account
from gateway.bridge.journey import Origin
from gateway.bridge.refusals import cause_of
from gateway.smpp import message_id as ids
from gateway.smpp.constants import InterfaceVersion


class ShortIds(Protocol):
    """Where the numbers of 3.3 binds are kept: `store.worker.StoreThread`."""

    def keep_id(self, system_id: str, message_id: str, now: float) -> Deferred[int]: ...

    def find_id(self, system_id: str, number: int) -> Deferred[str | None]: ...


class MessageIds:
    """`now` gives wall-clock seconds."""

    def __init__(
        self, store: ShortIds, now: Callable[[], float], log: FilteringBoundLogger
    ) -> None:
        self._store = store
        self._now = now
        self._log = log

    def shown(self, message_id: str, origin: Origin) -> str | Deferred[str]:
        """What the ESME is told for `message_id`; the Deferred of a 3.3 bind never fails."""
        account = origin.account
        if origin.interface_version is not InterfaceVersion.V33:
            return ids.written(message_id, account.settings.message_id_format)
        kept = self._store.keep_id(account.system_id, message_id, self._now())
        return kept.addCallbacks(ids.short, self._not_kept, (), {}, (message_id,))

    def _not_kept(self, failure: Failure, message_id: str) -> str:
        """The message is on its way whatever the store does, so it is answered with an id."""
        self._log.error("store_failed", operation="keep_id", detail=cause_of(failure))
        return message_id.replace("-", "")[: ids.SHORT_DIGITS]

    async def in_receipt(
        self, message_id: str, common_id: str, system_id: str, account: Account | None, *, v33: bool
    ) -> str:
        """How the receipt of a message names it, in the form that the account's receipts have.

        `common_id` is what all destinations of a submit_multi were told instead, "" for none.
        To 3.3 the number of the response is printed in decimal, as its appendix B has it. Fails
        with `StoreUnavailable`.
        """
        settings = account.settings if account else None
        told = settings.message_id_format if settings else "uuid"
        form = (settings.receipt_id_format if settings else "") or told
        if not v33:
            return ids.written(ids.read(common_id, told) if common_id else message_id, form)
        number = (
            int(common_id, 16)
            if common_id
            else await self._store.keep_id(system_id, message_id, self._now())
        )
        as_hex = settings is not None and settings.receipt_id_format == "hex"
        return ids.short(number, "hex" if as_hex else "decimal")

    async def meant(self, text: str, origin: Origin) -> str:
        """The API's id for what an ESME wrote; `text` itself when it stands for nothing else.

        Both forms that the account is given are read: that of responses and that of receipts.
        Fails with `StoreUnavailable`.
        """
        account = origin.account
        if origin.interface_version is InterfaceVersion.V33:
            for number in ids.read_short(text):
                found = await self._store.find_id(account.system_id, number)
                if found is not None:
                    return found
        return self._read(text, account)

    def _read(self, text: str, account: Account) -> str:
        settings = account.settings
        found = ids.read(text, settings.message_id_format)
        if found == text and settings.receipt_id_format:
            found = ids.read(text, settings.receipt_id_format)
        return found
