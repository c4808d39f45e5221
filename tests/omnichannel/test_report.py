"""Delivery reports of the API (API document section 4) and what receipts say of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.omnichannel.outcome import STATES
from gateway.omnichannel.report import (
    STATS,
    DeliveryReport,
    ReportOverride,
    judge_report,
    read_report,
    read_report_overrides,
)
from gateway.smpp.constants import MessageState

ID = "5bca2f3e-9a31-4e2b-8d8f-0c7f0c1f8f11"
AT = datetime(2020, 2, 4, 8, 9, 42, 389_630, tzinfo=UTC)
SAMPLE = {
    "status": "DELIVRD",
    "sender": "MySender",
    "err": 0,
    "message_id": "0f1e2d3c-0000-4000-8000-000000000000",
    "to": "+3725555555",
    "channel": "sms",
    "error": None,
    "omnimessage_id": ID,
    "timestamp": "2020-02-04T08:09:42.389630",
    "price_info": {"part_price": "0.1", "parts_count": 2, "total_price": "0.2"},
}
REPORT = DeliveryReport(ID, "DELIVRD", 0, "", AT, "+3725555555", "sms")


def body(**changed: object) -> bytes:
    return json.dumps({**SAMPLE, **changed}).encode()


# A callback's body


@pytest.mark.parametrize(
    ("octets", "report"),
    [
        (body(), REPORT),
        (b"\xef\xbb\xbf " + body() + b"\n", REPORT),
        (body(new={"key": [1]}), REPORT),
        (json.dumps({"omnimessage_id": ID}).encode(), DeliveryReport(ID)),
        (
            body(status=None, err=None, timestamp=None, price_info=None),  # in process
            REPORT._replace(status="", timestamp=None),
        ),
        (body(status="UNDELIV", err=3), REPORT._replace(status="UNDELIV", err=3)),
        (body(status="UNDELIV", err="3"), REPORT._replace(status="UNDELIV", err=3)),  # 2019
        (body(error="Absent"), REPORT._replace(error="Absent")),
        (body(status="BRAND_NEW"), REPORT._replace(status="BRAND_NEW")),
        (
            body(status=["DELIVRD"], to=None, channel={}),
            REPORT._replace(status="", to="", channel=""),
        ),
        (body(timestamp="2020-02-04T10:09:42.389630+02:00"), REPORT),
        (body(timestamp="2020-02-04T08:09:42.389630Z"), REPORT),
        (body(timestamp="soon"), REPORT._replace(timestamp=None)),
    ],
)  # fmt: skip
def test_a_callback(octets: bytes, report: DeliveryReport) -> None:
    found = read_report(octets)
    assert found == report
    assert not found.timestamp or found.timestamp.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"OK",
        b"null",
        b"[" + body() + b"]",
        body()[:-1],
        b"status=DELIVRD&omnimessage_id=" + ID.encode(),
        b"\xff\xfe\x00",
        b"[" * 100_000,
        json.dumps({"statuses": [SAMPLE]}).encode(),  # a status answer is no callback
        *(body(omnimessage_id=found) for found in (None, "", 5, True, ["x"], "a\0", "õ", "x" * 65)),
    ],
    ids=lambda octets: repr(octets[:40]),
)
def test_what_is_no_callback(octets: bytes) -> None:
    assert read_report(octets) is None


@pytest.mark.parametrize("key", ["status", "error", "to", "channel"])
def test_words_have_an_end(key: str) -> None:
    assert getattr(read_report(body(**{key: "õ" * 10_000})), key) == "õ" * 300


_json: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*SAMPLE, "statuses"]), inner)
    ),
    max_leaves=8,
)


@given(st.binary() | _json.map(lambda value: json.dumps(value).encode()))
def test_no_body_makes_reading_fail(octets: bytes) -> None:
    report = read_report(octets)
    if report is not None:
        judged = judge_report(report.status, report.err)
        assert 0 <= judged.err <= 999
        assert not report.timestamp or report.timestamp.utcoffset() == timedelta(0)


# What it means: API document section 4.3

ROWS = [
    # status, err, stat, kind, err of the receipt
    ("", 0, "ENROUTE", "none", 0),
    ("", 5, "ENROUTE", "none", 0),
    ("ACK", 0, "ACCEPTED", "interim", 0),
    ("ACCEPTD", 0, "ACCEPTED", "interim", 0),
    ("DELIVRD", 0, "DELIVERED", "final", 0),
    ("DELIVRD", 999, "DELIVERED", "final", 0),
    ("SEEN", 10, "DELIVERED", "final", 0),
    ("UNDELIV", 1, "UNDELIVERABLE", "final", 1),
    ("UNDELIV", 3, "UNDELIVERABLE", "final", 3),
    ("UNDELIV", 0, "UNDELIVERABLE", "final", 255),
    ("UNDELIV", 999, "UNDELIVERABLE", "final", 999),
    ("UNDELIV", 1000, "UNDELIVERABLE", "final", 255),
    ("UNDELIV", 10**290, "UNDELIVERABLE", "final", 255),
    ("FAILED", 9, "UNDELIVERABLE", "final", 9),
    ("EXPIRED", 2, "EXPIRED", "final", 2),
    ("REJECTD", 8, "REJECTED", "final", 8),
    ("NACK", 0, "REJECTED", "final", 255),
    ("DELETED", 0, "DELETED", "final", 255),
    ("UNKNOWN", 0, "UNKNOWN", "unknown", 255),
    ("BRAND_NEW", 7, "UNKNOWN", "unknown", 7),
    ("delivrd", 0, "UNKNOWN", "unknown", 255),
]


@pytest.mark.parametrize(("status", "err", "state", "kind", "printed"), ROWS)
def test_a_row_of_the_reference(status: str, err: int, state: str, kind: str, printed: int) -> None:
    assert judge_report(status, err) == (MessageState[state], kind, printed)


def test_finality_is_the_one_of_query_sm() -> None:
    for status, state in STATES.items():
        judged = judge_report(status, 0)
        assert (judged.kind == "final") is state.final, status
        assert judged.message_state is state.message_state


def test_the_words_of_receipts_are_words_of_the_api() -> None:
    assert len({STATES[stat].message_state for stat in STATS}) == len(STATS) == 7


# Overrides

OVERRIDES: list[tuple[dict[str, str], str, int, str, str, int]] = [
    # the table, a report, what it becomes
    ({"UNDELIV 3": "REJECTD 003"}, "UNDELIV", 3, "REJECTED", "final", 3),
    ({"UNDELIV 3": "REJECTD 042"}, "UNDELIV", 3, "REJECTED", "final", 42),
    ({"UNDELIV 3": "REJECTD 042"}, "UNDELIV", 4, "UNDELIVERABLE", "final", 4),
    ({"UNDELIV 3": "REJECTD 042"}, "FAILED", 3, "UNDELIVERABLE", "final", 3),
    ({"3 UNDELIV": "REJECTD"}, "UNDELIV", 3, "REJECTED", "final", 3),
    ({"FAILED": "REJECTD"}, "FAILED", 9, "REJECTED", "final", 9),
    ({"FAILED": "REJECTD"}, "FAILED", 0, "REJECTED", "final", 255),
    ({"8": "REJECTD"}, "UNDELIV", 8, "REJECTED", "final", 8),
    ({"008": "REJECTD"}, "UNDELIV", 8, "REJECTED", "final", 8),
    ({"8": "REJECTD"}, "UNDELIV", 80, "UNDELIVERABLE", "final", 80),
    ({"1234": "REJECTD 001"}, "UNDELIV", 1234, "REJECTED", "final", 1),
    ({"0": "EXPIRED"}, "UNDELIV", 0, "EXPIRED", "final", 255),
    ({"UNDELIV": "001"}, "UNDELIV", 9, "UNDELIVERABLE", "final", 1),
    ({"UNDELIV": "000"}, "UNDELIV", 9, "UNDELIVERABLE", "final", 0),
    ({"DELIVRD": "007"}, "DELIVRD", 0, "DELIVERED", "final", 7),
    ({"UNKNOWN": "DELIVRD"}, "UNKNOWN", 5, "DELIVERED", "final", 0),
    ({"DELIVRD": "UNDELIV"}, "DELIVRD", 0, "UNDELIVERABLE", "final", 255),
    ({"FAILED": "ACCEPTD"}, "FAILED", 3, "ACCEPTED", "interim", 0),
    ({"NACK": "UNKNOWN"}, "NACK", 3, "UNKNOWN", "unknown", 3),
    ({"ACK": "DELIVRD"}, "ACK", 0, "DELIVERED", "final", 0),
    ({"BLOCKED": "REJECTD"}, "BLOCKED", 0, "REJECTED", "final", 255),
    ({"SENT": "ACCEPTD"}, "SENT", 0, "ACCEPTED", "interim", 0),
    # a message in process is none
    ({"0": "EXPIRED"}, "", 0, "ENROUTE", "none", 0),
    # the most precise first, whatever their order: both, err, status
    ({"FAILED": "REJECTD", "FAILED 2": "EXPIRED"}, "FAILED", 2, "EXPIRED", "final", 2),
    ({"2": "REJECTD", "FAILED 2": "EXPIRED"}, "FAILED", 2, "EXPIRED", "final", 2),
    ({"FAILED": "REJECTD", "2": "EXPIRED"}, "FAILED", 2, "EXPIRED", "final", 2),
    ({"2": "EXPIRED", "FAILED": "REJECTD"}, "FAILED", 2, "EXPIRED", "final", 2),
    ({"2": "EXPIRED", "FAILED": "REJECTD"}, "FAILED", 3, "REJECTED", "final", 3),
    # one of them decides, the others add nothing
    ({"FAILED": "REJECTD 001", "2": "EXPIRED"}, "FAILED", 2, "EXPIRED", "final", 2),
    ({}, "FAILED", 2, "UNDELIVERABLE", "final", 2),
]  # fmt: skip


@pytest.mark.parametrize(("table", "status", "err", "state", "kind", "printed"), OVERRIDES)
def test_an_override(
    table: dict[str, str], status: str, err: int, state: str, kind: str, printed: int
) -> None:
    judged = judge_report(status, err, read_report_overrides(table))
    assert judged == (MessageState[state], kind, printed)


def test_overrides_as_values() -> None:
    found = read_report_overrides({"FAILED": "001", " UNDELIV  3 ": " REJECTD  003 "})
    assert found == (
        ReportOverride("UNDELIV", 3, MessageState.REJECTED, 3),
        ReportOverride("FAILED", None, None, 1),
    )


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("", "REJECTD", "'' names no report"),
        (" ", "REJECTD", "' ' names no report"),
        ("failed", "REJECTD", "'failed': 'failed' is neither a status (UNDELIV) nor an err (3)"),
        ("FAILED, 3", "REJECTD", "'FAILED,' is neither"),
        ("5xx", "REJECTD", "'5xx' is neither"),
        ("-1", "REJECTD", "'-1' is neither"),
        ("١", "REJECTD", "'١' is neither"),
        ("123456", "REJECTD", "'123456' is neither"),
        ("FAILED NACK", "REJECTD", "'NACK' is a second word of one kind"),
        ("3 4", "REJECTD", "'4' is a second word of one kind"),
        ("DELIVERED", "REJECTD", "'DELIVERED' is no status, did you mean 'DELIVRD'?"),
        ("REJECTED 3", "REJECTD", "did you mean 'REJECTD'?"),
        ("UNDELIVERED", "REJECTD", "did you mean 'UNDELIV'?"),
        ("FAIL", "REJECTD", "did you mean 'FAILED'?"),
        ("FAILED", "", "'FAILED' has no value"),
        ("FAILED", "FAILED", "'FAILED' is no stat (DELIVRD, EXPIRED,"),
        ("FAILED", "REJECTED", "'REJECTED' is no stat"),
        ("FAILED", "rejectd", "'rejectd' is no stat"),
        ("FAILED", "ENROUTE", "'ENROUTE' is no stat"),
        ("FAILED", "REJECTD 3", "'REJECTD 3' is no stat (DELIVRD, EXPIRED, DELETED, UNDELIV, "
                                "ACCEPTD, UNKNOWN, REJECTD) with three digits behind it"),
        ("FAILED", "REJECTD 1000", "'REJECTD 1000' is no stat"),
        ("FAILED", "REJECTD 00x", "is no stat"),
        ("FAILED", "REJECTD ٠٠٣", "is no stat"),
        ("FAILED", "REJECTD 003 004", "is no stat"),
        ("FAILED", "3", "'3' is no stat"),
        ("FAILED", "1000", "'1000' is no stat"),
        ("FAILED", "003 REJECTD", "is no stat"),
    ],
)  # fmt: skip
def test_an_override_that_cannot_be_read(key: str, value: str, words: str) -> None:
    with pytest.raises(ValueError, match=r".") as wrong:
        read_report_overrides({"NACK": "UNDELIV", key: value})
    assert words in str(wrong.value)
    assert repr(key) in str(wrong.value)


@given(st.text(max_size=12), st.text(max_size=12))
def test_any_override_is_read_or_refused(key: str, value: str) -> None:
    try:
        [override] = read_report_overrides({key: value})
    except ValueError:
        return
    assert override.status or override.err is not None
    assert override.message_state is not None or override.printed is not None
