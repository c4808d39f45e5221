"""The ids that an ESME is given and what they lead back to, over the real store in memory.

The forms by themselves are tested in tests/smpp/test_message_id.py.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from gateway import logs
from gateway.bridge.accounts import Account
from gateway.bridge.journey import Origin
from gateway.bridge.message_ids import MessageIds
from gateway.config import AccountSettings, LogSettings
from gateway.omnichannel.client import Credentials
from gateway.smpp.constants import InterfaceVersion
from gateway.store.base import StoreUnavailable
from gateway.store.operations import FindId, KeepId
from tests.bridge.direct_store import DirectStore

ID = "5bca2f3e-9a31-4e2b-8d8f-0c7f0c1f8f11"
SAME_START = "5bca2f3e-0000-4000-8000-000000000000"
HEX = ID.replace("-", "")
DECIMAL = str(int(HEX, 16))
OWN = "00010203-0405-8607-8809-0a0b0c0d0e02"
NUMBER = 0x5BCA2F3E
V33, V34, V50 = InterfaceVersion.V33, InterfaceVersion.V34, InterfaceVersion.V50


STORES: list[DirectStore] = []  # of this test


def new_store() -> DirectStore:
    STORES.append(DirectStore())
    return STORES[-1]


class Trial:
    """The ids of one gateway with the account "bank"."""

    def __init__(self, version: InterfaceVersion = V34, **account: Any) -> None:
        self.stream = io.StringIO()
        logs.configure(LogSettings(format="json"), self.stream)
        self.store = new_store()
        self.ids = MessageIds(self.store, lambda: 1_700_000_000.0, logs.get())
        self.version = version
        self.bank = self.account("bank", **account)

    def account(self, system_id: str, **fields: Any) -> Account:
        settings = AccountSettings(system_id=system_id, password_hash="x", **fields)
        return Account(settings, "x", Credentials.basic("shared", "key"))

    def origin(self, account: Account | None = None) -> Origin:
        return Origin("s7", account or self.bank, self.version)

    def shown(self, message_id: str = ID, account: Account | None = None) -> str:
        shown = self.ids.shown(message_id, self.origin(account))
        return shown if isinstance(shown, str) else result_of(shown)

    def meant(self, text: str, account: Account | None = None) -> str:
        return result_of(Deferred.fromCoroutine(self.ids.meant(text, self.origin(account))))

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]


def result_of(deferred: Deferred[str]) -> str:
    """The result of a Deferred that has fired; its failure is raised."""
    found: list[str | Failure] = []
    deferred.addBoth(found.append)
    [result] = found
    if isinstance(result, Failure):
        result.raiseException()
    assert isinstance(result, str)
    return result


@pytest.fixture(autouse=True)
def own_log_and_stores() -> Iterator[None]:
    yield
    structlog.reset_defaults()
    while STORES:
        STORES.pop().close()


@pytest.mark.parametrize("version", [V34, V50])
@pytest.mark.parametrize(("form", "shown"), [("uuid", ID), ("hex", HEX), ("decimal", DECIMAL)])
def test_the_accounts_form(version: InterfaceVersion, form: str, shown: str) -> None:
    trial = Trial(version, message_id_format=form)
    assert trial.ids.shown(ID, trial.origin()) == shown
    assert trial.meant(shown) == ID
    # No row: the same bits lead back.
    assert trial.store.operations == []


@pytest.mark.parametrize(
    ("response", "receipt", "text", "found"),
    [
        # the form of responses first, that of receipts second, the API's own always
        ("hex", "decimal", HEX, ID),
        ("hex", "decimal", DECIMAL, ID),
        ("hex", "decimal", ID, ID),
        ("decimal", "hex", DECIMAL, ID),
        ("decimal", "hex", HEX, ID),
        ("uuid", "hex", HEX, ID),
        ("uuid", "decimal", DECIMAL, ID),
        ("decimal", "uuid", ID, ID),
        # a form that the account is not given is not read
        ("uuid", "", HEX, HEX),
        ("uuid", "", DECIMAL, DECIMAL),
        ("hex", "", DECIMAL, DECIMAL),
        ("decimal", "", HEX, HEX),
        ("decimal", "uuid", HEX, HEX),
        # what stands for nothing passes
        ("hex", "decimal", "nonsense", "nonsense"),
        ("hex", "decimal", "", ""),
        ("decimal", "hex", "../x", "../x"),
    ],
)
def test_both_forms_of_an_account_are_read(
    response: str, receipt: str, text: str, found: str
) -> None:
    trial = Trial(message_id_format=response, receipt_id_format=receipt)
    assert trial.meant(text) == found


@given(st.uuids(), st.sampled_from(["uuid", "hex", "decimal"]), st.sampled_from(["", "uuid"]))
def test_what_is_shown_leads_back(uuid: Any, form: str, receipt: str) -> None:
    trial = Trial(message_id_format=form, receipt_id_format=receipt)
    assert trial.meant(trial.shown(str(uuid))) == str(uuid)


# SMPP 3.3


@pytest.mark.parametrize("form", ["uuid", "hex", "decimal"])
def test_a_3_3_bind_gets_a_number_whatever_the_accounts_form(form: str) -> None:
    trial = Trial(V33, message_id_format=form)
    assert trial.shown() == "5bca2f3e"
    assert trial.store.operations == [KeepId("bank", ID, 1_700_000_000.0)]
    assert trial.meant("5bca2f3e") == ID


@pytest.mark.parametrize("text", ["5bca2f3e", "5BCA2F3E", str(NUMBER), f"{NUMBER:010d}"])
def test_a_number_is_read_in_either_base(text: str) -> None:
    trial = Trial(V33)
    trial.shown()
    assert trial.meant(text) == ID


def test_a_number_without_its_zeros() -> None:
    trial = Trial(V33)
    assert trial.shown(OWN) == "00010203"
    assert trial.meant("10203") == trial.meant("00010203") == OWN


def test_digits_that_are_a_number_in_both_bases() -> None:
    """Hexadecimal first, for that is what the response said."""
    trial = Trial(V33)
    first, second = "00000010-0000-4000-8000-000000000000", "0000000a-0000-4000-8000-000000000000"
    trial.shown(second)
    assert trial.meant("10") == second  # there is no 0x10 yet, but there is a 10
    trial.shown(first)
    assert trial.meant("10") == first
    assert trial.meant("0000000a") == second


def test_two_messages_never_share_a_number() -> None:
    trial = Trial(V33)
    first, second = trial.shown(ID), trial.shown(SAME_START)
    assert first == "5bca2f3e"
    assert second != first
    assert len(second) == 8
    assert trial.meant(first) == ID
    assert trial.meant(second) == SAME_START
    assert trial.shown(ID) == first


def test_numbers_are_an_accounts_own() -> None:
    trial = Trial(V33)
    shop = trial.account("shop")
    assert trial.shown(ID) == trial.shown(SAME_START, shop) == "5bca2f3e"
    assert trial.meant("5bca2f3e") == ID
    assert trial.meant("5bca2f3e", shop) == SAME_START
    assert trial.meant("5bca2f3e", trial.account("third")) == "5bca2f3e"


@pytest.mark.parametrize(
    ("form", "text", "found"),
    [
        ("uuid", ID, ID),
        ("hex", HEX, ID),
        ("uuid", "nonsense", "nonsense"),
        ("uuid", "5bca2f3f", "5bca2f3f"),
        ("uuid", "", ""),
    ],
)
def test_what_is_no_number_is_read_as_from_any_other_bind(form: str, text: str, found: str) -> None:
    """An account may move a system from 3.4 to 3.3, and ask about what it sent before."""
    trial = Trial(V33, message_id_format=form)
    assert trial.meant(text) == found
    asked = [one for one in trial.store.operations if isinstance(one, FindId)]
    assert len(asked) == (text == "5bca2f3f")


@pytest.mark.parametrize("version", [V34, V50])
def test_other_binds_know_no_numbers(version: InterfaceVersion) -> None:
    trial = Trial(V33)
    trial.shown()
    trial.version = version
    assert trial.meant("5bca2f3e") == "5bca2f3e"


def test_a_message_is_answered_with_an_id_even_if_no_row_can_be_kept() -> None:
    trial = Trial(V33)
    trial.store.broken = True
    assert trial.shown() == "5bca2f3e"
    [line] = trial.lines
    assert (line["event"], line["level"]) == ("store_failed", "error")
    assert (line["operation"], line["detail"]) == ("keep_id", "the disk is full")


def test_a_bug_in_the_store_costs_no_answer_either() -> None:
    trial = Trial(V33)
    trial.store.keep_id = lambda *_: _failing()  # type: ignore[method-assign]
    assert trial.shown() == "5bca2f3e"
    [line] = trial.lines
    assert "ZeroDivisionError" in line["detail"]


def _failing() -> Deferred[int]:
    failed: Deferred[int] = Deferred()
    failed.errback(ZeroDivisionError())
    return failed


def test_a_number_cannot_be_read_while_the_store_is_broken() -> None:
    trial = Trial(V33)
    trial.shown()
    trial.store.broken = True
    with pytest.raises(StoreUnavailable, match="the disk is full"):
        trial.meant("5bca2f3e")


def test_the_answer_waits_for_the_row() -> None:
    """A client may ask about a message as soon as it has the id."""
    trial = Trial(V33)
    trial.store.holding = True
    shown = trial.ids.shown(ID, trial.origin())
    assert isinstance(shown, Deferred)
    assert not shown.called
    [give] = trial.store.held
    give()
    assert result_of(shown) == "5bca2f3e"


# Receipts


def in_receipt(
    trial: Trial,
    *,
    message_id: str = ID,
    common_id: str = "",
    account: Account | None = None,
    v33: bool = False,
) -> str:
    found = trial.ids.in_receipt(message_id, common_id, "bank", account or trial.bank, v33=v33)
    return result_of(Deferred.fromCoroutine(found))


@pytest.mark.parametrize(
    ("response", "receipt", "shown"),
    [
        ("uuid", "", ID),
        ("hex", "", HEX),
        ("decimal", "", DECIMAL),
        ("uuid", "hex", HEX),
        ("hex", "decimal", DECIMAL),
        ("decimal", "uuid", ID),
    ],
)
def test_a_receipt_has_the_form_of_receipts(response: str, receipt: str, shown: str) -> None:
    trial = Trial(message_id_format=response, receipt_id_format=receipt)
    told = trial.shown(OWN)
    assert in_receipt(trial) == shown
    # What all destinations were told is found again in whatever form that was.
    assert in_receipt(trial, common_id=told) == in_receipt(trial, message_id=OWN)
    assert trial.meant(in_receipt(trial)) == ID
    assert trial.store.operations == []


def test_a_receipt_of_an_account_that_is_gone_has_the_apis_form() -> None:
    trial = Trial()
    found = trial.ids.in_receipt(ID, "", "gone", None, v33=False)
    assert result_of(Deferred.fromCoroutine(found)) == ID
    found = trial.ids.in_receipt(ID, "", "gone", None, v33=True)
    assert result_of(Deferred.fromCoroutine(found)) == f"{NUMBER:010d}"


@pytest.mark.parametrize("form", ["uuid", "hex", "decimal"])
@pytest.mark.parametrize(
    ("receipt", "shown"),
    [
        ("", f"{NUMBER:010d}"),
        ("decimal", f"{NUMBER:010d}"),
        ("uuid", f"{NUMBER:010d}"),
        ("hex", "5bca2f3e"),
    ],
)
def test_a_3_3_receipt_prints_the_number_of_the_response(
    form: str, receipt: str, shown: str
) -> None:
    trial = Trial(V33, message_id_format=form, receipt_id_format=receipt)
    told = trial.shown()
    assert in_receipt(trial, v33=True) == shown
    assert in_receipt(trial, common_id=told, message_id=OWN, v33=True) == shown
    assert trial.meant(shown) == ID


def test_a_3_3_receipt_that_comes_before_its_response_has_the_same_number() -> None:
    trial = Trial(V33)
    trial.shown(SAME_START)
    before = in_receipt(trial, v33=True)
    assert int(before) == int(trial.shown(ID), 16) != NUMBER


def test_a_3_3_receipt_waits_for_a_store_that_is_well() -> None:
    trial = Trial(V33)
    trial.store.broken = True
    with pytest.raises(StoreUnavailable):
        in_receipt(trial, v33=True)
    assert in_receipt(trial, common_id="5bca2f3e", v33=True) == f"{NUMBER:010d}"
    assert in_receipt(trial) == ID
