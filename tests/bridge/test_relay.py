"""From a submit_sm to its submit_sm_resp, its log line and its metrics.

The client of the API is the real one; below it stands a scripted transport.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import generate_latest

from gateway.bridge import relay as relay_module
from gateway.bridge.journey import Origin
from gateway.bridge.translate import Message, Writing, read
from gateway.config import LogSettings
from gateway.omnichannel.client import Credentials
from gateway.omnichannel.route import Target
from gateway.omnichannel.transport import FailureKind, HttpAnswer
from gateway.smpp.constants import CommandStatus, Tag
from gateway.smpp.message_id import of_part
from gateway.smpp.pdu import Address, SubmitSm, SubmitSmResp, Tlv
from gateway.smpp.versions import adapted
from tests.bridge.receiving import call_back, esme, route_of, token_of
from tests.bridge.trial import FROM, ID, TEXT, TO, V33, V34, V50, Trial, name, submit
from tests.omnichannel.scripted_transport import (
    Post,
    Step,
    accepted,
    failure,
    in_turn,
    refused,
)


@pytest.fixture(autouse=True)
def cleared() -> Iterator[None]:
    yield
    structlog.reset_defaults()
    Trial.close_all()


# What the ESME gets


def test_an_accepted_message() -> None:
    trial = Trial(in_turn(accepted(ID)))
    trial.submit(submit(77))
    assert trial.response == SubmitSmResp(77, 0, ID)
    [post] = trial.transport.posts
    assert post.sms["to"] == f"+{TO}"
    assert post.sms["messages"][0]["text"] == TEXT
    assert post.authorization == Credentials.basic("shared", "key").authorization


@pytest.mark.parametrize(
    ("step", "status", "level", "outcome"),
    [
        (refused(400, source="payload[sms][sender]"), "ESME_RINVSRCADR", "warning", "refused"),
        (refused(400, source="payload[to]"), "ESME_RINVDSTADR", "warning", "refused"),
        (refused(400, source="payload[sms][text]"), "ESME_RINVMSGLEN", "warning", "refused"),
        (refused(400, "106"), "ESME_RSUBMITFAIL", "warning", "refused"),
        (refused(401, "103"), "ESME_RSYSERR", "error", "unauthorized"),
        (refused(403, "102"), "ESME_RSYSERR", "error", "unauthorized"),
        (refused(404, "101"), "ESME_RSYSERR", "error", "misconfigured"),
        (refused(405, "107"), "ESME_RSYSERR", "error", "misconfigured"),
        (refused(415), "ESME_RSYSERR", "error", "misconfigured"),
        (Step(HttpAnswer(302, b"")), "ESME_RSYSERR", "error", "misconfigured"),
        (Step(HttpAnswer(429, b"<html>")), "ESME_RTHROTTLED", "warning", "throttled"),
        (refused(500, "104"), "ESME_RSYSERR", "warning", "server_error"),
        (Step(HttpAnswer(502, b"<html>")), "ESME_RSYSERR", "warning", "server_error"),
        (Step(HttpAnswer(201, b"<html>")), "ESME_RSYSERR", "warning", "unknown"),
        (failure(FailureKind.CUT, sent=True), "ESME_RSYSERR", "warning", "unknown"),
        (failure(FailureKind.CLOSED, sent=False), "ESME_RSYSERR", "warning", "unreachable"),
    ],
)
def test_a_message_that_the_api_did_not_accept(
    step: Step, status: str, level: str, outcome: str
) -> None:
    trial = Trial(in_turn(step))
    trial.submit(submit(5))
    assert trial.response == SubmitSmResp(5, trial.response.command_status)
    assert trial.status == status
    assert trial.line["event"] == "message_refused"
    assert (trial.line["level"], trial.line["outcome"]) == (level, outcome)
    assert trial.line["command_status"] == status
    assert trial.value("submits_total", system_id="bank", command_status=status) == 1
    assert trial.value("api_requests_total", outcome=outcome) == 1


def test_an_override() -> None:
    trial = Trial(
        in_turn(failure(FailureKind.CUT, sent=True)), overrides={"unknown": "ESME_RX_P_APPN"}
    )
    trial.submit()
    assert trial.status == trial.line["command_status"] == "ESME_RX_P_APPN"
    assert trial.line["outcome"] == "unknown"


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"destination": Address()}, "ESME_RINVDSTADR"),
        ({"destination": Address(2, 1, TO)}, "ESME_RINVDSTADR"),
        ({"source": Address(1, 1, "555-0001")}, "ESME_RINVSRCADR"),
        ({"short_message": b""}, "ESME_RINVMSGLEN"),
        ({"short_message": b"", "sm_default_msg_id": 3}, "ESME_RINVDFTMSGID"),
        ({"data_coding": 4}, "ESME_RINVDCS"),
        (
            {"esm_class": 0x40, "short_message": b"\x04\x04\x02\x01\x02x"},
            "ESME_RINVESMCLASS",
        ),
        ({"tlvs": (Tlv(Tag.source_port, b"\0\1"),)}, "ESME_ROPTPARNOTALLWD"),
        ({"tlvs": (Tlv(Tag.message_payload, b"x"),)}, "ESME_RINVOPTPARAMVAL"),
        ({"validity_period": "x"}, "ESME_RINVEXPIRY"),
        ({"schedule_delivery_time": "x"}, "ESME_RINVSCHED"),
    ],
)
def test_a_message_that_the_gateway_refuses(fields: dict[str, Any], status: str) -> None:
    trial = Trial(in_turn(accepted()))
    trial.submit(submit(9, **fields), version=V50)
    assert trial.response == SubmitSmResp(9, trial.response.command_status)
    assert trial.status == status
    assert trial.transport.posts == []
    line = trial.line
    assert (line["event"], line["level"]) == ("message_refused", "warning")
    assert (line["sequence_number"], line["command_status"]) == (9, status)
    assert line["detail"]
    assert "outcome" not in line
    assert trial.value("submits_total", system_id="bank", command_status=status) == 1


def test_text_refused_for_not_decoding() -> None:
    trial = Trial(in_turn(accepted()), undecodable="refuse")
    trial.submit(submit(data_coding=8, short_message=b"\xd8\x00"), version=V50)
    assert trial.status == trial.line["command_status"] == "ESME_RINVDCS"


def test_a_status_of_5_0_is_counted_and_logged_as_the_esme_sees_it() -> None:
    trial = Trial(in_turn(accepted()))
    trial.submit(submit(data_coding=4), version=V34)
    assert adapted(trial.response, V34).command_status == 0x45
    assert trial.line["command_status"] == "ESME_RSUBMITFAIL"
    assert trial.value("submits_total", system_id="bank", command_status="ESME_RSUBMITFAIL") == 1


def test_an_account_with_credentials_of_its_own() -> None:
    trial = Trial(in_turn(accepted()), username="bank-user", api_password="bank-key")
    trial.submit()
    trial.submit(account=trial.new_account("demo"))
    assert [post.authorization for post in trial.transport.posts] == [
        Credentials.basic("bank-user", "bank-key").authorization,
        Credentials.basic("shared", "key").authorization,
    ]


# Deadlines and retries


@pytest.mark.parametrize("seconds", [0.5, 1.5, 10.0])
def test_the_answer_meets_the_accounts_deadline(seconds: float) -> None:
    hang = accepted()._replace(after=10_000.0)
    unreachable = failure(FailureKind.CONNECT, sent=False)._replace(after=0.03)
    for step, outcome in ((hang, "unknown"), (unreachable, "unreachable")):
        trial = Trial(in_turn(step), response_deadline=seconds)
        trial.submit()
        trial.run(seconds + 1)
        assert trial.status == "ESME_RSYSERR"
        assert trial.answered_at[0] <= 1_000 + seconds + 1e-6
        assert trial.line["outcome"] == outcome
        assert trial.line["seconds"] == pytest.approx(trial.answered_at[0] - 1_000, abs=1e-3)


def test_a_late_acceptance_after_retries() -> None:
    unreachable = failure(FailureKind.DNS, sent=False)
    trial = Trial(in_turn(unreachable, unreachable, accepted(ID)))
    trial.submit()
    assert trial.answers == []
    trial.run(5)
    assert trial.response.message_id == ID
    assert len(trial.transport.posts) == 3
    assert trial.line["seconds"] == pytest.approx(0.3)


@pytest.mark.parametrize("waited", [9.75, 10.0, 300.0])
def test_a_message_that_waited_for_its_whole_deadline_is_never_sent(waited: float) -> None:
    trial = Trial(in_turn(accepted()), response_deadline=10)
    trial.submit(submit(6), waited=waited)
    trial.run(20)
    assert trial.transport.posts == []
    assert trial.response == SubmitSmResp(6, CommandStatus.ESME_RMSGQFUL)
    line = trial.line
    assert (line["event"], line["level"]) == ("message_refused", "warning")
    assert line["command_status"] == "ESME_RMSGQFUL"
    assert "response_deadline" in line["detail"]
    assert line["seconds"] == waited
    assert "outcome" not in line
    assert trial.value("submits_total", system_id="bank", command_status="ESME_RMSGQFUL") == 1
    assert trial.value("submit_duration_seconds_sum") == waited


@pytest.mark.parametrize("waited", [0.0, 4.0, 9.5])
def test_a_message_that_waited_gets_the_rest_of_its_deadline(waited: float) -> None:
    hang = accepted()._replace(after=10_000.0)
    trial = Trial(in_turn(hang), response_deadline=10)
    trial.submit()
    trial.submit(waited=waited)
    whole, rest = trial.transport.posts
    assert rest.timeout == pytest.approx(whole.timeout - waited)
    trial.run(20)
    assert len(trial.answers) == 2
    assert trial.answered_at[0] <= 1_000 + 10 - waited + 1e-6


def test_the_time_that_a_message_waited_is_told() -> None:
    trial = Trial(in_turn(accepted()._replace(after=0.5)))
    trial.submit(waited=2.0)
    trial.run(1)
    assert trial.status == "ESME_ROK"
    assert trial.line["seconds"] == 2.5
    assert trial.value("submit_duration_seconds_sum") == 2.5
    # What the API took is another matter.
    assert trial.value("api_request_duration_seconds_sum") == 0.5


def test_a_throttled_message_tells_the_time_it_waited() -> None:
    trial = Trial(in_turn(accepted()), throttle=1)
    for waited in (0.0, 3.0):
        trial.submit(waited=waited)
    assert [name(response) for response in trial.answers] == ["ESME_ROK", "ESME_RTHROTTLED"]
    assert trial.lines[-1]["seconds"] == 3.0


def test_an_answer_that_nobody_took_is_told() -> None:
    trial = Trial(in_turn(accepted(ID), refused(400)))
    trial.submit()
    trial.reachable = False
    trial.submit()
    trial.submit(submit(data_coding=4))  # refused by the gateway itself
    trial.submit(waited=60)
    trial.reachable = True
    trial.submit()
    assert [line.get("answered") for line in trial.lines] == [None, False, False, False, None]


def test_an_accepted_message_whose_answer_nobody_took() -> None:
    """The API has it, so the ESME will send it again: the line is how that is found."""
    trial = Trial(in_turn(accepted(ID)))
    trial.reachable = False
    trial.submit()
    line = trial.line
    assert (line["event"], line["message_id"]) == ("message_relayed", ID)
    assert line["answered"] is False


# Nothing in flight


def test_idle_at_once() -> None:
    trial = Trial(in_turn(accepted()))
    assert trial.relay.load.idle().called
    trial.submit()
    assert trial.relay.load.idle().called


def test_idle_when_the_last_answer_has_left() -> None:
    slow, slower = accepted()._replace(after=1.0), refused(400)._replace(after=2.0)
    trial = Trial(in_turn(slow, slower, accepted()))
    trial.submit()
    trial.submit()
    seen: list[tuple[int, int]] = []
    for _ in range(2):
        trial.relay.load.idle().addCallback(
            lambda _: seen.append((len(trial.answers), len(trial.lines)))
        )
    trial.submit()  # answered at once, while the others are under way
    trial.submit(submit(data_coding=4))  # refused at once
    trial.run(1.5)
    assert (len(trial.answers), trial.relay.load.in_flight, seen) == (3, 1, [])
    trial.run(1)
    assert seen == [(4, 4), (4, 4)]
    assert trial.relay.load.idle().called


def test_idle_after_a_fault_of_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    a_bug(monkeypatch)
    trial = Trial(in_turn(accepted()))
    trial.submit(submit(13))
    assert trial.status == "ESME_RSYSERR"
    assert trial.relay.load.idle().called


def test_answers_leave_as_they_arrive() -> None:
    slow = accepted("slow")._replace(after=2.0)
    trial = Trial(in_turn(slow, accepted("fast"), refused(400)._replace(after=1.0)))
    for sequence_number in (1, 2, 3):
        trial.submit(submit(sequence_number))
    trial.run(3)
    assert [response.sequence_number for response in trial.answers] == [2, 3, 1]


def test_the_same_sequence_number_twice_is_answered_twice() -> None:
    """Section 4.4: both are processed."""
    trial = Trial(in_turn(accepted("a")._replace(after=1.0), accepted("b")))
    trial.submit(submit(4))
    trial.submit(submit(4))
    trial.run(2)
    assert [(r.sequence_number, r.message_id) for r in trial.answers] == [(4, "b"), (4, "a")]


# The throttle


def test_the_throttle() -> None:
    trial = Trial(in_turn(accepted()), throttle=2, throttle_burst=3)
    for sequence_number in range(5):
        trial.submit(submit(sequence_number))
    assert [name(response) for response in trial.answers] == [
        *["ESME_ROK"] * 3,
        *["ESME_RTHROTTLED"] * 2,
    ]
    assert len(trial.transport.posts) == 3
    assert trial.value("throttled_total", system_id="bank", limit="account") == 2
    assert "2/s" in trial.lines[-1]["detail"]
    # Another account has a rate of its own.
    trial.submit(account=trial.new_account("demo", throttle=1))
    assert name(trial.answers[-1]) == "ESME_ROK"
    trial.run(0.5)
    trial.submit()
    assert name(trial.answers[-1]) == "ESME_ROK"


def test_throttled_by_the_api() -> None:
    trial = Trial(in_turn(refused(429)))
    trial.submit()
    assert trial.value("throttled_total", system_id="bank", limit="api") == 1
    assert trial.value("throttled_total", system_id="bank", limit="account") is None


# additional_status_info_text, for accounts that asked for it


def test_error_detail_tlv() -> None:
    trial = Trial(in_turn(refused(400, detail="Disallowed sender")), error_detail_tlv=True)
    trial.submit()
    assert trial.response.tlvs == (Tlv(0x001D, b"Disallowed sender\0"),)


def test_error_detail_tlv_is_off_by_default() -> None:
    """TLVs in submit_sm_resp break aiosmpplib, naz and smpplib."""
    trial = Trial(in_turn(refused(400, detail="Disallowed sender")))
    trial.submit()
    assert trial.response.tlvs == ()


def test_error_detail_tlv_fits_its_field() -> None:
    """SMPP 3.4 section 5.3.2.11: at most 256 octets with the NUL, ASCII."""
    for detail in ("x" * 1_000, "õ" * 300, "😀\n"):
        trial = Trial(in_turn(refused(400, detail=detail)), error_detail_tlv=True)
        trial.submit()
        [(tag, value)] = trial.response.tlvs
        assert tag == Tag.additional_status_info_text
        assert value.endswith(b"\0")
        assert len(value) <= 256
        assert value.isascii()


@pytest.mark.parametrize("step", [accepted(), refused(400), Step(HttpAnswer(502, b"<html>"))])
def test_no_error_detail_tlv_without_a_detail(step: Step) -> None:
    trial = Trial(in_turn(step), error_detail_tlv=True)
    trial.submit()
    assert trial.response.tlvs == ()


# The log


def test_the_line_of_an_accepted_message() -> None:
    trial = Trial(in_turn(accepted(ID)._replace(after=0.25)))
    trial.submit(submit(42, source=Address(5, 0, "Bank"), data_coding=8, short_message=b"\0H"))
    trial.run(1)
    line = trial.line
    assert line.pop("timestamp")
    assert line == {
        "level": "info",
        "event": "message_relayed",
        "session_id": "s7",
        "system_id": "bank",
        "sequence_number": 42,
        "command_status": "ESME_ROK",
        "source": "Bank",
        "destination": "***345",
        "seconds": 0.25,
        "message_id": ID,
        "outcome": "accepted",
        "charset": "utf-16-be",
        "characters": 1,
    }


def test_the_line_of_a_refused_message() -> None:
    detail = f"Invalid or disallowed sender +{FROM}"
    trial = Trial(in_turn(refused(400, 105, "payload[sms][sender]", detail)))  # type: ignore[arg-type]
    trial.submit(submit(42))
    line = trial.line
    assert line.pop("timestamp")
    assert line == {
        "level": "warning",
        "event": "message_refused",
        "session_id": "s7",
        "system_id": "bank",
        "sequence_number": 42,
        "command_status": "ESME_RINVSRCADR",
        "source": "***890",
        "destination": "***345",
        "seconds": 0.0,
        "outcome": "refused",
        "http_status": 400,
        "code": "105",
        "api_source": "payload[sms][sender]",
        "detail": "Invalid or disallowed sender ***890",
        "charset": "gsm7",
        "characters": len(TEXT),
    }


def test_an_api_that_quotes_the_text_does_not_bring_it_into_the_log() -> None:
    quoted = f"Disallowed text '{TEXT}' ({TEXT})"
    trial = Trial(in_turn(refused(400, detail=quoted)), error_detail_tlv=True)
    trial.submit()
    assert trial.line["detail"] == "Disallowed text '[text]' ([text])"
    assert "Zebra" not in trial.stream.getvalue()
    # The ESME knows its own text.
    assert trial.response.tlvs == (Tlv(0x001D, quoted.encode() + b"\0"),)


@pytest.mark.parametrize(
    ("said", "logged"),
    [
        ({"detail": "." * 90 + "Zebra " * 42}, {"detail": "." * 90 + "[text]"}),
        ({"source": "." * 90 + "Zebra " * 42}, {"api_source": "." * 90 + "[text]"}),
    ],
)
def test_a_long_text_that_is_quoted_and_cut_off_stays_out_too(
    said: dict[str, str], logged: dict[str, str]
) -> None:
    trial = Trial(in_turn(refused(400, **said)))
    trial.submit(submit(short_message=b"Zebra " * 42))
    assert {name: trial.line[name] for name in logged} == logged
    assert "Zebra" not in trial.stream.getvalue()


def test_the_reason_of_no_answer_is_logged() -> None:
    trial = Trial(in_turn(failure(FailureKind.CUT, sent=True, detail="recv failure")))
    trial.submit()
    assert trial.line["detail"] == "cut: recv failure"
    assert "http_status" not in trial.line
    assert "code" not in trial.line


def test_oddities_of_the_text_are_logged_and_counted() -> None:
    trial = Trial(in_turn(accepted()))
    trial.submit(submit(data_coding=0x18, short_message=b"\0H\xd8\x00\0"))
    assert trial.line["decode_errors"] == 2
    assert trial.line["flags"] == ["odd_ucs2"]
    for flag in ("odd_ucs2", "undecodable", "message_class"):
        assert trial.value("text_flags_total", flag=flag) == 1


def test_messages_can_be_left_out_of_the_log_but_refusals_cannot() -> None:
    trial = Trial(in_turn(accepted(), refused(400)), log_messages=False)
    trial.submit()
    assert trial.lines == []
    trial.submit()
    assert trial.line["event"] == "message_refused"


EVERYTHING = [
    accepted(ID),
    refused(400, source="payload[to]", detail=f"{TO} is no number, +{TO} neither"),
    refused(401, "103"),
    refused(429),
    Step(HttpAnswer(500, f"<html>{TEXT} {TO}</html>".encode())),
    Step(HttpAnswer(201, TEXT.encode())),
    failure(FailureKind.CUT, sent=True, detail="connection reset"),
]
ODD: list[dict[str, Any]] = [
    {},
    {"destination": Address(1, 1, TO + "x")},
    {"destination": Address(2, 1, TO)},
    {"destination": Address(1, 1, TO * 2)},
    {"source": Address(1, 1, FROM + "-1")},
    {"source": Address(5, 0, "Bank" + FROM)},
    {"esm_class": 0x40},
    {"validity_period": "26" + TO},
    {"short_message": b"", "tlvs": (Tlv(Tag.message_payload, TEXT.encode()),)},
    {"tlvs": (Tlv(Tag.message_payload, TEXT.encode()),)},
    {"data_coding": 4},
]


@pytest.mark.parametrize("form", ["json", "text"])
def test_no_text_and_no_whole_number_ever_reaches_the_log(form: Any) -> None:
    steps = [step for step in EVERYTHING for _ in ODD]
    trial = Trial(in_turn(*steps), log=LogSettings(format=form, level="debug"))
    for _ in EVERYTHING:
        for number, fields in enumerate(ODD):
            trial.submit(submit(number, **fields))
    log = trial.stream.getvalue()
    assert len(log.splitlines()) == len(trial.answers) == len(ODD) * len(EVERYTHING)
    for secret in (TO, FROM, TEXT, "Zebra", "Basic ", trial.account.credentials.authorization):
        assert secret not in log
    assert "***345" in log
    assert ID in log


@pytest.mark.parametrize("addr", ["tel:+372 5551 2345", "372-555-12345 ext", "+372 (555) 12345 x"])
def test_a_number_written_in_groups_is_masked_too(addr: str) -> None:
    trial = Trial(in_turn(accepted()))
    trial.submit(submit(destination=Address(1, 1, addr)))
    digits = "".join(char for char in trial.line["destination"] if char.isdigit())
    assert len(digits) <= 3


def test_numbers_may_be_shown_to_who_asks_for_them() -> None:
    trial = Trial(in_turn(accepted()), log=LogSettings(format="json", full_numbers=True))
    trial.submit()
    assert trial.line["destination"] == TO
    assert TEXT not in trial.stream.getvalue()


# SMPP 3.3


def test_the_id_that_a_3_3_esme_sees_can_be_found_in_the_log() -> None:
    trial = Trial(in_turn(accepted(ID)))
    trial.submit(version=V33)
    assert trial.response.message_id == trial.line["shown_message_id"] == ID[:8]
    assert trial.line["message_id"] == ID
    trial.submit(version=V34)
    assert "shown_message_id" not in trial.lines[1]


# Receipts


@pytest.mark.parametrize("asked", [0, 1, 0x11])
def test_a_relayed_message_leaves_no_row_whether_it_asks_for_receipts_or_not(asked: int) -> None:
    trial = Trial(in_turn(accepted(ID)), receipt_text=20)
    trial.submit(submit(registered_delivery=asked))
    assert trial.status == "ESME_ROK"
    assert trial.store.operations == []
    [post] = trial.transport.posts
    assert ("dlr_url" in post.sms) is bool(asked)
    message = dict(post.sms, messages=None)
    assert set(message) - {"dlr_url"} == {"to", "messages"}


@pytest.mark.parametrize(
    "step",
    [
        accepted(ID),
        refused(400),
        refused(429),
        refused(500),
        failure(FailureKind.CUT, sent=True),
        failure(FailureKind.CONNECT, sent=False),
        Step(HttpAnswer(201, b"{}")),
    ],
)
@pytest.mark.parametrize("receipts", ["callback", "poll", "off"])
def test_whatever_the_api_says_no_receipt_waits_for_a_response_that_left(
    step: Step, receipts: str
) -> None:
    trial = Trial(in_turn(step._replace(after=1.0)), receipts=receipts)
    trial.submit(submit(registered_delivery=1))
    assert len(trial.unanswered._waiting) == 1
    trial.run(20)
    assert len(trial.answers) == 1
    assert trial.unanswered._waiting == {}


def test_the_response_is_written_before_its_receipt_even_without_a_moment_between() -> None:
    trial = Trial(in_turn(accepted(ID)._replace(after=1.0)), receipt_delay=0)
    one = esme(trial)
    before: list[int] = []  # receipts that had left when the response did

    def answer(response: SubmitSmResp) -> bool:
        before.append(len(one.pdus))
        return True

    trial.relay.submit(submit(registered_delivery=1), Origin("s7", trial.account, V34), answer)
    call_back(trial, "DELIVRD")
    trial.run(2)
    assert (before, one.stats) == ([0], ["DELIVRD"])


def test_a_message_that_cannot_be_translated_waits_for_nothing() -> None:
    trial = Trial(in_turn(accepted(ID)))
    trial.submit(submit(registered_delivery=1, destination=Address(1, 1, "nobody")))
    assert trial.status == "ESME_RINVDSTADR"
    assert trial.unanswered._waiting == {}


def test_each_part_that_is_passed_through_has_a_route_of_its_own() -> None:
    trial = Trial(in_turn(accepted("a"), accepted("b")), long_messages="passthrough")
    for number, asked in ((1, 1), (2, 0x12)):
        header = bytes([5, 0, 3, 7, 2, number])
        part = submit(number, esm_class=0x40, short_message=header + b"x")
        trial.submit(replace(part, registered_delivery=asked))
    routes = [route_of(trial, place) for place in range(2)]
    assert [route.targets for route in routes] == [(Target(0, 1),), (Target(0, 0x12),)]
    assert [route.base for route in routes] == [b"", b""]
    trial.run(1)
    one = esme(trial)
    call_back(trial, "UNDELIV", place=1, omnimessage_id="b", err=1)
    call_back(trial, "DELIVRD", place=0, omnimessage_id="a")
    assert one.ids == ["b", "a"]
    assert trial.store.real.counts()[:2] == (0, 0)


def test_a_long_message_names_the_parts_that_asked() -> None:
    trial = Trial(in_turn(accepted(ID)))
    for number, asked in ((3, 0), (1, 1), (4, 2), (2, 0x11)):
        header = bytes([5, 0, 3, 7, 4, number])
        part = submit(number, esm_class=0x40, short_message=header + b"x")
        kind = "CMT" if number == 1 else "WAP"  # what is no text is that of the first part
        trial.submit(replace(part, registered_delivery=asked, service_type=kind))
    [_, first, fourth, last] = trial.answers
    route = route_of(trial)
    assert route.service_type == "CMT"
    assert route.targets == (Target(1, 1), Target(0, 0x11), Target(4, 2))
    assert [of_part(route.base, number) for number in (1, 4)] == [
        first.message_id,
        fourth.message_id,
    ]
    assert last.message_id == ID


def test_a_retry_of_the_last_part_has_a_route_to_the_same_ids() -> None:
    trial = Trial(in_turn(refused(429), accepted(ID)))
    for number in (1, 2, 2):
        header = bytes([5, 0, 3, 7, 2, number])
        part = submit(number, esm_class=0x40, short_message=header + b"x")
        trial.submit(replace(part, registered_delivery=1))
    before, after = route_of(trial, 0), route_of(trial, 1)
    assert (before.base, before.targets) == (after.base, after.targets)
    assert before.serial != after.serial
    assert trial.unanswered._waiting == {}


def test_the_url_of_a_receipt_reaches_no_log() -> None:
    trial = Trial(in_turn(accepted(ID), refused(500)))
    for _ in range(2):
        trial.submit(submit(registered_delivery=1))
    log = trial.stream.getvalue()
    assert "/dlr/" not in log
    assert token_of(trial.transport.posts[0])[:12] not in log


# Faults of our own


def a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(message: SubmitSm, account: Writing, now: Any) -> Message:
        if message.sequence_number == 13:
            raise RuntimeError(f"cannot translate {message!r}")
        return read(message, account, now)

    monkeypatch.setattr(relay_module, "read", broken)


def test_a_bug_in_translation_harms_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    a_bug(monkeypatch)
    trial = Trial(in_turn(accepted("a")._replace(after=1.0), accepted("b")))
    trial.submit(submit(12))
    trial.submit(submit(13))
    trial.submit(submit(14), account=trial.new_account("demo"))
    trial.run(2)
    assert [(r.sequence_number, name(r), r.message_id) for r in trial.answers] == [
        (13, "ESME_RSYSERR", None),
        (14, "ESME_ROK", "b"),
        (12, "ESME_ROK", "a"),
    ]
    assert len(trial.transport.posts) == 2
    [failed] = [line for line in trial.lines if line["event"] == "relay_failed"]
    assert failed["level"] == "error"
    assert failed["session_id"] == "s7"
    assert "RuntimeError: cannot translate SubmitSm(13)" in failed["exception"]
    assert TEXT not in trial.stream.getvalue()


def breaks_at(number: int) -> Callable[[Post], Step]:
    def script(post: Post) -> Step:
        if post.sms["to"].endswith(f"{number:05}"):
            raise RuntimeError("a transport that breaks its contract")
        return accepted()

    return script


def test_a_bug_below_the_relay_harms_nobody_else() -> None:
    trial = Trial(breaks_at(13))
    for number in (12, 13, 14):
        trial.submit(submit(number, destination=Address(1, 1, f"372555{number:05}")))
    assert [name(response) for response in trial.answers] == [
        "ESME_ROK",
        "ESME_RSYSERR",
        "ESME_ROK",
    ]
    assert [line["event"] for line in trial.lines] == [
        "message_relayed",
        "relay_failed",
        "message_refused",
        "message_relayed",
    ]


def test_a_bug_after_a_pause_is_answered_too() -> None:
    unreachable = [failure(FailureKind.DNS, sent=False)]

    def script(post: Post) -> Step:
        if unreachable:
            return unreachable.pop()
        raise RuntimeError("a transport that breaks its contract")

    trial = Trial(script)
    trial.submit()
    trial.run(5)
    assert trial.status == "ESME_RSYSERR"
    [failed] = [line for line in trial.lines if line["event"] == "relay_failed"]
    assert "RuntimeError: a transport that breaks its contract" in failed["exception"]


# Metrics


def test_metrics_of_messages() -> None:
    trial = Trial(in_turn(accepted()._replace(after=0.2), refused(400), refused(400)))
    for _ in range(3):
        trial.submit()
    trial.run(1)
    assert trial.value("submits_total", system_id="bank", command_status="ESME_ROK") == 1
    assert trial.value("submits_total", system_id="bank", command_status="ESME_RSUBMITFAIL") == 2
    assert trial.value("submit_duration_seconds_count") == 3
    assert trial.value("submit_duration_seconds_sum") == pytest.approx(0.2)


def test_metrics_name_no_number_no_id_and_no_text() -> None:
    trial = Trial(in_turn(*(step for step in EVERYTHING for _ in ODD)))
    for _ in EVERYTHING:
        for fields in ODD:
            trial.submit(submit(**fields))
    exposition = generate_latest(trial.metrics.registry).decode()
    for secret in (TO, FROM, TEXT, "Zebra", ID, TO[-3:], "payload["):
        assert f'"{secret}' not in exposition
    assert TO not in exposition
    assert "no number" not in exposition


def test_accounts_can_be_left_out_of_the_metrics() -> None:
    trial = Trial(in_turn(accepted(), refused(429)), name_accounts=False, throttle=2)
    for _ in range(3):
        trial.submit()
    assert "bank" not in generate_latest(trial.metrics.registry).decode()
    assert trial.value("submits_total", system_id="-", command_status="ESME_ROK") == 1
    assert trial.value("throttled_total", system_id="-", limit="api") == 1
    assert trial.value("throttled_total", system_id="-", limit="account") == 1


# Whatever the API does: one answer each, and ROK only where it accepted.

_steps = st.builds(
    Step._replace,
    st.sampled_from(
        [
            accepted(ID),
            accepted(ID, status=200),
            *EVERYTHING[1:],
            failure(FailureKind.CONNECT, sent=False),
            failure(FailureKind.TLS, sent=False),
            failure(FailureKind.CLOSED, sent=False),
        ]
    ),
    after=st.just(0.0) | st.floats(0.0, 12.0),
)


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(_steps, min_size=1, max_size=10),
    messages=st.lists(
        st.tuples(st.sampled_from(ODD), st.floats(0.0, 2.0)), min_size=1, max_size=10
    ),
    throttle=st.sampled_from([0, 1, 5]),
    deadline=st.sampled_from([0.5, 2.0, 10.0]),
)
def test_each_submit_is_answered_once_and_truthfully(
    steps: list[Step],
    messages: list[tuple[dict[str, Any], float]],
    throttle: int,
    deadline: float,
) -> None:
    trial = Trial(in_turn(*steps), throttle=throttle, response_deadline=deadline)
    submitted = {}
    for number, (fields, pause) in enumerate(messages):
        trial.run(pause)
        submitted[number] = trial.clock.seconds()
        text = f"{number} {TEXT}".encode()
        if fields.get("short_message") == b"":
            fields = {**fields, "tlvs": (Tlv(Tag.message_payload, text),)}
        else:
            fields = {**fields, "short_message": text}
        trial.submit(submit(number, **fields))
    trial.run(deadline + 1)
    # Exactly once, and in time.
    assert sorted(r.sequence_number for r in trial.answers) == sorted(submitted)
    for response, answered_at in zip(trial.answers, trial.answered_at, strict=True):
        assert answered_at <= submitted[response.sequence_number] + deadline + 1e-6
    # ROK for exactly those whose acceptance was read.
    read = Counter[int]()
    perhaps_sent = Counter[int]()
    for post, result in zip(trial.transport.posts, trial.transport.results, strict=True):
        number = int(post.sms["messages"][0]["text"].split()[0])
        sent = isinstance(result, HttpAnswer) or result.sent
        perhaps_sent[number] += sent
        read[number] += isinstance(result, HttpAnswer) and ID.encode() in result.body
    ok = {r.sequence_number for r in trial.answers if name(r) == "ESME_ROK"}
    assert ok == {number for number, count in read.items() if count}
    assert all((r.message_id == ID) == (r.sequence_number in ok) for r in trial.answers)
    # No message may have reached the API twice.
    assert all(count <= 1 for count in perhaps_sent.values())
    assert trial.value("submit_duration_seconds_count") == len(messages)
    assert len([line for line in trial.lines if "sequence_number" in line]) == len(messages)
    # Nothing is left but the next look whether the API can be reached, if it could not.
    left = [str(call) for call in trial.clock.getDelayedCalls()]
    assert [call for call in left if "Attempts._turn" not in call] == []


def test_a_row_that_is_not_written_in_time_does_not_hold_up_the_response() -> None:
    trial = Trial(in_turn(accepted(ID)._replace(after=1.0)), receipts="poll", response_deadline=5)
    trial.store.holding = True
    trial.submit(submit(registered_delivery=1))
    trial.run(4.5)
    assert trial.answers == []
    trial.run(1)
    assert trial.status == "ESME_ROK"
    [give] = trial.store.held
    give()
    trial.run(10)
    assert len(trial.answers) == 1
