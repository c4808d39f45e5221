"""What the settings become before anything runs."""

from __future__ import annotations

from typing import Any

import pytest
import structlog

from gateway import assembly
from gateway.bridge.accounts import Accounts
from gateway.bridge.passwords import PasswordCheck
from gateway.config import OmnichannelSettings, Settings, SmppSettings
from gateway.omnichannel.client import Credentials
from gateway.omnichannel.libcurl import LibcurlTransport
from gateway.omnichannel.requests_engine import RequestsTransport


def test_every_limit_of_a_session_comes_from_its_setting() -> None:
    given = SmppSettings(
        session_init_timeout=1,
        pdu_read_timeout=2,
        enquire_link_interval=3,
        inactivity_timeout=4,
        response_timeout=5,
        unbind_timeout=6,
        max_pdu=1000,
        max_pdu_before_bind=200,
        keep_broken_tlv=True,
    )
    limits = assembly.session_limits(given)
    timers = limits.timers
    assert (timers.session_init, timers.pdu_read, timers.enquire_link) == (1, 2, 3)
    assert (timers.inactivity, timers.response, timers.unbind) == (4, 5, 6)
    assert (limits.max_pdu, limits.max_pdu_before_bind, limits.keep_broken_tlv) == (1000, 200, True)


def accounts_of(*accounts: dict[str, Any]) -> Settings:
    return Settings.model_validate({"accounts": accounts})


SHARED = Credentials.basic("shared", "shared")


def hashes_of(given: Settings) -> dict[str, str]:
    return {account.system_id: f"hash of {account.system_id}" for account in given.accounts}


def made(given: Settings, reactor: Any) -> Accounts:
    passwords = PasswordCheck(reactor, reactor.seconds, 0)
    return assembly.make_accounts(given, hashes_of(given), passwords, SHARED)


def test_own_credentials_win(running_reactor: Any) -> None:
    own = {"system_id": "own", "password": "x", "username": "u", "api_password": "p"}
    accounts = made(accounts_of({"system_id": "plain", "password": "x"}, own), running_reactor)
    found = {name: accounts.get(name) for name in ("plain", "own")}
    assert found["plain"]
    assert found["own"]
    assert found["plain"].credentials == SHARED
    assert found["plain"].password_hash == "hash of plain"
    assert found["own"].credentials == Credentials.basic("u", "p")


BANK = {"system_id": "bank", "password": "x"}
SHOP = {"system_id": "shop", "password": "x"}


def test_who_stays_in_a_reload_keeps_what_it_has(running_reactor: Any) -> None:
    accounts = made(accounts_of(BANK, SHOP), running_reactor)
    bank, shop = accounts.get("bank"), accounts.get("shop")
    assert bank
    assert bank.sent is not None
    assert shop
    bank.binds = 3
    bank.sent.add("one")
    given = accounts_of(BANK | {"max_binds": 9, "throttle": 5})
    assembly.renew_accounts(accounts, given, {"bank": "another"}, SHARED)
    assert accounts.get("bank") is bank
    assert (bank.binds, bank.settings.max_binds, bank.password_hash) == (3, 9, "another")
    assert "one" in bank.sent
    assert [bank.throttle.allows(0.0) for _ in range(6)] == [True] * 5 + [False]
    assert accounts.get("shop") is None
    assert not accounts.knows("shop")
    assert (accounts.admits(bank), accounts.admits(shop)) == (True, False)
    # Its memory is kept up, and it is there when the account is brought back.
    assert set(accounts.remembering()) == {"bank", "shop"}
    back = accounts_of(BANK, SHOP | {"enabled": False})
    assembly.renew_accounts(accounts, back, hashes_of(back), SHARED)
    assert accounts.get("shop") is shop
    assert not accounts.admits(shop), "it is disabled"


def test_a_single_account_begins_to_remember_when_it_is_no_longer_alone(
    running_reactor: Any,
) -> None:
    accounts = made(accounts_of(BANK), running_reactor)
    bank = accounts.get("bank")
    assert bank
    assert bank.sent is None
    both = accounts_of(BANK, SHOP)
    assembly.renew_accounts(accounts, both, hashes_of(both), SHARED)
    assert bank.sent is not None


@pytest.mark.parametrize(
    ("engine", "made"), [("libcurl", LibcurlTransport), ("requests", RequestsTransport)]
)
def test_the_engine_is_the_configured_one(
    in_reactor: Any, running_reactor: Any, engine: str, made: type
) -> None:
    given = OmnichannelSettings.model_validate({"engine": engine})

    def make() -> type:
        transport = assembly.make_transport(running_reactor, given, structlog.get_logger())
        transport.close()
        return type(transport)

    assert in_reactor(make) is made
