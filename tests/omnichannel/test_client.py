"""One message to the API: how often it is posted, when, and what comes of it.

The transport is scripted: here the client is on trial, not its neighbour.
"""

from __future__ import annotations

import base64
import itertools
import json
import random
from collections import Counter
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from gateway.metrics import Metrics
from gateway.omnichannel.attempts import PROBE_PATH
from gateway.omnichannel.client import Credentials, OmnichannelClient
from gateway.omnichannel.outcome import Outcome, Verdict, read_overrides
from gateway.omnichannel.pacer import Pacing
from gateway.omnichannel.payload import Delivery, SmsRequest
from gateway.omnichannel.transport import FailureKind, HttpAnswer, HttpFailure, HttpResult
from gateway.smpp.constants import CommandStatus
from tests.omnichannel.scripted_transport import (
    OVERRUN,
    Post,
    ScriptedTransport,
    Step,
    accepted,
    failure,
    in_turn,
    refused,
    run,
)

SMS = SmsRequest("+37255500001", "Hello", sender="Bank")
CREDENTIALS = Credentials.basic("user", "pass:wörd")
NOT_SENT = failure(FailureKind.CONNECT, sent=False, detail="refused")


class Trial:
    """A client in front of a script; `outcomes` fills as messages are settled."""

    def __init__(
        self,
        script: Callable[[Post], Step],
        overrides: dict[str, str] | None = None,
        *,
        fail_fast_after: float = 2.0,
        probe_interval: float = 1.0,
        pacing: Pacing | None = None,
    ) -> None:
        self.clock = Clock()
        self.clock.advance(1_000.0)
        self.transport = ScriptedTransport(self.clock, script)
        self.metrics = Metrics()
        self.events: list[dict[str, Any]] = []  # of the log
        self.client = OmnichannelClient(
            self.transport,
            self.clock,
            self.metrics,
            read_overrides(overrides or {}),
            log=structlog.wrap_logger(None, [structlog.stdlib.add_log_level, self._logged]),
            fail_fast_after=fail_fast_after,
            probe_interval=probe_interval,
            pacing=pacing,
        )
        self.outcomes: list[Outcome] = []
        self.settled_at: list[float] = []

    def send(self, seconds: float = 10.0) -> Deferred[None]:
        def settled(outcome: Outcome) -> None:
            self.outcomes.append(outcome)
            self.settled_at.append(self.clock.seconds())

        return self.client.send(SMS, CREDENTIALS, seconds).addCallback(settled)

    def run(self, seconds: float = 60.0) -> None:
        run(self.clock, seconds)

    @property
    def outcome(self) -> Outcome:
        [outcome] = self.outcomes
        return outcome

    def requests(self, outcome: str) -> float | None:
        return self.metrics.registry.get_sample_value(
            "smppgw_api_requests_total", {"outcome": outcome}
        )

    @property
    def reachable(self) -> float | None:
        return self.metrics.registry.get_sample_value("smppgw_api_reachable")

    def _logged(self, _logger: object, _method: str, event: structlog.typing.EventDict) -> str:
        self.events.append(dict(event))
        raise structlog.DropEvent

    def pauses(self) -> list[float]:
        times = [post.at for post in self.transport.posts]
        return [round(late - early, 2) for early, late in itertools.pairwise(times)]


def test_the_request_as_the_api_wants_it() -> None:
    trial = Trial(in_turn(accepted()))
    trial.send(10)
    [post] = trial.transport.posts
    assert post.path == "/omnimessage"
    assert post.sms == {
        "to": "+37255500001",
        "messages": [{"channel": "sms", "text": "Hello", "sender": "Bank", "autoconvert": "off"}],
    }
    scheme, _, pair = post.authorization.partition(" ")
    assert scheme == "Basic"
    assert base64.b64decode(pair, validate=True) == "user:pass:wörd".encode()


def test_credentials_do_not_show_themselves() -> None:
    for shown in (repr(CREDENTIALS), str(CREDENTIALS), f"{[CREDENTIALS]}"):
        assert "Basic" not in shown
        assert CREDENTIALS.authorization.split()[1] not in shown


def test_an_acceptance() -> None:
    trial = Trial(in_turn(accepted("id-1")))
    trial.send()
    assert trial.outcome == Outcome(Verdict.ACCEPTED, CommandStatus.ESME_ROK, "id-1", 201)
    assert trial.requests("accepted") == 1


ONCE = [
    # Sent, or perhaps sent: there is no idempotency key, so never again.
    (failure(FailureKind.TIMEOUT, sent=True), "unknown"),
    (failure(FailureKind.CUT, sent=True), "unknown"),
    (failure(FailureKind.PROTOCOL, sent=True), "unknown"),
    (failure(FailureKind.TOO_LARGE, sent=True), "unknown"),
    (failure(FailureKind.TLS, sent=True), "unknown"),
    (failure(FailureKind.PROXY, sent=True), "unknown"),
    (failure(FailureKind.CONNECT, sent=True), "unknown"),
    (failure(FailureKind.DNS, sent=True), "unknown"),
    (failure(FailureKind.CLOSED, sent=True), "unknown"),
    # The gateway is stopping: not sent, but there is nobody left to send it.
    (failure(FailureKind.CLOSED, sent=False), "unreachable"),
    # Answered: the answer is the answer.
    (refused(400, source="payload[sms][sender]"), "refused"),
    (refused(401, "103"), "unauthorized"),
    (refused(404, "101"), "misconfigured"),
    (refused(429), "throttled"),
    (refused(500, "104"), "server_error"),
    (Step(HttpAnswer(503, b"<html>", {"retry-after": "1"})), "server_error"),
    (Step(HttpAnswer(429, b"", {"retry-after": "1"})), "throttled"),
    (Step(HttpAnswer(302, b"", {"location": "https://example.com/"})), "misconfigured"),
    (Step(HttpAnswer(201, b"{}")), "unknown"),
    (Step(HttpAnswer(408, b"")), "server_error"),
]


@pytest.mark.parametrize(("step", "verdict"), ONCE)
@pytest.mark.parametrize("after", [0.0, 0.2])
def test_posted_exactly_once(step: Step, verdict: str, after: float) -> None:
    trial = Trial(in_turn(step._replace(after=after), accepted()))
    trial.send()
    trial.run()
    assert len(trial.transport.posts) == 1
    assert trial.outcome.verdict.value == verdict
    assert trial.requests(verdict) == 1
    assert trial.clock.getDelayedCalls() == []


@pytest.mark.parametrize(
    "kind",
    [
        FailureKind.DNS,
        FailureKind.CONNECT,
        FailureKind.TLS,
        FailureKind.PROXY,
        FailureKind.TIMEOUT,  # no connection was free
        FailureKind.CUT,
    ],
)
def test_what_was_certainly_not_sent_is_tried_again(kind: FailureKind) -> None:
    trial = Trial(in_turn(failure(kind, sent=False), failure(kind, sent=False), accepted("id-3")))
    trial.send()
    assert not trial.outcomes
    trial.run()
    assert trial.outcome.message_id == "id-3"
    assert len(trial.transport.posts) == 3
    assert len({post.body for post in trial.transport.posts}) == 1
    assert trial.requests("unreachable") == 2
    assert trial.requests("accepted") == 1


def test_no_further_attempt_once_one_may_have_been_sent() -> None:
    script = in_turn(NOT_SENT, failure(FailureKind.CUT, sent=True), accepted())
    trial = Trial(script)
    trial.send()
    trial.run()
    assert len(trial.transport.posts) == 2
    assert trial.outcome.verdict is Verdict.UNKNOWN


def test_pauses_grow_and_end_with_the_deadline() -> None:
    trial = Trial(in_turn(NOT_SENT), fail_fast_after=0)
    trial.send(10)
    trial.run()
    assert trial.pauses() == [0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0, 2.0]
    assert trial.outcome.verdict is Verdict.UNREACHABLE
    assert trial.outcome.error.detail == "connect: refused"
    assert trial.settled_at[0] <= 1_010.0
    assert trial.requests("unreachable") == len(trial.transport.posts) == 9


def test_no_pause_that_would_end_after_the_deadline() -> None:
    """The ESME is told as soon as nothing can change the answer any more."""
    trial = Trial(in_turn(NOT_SENT))
    trial.send(0.39)
    assert len(trial.transport.posts) == 1
    assert trial.outcome.verdict is Verdict.UNREACHABLE


@pytest.mark.parametrize("seconds", [0.5, 1.0, 2.0, 10.0, 300.0])
def test_each_attempt_gets_the_time_that_is_left(seconds: float) -> None:
    slow = failure(FailureKind.CONNECT, sent=False)._replace(after=0.05)
    trial = Trial(in_turn(slow), fail_fast_after=0)
    trial.send(seconds)
    trial.run(seconds + 1)
    for post in trial.transport.posts:
        assert post.timeout > 0
        assert post.at + post.timeout + OVERRUN <= 1_000 + seconds + 1e-6
    assert trial.settled_at[0] <= 1_000 + seconds + 1e-6


@pytest.mark.parametrize("seconds", [0.5, 2.0, 10.0, 300.0])
def test_a_transport_that_uses_all_its_time_still_meets_the_deadline(seconds: float) -> None:
    trial = Trial(in_turn(Step(HttpAnswer(201, b""), after=1_000.0)))
    trial.send(seconds)
    trial.run(seconds + 1)
    assert len(trial.transport.posts) == 1
    assert trial.outcome.verdict is Verdict.UNKNOWN
    assert trial.settled_at == [pytest.approx(1_000 + seconds)]


@settings(max_examples=60, deadline=None)
@given(
    seconds=st.floats(0.5, 8.0),
    delays=st.lists(st.floats(0.0, 3.0), min_size=1, max_size=6),
    last_hangs=st.booleans(),
)
def test_the_deadline_holds_whatever_the_attempts_cost(
    seconds: float, delays: list[float], last_hangs: bool
) -> None:
    steps = [failure(FailureKind.CONNECT, sent=False)._replace(after=delay) for delay in delays]
    if last_hangs:
        steps.append(accepted()._replace(after=1_000.0))
    trial = Trial(in_turn(*steps), fail_fast_after=0)
    trial.send(seconds)
    trial.run(1_000)
    [settled_at] = trial.settled_at
    assert settled_at <= 1_000 + seconds + 1e-6
    for result in trial.transport.results[:-1]:
        assert isinstance(result, HttpFailure)
        assert not result.sent


def test_messages_do_not_wait_for_each_other() -> None:
    hanging = accepted("late")._replace(after=5.0)
    trial = Trial(in_turn(hanging, accepted("early")))
    trial.send()
    trial.send()
    assert [outcome.message_id for outcome in trial.outcomes] == ["early"]
    trial.run(6)
    assert [outcome.message_id for outcome in trial.outcomes] == ["early", "late"]


def test_duration_is_observed_for_each_request() -> None:
    trial = Trial(in_turn(NOT_SENT._replace(after=0.5), accepted()._replace(after=0.25)))
    trial.send()
    trial.run(5)
    value = trial.metrics.registry.get_sample_value
    assert value("smppgw_api_request_duration_seconds_count") == 2
    assert value("smppgw_api_request_duration_seconds_sum") == pytest.approx(0.75, abs=0.03)


def test_overrides_reach_answers_and_failures() -> None:
    table = {"429": "ESME_RMSGQFUL", "unknown": "ESME_RSUBMITFAIL", "unreachable": "ESME_RX_T_APPN"}
    cut = failure(FailureKind.CUT, sent=True)
    closed = failure(FailureKind.CLOSED, sent=False)
    trial = Trial(in_turn(refused(429), cut, closed), table)
    for _ in range(3):
        trial.send()
    assert [outcome.command_status.name for outcome in trial.outcomes] == [
        "ESME_RMSGQFUL",
        "ESME_RSUBMITFAIL",
        "ESME_RX_T_APPN",
    ]


def test_garbage_is_an_outcome_and_no_failure() -> None:
    garbage = [b"", b"\xff", b"[" * 100_000, json.dumps({"errors": [[]]}).encode()]
    answers = [Step(HttpAnswer(status, body)) for body in garbage for status in (201, 400, 500)]
    trial = Trial(in_turn(*answers))
    for _ in answers:
        trial.send()
    assert len(trial.outcomes) == len(answers)
    assert all(outcome.command_status for outcome in trial.outcomes)


# An API that cannot be connected to


class Gate:
    """A script: not sent while `shut`, an acceptance otherwise."""

    def __init__(self, shut: bool = True, after: float = 0.0) -> None:
        self.shut = shut
        self.after = after

    def __call__(self, _: Post) -> Step:
        return (NOT_SENT if self.shut else accepted())._replace(after=self.after)


def shut(fail_fast_after: float = 2.0, probe_interval: float = 1.0) -> tuple[Trial, Gate]:
    """A client that has just had its first failure."""
    gate = Gate()
    trial = Trial(gate, fail_fast_after=fail_fast_after, probe_interval=probe_interval)
    trial.transport.probed = NOT_SENT
    trial.send()
    return trial, gate


def test_one_at_a_time_asks_for_all_that_wait() -> None:
    trial, _ = shut()
    for _ in range(1_000):
        trial.send()
    trial.run(1.9)
    assert trial.pauses() == [0.1, 0.2, 0.4, 0.8]
    assert trial.outcomes == []
    assert len(trial.clock.getDelayedCalls()) == 1


def test_all_are_refused_after_fail_fast_after_and_later_ones_at_once() -> None:
    trial, _ = shut()
    for _ in range(1_000):
        trial.send()
    trial.run(2.01)
    assert len(trial.outcomes) == 1_001
    trial.send()
    assert len(trial.outcomes) == 1_002
    assert {outcome.verdict for outcome in trial.outcomes} == {Verdict.UNREACHABLE}
    detail = "connect: refused; the API could not be connected to for 2.0 s"
    assert trial.outcomes[-1].error.detail == detail
    assert len(trial.transport.posts) == 6  # at 0, 0.1, 0.3, 0.7, 1.5 and 2
    assert trial.requests("unreachable") == 6
    assert trial.reachable == 0


@pytest.mark.parametrize("comes_back", [True, False])
def test_sessions_get_their_turn_while_many_go_or_are_refused(comes_back: bool) -> None:
    trial, gate = shut()
    for _ in range(1_000):
        trial.send()
    trial.run(1.45)
    gate.shut = not comes_back
    counts = [0]

    def another_turn() -> None:
        counts.append(len(trial.outcomes))
        if len(trial.outcomes) < 1_001:
            trial.clock.callLater(0, another_turn)

    trial.clock.callLater(0.05 if comes_back else 0.55, another_turn)
    trial.run(1)
    assert counts[-1] == 1_001
    assert max(late - early for early, late in itertools.pairwise(counts)) <= 101


def test_a_probe_that_gets_through_takes_all_along() -> None:
    trial, gate = shut()
    for _ in range(50):
        trial.send()
    trial.run(0.2)
    gate.shut = False
    trial.run(0.15)
    assert len(trial.outcomes) == 51
    assert {outcome.verdict for outcome in trial.outcomes} == {Verdict.ACCEPTED}
    assert len(trial.transport.posts) == 1 + 1 + 51
    assert trial.reachable == 1
    assert trial.events == []
    trial.run(10)
    assert trial.clock.getDelayedCalls() == []


@pytest.mark.parametrize(
    "step",
    [refused(401, "103"), refused(429), refused(503), failure(FailureKind.CUT, sent=True)],
    ids=["401", "429", "503", "cut"],
)
def test_whatever_the_probe_got_it_got_through(step: Step) -> None:
    """A probe with the wrong credentials is no reason to let the others wait."""
    trial = Trial(in_turn(NOT_SENT, step, accepted()))
    trial.send()
    trial.run(0.05)
    trial.send()
    trial.run(0.06)
    assert [outcome.verdict for outcome in trial.outcomes][1:] == [Verdict.ACCEPTED]
    assert len(trial.transport.posts) == 3


def test_a_probe_that_hangs_keeps_nobody_from_going() -> None:
    """One message may be what the API hangs on."""
    hanging = accepted()._replace(after=9.0)
    trial = Trial(in_turn(NOT_SENT, hanging, accepted()))
    for _ in range(20):
        trial.send()
    trial.run(0.31)
    assert len(trial.outcomes) == 19
    assert {outcome.verdict for outcome in trial.outcomes} == {Verdict.ACCEPTED}


@pytest.mark.parametrize("seconds", [0.5, 1.0, 1.7])
def test_who_waits_is_told_in_time(seconds: float) -> None:
    trial, _ = shut(fail_fast_after=0)
    trial.run(0.05)
    for number in range(300):
        trial.send(seconds + number / 1_000)
    trial.run(3)
    assert len(trial.outcomes) == 300
    for number, at in enumerate(trial.settled_at):
        assert at <= 1_000.05 + seconds + number / 1_000 + 1e-6
    posts = [post.at + post.timeout + OVERRUN for post in trial.transport.posts[1:]]
    assert max(posts) <= 1_010 + 1e-6


def test_what_could_not_be_sent_rests_before_it_goes_again_with_the_others() -> None:
    """An API that refuses some connections must not get the same ones again and again."""
    earlier = accepted()._replace(after=0.15)
    trial = Trial(in_turn(earlier, NOT_SENT, NOT_SENT, accepted()))
    trial.send()
    trial.send()  # again at 0.1, and then not before 0.3
    trial.run(0.12)
    trial.send()
    trial.run(1)
    posts = [round(post.at - 1_000, 2) for post in trial.transport.posts]
    assert posts == [0, 0, 0.1, 0.15, 0.3]


def test_down_only_its_own_question_goes_out() -> None:
    trial, gate = shut(probe_interval=0.5)
    trial.run(2.01)
    posts = len(trial.transport.posts)
    gate.shut = False
    for _ in range(30):
        trial.send()
        trial.run(0.1)
    assert len(trial.transport.posts) == posts
    assert [round(at - 1_000, 2) for at in trial.transport.probes] == [2.5, 3, 3.5, 4, 4.5, 5]
    trial.transport.probed = Step(HttpAnswer(401, b""))
    trial.run(0.5)
    trial.send()
    assert trial.outcomes[-1].verdict is Verdict.ACCEPTED
    assert trial.reachable == 1
    assert len(trial.transport.probes) == 7
    trial.run(10)
    assert len(trial.transport.probes) == 7
    assert trial.requests("unauthorized") is None


def test_it_is_decided_without_traffic_too() -> None:
    trial = Trial(in_turn(NOT_SENT))
    trial.transport.probed = NOT_SENT
    trial.send(0.39)
    assert len(trial.outcomes) == 1
    trial.run(3)
    assert trial.reachable == 0
    trial.transport.probed = Step(HttpAnswer(503, b""))
    trial.run(1)
    assert trial.reachable == 1
    assert len(trial.transport.posts) == 1


def test_the_log_says_once_that_it_is_down_and_once_that_it_is_up() -> None:
    trial, _ = shut()
    trial.run(20)
    assert trial.events == [
        {"event": "api_unreachable", "level": "error", "detail": "connect: refused", "seconds": 2.0}
    ]
    trial.transport.probed = Step(HttpAnswer(401, b""))
    trial.run(2)
    assert trial.events[1:] == [{"event": "api_reachable", "level": "info", "seconds": 21.0}]


@pytest.mark.parametrize("kind", [FailureKind.DNS, FailureKind.TLS, FailureKind.PROXY])
def test_every_way_not_to_connect_counts(kind: FailureKind) -> None:
    trial = Trial(in_turn(failure(kind, sent=False)))
    trial.transport.probed = NOT_SENT
    trial.send()
    trial.run(3)
    assert trial.outcome.verdict is Verdict.UNREACHABLE
    assert trial.reachable == 0


@pytest.mark.parametrize(
    "step",
    [
        failure(FailureKind.TIMEOUT, sent=False),  # no connection was free
        failure(FailureKind.CUT, sent=False),
        failure(FailureKind.CLOSED, sent=False),
        failure(FailureKind.CONNECT, sent=True),
        refused(401, "103"),
        refused(403, "102"),
        refused(429),
        refused(500, "104"),
    ],
)
def test_what_is_no_matter_of_connections_makes_nobody_wait(step: Step) -> None:
    """The others may have other credentials, or send other messages."""
    trial = Trial(lambda post: step if "other" in post.authorization else accepted())
    other = Credentials("Basic other")
    for _ in range(20):
        trial.client.send(SMS, other, 10.0)
        trial.send()
        trial.run(0.5)
    assert len(trial.outcomes) == 20
    assert {outcome.verdict for outcome in trial.outcomes} == {Verdict.ACCEPTED}
    assert trial.settled_at == [1_000 + number / 2 for number in range(20)]
    assert trial.reachable == 1
    assert trial.transport.probes == []


def test_an_api_that_gets_some_through_is_never_down() -> None:
    """One connection of three is refused, as where one address of several is dead."""
    dice = random.Random(7)
    refused_now = NOT_SENT._replace(after=0.001)
    served = accepted()._replace(after=0.02)
    trial = Trial(lambda _: refused_now if dice.random() < 1 / 3 else served)
    for _ in range(500):
        trial.send()
        trial.run(0.01)
    trial.run(8)
    assert len(trial.outcomes) == 500
    assert {outcome.verdict for outcome in trial.outcomes} == {Verdict.ACCEPTED}
    assert len(trial.transport.posts) < 900
    assert trial.events == []


def test_overrides_and_settings_may_be_replaced_while_it_runs() -> None:
    trial, _ = shut()
    trial.client.overrides = read_overrides({"unreachable": "ESME_RX_T_APPN"})
    trial.client.availability.fail_fast_after = 0.5
    trial.run(0.75)
    assert trial.outcome.command_status.name == "ESME_RX_T_APPN"
    trial.client.availability.probe_interval = 5
    trial.run(20)
    assert [round(at - 1_000, 2) for at in trial.transport.probes] == [1.5, 6.5, 11.5, 16.5]


def test_a_fault_in_one_request_harms_no_other() -> None:
    calls = itertools.count()

    def script(_: Post) -> Step:
        if (call := next(calls)) == 2:
            raise RuntimeError("a transport that breaks its contract")
        return NOT_SENT if call == 0 else accepted()

    faults: list[Failure] = []
    trial = Trial(script)
    for _ in range(4):
        trial.send().addErrback(faults.append)
    trial.run(1)
    assert len(trial.outcomes) == 3
    assert [fault.type for fault in faults] == [RuntimeError]


# At the pace of the limit


def paced(limit: float) -> tuple[Trial, Gate]:
    """A client that has just had its first failure; a message is a request."""
    gate = Gate()
    trial = Trial(gate, pacing=Pacing(limit, 1, 1))
    trial.transport.probed = NOT_SENT
    trial.send()
    return trial, gate


def test_nobody_waits_for_the_rate_to_be_refused() -> None:
    trial, gate = paced(10)
    trial.run(2.1)
    before = len(trial.outcomes)
    for _ in range(100):
        trial.send()
    assert [outcome.verdict for outcome in trial.outcomes[before:]] == [Verdict.UNREACHABLE] * 100
    assert trial.client.pacer.waiting == 0
    gate.shut = False
    trial.transport.probed = Step(HttpAnswer(401, b""))
    trial.run(1.1)
    trial.send()
    assert trial.outcomes[-1].verdict is Verdict.ACCEPTED, "the rate is all there"


def test_those_that_waited_for_the_api_go_by_the_rate() -> None:
    trial, gate = paced(20)
    for _ in range(30):
        trial.send()
        trial.run(0.05)
    assert trial.client.pacer.waiting < 10, "most of them wait for the API now"
    gate.shut = False
    trial.run(5)
    assert [outcome.verdict for outcome in trial.outcomes] == [Verdict.ACCEPTED] * 31
    got = [
        post.at
        for post, result in zip(trial.transport.posts, trial.transport.results, strict=True)
        if isinstance(result, HttpAnswer)
    ]
    assert max(sum(1 for at in got if start <= at < start + 1) for start in got) <= 20


def test_close_tells_all_that_wait() -> None:
    trial, _ = paced(10)
    for _ in range(3):
        trial.send()
    trial.client.close()
    trial.run(0.01)
    assert Counter(outcome.verdict for outcome in trial.outcomes) == {
        Verdict.CROWDED: 3,
        Verdict.UNREACHABLE: 1,
    }
    assert len(trial.transport.posts) == 1


# Questions about a message sent before


class AskedTransport(ScriptedTransport):
    """A scripted transport that is asked with GET and DELETE too; `methods` goes with `posts`."""

    def __init__(self, clock: Clock, script: Callable[[Post], Step]) -> None:
        super().__init__(clock, script)
        self.methods: list[str] = []

    def get(self, path: str, *, authorization: str, timeout: float) -> Deferred[HttpResult]:
        if path == PROBE_PATH:
            return self.probe(timeout)
        self.methods.append("GET")
        return self.post(path, b"", authorization=authorization, timeout=timeout)

    def delete(self, path: str, *, authorization: str, timeout: float) -> Deferred[HttpResult]:
        self.methods.append("DELETE")
        return self.post(path, b"", authorization=authorization, timeout=timeout)


class Inquiry:
    """A client in front of a script, asked with `call`: "status" or "cancel"."""

    def __init__(
        self,
        call: str,
        script: Callable[[Post], Step],
        overrides: dict[str, str] | None = None,
    ) -> None:
        self.clock = Clock()
        self.clock.advance(1_000.0)
        self.transport = AskedTransport(self.clock, script)
        self.metrics = Metrics()
        self.client = OmnichannelClient(
            self.transport, self.clock, self.metrics, read_overrides(overrides or {})
        )
        self.call = call
        self.outcomes: list[Outcome] = []
        self.deliveries: list[Delivery] = []
        self.faults: list[Failure] = []
        self.settled_at: list[float] = []

    def ask(self, omnimessage_id: str = "id-1", seconds: float = 10.0) -> None:
        asked: Deferred[Any] = getattr(self.client, self.call)(omnimessage_id, CREDENTIALS, seconds)
        asked.addCallbacks(self._settled, self.faults.append)

    def _settled(self, found: Any) -> None:
        outcome, delivery = found if self.call == "status" else (found, Delivery())
        self.outcomes.append(outcome)
        self.deliveries.append(delivery)
        self.settled_at.append(self.clock.seconds())

    def run(self, seconds: float = 60.0) -> None:
        run(self.clock, seconds)
        assert self.faults == []

    @property
    def outcome(self) -> Outcome:
        [outcome] = self.outcomes
        return outcome


CALLS = ["status", "cancel"]
TOLD = Step(HttpAnswer(200, b'{"statuses":[{"status":"DELIVRD","err":0,"sender":"Bank"}]}'))
CANCELLED = Step(HttpAnswer(202, b"{}"))
DONE = {"status": TOLD, "cancel": CANCELLED}


@pytest.mark.parametrize(
    ("call", "method", "path"),
    [("status", "GET", "/omnimessage/id-1/status"), ("cancel", "DELETE", "/omnimessage/id-1")],
)
def test_a_question_as_the_api_wants_it(call: str, method: str, path: str) -> None:
    inquiry = Inquiry(call, in_turn(DONE[call]))
    inquiry.ask("id-1", 10)
    [post] = inquiry.transport.posts
    assert (inquiry.transport.methods, post.path, post.body) == ([method], path, b"")
    assert post.authorization == CREDENTIALS.authorization
    assert post.timeout == pytest.approx(9.75)
    assert inquiry.outcome == Outcome(
        Verdict.ANSWERED, CommandStatus.ESME_ROK, "", 200 if call == "status" else 202
    )


def test_a_status_brings_the_delivery() -> None:
    inquiry = Inquiry("status", in_turn(TOLD))
    inquiry.ask()
    assert inquiry.deliveries == [Delivery("DELIVRD", 0, None, "Bank")]


def test_of_several_attempts_the_last_one_brings_the_delivery() -> None:
    inquiry = Inquiry("status", in_turn(NOT_SENT, NOT_SENT, TOLD))
    inquiry.ask()
    inquiry.run()
    assert [delivery.status for delivery in inquiry.deliveries] == ["DELIVRD"]


HOSTILE_IDS = [
    "../omnimessages",
    "../../v2/x",
    "/",
    "a/b",
    "a%2Fb",
    "%2e%2e%2f",
    "id 1",
    "id?limit=1",
    "id#fragment",
    "id;x=1",
    "id&x=1",
    "http://example.com/",
    "\\..\\",
    "a\r\nX-Injected: 1",
    "\0",
    "\x7f",
    "tõene",
    "\xff",
    "'\"<>",
    "x" * 64,
]


@pytest.mark.parametrize("hostile", HOSTILE_IDS, ids=repr)
@pytest.mark.parametrize(("call", "depth"), [("status", 3), ("cancel", 2)])
def test_an_id_stays_one_segment_of_the_path(call: str, depth: int, hostile: str) -> None:
    inquiry = Inquiry(call, in_turn(DONE[call]))
    inquiry.ask(hostile)
    [post] = inquiry.transport.posts
    empty, resource, segment, *rest = post.path.split("/")
    assert (empty, resource, rest) == ("", "omnimessage", ["status"][: depth - 2])
    assert unquote(segment) == hostile
    assert set(segment) <= set(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~%"
    )


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("step", "verdict"),
    [
        *ONCE[:10],
        (refused(401, "103"), "unauthorized"),
        (refused(429), "throttled"),
        (refused(500, "104"), "server_error"),
        (Step(HttpAnswer(302, b"", {"location": "https://example.com/"})), "misconfigured"),
        (Step(HttpAnswer(408, b"")), "server_error"),
        (refused(404, "101"), "refused"),
    ],
)
def test_asked_exactly_once(call: str, step: Step, verdict: str) -> None:
    """What may have been read is never repeated; for a cancellation that matters."""
    inquiry = Inquiry(call, in_turn(step, DONE[call]))
    inquiry.ask()
    inquiry.run()
    assert len(inquiry.transport.posts) == 1
    assert inquiry.outcome.verdict.value == verdict
    assert inquiry.outcome.command_status != CommandStatus.ESME_ROK
    assert inquiry.clock.getDelayedCalls() == []
    count = inquiry.metrics.registry.get_sample_value
    assert count("smppgw_api_requests_total", {"outcome": verdict}) == 1


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    "kind", [FailureKind.DNS, FailureKind.CONNECT, FailureKind.TLS, FailureKind.TIMEOUT]
)
def test_a_question_that_was_certainly_not_sent_is_asked_again(
    call: str, kind: FailureKind
) -> None:
    not_sent = failure(kind, sent=False)
    inquiry = Inquiry(call, in_turn(not_sent, not_sent, DONE[call]))
    inquiry.ask("a/b")
    assert not inquiry.outcomes
    inquiry.run()
    assert inquiry.outcome.verdict is Verdict.ANSWERED
    assert len(inquiry.transport.posts) == 3
    assert len({post.path for post in inquiry.transport.posts}) == 1
    assert len(set(inquiry.transport.methods)) == 1
    assert {post.authorization for post in inquiry.transport.posts} == {CREDENTIALS.authorization}


@pytest.mark.parametrize(
    ("call", "name"), [("status", "ESME_RQUERYFAIL"), ("cancel", "ESME_RCANCELFAIL")]
)
def test_a_message_that_the_api_does_not_know(call: str, name: str) -> None:
    inquiry = Inquiry(call, in_turn(refused(404, "101", detail="no such message")))
    inquiry.ask()
    assert inquiry.outcome.command_status.name == name
    assert inquiry.outcome.error.detail == "no such message"


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("seconds", [0.5, 2.0, 10.0])
def test_a_question_meets_its_deadline(call: str, seconds: float) -> None:
    slow = failure(FailureKind.CONNECT, sent=False)._replace(after=0.05)
    hang = DONE[call]._replace(after=1_000.0)
    for step in (slow, hang):
        inquiry = Inquiry(call, in_turn(step))
        inquiry.ask("id-1", seconds)
        inquiry.run(seconds + 1)
        assert inquiry.settled_at[0] <= 1_000 + seconds + 1e-6
        for post in inquiry.transport.posts:
            assert post.at + post.timeout + OVERRUN <= 1_000 + seconds + 1e-6


@pytest.mark.parametrize("call", CALLS)
def test_overrides_reach_questions_but_not_a_message_that_is_missing(call: str) -> None:
    table = {"429": "ESME_RMSGQFUL", "unknown": "ESME_RX_T_APPN", "404": "ESME_RX_P_APPN"}
    steps = (refused(429), failure(FailureKind.CUT, sent=True), refused(404), DONE[call])
    inquiry = Inquiry(call, in_turn(*steps), table)
    for _ in steps:
        inquiry.ask()
    assert [outcome.command_status.name for outcome in inquiry.outcomes] == [
        "ESME_RMSGQFUL",
        "ESME_RX_T_APPN",
        "ESME_RQUERYFAIL" if call == "status" else "ESME_RCANCELFAIL",
        "ESME_ROK",
    ]


@pytest.mark.parametrize("call", CALLS)
def test_garbage_is_an_outcome_of_a_question_too(call: str) -> None:
    bodies = [
        b"",
        b"\xff",
        b"<html>",
        b"[" * 100_000,
        b'{"statuses":5}',
        b'{"statuses":[5,null,[],{}]}',
        b'{"statuses":[{"status":5,"err":{},"timestamp":[],"sender":null}]}',
    ]
    answers = [Step(HttpAnswer(status, body)) for body in bodies for status in (400, 404, 500)]
    inquiry = Inquiry(call, in_turn(*answers))
    for _ in answers:
        inquiry.ask()
    inquiry.run(1)
    assert len(inquiry.outcomes) == len(answers)
    assert all(outcome.command_status for outcome in inquiry.outcomes)
