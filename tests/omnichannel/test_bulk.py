"""The answer to many messages, read by position and checked as far as it can be."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.omnichannel.bulk import Mismatch, body_of, judge_bulk, unknown
from gateway.omnichannel.outcome import Verdict, read_overrides
from gateway.omnichannel.payload import SmsRequest, encode
from gateway.smpp.constants import CommandStatus

S = CommandStatus
REQUESTS = [SmsRequest(f"+3725550000{number}", f"text {number}") for number in range(3)]


def accepted(number: int, **changed: Any) -> dict[str, Any]:
    return {
        "omnimessage_id": f"id-{number}",
        "to": f"+3725550000{number}",
        "messages": [{"channel": "sms", "message_id": "m", "sender": "Demo"}],
    } | changed


def refused(source: str, code: str = "105") -> dict[str, Any]:
    return {"errors": [{"code": code, "title": "Invalid data", "detail": "no", "source": source}]}


def judged(*entries: Any, status: int = 201) -> list[Any]:
    return list(judge_bulk(status, json.dumps({"messages": entries}).encode(), REQUESTS))


def test_the_body_is_that_of_single_requests_in_a_list() -> None:
    bodies = [encode(request) for request in REQUESTS]
    found = body_of(bodies)
    assert json.loads(found) == {"messages": [json.loads(body) for body in bodies]}
    assert len(found) == len(b'{"messages":[]}') + sum(map(len, bodies)) + 2


def test_each_has_its_own_outcome() -> None:
    one, two, three = judged(accepted(0), refused("payload[sms][sender]"), accepted(2))
    assert [one.message_id, three.message_id] == ["id-0", "id-2"]
    assert (one.verdict, one.command_status) == (Verdict.ACCEPTED, S.ESME_ROK)
    assert (two.verdict, two.command_status) == (Verdict.REFUSED, S.ESME_RINVSRCADR)
    assert two.error.source == "payload[sms][sender]"


def test_overrides_hold_for_an_entry() -> None:
    body = json.dumps({"messages": [accepted(0), refused("x", "106"), accepted(2)]}).encode()
    found = judge_bulk(201, body, REQUESTS, read_overrides({"106": "ESME_RX_P_APPN"}))
    assert found[1].command_status == S.ESME_RX_P_APPN


def test_the_recipient_may_come_back_without_its_plus() -> None:
    entries = [accepted(number, to=f"3725550000{number}") for number in range(3)]
    assert [outcome.message_id for outcome in judged(*entries)] == ["id-0", "id-1", "id-2"]


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([accepted(0), accepted(1)], "2 entries for 3 messages"),
        ([accepted(n) for n in (0, 1, 2, 2)], "4 entries for 3 messages"),
        ([accepted(0), accepted(2), accepted(1)], "entry 2 names another recipient"),
        ([accepted(0), accepted(1), accepted(2, to=None)], "entry 3 names another recipient"),
        ([accepted(0), accepted(1, messages=[]), accepted(2)], "entry 2 names another channel"),
        ([accepted(0), accepted(1, messages=[{"channel": "viber"}]), accepted(2)],
         "entry 2 names another channel"),
        ([accepted(0), {}, accepted(2)], "entry 2 has neither an omnimessage_id nor errors"),
        ([accepted(0), {"errors": []}, accepted(2)],
         "entry 2 has neither an omnimessage_id nor errors"),
        ([accepted(0), accepted(1, omnimessage_id="a\nb"), accepted(2)],
         "entry 2 has neither an omnimessage_id nor errors"),
        ([accepted(0), "id-1", accepted(2)], "entry 2 is no object"),
        ([accepted(0), accepted(1, omnimessage_id="id-0"), accepted(2)],
         "two messages have the same omnimessage_id"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_not_believed(entries: list[Any], words: str) -> None:
    with pytest.raises(Mismatch, match=words):
        judged(*entries)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"messages": {}}', b"<html>", b'{"messa'])
def test_a_2xx_that_is_no_answer_is_not_believed(body: bytes) -> None:
    with pytest.raises(Mismatch, match="2xx without messages"):
        judge_bulk(201, body, REQUESTS)


@pytest.mark.parametrize(
    ("status", "verdict", "command_status"),
    [
        (400, Verdict.REFUSED, S.ESME_RSUBMITFAIL),
        (401, Verdict.UNAUTHORIZED, S.ESME_RSYSERR),
        (413, Verdict.REFUSED, S.ESME_RINVMSGLEN),
        (429, Verdict.THROTTLED, S.ESME_RTHROTTLED),
        (503, Verdict.SERVER_ERROR, S.ESME_RSYSERR),
    ],
)
def test_a_refusal_of_the_request_is_everybodys(
    status: int, verdict: Verdict, command_status: CommandStatus
) -> None:
    found = judge_bulk(status, b"anything", REQUESTS)
    assert [(one.verdict, one.command_status) for one in found] == [(verdict, command_status)] * 3


def test_unknown_outcomes_are_temporary_errors() -> None:
    (found, *_) = unknown(201, "2 entries for 3 messages", 3)
    assert (found.verdict, found.command_status) == (Verdict.UNKNOWN, S.ESME_RSYSERR)
    assert found.error.detail == "2 entries for 3 messages"
