"""What the API's calls are answered with: 2xx only for what is committed, and only to the API."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest
import structlog

from gateway import logs
from gateway.bridge.accounts import Accounts
from gateway.bridge.callbacks import Callbacks
from gateway.bridge.passwords import PasswordCheck
from gateway.omnichannel.callback import KEY_OCTETS, Key, KeyRing, signature
from gateway.smpp.constants import CommandStatus
from gateway.smpp.pdu import Address
from gateway.store.base import Report
from tests.bridge.receiving import body_of, call_back, esme, token_of
from tests.bridge.trial import ID, TO, V33, Trial, submit
from tests.omnichannel.scripted_transport import accepted, in_turn

SHARED = "key"  # what the API signs with, for the accounts that have no password of their own


@pytest.fixture(autouse=True)
def cleared() -> Iterator[None]:
    yield
    structlog.reset_defaults()
    Trial.close_all()


def _no_passwords(trial: Trial) -> PasswordCheck:
    """Nobody binds here."""
    return PasswordCheck(cast(Any, trial.clock), trial.clock.seconds, 300)


class Caller(Trial):
    """A gateway that has sent one message, and whoever calls it about that."""

    def __init__(self, *, require_signature: bool = True, **account: Any) -> None:
        super().__init__(in_turn(accepted(ID)), **account)
        self.new_account("shop", username="shop", api_password="shops")
        doors = Accounts(
            list(self.accounts.values()),
            _no_passwords(self),
            CommandStatus.ESME_RINVPASWD,
        )
        self.callbacks = Callbacks(
            self.keys,
            doors.api_passwords,
            self.reports,
            self.metrics,
            logs.get(),
            require_signature=require_signature,
        )
        self.send()

    def send(self, account: str = "bank", **fields: Any) -> None:
        self.submit(
            submit(**{"registered_delivery": 0x11, **fields}), account=self.accounts[account]
        )
        self.run(1)
        self.token = token_of(self.transport.posts[-1])

    def call(
        self, body: bytes, signed_with: str | None = SHARED, token: str | None = None
    ) -> int | None:
        """The answer, None if there is none yet."""
        header = None if signed_with is None else signature(body, signed_with)
        return self.post(token or self.token, body, header)

    def post(self, token: str, body: bytes, header: str | None) -> int | None:
        found: list[int] = []
        self.callbacks.receive(token, body, header).addCallback(found.append)
        return found[0] if found else None

    @property
    def reported(self) -> int:
        """How many reports the store was asked to take."""
        return sum(isinstance(one, Report) for one in self.store.operations)

    def counted(self, result: str) -> float | None:
        return self.value("webhooks_total", result=result)

    @property
    def refused(self) -> dict[str, Any]:
        [line] = [line for line in self.lines if line["event"] == "callback_refused"]
        return line


def test_a_good_call_and_its_repetition() -> None:
    trial = Caller()
    one = esme(trial)
    assert trial.call(body_of("ACCEPTD")) == 200
    assert trial.call(body_of("ACCEPTD")) == 200
    one.take_all()
    assert trial.call(body_of("DELIVRD")) == 200
    assert trial.call(body_of("DELIVRD")) == 200
    assert trial.call(body_of("ACCEPTD")) == 200
    assert trial.call(body_of(None)) == 200
    one.take_all()
    assert one.stats == ["ACCEPTD", "DELIVRD"]
    counts = [trial.counted(result) for result in ("accepted", "repeated", "stale", "nothing")]
    assert counts == [2, 2, 1, 1]
    assert trial.store.receipts() == []


def test_the_answer_waits_for_the_commit() -> None:
    trial = Caller()
    trial.store.holding = True
    found: list[int] = []
    body = body_of("DELIVRD")
    trial.callbacks.receive(trial.token, body, signature(body, SHARED)).addCallback(found.append)
    assert found == []
    [give] = trial.store.held
    give()
    assert found == [200]


def test_what_cannot_be_committed_is_refused_and_succeeds_when_it_comes_again() -> None:
    trial = Caller()
    one = esme(trial)
    trial.store.broken = True
    assert trial.call(body_of("DELIVRD")) == 503
    assert trial.call(body_of("DELIVRD")) == 503
    trial.store.broken = False
    assert (trial.store.receipts(), one.pdus) == ([], [])
    assert trial.counted("store") == 2
    line = next(line for line in trial.lines if line["event"] == "callback_refused")
    assert (line["result"], line["detail"]) == ("store", "the disk is full")
    assert (line["level"], line["system_id"]) == ("warning", "bank")
    assert trial.call(body_of("DELIVRD")) == 200
    assert one.stats == ["DELIVRD"]


def test_a_3_3_number_that_cannot_be_kept_is_the_stores_failure_too() -> None:
    trial = Trial(in_turn(accepted(ID)))
    trial.submit(submit(registered_delivery=1), version=V33)
    trial.run(1)
    trial.store.broken = True
    assert call_back(trial, "DELIVRD") == 503
    trial.store.broken = False
    assert call_back(trial, "DELIVRD") == 200


# Tokens


def changed(token: str) -> list[str]:
    middle = len(token) // 2
    other = "A" if token[middle] != "A" else "B"
    return [
        "",
        "x",
        token[:-1],
        token + "A",
        token[:middle] + other + token[middle + 1 :],
        "zz" + token[2:],
        token[2:],
        token.swapcase(),
        token + "/..",
        "k1" + "A" * 5_000,
        "k1öööööööööööööööööööööööööööööö",
    ]


def test_a_token_that_is_not_ours_is_nobody() -> None:
    trial = Caller()
    tokens = changed(trial.token)
    for token in tokens:
        body = body_of("DELIVRD")
        assert trial.post(token, body, signature(body, SHARED)) == 404
    assert (trial.counted("bad_token"), trial.reported) == (len(tokens), 0)
    for line in trial.lines[1:]:
        assert (line["event"], line["result"]) == ("callback_refused", "bad_token")
        assert "system_id" not in line
    log = trial.stream.getvalue()
    assert trial.token[8:20] not in log
    assert "AAAAAAAAAA" not in log


def test_a_token_of_other_keys_is_nobody() -> None:
    trial = Caller()
    other = KeyRing([Key("k1", 0.0, bytes(KEY_OCTETS))])
    token = other.seal(trial.keys.open(trial.token), 0.0)
    assert trial.call(body_of("DELIVRD"), token=token) == 404


# Signatures


@pytest.mark.parametrize(
    "signed_with",
    [None, "", "shops", "Key", "key "],
    ids=["none", "empty", "other", "case", "space"],
)
def test_who_does_not_have_the_accounts_password_is_not_the_api(signed_with: str | None) -> None:
    trial = Caller()
    assert trial.call(body_of("DELIVRD"), signed_with) == 403
    assert (trial.counted("unsigned"), trial.reported) == (1, 0)
    assert (trial.refused["system_id"], trial.refused["result"]) == ("bank", "unsigned")


@pytest.mark.parametrize("header", ["", "0" * 64, "nonsense", "ö" * 64, "f" * 63])
def test_what_is_no_signature(header: str) -> None:
    trial = Caller()
    assert trial.post(trial.token, body_of("DELIVRD"), header) == 403


def test_the_signature_is_that_of_these_octets() -> None:
    trial = Caller()
    header = signature(body_of("UNDELIV"), SHARED)
    assert trial.post(trial.token, body_of("DELIVRD"), header) == 403
    assert trial.post(trial.token, body_of("UNDELIV"), header.upper()) == 200


def test_each_account_has_its_own_password() -> None:
    trial = Caller()
    trial.send("shop")
    assert trial.call(body_of("DELIVRD"), SHARED) == 403
    assert trial.call(body_of("DELIVRD"), "shops") == 200


def test_the_body_is_not_read_before_the_signature_is_known() -> None:
    trial = Caller()
    assert trial.call(b"garbage", "wrong") == 403


def test_an_operator_may_do_without_signatures() -> None:
    trial = Caller(require_signature=False)
    assert trial.call(body_of("ACCEPTD"), None) == 200
    assert trial.call(body_of("DELIVRD"), "wrong") == 200
    assert trial.call(b"garbage", None) == 400
    assert trial.call(body_of("DELIVRD"), None, token="x") == 404


# Bodies


GARBAGE = [
    b"",
    b"{}",
    b"null",
    b"[]",
    b"\xff\xfe",
    b'"DELIVRD"',
    b"status=DELIVRD",
    b'{"status":"DELIVRD"',
    b'{"status":"DELIVRD","err":0}',
    b'{"status":"DELIVRD","omnimessage_id":""}',
    b'{"status":"DELIVRD","omnimessage_id":7}',
    b'{"status":"DELIVRD","omnimessage_id":["x"]}',
    b'{"status":"DELIVRD","omnimessage_id":"' + b"x" * 65 + b'"}',
    b'[{"status":"DELIVRD","omnimessage_id":"x"}]',
    b"[" * 10_000,
]


def test_what_is_no_report_is_refused() -> None:
    trial = Caller()
    for body in GARBAGE:
        assert trial.call(body) == 400, body[:40]
    assert (trial.counted("bad_body"), trial.reported) == (len(GARBAGE), 0)
    assert trial.store.receipts() == []


ODD: list[dict[str, Any]] = [
    {"to": None},
    {"to": 37255512345},
    {"channel": 7},
    {"price_info": "free"},
    {"err": "0"},
    {"err": [1]},
    {"err": 10**30},
    {"error": "\x00\n" * 1_000},
    {"timestamp": 1.5},
    {"message_id": {}},
    {"more": {"than": ["was", "asked", "for"]}},
]


def test_a_report_that_is_odd_beside_its_point_is_taken() -> None:
    trial = Caller()
    for number, fields in enumerate(ODD):
        body = body_of("DELIVRD", **{"omnimessage_id": f"m{number}", **fields})
        assert trial.call(body) == 200, fields
    assert len(trial.store.receipts()) == len(ODD)


@pytest.mark.parametrize("status", [[], {}, 1.5])
def test_a_status_that_is_no_word_tells_nothing(status: Any) -> None:
    trial = Caller()
    assert trial.call(body_of(status)) == 200
    assert (trial.counted("nothing"), trial.reported) == (1, 0)


@pytest.mark.parametrize("to", ["+37255512346", "37200000000", "12345", "+3725551234"])
def test_a_report_about_another_number_is_refused(to: str) -> None:
    trial = Caller()
    assert trial.call(body_of("DELIVRD", to=to)) == 400
    assert (trial.counted("mismatch"), trial.reported) == (1, 0)
    assert "512346" not in trial.stream.getvalue()


@pytest.mark.parametrize(
    ("account", "wrote", "to"),
    [
        ({}, Address(1, 1, f"+{TO}"), f"+{TO}"),
        ({}, Address(1, 1, f"00{TO}"), f"+{TO}"),
        ({}, Address(0, 0, TO), TO),
        ({}, Address(1, 1, TO), ""),
        ({"country_prefix": "372"}, Address(2, 1, "055512345"), f"+{TO}"),
        ({"country_prefix": "500", "trunk_prefix": ""}, Address(2, 1, "51234"), "+50051234"),
        ({"country_prefix": "683"}, Address(2, 1, "04002"), "+6834002"),
    ],
)
def test_a_number_in_the_spelling_of_the_esme(
    account: dict[str, Any], wrote: Address, to: str
) -> None:
    trial = Caller(**account)
    trial.send(destination=wrote)
    assert trial.answers[-1].command_status == 0
    if to:
        assert trial.transport.posts[-1].sms["to"].lstrip("+") == to.lstrip("+")
    assert trial.call(body_of("DELIVRD", to=to)) == 200
    assert len(trial.store.receipts()) == 1


# An account that is gone


def test_the_reports_of_an_account_that_is_gone_may_be_signed_with_any_password() -> None:
    trial = Caller()
    doors = Accounts(
        [trial.accounts["shop"]],
        _no_passwords(trial),
        CommandStatus.ESME_RINVPASWD,
    )
    trial.callbacks = Callbacks(
        trial.keys, doors.api_passwords, trial.reports, trial.metrics, logs.get()
    )
    assert trial.call(body_of("ACCEPTD"), SHARED) == 403
    assert trial.call(body_of("ACCEPTD"), "shops") == 200


def test_no_number_token_or_text_of_a_call_reaches_the_log() -> None:
    trial = Caller()
    one = esme(trial)
    trial.call(body_of("DELIVRD"))
    trial.call(body_of("DELIVRD", to="+37255512346"))
    trial.call(body_of("DELIVRD"), "wrong")
    one.take_all()
    log = trial.stream.getvalue()
    for secret in (TO, "37255512346", trial.token, trial.token[10:30], SHARED + '"', "dlr_url"):
        assert secret not in log
