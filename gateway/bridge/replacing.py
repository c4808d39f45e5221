"""replace_if_present_flag: a new message takes the place of one that has not been sent yet.

The API cannot replace, but it can cancel what is scheduled. So the new message is relayed like
any other, and once it is accepted the account's earlier ones with the same addresses and
service_type (SMPP 3.4 section 5.2.18) that still wait for their time are cancelled: first the
new, then the old, so that a refusal leaves the old one in place.
"""

from __future__ import annotations

from collections.abc import Callable

from structlog.typing import FilteringBoundLogger
from twisted.internet.defer import Deferred

from gateway.bridge.accounts import Account
from gateway.bridge.journey import api_fields
from gateway.bridge.scheduled import AT_ONCE
from gateway.omnichannel.client import OmnichannelClient
from gateway.omnichannel.outcome import Outcome, Verdict
from gateway.smpp.pdu import SubmitSm


class Replacing:
    """Cancels what was replaced. `now` gives wall-clock seconds."""

    def __init__(
        self, api: OmnichannelClient, now: Callable[[], float], log: FilteringBoundLogger
    ) -> None:
        self._api = api
        self._now = now
        self._log = log

    def replace(self, submit: SubmitSm, account: Account, omnimessage_id: str) -> None:
        """`submit` was accepted as `omnimessage_id`; call before the account remembers it."""
        earlier = account.scheduled.find(
            submit.source, submit.destination, self._now(), submit.service_type
        )
        for one in earlier[:AT_ONCE]:
            cancelled: Deferred[Outcome] = self._api.cancel(
                one, account.credentials, account.settings.response_deadline
            )
            cancelled.addCallback(self._cancelled, account, one, omnimessage_id)
            cancelled.addErrback(
                lambda failure: self._log.error("relay_failed", failure=failure.getTraceback())
            )

    def _cancelled(
        self, outcome: Outcome, account: Account, earlier: str, omnimessage_id: str
    ) -> None:
        line = {
            "system_id": account.system_id,
            "message_id": omnimessage_id,
            "replaced_message_id": earlier,
            **api_fields(outcome),
        }
        if outcome.verdict is Verdict.ANSWERED:
            account.scheduled.forget(earlier)
            self._log.info("message_replaced", **line)
        else:
            self._log.warning("message_not_replaced", **line)
