"""The receipts of long messages that were never completed. The sets: test_reassembly.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from twisted.internet.defer import Deferred

from gateway.omnichannel.report import DeliveryReport
from gateway.omnichannel.route import Target, unpack
from gateway.omnichannel.transport import FailureKind
from gateway.smpp.message_id import of_part
from gateway.smpp.pdu import Address, SubmitSm, Tlv
from gateway.store.base import FailedSet, StoreUnavailable
from gateway.store.schema import PENDING
from tests.bridge.direct_store import DirectStore
from tests.bridge.receiving import call_back, esme, outcome, route_of
from tests.bridge.trial import FROM, ID, TO, Trial, submit
from tests.omnichannel.scripted_transport import accepted, failure, in_turn, refused

UNSURE = failure(FailureKind.CUT, sent=True)


@pytest.fixture(autouse=True)
def cleared() -> Iterator[None]:
    yield
    structlog.reset_defaults()
    Trial.close_all()


def part(number: int, total: int, asked: int = 0, **fields: Any) -> SubmitSm:
    header = bytes([5, 0, 3, 7, total, number])
    tlvs = (Tlv(0x0204, number.to_bytes(2)),)
    text = f"<{number}>".encode()
    return submit(
        number,
        esm_class=0x40,
        short_message=header + text,
        registered_delivery=asked,
        tlvs=tlvs,
        **fields,
    )


def expire(trial: Trial) -> None:
    ended = Deferred.fromCoroutine(trial.expiry.expire())
    ended.addErrback(lambda failure: failure.trap(StoreUnavailable))  # some break it on purpose
    trial.run(0)
    trial.dispatcher.pump()


def test_a_set_that_fails_is_told_to_each_part_that_asked_for_failures() -> None:
    trial = Trial(in_turn(accepted()), reassembly_timeout=60)
    one = esme(trial)
    source = Address(5, 0, "Bank")
    for number, asked in ((1, 1), (2, 2), (3, 3), (4, 0x10), (5, 0x12), (6, 0)):
        trial.submit(part(number, 7, asked, source=source, service_type="CMT"))
        trial.run(10)
    expire(trial)
    shown = [trial.answers[number - 1].message_id for number in (1, 2, 5)]
    assert one.ids == shown
    assert [(one.stat, one.err, one.dlvrd) for one in one.told] == [("EXPIRED", "255", "000")] * 3
    # Submitted when the first part came, done now: 00:16:40 and 00:17:40.
    assert {(one.submitted, one.done) for one in one.told} == {("7001010016", "7001010017")}
    for pdu, number in zip(one.pdus, (1, 2, 5), strict=True):
        assert (pdu.source, pdu.destination) == (Address(1, 1, TO), source)
        assert pdu.service_type == "CMT"
        assert dict(pdu.tlvs)[0x0204] == number.to_bytes(2)
        assert dict(pdu.tlvs)[0x0423] == b"\3\0\xff"
        assert dict(pdu.tlvs)[0x0427] == b"\3"
    one.take_all()
    assert trial.store.real.counts() == (0, 0, 0, 0, 0)
    expire(trial)
    assert len(one.pdus) == 3


@pytest.mark.parametrize(
    ("step", "stat"), [(refused(400), "REJECTD"), (UNSURE, "UNKNOWN"), (refused(500), "UNKNOWN")]
)
def test_a_complete_set_that_nobody_sends_again_is_told_what_the_api_said(
    step: Any, stat: str
) -> None:
    trial = Trial(in_turn(step), reassembly_timeout=60)
    one = esme(trial)
    trial.submit(part(1, 2, 1))
    trial.submit(part(2, 2, 1))
    trial.run(61)
    expire(trial)
    # The last part was answered with an error, and its sender knows.
    assert [(one.id, one.stat) for one in one.told] == [(trial.answers[0].message_id, stat)]


def test_with_nobody_bound_they_wait_as_any_other() -> None:
    trial = Trial(in_turn(accepted()), reassembly_timeout=60)
    trial.submit(part(1, 2, 1))
    trial.run(61)
    expire(trial)
    [row] = trial.store.receipts()
    assert (row["state"], row["system_id"]) == (PENDING, "bank")
    assert esme(trial).ids == [trial.response.message_id]


@pytest.mark.parametrize("form", ["hex", "decimal"])
def test_their_ids_are_in_the_accounts_form(form: str) -> None:
    trial = Trial(in_turn(accepted()), reassembly_timeout=60, message_id_format=form)
    trial.submit(part(1, 2, 1))
    trial.run(61)
    expire(trial)
    assert esme(trial).ids == [trial.response.message_id]


def test_an_account_that_wants_no_receipts_gets_none() -> None:
    trial = Trial(in_turn(accepted()), reassembly_timeout=60, receipts="off")
    trial.submit(part(1, 2, 1))
    trial.run(61)
    expire(trial)
    assert trial.store.real.counts() == (0, 0, 0, 0, 0)
    assert trial.lines[-1]["receipts"] == 0


def test_a_set_whose_end_cannot_be_stored_is_told_once_the_store_is_well() -> None:
    trial = Trial(in_turn(accepted()), reassembly_timeout=60)
    trial.submit(part(1, 2, 1))
    trial.run(61)
    one = esme(trial)
    trial.store.failing = FailedSet
    expire(trial)
    trial.store.failing = None
    assert one.pdus == []
    expire(trial)
    expire(trial)
    one.take_all()
    assert one.stats == ["EXPIRED"]
    assert trial.store.real.counts() == (0, 0, 0, 0, 0)


# What is there is relayed


def test_what_is_relayed_incomplete_is_told_to_the_parts_that_are_there() -> None:
    trial = Trial(in_turn(accepted(ID)), reassembly_timeout=60, relay_incomplete=True)
    for number, asked in ((1, 1), (2, 0), (4, 0x11)):
        trial.submit(part(number, 4, asked))
    trial.run(61)
    expire(trial)
    route = route_of(trial)
    assert route.targets == (Target(1, 1, 1), Target(4, 0x11, 4))
    assert (route.submitted_at, route.serial, route.system_id) == (1_000.0, 0, "bank")
    assert (route.source.addr, route.destination.addr) == (FROM, TO)
    told = [answer.message_id for answer in trial.answers]
    assert [of_part(route.base, number) for number in (1, 4)] == [told[0], told[2]]
    one = esme(trial)
    call_back(trial, "ACCEPTD")
    call_back(trial, "DELIVRD")
    one.take_all()
    assert [(one.id, one.stat) for one in one.told] == [
        (told[2], "ACCEPTD"),
        (told[0], "DELIVRD"),
        (told[2], "DELIVRD"),
    ]
    assert trial.store.real.counts() == (0, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("receipts", "asked", "called", "rows"),
    [
        ("callback", 1, True, 0),
        ("callback", 0, False, 0),
        ("poll", 1, False, 1),
        ("poll", 0, False, 0),
        ("both", 1, True, 1),
        ("off", 1, False, 0),
    ],
)
def test_what_is_relayed_incomplete_is_reported_as_the_account_has_it(
    receipts: str, asked: int, called: bool, rows: int
) -> None:
    trial = Trial(
        in_turn(accepted(ID)), reassembly_timeout=60, relay_incomplete=True, receipts=receipts
    )
    trial.submit(part(1, 2, asked))
    trial.run(61)
    expire(trial)
    [post] = trial.transport.posts
    assert ("dlr_url" in post.sms) is called
    awaited = trial.store.awaited()
    assert len(awaited) == rows
    for row in awaited:
        assert (row["message_id"], row["system_id"]) == (ID, "bank")
        assert unpack(row["route"]).targets == (Target(1, 1, 1),)
    assert trial.store.real.counts()[:2] == (0, 0)


def test_what_could_not_be_relayed_is_told_once() -> None:
    trial = Trial(in_turn(UNSURE), reassembly_timeout=60, relay_incomplete=True)
    trial.submit(part(1, 2, 1))
    trial.run(61)
    expire(trial)
    one = esme(trial)
    assert one.stats == ["UNKNOWN"]
    one.take_all()
    expire(trial)
    assert len(one.pdus) == 1


# After a crash


@pytest.mark.parametrize(("asked", "told"), [(1, ["DELIVRD"]), (2, [])])
def test_a_set_that_was_at_the_api_in_a_crash_does_not_fail_once_it_is_delivered(
    tmp_path: Path, asked: int, told: list[str]
) -> None:
    """Who asked for failures alone must not read of one: the report itself tells it nothing."""
    url = f"sqlite:///{tmp_path}/gateway.db"
    before = Trial(
        in_turn(accepted(ID)._replace(after=5.0)),
        store=DirectStore(url=url),
        reassembly_timeout=60,
    )
    before.submit(part(1, 2, asked))
    before.submit(part(2, 2))
    before.run(1)
    assert len(before.answers) == 1
    before.store.close()
    after = Trial(in_turn(accepted(ID)), store=DirectStore(url=url), reassembly_timeout=60)
    assert after.store.real.counts()[:2] == (1, 1)
    one = esme(after)
    report = outcome(after.reports.take(route_of(before), DeliveryReport(ID, "DELIVRD")))
    assert report.kind == "final"
    assert after.store.real.counts()[:2] == (0, 0)
    after.run(61)
    expire(after)
    one.take_all()
    assert one.stats == told
