"""What the settings become before anything runs."""

from __future__ import annotations

from typing import Any

import pytest
import structlog

from gateway import assembly
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


def test_plain_passwords_become_hashes_and_own_credentials_win(running_reactor: Any) -> None:
    own = {"system_id": "own", "password": "x", "username": "u", "api_password": "p"}
    plain = {"system_id": "plain", "password": "secret"}
    given = Settings.model_validate({"accounts": [plain, own]})
    passwords = PasswordCheck(running_reactor, running_reactor.seconds, 0)
    shared = Credentials.basic("shared", "shared")
    accounts = assembly.make_accounts(given, passwords, shared)._accounts
    assert accounts["plain"].password_hash.startswith("$argon2id$")
    assert "secret" not in accounts["plain"].password_hash
    assert accounts["plain"].credentials == shared
    assert accounts["own"].credentials == Credentials.basic("u", "p")


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
