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
  for a receipt of failure get one, the log and the metrics say so. With
  relay_incomplete what is there is relayed first, unless the API may have seen it already.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

from structlog.typing import FilteringBoundLogger
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from gateway.bridge.accounts import Account
from gateway.bridge.refusals import cause_of
from gateway.bridge.translate import Message, Writing, read
from gateway.message.segment import Concatenation, Content
from gateway.smpp.codec import decode, encode
from gateway.smpp.pdu import SubmitSm
from gateway.store.base import (
    Complete,
    NewPart,
    Report,
    SetKey,
    StoreUnavailable,
    Waiting,
)
from gateway.store.base import Outcome as StoredOutcome


class Sets(Protocol):
    """Where parts wait: `store.worker.StoreThread`."""

    def add_part(self, part: NewPart) -> Deferred[Waiting | Complete]: ...

    def settle(self, base: bytes) -> Deferred[None]: ...

    def release(self, base: bytes, outcome: StoredOutcome) -> Deferred[None]: ...

    def fail(self, base: bytes, report: Report | None) -> Deferred[None]: ...


class Whole(NamedTuple):
    """A set as one message: its parts, what the first one says beside its text, all contents."""

    submits: tuple[SubmitSm, ...]
    message: Message
    contents: tuple[Content, ...]


@dataclass(slots=True)
class _AtApi:
    """A complete set that waits for the API's answer."""

    base: bytes
    submit: SubmitSm  # the part that completed it
    reused: bool = False  # another message has begun with its key


class Reassembly:
    """See the head of the module. `clock` is the reactor, `now` gives wall-clock seconds."""

    def __init__(
        self,
        sets: Sets,
        clock: IReactorTime,
        now: Callable[[], float],
        log: FilteringBoundLogger,
    ) -> None:
        self._sets = sets
        self._clock = clock
        self._now = now
        self._log = log
        self._at_api: dict[SetKey, _AtApi] = {}  # the newest set of each key
        self._keys: dict[bytes, SetKey] = {}  # of the sets in it, by base
        self._owed: dict[bytes, Callable[[], Deferred[None]]] = {}

    def add(
        self,
        key: SetKey,
        number: int,
        submit: SubmitSm,
        account: Account,
        seconds: float,
        common_id: str = "",
    ) -> Deferred[Waiting | Complete]:
        """Commit a part, or find that it completes its set. Fails with `GatewayError`.

        After `seconds` it fails with `StoreUnavailable`, whatever becomes of the part then.
        """
        now = self._now()
        new = NewPart(
            key,
            number,
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
                if isinstance(found, Complete):
                    self._at_api[key] = _AtApi(found.base, submit)
                    self._keys[found.base] = key
                answer.callback(found)
            elif isinstance(found, Complete):
                self.release(found.base, "")

        self._sets.add_part(new).addBoth(arrived)
        return answer

    def repeated(self, key: SetKey, submit: SubmitSm) -> bytes | None:
        """The base of the set that is at the API because of this very part, None otherwise.

        A client with a short timer (jSMPP 2 s, go-smpp 1 s) sends its last part again while the
        API is still thinking. It must get the same answer: as a part of a new set it would be
        told ESME_ROK and wait for siblings that never come. Once another part has used the key
        again, a part like this one belongs to that new message.
        """
        found = self._at_api.get(key)
        if found is None or found.reused:
            return None
        if _content(submit) == _content(found.submit):
            return found.base
        found.reused = True
        return None

    def settle(self, base: bytes) -> None:
        """The API has accepted the message of this set."""
        self._end(base, "settle", lambda: self._sets.settle(base))

    def release(self, base: bytes, outcome: StoredOutcome) -> None:
        """The API has not: "refused", or "unknown" when it may have; "" when never asked."""
        self._end(base, "release", lambda: self._sets.release(base, outcome))

    def fail(self, base: bytes, report: Report | None) -> None:
        """The set is given up, and `report` is what its sender must be told."""
        self._end(base, "fail", lambda: self._sets.fail(base, report))

    def _end(self, base: bytes, operation: str, do: Callable[[], Deferred[None]]) -> None:
        key = self._keys.pop(base, None)
        if key is not None and key in self._at_api and self._at_api[key].base == base:
            del self._at_api[key]
        do().addErrback(self._not_stored, base, operation, do)

    def _not_stored(
        self, failure: Failure, base: bytes, operation: str, do: Callable[[], Deferred[None]]
    ) -> None:
        """Said once, and done when the store is well again; see `repeat`."""
        self._log.error(
            "store_failed", operation=operation, set_id=base.hex(), detail=cause_of(failure)
        )
        self._owed[base] = do

    def repeat(self) -> None:
        """Try again what the store could not do; call now and then."""
        owed, self._owed = self._owed, {}
        for base, do in owed.items():
            do().addErrback(self._still_owed, base, do)

    def _still_owed(self, _failure: Failure, base: bytes, do: Callable[[], Deferred[None]]) -> None:
        self._owed[base] = do


def key_of(submit: SubmitSm, part: Concatenation, account: Account, copy: int = 0) -> SetKey:
    """What the parts of one message have in common; for `copy` see `Share`."""
    destination = submit.destination.addr
    return SetKey(
        account.system_id,
        submit.source.addr,
        f"{destination}#{copy}" if copy else destination,
        part.kind,
        part.reference,
        part.total,
    )


def _content(submit: SubmitSm) -> tuple[object, ...]:
    return submit.short_message, submit.tlvs, submit.data_coding, submit.esm_class


def whole(pdus: Sequence[bytes], writing: Writing, now: datetime) -> Whole:
    """The message that the parts of a set are, given in order of number.

    What is no text (addresses, times, priority, flags) is that of the first one. Raises
    `GatewayError`.
    """
    submits = tuple(submit_of(octets) for octets in pdus)
    messages = [read(submit, writing, now) for submit in submits]
    return Whole(submits, messages[0], tuple(message.content for message in messages))


def submit_of(octets: bytes) -> SubmitSm:
    """The submit_sm of a stored part."""
    submit = decode(octets)
    assert isinstance(submit, SubmitSm)  # noqa: S101  it was encoded by `add`
    return submit
