"""SIGHUP: the configuration is read anew and applied as a whole, or nothing changes.

All that may fail is done first and on a thread: reading the files, checking every key, opening
certificates, hashing passwords. What remains is done between two turns of the event loop.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from structlog.typing import FilteringBoundLogger
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure

from gateway import config_checks, config_file
from gateway.bridge.passwords import HASHER
from gateway.config import Settings
from gateway.errors import ConfigurationError
from gateway.listeners import tls_files
from gateway.metrics import Metrics
from gateway.reload import changes, refusals
from gateway.systemd import Notifier
from gateway.tls import CannotUse, ServerTls

_NAMED: Final = 20  # changed keys in the log line


class Prepared(NamedTuple):
    """A configuration that can be applied at once."""

    settings: Settings
    password_hashes: Mapping[str, str]  # by system_id
    tls: Mapping[str, ServerTls]  # by listener; empty at the start, where listening reads them


def prepare(settings: Settings, running: Prepared | None = None) -> Prepared:
    """What takes time of putting `settings` to use.

    `running` saves hashing passwords again that have not changed.
    """
    hashed = {}
    if running is not None:
        hashed = {
            (account.system_id, account.password): running.password_hashes[account.system_id]
            for account in running.settings.accounts
            if not account.password_hash
        }
    hashes = {
        account.system_id: account.password_hash
        or hashed.get((account.system_id, account.password))
        or HASHER.hash(account.password.get_secret_value())
        for account in settings.accounts
    }
    return Prepared(settings, hashes, {})


def _loaded(settings: Settings) -> dict[str, ServerTls]:
    """What each encrypted listener shows from now on. Raises ConfigurationError."""
    found, problems = {}, []
    for name, files in tls_files(settings).items():
        try:
            found[name] = ServerTls(files)
        except CannotUse as error:
            problems.append(f"{name.removesuffix('_tls')}.{error}")
    if problems:
        raise ConfigurationError(problems)
    return found


class Reloading:
    """Reloads one after the other. `reactor` is Twisted's.

    `apply` takes over what was prepared and must not fail for what a file holds; it returns how
    many sessions it ended.
    """

    def __init__(
        self,
        reactor: Any,
        path: Path,
        running: Prepared,
        apply: Callable[[Prepared], int],
        metrics: Metrics,
        log: FilteringBoundLogger,
        manager: Notifier,
    ) -> None:
        self._reactor = reactor
        self._path = path
        self._running = running
        self._apply = apply
        self._metrics = metrics
        self._log = log
        self._manager = manager
        self._busy = self._again = False
        metrics.reload_successful.set(1)
        metrics.reload_timestamp.set(time.time())

    def reload(self) -> None:
        """Begin; asked while one is under way, another follows it."""
        if self._busy:
            self._again = True
            return
        self._busy = True
        self._manager.reloading()
        reading = deferToThreadPool(self._reactor, self._reactor.getThreadPool(), self._read)
        reading.addCallbacks(self._take, self._unreadable)
        reading.addErrback(self._failed)
        reading.addBoth(self._done)

    def _read(self) -> Prepared:
        settings = config_file.load(self._path, os.environ)
        if found := refusals(self._running.settings, settings):
            raise ConfigurationError([f"{self._path}: {words}" for words in found])
        prepared = prepare(settings, self._running)
        return prepared._replace(tls=_loaded(settings))

    def _take(self, prepared: Prepared) -> None:
        changed = changes(self._running.settings, prepared.settings)
        ended = self._apply(prepared)
        self._running = prepared
        self._metrics.reload_successful.set(1)
        self._metrics.reload_timestamp.set(time.time())
        more = len(changed) - _NAMED
        self._log.info(
            "config_reloaded",
            config=str(self._path),
            changed=changed[:_NAMED] + ([f"and {more} more"] if more > 0 else []),
            sessions_ended=ended,
        )
        for words in config_checks.warnings(prepared.settings):
            self._log.warning("config_warning", detail=words)

    def _unreadable(self, failure: Failure) -> None:
        error = failure.value
        if not isinstance(error, ConfigurationError):
            self._failed(failure)
            return
        self._metrics.reload_successful.set(0)
        for words in error.problems:
            self._log.error("config_reload_refused", config=str(self._path), detail=words)

    def _failed(self, failure: Failure) -> None:
        """A fault of ours: nothing is known of how far it came."""
        self._metrics.reload_successful.set(0)
        self._log.error("config_reload_failed", failure=failure)

    def _done(self, _: object) -> None:
        self._busy = False
        self._manager.ready()
        if self._again:
            self._again = False
            self.reload()
