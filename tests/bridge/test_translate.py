"""submit_sm and an account's settings -> a request to the API, or a refusal with its status."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.bridge.translate import Translated, Writing, passed_through, read, translate
from gateway.config import AccountSettings
from gateway.errors import GatewayError
from gateway.omnichannel.payload import SmsRequest, encode
from gateway.sandbox.schema import Omnimessage, read_omnimessage
from gateway.smpp.constants import CommandStatus, Tag
from gateway.smpp.pdu import Address, SubmitSm, Tlv

NOW = datetime(2026, 11, 22, 12, 0, 0, 250_000, tzinfo=UTC)
PAYLOAD = Tag.message_payload


def writing(**fields: Any) -> Writing:
    return Writing.of(AccountSettings(system_id="bank", password_hash="x", **fields))


def submit(**fields: Any) -> SubmitSm:
    given_fields: dict[str, Any] = {
        "source": Address(5, 0, "Bank"),
        "destination": Address(1, 1, "37255500001"),
        "short_message": b"Hello",
        **fields,
    }
    return SubmitSm(1, **given_fields)


def whole(message: SubmitSm, account: Writing, now: datetime) -> Translated:
    """One message by itself, as if it were no part of a longer one."""
    found = read(message, account, now)
    return translate(found, (found.content,), account)


def request(account: Writing | None = None, now: datetime = NOW, **fields: Any) -> SmsRequest:
    return whole(submit(**fields), account or writing(), now).request


def refusal(account: Writing | None = None, now: datetime = NOW, **fields: Any) -> str:
    with pytest.raises(GatewayError) as caught:
        whole(submit(**fields), account or writing(), now)
    assert caught.value.detail
    return caught.value.command_status.name


def payload(text: bytes) -> tuple[Tlv, ...]:
    return (Tlv(PAYLOAD, text),)


PART = b"\x05\x00\x03\x01\x02\x01Hello"
PLAIN = SmsRequest("+37255500001", "Hello", sender="Bank")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, PLAIN),
        # addresses
        ({"destination": Address(0, 0, "+37255500002")}, {"to": "+37255500002"}),
        ({"destination": Address(1, 1, "0037255500002")}, {"to": "+37255500002"}),
        ({"source": Address()}, {"sender": None}),
        ({"source": Address(1, 1, "37255500009")}, {"sender": "+37255500009"}),
        ({"source": Address(0, 1, "37255500009")}, {"sender": "37255500009"}),
        ({"source": Address(1, 1, "12345")}, {"sender": "12345"}),
        # text
        ({"short_message": b"\x00"}, {"text": "@"}),
        ({"short_message": b"\x1b\x65 5"}, {"text": "€ 5"}),
        ({"short_message": b"h\xe9", "data_coding": 3}, {"text": "hé"}),
        ({"short_message": "Жук😀".encode("utf-16-be"), "data_coding": 8}, {"text": "Жук😀"}),
        ({"short_message": b"\x1b"}, {"text": " "}),
        ({"short_message": b"x" * 254}, {"text": "x" * 254}),
        # message_payload
        ({"short_message": b"", "tlvs": payload(b"y" * 60_000)}, {"text": "y" * 60_000}),
        (
            {"short_message": b"", "tlvs": payload("Ж".encode("utf-16-be")), "data_coding": 8},
            {"text": "Ж"},
        ),
        ({"short_message": b"", "tlvs": payload(b"one") + payload(b"two")}, {"text": "two"}),
        ({"tlvs": payload(b"")}, {"text": "Hello"}),
        # other TLVs change nothing
        (
            {
                "tlvs": (
                    Tlv(Tag.user_message_reference, b"\0\1"),
                    Tlv(0x1400, b"vendor"),
                    Tlv(0, b""),
                )
            },
            {},
        ),
        # esm_class without a user data header: the mode, reply path and receipt bits
        *(({"esm_class": bits}, {}) for bits in (0x01, 0x02, 0x03, 0x08, 0x10, 0x80, 0xBF)),
        # a default message beside a text is not needed
        ({"sm_default_msg_id": 7}, {}),
        ({"short_message": b"", "tlvs": payload(b"y"), "sm_default_msg_id": 7}, {"text": "y"}),
        # what Messente has no word for
        ({"registered_delivery": 0x11, "protocol_id": 0x7F, "service_type": "CMT"}, {}),
        ({"replace_if_present_flag": 1}, {}),
        # priority_flag: 0 omitted, 1 regular, 2 and 3 high (section 6)
        ({"priority_flag": 0}, {"priority": ""}),
        ({"priority_flag": 1}, {"priority": "regular"}),
        ({"priority_flag": 2}, {"priority": "high"}),
        ({"priority_flag": 3}, {"priority": "high"}),
        ({"priority_flag": 4}, {"priority": "high"}),
        ({"priority_flag": 255}, {"priority": "high"}),
    ],
)
def test_a_submit_sm_that_is_relayed(
    fields: dict[str, Any], expected: SmsRequest | dict[str, Any]
) -> None:
    if isinstance(expected, dict):
        parts = {name: getattr(PLAIN, name) for name in SmsRequest._fields}
        expected = SmsRequest(**{**parts, **expected})
    assert request(**fields) == expected


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"destination": Address()}, "ESME_RINVDSTADR"),
        ({"destination": Address(2, 1, "55500001")}, "ESME_RINVDSTADR"),
        ({"destination": Address(1, 1, "372 555 00001")}, "ESME_RINVDSTADR"),
        ({"destination": Address(5, 0, "Somebody")}, "ESME_RINVDSTADR"),
        ({"destination": Address(1, 1, "123")}, "ESME_RINVDSTADR"),
        ({"destination": Address(1, 1, "1234567890123456")}, "ESME_RINVDSTADR"),
        ({"source": Address(5, 0, "Far too long a name")}, "ESME_RINVSRCADR"),
        ({"source": Address(1, 1, "555-0001")}, "ESME_RINVSRCADR"),
        # no text
        ({"short_message": b""}, "ESME_RINVMSGLEN"),
        ({"short_message": b"", "tlvs": payload(b"")}, "ESME_RINVMSGLEN"),
        ({"short_message": b"\xfe\xff", "data_coding": 8}, "ESME_RINVMSGLEN"),
        # section 7: sm_default_msg_id and no text
        ({"short_message": b"", "sm_default_msg_id": 1}, "ESME_RINVDFTMSGID"),
        ({"short_message": b"", "sm_default_msg_id": 255}, "ESME_RINVDFTMSGID"),
        (
            {"short_message": b"", "sm_default_msg_id": 1, "tlvs": payload(b"")},
            "ESME_RINVDFTMSGID",
        ),
        # binary
        *(
            ({"data_coding": dc}, "ESME_RINVDCS")
            for dc in (0x02, 0x04, 0x09, 0x14, 0x20, 0x44, 0xF4, 0xF7, 0xFC)
        ),
        # a part of a binary message is refused by itself
        ({"data_coding": 4, "esm_class": 0x40, "short_message": PART}, "ESME_RINVDCS"),
        # ports in the user data header, 8 and 16 bits, alone, among other bits, in a payload
        *(
            ({"esm_class": bits, "short_message": b"\x04\x04\x02\x01\x02x"}, "ESME_RINVESMCLASS")
            for bits in (0x40, 0x43, 0xC0, 0xFF)
        ),
        (
            {"esm_class": 0x40, "short_message": b"\x06\x05\x04\x0b\x84\x23\xf0x"},
            "ESME_RINVESMCLASS",
        ),
        (
            {
                "esm_class": 0x40,
                "short_message": b"",
                "tlvs": payload(b"\x0b\x00\x03\x01\x02\x01\x05\x04\x0b\x84\x23\xf0x"),
            },
            "ESME_RINVESMCLASS",
        ),
        # a port, alone and beside a payload
        *(
            ({"tlvs": (*before, Tlv(tag, value)), "short_message": text}, "ESME_ROPTPARNOTALLWD")
            for tag in (0x020A, 0x020B)  # source_port, destination_port
            for value in (b"\x0b\x84", b"\0\0", b"")
            for before, text in (((), b"Hello"), (payload(b"x"), b""))
        ),
        # both texts
        ({"tlvs": payload(b"more")}, "ESME_RINVOPTPARAMVAL"),
        ({"tlvs": payload(b"Hello")}, "ESME_RINVOPTPARAMVAL"),
        # times
        ({"schedule_delivery_time": "soon"}, "ESME_RINVSCHED"),
        ({"schedule_delivery_time": "261301120000000+"}, "ESME_RINVSCHED"),
        ({"schedule_delivery_time": "261231120000049+"}, "ESME_RINVSCHED"),
        ({"schedule_delivery_time": "261231120000000Z"}, "ESME_RINVSCHED"),
        ({"schedule_delivery_time": "0" * 16}, "ESME_RINVSCHED"),
        ({"validity_period": "soon"}, "ESME_RINVEXPIRY"),
        ({"validity_period": "261301120000000+"}, "ESME_RINVEXPIRY"),
        ({"validity_period": "20261122130000"}, "ESME_RINVEXPIRY"),
        ({"validity_period": "٢٦1122130000000+"}, "ESME_RINVEXPIRY"),
        # already past
        ({"validity_period": "261122115959000+"}, "ESME_RINVEXPIRY"),
        ({"validity_period": "000101000000000+"}, "ESME_RINVEXPIRY"),
        # ends before or when it would begin
        (
            {
                "schedule_delivery_time": "261123120000000+",
                "validity_period": "261123115959000+",
            },
            "ESME_RINVEXPIRY",
        ),
        (
            {
                "schedule_delivery_time": "261123120000000+",
                "validity_period": "261123120000000+",
            },
            "ESME_RINVEXPIRY",
        ),
        (
            {
                "schedule_delivery_time": "000002000000000R",
                "validity_period": "000001000000000R",
            },
            "ESME_RINVEXPIRY",
        ),
        # the schedule is looked at first
        ({"schedule_delivery_time": "x", "validity_period": "x"}, "ESME_RINVSCHED"),
    ],
)
def test_a_submit_sm_that_is_refused(fields: dict[str, Any], status: str) -> None:
    assert refusal(**fields) == status


ROUND = NOW.replace(microsecond=0)


@pytest.mark.parametrize(
    ("validity_period", "ttl"),
    [
        ("", None),
        ("000000000000000R", None),  # all zero: the default
        ("000000000001000R", 1),
        ("000000000100000R", 60),
        ("000000060000000R", 6 * 3600),
        ("000002000000000R", 2 * 86_400),
        ("000000720000000R", 3 * 86_400),  # 72 hours: counts, not a calendar
        ("000000000001999R", 1),  # tenths and quarters mean nothing here
        ("261122120001000+", 1),
        ("261122130000000+", 3600),
        ("261122140000004+", 3600),  # an hour ahead of UTC
        ("261122120000004-", 3600),  # an hour behind it
        ("261122120000500+", 1),  # half a second still is one
        # above the account's most: clamped
        ("000100000000000R", 604_800),
        ("990000000000000R", 604_800),
        ("991231235959048-", 604_800),
    ],
)
def test_validity_period(validity_period: str, ttl: int | None) -> None:
    assert request(now=ROUND, validity_period=validity_period).ttl == ttl


def test_validity_is_rounded_up() -> None:
    """A message never expires before the ESME said."""
    assert request(now=NOW, validity_period="261122120001000+").ttl == 1
    assert request(now=NOW, validity_period="261122120002000+").ttl == 2


@pytest.mark.parametrize(
    ("schedule_delivery_time", "time_to_send"),
    [
        ("", ""),
        ("261231120000000+", "2026-12-31T12:00:00Z"),
        ("261231120000008+", "2026-12-31T10:00:00Z"),
        ("261231120000508-", "2026-12-31T14:00:00Z"),
        ("261231234500001-", "2027-01-01T00:00:00Z"),
        ("000002000000000R", "2026-11-24T12:00:00Z"),
        ("000300000000000R", "2027-02-22T12:00:00Z"),
        ("000000000001000R", "2026-11-22T12:00:01Z"),
        # now, or a time that has passed: sent at once
        ("000000000000000R", ""),
        ("261122115959000+", ""),
        ("261122120000000+", ""),
        ("000101000000000+", ""),
    ],
)
def test_schedule_delivery_time(schedule_delivery_time: str, time_to_send: str) -> None:
    found = request(now=ROUND, schedule_delivery_time=schedule_delivery_time)
    assert found.time_to_send == time_to_send
    assert found.ttl is None


@pytest.mark.parametrize(
    ("schedule_delivery_time", "validity_period", "ttl"),
    [
        # SMPP's validity runs from the submit, the API's from the sending.
        ("000001000000000R", "000003000000000R", 2 * 86_400),
        ("261123120000000+", "261123130000000+", 3600),
        ("261123120000000+", "000001010000000R", 3600),
        ("261121120000000+", "000000010000000R", 3600),  # the schedule has passed
        ("261123120000000+", "000000000000000R", None),
    ],
)
def test_both_times(schedule_delivery_time: str, validity_period: str, ttl: int | None) -> None:
    found = request(
        now=ROUND, schedule_delivery_time=schedule_delivery_time, validity_period=validity_period
    )
    assert found.ttl == ttl


def test_times_do_not_depend_on_the_zone_of_now() -> None:
    local = ROUND.astimezone(timezone(timedelta(hours=-7)))
    fields: dict[str, Any] = {
        "schedule_delivery_time": "261231120000008+",
        "validity_period": "261231130000008+",
    }
    assert request(now=local, **fields) == request(now=ROUND, **fields)
    relative: dict[str, Any] = {"schedule_delivery_time": "000001000000000R"}
    assert request(now=local, **relative) == request(now=ROUND, **relative)


def test_the_accounts_validity() -> None:
    account = writing(default_validity=7_200, max_validity=86_400)
    assert request(account).ttl == 7_200
    assert request(account, validity_period="000000000000000R").ttl == 7_200
    assert request(account, schedule_delivery_time="000001000000000R").ttl == 7_200
    assert request(account, validity_period="000000010000000R").ttl == 3_600
    assert request(account, validity_period="000002000000000R").ttl == 86_400


def test_the_accounts_priorities() -> None:
    account = writing(priorities=["low", "", "regular", "high"])
    found = [request(account, priority_flag=flag).priority for flag in range(5)]
    assert found == ["low", "", "regular", "high", "high"]


@pytest.mark.parametrize("word", ["off", "on", "full"])
def test_the_accounts_autoconvert(word: str) -> None:
    assert request(writing(autoconvert=word)).autoconvert == word


def test_autoconvert_is_off_unless_asked_for() -> None:
    assert request(data_coding=8, short_message=b"\x04\x16").autoconvert == "off"
    assert request().autoconvert == "off"


def test_the_accounts_senders_and_numbers() -> None:
    account = writing(default_sender="Default", country_prefix="372", trunk_prefix="0")
    assert request(account, source=Address()).sender == "Default"
    assert request(account).sender == "Bank"
    assert request(account, destination=Address(2, 1, "055500001")).to == "+37255500001"
    assert request(account, destination=Address(0, 1, "055500001")).to == "+37255500001"


def test_the_accounts_alphabets() -> None:
    def text(octets: bytes, data_coding: int = 0, **fields: Any) -> str:
        return request(writing(**fields), short_message=octets, data_coding=data_coding).text

    assert text(b"@", default_alphabet="latin-1") == "@"
    assert text(b"@", default_alphabet="gsm7") == "¡"
    assert text(b"\x80", default_alphabet="cp1252") == "€"
    assert text("õ".encode(), default_alphabet="utf-8") == "õ"
    assert text(b"\x00", 1, ascii_alphabet="gsm7") == "@"
    assert text(b"\x16\x04", 8, ucs2_little_endian=True) == "Ж"
    assert text(b"a\0b", default_alphabet="ascii", strip_nul=True) == "ab"
    assert text(b"\xff", default_alphabet="ascii", fallback_alphabet="latin-1") == "ÿ"
    assert text(b"\xff", default_alphabet="ascii") == "\ufffd"


def test_text_that_does_not_decode_can_be_refused() -> None:
    account = writing(undecodable="refuse")
    assert refusal(account, short_message=b"\xd8\x00", data_coding=8) == "ESME_RINVDCS"
    assert request(short_message=b"\xd8\x00", data_coding=8).text == "\ufffd"


def test_text_that_is_nothing_but_nul_is_empty_where_nul_is_dropped() -> None:
    account = writing(default_alphabet="ascii", strip_nul=True)
    assert refusal(account, short_message=b"\0\0") == "ESME_RINVMSGLEN"


@pytest.mark.parametrize(
    ("text_twice", "text"),
    [("short_message", "Hello"), ("message_payload", "more")],
)
def test_both_texts_where_the_account_says_which(text_twice: str, text: str) -> None:
    account = writing(text_twice=text_twice)
    assert request(account, tlvs=payload(b"more")).text == text
    assert request(account).text == "Hello"
    assert request(account, short_message=b"", tlvs=payload(b"more")).text == "more"
    assert request(account, tlvs=payload(b"")).text == "Hello"


def test_what_the_text_went_through() -> None:
    found = whole(submit(data_coding=0x10), writing(), NOW)
    assert (found.decoded.charset, found.decoded.message_class) == ("gsm7", 0)
    assert found.decoded.text == found.request.text


# Parts of long messages, texts by number, and replacing.


@pytest.mark.parametrize(
    ("fields", "kind", "reference", "total", "number"),
    [
        ({"esm_class": 0x40, "short_message": PART}, "udh8", 1, 2, 1),
        ({"esm_class": 0x43, "short_message": PART}, "udh8", 1, 2, 1),
        ({"esm_class": 0x40, "short_message": b"", "tlvs": payload(PART)}, "udh8", 1, 2, 1),
        (
            {"tlvs": (Tlv(0x020F, b"\3"), Tlv(0x020C, b"\1\2"), Tlv(0x020E, b"\3"))},
            *("sar", 0x102, 3, 3),
        ),
    ],
)
def test_a_part_knows_its_place(
    fields: dict[str, Any], kind: str, reference: int, total: int, number: int
) -> None:
    part = read(submit(**fields), writing(), NOW).part
    assert part == (kind, reference, total, number)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"esm_class": 0x40, "short_message": b"\x05\x00\x03\x01\x01\x01Hello"},  # total 1
        {"esm_class": 0x40, "short_message": b"\x05\x00\x03\x01\x02\x03Hello"},  # 3 of 2
        {"esm_class": 0x00, "short_message": b"\x05\x00\x03Hello"},  # no header is announced
        *({"tlvs": (Tlv(tag, b"\1"),)} for tag in (0x020C, 0x020E, 0x020F)),
        {"tlvs": (Tlv(0x020C, b"\1\2"), Tlv(0x020E, b"\2"))},
    ],
)
def test_what_is_no_part_is_whole(fields: dict[str, Any]) -> None:
    found = read(submit(**fields), writing(), NOW)
    assert found.part is None
    assert request(**fields).text.endswith("Hello")
    assert request(**fields).udh == ""


@pytest.mark.parametrize(
    "wrong",
    [
        {"destination": Address()},
        {"source": Address(5, 0, "much too long a name")},
        {"validity_period": "soon"},
        {"schedule_delivery_time": "soon"},
    ],
)
def test_a_part_that_could_never_be_relayed_is_refused_by_itself(wrong: dict[str, Any]) -> None:
    with pytest.raises(GatewayError):
        read(submit(esm_class=0x40, short_message=PART, **wrong), writing(), NOW)


def test_the_first_message_is_the_envelope_and_all_contents_the_text() -> None:
    first = submit(esm_class=0x40, short_message=b"\x05\x00\x03\x01\x02\x01a\x1b", priority_flag=2)
    second = submit(esm_class=0x40, short_message=b"\x05\x00\x03\x01\x02\x02\x65b")
    account = writing()
    messages = [read(one, account, NOW) for one in (first, second)]
    found = translate(messages[0], [one.content for one in messages], account)
    assert found.request == PLAIN._replace(text="a€b", priority="high")


@pytest.mark.parametrize(
    ("fields", "with_length", "without"),
    [
        ({"esm_class": 0x40, "short_message": PART}, "050003010201", "0003010201"),
        (
            {"esm_class": 0x40, "short_message": b"\x06\x08\x04\x01\x02\x02\x01Hello"},
            *("06080401020201", "080401020201"),
        ),
        (
            {"tlvs": (Tlv(0x020C, b"\1\2"), Tlv(0x020E, b"\3"), Tlv(0x020F, b"\2"))},
            *("06080401020302", "080401020302"),
        ),
        # The API chooses the alphabet from the text, so no language may be told.
        (
            {"esm_class": 0x40, "short_message": b"\x08\x24\x01\x01\x00\x03\x01\x02\x01x"},
            *("050003010201", "0003010201"),
        ),
    ],
)
def test_the_header_of_a_part_that_is_passed_through(
    fields: dict[str, Any], with_length: str, without: str
) -> None:
    content = read(submit(**fields), writing(), NOW).content
    assert passed_through(content, includes_length=True) == with_length
    assert passed_through(content, includes_length=False) == without


def test_packed_text_of_an_account_that_packs() -> None:
    hello = bytes.fromhex("c8329bfd06")  # 3GPP TS 23.038 section 6.1.2: "Hello"
    assert request(writing(packed=True), short_message=hello).text == "Hello"
    assert request(writing(packed=True), short_message=hello, data_coding=0xF1).text == "Hello"


def test_a_malformed_header_is_read_past_or_refused() -> None:
    fields: dict[str, Any] = {"esm_class": 0x40, "short_message": b"\x06\x00\x03\x01\x02\x01xHello"}
    assert request(**fields).text.endswith("Hello")
    assert refusal(writing(malformed_udh="refuse"), **fields) == "ESME_RINVESMCLASS"


def test_texts_by_number() -> None:
    account = writing(default_messages={"1": "Your taxi is here.", "255": "Ž"})
    fields: dict[str, Any] = {"short_message": b"", "data_coding": 8}
    assert request(account, sm_default_msg_id=1, **fields).text == "Your taxi is here."
    assert request(account, sm_default_msg_id=255, **fields).text == "Ž"
    assert refusal(account, sm_default_msg_id=2, **fields) == "ESME_RINVDFTMSGID"
    # A text of its own wins (SMPP 3.4 section 5.2.20).
    assert request(account, sm_default_msg_id=1).text == "Hello"


def test_replacing_what_cannot_be_replaced() -> None:
    assert request(replace_if_present_flag=1) == PLAIN
    account = writing(replace_if_present="refuse")
    assert refusal(account, replace_if_present_flag=1) == "ESME_RINVSUBREP"
    assert request(account) == PLAIN


# Whatever is submitted: a request that the API's schema takes, or a refusal.


def mostly(usual: st.SearchStrategy[Any], odd: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """The usual nine times in ten, so that most messages get past all checks but one."""
    return st.integers(0, 9).flatmap(lambda number: odd if number == 0 else usual)


_digits = st.text("0123456789", max_size=18)
_latin = st.text(st.characters(max_codepoint=0xFF, exclude_characters="\0"), max_size=20)
_addr = (
    st.builds(str.__add__, st.sampled_from(["", "+", "00", "0"]), _digits)
    | _latin
    | st.sampled_from(["Bank", "A.B C_1", "12345", "372", "+", "37255500001"])
)
_octet = st.integers(0, 255)
_addresses = st.builds(Address, _octet, _octet, _addr)
_sources = st.sampled_from(
    [
        Address(),
        Address(5, 0, "Bank"),
        Address(5, 1, "+37255500009"),
        Address(1, 1, "12345"),
        Address(0, 1, "37255500009"),
        Address(2, 1, "055500009"),
        Address(1, 1, "+37255500009"),
    ]
)
_destinations = st.sampled_from(
    [Address(1, 1, "37255500001"), Address(0, 0, "0037255500001"), Address(6, 9, "+37255500001")]
)
_clock = st.from_regex(
    r"\A2[67](0[1-9]|1[012])[01][1-8]([01][0-9])([0-5][0-9]){2}0[0-4][0-8][+-]\Z"
)
_distance = st.from_regex(r"\A0[0-2]0[0-9][0-3][0-9]([0-9]{2}){3}000R\Z")
_times = mostly(st.just("") | _clock | _distance, _latin | st.from_regex(r"\A[0-9]{15}[+R-]\Z"))
_tlvs = st.builds(
    Tlv,
    st.sampled_from([PAYLOAD, Tag.user_message_reference, 0x1400, Tag.sar_msg_ref_num]),
    st.binary(max_size=40),
)
_submits = st.builds(
    SubmitSm,
    st.just(1),
    source=mostly(_sources, _addresses),
    destination=mostly(_destinations, _addresses),
    esm_class=mostly(st.sampled_from([0, 3, 0x40]), _octet),
    priority_flag=_octet,
    schedule_delivery_time=_times,
    validity_period=_times,
    registered_delivery=_octet,
    data_coding=mostly(st.sampled_from([0, 1, 3, 8, 0x10, 0xF0]), _octet),
    sm_default_msg_id=_octet,
    short_message=st.binary(min_size=1, max_size=40) | st.just(b""),
    tlvs=mostly(
        st.sampled_from([(), (Tlv(PAYLOAD, b"Hello"),)]), st.lists(_tlvs, max_size=3).map(tuple)
    ),
)
_alphabets = st.sampled_from(["gsm7", "ascii", "latin-1", "cp1252", "utf-8"])
_writings = st.builds(
    writing,
    default_alphabet=_alphabets,
    ascii_alphabet=_alphabets,
    undecodable=st.sampled_from(["replace", "refuse"]),
    ucs2_little_endian=st.booleans(),
    strip_nul=st.booleans(),
    text_twice=st.sampled_from(["refuse", "short_message", "message_payload"]),
    packed=st.booleans(),
    malformed_udh=st.sampled_from(["accept", "refuse"]),
    default_messages=st.sampled_from([{}, {"7": "seven"}]),
    default_sender=st.sampled_from(["", "Default", "+37255500009"]),
    country_prefix=st.sampled_from(["", "372", "1"]),
    trunk_prefix=st.sampled_from(["", "0", "8"]),
    autoconvert=st.sampled_from(["off", "on", "full"]),
    priorities=st.permutations(["", "low", "regular", "high"]),
    default_validity=st.sampled_from([0, 1, 3_600]),
    max_validity=st.sampled_from([60, 604_800]),
)


def refused_properly(error: GatewayError, message: SubmitSm) -> None:
    assert error.command_status is not CommandStatus.ESME_ROK
    shown = f"{error.detail} {error.fields}"
    for address in (message.source.addr, message.destination.addr):
        if len(address) > 6:
            assert address not in shown


@settings(max_examples=600, deadline=None)
@given(_submits, _writings)
def test_what_is_relayed_is_what_the_api_takes(message: SubmitSm, account: Writing) -> None:
    try:
        found = whole(message, account, NOW).request
    except GatewayError as error:
        refused_properly(error, message)
        return
    taken = read_omnimessage(json.loads(encode(found)))
    assert isinstance(taken, Omnimessage), taken
    [sms] = taken.messages
    assert sms.channel == "sms"
    assert (taken.to, sms.text, sms.sender, sms.ttl) == (
        found.to,
        found.text,
        found.sender,
        found.ttl,
    )
    assert found.text
    assert found.ttl is None or found.ttl >= 1
    if taken.time_to_send is not None:
        assert taken.time_to_send > NOW - timedelta(seconds=1)
        assert math.isclose(taken.time_to_send.timestamp() % 1, 0)


def test_the_property_above_sees_requests_and_refusals() -> None:
    """A seeded example of each, so that the property is known not to be empty."""
    everything = submit(
        source=Address(0, 0, "+37255500009"),
        priority_flag=2,
        schedule_delivery_time="261231120000008+",
        validity_period="270101120000008+",
        data_coding=8,
        short_message="Tere 😀".encode("utf-16-be"),
    )
    found = whole(everything, writing(autoconvert="full"), NOW).request
    assert found == SmsRequest(
        "+37255500001",
        "Tere 😀",
        "+37255500009",
        86_400,
        "2026-12-31T10:00:00Z",
        "high",
        "full",
    )
    assert isinstance(read_omnimessage(json.loads(encode(found))), Omnimessage)
