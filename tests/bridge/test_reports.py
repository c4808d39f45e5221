"""From what the API tells of a message to the receipts that its ESME reads.

Nothing is replaced: a submit_sm goes to a scripted API, which calls back with the dlr_url that
it was given, and a scripted ESME reads the deliver_sm.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import structlog

from gateway.omnichannel.report import DeliveryReport
from gateway.omnichannel.route import Route, Target
from gateway.smpp import message_id as ids
from gateway.smpp.constants import MessageState
from gateway.smpp.pdu import Address, SubmitSm, Tlv
from gateway.store.schema import LEASED, PENDING
from tests.bridge.receiving import Esme, call_back, esme, outcome, told
from tests.bridge.trial import FROM, ID, TO, V33, V50, Trial, name, submit
from tests.omnichannel.scripted_transport import accepted, in_turn, refused

HEX = ID.replace("-", "")
DECIMAL = str(int(HEX, 16))
SUBMITTED = 900.0
FULL = 0x11  # final states and those on the way


@pytest.fixture(autouse=True)
def cleared() -> Iterator[None]:
    yield
    structlog.reset_defaults()
    Trial.close_all()


def sent(trial: Trial, **fields: Any) -> Trial:
    """A message that asks for all receipts has been accepted, and its receipt may leave."""
    trial.submit(submit(**{"registered_delivery": FULL, **fields}))
    trial.run(1)
    return trial


def conversation(**account: Any) -> tuple[Trial, Esme]:
    trial = sent(Trial(in_turn(accepted(ID)), **account))
    return trial, esme(trial)


def part(number: int, total: int, text: str = "x", **fields: Any) -> SubmitSm:
    header = bytes([5, 0, 3, 7, total, number])
    return submit(number, esm_class=0x40, short_message=header + text.encode(), **fields)


# Who is told what (API document section 4.3, SMPP 3.4 section 5.2.17): f a receipt, i an
# intermediate notification, h a receipt that is held for a while first.
TABLE = """
            00 01 02 03 10 11 12
null        -  -  -  -  -  -  -
ACK         -  -  -  -  i  i  i
ACCEPTD     -  -  -  -  i  i  i
DELIVRD     -  f  -  f  -  f  -
SEEN        -  f  -  f  -  f  -
UNDELIV     -  f  f  -  -  f  f
FAILED      -  f  f  -  -  f  f
EXPIRED     -  f  f  -  -  f  f
REJECTD     -  f  f  -  -  f  f
NACK        -  f  f  -  -  f  f
DELETED     -  f  f  -  -  f  f
UNKNOWN     -  h  h  -  -  h  h
BRAND_NEW   -  h  h  -  -  h  h
"""
STAT = {
    "ACK": "ACCEPTD",
    "SEEN": "DELIVRD",
    "FAILED": "UNDELIV",
    "NACK": "REJECTD",
    "BRAND_NEW": "UNKNOWN",
}
STATES = {
    "ACCEPTD": 6,
    "DELIVRD": 2,
    "UNDELIV": 5,
    "EXPIRED": 3,
    "REJECTD": 8,
    "DELETED": 4,
    "UNKNOWN": 7,
}
_HEAD, *_LINES = TABLE.strip().splitlines()
ROWS = {words[0]: words[1:] for words in map(str.split, _LINES)}


@pytest.mark.parametrize(("column", "asked"), [*enumerate(_HEAD.split())])
def test_who_asked_is_told_and_nobody_else(column: int, asked: str) -> None:
    trial = Trial(in_turn(accepted()), unknown_held=30)
    one = esme(trial, window=50)
    for number, (status, cells) in enumerate(ROWS.items()):
        cell, before = cells[column], len(one.pdus)
        route = Route(
            "bank", SUBMITTED, 0, Address(1, 1, FROM), Address(1, 1, TO),
            targets=(Target(0, int(asked, 16)),),
        )  # fmt: skip
        status = "" if status == "null" else status
        taken = outcome(trial.reports.take(route, DeliveryReport(f"m{number}", status, 3)))
        assert taken.result == ("nothing" if cell == "-" else "new"), (status, asked)
        if cell == "h":
            assert len(one.pdus) == before
            trial.run(30)
            trial.dispatcher.pump()
        got = one.pdus[before:]
        assert len(got) == (cell != "-"), (status, asked)
        for pdu in got:
            receipt, stat = told(pdu), STAT.get(status, status)
            assert (receipt.id, receipt.stat) == (f"m{number}", stat)
            assert receipt.dlvrd == ("001" if stat == "DELIVRD" else "000")
            assert pdu.esm_class == (0x20 if cell == "i" else 0x04)
            tlvs = dict(pdu.tlvs)
            assert tlvs[0x0427] == bytes([STATES[stat]])
            failed = stat not in {"DELIVRD", "ACCEPTD"}
            assert receipt.err == ("003" if failed else "000")
            assert tlvs.get(0x0423) == (b"\3\0\3" if failed else None)
        one.take_all()
    assert trial.store.receipts() == []


def test_a_message_from_its_submit_to_its_receipt() -> None:
    trial = Trial(in_turn(accepted(ID)))
    one = esme(trial)
    source, destination = Address(5, 0, "Bank"), Address(1, 1, TO)
    trial.submit(
        submit(7, source=source, destination=destination, service_type="CMT", registered_delivery=1)
    )
    trial.run(60)
    assert call_back(trial, "DELIVRD") == 200
    [pdu] = one.pdus
    assert (pdu.source, pdu.destination, pdu.service_type) == (destination, source, "CMT")
    assert pdu.short_message == (
        b"id:%s sub:001 dlvrd:001 submit date:7001010016 done date:7001010020"
        b" stat:DELIVRD err:000 text:" % ID.encode()
    )
    assert pdu.tlvs == (Tlv(0x0427, b"\2"), Tlv(0x001E, ID.encode() + b"\0"))
    one.answer()
    assert trial.store.real.counts()[2:] == (0, 0, 0)
    line = next(line for line in trial.lines if line["event"] == "report_taken")
    del line["timestamp"]
    assert line == {
        "level": "info",
        "event": "report_taken",
        "system_id": "bank",
        "message_id": ID,
        "status": "DELIVRD",
        "err": 0,
        "message_state": "DELIVERED",
        "result": "new",
        "receipts": 1,
    }


# Again, and out of order


@pytest.mark.parametrize(
    ("statuses", "results", "stats"),
    [
        ("DELIVRD DELIVRD", "new repeated", "DELIVRD"),
        ("DELIVRD SEEN", "new repeated", "DELIVRD"),
        ("SEEN DELIVRD", "new repeated", "DELIVRD"),
        ("DELIVRD ACCEPTD", "new stale", "DELIVRD"),
        ("DELIVRD UNKNOWN", "new stale", "DELIVRD"),
        ("ACCEPTD ACK ACCEPTD DELIVRD", "new repeated repeated new", "ACCEPTD DELIVRD"),
        ("UNDELIV DELIVRD", "new repeated", "UNDELIV"),
        ("FAILED UNDELIV EXPIRED", "new repeated repeated", "UNDELIV"),
        ("UNKNOWN DELIVRD UNKNOWN", "new new stale", "DELIVRD"),
        ("UNKNOWN UNKNOWN WHAT_IS_THIS", "new repeated repeated", ""),
        ("UNKNOWN ACCEPTD EXPIRED", "new new new", "ACCEPTD EXPIRED"),
    ],
)
@pytest.mark.parametrize("prompt", [True, False])
def test_each_message_ends_once(statuses: str, results: str, stats: str, prompt: bool) -> None:
    """Whether the ESME answers at once or not at all."""
    trial, one = conversation()
    for status, result in zip(statuses.split(), results.split(), strict=True):
        assert call_back(trial, status) == 200
        assert [line["result"] for line in trial.lines if line["event"] == "report_taken"][
            -1
        ] == result
        if prompt:
            one.take_all()
    one.take_all()
    assert one.stats == stats.split()


def test_an_unknown_state_is_told_when_nothing_better_came_in_its_time() -> None:
    trial, one = conversation(unknown_held=3600)
    call_back(trial, "UNKNOWN")
    trial.run(3_599)
    trial.dispatcher.pump()
    assert one.pdus == []
    trial.run(1)
    trial.dispatcher.pump()
    assert one.stats == ["UNKNOWN"]
    call_back(trial, "DELIVRD")
    one.take_all()
    assert one.stats == ["UNKNOWN"]
    [row] = [row for row in trial.lines if row.get("result") == "repeated"]
    assert row["status"] == "DELIVRD"


# err


def test_err_in_three_digits() -> None:
    table = [
        ("DELIVRD", 0, "000"),
        ("SEEN", 10, "000"),
        ("UNDELIV", 1, "001"),
        ("UNDELIV", "2", "002"),
        ("REJECTD", 999, "999"),
        ("REJECTD", 0, "255"),
        ("REJECTD", None, "255"),
        ("REJECTD", 1000, "255"),
        ("REJECTD", -4, "255"),
        ("ACCEPTD", 5, "000"),
    ]
    trial, one = conversation()
    for number, (status, err, shown) in enumerate(table):
        call_back(trial, status, err=err, omnimessage_id=f"m{number}")
        pdu = one.pdus[-1]
        assert told(pdu).err == shown, (status, err)
        failed = status in {"UNDELIV", "REJECTD"}
        code = b"\3" + int(shown).to_bytes(2) if failed else None
        assert dict(pdu.tlvs).get(0x0423) == code
        one.take_all()


def test_an_account_without_credit_is_told_as_an_error() -> None:
    trial, one = conversation(log_messages=False)
    call_back(trial, "REJECTD", err=4, error="Error crediting account")
    assert one.told[0].err == "004"
    [line] = [line for line in trial.lines if line["event"] == "report_taken"]
    assert (line["level"], line["err"]) == ("error", 4)
    assert line["detail"] == "Error crediting account"


def test_other_reports_can_be_left_out_of_the_log() -> None:
    trial, one = conversation(log_messages=False)
    call_back(trial, "REJECTD", err=3)
    assert one.stats == ["REJECTD"]
    assert trial.lines == []


def test_an_operator_may_read_the_api_otherwise() -> None:
    overrides = {"UNDELIV 3": "REJECTD 003", "FAILED": "ACCEPTD", "8": "REJECTD 777"}
    trial, one = conversation(report_overrides=overrides)
    call_back(trial, "FAILED", err=1)
    one.take_all()
    call_back(trial, "UNDELIV", err=3)
    assert [(one.stat, one.err) for one in one.told] == [("ACCEPTD", "000"), ("REJECTD", "003")]
    sent(trial)
    call_back(trial, "UNDELIV", err=8)
    assert (one.told[-1].stat, one.told[-1].err) == ("REJECTD", "777")


# What the receipt repeats


@pytest.mark.parametrize(
    ("account", "shown"),
    [
        ({}, ID),
        ({"message_id_format": "hex"}, HEX),
        ({"message_id_format": "decimal"}, DECIMAL),
        ({"message_id_format": "hex", "receipt_id_format": "decimal"}, DECIMAL),
        ({"message_id_format": "decimal", "receipt_id_format": "hex"}, HEX),
        ({"message_id_format": "hex", "receipt_id_format": "uuid"}, ID),
    ],
)
def test_the_id_in_the_form_of_the_accounts_receipts(account: dict[str, Any], shown: str) -> None:
    trial, one = conversation(**account)
    call_back(trial, "DELIVRD")
    assert one.ids == [shown]
    if "receipt_id_format" not in account:
        assert shown == trial.response.message_id


@pytest.mark.parametrize(
    ("account", "shown"),
    [({}, f"{0x5BCA2F3E:010d}"), ({"receipt_id_format": "hex"}, "5bca2f3e")],
)
def test_a_3_3_bind_reads_the_number_of_its_response(account: dict[str, Any], shown: str) -> None:
    trial = Trial(in_turn(accepted(ID)), **account)
    trial.submit(submit(registered_delivery=1), version=V33)
    assert trial.response.message_id == "5bca2f3e"
    trial.run(1)
    one = esme(trial)
    call_back(trial, "DELIVRD")
    assert one.ids == [shown]


@pytest.mark.parametrize(
    ("zone", "submitted", "done"),
    [
        ("UTC", "2603290055", "2603290105"),
        ("+02:00", "2603290255", "2603290305"),
        ("-11:30", "2603281325", "2603281335"),
        ("Europe/Tallinn", "2603290255", "2603290405"),  # summer begins at 01:00 UTC
    ],
)
def test_times_are_those_of_the_accounts_zone(zone: str, submitted: str, done: str) -> None:
    trial = Trial(in_turn(accepted(ID)), receipt_timezone=zone)
    moment = datetime(2026, 3, 29, 0, 55, tzinfo=UTC).timestamp()
    trial.clock.advance(moment - trial.clock.seconds())
    sent(trial)
    one = esme(trial)
    call_back(trial, "DELIVRD", timestamp="2026-03-29T01:05:42.389630")
    assert (one.told[0].submitted, one.told[0].done) == (submitted, done)


NO_TIMES: list[Any] = [
    None,
    "",
    "yesterday",
    17,
    "0001-01-01T00:00:00",  # what a program in Go sends for none
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59",
]


@pytest.mark.parametrize(("zone", "done"), [("-05:00", "6912311916"), ("+05:00", "7001010516")])
def test_a_time_that_cannot_be_is_the_reports_own(zone: str, done: str) -> None:
    trial, one = conversation(receipt_timezone=zone)
    for number, timestamp in enumerate(NO_TIMES):
        fields = {"timestamp": timestamp, "omnimessage_id": f"m{number}"}
        assert call_back(trial, "DELIVRD", **fields) == 200, timestamp
    assert [receipt.done for receipt in one.told] == [done] * len(NO_TIMES)


@pytest.mark.parametrize(
    ("value", "echoed"), [(b"\0\7", b"\0\7"), (b"\xff\xff", b"\xff\xff"), (b"\7", None)]
)
def test_a_user_message_reference_comes_back(value: bytes, echoed: bytes | None) -> None:
    trial = Trial(in_turn(accepted(ID)))
    sent(trial, tlvs=(Tlv(0x0204, value),))
    one = esme(trial)
    call_back(trial, "DELIVRD")
    assert dict(one.pdus[0].tlvs).get(0x0204) == echoed


@pytest.mark.parametrize(("length", "text"), [(0, ""), (5, "Caf? "), (20, "Caf? 7 ??? and so on")])
def test_the_text_as_far_as_the_account_wants_it(length: int, text: str) -> None:
    trial = Trial(in_turn(accepted(ID)), receipt_text=length)
    ucs2 = "Café 7 ряд and so on and on".encode("utf-16-be")
    sent(trial, data_coding=8, short_message=ucs2)
    one = esme(trial)
    call_back(trial, "DELIVRD")
    assert one.told[0].text == text
    assert "Caf" not in trial.stream.getvalue()


# Parts of a long message


def long_message(asked: list[int], **account: Any) -> tuple[Trial, Esme]:
    trial = Trial(in_turn(accepted(ID)), **account)
    for number, octet in enumerate(asked, 1):
        tlvs = (Tlv(0x0204, number.to_bytes(2)),)
        trial.submit(part(number, len(asked), registered_delivery=octet, tlvs=tlvs))
    trial.run(1)
    return trial, esme(trial)


@pytest.mark.parametrize(
    ("asked", "parts"),
    [
        ([1, 0, 0], [1]),  # Kannel: the first part alone
        ([1, 1, 1], [1, 2, 3]),
        ([0, 0, 1], [3]),
        ([2, 1, 2], [2]),
        ([0, 0, 0], []),
    ],
)
def test_each_part_that_asked_is_told_under_its_own_id(asked: list[int], parts: list[int]) -> None:
    trial, one = long_message(asked)
    if any(asked):
        call_back(trial, "DELIVRD")
        call_back(trial, "DELIVRD")
    else:
        assert "dlr_url" not in trial.transport.posts[0].sms
    one.take_all()
    assert one.ids == [trial.answers[number - 1].message_id for number in parts]
    references = [int.from_bytes(dict(pdu.tlvs)[0x0204]) for pdu in one.pdus]
    assert references == parts
    assert trial.answers[-1].message_id == ID
    assert trial.store.receipts() == []


def test_the_part_that_came_last_has_the_apis_id_whichever_it_is() -> None:
    trial = Trial(in_turn(accepted(ID)))
    for number in (2, 3, 1):
        trial.submit(part(number, 3, registered_delivery=1))
    trial.run(1)
    one = esme(trial)
    call_back(trial, "UNDELIV", err=1)
    by_part = {answer.sequence_number: answer.message_id for answer in trial.answers}
    assert one.ids == [by_part[1], by_part[2], by_part[3]]
    assert one.ids[0] == ID


@pytest.mark.parametrize("form", ["hex", "decimal"])
def test_the_ids_of_parts_are_in_the_accounts_form_too(form: str) -> None:
    trial, one = long_message([1, 1], message_id_format=form)
    call_back(trial, "DELIVRD")
    assert one.ids == [answer.message_id for answer in trial.answers]


def test_the_parts_of_a_3_3_bind_are_told_by_their_numbers() -> None:
    trial = Trial(in_turn(accepted(ID)))
    for number in (1, 2):
        trial.submit(part(number, 2, registered_delivery=1), version=V33)
    trial.run(1)
    one = esme(trial)
    call_back(trial, "DELIVRD")
    assert one.ids == [f"{int(answer.message_id or '', 16):010d}" for answer in trial.answers]


def test_the_text_of_a_long_message_is_its_beginning() -> None:
    trial = Trial(in_turn(accepted(ID)), receipt_text=20)
    for number, text in ((2, "jumps over it"), (1, "The brown fox ")):
        trial.submit(part(number, 2, text, registered_delivery=1))
    trial.run(1)
    one = esme(trial)
    call_back(trial, "DELIVRD")
    assert {receipt.text for receipt in one.told} == {"The brown fox jumps "}


# Before the API's answer was read


@pytest.mark.parametrize("bound", [True, False])
def test_a_receipt_never_overtakes_the_response_of_its_submit(bound: bool) -> None:
    trial = Trial(in_turn(accepted(ID)._replace(after=3.0)))
    one = esme(trial) if bound else None
    trial.submit(submit(registered_delivery=FULL))
    trial.run(2)
    assert call_back(trial, "ACCEPTD") == 200
    assert call_back(trial, "DELIVRD") == 200
    assert [row["state"] for row in trial.store.receipts()] == [LEASED if bound else PENDING] * 2
    one = one or esme(trial)
    trial.run(0.9)
    trial.dispatcher.pump()
    assert (trial.answers, one.pdus) == ([], [])
    trial.run(0.1)
    assert trial.status == "ESME_ROK"
    assert one.pdus == []
    trial.run(0.4)
    assert one.pdus == []
    trial.run(0.2)
    one.take_all()
    assert one.stats == ["ACCEPTD", "DELIVRD"]
    assert trial.store.receipts() == []


def test_the_moment_after_the_submit_is_kept_when_the_response_was_quick() -> None:
    trial = Trial(in_turn(accepted(ID)), receipt_delay=0.5)
    one = esme(trial)
    trial.submit(submit(registered_delivery=1))
    call_back(trial, "DELIVRD")
    trial.run(0.4)
    assert one.pdus == []
    trial.run(0.2)
    assert one.stats == ["DELIVRD"]


def test_a_receipt_leaves_too_when_the_submit_fails_in_the_end() -> None:
    """The API had it all the same; the ESME makes of it what it can."""
    trial = Trial(in_turn(refused(500)._replace(after=3.0)))
    one = esme(trial)
    trial.submit(submit(registered_delivery=1))
    trial.run(2)
    call_back(trial, "DELIVRD")
    trial.run(2)
    assert trial.status == "ESME_RSYSERR"
    assert one.stats == ["DELIVRD"]


def test_the_response_of_the_last_part_holds_the_receipts_of_all() -> None:
    trial = Trial(in_turn(accepted(ID)._replace(after=3.0)))
    one = esme(trial)
    for number in (1, 2):
        trial.submit(part(number, 2, registered_delivery=1))
    trial.run(1)
    call_back(trial, "DELIVRD")
    trial.run(1.9)
    assert one.pdus == []
    trial.run(1)
    assert [name(answer) for answer in trial.answers] == ["ESME_ROK"] * 2
    assert one.ids == [answer.message_id for answer in trial.answers]


def test_a_report_that_could_not_be_committed_leaves_nothing_behind() -> None:
    trial = Trial(in_turn(accepted(ID)._replace(after=3.0)))
    one = esme(trial)
    trial.submit(submit(registered_delivery=1))
    trial.run(1)
    trial.store.broken = True
    assert call_back(trial, "DELIVRD") == 503
    trial.store.broken = False
    trial.run(4)
    assert one.pdus == []
    assert call_back(trial, "DELIVRD") == 200
    assert one.stats == ["DELIVRD"]
    assert trial.dispatcher._precedence._queues == {}


def test_a_number_of_an_earlier_process_delays_a_receipt_by_a_moment_at_most() -> None:
    trial = Trial(in_turn(accepted(ID), accepted("other")._replace(after=3.0)))
    one = esme(trial)
    sent(trial)
    trial.unanswered._next = 1
    trial.submit(submit(registered_delivery=1))
    call_back(trial, "DELIVRD", place=0)
    trial.run(2.9)
    assert one.pdus == []
    trial.run(1)
    assert one.ids == [ID]


# Accounts


def test_receipts_of_an_account_that_is_gone_are_kept_for_it() -> None:
    trial = sent(Trial(in_turn(accepted(ID)), receipt_timezone="+02:00"))
    account = trial.accounts.pop("bank")
    assert call_back(trial, "DELIVRD") == 200
    line = trial.lines[-1]
    assert (line["event"], line["system_id"], line["result"]) == ("report_taken", "unknown", "new")
    [row] = trial.store.receipts()
    assert (row["system_id"], row["state"], row["message_id"]) == ("bank", PENDING, ID)
    trial.accounts["bank"] = account
    assert esme(trial).told[0].submitted == "7001010016"


def test_a_receipt_goes_to_the_account_and_not_to_the_session() -> None:
    trial = Trial(in_turn(accepted(ID)))
    trial.new_account("shop")
    other = esme(trial, "s9", account="shop")
    trial.submit(submit(registered_delivery=1), account=trial.accounts["shop"], version=V50)
    trial.run(1)
    mine = esme(trial, "s1")
    call_back(trial, "DELIVRD")
    assert (other.ids, mine.ids) == ([ID], [])


def test_counted_by_its_state() -> None:
    trial, _ = conversation()
    for status in ("ACCEPTD", "DELIVRD", "DELIVRD"):
        call_back(trial, status)
    assert trial.value("receipts_total", message_state="ACCEPTED") == 1
    assert trial.value("receipts_total", message_state="DELIVERED") == 1


# Messages that never reached the API


@pytest.mark.parametrize(
    ("asked", "wanted"), [(0, 0), (1, 1), (2, 1), (3, 0), (0x10, 0), (0x12, 1)]
)
def test_a_failure_of_the_gateways_own(asked: int, wanted: int) -> None:
    trial = Trial(in_turn(accepted()))
    base = ids.base_of(bytes(16))
    route = Route(
        "bank", SUBMITTED, 0, Address(1, 1, FROM), Address(1, 1, TO),
        base=base, targets=(Target(2, asked),),
    )  # fmt: skip
    report = outcome(trial.reports.of_failure(route, ids.of_part(base, 0), MessageState.EXPIRED))
    assert trial.store.operations == []
    assert (report is not None) == bool(wanted)
    if report is not None:
        assert [one.message_id for one in report.receipts] == [ids.of_part(base, 2)]
        assert not report.leased
        outcome(_stored(trial, report))
        assert esme(trial).told[0]._replace(done="", submitted="") == (
            ids.of_part(base, 2), "000", "", "", "EXPIRED", "255", "",
        )  # fmt: skip


async def _stored(trial: Trial, report: Any) -> None:
    await trial.store.report(report)
