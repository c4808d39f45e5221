"""Who may bind: every refusal, its status, and which comes first."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from argon2 import PasswordHasher, extract_parameters
from twisted.internet.defer import Deferred, DeferredList

from gateway.bridge import passwords
from gateway.bridge.accounts import Account, Accounts, BindRefused, WrongCredentials
from gateway.bridge.passwords import HASHER, PasswordCheck
from gateway.config import AccountSettings
from gateway.omnichannel.client import Credentials
from gateway.smpp.constants import CommandStatus
from gateway.smpp.pdu import Bind, BindReceiver, BindTransceiver, BindTransmitter

InReactor = Callable[..., Any]
HASH = HASHER.hash("secret8")
SHARED = Credentials.basic("shared", "key")
ALLOWED, ELSEWHERE = "192.0.2.7", "203.0.113.9"


def account(system_id: str = "bank", **fields: Any) -> Account:
    settings = AccountSettings(system_id=system_id, password_hash=HASH, **fields)
    return Account(settings, HASH, SHARED)


@pytest.fixture(scope="module")
def check(running_reactor: Any, in_reactor: InReactor) -> Iterator[PasswordCheck]:
    check = PasswordCheck(running_reactor, running_reactor.seconds, 300, threads=2)
    in_reactor(check.start)
    yield check
    in_reactor(check.stop)


class Door:
    """Accounts behind a function that answers with the account or the refusal."""

    def __init__(
        self,
        check: PasswordCheck,
        in_reactor: InReactor,
        *accounts: Account,
        wrong: CommandStatus = CommandStatus.ESME_RINVPASWD,
    ) -> None:
        self.accounts = Accounts(list(accounts), check, wrong)
        self._in_reactor = in_reactor

    def knock(
        self,
        system_id: str = "bank",
        password: str = "secret8",
        peer: str = ALLOWED,
        kind: type[Bind] = BindTransceiver,
        names: tuple[str, ...] = (),
    ) -> Account | BindRefused:
        bind = kind(1, system_id=system_id, password=password)
        try:
            found = self._in_reactor(self.accounts.authenticate, bind, peer, names)
        except BindRefused as refusal:
            return refusal
        assert isinstance(found, Account)
        return found


MakeDoor = Callable[..., Door]


@pytest.fixture
def make(check: PasswordCheck, in_reactor: InReactor) -> MakeDoor:
    return lambda *accounts, **options: Door(check, in_reactor, *accounts, **options)


def refused(answer: Account | BindRefused) -> tuple[str, str]:
    assert isinstance(answer, BindRefused), "the bind was accepted"
    return answer.command_status.name, answer.detail


def test_an_account_that_may_bind(make: MakeDoor) -> None:
    bank, demo = account(), account("demo")
    door = make(bank, demo)
    assert door.knock() is bank
    assert door.knock("demo", kind=BindReceiver) is demo
    assert (bank.binds, demo.binds) == (1, 1)


@pytest.mark.parametrize(
    ("system_id", "password"),
    [
        ("bank", "wrong"),
        ("bank", ""),
        ("nobody", "secret8"),
        ("", "secret8"),
        ("", ""),
        ("BANK", "secret8"),
        ("bank ", "secret8"),
        ("bank", "secret8\xe9"),
        ("bänk\xff", "\xff\x80"),
    ],
)
def test_wrong_credentials(make: MakeDoor, system_id: str, password: str) -> None:
    """One status for an unknown name and a wrong password: it does not tell names apart."""
    bank = account()
    assert refused(make(bank).knock(system_id, password))[0] == "ESME_RINVPASWD"
    other = make(bank, wrong=CommandStatus.ESME_RBINDFAIL)
    assert refused(other.knock(system_id, password))[0] == "ESME_RBINDFAIL"
    assert bank.binds == 0


@pytest.mark.parametrize(
    ("required", "names", "detail"),
    [
        (["bank"], ("bank",), ""),
        (["Bank.Example"], ("bank.example",), ""),
        (["bank.example"], ("BANK.example",), ""),
        (["other", "bank"], ("gateway", "bank"), ""),
        (["bank"], (), "the account binds over TLS with a client certificate only"),
        (["bank"], ("bank2",), "the certificate's names are not in the account's tls_client_names"),
        (["*"], ("bank",), "the certificate's names are not in the account's tls_client_names"),
        ([], (), ""),
        ([], ("bank",), ""),
    ],
)
def test_the_names_of_a_client_certificate(
    make: MakeDoor, required: list[str], names: tuple[str, ...], detail: str
) -> None:
    answer = make(account(tls_client_names=required)).knock(names=names)
    if detail:
        assert refused(answer) == ("ESME_RBINDFAIL", detail)
        assert not isinstance(answer, WrongCredentials)
    else:
        assert isinstance(answer, Account)


def test_a_stranger_learns_no_name_from_what_else_is_wrong(make: MakeDoor) -> None:
    """Neither an allow list, nor a certificate, nor a disabled account shows without a password."""
    bank = account(allow=["198.51.100.1"], tls_client_names=["x"], enabled=False, bind_types=[])
    door = make(bank)
    assert refused(door.knock("bank", "wrong"))[0] == refused(door.knock("nobody", "wrong"))[0]


def costs(hashes: list[str]) -> list[tuple[int, int, int]]:
    parameters = [extract_parameters(each) for each in hashes]
    return [(each.memory_cost, each.time_cost, each.parallelism) for each in parameters]


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The hashes that were checked, each once for every check."""
    hashes: list[str] = []
    verify = passwords._verify

    def counting(password_hash: str, password: bytes) -> bool:
        hashes.append(password_hash)
        return verify(password_hash, password)

    monkeypatch.setattr(passwords, "_verify", counting)
    return hashes


def test_a_name_costs_one_hash_whether_it_exists_or_not(make: MakeDoor, hashed: list[str]) -> None:
    door = make(account(), account("listed", allow=["198.51.100.1"]))
    for system_id in ("bank", "listed", "nobody", "nobody", ""):
        assert isinstance(door.knock(system_id, "wrong"), WrongCredentials)
    assert costs(hashed) == costs([HASH]) * 5
    assert len(set(hashed)) == 4, "two accounts share a hash, strangers have none"


def test_without_any_account_a_name_costs_the_same(make: MakeDoor, hashed: list[str]) -> None:
    assert isinstance(make().knock("bank"), WrongCredentials)
    assert costs(hashed) == costs([HASH])


def test_unknown_names_cost_what_known_ones_cost_where_costs_differ(
    make: MakeDoor, hashed: list[str]
) -> None:
    """Each is like one of the accounts, and always like the same one."""
    light = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash("secret8")
    lighter = PasswordHasher(time_cost=1, memory_cost=32, parallelism=2).hash("secret8")
    settings = AccountSettings(system_id="x", password_hash="x")
    door = make(
        *(
            Account(settings.model_copy(update={"system_id": name}), each, SHARED)
            for name, each in (("a", light), ("b", lighter))
        )
    )
    names = [f"stranger{number}" for number in range(40)]
    for name in (*names, *names):
        door.knock(name, "secret8")
    found = costs(hashed)
    assert set(found) == {(64, 1, 1), (32, 1, 2)}
    assert found[:40] == found[40:]


def test_the_password_of_another_account(make: MakeDoor) -> None:
    other = Account(
        AccountSettings(system_id="demo", password_hash="x"), HASHER.hash("other"), SHARED
    )
    door = make(account(), other)
    assert refused(door.knock("demo", "secret8"))[0] == "ESME_RINVPASWD"
    assert refused(door.knock("bank", "other"))[0] == "ESME_RINVPASWD"


ORDER = [
    # what is wrong, and how it is refused; the earlier hides the later
    ("password", "ESME_RINVPASWD", "wrong password"),
    ("address", "ESME_RBINDFAIL", "this address is not in the account's allow list"),
    ("names", "ESME_RBINDFAIL", "the account binds over TLS with a client certificate only"),
    ("disabled", "ESME_RBINDFAIL", "the account is disabled"),
    ("bind_type", "ESME_RBINDFAIL", "the account may not bind as transceiver"),
    ("max_binds", "ESME_RBINDFAIL", "the account has its max_binds of 1"),
]


@pytest.mark.parametrize(
    "wrong",
    [
        {row[0] for row in rows}
        for size in range(len(ORDER) + 1)
        for rows in itertools.combinations(ORDER, size)
    ],
    ids=lambda wrong: "+".join(sorted(wrong)) or "nothing",
)
def test_every_refusal_and_which_comes_first(make: MakeDoor, wrong: set[str]) -> None:
    bank = account(
        allow=["192.0.2.0/24"],
        tls_client_names=["bank.example"],
        enabled="disabled" not in wrong,
        bind_types=["receiver"] if "bind_type" in wrong else ["transceiver"],
        max_binds=1,
    )
    bank.binds = taken = 1 if "max_binds" in wrong else 0
    answer = make(bank).knock(
        password="wrong" if "password" in wrong else "secret8",
        peer=ELSEWHERE if "address" in wrong else ALLOWED,
        names=() if "names" in wrong else ("bank.example",),
    )
    expected = next(((row[1], row[2]) for row in ORDER if row[0] in wrong), None)
    if expected is None:
        assert answer is bank
        assert bank.binds == 1
    else:
        assert refused(answer) == expected
        assert isinstance(answer, WrongCredentials) is ("password" in wrong)
        assert bank.binds == taken, "a refused bind takes no place"


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (BindTransmitter, "transmitter"),
        (BindReceiver, "receiver"),
        (BindTransceiver, "transceiver"),
    ],
)
def test_each_bind_type(make: MakeDoor, kind: type[Bind], name: str) -> None:
    others = [word for word in ("transmitter", "receiver", "transceiver") if word != name]
    assert isinstance(make(account(bind_types=[name])).knock(kind=kind), Account)
    assert refused(make(account(bind_types=others)).knock(kind=kind)) == (
        "ESME_RBINDFAIL",
        f"the account may not bind as {name}",
    )
    assert refused(make(account(bind_types=[])).knock(kind=kind))[0] == "ESME_RBINDFAIL"


def test_max_binds_and_their_release(make: MakeDoor) -> None:
    bank = account(max_binds=2)
    door = make(bank)
    assert door.knock() is door.knock(kind=BindReceiver) is bank
    full = ("ESME_RBINDFAIL", "the account has its max_binds of 2")
    assert refused(door.knock()) == full
    bank.release()
    assert door.knock() is bank
    assert refused(door.knock()) == full


def test_max_binds_holds_for_binds_at_the_same_moment(
    make: MakeDoor, in_reactor: InReactor
) -> None:
    bank = account(max_binds=3)
    accounts = make(bank).accounts

    def a_storm() -> Any:
        bind = BindTransceiver(1, system_id="bank", password="secret8")
        return DeferredList(
            [accounts.authenticate(bind, ALLOWED) for _ in range(10)], consumeErrors=True
        )

    results = [passed for passed, _ in in_reactor(a_storm)]
    assert results.count(True) == bank.binds == 3


def test_a_storm_of_binds_is_told_to_come_back(
    make: MakeDoor, in_reactor: InReactor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ESME_RINVPASWD would stop a Kannel until its restart."""
    bank = account(max_binds=1_000)
    door = make(bank)
    go = threading.Event()
    monkeypatch.setattr(passwords, "_verify", lambda *_: go.wait(10))
    pending: list[Deferred[Any]] = []

    def a_storm() -> None:
        for number in range(102):
            bind = BindTransceiver(1, system_id="bank", password=f"storm{number}")
            pending.append(door.accounts.authenticate(bind, ALLOWED))

    in_reactor(a_storm)
    try:
        for system_id in ("bank", "nobody"):
            answer = door.knock(system_id, "storm")
            assert refused(answer) == ("ESME_RBINDFAIL", "too many binds are being checked")
            assert not isinstance(answer, WrongCredentials)
        assert bank.binds == 0
    finally:
        go.set()
    found = in_reactor(lambda: DeferredList(pending))
    assert found == [(True, bank)] * 102
    assert bank.binds == 102


@pytest.mark.parametrize(
    ("allow", "peer", "allowed"),
    [
        ([], ELSEWHERE, True),
        ([], "2001:db8::1", True),
        ([], "not an address", True),
        (["192.0.2.7"], "192.0.2.7", True),
        (["192.0.2.7"], "192.0.2.8", False),
        (["192.0.2.0/24"], "192.0.2.255", True),
        (["192.0.2.0/24"], "192.0.3.0", False),
        (["192.0.2.77/24"], "192.0.2.1", True),
        (["198.51.100.1", "192.0.2.0/24"], "192.0.2.1", True),
        (["0.0.0.0/0"], "203.0.113.9", True),
        (["0.0.0.0/0"], "2001:db8::1", False),
        (["2001:db8::/32"], "2001:db8::1", True),
        (["2001:db8::/32"], "2001:DB8:0:0:0:0:0:1", True),
        (["2001:db8::/32"], "2001:db9::1", False),
        (["2001:db8::/32"], "192.0.2.1", False),
        (["2001:db8::1"], "2001:db8::2", False),
        # A listener on [::] sees IPv4 clients so.
        (["192.0.2.0/24"], "::ffff:192.0.2.7", True),
        (["192.0.2.0/24"], "::ffff:203.0.113.9", False),
        (["0.0.0.0/0"], "::ffff:203.0.113.9", True),
        (["fe80::/10"], "fe80::1%eth0", True),
        (["fe80::/10"], "2001:db8::1%eth0", False),
        (["127.0.0.1", "::1"], "::1", True),
        (["192.0.2.7"], "", False),
        (["0.0.0.0/0", "::/0"], "unix", False),
        (["192.0.2.7"], "192.0.2.7:2775", False),
        (["192.0.2.7"], "192.0.2.07", False),
    ],
)
def test_the_allow_list(make: MakeDoor, allow: list[str], peer: str, allowed: bool) -> None:
    answer = make(account(allow=allow)).knock(peer=peer)
    if allowed:
        assert isinstance(answer, Account)
    else:
        assert refused(answer)[0] == "ESME_RBINDFAIL"


def test_a_strangers_name_is_no_label(make: MakeDoor) -> None:
    accounts = make(account()).accounts
    assert accounts.knows("bank")
    assert not accounts.knows("BANK")
    assert not accounts.knows("")


def test_refusals_tell_nothing_that_was_sent(make: MakeDoor) -> None:
    door = make(account(allow=["198.51.100.0/24"]), account("open"))
    for answer in (
        door.knock("bank", "pass-phrase"),
        door.knock("open", "pass-phrase"),
        door.knock("stranger", "pass-phrase"),
    ):
        _, detail = refused(answer)
        assert isinstance(answer, BindRefused)
        shown = f"{detail} {answer} {answer!r} {answer.fields}"
        for secret in ("pass-phrase", "stranger", ALLOWED, HASH):
            assert secret not in shown


def test_api_credentials_of_its_own() -> None:
    assert account().credentials is SHARED
    own = account(username="bank-user", api_password="bank-key").credentials
    assert own == Credentials.basic("bank-user", "bank-key")


# Receipts


@pytest.mark.parametrize(
    ("receipts", "synthetic", "awaits"),
    [
        ("callback", False, False),
        ("callback", True, True),
        ("poll", False, True),
        ("both", False, True),
        ("off", False, False),
        ("off", True, False),
    ],
)
def test_whose_messages_are_waited_for(receipts: str, synthetic: bool, awaits: bool) -> None:
    assert account(receipts=receipts, synthetic_expired=synthetic).awaits_reports is awaits


def test_after_which_answers_a_receipt_is_tried_again() -> None:
    assert account().retried == {0x08, 0x14, 0x45, 0x58, 0x64, 0x67, 0xFE, 0xFF}
    assert account(deliver_retry=["ESME_RX_P_APPN"]).retried == {0x65}
    assert account(deliver_retry=[]).retried == set()


def test_the_zone_of_an_accounts_receipts() -> None:
    moment = datetime(2026, 7, 15, 12, tzinfo=UTC)
    for zone, hour in (("UTC", 12), ("+02:00", 14), ("Europe/Tallinn", 15), ("-11:00", 1)):
        assert moment.astimezone(account(receipt_timezone=zone).receipt_zone).hour == hour


def test_what_the_api_signs_the_reports_of_an_account_with(check: PasswordCheck) -> None:
    accounts = Accounts(
        [account("bank"), account("shop", username="shop", api_password="shops")],
        check,
        CommandStatus.ESME_RINVPASWD,
    )
    assert accounts.api_passwords("bank") == ["key"]
    assert accounts.api_passwords("shop") == ["shops"]
    assert accounts.api_passwords("gone") == ["key", "shops"]
