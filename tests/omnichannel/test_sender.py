"""Messages that share requests: what is posted, and what each of them is told.

The transport is scripted; the API behind it keeps the books.
"""

from __future__ import annotations

import itertools
import json
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import structlog
from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from gateway.metrics import Metrics
from gateway.omnichannel.bulk import body_of, judge_bulk
from gateway.omnichannel.client import Credentials, OmnichannelClient
from gateway.omnichannel.outcome import Outcome, Verdict
from gateway.omnichannel.pacer import Pacing
from gateway.omnichannel.payload import SmsRequest, encode
from gateway.omnichannel.sender import retry_after
from gateway.omnichannel.transport import FailureKind, HttpAnswer, HttpResult
from gateway.smpp.constants import CommandStatus as S
from tests.omnichannel.scripted_transport import (
    Post,
    ScriptedTransport,
    Step,
    failure,
    refused,
    run,
)

CREDENTIALS = Credentials.basic("user", "password")
NOT_SENT = failure(FailureKind.CONNECT, sent=False, detail="refused")
CUT = failure(FailureKind.CUT, sent=True, detail="closed")
HANGS = 1_000.0  # seconds, more than anybody waits

Script = Callable[[Post], Step | None]


def items_of(post: Post) -> list[dict[str, Any]]:
    """The messages of a request, one or many."""
    return post.sms["messages"] if post.path == "/omnimessages" else [post.sms]


def numbers_of(post: Post) -> list[str]:
    return [item["to"] for item in items_of(post)]


class Api:
    """Accepts what it is sent, and keeps which id it gave for which number and text."""

    def __init__(self) -> None:
        self.accepted: dict[str, list[str]] = {}  # ids by text; a text is for one message
        self.bad: set[str] = set()  # texts of messages that have a fault
        self._ids = itertools.count(1)

    def answer(self, post: Post) -> Step:
        entries = [self._entry(item) for item in items_of(post)]
        if post.path == "/omnimessages":
            return Step(HttpAnswer(201, json.dumps({"messages": entries}).encode()))
        status = 400 if "errors" in entries[0] else 201
        return Step(HttpAnswer(status, json.dumps(entries[0]).encode()))

    def whole(self, status: int) -> Script:
        """Refuses the whole request, and says nothing else, if one of its messages is bad."""

        def script(post: Post) -> Step | None:
            texts = {item["messages"][0]["text"] for item in items_of(post)}
            return refused(status, source="payload[sms][sender]") if texts & self.bad else None

        return script

    def _entry(self, item: dict[str, Any]) -> dict[str, Any]:
        text = item["messages"][0]["text"]
        if text in self.bad:
            error = {"code": "105", "title": "", "detail": "", "source": "payload[sms][sender]"}
            return {"errors": [error]}
        omnimessage_id = f"id-{next(self._ids)}"
        self.accepted.setdefault(text, []).append(omnimessage_id)
        channel = {"channel": "sms", "message_id": "m", "sender": "Demo"}
        return {"messages": [channel], "omnimessage_id": omnimessage_id, "to": item["to"]}


class Told(NamedTuple):
    """What a message was told, and when."""

    outcome: Outcome
    at: float


class Trial:
    """A client in front of the API; `script` may answer in its place. Time begins at 1000."""

    def __init__(
        self, script: Script = lambda _: None, *, limit: float = 10, burst: int = 1, **bounds: int
    ) -> None:
        self.clock = Clock()
        self.clock.advance(1_000.0)
        self.api = Api()
        self.script = script
        self.metrics = Metrics()
        self.events: list[dict[str, Any]] = []  # of the log
        self.transport = ScriptedTransport(self.clock, self._answer)
        self.client = OmnichannelClient(
            self.transport,
            self.clock,
            self.metrics,
            log=structlog.wrap_logger(None, [structlog.stdlib.add_log_level, self._logged]),
            pacing=Pacing(limit, burst, **bounds),
        )
        self.told: dict[str, Told] = {}  # by text
        self.sent: dict[str, float] = {}  # the deadlines

    def _answer(self, post: Post) -> Step:
        return self.script(post) or self.api.answer(post)

    def _logged(self, _logger: object, _method: str, event: structlog.typing.EventDict) -> str:
        self.events.append(dict(event))
        raise structlog.DropEvent

    def send(
        self,
        *texts: str,
        seconds: float = 10.0,
        account: str = "",
        priority: int = 0,
        credentials: Credentials = CREDENTIALS,
        to: str = "",
    ) -> None:
        """Each to a number of its own unless `to` says another."""
        for text in texts:
            assert text not in self.sent
            self.sent[text] = self.clock.seconds() + seconds
            sms = SmsRequest(to or f"+3725{len(self.sent):07}", text, sender="Demo")
            asked = self.client.send(sms, credentials, seconds, account, priority)
            asked.addCallback(self._settled, text)

    def _settled(self, outcome: Outcome, text: str) -> None:
        assert text not in self.told, "answered twice"
        self.told[text] = Told(outcome, self.clock.seconds() - 1_000)

    def run(self, seconds: float = 30.0) -> None:
        run(self.clock, seconds)

    @property
    def posts(self) -> list[Post]:
        return self.transport.posts

    def sizes(self) -> list[int]:
        return [len(items_of(post)) for post in self.posts]

    def verdicts(self) -> dict[str, str]:
        return {text: told.outcome.verdict.value for text, told in self.told.items()}

    def counted(self, sample: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"smppgw_{sample}", labels)

    def assert_accepted(self, *texts: str) -> None:
        """Each was told the id that the API gave for it, and was accepted once."""
        for text in texts:
            outcome = self.told[text].outcome
            assert outcome.verdict is Verdict.ACCEPTED, (text, outcome)
            assert [outcome.message_id] == self.api.accepted[text]


def names(count: int) -> list[str]:
    return [f"text {number}" for number in range(count)]


# What is posted, and what each is told.


def test_those_that_wait_share_a_request_in_their_order() -> None:
    trial = Trial()
    trial.send(*names(4))
    trial.run(1)
    single, many = trial.posts
    assert (single.path, many.path) == ("/omnimessage", "/omnimessages")
    assert many.authorization == CREDENTIALS.authorization
    assert [item["messages"][0]["text"] for item in many.sms["messages"]] == names(4)[1:]
    assert many.sms["messages"][0] == {
        "to": "+37250000002",
        "messages": [{"channel": "sms", "text": "text 1", "sender": "Demo", "autoconvert": "off"}],
    }
    trial.assert_accepted(*names(4))
    assert trial.counted("api_request_messages_sum") == 4
    assert trial.counted("api_request_messages_count") == 2
    assert trial.counted("api_requests_total", outcome="accepted") == 2
    assert trial.clock.getDelayedCalls() == []


def test_one_bad_message_among_many_is_its_own_matter() -> None:
    trial = Trial()
    trial.api.bad = {"text 3"}
    trial.send(*names(6))
    trial.run(1)
    assert trial.sizes() == [1, 5]
    found = trial.told.pop("text 3").outcome
    assert (found.verdict, found.command_status) == (Verdict.REFUSED, S.ESME_RINVSRCADR)
    trial.assert_accepted(*trial.told)


def test_accounts_with_the_same_credentials_share_requests_and_nothing_else() -> None:
    trial = Trial()
    trial.api.bad = {"a2", "b1"}
    trial.send("a0")
    trial.send("a1", "a2", "a3", account="a")
    trial.send("b1", "b2", "b3", account="b", to="+37255500001")
    trial.run(1)
    assert trial.sizes() == [1, 6]
    assert trial.verdicts()["a2"] == trial.verdicts()["b1"] == "refused"
    trial.assert_accepted("a1", "a3", "b2", "b3")


def test_other_credentials_have_a_request_of_their_own() -> None:
    trial = Trial()
    other = Credentials.basic("other", "password")
    trial.send("a0", "a1", "a2")
    trial.send("b1", "b2", credentials=other)
    trial.run(1)
    assert [post.authorization for post in trial.posts[1:]] == [
        CREDENTIALS.authorization,
        other.authorization,
    ]
    assert trial.sizes() == [1, 2, 2]
    trial.assert_accepted(*trial.sent)


def entries(*changes: Callable[[list[Any]], object]) -> Script:
    """A script: the API's answer to many, with its entries changed."""
    api = Api()

    def script(post: Post) -> Step | None:
        if post.path != "/omnimessages":
            return None
        answer = api.answer(post).result
        assert isinstance(answer, HttpAnswer)
        found = json.loads(answer.body)
        for change in changes:
            change(found["messages"])
        return Step(HttpAnswer(201, json.dumps(found).encode()))

    return script


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        (lambda found: found.pop(), "2 entries for 3 messages"),
        (lambda found: found.append(found[0]), "4 entries for 3 messages"),
        (lambda found: found.reverse(), "entry 1 names another recipient"),
        (lambda found: found[1].pop("omnimessage_id"), "entry 2 has neither"),
        (lambda found: found[2].update(messages=[{"channel": "viber"}]), "entry 3 names another"),
        (lambda found: found[2].update(omnimessage_id=found[0]["omnimessage_id"]), "two messages"),
    ],
)
def test_an_answer_that_does_not_fit_is_believed_for_nobody(
    change: Callable[[list[Any]], object], detail: str
) -> None:
    trial = Trial(entries(change))
    trial.send(*names(4))
    trial.run()
    assert trial.sizes() == [1, 3], "none is posted again"
    trial.assert_accepted("text 0")
    for text in names(4)[1:]:
        found = trial.told[text].outcome
        assert (found.verdict, found.command_status) == (Verdict.UNKNOWN, S.ESME_RSYSERR)
        assert "does not fit" in found.error.detail
    (event,) = trial.events
    assert event.pop("detail").startswith(detail)
    assert event == {"event": "bulk_mismatch", "level": "error", "messages": 3, "http_status": 201}
    assert trial.counted("api_mismatches_total") == 1
    assert trial.counted("api_requests_total", outcome="unknown") == 1


@pytest.mark.parametrize(
    ("step", "verdict", "status"),
    [
        (refused(401, "103"), "unauthorized", S.ESME_RSYSERR),
        (refused(404, "101"), "misconfigured", S.ESME_RSYSERR),
        (refused(500, "104"), "server_error", S.ESME_RSYSERR),
        (Step(HttpAnswer(502, b"<html>")), "server_error", S.ESME_RSYSERR),
        (Step(HttpAnswer(302, b"")), "misconfigured", S.ESME_RSYSERR),
        (Step(HttpAnswer(201, b"")), "unknown", S.ESME_RSYSERR),
        (CUT, "unknown", S.ESME_RSYSERR),
        (failure(FailureKind.TIMEOUT, sent=True), "unknown", S.ESME_RSYSERR),
        (failure(FailureKind.TOO_LARGE, sent=True), "unknown", S.ESME_RSYSERR),
        (failure(FailureKind.CLOSED, sent=False), "unreachable", S.ESME_RSYSERR),
    ],
)
@pytest.mark.parametrize("after", [0.0, 0.3])
def test_what_the_request_gets_all_get_and_once(
    step: Step, verdict: str, status: S, after: float
) -> None:
    trial = Trial(lambda post: step._replace(after=after) if post.path == "/omnimessages" else None)
    trial.send(*names(4))
    trial.run()
    assert trial.sizes() == [1, 3]
    for text in names(4)[1:]:
        found = trial.told[text].outcome
        assert (found.verdict.value, found.command_status) == (verdict, status)
    assert trial.counted("api_requests_total", outcome=verdict) == 1
    assert trial.clock.getDelayedCalls() == []


def test_what_was_certainly_not_sent_is_tried_again_as_it_was() -> None:
    left = [NOT_SENT, NOT_SENT]
    trial = Trial(lambda post: left.pop() if left and post.path == "/omnimessages" else None)
    trial.send(*names(4))
    trial.run()
    assert trial.sizes() == [1, 3, 3, 3]
    assert len({post.body for post in trial.posts[1:]}) == 1
    trial.assert_accepted(*names(4))
    assert trial.counted("api_request_messages_count") == 4, "of each that was tried"


def test_no_further_attempt_than_the_first_deadline_allows() -> None:
    trial = Trial(lambda post: NOT_SENT if post.path == "/omnimessages" else None)
    trial.client.availability.fail_fast_after = 0
    trial.send("a0")
    trial.send("a1", seconds=2)
    trial.send("a2", seconds=4)
    trial.run()
    assert set(trial.verdicts().values()) == {"accepted", "unreachable"}
    assert all(post.at < 1_002 for post in trial.posts)
    assert trial.told["a1"].at <= 2


def test_a_fault_of_ours_reaches_all_and_harms_nobody_else() -> None:
    def broken(post: Post) -> None:
        if len(items_of(post)) == 2:
            raise RuntimeError("a bug")

    trial = Trial(broken, bulk_max=2)
    failures: list[Failure] = []
    for number in range(4):
        sms = SmsRequest(f"+372{number}", f"x{number}")
        trial.client.send(sms, CREDENTIALS, 10).addErrback(failures.append)
    trial.run(1)
    assert [str(one.value) for one in failures] == ["a bug", "a bug"]
    assert [number for post in trial.posts for number in numbers_of(post)] == [
        "+3720", "+3721", "+3722", "+3723",
    ]  # fmt: skip
    trial.send("well")
    trial.run(1)
    trial.assert_accepted("well")


# A request that is refused as a whole.


@pytest.mark.parametrize("status", [400, 413])
@pytest.mark.parametrize("bad", [0, 17, 63])
def test_one_bad_message_is_found_and_the_others_are_accepted_once(status: int, bad: int) -> None:
    trial = Trial(limit=100)
    trial.script = trial.api.whole(status)
    trial.send("first")
    texts = names(64)
    trial.api.bad = {texts[bad]}
    trial.send(*texts)
    trial.run()
    assert sorted(trial.told) == sorted([*texts, "first"])
    found = trial.told.pop(texts[bad]).outcome
    assert (found.verdict, found.http_status) == (Verdict.REFUSED, status)
    trial.assert_accepted(*trial.told)
    assert len(trial.posts) == 1 + 1 + 2 * 6, "two halves, six times"
    assert trial.events == []


def test_several_bad_messages() -> None:
    trial = Trial(limit=100)
    trial.script = trial.api.whole(400)
    trial.send("first")
    trial.api.bad = {"text 3", "text 50", "text 51", "text 99"}
    trial.send(*names(100))
    trial.run()
    refusals = {text for text, verdict in trial.verdicts().items() if verdict == "refused"}
    assert refusals == trial.api.bad
    trial.assert_accepted(*(set(trial.told) - refusals))


def test_halves_that_get_a_429_go_on_later() -> None:
    trial = Trial()
    trial.api.bad = {"text 2"}
    whole = trial.api.whole(400)
    refusals = [refused(429)]

    def script(post: Post) -> Step | None:
        return refusals.pop() if len(items_of(post)) == 2 and refusals else whole(post)

    trial.script = script
    trial.send("first")
    trial.send(*names(4))
    trial.run()
    assert trial.verdicts().pop("text 2") == "refused"
    trial.assert_accepted("first", "text 0", "text 1", "text 3")


# 429.


@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.parametrize(
    ("header", "pause"),
    [({}, 1.0), ({"retry-after": "3"}, 3.0), ({"retry-after": "soon"}, 1.0)],
)
def test_429_is_no_acceptance(count: int, header: dict[str, str], pause: float) -> None:
    """It comes again when the API says, and nothing is asked meanwhile."""
    refusals = [Step(HttpAnswer(429, b"Too many", header), after=0.1)]
    trial = Trial(lambda post: refusals.pop() if refusals and len(trial.posts) == 2 else None)
    trial.send("first")
    trial.run(0.01)
    trial.send(*names(count))
    trial.run(0.5)
    trial.send("last")
    trial.run()
    trial.assert_accepted(*trial.sent)
    one, refused_at, again, *_ = (post.at for post in trial.posts)
    assert refused_at - one == pytest.approx(0.105)
    assert again - refused_at == pytest.approx(pause + 0.1)
    assert trial.sizes() == [1, count, count + 1]
    assert trial.counted("api_requests_total", outcome="throttled") == 1


def test_who_has_no_time_for_the_pause_is_told_at_once() -> None:
    refusals = [Step(HttpAnswer(429, b"", {"retry-after": "5"}))]
    trial = Trial(lambda post: refusals.pop() if refusals and len(trial.posts) == 2 else None)
    trial.send("first")
    trial.send("short", seconds=4)
    trial.send("long", seconds=8)
    trial.run(0.2)
    found = trial.told["short"].outcome
    assert (found.verdict, found.command_status) == (Verdict.THROTTLED, S.ESME_RTHROTTLED)
    trial.run()
    trial.assert_accepted("long")


def test_an_api_that_only_says_429_is_asked_seldom_and_all_are_told_in_time() -> None:
    trial = Trial(lambda _: refused(429), limit=100, burst=10)
    trial.send(*names(200), seconds=5)
    trial.run()
    assert set(trial.verdicts().values()) <= {"throttled", "crowded"}
    assert {told.outcome.command_status for told in trial.told.values()} == {S.ESME_RTHROTTLED}
    assert all(told.at <= 5 for told in trial.told.values())
    assert len(trial.told) == 200
    assert len(trial.posts) < 30, "a burst and one each second"
    assert trial.clock.getDelayedCalls() == []


def test_without_a_limit_a_429_is_the_clients_matter() -> None:
    trial = Trial(lambda _: refused(429), limit=0)
    trial.send(*names(3))
    assert set(trial.verdicts().values()) == {"throttled"}
    assert len(trial.posts) == 3


def test_a_429_to_a_question_makes_messages_wait_as_well() -> None:
    class Questioned(ScriptedTransport):
        def get(self, path: str, *, authorization: str, timeout: float) -> Deferred[HttpResult]:
            return self.probe(timeout)

    trial = Trial()
    questioned = Questioned(trial.clock, trial.transport.script)
    questioned.probed = Step(HttpAnswer(429, b"", {"retry-after": "2"}))
    trial.client = OmnichannelClient(questioned, trial.clock, trial.metrics, pacing=Pacing(10, 1))
    trial.client.status("id", CREDENTIALS, 10)
    trial.send("text")
    trial.run(1.9)
    assert questioned.posts == []
    trial.run(0.3)
    trial.assert_accepted("text")


NOW = 784_111_777.0  # Sun, 06 Nov 1994 08:49:37 GMT


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("", 1),
        ("0", 1),
        ("1", 1),
        ("17", 17),
        ("60", 60),
        ("61", 60),
        ("9" * 5_000, 60),
        ("-5", 1),
        ("2.5", 1),
        ("\u0665", 1),
        ("soon", 1),
        ("inf", 1),
        ("Sun, 06 Nov 1994 08:49:47 GMT", 10),
        ("Sunday, 06-Nov-94 08:49:47 GMT", 10),
        ("Sun Nov  6 08:49:47 1994", 10),
        ("Sun, 06 Nov 1994 08:49:47 -0000", 10),
        ("Sun, 06 Nov 1994 08:49:07 GMT", 1),
        ("Tue, 06 Nov 2040 08:49:37 GMT", 60),
        ("Sun, 99 Nov 1994 08:49:37 GMT", 1),
    ],
)
def test_retry_after(value: str, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert retry_after(value, NOW) == seconds
    finally:
        monkeypatch.undo()
        time.tzset()


@given(st.text(max_size=40) | st.from_regex(r"[A-Za-z,:()\-+0-9 ]{0,30}"))
@settings(max_examples=300)
def test_no_retry_after_does_harm(value: str) -> None:
    assert 1 <= retry_after(value, NOW) <= 60


# Time.


def test_each_message_of_a_request_has_its_own_deadline() -> None:
    """Who has little time is told in it, and takes none from who has much."""
    trial = Trial(
        lambda post: trial.api.answer(post)._replace(after=4) if len(trial.posts) == 2 else None
    )
    trial.send("first")
    trial.send("short", "brief", seconds=2)
    trial.send("long", seconds=10)
    trial.run()
    assert trial.sizes() == [1, 3]
    for text in ("short", "brief"):
        found = trial.told[text]
        assert 1.8 < found.at <= 2
        assert (found.outcome.verdict, found.outcome.command_status) == (
            Verdict.UNKNOWN,
            S.ESME_RSYSERR,
        )
        assert found.outcome.error.detail == "timeout: no answer in the message's time"
    trial.assert_accepted("long")
    assert 4 < trial.told["long"].at < 4.5
    assert trial.clock.getDelayedCalls() == []


@pytest.mark.parametrize("status", [429, 400])
def test_who_was_told_that_nobody_knows_is_not_sent_again(status: int) -> None:
    trial = Trial(lambda post: refused(status)._replace(after=3) if len(trial.posts) == 2 else None)
    trial.send("first")
    trial.send("short", seconds=2)
    trial.send("long", "longer", seconds=20)
    trial.run()
    assert trial.verdicts()["short"] == "unknown"
    assert [number for post in trial.posts for number in numbers_of(post)].count(
        "+37250000002"
    ) == 1
    trial.assert_accepted("first", "long", "longer")


def test_a_request_that_hangs_is_over_with_its_last_deadline() -> None:
    trial = Trial(lambda post: Step(HttpAnswer(201, b""), HANGS) if len(trial.posts) == 2 else None)
    trial.send("first")
    trial.send("short", seconds=2)
    trial.send("long", seconds=5)
    trial.run()
    assert [trial.verdicts()[text] for text in ("short", "long")] == ["unknown"] * 2
    assert [round(trial.told[text].at, 1) for text in ("short", "long")] == [1.9, 4.9]
    assert trial.clock.getDelayedCalls() == []


@pytest.mark.parametrize("bulk_max", [1, 5])
@pytest.mark.parametrize("latency", [0.1, 1.0])
def test_too_much_for_an_api_that_is_slow(bulk_max: int, latency: float) -> None:
    """Nobody waits so long that the answer comes too late: he might be sent twice then."""
    trial = Trial(
        lambda post: trial.api.answer(post)._replace(after=latency),
        limit=10, burst=5, bulk_max=bulk_max,
    )  # fmt: skip
    for number in range(400 * bulk_max):
        trial.send(f"text {number}", seconds=5)
        trial.run(0.05 / bulk_max)
    trial.run(6)
    found = Counter(trial.verdicts().values())
    assert set(found) == {"accepted", "crowded"}
    assert found["accepted"] >= 0.9 * 20 * 10 * bulk_max
    trial.assert_accepted(*(text for text, what in trial.verdicts().items() if what == "accepted"))


def test_a_thousand_answers_are_given_out_in_portions() -> None:
    trial = Trial(limit=10)
    trial.send("first")
    trial.send(*names(1000))
    counts = [1]

    def another_turn() -> None:
        counts.append(len(trial.told))
        if len(trial.told) < 1001:
            trial.clock.callLater(0, another_turn)

    another_turn()
    trial.clock.advance(0.2)
    assert trial.sizes() == [1, 1000]
    trial.assert_accepted(*trial.sent)
    assert max(late - early for early, late in itertools.pairwise(counts)) <= 100


def cpu_of(task: Callable[[], object]) -> float:
    """Milliseconds of the processor; the best of ten."""
    found = []
    for _ in range(10):
        began = time.thread_time()
        task()
        found.append(time.thread_time() - began)
    return min(found) * 1e3


def test_a_thousand_messages_do_not_hold_up_the_event_loop() -> None:
    """Half of a hundredth of a second each, on any machine that is no ten times slower."""
    requests = [
        SmsRequest(
            f"+3725{number:07}", "Your code is 123456 " * 8, dlr_url="https://x/" + "y" * 150
        )
        for number in range(1000)
    ]
    bodies = [encode(request) for request in requests]
    api, post = Api(), Post(0, "/omnimessages", body_of(bodies), "", 0)
    answer = api.answer(post).result
    assert isinstance(answer, HttpAnswer)
    api.bad = {requests[0].text}
    errors = api.answer(post).result
    assert isinstance(errors, HttpAnswer)
    costs = {
        "encode": cpu_of(lambda: [encode(request) for request in requests]),
        "join": cpu_of(lambda: body_of(bodies)),
        "parse": cpu_of(lambda: judge_bulk(201, answer.body, requests)),
        "parse errors": cpu_of(lambda: judge_bulk(201, errors.body, requests)),
    }
    print({name: f"{cost:.2f} ms" for name, cost in costs.items()})
    assert max(costs.values()) < 20
    tenth = json.dumps({"messages": json.loads(answer.body)["messages"][:100]}).encode()
    few = cpu_of(lambda: judge_bulk(201, tenth, requests[:100]))
    assert costs["parse"] < 20 * few + 1, "linear"


# Whatever the API answers.


class Arrival(NamedTuple):
    """A message that comes some seconds after the one before it."""

    pause: float
    credentials: int
    account: str
    priority: int
    seconds: float


# What the API does with a request: in which of these it has accepted it, and whether it may come
# again because it certainly has not.
ACCEPTS = {"accepts", "slow", "cut", "hangs", "shuffled", "short", "garbage"}
MAY_COME_AGAIN = {"429", "429 for 3 s", "400", "413", "not sent", "not sent late"}
ANSWERS = sorted(ACCEPTS | MAY_COME_AGAIN | {"401", "500"})

arrivals = st.lists(
    st.builds(
        Arrival,
        st.sampled_from([0.0, 0.0, 0.0, 0.01, 0.3, 1.5]),
        st.integers(0, 1),
        st.sampled_from("ab"),
        st.integers(0, 3),
        st.sampled_from([0.5, 2.0, 5.0, 9.0]),
    ),
    min_size=1,
    max_size=40,
)


class Books:
    """The scripted API, and what it did with each request."""

    def __init__(self, answers: list[str]) -> None:
        self.api = Api()
        self.answers = answers
        self.posted: list[tuple[Post, str]] = []

    def __call__(self, post: Post) -> Step:
        turn = len(self.posted)
        kind = self.answers[turn] if turn < len(self.answers) else "accepts"
        self.posted.append((post, kind))
        if kind in ACCEPTS:
            return self._accepted(post, kind)
        if kind.startswith("429"):
            header = {"retry-after": "3"} if "3 s" in kind else {}
            return Step(HttpAnswer(429, b"Too many", header), 0.05)
        if kind.startswith("not sent"):
            return NOT_SENT._replace(after=0.4 if "late" in kind else 0.0)
        return refused(int(kind))._replace(after=0.02)

    def _accepted(self, post: Post, kind: str) -> Step:
        step = self.api.answer(post)
        assert isinstance(step.result, HttpAnswer)
        found = json.loads(step.result.body)
        entries = found["messages"]
        if kind == "cut":
            return CUT._replace(after=0.1)
        if kind == "garbage":
            return Step(HttpAnswer(201, b"<html>"))
        if post.path == "/omnimessages" and kind == "shuffled":
            entries.reverse()
        if post.path == "/omnimessages" and kind == "short":
            entries.pop()
        body = json.dumps(found).encode()
        return Step(HttpAnswer(201, body), {"slow": 1.0, "hangs": HANGS}.get(kind, 0.0))


@settings(max_examples=150, deadline=None)
@given(
    coming=arrivals,
    answers=st.lists(st.sampled_from(ANSWERS), max_size=25),
    limit=st.sampled_from([3, 10]),
    bulk_max=st.sampled_from([1, 2, 7, 1000]),
)
# One that waited for the rate after an attempt went too late, and was told 10 ms after its time.
@example(
    coming=[Arrival(0.0, 0, "a", 0, 0.5)] * 5,
    answers=["not sent", "400", "cut"],
    limit=10,
    bulk_max=1,
)
def test_whatever_the_api_answers(
    coming: list[Arrival], answers: list[str], limit: int, bulk_max: int
) -> None:
    books = Books(answers)
    trial = Trial(books, limit=limit, burst=2, bulk_max=bulk_max)
    trial.api = books.api
    pairs = [Credentials.basic(name, "password") for name in ("one", "two")]
    for number, arrival in enumerate(coming):
        trial.run(arrival.pause)
        trial.send(
            f"text {number}",
            seconds=arrival.seconds,
            account=arrival.account,
            priority=arrival.priority,
            credentials=pairs[arrival.credentials],
        )
    trial.run(15)
    # Each has one answer, in its time.
    assert sorted(trial.told) == sorted(trial.sent)
    for text, told in trial.told.items():
        assert told.at <= trial.sent[text] - 1_000 + 1e-6
    # ESME_ROK is what the API accepted, under the id that the API gave to just this message.
    for text, told in trial.told.items():
        if told.outcome.verdict is Verdict.ACCEPTED:
            assert [told.outcome.message_id] == books.api.accepted[text]
        else:
            assert told.outcome.command_status is not S.ESME_ROK
            assert not told.outcome.message_id
    # Nothing goes again that may have been accepted.
    before: dict[str, str] = {}
    for post, kind in books.posted:
        for item in items_of(post):
            text = item["messages"][0]["text"]
            assert before.get(text, "429") in MAY_COME_AGAIN, f"{text} after {before[text]}"
            before[text] = kind
    assert max(Counter(map(len, books.api.accepted.values())), default=1) == 1
    # Refusals are what they say.
    for text, told in trial.told.items():
        if told.outcome.verdict in {Verdict.THROTTLED, Verdict.CROWDED, Verdict.UNREACHABLE}:
            assert text not in books.api.accepted
    # The API is not asked too often. A probe is one that could not be sent before.
    asked = [post.at for post, kind in books.posted if not kind.startswith("not sent")]
    probes = any(kind.startswith("not sent") for _, kind in books.posted)
    for start in asked:
        assert sum(1 for at in asked if start <= at < start + 1) <= limit + probes
    assert (trial.client.pacer.waiting, trial.client.pacer.octets) == (0, 0)
    trial.run(5)
    assert trial.clock.getDelayedCalls() == []
