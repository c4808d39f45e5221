"""What a reload may change, as a table of every key."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.config import Settings
from gateway.reload import NEEDS_RESTART, changes, refusals

BANK = {"system_id": "bank", "password": "secret-1"}
SHOP = {"system_id": "shop", "password": "secret-2"}


def settings(accounts: tuple[dict[str, Any], ...] = (BANK,), **sections: Any) -> Settings:
    return Settings.model_validate({**sections, "accounts": accounts})


def test_nothing_changed() -> None:
    assert changes(settings(), settings()) == []
    assert refusals(settings(), settings()) == []


@pytest.mark.parametrize(
    ("sections", "changed"),
    [
        ({"smpp": {"max_in_flight": 5}}, ["smpp.max_in_flight"]),
        ({"smpp": {"allow": ["192.0.2.0/24"]}}, ["smpp.allow"]),
        ({"omnichannel": {"password": "another-secret"}}, ["omnichannel.password"]),
        ({"omnichannel": {"status_overrides": {"429": "ESME_RMSGQFUL"}}},
         ["omnichannel.status_overrides"]),
        ({"log": {"level": "debug", "messages": False}}, ["log.level", "log.messages"]),
        ({"drain": {"timeout": 5}}, ["drain.timeout"]),
        ({"callbacks": {"max_body": 2048}}, ["callbacks.max_body"]),
    ],
)  # fmt: skip
def test_what_is_applied(sections: Any, changed: list[str]) -> None:
    assert changes(settings(), settings(**sections)) == changed
    assert refusals(settings(), settings(**sections)) == []


@pytest.mark.parametrize(
    ("sections", "key"),
    [
        ({"smpp": {"listen": "127.0.0.1:9"}}, "smpp.listen"),
        ({"smpp": {"tls_listen": "127.0.0.1:9"}}, "smpp.tls_listen"),
        ({"admin": {"listen": ""}}, "admin.listen"),
        ({"callbacks": {"listen": "127.0.0.1:9"}}, "callbacks.listen"),
        ({"store": {"url": "sqlite://"}}, "store.url"),
        ({"store": {"max_parts": 5}}, "store.max_parts"),
        ({"sandbox": {"latency": 1}}, "sandbox.latency"),
        ({"metrics": {"system_id": False}}, "metrics.system_id"),
        ({"omnichannel": {"base_url": "http://127.0.0.1:1/v1"}}, "omnichannel.base_url"),
        ({"admin": {"tls_certificate": "a.pem"}}, "admin.tls_certificate"),
        ({"callbacks": {"tls_certificate": "a.pem"}}, "callbacks.tls_certificate"),
    ],
)
def test_what_is_refused(sections: Any, key: str) -> None:
    assert refusals(settings(), settings(**sections)) == [f"{key}: changes with a restart only"]


def test_other_certificates_are_no_matter() -> None:
    old: dict[str, Any] = {"admin": {"tls_certificate": "a.pem", "tls_key": "a.key"}}
    new: dict[str, Any] = {"admin": {"tls_certificate": "b.pem", "tls_key": "b.key"}}
    assert refusals(settings(**old), settings(**new)) == []
    assert changes(settings(**old), settings(**new)) == ["admin.tls_certificate", "admin.tls_key"]


def test_accounts_are_told_by_name_and_secrets_not_at_all() -> None:
    changed = changes(
        settings((BANK, SHOP)),
        settings((BANK | {"password": "secret-3", "throttle": 5}, {**SHOP, "system_id": "cafe"})),
    )
    assert changed == [
        'account "bank" password',
        'account "bank" throttle',
        'account "shop" removed',
        'account "cafe" added',
    ]
    assert refusals(settings((BANK, SHOP)), settings((SHOP,))) == []


def test_every_key_of_the_table_exists() -> None:
    for key in NEEDS_RESTART:
        section, _, name = key.partition(".")
        assert name in type(getattr(Settings(), section)).model_fields, key
