"""Whether this machine is one that the configuration can be used on; for `check-config`."""

from __future__ import annotations

import errno
import os
import socket
import ssl
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from gateway import callback_keys
from gateway.config import CallbackSettings, Settings
from gateway.config_file import SQLITE
from gateway.config_listeners import LISTENERS
from gateway.errors import ConfigurationError


def environment(settings: Settings) -> tuple[list[str], list[str]]:
    """What stands in the way on this machine, and what is only worth knowing.

    A listener's port is bound and let go. A port in use is only worth knowing: the
    check is usually run beside the running gateway.
    """
    problems: list[str] = []
    notes: list[str] = []
    api = settings.omnichannel
    if api.ca_file:
        try:
            ssl.create_default_context(cafile=api.ca_file)
        except OSError as error:
            reason = error.strerror if error.errno == errno.ENOENT else str(error)
            problems.append(f"omnichannel.ca_file: {api.ca_file} cannot be used: {reason}")
    if api.engine == "libcurl":
        try:
            import pycurl  # noqa: F401
        except ImportError as error:
            problems.append(
                f'omnichannel.engine: pycurl cannot be loaded ({error}): use "requests"'
            )
    problems += _callbacks(settings.callbacks)
    bad, ending = _certificates(settings)
    problems += bad
    notes += ending
    key_file = settings.callbacks.key_file
    if key_file and (reason := callback_keys.warning(Path(key_file))):
        notes.append(f"callbacks.key_file: {reason}")
    if reason := _cannot_store(settings.store.url):
        problems.append(f"store.url: {reason}")
    by_place: defaultdict[str, list[str]] = defaultdict(list)
    for section, key in LISTENERS:
        endpoint = getattr(getattr(settings, section), key)
        if endpoint:
            by_place[endpoint].append(f"{section}.{key}")
    for endpoint, keys in by_place.items():
        if reason := _cannot_listen(endpoint):
            where = notes if reason is IN_USE else problems
            where.append(f"{keys[0]}: {endpoint} {reason}")
    return problems, notes


SOON: Final = 14 * 86_400  # seconds that are enough to renew a certificate by hand
IN_USE: Final = "is in use; fine if that is the running gateway"


def _cannot_listen(endpoint: str) -> str:
    host, _, port = endpoint.rpartition(":")
    try:
        (family, kind, proto, _, address), *_ = socket.getaddrinfo(
            host.strip("[]"), int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except socket.gaierror as error:
        return f"does not resolve: {error.strerror}"
    try:
        with socket.socket(family, kind, proto) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return IN_USE
        return f"cannot be bound: {error.strerror}"
    return ""


def _cannot_store(url: str) -> str:
    """Why the store's file cannot be there, "" if it can; a running gateway may have it open."""
    if not url.startswith(SQLITE):
        return ""
    path = Path(url.removeprefix(SQLITE))
    if not path.parent.is_dir():
        return f"{path.parent} is no folder"
    if not os.access(path.parent, os.W_OK):
        return f"{path.parent} cannot be written by this user"
    if path.exists() and not os.access(path, os.W_OK):
        return f"{path} cannot be written by this user"
    return ""


def _callbacks(settings: CallbackSettings) -> Iterator[str]:
    """What is wrong with the keys of the callback listener."""
    if settings.key_file:
        try:
            callback_keys.KeyFile(Path(settings.key_file))
        except ConfigurationError as error:
            yield from (f"callbacks.key_file: {problem}" for problem in error.problems)


def _certificates(settings: Settings) -> tuple[list[str], list[str]]:
    """What is wrong with the files of the TLS listeners, and which certificates end soon."""
    from gateway.listeners import tls_files
    from gateway.tls import CannotUse, ServerTls

    problems, notes = [], []
    for name, files in tls_files(settings).items():
        section = name.removesuffix("_tls")
        here = f"{section}.tls_certificate: {files.certificate}"
        try:
            left = ServerTls(files).expires_at - time.time()
        except CannotUse as error:
            problems.append(f"{section}.{error}")
            continue
        if left < 0:
            problems.append(f"{here} has expired")
        elif left < SOON:
            days = int(left // 86_400)
            notes.append(f"{here} ends in {days} days: renew it, a reload (SIGHUP) takes it over")
    return problems, notes
