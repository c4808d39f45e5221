"""What a message may be, and the exact errors when it is something else."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.sandbox.schema import Omnimessage, read_bulk, read_omnimessage

SMS = {"channel": "sms", "text": "Hello"}
VIBER = {"channel": "viber", "text": "Hello"}


def message(**fields: Any) -> dict[str, Any]:
    return {"to": "+37255500001", "messages": [SMS], **fields}


def sms(**fields: Any) -> dict[str, Any]:
    return message(messages=[{**SMS, **fields}])


def faults(value: object) -> list[tuple[str, str | None]]:
    outcome = read_omnimessage(value)
    assert isinstance(outcome, tuple), "it was accepted"
    assert all(error.detail for error in outcome)
    return [(error.code, error.source) for error in outcome]


@pytest.mark.parametrize(
    "value",
    [
        message(),
        message(to="37255500001"),
        message(to="+123456789012345"),
        message(priority="low"),
        message(priority="regular"),
        message(priority="high"),
        message(text_store="plaintext"),
        message(text_store="sha256"),
        message(text_store="nostore"),
        message(dlr_url="https://gw.example.com:8443/dlr/AbC-_?x=1"),
        message(dlr_url="http://192.0.2.1/dlr"),
        message(dlr_url="http://[2001:db8::1]:8081/dlr"),
        message(time_to_send="2018-06-22T09:05"),
        message(reference="unknown keys are not forbidden"),
        sms(text=""),
        sms(text="x" * 5000),
        sms(sender="+37255500002"),
        sms(sender="123456789012345"),
        sms(sender="My Sender.1"),
        sms(validity=360),
        sms(ttl=21600),
        sms(autoconvert="on"),
        sms(autoconvert="full"),
        sms(autoconvert="off"),
        sms(udh="050003CC0201"),
        sms(udh="0a0B"),
        sms(colour="red"),
        message(messages=[SMS, VIBER]),
    ],
)
def test_accepted(value: object) -> None:
    outcome = read_omnimessage(value)
    assert isinstance(outcome, Omnimessage), outcome


@pytest.mark.parametrize(
    ("value", "code", "source"),
    [
        ([], "105", "payload"),
        ("text", "105", "payload"),
        (None, "105", "payload"),
        ({"messages": [SMS]}, "106", "payload[to]"),
        ({"to": "+37255500001"}, "106", "payload[messages]"),
        (message(to=37255500001), "105", "payload[to]"),
        (message(to=None), "105", "payload[to]"),
        (message(to=""), "105", "payload[to]"),
        (message(to="+0372555"), "105", "payload[to]"),
        (message(to="+372 5550 0001"), "105", "payload[to]"),
        (message(to="+3725550000１"), "105", "payload[to]"),
        (message(to="+1234567890123456"), "105", "payload[to]"),
        (message(messages=None), "105", "payload[messages]"),
        (message(messages=SMS), "105", "payload[messages]"),
        (message(messages=[]), "105", "payload[messages]"),
        (message(messages=[SMS, SMS]), "105", "payload[messages]"),
        (message(messages=["sms"]), "105", "payload[messages][0]"),
        (message(messages=[SMS, None]), "105", "payload[messages][1]"),
        (sms(channel="telegram"), "105", "payload[messages][0][channel]"),
        (sms(channel="SMS"), "105", "payload[messages][0][channel]"),
        (sms(channel=None), "105", "payload[messages][0][channel]"),
        (sms(channel=["sms"]), "105", "payload[messages][0][channel]"),
        (message(messages=[{"sender": 1}]), "106", "payload[messages][0][channel]"),
        (message(messages=[{"channel": "sms"}]), "106", "payload[sms][text]"),
        (sms(text=None), "105", "payload[sms][text]"),
        (sms(text=1), "105", "payload[sms][text]"),
        (sms(sender=1234), "105", "payload[sms][sender]"),
        (sms(sender=None), "105", "payload[sms][sender]"),
        (sms(sender=""), "105", "payload[sms][sender]"),
        (sms(sender="TwelveLetter"), "105", "payload[sms][sender]"),
        (sms(sender="1234567890123456"), "105", "payload[sms][sender]"),
        (sms(validity="360"), "105", "payload[sms][validity]"),
        (sms(validity=True), "105", "payload[sms][validity]"),
        (sms(validity=1.5), "105", "payload[sms][validity]"),
        (sms(validity=0), "105", "payload[sms][validity]"),
        (sms(ttl=-1), "105", "payload[sms][ttl]"),
        (sms(ttl=None), "105", "payload[sms][ttl]"),
        (sms(ttl=3600, validity=60), "105", "payload[sms][ttl]"),
        (sms(autoconvert=True), "105", "payload[sms][autoconvert]"),
        (sms(autoconvert="true"), "105", "payload[sms][autoconvert]"),
        (sms(autoconvert="false"), "105", "payload[sms][autoconvert]"),
        (sms(autoconvert="OFF"), "105", "payload[sms][autoconvert]"),
        (sms(udh="05000"), "105", "payload[sms][udh]"),
        (sms(udh="0500zz"), "105", "payload[sms][udh]"),
        (sms(udh=""), "105", "payload[sms][udh]"),
        (message(priority="urgent"), "105", "payload[priority]"),
        (message(priority=1), "105", "payload[priority]"),
        (message(priority=None), "105", "payload[priority]"),
        (message(text_store="plain"), "105", "payload[text_store]"),
        (message(dlr_url="gw.example.com/dlr"), "105", "payload[dlr_url]"),
        (message(dlr_url=5), "105", "payload[dlr_url]"),
        (message(time_to_send="tomorrow"), "105", "payload[time_to_send]"),
        (message(time_to_send=1529658307), "105", "payload[time_to_send]"),
    ],
)
def test_refused(value: object, code: str, source: str) -> None:
    assert faults(value) == [(code, source)]


def test_every_fault_is_told_in_the_order_of_the_fields() -> None:
    value = {
        "priority": "urgent",
        "messages": [{"channel": "sms", "sender": 1}, {"channel": "viber", "text": 1}],
    }
    assert faults(value) == [
        ("106", "payload[to]"),
        ("106", "payload[sms][text]"),
        ("105", "payload[sms][sender]"),
        ("105", "payload[viber][text]"),
        ("105", "payload[priority]"),
    ]


def test_no_detail_repeats_what_was_sent() -> None:
    secret = "Xyzzy+3725550001"
    value = {
        "to": secret,
        "messages": [{"channel": "sms", "text": [secret], "sender": secret, "udh": secret}],
        "dlr_url": secret,
        "priority": secret,
        "time_to_send": secret,
    }
    outcome = read_omnimessage(value)
    assert isinstance(outcome, tuple)
    assert len(outcome) == 7
    assert not any(secret in error.detail for error in outcome)
    (unknown,) = read_omnimessage(sms(channel=secret))
    assert secret not in str(unknown)


@pytest.mark.parametrize(
    ("part", "channel"),
    [
        ({"text": "Hello"}, "viber"),
        ({"text": "x" * 1001}, "sms"),
        ({"text": {"body": "Hello"}}, "whatsapp"),
        ({"sender": "Agent", "content_info": {"file_url": "f", "force_refresh": False}}, "rcs"),
    ],
)
def test_an_object_without_a_channel_is_the_first_that_takes_it(
    part: dict[str, Any], channel: str
) -> None:
    outcome = read_omnimessage(message(messages=[part]))
    assert isinstance(outcome, Omnimessage)
    assert [each.channel for each in outcome.messages] == [channel]


def test_a_time_without_a_zone_is_utc() -> None:
    outcome = read_omnimessage(message(time_to_send="2018-06-22T09:05"))
    assert isinstance(outcome, Omnimessage)
    assert outcome.time_to_send == datetime(2018, 6, 22, 9, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "code", "source"),
    [
        ([], "105", "payload"),
        ({}, "106", "payload[messages]"),
        ({"messages": None}, "105", "payload[messages]"),
        ({"messages": {}}, "105", "payload[messages]"),
        ({"messages": []}, "105", "payload[messages]"),
        ({"messages": [None] * 1001}, "105", "payload[messages]"),
    ],
)
def test_a_bulk_request_refused_as_a_whole(value: object, code: str, source: str) -> None:
    outcome = read_bulk(value)
    assert isinstance(outcome, tuple)
    assert [(error.code, error.source) for error in outcome] == [(code, source)]


def test_a_bulk_request_holds_up_to_a_thousand_items_whatever_they_are() -> None:
    assert read_bulk({"messages": [None] * 1000}) == [None] * 1000
    assert read_bulk({"messages": [1]}) == [1]
