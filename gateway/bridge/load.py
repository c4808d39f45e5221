"""How many requests are in flight: of the whole gateway, and of each account.

This is the queue in front of the API, and its bound is what keeps the answers of a gateway under
too much load in time: whatever comes beyond it is refused at once, before it is decoded, stored
or sent, and what was let in before is not disturbed.

A message counts until it is answered, each part of a long one and each destination of a
submit_multi by itself, and so does a query_sm or cancel_sm.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred

from gateway.bridge.accounts import Account
from gateway.bridge.refusals import Overloaded
from gateway.metrics import Metrics
from gateway.smpp.constants import CommandStatus


class Load:
    """See the head of the module. Both bounds may be replaced at any time.

    `overload_status` is the answer beyond `max_in_flight`. The account's own bound is its setting
    max_in_flight, 0 for none: then only the windows of its sessions bound it.
    """

    def __init__(
        self,
        metrics: Metrics,
        max_in_flight: int = 10_000,
        overload_status: CommandStatus = CommandStatus.ESME_RTHROTTLED,
    ) -> None:
        self.max_in_flight = max_in_flight
        self.overload_status = overload_status
        self.in_flight = 0
        self._metrics = metrics
        self._idle: list[Deferred[None]] = []

    def enter(self, account: Account, count: int = 1) -> None:
        """`count` requests begin together. They are let in together, or not at all.

        Raises `Overloaded`. Whether it does or not, `leave` must be called for each of them.
        """
        self.in_flight += count
        account.in_flight += count
        if self.in_flight > self.max_in_flight:
            raise self._beyond("smpp.max_in_flight", self.max_in_flight, account, count, "daemon")
        bound = account.settings.max_in_flight
        if bound and account.in_flight > bound:
            raise self._beyond("the account's max_in_flight", bound, account, count, "in_flight")

    def _beyond(
        self, name: str, bound: int, account: Account, count: int, limit: str
    ) -> Overloaded:
        detail = f"beyond {name} of {bound}"
        if count > bound:  # there will never be room for it
            return Overloaded(
                f"{count} destinations are {detail}",
                command_status=CommandStatus.ESME_RINVNUMDESTS,
            )
        self._metrics.throttled(self._metrics.account(account.system_id), limit).inc(count)
        status = self.overload_status if limit == "daemon" else CommandStatus.ESME_RTHROTTLED
        return Overloaded(detail, command_status=status)

    def leave(self, account: Account, count: int = 1) -> None:
        """`count` of them are about to be answered. Call `settled` when all is said about it.

        Before the answer, because an answer brings the session's next request at once.
        """
        self.in_flight -= count
        account.in_flight -= count

    def idle(self) -> Deferred[None]:
        """Fires when nothing is in flight."""
        waiting: Deferred[None] = Deferred()
        self._idle.append(waiting)
        self.settled()
        return waiting

    def settled(self) -> None:
        """A request has its answer and its log line: if it was the last one, tell who waits."""
        if self._idle and not self.in_flight:
            waiting, self._idle = self._idle, []
            for deferred in waiting:
                deferred.callback(None)
