"""What the log line of a message says, and what it keeps to itself."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.bridge.accounts import Account
from gateway.bridge.journey import Journey, Origin, api_fields, event_of, part_fields
from gateway.config import AccountSettings
from gateway.message.charset import Decoded
from gateway.message.segment import Concatenation
from gateway.omnichannel.client import Credentials
from gateway.omnichannel.outcome import Outcome, Verdict
from gateway.omnichannel.payload import ApiError
from gateway.smpp.constants import CommandStatus, InterfaceVersion
from gateway.smpp.pdu import Address, SubmitSm

ID = "5bca2f3e-9a31-4e2b-8d8f-0c7f0c1f8f11"
TEXT = "Your one-time code is Zebra"
PART = Concatenation("udh8", 7, 3, 2)
_S = CommandStatus


def journey(**fields: Any) -> Journey:
    settings = AccountSettings(system_id="bank", password_hash="x")
    account = Account(settings, "x", Credentials.basic("shared", "key"))
    made = Journey(
        SubmitSm(
            7,
            source=Address(5, 0, "Bank"),
            destination=Address(1, 1, "37255512345"),
            short_message=TEXT.encode(),
        ),
        Origin("s7", account, InterfaceVersion.V34),
        lambda _: True,
        1_000.0,
    )
    for name, value in fields.items():
        setattr(made, name, value)
    return made


LEAST = {
    "session_id": "s7",
    "system_id": "bank",
    "sequence_number": 7,
    "command_status": "ESME_ROK",
    "source": "Bank",
    "destination": "37255512345",
    "seconds": 0.1235,
}


@pytest.mark.parametrize(
    ("fields", "message_id", "shown_id", "more"),
    [
        ({}, "", "", {}),
        ({}, ID, ID, {"message_id": ID}),
        ({}, ID, "5bca2f3e", {"message_id": ID, "shown_message_id": "5bca2f3e"}),
        (
            {"decoded": Decoded(TEXT, "gsm7")},
            "",
            "",
            {"charset": "gsm7", "characters": len(TEXT)},
        ),
        (
            {"decoded": Decoded("Hi", "ucs2", 2, 0, ("odd_ucs2", "guessed"))},
            "",
            "",
            {
                "charset": "ucs2",
                "characters": 2,
                "decode_errors": 2,
                "flags": ["odd_ucs2", "guessed"],
            },
        ),
        (
            {"part": PART},
            "",
            "",
            {"part": 2, "parts": 3, "reference": 7, "reference_kind": "udh8"},
        ),
        (
            {"part": PART, "base": bytes(range(16))},
            "",
            "",
            {
                "part": 2,
                "parts": 3,
                "reference": 7,
                "reference_kind": "udh8",
                "set_id": "000102030405060708090a0b0c0d0e0f",
            },
        ),
    ],
)
def test_the_line_of_a_message(
    fields: dict[str, Any], message_id: str, shown_id: str, more: dict[str, Any]
) -> None:
    event = event_of(journey(**fields), "ESME_ROK", message_id, shown_id, 0.123456)
    assert event == LEAST | more
    assert TEXT not in str(event)


def test_which_part_it_is() -> None:
    assert part_fields(Concatenation("sar", 65_535, 255, 1)) == {
        "part": 1,
        "parts": 255,
        "reference": 65_535,
        "reference_kind": "sar",
    }


# What the API said


@pytest.mark.parametrize(
    ("outcome", "fields"),
    [
        (Outcome(Verdict.ACCEPTED, _S.ESME_ROK, ID, 201), {"outcome": "accepted"}),
        (Outcome(Verdict.ANSWERED, _S.ESME_ROK, "", 200), {"outcome": "answered"}),
        (
            Outcome(Verdict.THROTTLED, _S.ESME_RTHROTTLED, "", 429),
            {"outcome": "throttled", "http_status": 429},
        ),
        (
            Outcome(
                Verdict.REFUSED,
                _S.ESME_RINVDSTADR,
                "",
                400,
                ApiError("105", "Invalid data", "no number", "payload[to]"),
            ),
            {
                "outcome": "refused",
                "http_status": 400,
                "code": "105",
                "api_source": "payload[to]",
                "detail": "no number",
            },
        ),
        # what the API left empty is left out
        (
            Outcome(Verdict.REFUSED, _S.ESME_RSUBMITFAIL, "", 404, ApiError(code="101")),
            {"outcome": "refused", "http_status": 404, "code": "101"},
        ),
        (
            Outcome(Verdict.UNKNOWN, _S.ESME_RSYSERR, error=ApiError(detail="cut: reset")),
            {"outcome": "unknown", "detail": "cut: reset"},
        ),
        # an unknown outcome of a 2xx names its status
        (
            Outcome(Verdict.UNKNOWN, _S.ESME_RSYSERR, "", 201, ApiError(detail="no id")),
            {"outcome": "unknown", "http_status": 201, "detail": "no id"},
        ),
    ],
)
def test_what_the_api_said(outcome: Outcome, fields: dict[str, Any]) -> None:
    assert api_fields(outcome) == fields
    assert api_fields(outcome, TEXT) == fields


def said(**words: str) -> dict[str, object]:
    outcome = Outcome(Verdict.REFUSED, _S.ESME_RSUBMITFAIL, "", 400, ApiError(**words))
    return api_fields(outcome, TEXT)


@pytest.mark.parametrize(
    ("words", "logged"),
    [
        (f"Disallowed text '{TEXT}'", "Disallowed text '[text]'"),
        (f"{TEXT}, {TEXT}!", "[text], [text]!"),
        (TEXT, "[text]"),
        # cut off where the words ended, so the rest goes too
        (f"Bad text: {TEXT[:25]}", "Bad text: [text]"),
        (f"Bad text: {TEXT[:20]}", "Bad text: [text]"),
        # both
        (f"{TEXT} or {TEXT[:22]}", "[text] or [text]"),
        ("no such number", "no such number"),
    ],
)
def test_an_api_that_quotes_the_text_does_not_bring_it_into_the_log(
    words: str, logged: str
) -> None:
    assert said(detail=words)["detail"] == logged
    assert said(source=words)["api_source"] == logged
    assert said(code=words)["code"] == logged


@pytest.mark.parametrize(
    ("text", "words", "logged"),
    [
        ("his", "This is wrong", "This is wrong"),  # too short to tell it from words
        ("is w", "This is wrong", "This [text]rong"),
        ("", "This is wrong", "This is wrong"),
    ],
)
def test_a_text_of_a_few_characters(text: str, words: str, logged: str) -> None:
    outcome = Outcome(
        Verdict.REFUSED, _S.ESME_RSUBMITFAIL, "", 400, ApiError(detail=words, code="105")
    )
    assert api_fields(outcome, text) == {
        "outcome": "refused",
        "http_status": 400,
        "code": "105",
        "detail": logged,
    }


# Without the marks of what takes its place.
_texts = st.characters(exclude_characters="[]")


@given(
    st.text(_texts, min_size=20, max_size=60),
    st.text(_texts, max_size=20),
    st.text(_texts, max_size=20),
    st.integers(20, 60),
)
def test_no_twenty_characters_of_a_text_stay(
    text: str, before: str, after: str, length: int
) -> None:
    """Quoted whole, with words behind it, or cut off at the end."""
    words = before + text[:length] + (after if length >= len(text) else "")
    outcome = Outcome(Verdict.REFUSED, _S.ESME_RSUBMITFAIL, error=ApiError(detail=words))
    detail = api_fields(outcome, text)["detail"]
    assert isinstance(detail, str)
    assert text[:20] not in detail
