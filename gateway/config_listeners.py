"""What the keys about listeners and their limits must agree on; a part of `config_checks`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from gateway.config import AccountSettings, Settings
from gateway.config_problems import Loc

LISTENERS: Final = (
    ("smpp", "listen"),
    ("smpp", "tls_listen"),
    ("admin", "listen"),
    ("callbacks", "listen"),
    ("sandbox", "listen"),
)
# The section of each pair of certificate and key, and the address that it is for.
TLS: Final = (("smpp", "tls_listen"), ("admin", "listen"), ("callbacks", "listen"))


def faults(settings: Settings) -> Iterator[tuple[Loc, str]]:
    """What makes the settings unusable: its place and what is wrong there."""
    yield from _addresses(settings)
    for section, _ in TLS:
        table: Any = getattr(settings, section)
        for key, twin in (("tls_certificate", "tls_key"), ("tls_key", "tls_certificate")):
            if not getattr(table, key) and (beside := _asks_for_pair(section, table, twin)):
                yield (section, key), f"is required beside {beside}"
    smpp = settings.smpp
    if smpp.tls_client_required and not smpp.tls_client_ca:
        yield (
            ("smpp", "tls_client_ca"),
            "is required beside tls_client_required: whose certificates are taken, in PEM",
        )
    missing = [key for key in ("tls_listen", "tls_client_ca") if not getattr(smpp, key)]
    for index, account in enumerate(settings.accounts):
        if account.tls_client_names and missing:
            needed = " and ".join(f"smpp.{key}" for key in missing)
            yield (
                ("accounts", index, "tls_client_names"),
                f"needs {needed}: without that no client can show a certificate, nor bind",
            )


def _addresses(settings: Settings) -> Iterator[tuple[Loc, str]]:
    taken: dict[str, str] = {}
    for section, key in LISTENERS:
        endpoint: str = getattr(getattr(settings, section), key)
        if not endpoint or endpoint.endswith(":0"):
            continue
        if endpoint in taken:
            yield (section, key), f"{endpoint} is taken by {taken[endpoint]}"
        taken.setdefault(endpoint, f"{section}.{key}")


def _asks_for_pair(section: str, table: Any, twin: str) -> str:
    """The key that makes certificate and key needed, "" if there is none."""
    if getattr(table, twin):
        return twin
    if section == "smpp":
        return "tls_listen" if table.tls_listen else ""
    # Without TLS nobody is asked for a certificate, and everybody would be let in.
    return "tls_client_ca" if section == "admin" and table.tls_client_ca else ""


def warnings(settings: Settings) -> Iterator[str]:
    """What works but is likely not meant, one line each."""
    for section, listen in TLS:
        table: Any = getattr(settings, section)
        if table.tls_certificate and not getattr(table, listen):
            yield f"{section}.tls_certificate: does nothing without {listen}"
    yield from (words for applies, words in _WARNINGS if applies(settings))
    for index, account in enumerate(settings.accounts):
        for words in _of_account(account, settings):
            yield f'accounts[{index}] "{account.system_id}".{words}'


def _of_account(account: AccountSettings, settings: Settings) -> Iterator[str]:
    smpp, windows = settings.smpp, account.max_binds * account.window
    if account.max_binds > smpp.max_connections:
        yield f"max_binds: is above smpp.max_connections, which is {smpp.max_connections}"
    if account.max_in_flight > windows:
        yield f"max_in_flight: does nothing, for max_binds times window is {windows}"
    elif account.max_in_flight > smpp.max_in_flight:
        yield f"max_in_flight: is above smpp.max_in_flight, which is {smpp.max_in_flight}"
    elif not account.max_in_flight and windows > smpp.max_in_flight:
        yield (
            f"window: times max_binds is {windows}, above smpp.max_in_flight, so this account "
            "can take up what all share: lower it, or set max_in_flight"
        )


_WARNINGS: Final[list[tuple[Callable[[Settings], bool], str]]] = [
    (
        lambda s: not s.smpp.listen and not s.smpp.tls_listen,
        "smpp.listen: is empty, and tls_listen too, so nobody can connect",
    ),
    (
        lambda s: bool(s.smpp.tls_client_ca) and not s.smpp.tls_listen,
        "smpp.tls_client_ca: does nothing without tls_listen",
    ),
    (
        lambda s: bool(s.smpp.tls_allow) and not s.smpp.tls_listen,
        "smpp.tls_allow: does nothing without tls_listen",
    ),
    (
        lambda s: bool(s.smpp.allow) and not s.smpp.listen and bool(s.smpp.tls_listen),
        "smpp.allow: is for listen, which is empty; who may use tls_listen stands in tls_allow",
    ),
    (
        lambda s: any(network.prefixlen == 0 for network in s.smpp.proxy_protocol),
        "smpp.proxy_protocol: names the whole Internet, so any client can make up its address: "
        "name the balancers only",
    ),
    (
        lambda s: (
            "max_connections_per_address" in s.smpp.model_fields_set
            and s.smpp.max_connections_per_address > s.smpp.max_connections
        ),
        "smpp.max_connections_per_address: does nothing above max_connections",
    ),
    (
        lambda s: "lockout_time" in s.smpp.model_fields_set and not s.smpp.lockout_failures,
        "smpp.lockout_time: does nothing with lockout_failures = 0",
    ),
    (
        lambda s: (
            "max_pdu_before_bind" in s.smpp.model_fields_set
            and s.smpp.max_pdu_before_bind > s.smpp.max_pdu
        ),
        "smpp.max_pdu_before_bind: is above max_pdu, so a bind may be larger than a message",
    ),
]
