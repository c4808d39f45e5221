"""From a query_sm or cancel_sm to its response, its log line and its metrics.

The client of the API is the real one over a scripted transport, the store is the real one in
memory.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock

from gateway import logs
from gateway.bridge.accounts import Account
from gateway.bridge.inquiries import Inquiries
from gateway.bridge.journey import Origin
from gateway.bridge.load import Load
from gateway.bridge.message_ids import MessageIds
from gateway.bridge.sent_ids import SentIds
from gateway.config import AccountSettings, LogSettings
from gateway.metrics import Metrics
from gateway.omnichannel.client import Credentials, OmnichannelClient
from gateway.omnichannel.outcome import read_overrides
from gateway.omnichannel.transport import FailureKind, HttpAnswer
from gateway.smpp.codec import decode, encode
from gateway.smpp.constants import CommandStatus, InterfaceVersion, MessageState, name_of
from gateway.smpp.effects import Inquiry
from gateway.smpp.message_id import base_of, of_part, printable
from gateway.smpp.pdu import Address, CancelSm, CancelSmResp, QuerySm, QuerySmResp, SubmitSm
from gateway.smpp.versions import Response, adapted
from tests.bridge.direct_store import DirectStore
from tests.omnichannel.scripted_transport import Post, Step, failure, in_turn, refused, run
from tests.omnichannel.test_client import AskedTransport

ID = "5bca2f3e-9a31-4e2b-8d8f-0c7f0c1f8f11"
HEX = ID.replace("-", "")
DECIMAL = str(int(HEX, 16))
OWN = of_part(base_of(bytes(range(16))), 2)
FROM = "37255567890"
SOURCE, DESTINATION = Address(1, 1, FROM), Address(1, 1, "37255512345")
NOON = datetime(2026, 7, 15, 12, tzinfo=UTC).timestamp()
V33, V34, V50 = InterfaceVersion.V33, InterfaceVersion.V34, InterfaceVersion.V50
_S = CommandStatus
OK = _S.ESME_ROK


def told(*entries: dict[str, Any], after: float = 0.0) -> Step:
    """An answer to GET status with these entries."""
    body = {"omnimessage_id": ID, "to": "+37255512345", "statuses": list(entries)}
    return Step(HttpAnswer(200, json.dumps(body).encode()), after)


DELIVERED = {
    "status": "DELIVRD",
    "channel": "sms",
    "message_id": "m",
    "error": None,
    "err": 0,
    "timestamp": "2020-02-04T08:09:42.389630",
    "sender": f"+{FROM}",
    "to": "+37255512345",
}
AT = "200204080942000+"
CANCELLED = Step(HttpAnswer(202, b"{}"))


def query(message_id: str = ID, **fields: Any) -> QuerySm:
    return QuerySm(3, message_id=message_id, **fields)


def cancel(message_id: str = ID, **fields: Any) -> CancelSm:
    return CancelSm(4, message_id=message_id, **fields)


STORES: list[DirectStore] = []  # of this test


def new_store() -> DirectStore:
    STORES.append(DirectStore())
    return STORES[-1]


class Trial:
    """Inquiries with everything behind them; what leaves must be a PDU that can be sent.

    `own` are the ids that the account is known to have been given; None stands for a gateway
    with a single account.
    """

    def __init__(
        self,
        *steps: Step,
        script: Callable[[Post], Step] | None = None,
        own: list[str] | None = None,
        version: InterfaceVersion = V34,
        overrides: dict[str, str] | None = None,
        log: LogSettings | None = None,
        log_messages: bool = True,
        name_accounts: bool = True,
        **account: Any,
    ) -> None:
        self.stream = io.StringIO()
        logs.configure(log or LogSettings(format="json"), self.stream)
        self.clock = Clock()
        self.clock.advance(1_000.0)
        self.transport = AskedTransport(self.clock, script or in_turn(*steps))
        self.metrics = Metrics(name_accounts=name_accounts)
        self.store = new_store()
        api = OmnichannelClient(
            self.transport,
            self.clock,
            self.metrics,
            read_overrides(overrides or {}),
            fail_fast_after=0,  # each uses its whole deadline
        )
        self.ids = MessageIds(self.store, self.clock.seconds, logs.get())
        self.inquiries = Inquiries(
            api,
            self.ids,
            self.clock,
            lambda: NOON,
            self.metrics,
            logs.get(),
            Load(self.metrics),
            log_messages=log_messages,
        )
        sent = None if own is None else SentIds(100)
        for one in own or []:
            assert sent is not None
            sent.add(one)
        self.account = self.new_account("bank", sent, **account)
        self.version = version
        self.reachable = True
        self.answers: list[Response] = []
        self.answered_at: list[float] = []

    def new_account(self, system_id: str, sent: SentIds | None = None, **fields: Any) -> Account:
        account = AccountSettings(system_id=system_id, password_hash="x", **fields)
        return Account(account, "x", Credentials.basic("shared", "key"), sent)

    @property
    def origin(self) -> Origin:
        return Origin("s7", self.account, self.version)

    def respond(self, response: Response) -> bool:
        seen = adapted(response, self.version)
        assert decode(encode(seen)) == seen
        self.answers.append(response)
        self.answered_at.append(self.clock.seconds())
        return self.reachable

    def ask(
        self, pdu: Inquiry | None = None, *, waited: float | None = None, by: Account | None = None
    ) -> Trial:
        """`waited` is how many seconds ago it was received; `by` is another account."""
        origin = Origin("s8", by, self.version) if by else self.origin
        received_at = None if waited is None else self.clock.seconds() - waited
        self.inquiries.inquire(pdu or query(), origin, self.respond, received_at)
        return self

    def run(self, seconds: float = 60.0) -> None:
        run(self.clock, seconds)

    @property
    def response(self) -> Any:
        [response] = self.answers
        return response

    @property
    def status(self) -> str:
        return name(self.response)

    @property
    def asked(self) -> list[str]:
        return [
            f"{method} {post.path}"
            for method, post in zip(self.transport.methods, self.transport.posts, strict=True)
        ]

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream.getvalue().split("\n") if line]

    @property
    def line(self) -> dict[str, Any]:
        [line] = self.lines
        return line

    def value(self, metric: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"smppgw_{metric}", labels)

    def count(self, command_id: str, command_status: str) -> float | None:
        return self.value(
            "inquiries_total",
            system_id="bank",
            command_id=command_id,
            command_status=command_status,
        )


def name(response: Response) -> str:
    return name_of(CommandStatus, response.command_status)


@pytest.fixture(autouse=True)
def own_log_and_stores() -> Iterator[None]:
    yield
    structlog.reset_defaults()
    while STORES:
        STORES.pop().close()


# What the API says of a message: its document's sections 4.2 to 4.4

STATES = [
    (None, "ENROUTE", False),
    ("ACK", "ACCEPTED", False),
    ("ACCEPTD", "ACCEPTED", False),
    ("DELIVRD", "DELIVERED", True),
    ("SEEN", "DELIVERED", True),
    ("UNDELIV", "UNDELIVERABLE", True),
    ("FAILED", "UNDELIVERABLE", True),
    ("EXPIRED", "EXPIRED", True),
    ("REJECTD", "REJECTED", True),
    ("NACK", "REJECTED", True),
    ("DELETED", "DELETED", True),
    ("UNKNOWN", "UNKNOWN", False),
    ("LATER_WORD", "UNKNOWN", False),
]
SUCCESSES = {"ENROUTE", "ACCEPTED", "DELIVERED"}


@pytest.mark.parametrize(("status", "state", "final"), STATES)
def test_a_query(status: str | None, state: str, final: bool) -> None:
    trial = Trial(told({**DELIVERED, "status": status, "err": 3})).ask()
    assert trial.response == QuerySmResp(
        3,
        OK,
        ID,
        AT if final else "",
        MessageState[state],
        0 if state in SUCCESSES else 3,
    )
    assert trial.asked == [f"GET /omnimessage/{ID}/status"]
    assert trial.transport.posts[0].authorization == trial.account.credentials.authorization
    line = trial.line
    del line["timestamp"]
    assert line == {
        "level": "info",
        "event": "inquiry_answered",
        "session_id": "s7",
        "system_id": "bank",
        "command": "query_sm",
        "sequence_number": 3,
        "command_status": "ESME_ROK",
        "seconds": 0.0,
        "message_id": ID,
        "status": status or "in process",
        "outcome": "answered",
    }
    assert trial.count("query_sm", "ESME_ROK") == 1


def test_a_message_of_which_nothing_is_known_yet() -> None:
    trial = Trial(told()).ask()
    assert trial.response == QuerySmResp(3, OK, ID, "", MessageState.ENROUTE, 0)
    assert trial.line["status"] == "in process"


@pytest.mark.parametrize(
    ("entries", "state"),
    [
        ([{"status": "ACCEPTD"}, {"status": "DELIVRD"}], MessageState.DELIVERED),
        ([{"status": "UNDELIV"}, {"status": "ACK"}], MessageState.ACCEPTED),
        ([{"status": "ACCEPTD"}, {"status": None}], MessageState.ACCEPTED),
        ([{"status": None}, {"status": None}], MessageState.ENROUTE),
    ],
)
def test_of_several_statuses_the_newest_that_says_something(
    entries: list[dict[str, Any]], state: MessageState
) -> None:
    assert Trial(told(*entries)).ask().response.message_state == state


@pytest.mark.parametrize(
    ("err", "error_code"),
    [
        (0, 0),
        (1, 1),
        ("4", 4),
        (254, 254),
        (255, 255),
        (256, 255),
        (999, 255),  # one octet
        ("999", 255),
        (None, 0),
        ("x", 0),
        (-1, 0),
        ("9" * 5_000, 255),
    ],
)
def test_the_error_code_of_a_message_that_failed(err: object, error_code: int) -> None:
    trial = Trial(told({"status": "UNDELIV", "err": err})).ask()
    assert (trial.response.message_state, trial.response.error_code) == (5, error_code)


@pytest.mark.parametrize(
    ("timestamp", "final_date"),
    [
        ("2020-02-04T08:09:42.389630", AT),
        ("2020-02-04T08:09:42Z", AT),
        ("2020-02-04T10:09:42+02:00", AT),
        (None, ""),
        ("", ""),
        ("soon", ""),
        (1_580_803_782, ""),
        # years that the form cannot name
        ("1999-12-31T23:59:59", ""),
        ("2100-01-01T00:00:00", ""),
        ("2000-01-01T01:00:00+02:00", ""),
    ],
)
def test_the_final_date(timestamp: object, final_date: str) -> None:
    response = Trial(told({"status": "DELIVRD", "timestamp": timestamp})).ask().response
    assert (response.final_date, response.message_state) == (final_date, MessageState.DELIVERED)


# What the API says otherwise


@pytest.mark.parametrize(
    ("step", "status", "level", "outcome"),
    [
        (refused(401, "103"), "ESME_RSYSERR", "error", "unauthorized"),
        (refused(403, "102"), "ESME_RSYSERR", "error", "unauthorized"),
        (refused(405, "107"), "ESME_RSYSERR", "error", "misconfigured"),
        (Step(HttpAnswer(302, b"")), "ESME_RSYSERR", "error", "misconfigured"),
        (Step(HttpAnswer(429, b"<html>")), "ESME_RTHROTTLED", "warning", "throttled"),
        (refused(500, "104"), "ESME_RSYSERR", "warning", "server_error"),
        (Step(HttpAnswer(502, b"<html>")), "ESME_RSYSERR", "warning", "server_error"),
        (failure(FailureKind.CUT, sent=True), "ESME_RSYSERR", "warning", "unknown"),
        (failure(FailureKind.TIMEOUT, sent=True), "ESME_RSYSERR", "warning", "unknown"),
        (failure(FailureKind.CLOSED, sent=False), "ESME_RSYSERR", "warning", "unreachable"),
    ],
)
@pytest.mark.parametrize("pdu", [query(), cancel()], ids=["query_sm", "cancel_sm"])
def test_a_question_that_the_api_does_not_answer(
    pdu: Inquiry, step: Step, status: str, level: str, outcome: str
) -> None:
    trial = Trial(step).ask(pdu)
    if isinstance(pdu, QuerySm):
        assert trial.response == QuerySmResp(3, CommandStatus[status])
    else:
        assert trial.response == CancelSmResp(4, CommandStatus[status])
    line = trial.line
    assert (line["event"], line["level"], line["outcome"]) == ("inquiry_refused", level, outcome)
    assert (line["command"], line["command_status"]) == (pdu.command_id.name, status)
    assert line["message_id"] == ID
    assert trial.count(pdu.command_id.name, status) == 1
    assert len(trial.transport.posts) == 1


@pytest.mark.parametrize(
    ("pdu", "status"),
    [(query(), "ESME_RQUERYFAIL"), (cancel(), "ESME_RCANCELFAIL")],
    ids=["query_sm", "cancel_sm"],
)
def test_a_message_that_the_api_does_not_know(pdu: Inquiry, status: str) -> None:
    trial = Trial(refused(404, "101", detail="no such message")).ask(pdu)
    assert trial.status == status
    line = trial.line
    assert (line["event"], line["level"]) == ("inquiry_refused", "warning")
    assert (line["http_status"], line["code"]) == (404, "101")
    assert (line["outcome"], line["detail"]) == ("refused", "no such message")
    assert trial.count(pdu.command_id.name, status) == 1


def test_an_override() -> None:
    trial = Trial(refused(429), overrides={"429": "ESME_RMSGQFUL"}).ask()
    assert trial.status == trial.line["command_status"] == "ESME_RMSGQFUL"


@pytest.mark.parametrize(("version", "shown"), [(V34, "ESME_RSUBMITFAIL"), (V50, "ESME_RINVDCS")])
def test_a_status_is_counted_and_logged_as_the_esme_sees_it(
    version: InterfaceVersion, shown: str
) -> None:
    trial = Trial(refused(500), version=version, overrides={"500": "ESME_RINVDCS"}).ask()
    assert name(adapted(trial.response, version)) == trial.line["command_status"] == shown
    assert trial.count("query_sm", shown) == 1


# cancel_sm


@pytest.mark.parametrize("pdu", [cancel(), cancel(source=Address(1, 1, "1"), service_type="CMT")])
def test_a_cancellation(pdu: CancelSm) -> None:
    trial = Trial(CANCELLED).ask(pdu)
    assert trial.response == CancelSmResp(4, OK)
    assert trial.asked == [f"DELETE /omnimessage/{ID}"]
    line = trial.line
    assert (line["event"], line["command"]) == ("inquiry_answered", "cancel_sm")
    assert (line["message_id"], line["outcome"]) == (ID, "answered")
    assert "status" not in line
    assert trial.count("cancel_sm", "ESME_ROK") == 1


def schedule(
    trial: Trial, *message_ids: str, at: str = "2026-07-15T13:00:00Z", **fields: Any
) -> Trial:
    """The API has taken these for later."""
    between = {"source": SOURCE, "destination": DESTINATION, **fields}
    for message_id in message_ids:
        trial.account.remember(message_id, SubmitSm(1, **between), at)
    return trial


def between(source: Address = SOURCE, destination: Address = DESTINATION, **more: Any) -> CancelSm:
    return cancel("", source=source, destination=destination, **more)


def test_a_cancellation_of_all_between_two_addresses() -> None:
    trial = schedule(Trial(CANCELLED), "one", "two")
    schedule(trial, "other", destination=Address(1, 1, "37255512346"))
    schedule(trial, "another", source=Address(5, 0, "Bank"))
    trial.ask(between())
    assert trial.response == CancelSmResp(4, OK)
    assert trial.asked == ["DELETE /omnimessage/one", "DELETE /omnimessage/two"]
    line = trial.line
    assert (line["messages"], line["cancelled"]) == (2, 2)
    # What is cancelled cannot be cancelled again.
    trial.ask(between())
    assert name(trial.answers[1]) == "ESME_RCANCELFAIL"
    assert len(trial.asked) == 2


def test_one_cancellation_cancels_no_more_than_a_hundred() -> None:
    trial = schedule(Trial(CANCELLED), *(f"id-{number:03}" for number in range(250)))
    for left in (150, 50, 0):
        trial.ask(between())
        assert len(trial.asked) == 250 - left
    assert {name(answer) for answer in trial.answers} == {"ESME_ROK"}
    assert len(trial.stream.getvalue()) < 3_000


def test_a_fault_among_many_cancellations_is_told_with_its_cause() -> None:
    def script(post: Post) -> Step:
        raise RuntimeError("a transport that breaks its contract")

    trial = schedule(Trial(script=script), "one", "two")
    trial.ask(between())
    assert trial.status == "ESME_RSYSERR"
    assert "breaks its contract" in trial.stream.getvalue()


@pytest.mark.parametrize("message_id", [".", "..", "..."])
def test_an_id_of_dots_leads_nowhere(message_id: str) -> None:
    """A URL's ".." is another page, however it is quoted."""
    trial = Trial(CANCELLED)
    trial.ask(cancel(message_id))
    trial.ask(query(message_id))
    assert [name(answer) for answer in trial.answers] == ["ESME_RCANCELFAIL", "ESME_RQUERYFAIL"]
    assert trial.asked == []


@pytest.mark.parametrize("ask", [query(), cancel()])
def test_a_2xx_that_says_nothing_is_no_answer(ask: Inquiry) -> None:
    trial = Trial(Step(HttpAnswer(200, b"<html>")))
    trial.ask(ask)
    assert trial.status == "ESME_RSYSERR"
    assert trial.line["outcome"] == "unknown"


def test_a_service_type_narrows_a_cancellation_down() -> None:
    trial = schedule(Trial(CANCELLED), "plain")
    schedule(trial, "wap", service_type="WAP")
    trial.ask(between(service_type="WAP"))
    assert trial.asked == ["DELETE /omnimessage/wap"]
    trial.ask(between())
    assert trial.asked[1:] == ["DELETE /omnimessage/plain"]


def test_a_message_whose_time_has_come_is_not_cancelled() -> None:
    trial = schedule(Trial(CANCELLED), "due", at="2026-07-15T12:00:00Z")
    schedule(trial, "at once", at="")
    trial.ask(between())
    assert (trial.status, trial.asked) == ("ESME_RCANCELFAIL", [])


def test_a_message_that_was_cancelled_by_its_id_is_not_cancelled_again() -> None:
    trial = schedule(Trial(CANCELLED), ID).ask(cancel(ID)).ask(between())
    assert [name(answer) for answer in trial.answers] == ["ESME_ROK", "ESME_RCANCELFAIL"]
    assert len(trial.asked) == 1


@pytest.mark.parametrize(
    ("steps", "status", "left"),
    [
        ([CANCELLED, refused(404)], "ESME_ROK", 1),
        ([refused(404), CANCELLED], "ESME_ROK", 1),
        ([refused(500), CANCELLED], "ESME_ROK", 1),
        ([refused(404), refused(404)], "ESME_RCANCELFAIL", 2),
        ([refused(429), refused(429)], "ESME_RTHROTTLED", 2),
    ],
)
def test_one_of_several_that_was_cancelled_is_enough(
    steps: list[Step], status: str, left: int
) -> None:
    trial = schedule(Trial(*steps, CANCELLED), "one", "two").ask(between())
    assert trial.status == status
    assert trial.count("cancel_sm", status) == 1
    # What could not be cancelled is tried again when the ESME asks again.
    trial.ask(between())
    assert len(trial.asked) == 2 + left


def test_several_cancellations_are_asked_at_once_and_meet_one_deadline() -> None:
    hang = CANCELLED._replace(after=10_000.0)
    trial = schedule(Trial(hang), "one", "two", "three").ask(between())
    assert len(trial.asked) == 3
    assert trial.answers == []
    trial.run(11)
    assert trial.status == "ESME_RSYSERR"
    assert trial.answered_at[0] <= 1_010 + 1e-6


def test_the_scheduled_messages_of_another_account() -> None:
    trial = schedule(Trial(CANCELLED), "one")
    trial.ask(between(), by=trial.new_account("shop"))
    assert (trial.status, trial.asked) == ("ESME_RCANCELFAIL", [])


# Whose message it is


@pytest.mark.parametrize(
    ("pdu", "status"),
    [
        (query(""), "ESME_RINVMSGID"),
        (cancel(""), "ESME_RCANCELFAIL"),
        (cancel("", source=SOURCE, destination=DESTINATION), "ESME_RCANCELFAIL"),
        # ids that the gateway made itself
        (query(OWN), "ESME_RQUERYFAIL"),
        (cancel(OWN), "ESME_RCANCELFAIL"),
        # nobody's, and another account's
        (query("5bca2f3e-9a31-4e2b-8d8f-0c7f0c1f8f12"), "ESME_RQUERYFAIL"),
        (cancel("5bca2f3e-9a31-4e2b-8d8f-0c7f0c1f8f12"), "ESME_RCANCELFAIL"),
        (query("../omnimessages"), "ESME_RQUERYFAIL"),
    ],
)
def test_a_message_that_the_api_is_not_asked_about(pdu: Inquiry, status: str) -> None:
    trial = Trial(told(DELIVERED), own=[ID]).ask(pdu)
    assert trial.status == status
    assert trial.asked == []
    line = trial.line
    assert (line["event"], line["level"]) == ("inquiry_refused", "warning")
    assert line["command_status"] == status
    assert line["message_id"] == printable(pdu.message_id)
    assert line["detail"]
    assert "outcome" not in line
    assert trial.count(pdu.command_id.name, status) == 1


@pytest.mark.parametrize("pdu", [query(), cancel()], ids=["query_sm", "cancel_sm"])
def test_only_the_account_that_sent_a_message_reaches_it(pdu: Inquiry) -> None:
    trial = Trial(told(DELIVERED), CANCELLED, own=[ID])
    other = trial.new_account("shop", SentIds(100))
    assert other.sent is not None
    other.sent.add("another")
    trial.ask(pdu, by=other)
    assert trial.status in {"ESME_RQUERYFAIL", "ESME_RCANCELFAIL"}
    assert trial.asked == []
    assert trial.line["system_id"] == "shop"
    trial.ask(pdu)
    assert name(trial.answers[-1]) == "ESME_ROK"
    assert len(trial.asked) == 1


@pytest.mark.parametrize("own", [None, [OWN]])
def test_an_id_of_the_gateways_own_is_never_asked_about(own: list[str] | None) -> None:
    trial = Trial(told(DELIVERED), own=own).ask(query(OWN))
    assert (trial.status, trial.asked) == ("ESME_RQUERYFAIL", [])


def test_an_account_with_credentials_of_its_own_asks_with_them() -> None:
    trial = Trial(told(DELIVERED), CANCELLED, username="bank-user", api_password="bank-key")
    trial.ask(query()).ask(cancel())
    own = Credentials.basic("bank-user", "bank-key").authorization
    assert [post.authorization for post in trial.transport.posts] == [own, own]


@pytest.mark.parametrize(
    ("source", "sender", "matches"),
    [
        (Address(), f"+{FROM}", True),
        (Address(1, 1, FROM), f"+{FROM}", True),
        (Address(0, 1, FROM), f"+{FROM}", True),
        (Address(1, 1, f"+{FROM}"), FROM, True),
        (Address(2, 1, "055567890"), f"+{FROM}", True),  # national
        (Address(5, 0, "Bank"), "Bank", True),
        (Address(5, 0, "BANK"), "Bank", True),
        (Address(1, 1, FROM), "", True),  # the API does not say
        (Address(1, 1, FROM), None, True),
        (Address(1, 1, "37255567891"), f"+{FROM}", False),
        (Address(5, 0, "Bank2"), "Bank", False),
        (Address(5, 0, "Bank"), f"+{FROM}", False),
        (Address(1, 1, "555-0001"), f"+{FROM}", False),  # no sender at all
    ],
)
def test_a_source_address_must_be_the_messages(
    source: Address, sender: str | None, matches: bool
) -> None:
    trial = Trial(told({**DELIVERED, "sender": sender}), country_prefix="372")
    trial.ask(query(source=source))
    if matches:
        assert trial.response.message_state == MessageState.DELIVERED
    else:
        assert trial.response == QuerySmResp(3, _S.ESME_RQUERYFAIL)
        assert (trial.line["event"], trial.line["message_id"]) == ("inquiry_refused", ID)


def test_a_failed_question_is_not_taken_for_another_source() -> None:
    trial = Trial(refused(500)).ask(query(source=Address(1, 1, "37255567891")))
    assert trial.status == "ESME_RSYSERR"


# The forms of ids


@pytest.mark.parametrize(
    ("settings_", "text"),
    [
        ({}, ID),
        ({"message_id_format": "hex"}, HEX),
        ({"message_id_format": "hex"}, HEX.upper()),
        ({"message_id_format": "hex"}, ID),
        ({"message_id_format": "decimal"}, DECIMAL),
        ({"message_id_format": "decimal"}, DECIMAL.zfill(39)),
        # the form of its receipts
        ({"receipt_id_format": "decimal"}, DECIMAL),
        ({"message_id_format": "hex", "receipt_id_format": "decimal"}, DECIMAL),
        ({"message_id_format": "decimal", "receipt_id_format": "hex"}, HEX),
    ],
)
def test_an_id_in_the_accounts_forms(settings_: dict[str, Any], text: str) -> None:
    trial = Trial(told(DELIVERED), CANCELLED, own=[ID], **settings_)
    trial.ask(query(text)).ask(cancel(text))
    assert trial.asked == [f"GET /omnimessage/{ID}/status", f"DELETE /omnimessage/{ID}"]
    found, cancelled = trial.answers
    # The ESME sees its own spelling again, the log the API's.
    assert isinstance(found, QuerySmResp)
    assert (found.message_id, found.message_state) == (text, MessageState.DELIVERED)
    assert cancelled == CancelSmResp(4, OK)
    assert [line["message_id"] for line in trial.lines] == [ID, ID]


@pytest.mark.parametrize("text", [HEX, DECIMAL])
def test_a_form_that_is_not_the_accounts_names_nothing(text: str) -> None:
    trial = Trial(told(DELIVERED), own=[ID]).ask(query(text))
    assert (trial.status, trial.asked) == ("ESME_RQUERYFAIL", [])


# SMPP 3.3


def short(trial: Trial) -> str:
    """What a 3.3 ESME was told for ID."""
    shown: list[str] = []
    kept = trial.ids.shown(ID, trial.origin)
    assert not isinstance(kept, str)
    kept.addCallback(shown.append)
    [found] = shown
    return found


@pytest.mark.parametrize("own", [None, [ID]])
def test_the_short_id_of_a_3_3_esme(own: list[str] | None) -> None:
    trial = Trial(told(DELIVERED), CANCELLED, own=own, version=V33)
    text = short(trial)
    assert text == "5bca2f3e"
    trial.ask(query(text)).ask(cancel(f"{0x5BCA2F3E:010d}"))  # as in a receipt
    assert trial.asked == [f"GET /omnimessage/{ID}/status", f"DELETE /omnimessage/{ID}"]
    assert [name(answer) for answer in trial.answers] == ["ESME_ROK", "ESME_ROK"]
    assert isinstance(trial.answers[0], QuerySmResp)
    assert trial.answers[0].message_id == text
    assert trial.lines[0]["message_id"] == ID


def test_a_short_id_that_was_never_given() -> None:
    trial = Trial(refused(404), version=V33, own=[ID])
    short(trial)
    trial.ask(query("5bca2f3f"))
    assert (trial.status, trial.asked) == ("ESME_RQUERYFAIL", [])


def test_the_short_id_of_another_account() -> None:
    trial = Trial(told(DELIVERED), version=V33, own=[ID])
    text = short(trial)
    trial.ask(query(text), by=trial.new_account("shop", SentIds(100)))
    assert (trial.status, trial.asked) == ("ESME_RQUERYFAIL", [])


def test_a_3_4_bind_has_no_short_ids() -> None:
    trial = Trial(told(DELIVERED), own=[ID], version=V33)
    text = short(trial)
    trial.version = V34
    trial.ask(query(text))
    assert (trial.status, trial.asked) == ("ESME_RQUERYFAIL", [])


@pytest.mark.parametrize("pdu", [query("5bca2f3e"), cancel("5bca2f3e")])
def test_a_broken_store_is_told(pdu: Inquiry) -> None:
    trial = Trial(told(DELIVERED), version=V33)
    trial.store.broken = True
    trial.ask(pdu)
    assert (trial.status, trial.asked) == ("ESME_RSYSERR", [])
    assert trial.line["detail"] == "the disk is full"
    assert trial.line["level"] == "warning"


def test_the_store_is_not_needed_from_3_4_on() -> None:
    trial = Trial(told(DELIVERED))
    trial.store.broken = True
    assert trial.ask().status == "ESME_ROK"
    assert trial.store.operations == []


def test_an_answer_of_the_store_that_comes_late() -> None:
    trial = Trial(told(DELIVERED), version=V33)
    text = short(trial)
    trial.store.holding = True
    trial.ask(query(text))
    assert (trial.answers, trial.asked) == ([], [])
    trial.run(2.0)
    [give] = trial.store.held
    give()
    assert trial.status == "ESME_ROK"
    assert trial.line["seconds"] == 2.0
    # The API gets what is left of the deadline.
    assert trial.transport.posts[0].timeout == pytest.approx(10 - 2 - 0.25)


# Time


@pytest.mark.parametrize("seconds", [0.5, 1.5, 10.0])
@pytest.mark.parametrize("pdu", [query(), cancel()], ids=["query_sm", "cancel_sm"])
def test_the_answer_meets_the_accounts_deadline(pdu: Inquiry, seconds: float) -> None:
    hang = told(DELIVERED, after=10_000.0)
    unreachable = failure(FailureKind.CONNECT, sent=False)._replace(after=0.03)
    for step, outcome in ((hang, "unknown"), (unreachable, "unreachable")):
        trial = Trial(step, response_deadline=seconds).ask(pdu)
        trial.run(seconds + 1)
        assert trial.status == "ESME_RSYSERR"
        assert trial.answered_at[0] <= 1_000 + seconds + 1e-6
        assert trial.line["outcome"] == outcome


@pytest.mark.parametrize("waited", [0.0, 4.0, 9.5])
def test_the_time_behind_the_window_counts(waited: float) -> None:
    trial = Trial(told(DELIVERED, after=10_000.0), response_deadline=10).ask(waited=waited)
    [post] = trial.transport.posts
    assert post.timeout == pytest.approx(10 - waited - 0.25)
    trial.run(20)
    assert trial.answered_at[0] <= 1_000 + 10 - waited + 1e-6
    assert trial.line["seconds"] == pytest.approx(10, abs=1e-3)


def test_a_question_is_asked_again_while_it_was_certainly_not_sent() -> None:
    unreachable = failure(FailureKind.DNS, sent=False)
    trial = Trial(unreachable, unreachable, told(DELIVERED)).ask()
    assert trial.answers == []
    trial.run(5)
    assert trial.response.message_state == MessageState.DELIVERED
    assert trial.line["seconds"] == pytest.approx(0.3)


def test_a_cancellation_that_may_have_been_read_is_not_repeated() -> None:
    trial = Trial(failure(FailureKind.CUT, sent=True), CANCELLED).ask(cancel())
    trial.run(20)
    assert trial.status == "ESME_RSYSERR"
    assert len(trial.asked) == 1


def test_questions_do_not_wait_for_each_other() -> None:
    trial = Trial(told(DELIVERED, after=5.0), CANCELLED)
    trial.ask(query()).ask(cancel())
    assert [type(answer) for answer in trial.answers] == [CancelSmResp]
    trial.run(6)
    assert [type(answer) for answer in trial.answers] == [CancelSmResp, QuerySmResp]


@pytest.mark.parametrize("pdu", [query(), cancel(), query("")], ids=["query", "cancel", "empty"])
def test_the_accounts_throttle_counts_questions(pdu: Inquiry) -> None:
    trial = Trial(told(DELIVERED), throttle=1).ask(pdu).ask(pdu)
    assert name(trial.answers[1]) == "ESME_RTHROTTLED"
    assert len(trial.asked) == (1 if pdu.message_id else 0)
    assert "throttle" in trial.lines[1]["detail"]
    assert trial.value("throttled_total", system_id="bank", limit="account") == 1
    assert trial.count(pdu.command_id.name, "ESME_RTHROTTLED") == 1
    trial.run(1)
    trial.ask(pdu)
    assert name(trial.answers[2]) != "ESME_RTHROTTLED"


# One answer and one line


@pytest.mark.parametrize(
    ("pdu", "steps"),
    [
        (query(), [told(DELIVERED)]),
        (query(), [told(DELIVERED, after=1.0)]),
        (query(), [refused(404)]),
        (query(""), [told(DELIVERED)]),
        (cancel(), [CANCELLED]),
        (cancel(), [refused(404)]),
    ],
)
def test_an_esme_that_has_left(pdu: Inquiry, steps: list[Step]) -> None:
    trial = Trial(*steps)
    trial.reachable = False
    trial.ask(pdu)
    trial.run(2)
    assert len(trial.answers) == 1
    assert trial.line["answered"] is False


def test_who_took_the_answer_is_not_told() -> None:
    assert "answered" not in Trial(told(DELIVERED)).ask().line


def test_answers_can_be_left_out_of_the_log_but_refusals_cannot() -> None:
    trial = Trial(told(DELIVERED), CANCELLED, refused(404), log_messages=False)
    trial.ask(query()).ask(cancel())
    assert trial.lines == []
    trial.ask(query()).ask(query(""))
    assert [line["event"] for line in trial.lines] == ["inquiry_refused", "inquiry_refused"]
    assert trial.count("query_sm", "ESME_ROK") == trial.count("cancel_sm", "ESME_ROK") == 1


def test_accounts_can_be_left_out_of_the_metrics() -> None:
    trial = Trial(told(DELIVERED), name_accounts=False).ask()
    labels = {"command_id": "query_sm", "command_status": "ESME_ROK"}
    assert trial.value("inquiries_total", system_id="-", **labels) == 1
    assert trial.count("query_sm", "ESME_ROK") is None


SECRET = "Your one-time code is Zebra"
LEAKING = [
    told({**DELIVERED, "text": SECRET, "to": "+37255512345", "error": SECRET}),
    Step(HttpAnswer(500, f"<html>{SECRET} +37255512345</html>".encode())),
    Step(HttpAnswer(404, f"<html>{SECRET} +37255512345</html>".encode())),
    refused(404, detail="+37255512345 has no such message"),
    failure(FailureKind.CUT, sent=True, detail="connection reset"),
]


@pytest.mark.parametrize("form", ["json", "text"])
def test_no_text_no_whole_number_and_no_credentials_reach_the_log(form: Any) -> None:
    asked: list[Inquiry] = [
        query(source=Address(1, 1, FROM)),
        query(source=Address(1, 1, "37255567891")),
        query(source=Address(1, 1, "555-37255512345")),
        query("", source=Address(1, 1, FROM)),
        cancel(source=SOURCE, destination=DESTINATION),
        cancel("", source=SOURCE, destination=DESTINATION),
    ]
    steps = [step for step in LEAKING for _ in asked]
    trial = Trial(*steps, log=LogSettings(format=form, level="debug"))
    for _ in LEAKING:
        for pdu in asked:
            trial.ask(pdu)
    log = trial.stream.getvalue()
    assert len(log.splitlines()) == len(trial.answers) == len(asked) * len(LEAKING)
    for secret in (SECRET, "Zebra", FROM, "37255512345", "37255567891", "Basic "):
        assert secret not in log
    assert ID in log


# Faults of our own


def broken(post: Post) -> Step:
    raise RuntimeError("a transport that breaks its contract")


@pytest.mark.parametrize("pdu", [query(), cancel()], ids=["query_sm", "cancel_sm"])
def test_a_bug_is_answered_and_told(pdu: Inquiry) -> None:
    trial = Trial(script=broken).ask(pdu)
    assert trial.status == "ESME_RSYSERR"
    failed, refused_ = trial.lines
    assert (failed["event"], failed["level"], failed["session_id"]) == (
        "relay_failed",
        "error",
        "s7",
    )
    assert "RuntimeError: a transport that breaks its contract" in failed["exception"]
    assert (refused_["event"], refused_["detail"]) == ("inquiry_refused", "internal error")
    assert trial.count(pdu.command_id.name, "ESME_RSYSERR") == 1


def test_a_bug_harms_nobody_else() -> None:
    steps = [told(DELIVERED, after=1.0), None, told(DELIVERED)]

    def script(post: Post) -> Step:
        step = steps.pop(0)
        if step is None:
            raise RuntimeError("a transport that breaks its contract")
        return step

    trial = Trial(script=script)
    for _ in range(3):
        trial.ask()
    trial.run(2)
    assert [name(answer) for answer in trial.answers] == ["ESME_RSYSERR", "ESME_ROK", "ESME_ROK"]


def test_an_answer_that_cannot_be_given_is_not_given_twice() -> None:
    trial = Trial(told(DELIVERED))
    given: list[Response] = []

    def respond(response: Response) -> bool:
        given.append(response)
        raise RuntimeError("a session that breaks its contract")

    trial.inquiries.inquire(query(), trial.origin, respond)
    assert len(given) == 1
    assert (trial.line["event"], trial.line["level"]) == ("answer_failed", "critical")


# Whatever the API does

_entries = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "status": st.sampled_from([status for status, _, _ in STATES]) | st.text(),
            "err": st.none() | st.integers() | st.text(max_size=4),
            "timestamp": st.none()
            | st.text(max_size=30)
            | st.datetimes().map(lambda moment: moment.isoformat()),
            "sender": st.none() | st.text(max_size=20) | st.just(f"+{FROM}"),
        },
    ),
    max_size=4,
)
_steps = st.builds(
    Step._replace,
    _entries.map(lambda entries: told(*entries))
    | st.binary(max_size=40).map(lambda body: Step(HttpAnswer(404, body)))
    | st.sampled_from(
        [
            CANCELLED,
            refused(401),
            refused(429),
            refused(500),
            failure(FailureKind.CUT, sent=True),
            failure(FailureKind.DNS, sent=False),
            failure(FailureKind.CLOSED, sent=False),
        ]
    ),
    after=st.just(0.0) | st.floats(0.0, 8.0),
)
_pdus = st.sampled_from(
    [query(), cancel(), query(""), cancel(""), query(OWN), query(source=Address(1, 1, FROM))]
)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(_steps, min_size=1, max_size=6),
    st.lists(_pdus, min_size=1, max_size=6),
    st.sampled_from([None, [ID], []]),
    st.sampled_from([V33, V34, V50]),
)
def test_each_question_is_answered_once_in_time_and_on_one_line(
    steps: list[Step], pdus: list[Inquiry], own: list[str] | None, version: InterfaceVersion
) -> None:
    trial = Trial(*steps, own=own, version=version, response_deadline=5)
    for pdu in pdus:
        trial.ask(pdu)
    trial.run(5 + 1e-6)
    assert sorted(answer.sequence_number for answer in trial.answers) == sorted(
        pdu.sequence_number for pdu in pdus
    )
    assert len(trial.lines) == len(pdus)
    assert {line["event"] for line in trial.lines} <= {"inquiry_answered", "inquiry_refused"}
    # ESME_ROK is never the gateway's own invention.
    rok = sum(name(answer) == "ESME_ROK" for answer in trial.answers)
    answered = sum(
        isinstance(result, HttpAnswer) and result.status < 300 for result in trial.transport.results
    )
    assert rok <= answered
    trial.run(3)  # the client's own question whether the API is there again
    assert trial.clock.getDelayedCalls() == []
