"""Which messages have a row until their end is known, and when it is looked at."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
import structlog

from gateway.bridge.awaiting import Schedule
from gateway.omnichannel.route import unpack
from gateway.store.base import Awaited, message_key
from tests.bridge.receiving import call_back, esme, outcome
from tests.bridge.trial import ID, V33, Trial, submit
from tests.omnichannel.scripted_transport import accepted, in_turn, refused

SCHEDULE = Schedule(first=10, longest=3600)


@pytest.fixture(autouse=True)
def cleared() -> Iterator[None]:
    yield
    structlog.reset_defaults()
    Trial.close_all()


def trial_of(**account: Any) -> Trial:
    return Trial(in_turn(accepted(ID)), **{"receipts": "poll", **account})


# When


@pytest.mark.parametrize(
    ("account", "seconds"),
    [
        ({"receipts": "poll"}, 10),
        ({"receipts": "both"}, 300),
        ({"receipts": "both", "receipt_limit": 120}, 120),
        ({"receipts": "callback", "synthetic_expired": True, "receipt_limit": 7_200}, 7_200),
    ],
)
def test_the_first_look(account: dict[str, Any], seconds: float) -> None:
    assert SCHEDULE.begins_at(500.0, trial_of(**account).account) == 500 + seconds


def test_the_looks_after_it() -> None:
    account = trial_of(receipt_limit=20_000).account

    def after(age: float) -> float:
        return SCHEDULE.next_at(500.0, 500.0 + age, account) - 500 - age

    assert [after(age) for age in (0, 10, 20, 30, 1_000)] == [10, 10, 10, 15, 500]
    assert [after(age) for age in (7_200, 10_000, 16_000)] == [3_600] * 3
    assert after(19_000) == 1_000, "at its limit"
    assert after(19_999.5) == 1
    assert after(20_000) == 3_600
    assert after(-5) == 10, "the clock was set back"


def test_the_looks_of_an_account_that_is_gone() -> None:
    assert SCHEDULE.next_at(500.0, 600.0, None) == 650


# Which


@pytest.mark.parametrize(
    ("account", "asked", "rows"),
    [
        ({"receipts": "poll"}, 1, 1),
        ({"receipts": "both"}, 0x10, 1),
        ({"receipts": "poll"}, 0, 0),
        ({"receipts": "callback"}, 1, 0),
        ({"receipts": "callback", "synthetic_expired": True}, 1, 1),
        ({"receipts": "off"}, 1, 0),
        ({"receipts": "off", "synthetic_expired": True}, 1, 0),
    ],
)
def test_which_messages_have_a_row(account: dict[str, Any], asked: int, rows: int) -> None:
    trial = trial_of(**account)
    trial.submit(submit(registered_delivery=asked))
    assert trial.status == "ESME_ROK"
    assert len(trial.store.awaited()) == rows
    assert len(trial.store.operations) == rows


def test_what_the_row_says() -> None:
    trial = trial_of()
    trial.submit(submit(registered_delivery=1))
    [row] = trial.store.operations
    assert isinstance(row, Awaited)
    assert row.key == message_key(1_000.0, ID)
    assert (row.system_id, row.message_id, row.polls) == ("bank", ID, 0)
    assert (row.submitted_at, row.next_at) == (1_000.0, 1_010.0)
    route = unpack(row.route)
    assert (route.system_id, route.submitted_at) == ("bank", 1_000.0)
    assert [target.registered_delivery for target in route.targets] == [1]


def test_a_message_for_later_is_looked_at_after_its_time() -> None:
    trial = trial_of()
    trial.submit(submit(registered_delivery=1, schedule_delivery_time="000000010000000R"))
    assert trial.status == "ESME_ROK"
    [row] = trial.store.operations
    assert isinstance(row, Awaited)
    sent_at = datetime.fromisoformat(trial.transport.posts[0].sms["time_to_send"]).timestamp()
    assert (row.submitted_at, row.next_at) == (sent_at, sent_at + 10)
    assert row.key == message_key(1_000.0, ID), "by which its callback finds it"


def test_a_message_that_was_refused_has_none() -> None:
    trial = Trial(in_turn(refused(400)), receipts="poll")
    trial.submit(submit(registered_delivery=1))
    assert trial.store.operations == []


# The row and the response


@pytest.mark.parametrize("version", [V33, None])
def test_the_row_is_committed_before_the_response_leaves(version: Any) -> None:
    trial = trial_of()
    trial.store.holding = True
    trial.submit(submit(registered_delivery=1), **({"version": version} if version else {}))
    assert isinstance(trial.store.operations[0], Awaited)
    assert trial.answers == []
    while trial.store.held:
        assert trial.answers == []
        trial.store.held.pop(0)()
    assert trial.status == "ESME_ROK"
    assert len(trial.answers) == 1


def test_a_store_that_fails_does_not_keep_the_response() -> None:
    trial = trial_of()
    trial.store.broken = True
    trial.submit(submit(registered_delivery=1))
    assert (trial.status, trial.response.message_id) == ("ESME_ROK", ID)
    failed, relayed = trial.lines
    assert (failed["event"], failed["level"]) == ("store_failed", "error")
    assert (failed["operation"], failed["message_id"]) == ("await_report", ID)
    assert failed["detail"] == "the disk is full"
    assert relayed["event"] == "message_relayed"


@pytest.mark.parametrize("asked", [1, 2])
def test_a_callback_that_comes_before_the_row_ends_it_all_the_same(asked: int) -> None:
    """Or who asked for failures alone would be told EXPIRED of a message that was delivered."""
    trial = Trial(
        in_turn(accepted(ID)._replace(after=2.0)), synthetic_expired=True, receipt_limit=60
    )
    one = esme(trial)
    trial.submit(submit(registered_delivery=asked))
    trial.run(1)
    assert call_back(trial, "DELIVRD") == 200
    trial.run(2)
    assert trial.status == "ESME_ROK"
    assert trial.store.awaited() == []
    trial.run(100)
    outcome(trial.poller.poll())
    assert one.stats == ["DELIVRD"] * (asked == 1)


def test_a_row_that_could_not_be_ended_so_is_told() -> None:
    trial = Trial(in_turn(accepted(ID)._replace(after=2.0)), receipts="both")
    trial.submit(submit(registered_delivery=1))
    trial.run(1)
    call_back(trial, "DELIVRD")
    trial.store.broken = True
    trial.run(2)
    assert trial.status == "ESME_ROK"
    failed = [line["operation"] for line in trial.lines if line["event"] == "store_failed"]
    assert failed == ["await_report", "end_awaited"]


def test_the_row_of_a_long_message_knows_its_parts() -> None:
    trial = trial_of()
    for number in (1, 2):
        header = bytes([5, 0, 3, 7, 2, number])
        trial.submit(
            submit(number, esm_class=0x40, short_message=header + b"x", registered_delivery=1)
        )
    [row] = trial.store.awaited()
    assert [target.number for target in unpack(row["route"]).targets] == [1, 0]
