"""A verb's visit to the store of a gateway that runs, or does not."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from gateway.cli_configuration import settings_of

if TYPE_CHECKING:
    from gateway.config import Settings
    from gateway.store.visitor import Visitor

# What the operator can do about what the database says.
_HINTS: Final = (
    ("No such file", "no gateway has made it yet, or it lies elsewhere"),
    ("locked", "another program is writing to it; try again"),
    ("Permission denied", "run this as the gateway's user"),
    ("unable to open", "run this as the gateway's user"),
    ("readonly", "run this as the gateway's user"),
)
_PATIENCE: Final = 1.0  # seconds of work before a counter is shown


@contextmanager
def opened(path: Path, account: str | None = None) -> Iterator[tuple[Settings, Visitor]]:
    """The configuration and its store; warns of an account that it does not have."""
    from gateway.store.base import StoreUnavailable
    from gateway.store.visitor import Visitor

    settings = settings_of(path)
    if account is not None and account not in {one.system_id for one in settings.accounts}:
        click.echo(
            f'warning: the configuration has no account "{account}"; receipts of an earlier one '
            "may be there all the same",
            err=True,
        )
    try:
        with closing(Visitor(settings.store.url)) as visitor:
            yield settings, visitor
    except StoreUnavailable as problem:
        hints = [hint for words, hint in _HINTS if words in problem.detail]
        words = ": ".join([f"store.url {settings.store.url}", problem.detail, *hints])
        raise click.ClickException(words) from None


class _Counter:
    """How many receipts are done; on a terminal it is shown if that takes long."""

    def __init__(self) -> None:
        self.done = 0
        self._began: float | None = None
        self._shows = False

    def __call__(self, done: int) -> None:
        self.done = done
        now = time.monotonic()
        self._began = self._began or now
        if now - self._began > _PATIENCE and sys.stderr.isatty():
            self._shows = True
            click.echo(f"\r{done:,} receipts so far", err=True, nl=False)

    def close(self) -> None:
        if self._shows:
            click.echo(err=True)


def change(
    path: Path, account: str | None, work: Callable[[Visitor, Callable[[int], None]], int]
) -> int:
    """What `work` returns. If it ends early, the error says how far it came."""
    counter = _Counter()
    try:
        with opened(path, account) as (_, visitor):
            return work(visitor, counter)
    except KeyboardInterrupt:
        raise click.ClickException(f"interrupted; {counter.done} were done before") from None
    except click.ClickException as error:
        if not counter.done:
            raise
        words = f"{error.message}; {counter.done} were done before"
        raise click.ClickException(words) from None
    finally:
        counter.close()
