"""A fault of ours in what an exchange does is heard by whoever asked, and by nobody else."""

from __future__ import annotations

import pytest
import structlog
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from gateway.metrics import Metrics
from gateway.omnichannel.attempts import Attempts
from gateway.omnichannel.availability import Availability
from gateway.omnichannel.exchange import Exchange
from gateway.omnichannel.outcome import Outcome, judge
from gateway.omnichannel.rate import Rate
from gateway.omnichannel.transport import FailureKind, HttpAnswer, HttpFailure, HttpResult
from tests.omnichannel.scripted_transport import ScriptedTransport, accepted

REFUSED = HttpFailure(FailureKind.CONNECT, False, "refused")


class Scripted(Exchange):
    """Fails in the method named `fault`."""

    def __init__(self, fault: str, result: HttpResult) -> None:
        super().__init__(deadline=10.0)
        self.fault = fault
        self.result = result
        self.outcomes: list[Outcome] = []
        self.failures: list[Failure] = []

    def _may_fail(self, method: str) -> None:
        if method == self.fault:
            raise RuntimeError(method)

    def call(self, timeout: float) -> Deferred[HttpResult]:
        self._may_fail("call")
        return fail(RuntimeError("result")) if self.fault == "result" else succeed(self.result)

    def read(self, result: HttpResult, seconds: float) -> Outcome:
        self._may_fail("read")
        return judge(201, b'{"omnimessage_id":"x"}')

    def done(self, outcome: Outcome) -> None:
        self._may_fail("done")
        self.outcomes.append(outcome)

    def failed(self, failure: Failure) -> None:
        self.failures.append(failure)


def attempts(availability: Availability) -> tuple[Attempts, Clock]:
    clock = Clock()
    transport = ScriptedTransport(clock, lambda post: accepted())
    log = structlog.get_logger()
    return Attempts(transport, clock, Metrics(), availability, log, Rate(0, 1)), clock


@pytest.mark.parametrize("fault", ["call", "result", "read", "done"])
def test_a_fault_of_an_attempt(fault: str) -> None:
    exchange, other = Scripted(fault, HttpAnswer(201, b"")), Scripted("", HttpAnswer(201, b""))
    trial, _ = attempts(Availability())
    trial.start(exchange)
    trial.start(other)
    assert [failure.getErrorMessage() for failure in exchange.failures] == [fault]
    assert exchange.outcomes == []
    assert len(other.outcomes) == 1
    assert other.failures == []


@pytest.mark.parametrize("fault", ["read", "done"])
def test_a_fault_while_requests_are_refused(fault: str) -> None:
    availability = Availability(fail_fast_after=0.001)
    trial, clock = attempts(availability)
    availability.failed(0.0, 0.0)
    availability.failed(1.0, 1.0)
    clock.advance(1.0)
    exchange, other = Scripted(fault, REFUSED), Scripted("", REFUSED)
    trial.start(exchange)
    trial.start(other)
    assert [failure.getErrorMessage() for failure in exchange.failures] == [fault]
    assert len(other.outcomes) == 1
