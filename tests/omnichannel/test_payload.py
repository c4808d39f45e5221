"""Bodies of the Omnichannel API (API document sections 2, 2.1 and 3)."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.omnichannel.payload import (
    ApiError,
    Delivery,
    SmsRequest,
    encode,
    read_accepted,
    read_delivery,
    read_errors,
)

ID = "5bca2f3e-9a31-4e2b-8d8f-0c7f0c1f8f11"


@pytest.mark.parametrize(
    ("request_", "body"),
    [
        (
            SmsRequest("+37255500001", "Hello"),
            {
                "to": "+37255500001",
                "messages": [{"channel": "sms", "text": "Hello", "autoconvert": "off"}],
            },
        ),
        (
            SmsRequest(
                "+37255500001",
                "Tere",
                sender="Bank",
                ttl=3600,
                time_to_send="2026-12-31T10:00:00Z",
                priority="high",
                autoconvert="full",
                dlr_url="https://gw.example.com/dlr/k1AbC-_",
            ),
            {
                "to": "+37255500001",
                "messages": [
                    {
                        "channel": "sms",
                        "text": "Tere",
                        "autoconvert": "full",
                        "sender": "Bank",
                        "ttl": 3600,
                    }
                ],
                "time_to_send": "2026-12-31T10:00:00Z",
                "priority": "high",
                "dlr_url": "https://gw.example.com/dlr/k1AbC-_",
            },
        ),
        # No sender: the account's default at the API. An empty string would be refused there.
        (
            SmsRequest("+1", "x", sender=""),
            {"to": "+1", "messages": [{"channel": "sms", "text": "x", "autoconvert": "off"}]},
        ),
        (
            SmsRequest("+1", "x", ttl=1),
            {
                "to": "+1",
                "messages": [{"channel": "sms", "text": "x", "autoconvert": "off", "ttl": 1}],
            },
        ),
        # A part of a long message: its header stands beside the text of the channel.
        (
            SmsRequest("+1", "x", udh="050003CC0201"),
            {
                "to": "+1",
                "messages": [
                    {"channel": "sms", "text": "x", "autoconvert": "off", "udh": "050003CC0201"}
                ],
            },
        ),
    ],
    ids=["least", "everything", "empty sender", "shortest ttl", "a part"],
)
def test_a_request_as_the_api_documents_it(request_: SmsRequest, body: dict[str, Any]) -> None:
    assert json.loads(encode(request_)) == body


@pytest.mark.parametrize("autoconvert", ["on", "full", "off"])
def test_autoconvert_is_the_literal_word(autoconvert: str) -> None:
    """Section 2.2: not the booleans that YAML makes of on and off."""
    body = encode(SmsRequest("+1", "x", autoconvert=autoconvert))
    assert f'"autoconvert":"{autoconvert}"'.encode() in body


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_every_text_survives(text: str) -> None:
    body = encode(SmsRequest("+37255500001", text, sender="A"))
    assert json.loads(body.decode("utf-8"))["messages"][0]["text"] == text


def test_half_a_surrogate_pair_cannot_be_encoded() -> None:
    """Decoding never gives one; if it did, no octets must leave that the API may misread."""
    with pytest.raises(TypeError):
        encode(SmsRequest("+37255500001", "\ud83d"))


def test_quotes_and_controls_cannot_leave_their_string() -> None:
    text = '","ttl":1,"x":"\\\n\r\0\x7f</script>\u2028😀'
    [message] = json.loads(encode(SmsRequest("+1", text)))["messages"]
    assert message == {"channel": "sms", "text": text, "autoconvert": "off"}


@pytest.mark.parametrize(
    "body",
    [
        # the documented answer, section 3
        b'{"messages":[{"channel":"sms","message_id":"m","sender":"Bank"}],'
        b'"omnimessage_id":"5bca2f3e-9a31-4e2b-8d8f-0c7f0c1f8f11","to":"+37255500001"}',
        b'{"omnimessage_id":"5bca2f3e-9a31-4e2b-8d8f-0c7f0c1f8f11"}',
        b' \n{"new":{"key":1},"omnimessage_id":"5bca2f3e-9a31-4e2b-8d8f-0c7f0c1f8f11"}\n',
        b'\xef\xbb\xbf{"omnimessage_id":"5bca2f3e-9a31-4e2b-8d8f-0c7f0c1f8f11"}',
    ],
    ids=["documented", "only the id", "more than documented", "byte order mark"],
)
def test_an_acceptance(body: bytes) -> None:
    assert read_accepted(body) == ID


def test_the_longest_id_that_submit_sm_resp_carries() -> None:
    def body(octets: int) -> bytes:
        return json.dumps({"omnimessage_id": "a" * octets}).encode()

    assert read_accepted(body(64)) == "a" * 64
    assert read_accepted(body(65)) == ""


@pytest.mark.parametrize(
    "found",
    [None, "", 5, 5.5, True, ["x"], {"id": "x"}, "a\0b", "a\nb", "tõene", "\x7f"],
    ids=repr,
)
def test_an_id_that_is_none(found: object) -> None:
    assert read_accepted(json.dumps({"omnimessage_id": found}).encode()) == ""


NOT_OBJECTS = [
    b"",
    b"OK",
    b"<html><body>502 Bad Gateway</body></html>",
    b"null",
    b"true",
    b"5",
    b'"omnimessage_id"',
    b"[]",
    b'[{"omnimessage_id":"x","errors":[]}]',
    b"{",
    b'{"omnimessage_id":"x"',
    b'{"omnimessage_id":"x"} trailing',
    b"\xff\xfe\x00",
    b"\x00" * 64,
    b"\x1f\x8b\x08\x00 a gzip header",
    b"[" * 200_000,
    b'{"errors":' * 100_000,
    b"1" * 10_000,
]


@pytest.mark.parametrize("body", NOT_OBJECTS, ids=lambda body: repr(body[:20]))
def test_what_is_no_json_object_says_nothing(body: bytes) -> None:
    assert read_accepted(body) == ""
    assert read_errors(body) == ()


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        (
            # the only published sample
            b'{"errors":[{"code":"105","title":"Invalid data",'
            b'"detail":"Invalid or disallowed sender Messente","source":"payload[sms][sender]"}]}',
            (
                ApiError(
                    "105",
                    "Invalid data",
                    "Invalid or disallowed sender Messente",
                    "payload[sms][sender]",
                ),
            ),
        ),
        (b'{"errors":[{"code":105}]}', (ApiError("105"),)),
        (
            b'{"errors":[{"code":"103","title":"Unauthorized","detail":"d","source":null}]}',
            (ApiError("103", "Unauthorized", "d", ""),),
        ),
        (b'{"errors":[{"code":"101"},{"code":"102"}]}', (ApiError("101"), ApiError("102"))),
        (b'{"errors":[null,5,"x",[],{"code":"104"}]}', (ApiError("104"),)),
        (b'{"errors":[{"code":["105"],"detail":{},"source":1.5}]}', (ApiError(),)),
        (b'{"errors":[{}]}', (ApiError(),)),
        (b'{"errors":[]}', ()),
        (b'{"errors":{"code":"105"}}', ()),
        (b'{"errors":"105"}', ()),
        (b'{"errors":null}', ()),
        (b'{"error":{"code":"105"}}', ()),
    ],
)
def test_errors(body: bytes, errors: tuple[ApiError, ...]) -> None:
    assert read_errors(body) == errors


@pytest.mark.parametrize("key", ["code", "title", "detail", "source"])
def test_words_of_the_api_have_an_end(key: str) -> None:
    def read(word: object) -> object:
        [error] = read_errors(json.dumps({"errors": [{key: word}]}).encode())
        return getattr(error, key)

    assert read("õ" * 300) == "õ" * 300
    assert read("õ" * 299 + "ab") == "õ" * 299 + "a"
    assert read("õ" * 100_000) == "õ" * 300


def test_not_more_than_twenty_errors_are_read() -> None:
    def read(number: int) -> list[str]:
        errors = [{"code": str(each)} for each in range(number)]
        return [error.code for error in read_errors(json.dumps({"errors": errors}).encode())]

    assert read(20) == read(21) == read(10_000) == [str(each) for each in range(20)]


def test_half_a_surrogate_pair_does_not_hide_an_acceptance() -> None:
    body = rb'{"messages":[{"sender":"\ud83d"}],"omnimessage_id":"5bca2f3e"}'
    assert read_accepted(body) == "5bca2f3e"


def test_half_a_surrogate_pair_does_not_hide_the_field_at_fault() -> None:
    body = rb'{"errors":[{"code":"105","detail":"Bad text: Hi \ud83d","source":"payload[to]"}]}'
    assert [error.field for error in read_errors(body)] == ["to"]


@pytest.mark.parametrize(
    ("source", "field"),
    [
        ("payload[sms][sender]", "sender"),
        ("payload[to]", "to"),
        ("payload[messages][0][channel]", "channel"),
        ("to", "to"),
        ("", ""),
        ("payload", "payload"),
        ("payload[]", ""),
        ("]", ""),
        ("[", ""),
        ("payload[sms][time_to_send", "time_to_send"),
    ],
)
def test_the_field_at_fault(source: str, field: str) -> None:
    assert ApiError(source=source).field == field


_json: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.sampled_from(["errors", "omnimessage_id", "code", "source"]), inner)
    ),
    max_leaves=12,
)


@given(st.binary() | _json.map(lambda value: json.dumps(value).encode()))
def test_no_body_makes_reading_fail(body: bytes) -> None:
    assert len(read_accepted(body)) <= 64
    for error in read_errors(body):
        assert all(type(part) is str for part in (*_parts(error), error.field))


def _parts(error: ApiError) -> tuple[str, ...]:
    return error.code, error.title, error.detail, error.source


# Statuses

DELIVERED_AT = datetime(2020, 2, 4, 8, 9, 42, 389_630, tzinfo=UTC)
SAMPLE = {
    "status": "DELIVRD",
    "sender": "MySender",
    "err": 0,
    "message_id": "m",
    "to": "+37255500001",
    "channel": "sms",
    "error": None,
    "omnimessage_id": ID,
    "timestamp": "2020-02-04T08:09:42.389630",
    "price_info": {"part_price": "0.1", "parts_count": 2, "total_price": "0.2"},
}


def statuses(*entries: object) -> bytes:
    body = {"omnimessage_id": ID, "to": "+37255500001", "statuses": list(entries)}
    return json.dumps(body).encode()


@pytest.mark.parametrize(
    ("body", "delivery"),
    [
        (statuses(SAMPLE), Delivery("DELIVRD", 0, DELIVERED_AT, "MySender")),
        (statuses(), Delivery()),
        (statuses({}), Delivery()),
        # in process: nulls
        (
            statuses({"status": None, "err": None, "timestamp": None, "sender": "Bank"}),
            Delivery("", 0, None, "Bank"),
        ),
        (statuses({"status": "UNDELIV", "err": 1}), Delivery("UNDELIV", 1)),
        (statuses({"status": "UNDELIV", "err": "1"}), Delivery("UNDELIV", 1)),  # 2019
        (statuses({"status": "UNDELIV", "err": 999}), Delivery("UNDELIV", 999)),
        (statuses({"status": "BRAND_NEW"}), Delivery("BRAND_NEW")),
        # the newest that says something
        (statuses({"status": "ACCEPTD"}, {"status": "DELIVRD"}), Delivery("DELIVRD")),
        (statuses({"status": "UNDELIV", "err": 3}, {"status": None}), Delivery("UNDELIV", 3)),
        (statuses({"sender": "A"}, {"sender": "B"}), Delivery("", 0, None, "A")),
        (statuses(None, 5, "x", [], {"status": "ACK"}), Delivery("ACK")),
    ],
)
def test_a_status(body: bytes, delivery: Delivery) -> None:
    assert read_delivery(body) == delivery


@pytest.mark.parametrize(
    "err", [None, "", "x", "-1", -1, 1.5, "1.5", " 1", "0x1", "١", "²", [], {}, True, False]
)
def test_an_err_that_is_no_number(err: object) -> None:
    assert read_delivery(statuses({"status": "UNDELIV", "err": err})).err == 0


def test_an_err_has_an_end() -> None:
    for err in ("9" * 5_000, int("9" * 4_000)):
        assert len(str(read_delivery(statuses({"status": "UNDELIV", "err": err})).err)) == 300


@pytest.mark.parametrize(
    ("timestamp", "moment"),
    [
        ("2020-02-04T08:09:42.389630", DELIVERED_AT),
        ("2020-02-04T08:09:42.389630Z", DELIVERED_AT),
        ("2020-02-04T10:09:42.389630+02:00", DELIVERED_AT),
        ("2020-02-04T08:09:42", DELIVERED_AT.replace(microsecond=0)),
        ("2020-02-04 08:09:42", DELIVERED_AT.replace(microsecond=0)),
        ("2020-02-04", datetime(2020, 2, 4, tzinfo=UTC)),
        ("2020-02-30T08:09:42", None),
        ("0001-01-01T00:00:00+05:00", None),
        ("9999-12-31T23:59:59-05:00", None),
        ("yesterday", None),
        ("", None),
        (None, None),
        (1580803782, None),
        ([], None),
    ],
)
def test_the_moment_of_a_status(timestamp: object, moment: datetime | None) -> None:
    found = read_delivery(statuses({"status": "DELIVRD", "timestamp": timestamp})).timestamp
    assert found == moment
    assert found is None or found.utcoffset() == timedelta(0)


@pytest.mark.parametrize("key", ["status", "sender"])
def test_words_of_a_status_have_an_end(key: str) -> None:
    assert getattr(read_delivery(statuses({"status": "x", key: "õ" * 10_000})), key) == "õ" * 300


@pytest.mark.parametrize("body", NOT_OBJECTS, ids=lambda body: repr(body[:20]))
def test_what_is_no_json_object_tells_no_status(body: bytes) -> None:
    assert read_delivery(body) == Delivery()


@pytest.mark.parametrize("found", [None, 5, "DELIVRD", {"status": "DELIVRD"}, True])
def test_statuses_that_are_no_list(found: object) -> None:
    assert read_delivery(json.dumps({"statuses": found}).encode()) == Delivery()


def test_half_a_surrogate_pair_does_not_hide_a_status() -> None:
    body = rb'{"statuses":[{"status":"DELIVRD","error":"\ud83d"}]}'
    assert read_delivery(body) == Delivery("DELIVRD")


_words: st.SearchStrategy[Any] = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(10**18, 10**40)
    | st.floats()
    | st.text()
    | st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31)).map(datetime.isoformat)
    | st.lists(st.none(), max_size=2)
)
_entries: st.SearchStrategy[Any] = st.dictionaries(
    st.sampled_from(["status", "err", "timestamp", "sender", "error"]), _words
)


@given(
    st.binary()
    | _json.map(lambda value: json.dumps({"statuses": value}).encode())
    | st.lists(_words | _entries, max_size=30).map(lambda found: statuses(*found))
)
def test_no_body_makes_reading_a_status_fail(body: bytes) -> None:
    delivery = read_delivery(body)
    assert type(delivery.err) is int
    assert delivery.err >= 0
    assert isinstance(delivery.status, str)
    assert isinstance(delivery.sender, str)
    assert delivery.timestamp is None or delivery.timestamp.utcoffset() == timedelta(0)
