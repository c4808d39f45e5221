"""What became of messages, asked of the API: for gateways that nobody can call back, and as a net.

The rows are those of `awaiting`. A message is asked for soon after it was sent and then ever
more seldom, until its final state is known or its account's receipt_limit is over. Then, if the
account wants it so, its ESME is told EXPIRED.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from structlog.typing import FilteringBoundLogger
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from gateway.bridge.accounts import Account
from gateway.bridge.awaiting import Schedule
from gateway.bridge.refusals import cause_of
from gateway.bridge.reports import Reports
from gateway.metrics import Metrics
from gateway.omnichannel.client import OmnichannelClient
from gateway.omnichannel.outcome import Verdict
from gateway.omnichannel.report import DeliveryReport
from gateway.omnichannel.route import BadRoute, Route, unpack
from gateway.store.base import Awaited

_PATIENCE: Final = 10.0  # seconds for an answer
_LEASE: Final = 15.0  # seconds after which a row is looked at again if nothing came of it
_LIMIT: Final = 259_200.0  # seconds that a row waits for its account to come back
_EXPIRED: Final = "EXPIRED"


class Waits(Protocol):
    """Where the rows are: `store.worker.StoreThread`."""

    def claim_awaited(
        self, now: float, limit: int, lease_until: float
    ) -> Deferred[list[Awaited]]: ...

    def postpone(self, key: bytes, next_at: float) -> Deferred[None]: ...

    def end_awaited(self, key: bytes) -> Deferred[None]: ...


class Poller:
    """`rate` is in questions a second. `now` gives wall-clock seconds."""

    def __init__(
        self,
        rows: Waits,
        reports: Reports,
        api: OmnichannelClient,
        account_of: Callable[[str], Account | None],
        schedule: Schedule,
        rate: float,
        now: Callable[[], float],
        metrics: Metrics,
        log: FilteringBoundLogger,
    ) -> None:
        self._rows = rows
        self._reports = reports
        self._api = api
        self._account_of = account_of
        self._schedule = schedule
        self._rate = rate
        self._now = now
        self._metrics = metrics
        self._log = log
        self._allowance = 0.0  # questions
        self._in_flight = 0
        self._stopping = False
        self._patient_until = 0.0  # while the API asks for patience, or is out of reach

    async def poll(self) -> None:
        """Look at what is due; call once a second. It does not wait for the answers."""
        now = self._now()
        self._allowance = min(self._allowance + self._rate, max(1.0, self._rate))
        limit = int(self._allowance) - self._in_flight
        if limit < 1 or now < self._patient_until or self._stopping:
            return
        for awaited in await self._rows.claim_awaited(now, limit, now + _LEASE):
            self._in_flight += 1
            looked = Deferred.fromCoroutine(self._look(awaited))
            looked.addErrback(self._failed, awaited).addBoth(self._landed)

    def stop(self) -> None:
        """Ask no more. What is under way is asked for again after the next start."""
        self._stopping = True

    def _landed(self, _result: object) -> None:
        self._in_flight -= 1

    def _failed(self, failure: Failure, awaited: Awaited) -> None:
        """It is looked at again when its lease is over."""
        if self._stopping:
            return
        self._metrics.status_polls("failed").inc()
        self._log.error(
            "poll_failed",
            system_id=awaited.system_id,
            message_id=awaited.message_id,
            detail=cause_of(failure),
        )

    async def _look(self, awaited: Awaited) -> None:
        account = self._account_of(awaited.system_id)
        now = self._now()
        try:
            route = unpack(awaited.route)
        except BadRoute:  # a version to come wrote it
            await self._rows.end_awaited(awaited.key)
            raise
        limit = account.settings.receipt_limit if account else _LIMIT
        over = now >= awaited.submitted_at + limit
        result = "nothing"
        if account is not None and account.settings.receipts in {"poll", "both"}:
            self._allowance -= 1
            result = await self._ask(awaited, route, account)
        if result == "final":
            self._metrics.status_polls("final").inc()
            await self._rows.end_awaited(awaited.key)
        elif over and result != "failed":
            await self._give_up(awaited, route, account)
        else:
            self._metrics.status_polls(result).inc()
            await self._rows.postpone(
                awaited.key, self._schedule.next_at(awaited.submitted_at, now, account)
            )

    async def _ask(self, awaited: Awaited, route: Route, account: Account) -> str:
        """Ask, and take what is told: "final", "interim", "nothing", or "failed"."""
        outcome, delivery = await self._api.status(
            awaited.message_id, account.credentials, _PATIENCE
        )
        if outcome.verdict is Verdict.REFUSED:
            return "nothing"  # not known yet, or no more
        if outcome.verdict is not Verdict.ANSWERED:
            self._patient_until = self._now() + _PATIENCE
            return "failed"
        if not delivery.status:
            return "nothing"
        report = DeliveryReport(
            awaited.message_id, delivery.status, delivery.err, timestamp=delivery.timestamp
        )
        taken = await self._reports.take(route, report)
        return {"final": "final", "none": "nothing"}.get(taken.kind, "interim")

    async def _give_up(self, awaited: Awaited, route: Route, account: Account | None) -> None:
        synthetic = account is not None and account.tells_expired
        self._metrics.status_polls("expired" if synthetic else "given_up").inc()
        self._log.warning(
            "report_given_up",
            system_id=awaited.system_id,
            message_id=awaited.message_id,
            polls=awaited.polls,
            result=_EXPIRED if synthetic else "",
        )
        if synthetic:
            await self._reports.take(route, DeliveryReport(awaited.message_id, _EXPIRED))
        await self._rows.end_awaited(awaited.key)
