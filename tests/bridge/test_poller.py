"""What became of messages when nobody calls: whom the gateway asks, when, and until when."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from gateway import logs
from gateway.bridge.poller import Poller
from gateway.omnichannel.transport import FailureKind, HttpAnswer
from gateway.store.base import StoreUnavailable
from gateway.store.operations import ClaimAwaited
from tests.bridge.direct_store import DirectStore
from tests.bridge.receiving import call_back, esme, outcome
from tests.bridge.trial import ID, TO, V33, Trial, submit
from tests.omnichannel.scripted_transport import Post, Step, accepted, failure, refused
from tests.omnichannel.test_client import AskedTransport

Answers = Callable[[Post], Step]


def status(word: str | None, after: float = 0.0, **fields: Any) -> Step:
    """An answer to GET status."""
    entry = {
        "status": word,
        "channel": "sms",
        "message_id": "m",
        "error": None,
        "err": 0 if word else None,
        "timestamp": "1970-01-01T00:20:00.389630",
        **fields,
    }
    body = {"omnimessage_id": ID, "to": f"+{TO}", "statuses": [entry]}
    return Step(HttpAnswer(200, json.dumps(body).encode()), after)


IN_PROCESS = status(None)
CUT = failure(FailureKind.CUT, sent=True)


@pytest.fixture(autouse=True)
def cleared() -> Iterator[None]:
    yield
    structlog.reset_defaults()
    Trial.close_all()


class Asking(Trial):
    """A gateway that asks, woken each second; `says` is what the API answers."""

    def __init__(self, says: Step = IN_PROCESS, *, ids: bool = False, **account: Any) -> None:
        self.says = says
        count = iter(range(10_000))

        def script(post: Post) -> Step:
            if not post.body:
                return self.says
            return accepted(f"m{next(count)}" if ids else ID)

        super().__init__(script, transport=AskedTransport, **{"receipts": "poll", **account})

    def send(self, messages: int = 1) -> Asking:
        for _ in range(messages):
            self.submit(submit(registered_delivery=0x11))
        return self

    def beat(self, seconds: int) -> Asking:
        for _ in range(seconds):
            self.run(1)
            outcome(self.poller.poll())
        return self

    @property
    def asked(self) -> list[Post]:
        return [post for post in self.transport.posts if not post.body]

    @property
    def ages(self) -> list[int]:
        """How old the message was at each question, in seconds."""
        return [round(post.at - 1_000) for post in self.asked]

    def polls(self, result: str) -> float:
        return self.value("status_polls_total", result=result) or 0.0

    def told(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["event"] == event]


def test_a_message_is_asked_for_until_its_end_is_known() -> None:
    trial = Asking().send()
    one = esme(trial)
    trial.beat(15)
    assert trial.ages == [10]
    [post] = trial.asked
    assert post.path == f"/omnimessage/{ID}/status"
    assert post.authorization == trial.account.credentials.authorization
    trial.says = status("ACCEPTD")
    trial.beat(10)
    one.take_all()
    trial.says = status("UNDELIV", err=3)
    trial.beat(10)
    one.take_all()
    assert [(one.stat, one.err) for one in one.told] == [("ACCEPTD", "000"), ("UNDELIV", "003")]
    assert one.told[1].done == "7001010020"
    assert trial.store.awaited() == []
    trial.beat(300)
    assert trial.ages == [10, 20, 30]
    assert [trial.polls(result) for result in ("nothing", "interim", "final")] == [1, 1, 1]
    assert trial.store.real.counts()[2:] == (0, 0, 0)


def test_the_older_a_message_the_more_seldom_it_is_asked_for() -> None:
    trial = Asking().send().beat(240)
    assert trial.ages == [10, 20, 30, 45, 68, 102, 153, 230]
    [row] = trial.store.awaited()
    assert row["polls"] == 8


def test_beside_callbacks_it_is_asked_for_much_later() -> None:
    trial = Asking(receipts="both").send().beat(460)
    assert trial.ages == [300, 450]


def test_a_callback_ends_the_asking() -> None:
    trial = Asking(receipts="both").send()
    one = esme(trial)
    assert call_back(trial, "DELIVRD") == 200
    assert trial.store.awaited() == []
    trial.beat(310)
    assert (trial.ages, one.stats) == ([], ["DELIVRD"])


def test_a_callback_that_is_no_end_does_not() -> None:
    trial = Asking(receipts="both").send()
    call_back(trial, "ACCEPTD")
    call_back(trial, "UNKNOWN")
    trial.beat(310)
    assert trial.ages == [300]


def test_a_callback_and_an_answer_make_one_receipt() -> None:
    trial = Asking(status("DELIVRD", after=5.0), receipts="both").send()
    one = esme(trial)
    trial.beat(302)
    call_back(trial, "DELIVRD", place=0)
    trial.beat(10)
    one.take_all()
    assert (one.stats, trial.ages) == (["DELIVRD"], [300])
    assert trial.store.awaited() == []


def test_an_unknown_state_is_asked_about_again() -> None:
    trial = Asking(status("UNKNOWN"), unknown_held=15).send()
    one = esme(trial)
    trial.beat(12)
    trial.says = status("DELIVRD")
    trial.beat(10)
    assert (trial.ages, one.stats) == ([10, 20], ["DELIVRD"])


@pytest.mark.parametrize("asked", [0, 0x0C])
def test_nobody_asks_for_what_nobody_wants(asked: int) -> None:
    trial = Asking()
    trial.submit(submit(registered_delivery=asked))
    trial.beat(20)
    assert trial.asked == []
    assert {type(one) for one in trial.store.operations} == {ClaimAwaited}


def test_an_end_that_the_esme_did_not_ask_for_ends_the_asking_too() -> None:
    trial = Asking(status("DELIVRD"))
    trial.submit(submit(registered_delivery=2))
    trial.beat(40)
    assert (trial.ages, trial.store.awaited(), trial.store.receipts()) == ([10], [], [])


# The limit


def test_a_message_of_which_nothing_is_heard_is_given_up() -> None:
    trial = Asking(receipt_limit=60).send()
    one = esme(trial)
    trial.beat(200)
    assert trial.ages == [10, 20, 30, 45, 60]
    assert (trial.store.awaited(), one.pdus) == ([], [])
    [line] = trial.told("report_given_up")
    assert (line["level"], line["system_id"], line["message_id"]) == ("warning", "bank", ID)
    assert (line["polls"], line["result"]) == (4, "")
    assert (trial.polls("given_up"), trial.polls("expired")) == (1, 0)


def test_its_esme_may_be_told_that_it_expired() -> None:
    trial = Asking(receipt_limit=60, synthetic_expired=True).send()
    one = esme(trial)
    trial.beat(59)
    assert one.pdus == []
    trial.beat(100)
    one.take_all()
    assert [(one.id, one.stat, one.done) for one in one.told] == [(ID, "EXPIRED", "7001010017")]
    assert trial.store.awaited() == []
    assert (trial.polls("given_up"), trial.polls("expired")) == (0, 1)
    trial.dispatcher.pump()
    assert one.stats == ["EXPIRED"]


def test_with_callbacks_alone_the_limit_is_all_that_is_waited_for() -> None:
    trial = Asking(receipts="callback", receipt_limit=60, synthetic_expired=True).send()
    one = esme(trial)
    trial.beat(70)
    one.take_all()
    assert (trial.asked, one.stats) == ([], ["EXPIRED"])
    assert call_back(trial, "DELIVRD", place=0) == 200
    assert one.stats == ["EXPIRED"]


def test_a_callback_before_the_limit_is_the_end() -> None:
    trial = Asking(receipts="callback", receipt_limit=60, synthetic_expired=True).send()
    one = esme(trial)
    call_back(trial, "DELIVRD")
    trial.beat(70)
    one.take_all()
    assert one.stats == ["DELIVRD"]


def test_what_the_api_says_at_the_limit_counts() -> None:
    trial = Asking(receipt_limit=60, synthetic_expired=True).send().beat(55)
    one = esme(trial)
    trial.says = status("DELIVRD")
    trial.beat(30)
    one.take_all()
    assert one.stats == ["DELIVRD"]
    assert trial.polls("expired") == 0


def test_while_the_api_is_away_nothing_is_given_up() -> None:
    trial = Asking(receipt_limit=60, synthetic_expired=True).send().beat(55)
    one = esme(trial)
    trial.says = refused(429)
    trial.beat(10)
    assert trial.ages[-1] == 60
    assert (one.pdus, trial.polls("failed")) == ([], 1)
    assert len(trial.store.awaited()) == 1


def test_the_messages_of_an_account_that_is_gone_wait_for_it_for_three_days() -> None:
    trial = Asking(status("DELIVRD"), ids=True, synthetic_expired=True).send(2)
    account = trial.accounts.pop("bank")
    trial.beat(30)
    assert (trial.asked, len(trial.store.awaited())) == ([], 2)
    trial.accounts["bank"] = account
    trial.beat(15)
    assert (len(trial.asked), trial.polls("final")) == (2, 2)
    trial.send()
    del trial.accounts["bank"]
    trial.clock.advance(259_200)
    trial.beat(2)
    assert (len(trial.asked), trial.store.awaited()) == (2, [])
    assert trial.polls("given_up") == 1


def test_the_age_of_a_scheduled_message_counts_from_its_time() -> None:
    trial = Asking(receipt_limit=60, synthetic_expired=True)
    trial.submit(submit(registered_delivery=1, schedule_delivery_time="000000010000000R"))
    [row] = trial.store.awaited()
    sent_at = row["submitted_at"] / 1e6
    assert sent_at == pytest.approx(time.time() + 3_600, abs=5)
    assert row["next_at"] / 1e6 == sent_at + 10


# The API does not answer


@pytest.mark.parametrize("says", [refused(429), refused(500), refused(401), CUT])
def test_an_api_that_does_not_answer_is_left_in_peace(says: Step) -> None:
    trial = Asking(says, ids=True).send()
    trial.beat(5)
    trial.send(3)
    trial.beat(13)
    assert trial.ages == [10], "and the others wait as well"
    trial.says = IN_PROCESS
    trial.beat(2)
    assert trial.ages == [10, *[20] * 4]
    assert (trial.polls("failed"), trial.told("poll_failed")) == (1, [])


@pytest.mark.parametrize("says", [refused(404), refused(400)])
def test_a_message_that_the_api_does_not_know_is_asked_for_again(says: Step) -> None:
    trial = Asking(says, receipt_limit=60).send().beat(70)
    assert trial.ages == [10, 20, 30, 45, 60]
    assert (trial.polls("nothing"), trial.polls("given_up")) == (4, 1)


def test_an_answer_that_is_none_is_not_believed() -> None:
    trial = Asking(Step(HttpAnswer(200, b"<html>"))).send().beat(10)
    assert (trial.ages, trial.polls("failed")) == ([10], 1)


# How much is asked


@pytest.mark.parametrize("slow", [0.0, 3.0])
def test_the_rate_is_never_exceeded(slow: float) -> None:
    trial = Asking(status("DELIVRD", after=slow), ids=True).send(90).beat(60)
    in_each_second = Counter(round(post.at) for post in trial.asked)
    assert max(in_each_second.values()) <= 20
    assert len(trial.asked) == 90, "each once"
    at = [post.at for post in trial.asked]
    assert max(sum(now - slow < one <= now for one in at) for now in at) <= 20 or not slow
    assert trial.store.awaited() == []


def test_a_rate_below_one_a_second() -> None:
    trial = Asking(status("DELIVRD"), ids=True).send(5)
    trial.poller = Poller(
        trial.store,
        trial.reports,
        trial.expiry._api,
        trial.accounts.get,
        trial.schedule,
        0.25,
        trial.clock.seconds,
        trial.metrics,
        logs.get(),
    )
    trial.beat(30)
    gaps = [after - before for before, after in zip(trial.ages, trial.ages[1:], strict=False)]
    assert len(trial.ages) == 5
    assert set(gaps) == {4}


# The process ends, or the store fails


def test_what_was_under_way_is_asked_again_after_a_restart(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/gateway.db"
    before = Asking(status("DELIVRD", after=8.0), store=DirectStore(url=url)).send().beat(12)
    assert before.ages == [10]
    before.poller.stop()
    before.store.close()
    after = Asking(status("DELIVRD"), store=DirectStore(url=url))
    after.run(12)
    after.beat(12)
    assert after.ages == []
    after.beat(2)
    assert after.ages == [25]
    assert [row["message_id"] for row in after.store.receipts()] == [ID]


def test_a_stop_asks_no_more() -> None:
    trial = Asking().send()
    trial.poller.stop()
    trial.beat(20)
    assert trial.asked == []


def test_a_store_that_fails_costs_no_message() -> None:
    trial = Asking(status("DELIVRD", after=0.5)).send()
    trial.beat(10)
    trial.store.broken = True
    trial.run(0.9)
    [line] = trial.told("poll_failed")
    assert (line["level"], line["message_id"]) == ("error", ID)
    assert line["detail"] == "the disk is full"
    assert trial.polls("failed") == 1
    with pytest.raises(StoreUnavailable):
        outcome(trial.poller.poll())
    trial.store.broken = False
    trial.beat(20)
    assert trial.ages == [10, 26]
    assert len(trial.store.receipts()) == 1
    assert trial.store.awaited() == []


def test_a_3_3_bind_reads_its_number() -> None:
    trial = Asking(status("DELIVRD"))
    trial.submit(submit(registered_delivery=1), version=V33)
    one = esme(trial)
    trial.beat(10)
    assert one.ids == [f"{0x5BCA2F3E:010d}"]


def test_no_number_reaches_the_log() -> None:
    trial = Asking(status("UNDELIV", err=3, error=f"{TO} is gone"), receipt_limit=60).send()
    trial.beat(10)
    assert TO not in trial.stream.getvalue()
