"""What no single key can tell: keys that must agree.

`faults` are errors for `serve` and `check-config` alike, `warnings` are said and passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final
from urllib.parse import urlsplit

import argon2
from argon2.exceptions import InvalidHashError

from gateway import config_callbacks, config_listeners, config_pacing
from gateway.config import AccountSettings, Settings
from gateway.config_problems import Loc, suggestion
from gateway.config_values import LOOPBACK_HOSTS
from gateway.omnichannel.outcome import read_overrides
from gateway.smpp.constants import CommandStatus

Fault = tuple[Loc, str]


def faults(settings: Settings) -> list[Fault]:
    """Everything that makes these settings unusable, whatever machine they run on."""
    found = [
        *_api_credentials(settings),
        *_status_overrides(settings),
        *config_callbacks.faults(settings),
        *config_listeners.faults(settings),
    ]
    for index, account in enumerate(settings.accounts):
        found += ((("accounts", index, key), words) for key, words in _secrets(account))
    return found


def _api_credentials(settings: Settings) -> Iterator[Fault]:
    api = settings.omnichannel
    password = api.password.get_secret_value()
    if api.username and not password:
        yield ("omnichannel", "password"), "is required: give password or password_file"
    if password and not api.username:
        yield ("omnichannel", "username"), "is required: the API user that the password is for"
    if ":" in api.username:
        yield ("omnichannel", "username"), "must not contain a colon (HTTP basic authentication)"
    without = [account.system_id for account in settings.accounts if not account.username]
    if without and not api.username and not password:
        names = ", ".join(f'"{name}"' for name in without)
        yield (
            ("omnichannel", "username"),
            "is required, with password or password_file: these accounts have no API "
            f"credentials of their own: {names}",
        )


def _secrets(account: AccountSettings) -> Iterator[tuple[str, str]]:
    own = account.api_password.get_secret_value()
    if account.username and not own:
        yield "api_password", "is required beside username: give api_password or api_password_file"
    if own and not account.username:
        yield "username", "is required beside api_password: the API user it is for"
    if ":" in account.username:
        yield "username", "must not contain a colon (HTTP basic authentication)"
    if account.password.get_secret_value().startswith("$argon2"):
        key = "password_file" if account.password_file else "password"
        yield key, "holds a hash: write it as password_hash"
    if account.password_hash:
        try:
            kind = argon2.extract_parameters(account.password_hash).type
        except (InvalidHashError, ValueError):
            kind = None
        if kind is not argon2.Type.ID:
            yield (
                "password_hash",
                'is not an argon2id hash: make one with "smpp-gateway hash-password"',
            )


def _status_overrides(settings: Settings) -> Iterator[Fault]:
    names = [status.name for status in CommandStatus if status is not CommandStatus.ESME_ROK]
    for key, name in settings.omnichannel.status_overrides.items():
        loc: Loc = ("omnichannel", "status_overrides", key)
        if name == CommandStatus.ESME_ROK.name:
            yield loc, "an error of the API cannot be answered with ESME_ROK"
        elif name not in names:
            yield loc, f'"{name}" is no command_status{suggestion(name, names)}'
        else:
            try:
                read_overrides({key: name})
            except ValueError as error:
                yield loc, str(error)


def warnings(settings: Settings) -> list[str]:
    """What works but is likely not meant, one line each."""
    found = [words for applies, words in WARNINGS if applies(settings)]
    found += config_callbacks.warnings(settings)
    found += config_listeners.warnings(settings)
    found += config_pacing.warnings(settings)
    for index, account in enumerate(settings.accounts):
        here = f'accounts[{index}] "{account.system_id}"'
        found += (f"{here}.{words}" for applies, words in ACCOUNT_WARNINGS if applies(account))
        if account.response_deadline > settings.drain.timeout:
            found.append(
                f"{here}.response_deadline: is longer than drain.timeout, so a stop may end "
                "before the last answers"
            )
        if account.response_deadline <= settings.omnichannel.connect_timeout:
            found.append(
                f"{here}.response_deadline: is not longer than omnichannel.connect_timeout, so a "
                "slow connection uses it up"
            )
        if account.response_deadline <= settings.omnichannel.fail_fast_after:
            found.append(
                f"{here}.response_deadline: is not longer than omnichannel.fail_fast_after, so "
                "its messages wait in vain while the API cannot be reached"
            )
    return found


def _api(settings: Settings) -> tuple[str, str]:
    parts = urlsplit(settings.omnichannel.base_url)
    return parts.hostname or "", parts.path


WARNINGS: Final[list[tuple[Callable[[Settings], bool], str]]] = [
    (lambda s: not s.accounts, "accounts: there are none, so nobody can bind"),
    (
        lambda s: _api(s)[0].endswith("messente.com") and _api(s)[1] != "/v1",
        "omnichannel.base_url: the API's path is /v1, as in https://api.messente.com/v1",
    ),
    (
        lambda s: (
            "http2" in s.omnichannel.model_fields_set
            and s.omnichannel.http2
            and s.omnichannel.engine == "requests"
        ),
        "omnichannel.http2: the requests engine speaks HTTP/1.1 only",
    ),
    (
        lambda s: (
            "http2" in s.omnichannel.model_fields_set
            and s.omnichannel.http2
            and s.omnichannel.base_url.startswith("http:")
        ),
        "omnichannel.http2: needs https, an http base_url gets HTTP/1.1",
    ),
    (
        lambda s: (
            "probe_interval" in s.omnichannel.model_fields_set and not s.omnichannel.fail_fast_after
        ),
        "omnichannel.probe_interval: does nothing with fail_fast_after = 0",
    ),
    (
        lambda s: bool(s.sandbox.listen) and _api(s)[0] not in LOOPBACK_HOSTS,
        "sandbox.listen: the sandbox runs, but omnichannel.base_url points elsewhere",
    ),
    (
        lambda s: s.store.url == "sqlite://",
        "store.url: is memory only, so the parts of unfinished messages are lost at a stop",
    ),
]
ACCOUNT_WARNINGS: Final[list[tuple[Callable[[AccountSettings], bool], str]]] = [
    (
        lambda a: bool(a.password.get_secret_value()) and not a.password_file,
        "password: stands in the clear; prefer password_hash (smpp-gateway hash-password)",
    ),
    (
        lambda a: bool(a.throttle_burst) and not a.throttle,
        "throttle_burst: does nothing without throttle",
    ),
    (
        lambda a: a.relay_incomplete and a.long_messages == "passthrough",
        'relay_incomplete: does nothing with long_messages = "passthrough"',
    ),
    (
        lambda a: a.packed and "gsm7" not in {a.default_alphabet, a.ascii_alphabet},
        "packed: holds for GSM 7-bit only, which neither data_coding 0 nor 1 is for this account",
    ),
]
