"""Parts of long messages on their way to being one message.

The rules of a set, which the store carries out (`store.base`):

- Parts with the same account, addresses, reference, kind of reference and total belong
  together, over all binds of the account and in any order.
- A part that does not complete its set is committed and answered with an id of its own: a
  client with a window of one would never send the next one otherwise. A part that is there
  already replaces the earlier one.
- The part that completes the set takes all of it to the API, and its key is free for the
  next message at once: clients reuse references, some send 0 always.
- If the API accepts, the set is deleted. If not, it waits again for the part that completed
  it: the client's retry of that part sends the whole message once more.
- A set that is not complete in the account's reassembly_timeout fails: its parts that asked
  for a receipt of failure get a record of one, the log and the metrics say so. With
  relay_incomplete what is there is relayed first, unless the API may have seen it already.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final, Protocol

from structlog.typing import FilteringBoundLogger
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from gateway.bridge.accounts import Account
from gateway.bridge.journey import api_fields
from gateway.bridge.translate import Message, Writing, read, translate
from gateway.errors import GatewayError
from gateway.message.segment import Concatenation, Content
from gateway.metrics import Metrics
from gateway.omnichannel.client import OmnichannelClient
from gateway.omnichannel.outcome import Outcome, Verdict
from gateway.smpp import message_id as ids
from gateway.smpp.codec import decode, encode
from gateway.smpp.constants import MessageState
from gateway.smpp.pdu import SubmitSm
from gateway.store.base import (
    Complete,
    ExpiredSet,
    NewPart,
    PendingReceipt,
    SetKey,
    StoreUnavailable,
    Waiting,
)
from gateway.store.base import Outcome as StoredOutcome

_AT_A_TIME: Final = 200  # sets that are expired in one go
_RECEIPT_OF_FAILURE: Final = frozenset({1, 2})  # registered_delivery's low bits, SMPP 5.2.17
# What the receipts of a failed set say, by what the API said when it was complete.
_STATES: Final = {
    "": MessageState.EXPIRED,
    "refused": MessageState.REJECTED,
    "unknown": MessageState.UNKNOWN,
}


class Sets(Protocol):
    """Where parts wait: `store.worker.StoreThread`."""

    def add_part(self, part: NewPart) -> Deferred[Waiting | Complete]: ...

    def settle(self, base: bytes) -> Deferred[None]: ...

    def release(self, base: bytes, outcome: StoredOutcome) -> Deferred[None]: ...

    def expire(self, now: float, limit: int) -> Deferred[list[ExpiredSet]]: ...

    def fail(self, base: bytes, receipts: list[PendingReceipt]) -> Deferred[None]: ...


class Reassembly:
    """See the head of the module. `clock` is the reactor, `now` gives wall-clock seconds."""

    def __init__(
        self,
        sets: Sets,
        account_of: Callable[[str], Account | None],
        api: OmnichannelClient,
        clock: IReactorTime,
        now: Callable[[], float],
        metrics: Metrics,
        log: FilteringBoundLogger,
    ) -> None:
        self._sets = sets
        self._account_of = account_of
        self._api = api
        self._clock = clock
        self._now = now
        self._metrics = metrics
        self._log = log

    def add(
        self,
        submit: SubmitSm,
        part: Concatenation,
        account: Account,
        seconds: float,
        common_id: str = "",
    ) -> Deferred[Waiting | Complete]:
        """Commit a part, or find that it completes its set. Fails with `GatewayError`.

        After `seconds` it fails with `StoreUnavailable`, whatever becomes of the part then.
        """
        now = self._now()
        new = NewPart(
            SetKey(
                account.system_id,
                submit.source.addr,
                submit.destination.addr,
                part.kind,
                part.reference,
                part.total,
            ),
            part.number,
            encode(submit),
            now,
            now + account.settings.reassembly_timeout,
            common_id,
        )
        answer: Deferred[Waiting | Complete] = Deferred()
        late = self._clock.callLater(
            seconds, answer.errback, StoreUnavailable("the store did not commit in time")
        )

        def arrived(found: Waiting | Complete | Failure) -> None:
            if not answer.called:
                late.cancel()
                answer.callback(found)
            elif isinstance(found, Complete):
                self.release(found.base, "")

        self._sets.add_part(new).addBoth(arrived)
        return answer

    def read(
        self, pdus: Sequence[bytes], writing: Writing, now: datetime
    ) -> tuple[Message, tuple[Content, ...]]:
        """The message of a set and the contents of its parts, in order of number.

        What is no text (addresses, times, priority) is that of the first part. Raises
        `GatewayError`.
        """
        messages = []
        for octets in pdus:
            submit = decode(octets)
            assert isinstance(submit, SubmitSm)  # noqa: S101  it was encoded by `add`
            messages.append(read(submit, writing, now))
        return messages[0], tuple(message.content for message in messages)

    def settle(self, base: bytes) -> None:
        """The API has accepted the message of this set."""
        self._sets.settle(base).addErrback(self._not_stored, base, "settle")

    def release(self, base: bytes, outcome: StoredOutcome) -> None:
        """The API has not: "refused", or "unknown" when it may have; "" when never asked."""
        self._sets.release(base, outcome).addErrback(self._not_stored, base, "release")

    def _not_stored(self, failure: Failure, base: bytes, operation: str) -> None:
        """The store is out of order; what it holds is put right when it is opened next."""
        detail = getattr(failure.value, "detail", "") or failure.getTraceback()
        self._log.error("store_failed", operation=operation, set_id=base.hex(), detail=detail)

    # Sets that were never completed.

    async def expire(self) -> None:
        """End the sets whose time is over; call about once a second."""
        while True:
            expired = await self._sets.expire(self._now(), _AT_A_TIME)
            ended = [
                Deferred.fromCoroutine(self._expire(one)).addErrback(
                    self._not_stored, one.base, "expire"
                )
                for one in expired
            ]
            await DeferredList(ended)
            if len(expired) < _AT_A_TIME:
                return

    async def _expire(self, expired: ExpiredSet) -> None:
        account = self._account_of(expired.system_id)
        outcome: str = expired.outcome
        fields: dict[str, object] = {}
        if account and account.settings.relay_incomplete and not outcome:
            outcome, fields = await self._relay(expired, account)
        relayed = outcome == "accepted"
        label = self._metrics.account(expired.system_id if account else "unknown")
        self._metrics.sets_expired(label, "relayed" if relayed else "failed").inc()
        have = [part.number for part in expired.parts]
        line: dict[str, object] = {
            "system_id": expired.system_id,
            "set_id": expired.base.hex(),
            "parts": expired.total,
            "missing": _ranges(sorted(set(range(1, expired.total + 1)) - set(have))),
            "destination": _submit(expired.parts[0].pdu).destination.addr,
            **fields,
        }
        if relayed:
            self._log.warning("set_relayed_incomplete", **line)
            self.settle(expired.base)
            return
        receipts = self._receipts(expired, _STATES.get(outcome, MessageState.EXPIRED))
        line |= {"outcome": outcome or "expired", "receipts": len(receipts)}
        self._log.warning("set_failed", **line)
        failed = self._sets.fail(expired.base, receipts)
        failed.addErrback(self._not_stored, expired.base, "fail")

    async def _relay(self, expired: ExpiredSet, account: Account) -> tuple[str, dict[str, object]]:
        """Send what is there; "accepted", "refused" or "unknown", and what the log should say."""
        try:
            message, contents = self.read(
                [part.pdu for part in expired.parts], account.writing, datetime.now(UTC)
            )
            request, decoded = translate(message, contents, account.writing)
        except GatewayError as refusal:
            return "refused", {"detail": refusal.detail}
        outcome: Outcome = await self._api.send(
            request, account.credentials, account.settings.response_deadline
        )
        fields = api_fields(outcome, decoded.text)
        if outcome.verdict is Verdict.ACCEPTED:
            first = _submit(expired.parts[0].pdu)
            account.remember(outcome.message_id, first, request.time_to_send)
            return "accepted", {**fields, "message_id": outcome.message_id}
        return "unknown" if outcome.verdict is Verdict.UNKNOWN else "refused", fields

    def _receipts(self, expired: ExpiredSet, state: MessageState) -> list[PendingReceipt]:
        """A record for each part that asked for a receipt of failure."""
        now = self._now()
        return [
            PendingReceipt(
                expired.system_id,
                part.common_id or ids.of_part(expired.base, part.number),
                part.pdu,
                state,
                part.received_at,
                now,
            )
            for part in expired.parts
            if _submit(part.pdu).registered_delivery & 0x03 in _RECEIPT_OF_FAILURE
        ]


def _submit(octets: bytes) -> SubmitSm:
    submit = decode(octets)
    assert isinstance(submit, SubmitSm)  # noqa: S101  it was encoded by `add`
    return submit


def _ranges(numbers: list[int]) -> str:
    """ "2,5-9": which numbers, in few words."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][-1] == number - 1:
            runs[-1] = [runs[-1][0], number]
        else:
            runs.append([number])
    return ",".join("-".join(map(str, run)) for run in runs)
