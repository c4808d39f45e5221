"""What a new configuration changes in a gateway that runs, and what it may not. Pure.

A reload applies everything or nothing. Sockets that listen, the store and the engine of HTTP
stay as they are for the life of a process: a change there is refused with the rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pydantic import BaseModel

from gateway.config import MetricsSettings, SandboxSettings, Settings, StoreSettings

# fmt: off
NEEDS_RESTART: Final = frozenset({
    *(f"smpp.{key}" for key in (
        "listen", "tls_listen", "system_id", "proxy_protocol", "bind_cache",
    )),
    *(f"omnichannel.{key}" for key in (
        "base_url", "engine", "http2", "ca_file", "proxy", "max_connections", "connect_timeout",
        "max_connection_age", "max_connection_requests", "max_requests", "udh_includes_length",
        "poll_rate", "poll_first", "poll_longest",
    )),
    *(f"callbacks.{key}" for key in ("listen", "public_url", "key_file")),
    "admin.listen",
    *(f"store.{key}" for key in StoreSettings.model_fields),
    *(f"sandbox.{key}" for key in SandboxSettings.model_fields),
    *(f"metrics.{key}" for key in MetricsSettings.model_fields),
    "log.format",
})
# fmt: on
# A listener is encrypted or it is not, as long as it listens; other files are no matter.
_ENCRYPTED: Final = ("callbacks.tls_certificate", "admin.tls_certificate")


def changes(old: Settings, new: Settings) -> list[str]:
    """The keys whose values differ, such as `smpp.max_in_flight`; accounts by their name.

    Never the values, which may be secret.
    """
    found = [
        f"{section}.{key}"
        for section in Settings.model_fields
        if section != "accounts"
        for key in _differing(getattr(old, section), getattr(new, section))
    ]
    before = {account.system_id: account for account in old.accounts}
    after = {account.system_id: account for account in new.accounts}
    for system_id in before | after:
        was, is_now = before.get(system_id), after.get(system_id)
        if was is None:
            found.append(f'account "{system_id}" added')
        elif is_now is None:
            found.append(f'account "{system_id}" removed')
        else:
            found += (f'account "{system_id}" {key}' for key in _differing(was, is_now))
    return found


def _differing(old: BaseModel, new: BaseModel) -> Iterator[str]:
    for key in type(old).model_fields:
        if getattr(old, key) != getattr(new, key):
            yield key


def refusals(old: Settings, new: Settings) -> list[str]:
    """Why `new` cannot be taken over without a restart, one line for each key; none if it can."""
    changed = changes(old, new)
    found = [key for key in changed if key in NEEDS_RESTART]
    for key in _ENCRYPTED:
        section, _, name = key.partition(".")
        was, is_now = getattr(getattr(old, section), name), getattr(getattr(new, section), name)
        if key in changed and bool(was) != bool(is_now):
            found.append(key)
    return [f"{key}: changes with a restart only" for key in found]
