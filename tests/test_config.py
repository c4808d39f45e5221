"""The models, and that the documents say what they say."""

from __future__ import annotations

import json
import re
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from gateway.config import (
    AccountSettings,
    CallbackSettings,
    DrainSettings,
    OmnichannelSettings,
    Settings,
    SmppSettings,
)
from gateway.config_problems import model_in
from gateway.smpp.constants import CommandStatus

ROOT = Path(__file__).parent.parent
HASH = "$argon2id$v=19$m=8,t=1,p=1$H0/8EX0ib1IG9VE9pmAGEw$ofLTwwKwz98ItyGMTQtpkjhxhWs"


def keys() -> list[tuple[str, str, Any]]:
    """Section, key and default in TOML, None where the key is required."""
    rows = []
    for section, field in Settings.model_fields.items():
        model = model_in(field.annotation)
        assert model is not None
        for key, setting in model.model_fields.items():
            default = setting.get_default(call_default_factory=True)
            if isinstance(default, SecretStr):
                default = default.get_secret_value()
            rows.append((section, key, None if setting.is_required() else json.dumps(default)))
    return rows


def documented() -> dict[tuple[str, str], str]:
    found: dict[tuple[str, str], str] = {}
    section = ""
    for line in (ROOT / "docs" / "configuration.md").read_text().splitlines():
        if heading := re.fullmatch(r"## `\[+(\w+)\]+`", line):
            section = heading[1]
        elif section and (row := re.fullmatch(r"\| `(\w+)` \| .+ \| (\S.*?) \| .+ \|", line)):
            default = row[2].strip("`")
            found[section, row[1]] = default
    return found


def test_the_page_names_every_key_with_its_true_default() -> None:
    expected = {(section, key): default or "required" for section, key, default in keys()}
    assert documented() == expected


def test_the_example_shows_every_key_with_its_true_default() -> None:
    text = (ROOT / "config" / "gateway.example.toml").read_text()
    # One of three secrets may be given, so the others stand there as comments only.
    tables = tomllib.loads(re.sub(r"^#(?=[\"\w]+ = )", "", text, flags=re.MULTILINE))
    account = tables["accounts"][0]
    shown = {(s, k): v for s, table in tables.items() if s != "accounts" for k, v in table.items()}
    shown |= {("accounts", key): value for key, value in account.items()}
    examples = {
        ("omnichannel", "username"),
        ("omnichannel", "password"),
        ("omnichannel", "status_overrides"),
        ("omnichannel", "report_overrides"),
        ("accounts", "system_id"),
        ("accounts", "password_hash"),
        ("accounts", "default_messages"),
    }
    for section, key, default in keys():
        assert (section, key) in shown, f"{section}.{key} is not in the example"
        if (section, key) not in examples:
            assert shown[section, key] == json.loads(default), f"{section}.{key}"


@pytest.mark.parametrize("value", ["", "127.0.0.1:2775", "[::1]:0", "gw.example.com:65535"])
def test_endpoints(value: str) -> None:
    assert SmppSettings(listen=value).listen == value


@pytest.mark.parametrize("value", ["2775", "::1:2775", "a:b", "127.0.0.1:65536", "host :1", ":1"])
def test_no_endpoints(value: str) -> None:
    with pytest.raises(ValidationError):
        SmppSettings(listen=value)


@pytest.mark.parametrize("value", ["", "gateway", "x" * 15, "!~[A-Z]'\"\\"])
def test_system_ids_of_the_gateway(value: str) -> None:
    assert SmppSettings(system_id=value).system_id == value


@pytest.mark.parametrize(
    "value", ["x" * 16, "lüüs", "a b", " ", "a\tb", "gateway\n", "a\0", "\x7f", "é", "\u0661"]
)
def test_no_system_ids_of_the_gateway(value: str) -> None:
    """It goes out as a C-octet string of ASCII."""
    with pytest.raises(ValidationError):
        SmppSettings(system_id=value)


def test_the_delay_of_a_drain() -> None:
    assert DrainSettings().delay == 0
    for seconds in (0, 0.5, 15, 86_400):
        assert DrainSettings(delay=seconds).delay == seconds
    for seconds in (-1, 86_401, float("nan"), float("inf")):
        with pytest.raises(ValidationError):
            DrainSettings(delay=seconds)


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://api.messente.com/v1/", "https://api.messente.com/v1"),
        ("http://127.0.0.1:8085/v1", "http://127.0.0.1:8085/v1"),
        ("http://[::1]:8085", "http://[::1]:8085"),
    ],
)
def test_base_url(url: str, kept: str) -> None:
    assert OmnichannelSettings(base_url=url).base_url == kept


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.messente.com/v1",
        "ftp://api.messente.com",
        "http://api.messente.com/v1",
        "http://127.0.0.1.example.com/",
        "https://user:pw@api.messente.com/v1",
        "https://:pw@api.messente.com/v1",
        "https://api.messente.com/v1?x=1",
        "https://api.messente.com:99999/v1",
        "https://api.messente.com:0/v1",
    ],
)
def test_no_base_url(url: str) -> None:
    with pytest.raises(ValidationError):
        OmnichannelSettings(base_url=url)


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("", ""),
        ("https://gw.example.com", "https://gw.example.com"),
        ("https://gw.example.com:8443/hooks/", "https://gw.example.com:8443/hooks"),
        ("http://127.0.0.1:8081", "http://127.0.0.1:8081"),
        ("http://[::1]:8081/", "http://[::1]:8081"),
    ],
)
def test_public_url(url: str, kept: str) -> None:
    assert CallbackSettings(public_url=url).public_url == kept


@pytest.mark.parametrize(
    "url",
    [
        "gw.example.com",
        "ftp://gw.example.com",
        "http://gw.example.com",
        "https://u@gw.example.com",
        "https://gw.example.com/?a=1",
        "https://gw.example.com/?",
        "https://gw.example.com/#a",
        "https://gw.example.com/a b",
        "https://gw.example.com/a\n",
        "https://gw.example.com/\u00f5",
        "https://gw.example.com:0",
    ],
)
def test_no_public_url(url: str) -> None:
    with pytest.raises(ValidationError):
        CallbackSettings(public_url=url)


def account(**keys: Any) -> AccountSettings:
    return AccountSettings(system_id="a", password_hash=HASH, **keys)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("UTC", "2026-07-01T12:00:00+00:00"),
        ("Europe/Tallinn", "2026-07-01T15:00:00+03:00"),
        ("+02:00", "2026-07-01T14:00:00+02:00"),
        ("-09:30", "2026-07-01T02:30:00-09:30"),
        ("+14:00", "2026-07-02T02:00:00+14:00"),
    ],
)
def test_the_zone_of_receipts(name: str, shown: str) -> None:
    noon = datetime(2026, 7, 1, 12, tzinfo=UTC)
    zone = account(receipt_timezone=name).receipt_zone
    assert noon.astimezone(zone).isoformat() == shown


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Europe",
        "Europe/Tallin",
        "/etc/passwd",
        "../UTC",
        "+2",
        "+0200",
        "+14:30",
        "+02:60",
        "a\0",
    ],
)
def test_no_zone(name: str) -> None:
    with pytest.raises(ValidationError):
        account(receipt_timezone=name)


def test_what_is_retried() -> None:
    """The errors after which Vonage sends again, and two more that say they are temporary."""
    retried = {CommandStatus[status].value for status in account().deliver_retry}
    assert retried == {0x08, 0x14, 0x45, 0x58, 0x64, 0x67, 0xFE, 0xFF}
    assert account(deliver_retry="ESME_RSYSERR,ESME_RMSGQFUL").deliver_retry == (
        "ESME_RSYSERR",
        "ESME_RMSGQFUL",
    )
    assert account(deliver_retry=[]).deliver_retry == ()
    for status in ("ESME_ROK", "0x58", ""):
        with pytest.raises(ValidationError):
            account(deliver_retry=[status])


def test_lists_may_be_words_with_commas() -> None:
    found = AccountSettings.model_validate(
        {
            "system_id": "a",
            "password_hash": HASH,
            "allow": "192.0.2.7, 2001:db8::/32",
            "bind_types": "receiver",
            "priorities": ",low,,high",
        }
    )
    assert [str(network) for network in found.allow] == ["192.0.2.7/32", "2001:db8::/32"]
    assert found.bind_types == ("receiver",)
    assert found.priorities == ("", "low", "", "high")


def test_repr_shows_no_secret() -> None:
    settings = Settings(
        omnichannel=OmnichannelSettings(
            username="u", password=SecretStr("s3cret"), proxy="http://u:s3cret@proxy:3128"
        ),
        accounts=(
            AccountSettings(system_id="a", password=SecretStr("s3cret"), username="u"),
            AccountSettings(system_id="b", password_hash=HASH, api_password=SecretStr("s3cret")),
        ),
    )
    assert "s3cret" not in repr(settings)
    assert "argon2" not in repr(settings)


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        SmppSettings().listen = "x"
