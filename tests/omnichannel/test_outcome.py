"""What the API's answers mean for an ESME: the rows of the API document's section 6."""

from __future__ import annotations

import itertools
import json
import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.omnichannel.outcome import (
    ALARMING,
    BY_FIELD,
    BY_STATUS,
    STATES,
    Outcome,
    State,
    Verdict,
    judge,
    judge_crowded,
    judge_failure,
    judge_inquiry,
    read_overrides,
    state_of,
)
from gateway.omnichannel.payload import ApiError
from gateway.omnichannel.report import read_report_overrides
from gateway.smpp.constants import CommandStatus, MessageState

DOCUMENT = Path(__file__).parents[2] / "docs" / "status-table.md"
ID = "5bca2f3e-9a31-4e2b-8d8f-0c7f0c1f8f11"
HTML = b"<html><head><title>Error</title></head><body>nginx</body></html>"
ACCEPTED = json.dumps(
    {
        "messages": [{"channel": "sms", "message_id": "m", "sender": "Bank"}],
        "omnimessage_id": ID,
        "to": "+37255500001",
    }
).encode()


def errors(*entries: tuple[str | int, str | None], title: str = "Invalid data") -> bytes:
    """An error body as documented; an entry is a code and a source."""
    return json.dumps(
        {
            "errors": [
                {"code": code, "title": title, "detail": "words", "source": source}
                for code, source in entries
            ]
        }
    ).encode()


def sms(field: str) -> bytes:
    return errors(("105", f"payload[sms][{field}]"))


def top(field: str) -> bytes:
    return errors(("105", f"payload[{field}]"))


# HTTP status, body, verdict, command_status
ROWS: list[tuple[int, bytes, str, int]] = [
    # 201, and other 2xx: ROK only if the id parses
    (201, ACCEPTED, "accepted", 0x00),
    (200, ACCEPTED, "accepted", 0x00),
    (202, ACCEPTED, "accepted", 0x00),
    (201, b"", "unknown", 0x08),
    (201, b"{}", "unknown", 0x08),
    (201, HTML, "unknown", 0x08),
    (200, HTML, "unknown", 0x08),
    (201, ACCEPTED[:-1], "unknown", 0x08),
    (201, b"[" + ACCEPTED + b"]", "unknown", 0x08),
    (201, b'{"omnimessage_id":null}', "unknown", 0x08),
    (201, b'{"omnimessage_id":12345}', "unknown", 0x08),
    (201, b'{"omnimessage_id":""}', "unknown", 0x08),
    (201, json.dumps({"omnimessage_id": "a" * 65}).encode(), "unknown", 0x08),
    (201, json.dumps({"omnimessage_id": "a\0"}).encode(), "unknown", 0x08),
    (200, errors(("105", "payload[sms][sender]")), "unknown", 0x08),
    (202, b"{}", "unknown", 0x08),
    (204, b"", "unknown", 0x08),
    (226, b"", "unknown", 0x08),
    # 400 by the field at fault
    (400, sms("sender"), "refused", 0x0A),
    (400, top("sender"), "refused", 0x0A),
    (400, errors(("105", "payload[viber][sender]")), "refused", 0x0A),
    (400, errors(("105", "payload[messages][0][sender]")), "refused", 0x0A),
    (400, errors(("106", "payload[sms][sender]")), "refused", 0x0A),
    (400, errors((105, "payload[sms][sender]")), "refused", 0x0A),
    (400, top("to"), "refused", 0x0B),
    (400, errors(("105", "to")), "refused", 0x0B),
    (400, errors(("106", "payload[to]")), "refused", 0x0B),
    (400, sms("text"), "refused", 0x01),
    (400, top("time_to_send"), "refused", 0x61),
    (400, sms("validity"), "refused", 0x62),
    (400, sms("ttl"), "refused", 0x62),
    # other 400
    (400, errors(("105", None)), "refused", 0x45),
    (400, errors(("106", None), title="Missing data"), "refused", 0x45),
    (400, errors(("105", "")), "refused", 0x45),
    (400, top("messages"), "refused", 0x45),
    (400, top("priority"), "refused", 0x45),
    (400, top("dlr_url"), "refused", 0x45),
    (400, sms("autoconvert"), "refused", 0x45),
    (400, sms("udh"), "refused", 0x45),
    (400, sms("channel"), "refused", 0x45),
    (400, sms("sender_name"), "refused", 0x45),
    (400, errors(("999", None)), "refused", 0x45),
    (400, errors(("", None)), "refused", 0x45),
    (400, HTML, "refused", 0x45),
    (400, b"", "refused", 0x45),
    # 104 and 105 the other way round: the HTTP status decides
    (400, errors(("104", None), title="Internal Server Error"), "refused", 0x45),
    (400, errors(("104", "payload[sms][sender]")), "refused", 0x0A),
    (500, errors(("105", None)), "server_error", 0x08),
    (500, errors(("105", "payload[sms][sender]")), "server_error", 0x08),
    # several errors: the first that names a field of the message
    (400, errors(("105", None), ("105", "payload[sms][sender]")), "refused", 0x0A),
    (400, errors(("105", "payload[dlr_url]"), ("105", "payload[to]")), "refused", 0x0B),
    (400, errors(("105", "payload[to]"), ("105", "payload[sms][sender]")), "refused", 0x0B),
    (400, errors(("105", "payload[sms][sender]"), ("105", "payload[to]")), "refused", 0x0A),
    (400, errors(("105", None), ("106", None)), "refused", 0x45),
    # wrong shapes of JSON
    (400, b'{"errors":{"source":"payload[to]"}}', "refused", 0x45),
    (400, b'{"errors":"payload[to]"}', "refused", 0x45),
    (400, b'{"errors":[]}', "refused", 0x45),
    (400, b'{"errors":null}', "refused", 0x45),
    (400, b'{"errors":["payload[to]",null,1]}', "refused", 0x45),
    (400, b'{"errors":[{"source":["payload[to]"]}]}', "refused", 0x45),
    (400, b'{"errors":[{"source":5}]}', "refused", 0x45),
    (400, b'{"errors":[null,{"source":"payload[to]"}]}', "refused", 0x0B),
    (400, b'[{"source":"payload[to]"}]', "refused", 0x45),
    (400, b'"payload[to]"', "refused", 0x45),
    (400, b"null", "refused", 0x45),
    (400, b"[" * 100_000, "refused", 0x45),
    (400, b"\xff\xfe\xfd", "refused", 0x45),
    # our credentials, our address, our configuration
    (401, errors(("103", None), title="Unauthorized"), "unauthorized", 0x08),
    (401, errors(("105", "payload[sms][sender]")), "unauthorized", 0x08),
    (401, HTML, "unauthorized", 0x08),
    (403, errors(("102", None), title="Forbidden"), "unauthorized", 0x08),
    (403, b"", "unauthorized", 0x08),
    (404, errors(("101", None), title="Not found"), "misconfigured", 0x08),
    (404, HTML, "misconfigured", 0x08),
    (405, errors(("107", None), title="Method not allowed"), "misconfigured", 0x08),
    (415, b"", "misconfigured", 0x08),
    (407, HTML, "unauthorized", 0x08),
    # the rest of 4xx
    (402, b"", "refused", 0x45),
    (409, b"{}", "refused", 0x45),
    (422, sms("sender"), "refused", 0x45),
    (413, HTML, "refused", 0x01),
    (408, HTML, "server_error", 0x08),
    (429, HTML, "throttled", 0x58),
    (429, b"", "throttled", 0x58),
    (429, errors(("105", "payload[sms][sender]")), "throttled", 0x58),
    (499, b"", "refused", 0x45),
    # 5xx
    (500, errors(("104", None), title="Internal Server Error"), "server_error", 0x08),
    (500, b"", "server_error", 0x08),
    (501, HTML, "server_error", 0x08),
    (502, HTML, "server_error", 0x08),
    (503, HTML, "server_error", 0x08),
    (504, HTML, "server_error", 0x08),
    (599, b"", "server_error", 0x08),
    # redirects are never followed; not even when they carry an acceptance
    (301, HTML, "misconfigured", 0x08),
    (302, b"", "misconfigured", 0x08),
    (303, ACCEPTED, "misconfigured", 0x08),
    (304, b"", "misconfigured", 0x08),
    (307, b"", "misconfigured", 0x08),
    (308, b"", "misconfigured", 0x08),
    # an id in an error is no acceptance
    (400, ACCEPTED, "refused", 0x45),
    (500, ACCEPTED, "server_error", 0x08),
    # no final answer at all
    (100, ACCEPTED, "unknown", 0x08),
    (600, ACCEPTED, "unknown", 0x08),
    (999, b"", "unknown", 0x08),
]


@pytest.mark.parametrize(
    ("status", "body", "verdict", "command_status"),
    ROWS,
    ids=lambda value: repr(value[:60]) if isinstance(value, bytes) else None,
)
def test_a_row_of_the_reference(
    status: int, body: bytes, verdict: str, command_status: int
) -> None:
    outcome = judge(status, body)
    assert (outcome.verdict.value, outcome.command_status) == (verdict, command_status)
    assert outcome.message_id == (ID if verdict == "accepted" else "")
    assert outcome.http_status == status


@pytest.mark.parametrize(
    ("sent", "verdict"), [(False, Verdict.UNREACHABLE), (True, Verdict.UNKNOWN)]
)
def test_no_answer(sent: bool, verdict: Verdict) -> None:
    outcome = judge_failure(sent=sent, detail="connect: refused")
    assert outcome == Outcome(
        verdict,
        CommandStatus.ESME_RSYSERR,
        http_status=0,
        error=ApiError(detail="connect: refused"),
    )


def test_only_the_operators_own_faults_raise_an_alarm() -> None:
    assert {verdict.value for verdict in ALARMING} == {"unauthorized", "misconfigured"}


def test_an_outcome_carries_what_the_api_said() -> None:
    body = errors(("106", "payload[dlr_url]"), ("105", "payload[sms][sender]"))
    assert judge(400, body).error == ApiError(
        "105", "Invalid data", "words", "payload[sms][sender]"
    )
    assert judge(500, body).error == ApiError("106", "Invalid data", "words", "payload[dlr_url]")
    assert judge(502, HTML).error == ApiError()
    assert judge(201, b"{}").error.detail  # says why it is no acceptance


@given(st.integers(100, 999), st.binary() | st.sampled_from([row[1] for row in ROWS]))
def test_there_is_no_false_rok(status: int, body: bytes) -> None:
    outcome = judge(status, body)
    is_rok = outcome.command_status == CommandStatus.ESME_ROK
    assert is_rok == (outcome.verdict is Verdict.ACCEPTED) == bool(outcome.message_id)
    assert len(outcome.message_id) <= 64
    if is_rok:
        assert 200 <= status < 300


# Overrides

SENDER = sms("sender")
OVERRIDES: list[tuple[dict[str, str], int, bytes, str]] = [
    # each kind of key
    ({"429": "ESME_RMSGQFUL"}, 429, HTML, "ESME_RMSGQFUL"),
    ({"429": "ESME_RMSGQFUL"}, 400, HTML, "ESME_RSUBMITFAIL"),
    ({"5xx": "ESME_RMSGQFUL"}, 500, b"", "ESME_RMSGQFUL"),
    ({"5xx": "ESME_RMSGQFUL"}, 503, HTML, "ESME_RMSGQFUL"),
    ({"5xx": "ESME_RMSGQFUL"}, 429, b"", "ESME_RTHROTTLED"),
    ({"500": "ESME_RMSGQFUL"}, 503, b"", "ESME_RSYSERR"),
    ({"400": "ESME_RUNKNOWNERR"}, 422, b"", "ESME_RSUBMITFAIL"),
    ({"4xx": "ESME_RUNKNOWNERR"}, 422, b"", "ESME_RUNKNOWNERR"),
    ({"3xx": "ESME_RUNKNOWNERR"}, 302, b"", "ESME_RUNKNOWNERR"),
    ({"105": "ESME_RUNKNOWNERR"}, 400, SENDER, "ESME_RUNKNOWNERR"),
    ({"105": "ESME_RUNKNOWNERR"}, 400, errors((105, None)), "ESME_RUNKNOWNERR"),
    ({"105": "ESME_RUNKNOWNERR"}, 500, errors(("105", None)), "ESME_RUNKNOWNERR"),
    ({"105": "ESME_RUNKNOWNERR"}, 400, errors(("106", None)), "ESME_RSUBMITFAIL"),
    ({"105": "ESME_RUNKNOWNERR"}, 400, HTML, "ESME_RSUBMITFAIL"),
    ({"[sender]": "ESME_RINVSRCTON"}, 400, SENDER, "ESME_RINVSRCTON"),
    ({"[sender]": "ESME_RINVSRCTON"}, 400, top("to"), "ESME_RINVDSTADR"),
    ({"[udh]": "ESME_RINVESMCLASS"}, 400, sms("udh"), "ESME_RINVESMCLASS"),
    ({"refused": "ESME_RX_P_APPN"}, 400, SENDER, "ESME_RX_P_APPN"),
    ({"refused": "ESME_RX_P_APPN"}, 413, b"", "ESME_RX_P_APPN"),
    ({"refused": "ESME_RX_P_APPN"}, 429, b"", "ESME_RTHROTTLED"),
    ({"throttled": "ESME_RMSGQFUL"}, 429, b"", "ESME_RMSGQFUL"),
    ({"unauthorized": "ESME_RX_T_APPN"}, 403, b"", "ESME_RX_T_APPN"),
    ({"misconfigured": "ESME_RX_T_APPN"}, 404, b"", "ESME_RX_T_APPN"),
    ({"server_error": "ESME_RX_T_APPN"}, 502, b"", "ESME_RX_T_APPN"),
    ({"unknown": "ESME_RSUBMITFAIL"}, 201, b"{}", "ESME_RSUBMITFAIL"),
    # all words must match
    ({"400 [sender]": "ESME_RINVSRCTON"}, 400, SENDER, "ESME_RINVSRCTON"),
    ({"[sender] 400": "ESME_RINVSRCTON"}, 400, SENDER, "ESME_RINVSRCTON"),
    ({"500 [sender]": "ESME_RINVSRCTON"}, 400, SENDER, "ESME_RINVSRCADR"),
    ({"400 106 [sender]": "ESME_RINVSRCTON"}, 400, SENDER, "ESME_RINVSRCADR"),
    ({"400 105 [sender] refused": "ESME_RINVSRCTON"}, 400, SENDER, "ESME_RINVSRCTON"),
    ({"server_error 503": "ESME_RMSGQFUL"}, 503, b"", "ESME_RMSGQFUL"),
    ({"server_error 503": "ESME_RMSGQFUL"}, 502, b"", "ESME_RSYSERR"),
    # an acceptance cannot be overridden
    ({"refused": "ESME_RX_P_APPN", "unknown": "ESME_RX_P_APPN"}, 201, ACCEPTED, "ESME_ROK"),
    # between equals the first that stands in the file
    (
        {"[sender]": "ESME_RINVSRCTON", "105": "ESME_RUNKNOWNERR"},
        400,
        SENDER,
        "ESME_RINVSRCTON",
    ),
    (
        {"105": "ESME_RUNKNOWNERR", "[sender]": "ESME_RINVSRCTON"},
        400,
        SENDER,
        "ESME_RUNKNOWNERR",
    ),
    ({}, 400, SENDER, "ESME_RINVSRCADR"),
]


@pytest.mark.parametrize(("table", "status", "body", "name"), OVERRIDES)
def test_an_override(table: dict[str, str], status: int, body: bytes, name: str) -> None:
    plain = judge(status, body)
    outcome = judge(status, body, read_overrides(table))
    assert outcome.command_status.name == name
    # What happened stays what happened: only the ESME's view changes.
    assert (outcome.verdict, outcome.error, outcome.message_id, outcome.http_status) == (
        plain.verdict,
        plain.error,
        plain.message_id,
        plain.http_status,
    )


PRECISION = [
    ("4xx", "ESME_RX_T_APPN"),
    ("400", "ESME_RX_P_APPN"),
    ("4xx [sender]", "ESME_RX_R_APPN"),
    ("400 [sender]", "ESME_RINVSRCTON"),
    ("400 105 [sender]", "ESME_RINVSRCNPI"),
]


def test_the_most_precise_override_wins_in_any_order() -> None:
    for known in range(1, len(PRECISION) + 1):
        for order in itertools.permutations(PRECISION[:known]):
            outcome = judge(400, SENDER, read_overrides(dict(order)))
            assert outcome.command_status.name == PRECISION[known - 1][1], order


@pytest.mark.parametrize(
    ("sent", "key", "name"),
    [
        (False, "unreachable", "ESME_RX_T_APPN"),
        (False, "unknown", "ESME_RSYSERR"),
        (True, "unknown", "ESME_RX_T_APPN"),
        (True, "unreachable", "ESME_RSYSERR"),
        (True, "5xx", "ESME_RSYSERR"),
        (True, "105", "ESME_RSYSERR"),
    ],
)
def test_an_override_of_no_answer(sent: bool, key: str, name: str) -> None:
    overrides = read_overrides({key: "ESME_RX_T_APPN"})
    assert judge_failure(sent=sent, detail="", overrides=overrides).command_status.name == name


@pytest.mark.parametrize(
    "key",
    [
        "",
        " ",
        "[]",
        "accepted",
        "2xx",
        "201",
        "1xx",
        "100",
        "200",
        "600",
        "42",
        "4290",
        "4x",
        "xxx",
        "sender",
        "[sender",
        "400,401",
        "400 sender",
        "400 [sender] nonsense",
        "REFUSED",
        "-429",
        "429.0",
        # two of one kind: both can never be true
        "429 500",
        "105 106",
        "[sender] [to]",
        "refused unknown",
        "400 4xx",
    ],
)
def test_a_key_that_names_no_answer(key: str) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(key))):
        read_overrides({key: "ESME_RSYSERR"})


@pytest.mark.parametrize(
    "name", ["ESME_ROK", "RSYSERR", "esme_rsyserr", "", "0x08", "8", "__len__"]
)
def test_a_value_that_cannot_refuse(name: str) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(name))):
        read_overrides({"429": name})


# Questions about a message: 404 and 400 are about the message, the rest as for a submit.

QUERY, CANCEL = CommandStatus.ESME_RQUERYFAIL, CommandStatus.ESME_RCANCELFAIL


@pytest.mark.parametrize("unknown_message", [QUERY, CANCEL])
@pytest.mark.parametrize(
    ("status", "body", "verdict", "command_status"),
    [row for row in ROWS if row[0] not in {400, 404} and not 200 <= row[0] < 300],
    ids=lambda value: repr(value[:60]) if isinstance(value, bytes) else None,
)
def test_an_inquiry_is_judged_as_a_submit_is(
    status: int, body: bytes, verdict: str, command_status: int, unknown_message: CommandStatus
) -> None:
    outcome = judge_inquiry(status, body, unknown_message)
    assert outcome == judge(status, body)
    assert (outcome.verdict.value, outcome.command_status) == (verdict, command_status)
    assert outcome.message_id == ""


@pytest.mark.parametrize("unknown_message", [QUERY, CANCEL])
@pytest.mark.parametrize(
    ("body", "error"),
    [
        (
            errors(("101", None), title="Not found"),
            ApiError("101", "Not found", "words", ""),
        ),
        (HTML, ApiError()),
        (b"", ApiError()),
        (b'{"errors":[]}', ApiError()),
    ],
    ids=["documented", "a proxy's", "empty", "no errors"],
)
def test_an_unknown_message_is_no_misconfiguration(
    body: bytes, error: ApiError, unknown_message: CommandStatus
) -> None:
    outcome = judge_inquiry(404, body, unknown_message)
    assert outcome == Outcome(Verdict.REFUSED, unknown_message, "", 404, error)
    assert outcome.verdict not in ALARMING
    # The same answer to a submit is an alarm: there the URL is wrong.
    assert judge(404, body).verdict in ALARMING


def test_an_id_that_the_api_cannot_read_is_nobodys() -> None:
    outcome = judge_inquiry(400, errors(("105", "payload[omnimessage_id]")), QUERY)
    assert (outcome.verdict, outcome.command_status) == (Verdict.REFUSED, QUERY)


@pytest.mark.parametrize(
    ("unknown_message", "status", "body"),
    [
        (QUERY, 200, b'{"statuses":[]}'),
        (QUERY, 200, b'{"omnimessage_id":"x","to":"+372","statuses":[{"status":null}]}'),
        (CANCEL, 202, b"{}"),
        (CANCEL, 202, b" {}\n"),
        (CANCEL, 200, b'{"cancelled":true}'),
    ],
)
def test_an_inquiry_that_the_api_answered(
    unknown_message: CommandStatus, status: int, body: bytes
) -> None:
    assert judge_inquiry(status, body, unknown_message) == Outcome(
        Verdict.ANSWERED, CommandStatus.ESME_ROK, "", status
    )


@pytest.mark.parametrize("status", [200, 201, 202, 204])
@pytest.mark.parametrize("body", [HTML, b"", b"[]", b'{"errors":[{"code":"104"}]}'])
@pytest.mark.parametrize("unknown_message", [QUERY, CANCEL])
def test_a_2xx_that_answers_nothing_is_no_success(
    unknown_message: CommandStatus, body: bytes, status: int
) -> None:
    """A proxy may have written it: nothing is known to be cancelled, or in any state."""
    outcome = judge_inquiry(status, body, unknown_message)
    assert (outcome.verdict, outcome.command_status.name) == (Verdict.UNKNOWN, "ESME_RSYSERR")


def test_a_status_answer_without_statuses_is_none() -> None:
    assert judge_inquiry(200, b"{}", QUERY).verdict is Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("table", "status", "name"),
    [
        ({"429": "ESME_RMSGQFUL"}, 429, "ESME_RMSGQFUL"),
        ({"5xx": "ESME_RMSGQFUL"}, 503, "ESME_RMSGQFUL"),
        ({"unauthorized": "ESME_RX_T_APPN"}, 401, "ESME_RX_T_APPN"),
        ({"4xx": "ESME_RX_T_APPN"}, 404, "ESME_RQUERYFAIL"),
        ({"5xx": "ESME_RMSGQFUL"}, 200, "ESME_ROK"),
    ],
)
def test_an_override_of_an_inquiry(table: dict[str, str], status: int, name: str) -> None:
    outcome = judge_inquiry(status, b'{"statuses":[]}', QUERY, read_overrides(table))
    assert outcome.command_status.name == name


# API status, message_state, final: the API document's section 4.3
STATE_ROWS = [
    ("", "ENROUTE", 1, False),
    ("ACK", "ACCEPTED", 6, False),
    ("ACCEPTD", "ACCEPTED", 6, False),
    ("DELIVRD", "DELIVERED", 2, True),
    ("SEEN", "DELIVERED", 2, True),
    ("UNDELIV", "UNDELIVERABLE", 5, True),
    ("FAILED", "UNDELIVERABLE", 5, True),
    ("EXPIRED", "EXPIRED", 3, True),
    ("REJECTD", "REJECTED", 8, True),
    ("NACK", "REJECTED", 8, True),
    ("DELETED", "DELETED", 4, True),
    ("UNKNOWN", "UNKNOWN", 7, False),
]


@pytest.mark.parametrize(("status", "name", "value", "final"), STATE_ROWS)
def test_a_status_of_the_reference(status: str, name: str, value: int, final: bool) -> None:
    state = state_of(status)
    assert (state.message_state.name, int(state.message_state), state.final) == (name, value, final)


def test_every_status_stands_in_the_reference() -> None:
    assert set(STATES) == {status for status, *_ in STATE_ROWS}


@pytest.mark.parametrize("status", ["delivrd", " DELIVRD", "DELIVERED", "null", "None", "x" * 300])
def test_a_word_that_the_api_adds_later_is_unknown(status: str) -> None:
    assert state_of(status) == State(MessageState.UNKNOWN, final=False)


# The operator's page says the same as the tables.


def table_under(heading: str, column: str) -> list[dict[str, str]]:
    """The rows of the document's table that has this column, below this heading."""
    section = re.split(r"^## ", DOCUMENT.read_text("utf-8"), flags=re.M)
    [text] = [part for part in section if part.startswith(heading + "\n")]
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    start = next(index for index, row in enumerate(cells) if row[0] == column)
    rows = []
    for row in cells[start + 2 :]:
        if len(row) != len(cells[start]):
            break
        rows.append(dict(zip(cells[start], (cell.replace("`", "") for cell in row), strict=True)))
    return rows


def test_the_page_has_every_http_status() -> None:
    samples = {
        "2xx with omnimessage_id": [(200, ACCEPTED), (201, ACCEPTED), (202, ACCEPTED)],
        "2xx without it": [(200, b""), (201, b"{}"), (204, b"")],
        "3xx": [(status, b"") for status in range(300, 400)],
        "5xx": [(status, b"") for status in range(500, 600)],
        "anything else": [(100, b""), (199, b""), (600, b""), (999, b"")],
    }
    rows = table_under("The API answered", "HTTP status")
    named = {int(row["HTTP status"]) for row in rows if row["HTTP status"].isdecimal()}
    samples |= {str(status): [(status, b"")] for status in named}
    samples["other 4xx"] = [(status, b"") for status in range(400, 500) if status not in named]

    assert {row["HTTP status"] for row in rows} == set(samples)
    assert named | {300, 500} == set(BY_STATUS)
    for row in rows:
        for status, body in samples[row["HTTP status"]]:
            outcome = judge(status, body)
            assert (outcome.verdict.value, outcome.command_status.name) == (
                row["Outcome"],
                row["command_status"],
            ), status
            assert ("Logged as an error" in row["What to do"]) == (outcome.verdict in ALARMING)


def test_the_page_has_every_field() -> None:
    lines = DOCUMENT.read_text("utf-8").splitlines()
    rows = [re.fullmatch(r"\| `\[(\w+)\]` \| `(\w+)` \| .+ \|", line) for line in lines]
    told = {row[1]: row[2] for row in rows if row}
    assert told == {field: status.name for field, status in BY_FIELD.items()}
    for field, name in told.items():
        assert judge(400, sms(field)).command_status.name == name


def test_the_page_has_every_way_of_no_answer() -> None:
    rows = table_under("The API did not answer", "What happened")
    told = [(row["What happened"].split(":")[0], row["Outcome"]) for row in rows]
    assert told == [
        ("Not asked", "crowded"),
        ("Certainly not sent", "unreachable"),
        ("Perhaps sent", "unknown"),
    ]
    judged = (judge_crowded(""), *(judge_failure(sent=sent, detail="") for sent in (False, True)))
    for row, outcome in zip(rows, judged, strict=True):
        assert (outcome.command_status.name, outcome.verdict.value) == (
            row["command_status"],
            row["Outcome"],
        )


def test_the_page_has_every_outcome() -> None:
    rows = [
        *table_under("The API answered", "HTTP status"),
        *table_under("The API did not answer", "What happened"),
        *table_under("query_sm and cancel_sm", "HTTP status"),
    ]
    assert {row["Outcome"] for row in rows} == {verdict.value for verdict in Verdict}


def test_the_pages_examples_of_overrides_can_be_used() -> None:
    examples = re.findall(r"```toml\n(.*?)```", DOCUMENT.read_text("utf-8"), re.S)
    tables = tomllib.loads("".join(examples))["omnichannel"]
    assert len(read_report_overrides(tables["report_overrides"])) == 3
    table = tables["status_overrides"]
    overrides = read_overrides(table)
    assert len(overrides) == len(table) == 8
    assert judge_crowded("", overrides).command_status.name == "ESME_RMSGQFUL"
    assert judge(429, b"", overrides).command_status.name == "ESME_RMSGQFUL"
    assert judge(502, b"", overrides).command_status.name == "ESME_RMSGQFUL"
    assert judge(503, b"", overrides).command_status.name == "ESME_RTHROTTLED"
    assert judge(400, sms("udh"), overrides).command_status.name == "ESME_RINVESMCLASS"
    assert judge(201, b"", overrides).command_status.name == "ESME_RSUBMITFAIL"
