"""One callback of the API -> the HTTP status that it is answered with.

2xx only after what it brings is committed: the API repeats what it got another answer for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, Protocol

from structlog.typing import FilteringBoundLogger
from twisted.internet.defer import Deferred

from gateway.bridge.reports import Reports
from gateway.metrics import Metrics
from gateway.omnichannel.callback import BadToken, signed
from gateway.omnichannel.report import DeliveryReport, read_report
from gateway.omnichannel.route import Route
from gateway.store.base import StoreUnavailable

# What a callback came to -> its answer.
ANSWERS: Final = {
    "new": 200,
    "repeated": 200,
    "stale": 200,
    "nothing": 200,
    "bad_token": 404,
    "unsigned": 403,
    "bad_body": 400,
    "mismatch": 400,
    "store": 503,
}
_LABELS: Final = {"new": "accepted"}
_TELLING_DIGITS: Final = 6  # at most, at the end of a number, whatever stands before them


class Opens(Protocol):
    """Who reads the tokens: `omnichannel.callback.KeyRing` or a file of keys."""

    def open(self, token: str) -> Route: ...


class Callbacks:
    """`passwords_of(system_id)` gives those that its API may sign with."""

    def __init__(
        self,
        keys: Opens,
        passwords_of: Callable[[str], Iterable[str]],
        reports: Reports,
        metrics: Metrics,
        log: FilteringBoundLogger,
        *,
        require_signature: bool = True,
    ) -> None:
        self._keys = keys
        self._passwords_of = passwords_of
        self._reports = reports
        self._metrics = metrics
        self._log = log
        self.require_signature = require_signature

    def receive(self, token: str, body: bytes, signature: str | None) -> Deferred[int]:
        """The HTTP status to answer with."""
        return Deferred.fromCoroutine(self._receive(token, body, signature))

    async def _receive(self, token: str, body: bytes, signature: str | None) -> int:
        try:
            route = self._keys.open(token)
        except BadToken as bad:
            return self._refuse("bad_token", str(bad))
        if self.require_signature and not signed(
            body, signature or "", self._passwords_of(route.system_id)
        ):
            return self._refuse("unsigned", "no API password signs it so", route)
        report = read_report(body)
        if report is None:
            return self._refuse("bad_body", "not a delivery report", route)
        if not _about(report, route):
            return self._refuse("mismatch", "the report is about another number", route)
        try:
            taken = await self._reports.take(route, report)
        except StoreUnavailable as problem:
            return self._refuse("store", problem.detail, route)
        return self._answer(taken.result)

    def _answer(self, result: str) -> int:
        self._metrics.webhooks(_LABELS.get(result, result)).inc()
        return ANSWERS[result]

    def _refuse(self, result: str, detail: str, route: Route | None = None) -> int:
        self._log.warning(
            "callback_refused",
            result=result,
            detail=detail,
            **({"system_id": route.system_id} if route else {}),
        )
        return self._answer(result)


def _about(report: DeliveryReport, route: Route) -> bool:
    """Whether the number of a report can be that of the route, which is in the ESME's spelling.

    That may be a national one, with a zero in front or with fewer digits than tell (+500 51234).
    """
    told, wrote = _digits(report.to), _digits(route.destination.addr).lstrip("0")
    return told.endswith(wrote[-_TELLING_DIGITS:]) or not told


def _digits(address: str) -> str:
    return "".join(filter(str.isdecimal, address))
