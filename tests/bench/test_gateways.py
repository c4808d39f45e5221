"""The configurations of measured gateways."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from bench.configuration import OTHER, configuration

VALUES: dict[str, Any] = {
    "smpp_port": 1,
    "admin_port": 2,
    "base_url": "https://127.0.0.1:3/v1",
    "ca_file": "/ca.pem",
    "engine": "libcurl",
    "messages": "true",
    "password_hash": "$argon2id$v=19$x",
}


def read(*, parts: bool) -> dict[str, Any]:
    return tomllib.loads(configuration(parts=parts, **VALUES))


def test_an_old_revision_knows_every_key() -> None:
    found = read(parts=False)
    assert found.keys() == {"smpp", "omnichannel", "admin", "log", "accounts"}
    (account,) = found["accounts"]
    assert account.keys() == {
        "system_id",
        "password_hash",
        "max_binds",
        "window",
        "response_deadline",
    }


def test_parts_have_a_store_that_holds_them() -> None:
    plain, found = read(parts=False), read(parts=True)
    store = found.pop("store")
    assert store == {"url": "sqlite:///gateway.db", "max_parts": 1_000_000}
    assert found["accounts"][0].pop("reassembly_timeout") == 3600
    assert found == plain, "nothing else differs"


def test_receipts_have_a_listener_and_a_store() -> None:
    plain, found = read(parts=False), tomllib.loads(configuration(callback_port=4, **VALUES))
    calls = found.pop("callbacks")
    assert calls["listen"] == "127.0.0.1:4"
    assert calls["public_url"] == "http://127.0.0.1:4"
    assert found.pop("store")["url"] == "sqlite:///gateway.db"
    assert found["accounts"][0].pop("deliver_window") == 100
    assert found == plain, "nothing else differs"


def test_a_second_account_shares_the_credentials() -> None:
    plain = read(parts=False)
    found = tomllib.loads(configuration(second=True, api="rate_limit = 0\n", **VALUES))
    first, other = found["accounts"]
    assert other["system_id"] == OTHER != first["system_id"]
    assert other.keys() == {"system_id", "password_hash", "response_deadline"}
    assert other["password_hash"] == first["password_hash"]
    assert found["omnichannel"].pop("rate_limit") == 0
    assert found | {"accounts": [first]} == plain, "nothing else differs"


@pytest.mark.parametrize("parts", [False, True])
def test_values_stand_where_they_belong(parts: bool) -> None:
    found = read(parts=parts)
    assert found["smpp"]["listen"] == "127.0.0.1:1"
    assert found["admin"]["listen"] == "127.0.0.1:2"
    assert found["log"]["messages"] is True
    assert found["omnichannel"]["engine"] == "libcurl"
