"""Receipts on their way to the ESME: from the store to a bound receiver, and what it said.

- A receipt goes to one of the account's receivers and transceivers, in turn, as far as their
  windows have room. It is deleted once its deliver_sm was answered with ESME_ROK.
- A temporary status, no answer in time, or a session that ends sends it back to the store; it
  is tried again, later each time. Any other status makes it dead: kept, listed, counted.
- What waited while nobody was bound leaves oldest first, and what comes meanwhile waits
  behind it. Otherwise a receipt is sent as soon as it is committed, without being read back.
- Delivery is at least once: a crash between an answer and its commit repeats the receipt.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple, Protocol

from structlog.typing import FilteringBoundLogger
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from gateway.bridge.accounts import Account
from gateway.bridge.outbox import Outbox, Receiver
from gateway.bridge.precedence import Precedence
from gateway.bridge.refusals import cause_of
from gateway.bridge.settling import Settles, Settling
from gateway.metrics import Metrics
from gateway.smpp.constants import CommandStatus
from gateway.store.base import Pending

_PAGE: Final = 100  # receipts read from the store at once, unless the windows are larger
_MOST_HELD: Final = 10_000  # receipts in memory: what comes beyond waits in the store


class Queue(Settles, Protocol):
    """Where receipts wait: `store.worker.StoreThread`."""

    def claim(
        self, now: float, quotas: Sequence[tuple[str, int]]
    ) -> Deferred[list[list[Pending]]]: ...


class _Flight(NamedTuple):
    """A deliver_sm that waits for its answer."""

    pending: Pending
    account: Account


class Dispatcher:
    """See the head of the module. `clock` is the reactor, `now` gives wall-clock seconds."""

    def __init__(
        self,
        queue: Queue,
        clock: IReactorTime,
        now: Callable[[], float],
        metrics: Metrics,
        log: FilteringBoundLogger,
        *,
        log_messages: bool = True,
    ) -> None:
        self._queue = queue
        self._clock = clock
        self._now = now
        self._metrics = metrics
        self._log = log
        self.settling = Settling(queue, now, metrics, log, log_messages=log_messages)
        self._accounts: dict[Receiver, Account] = {}
        self._outboxes: dict[str, Outbox] = {}
        self._flights: dict[int, _Flight] = {}
        self._precedence = Precedence()
        self._later: list[tuple[float, int, Pending]] = []  # a heap
        self._alarm: IDelayedCall | None = None
        self._stopping = False

    # From the sessions.

    def joined(self, account: Account, receiver: Receiver) -> None:
        """A session has bound that may receive."""
        system_id = account.system_id
        self._accounts[receiver] = account
        outbox = self._outboxes.setdefault(system_id, Outbox())
        outbox.join(receiver)
        outbox.backlogged = True  # as far as anybody knows
        self._pump(system_id, outbox)

    def left(self, receiver: Receiver, undelivered: list[int]) -> None:
        """It receives no more; `undelivered` are the tags that it has not answered."""
        account = self._accounts.pop(receiver, None)
        if account is None:
            return
        outbox = self._outboxes[account.system_id]
        outbox.leave(receiver)
        mine = [self._flights.pop(tag).pending for tag in undelivered]
        if mine:
            self._metrics.receipt_attempts("disconnected").inc(len(mine))
        # All have landed before the first one leaves again: none may wait for its own flight.
        freed = [one for pending in mine for one in self._landed(pending)]
        outbox.ready.extendleft(reversed(mine))
        for one in freed:
            self._line_up(one)
        self._pump(account.system_id, outbox)

    def writable(self, receiver: Receiver) -> None:
        """It reads again."""
        account = self._accounts.get(receiver)
        if account is not None:
            self._pump(account.system_id, self._outboxes[account.system_id])

    def answered(self, receiver: Receiver, tag: int, command_status: int | None) -> None:
        """The answer to a deliver_sm; None when there was none in time."""
        flight = self._flights.pop(tag, None)
        if flight is None:
            return
        pending, account = flight
        outbox = self._outboxes[pending.system_id]
        if command_status == CommandStatus.ESME_ROK:
            outbox.went_well(receiver)
            self.settling.delivered(pending, receiver.session_id)
        elif command_status is None or command_status in account.retried:
            outbox.went_badly(receiver, self._clock.seconds())
            self.settling.retry(pending, receiver.session_id, command_status)
        else:
            self.settling.dead(pending, receiver.session_id, command_status)
        for one in self._landed(pending):
            self._line_up(one)
        self._pump(pending.system_id, outbox)

    # From the reports.

    def takes(self, system_id: str) -> bool:
        """Whether a new receipt may be leased and handed to `offer` once it is committed.

        Not when nobody is there to receive it, nor when others wait in the store before it.
        """
        outbox = self._outboxes.get(system_id)
        return (
            outbox is not None
            and bool(outbox)
            and not outbox.backlogged
            and not outbox.claiming
            and self.settling.held < _MOST_HELD
            and not self._stopping
        )

    def offer(self, pendings: Sequence[Pending]) -> None:
        """Receipts just committed, leased."""
        self.settling.held += len(pendings)
        for pending in pendings:
            self._line_up(pending)

    def stored(self, system_id: str) -> None:
        """A receipt was committed that is not leased."""
        outbox = self._outboxes.get(system_id)
        if outbox:
            outbox.backlogged = True
            self._pump(system_id, outbox)

    def hold(self, key: bytes) -> None:
        """No receipt of this message may leave until `release`."""
        self._precedence.hold(key)

    def release(self, key: bytes, not_before: float) -> None:
        """What was held by `hold` may leave from the wall-clock moment `not_before` on.

        Until then it is held, so that what comes meanwhile waits behind it.
        """
        seconds = not_before - self._now()
        if seconds > 0:
            self._clock.callLater(seconds, self._let_go, key)
        else:
            self._let_go(key)

    def _let_go(self, key: bytes) -> None:
        for pending in self._precedence.release(key):
            self._line_up(pending)

    # Sending.

    def _line_up(self, pending: Pending) -> None:
        """Send it in its turn, when its time has come and nothing must go before it."""
        if self._precedence.park(pending):
            return
        if pending.due_at > self._now():
            heapq.heappush(self._later, (pending.due_at, pending.id, pending))
            self._set_alarm()
            return
        outbox = self._outboxes[pending.system_id]
        outbox.ready.append(pending)
        self._pump(pending.system_id, outbox)

    def _set_alarm(self) -> None:
        seconds = max(0.0, self._later[0][0] - self._now())
        if self._alarm is not None and self._alarm.active():
            if self._alarm.getTime() <= self._clock.seconds() + seconds:
                return
            self._alarm.cancel()
        self._alarm = self._clock.callLater(seconds, self._ring)

    def _ring(self) -> None:
        now = self._now()
        while self._later and self._later[0][0] <= now:
            self._line_up(heapq.heappop(self._later)[2])
        if self._later:
            self._set_alarm()

    def pump(self) -> None:
        """Look after all accounts; call about once a second."""
        self.settling.repeat()
        if self._stopping:
            return
        for outbox in self._outboxes.values():
            # Retries fall due by themselves, and an operator may have revived what was dead.
            outbox.backlogged |= bool(outbox)
            self._send_ready(outbox)
        self._claim(self._outboxes)

    def _pump(self, system_id: str, outbox: Outbox) -> None:
        """Send what is ready as far as there is room, and have more brought."""
        if not self._stopping:
            self._send_ready(outbox)
            self._claim([system_id])

    def _send_ready(self, outbox: Outbox) -> None:
        if not outbox:
            while outbox.ready:
                self.settling.give_back(outbox.ready.popleft())
            return
        now = self._clock.seconds()
        while outbox.ready:
            if self._precedence.park(outbox.ready[0]):
                outbox.ready.popleft()
                continue
            receiver = outbox.next_receiver(now)
            if receiver is None:
                return
            self._send(outbox.ready.popleft(), receiver)

    def _send(self, pending: Pending, receiver: Receiver) -> None:
        if pending.kind == "interim":
            self._precedence.hold(pending.key)
        self._flights[pending.id] = _Flight(pending, self._accounts[receiver])
        receiver.deliver(pending.pdu, pending.id)

    def _landed(self, pending: Pending) -> list[Pending]:
        """It flies no more; what is to be told after it, and may leave now."""
        return self._precedence.release(pending.key) if pending.kind == "interim" else []

    def _claim(self, system_ids: Iterable[str]) -> None:
        """Have brought what is due to those that have room and nothing ready, in one go."""
        now = self._clock.seconds()
        quotas: list[tuple[str, int]] = []
        for system_id in system_ids:
            outbox = self._outboxes[system_id]
            if outbox.backlogged and not outbox.claiming and not outbox.ready:
                room = outbox.room(now)
                if room:
                    outbox.claiming = True
                    outbox.backlogged = False  # what is stored from now on, it may not see
                    quotas.append((system_id, max(_PAGE, room)))
        if quotas:
            claimed = self._queue.claim(self._now(), quotas)
            claimed.addCallbacks(self._claimed, self._not_claimed, (quotas,), {}, (quotas,))

    def _claimed(self, found: list[list[Pending]], quotas: list[tuple[str, int]]) -> None:
        for (system_id, limit), pendings in zip(quotas, found, strict=True):
            outbox = self._outboxes[system_id]
            outbox.claiming = False
            outbox.backlogged |= len(pendings) >= limit
            self.settling.held += len(pendings)
            outbox.ready.extend(pendings)
            self._pump(system_id, outbox)

    def _not_claimed(self, failure: Failure, quotas: list[tuple[str, int]]) -> None:
        """They wait where they are; `pump` comes again."""
        for system_id, _ in quotas:
            outbox = self._outboxes[system_id]
            outbox.claiming = False
            outbox.backlogged = True
        self._log.error("store_failed", operation="claim", detail=cause_of(failure))

    def stop(self) -> None:
        """Send no more. What is leased is pending again when the store is opened next."""
        self._stopping = True
        if self._alarm is not None and self._alarm.active():
            self._alarm.cancel()
