"""What the keys about callbacks and receipts must agree on; a part of `config_checks`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from gateway.config import AccountSettings, Settings
from gateway.config_problems import Loc
from gateway.config_values import LOOPBACK_HOSTS
from gateway.omnichannel.callback import PATH, longest_token
from gateway.omnichannel.report import read_report_overrides

LONGEST_URL: Final = 255  # characters of dlr_url: the API names no limit, this is a usual one

_TOGETHER: Final = {
    "listen": "is required beside public_url: nothing would take the callbacks",
    "public_url": "is required beside listen and key_file: the address that the API calls",
}


def faults(settings: Settings) -> Iterator[tuple[Loc, str]]:
    """What makes the settings unusable: its place and what is wrong there."""
    callbacks, api = settings.callbacks, settings.omnichannel
    if callbacks.listen or callbacks.public_url or callbacks.key_file:
        for key, words in _TOGETHER.items():
            if not getattr(callbacks, key):
                yield ("callbacks", key), words
    # http is for loopback hosts only: then nobody but this machine calls, on trial.
    if callbacks.public_url.startswith("https:") and not callbacks.key_file:
        yield (
            ("callbacks", "key_file"),
            'is required beside public_url: make it with "smpp-gateway callback-keys add FILE"',
        )
    if api.poll_longest < api.poll_first:
        yield ("omnichannel", "poll_longest"), "must not be less than poll_first"
    for name, value in api.report_overrides.items():
        try:
            read_report_overrides({name: value})
        except ValueError as error:
            yield ("omnichannel", "report_overrides", name), str(error)
    yield from _long_urls(settings)


def _long_urls(settings: Settings) -> Iterator[tuple[Loc, str]]:
    if not settings.callbacks.public_url:
        return
    longest, system_id = 0, ""
    for account in settings.accounts:
        octets = len(account.system_id.encode("latin-1", "replace"))
        token = longest_token(octets, account.receipt_text)
        if _by_callback(account) and token > longest:
            longest, system_id = token, account.system_id
    length = len(settings.callbacks.public_url) + len(PATH) + longest
    if length > LONGEST_URL:
        yield (
            ("callbacks", "public_url"),
            f"is {length - LONGEST_URL} characters too long: with all that a receipt of account "
            f'"{system_id}" may need, the dlr_url has {length}, and {LONGEST_URL} are safe',
        )


def warnings(settings: Settings) -> Iterator[str]:
    """What works but is likely not meant, one line each."""
    callbacks = settings.callbacks
    if callbacks.public_url:
        host = urlsplit(callbacks.public_url).hostname
        if not callbacks.key_file and not settings.sandbox.listen:
            yield (
                "callbacks.key_file: without it the keys live in memory, so reports on messages "
                "sent before a restart cannot be read"
            )
        api = urlsplit(settings.omnichannel.base_url).hostname
        if host in LOOPBACK_HOSTS and api not in LOOPBACK_HOSTS:
            yield "callbacks.public_url: is a loopback address, which the API cannot call"
        if not callbacks.require_signature:
            yield (
                "callbacks.require_signature: IS OFF, so whoever learns a dlr_url can make up "
                "receipts"
            )
    else:
        without = [f'"{a.system_id}"' for a in settings.accounts if a.receipts == "callback"]
        if without:
            yield (
                f"accounts: receipts that {', '.join(without)} ask for will never come: "
                'configure [callbacks], or write receipts = "poll" (or "off")'
            )
    for index, account in enumerate(settings.accounts):
        here = f'accounts[{index}] "{account.system_id}"'
        if account.receipts == "both" and not callbacks.public_url:
            yield f'{here}.receipts: "both" without [callbacks] asks late: write "poll"'
        if account.synthetic_expired and account.receipts == "off":
            yield f'{here}.synthetic_expired: does nothing with receipts = "off"'


def _by_callback(account: AccountSettings) -> bool:
    return account.receipts in {"callback", "both"}
