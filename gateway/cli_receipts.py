"""The verb `receipts`: what waits for its ESME, and what was given up, in a store in use."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli_configuration import config_option
from gateway.cli_duration import duration, read_duration
from gateway.cli_visit import change, opened

if TYPE_CHECKING:
    from gateway.store.visitor import Visitor, Which

_account = click.option("--account", metavar="SYSTEM_ID", help="Only those of this account.")
_older_than = click.option(
    "--older-than",
    callback=read_duration,
    metavar="DURATION",
    help="Only those due, or dead, for longer than that: 90s, 15m, 6h, 3d.",
)


@click.group(no_args_is_help=True)
def receipts() -> None:
    """List, show, retry and purge delivery receipts in the store of a gateway that runs.

    They wait for their client (pending), are being sent (leased), or were given up (dead).
    Nothing is taken from the gateway's hands, and nothing has to be stopped. It works without a
    running gateway too.

    \b
    Examples:
      smpp-gateway receipts list -c gateway.toml --state dead
      smpp-gateway receipts show -c gateway.toml 4f2c0a8e-5d3b-4c1f-9e77-0b6a1d2c3e4f
      smpp-gateway receipts retry -c gateway.toml --account bank
      smpp-gateway receipts purge -c gateway.toml --state dead --older-than 3d
    """


@receipts.command("list")
@config_option
@click.option(
    "--state",
    default="all",
    show_default=True,
    type=click.Choice(["pending", "dead", "all"]),
    help="Those that wait or are being sent, those that were given up, or both.",
)
@_account
@_older_than
@click.option(
    "--limit", default=50, show_default=True, type=click.IntRange(1, 1_000_000), help="At most."
)
def list_(
    path: Path, state: Which, account: str | None, older_than: float | None, limit: int
) -> None:
    """List receipts, the oldest first: a table, or JSON lines into a pipe.

    An age counts from when a receipt became due, or died.

    \b
    Examples:
      smpp-gateway receipts list -c gateway.toml
      smpp-gateway receipts list -c gateway.toml --state pending --older-than 15m
    """
    from gateway.receipts_shown import listed, since, table

    now = time.time()
    with opened(path, account) as (_, visitor):
        rows = visitor.list_receipts(state, account, older_than, now=now, limit=limit + 1)
    rows.sort(key=since)
    shown = rows[:limit]
    if not sys.stdout.isatty():
        for row in shown:
            click.echo(json.dumps(listed(row, now)))
    else:
        for line in table(shown, now) if shown else ["none"]:
            click.echo(line)
    if len(rows) > limit:
        click.echo(f"There are more than {limit}: --limit {10 * limit} shows more.", err=True)


@receipts.command()
@config_option
@click.argument("message_id")
def show(path: Path, message_id: str) -> None:
    """Show all that is known of a message's receipts, and what to do about them.

    MESSAGE_ID is the client's or the API's. What the message said is not shown, and of numbers
    the last three digits unless log.full_numbers is set. Exits 1 if there is no receipt.

    \b
    Example:
      smpp-gateway receipts show -c gateway.toml 4f2c0a8e-5d3b-4c1f-9e77-0b6a1d2c3e4f
    """
    from gateway.receipts_shown import block, whole

    now = time.time()
    with opened(path) as (settings, visitor):
        rows = [row for form in _forms(message_id) for row in visitor.show(form)]
    if not rows:
        raise click.ClickException(f"the store has no receipt of {message_id}")
    accounts = {account.system_id for account in settings.accounts}
    for number, row in enumerate(rows):
        fields = whole(row, now, accounts, full_numbers=settings.log.full_numbers)
        if sys.stdout.isatty():
            click.echo(("\n" if number else "") + "\n".join(block(fields)))
        else:
            click.echo(json.dumps(fields))


@receipts.command()
@config_option
@_account
@_older_than
@click.option("--all", "every", is_flag=True, help="All that are dead.")
@click.argument("message_id", required=False)
def retry(
    path: Path, account: str | None, older_than: float | None, every: bool, message_id: str | None
) -> None:
    """Have dead receipts sent again, as if they were new: one message's, an account's, or all.

    A gateway that runs sends them within a second or two if a receiver of the account is
    bound. Exits 1 if MESSAGE_ID has no dead receipt.

    \b
    Examples:
      smpp-gateway receipts retry -c gateway.toml 4f2c0a8e-5d3b-4c1f-9e77-0b6a1d2c3e4f
      smpp-gateway receipts retry -c gateway.toml --account bank --older-than 6h
      smpp-gateway receipts retry -c gateway.toml --all
    """
    if every and message_id is not None:
        raise click.UsageError("give MESSAGE_ID or --all, not both")
    if not every and message_id is None and account is None:
        raise click.UsageError("say which: MESSAGE_ID, --account SYSTEM_ID, or --all")
    forms = [None] if message_id is None else _forms(message_id)
    now = time.time()

    def work(visitor: Visitor, progress: Callable[[int], None]) -> int:
        return sum(
            visitor.retry_dead(account, form, older_than, now=now, progress=progress)
            for form in forms
        )

    retried = change(path, account, work)
    if message_id is not None and not retried:
        raise click.ClickException(f"there is no such dead receipt of {message_id}")
    words = (
        "Retried {}: a gateway that runs sends {} within a second or two, where a receiver is "
        "bound."
        if retried
        else "No such dead receipts: nothing to retry."
    )
    _say("retried", retried, words)


@receipts.command()
@config_option
@click.option(
    "--state",
    required=True,
    type=click.Choice(["dead", "pending", "all"]),
    help="Those that were given up, those that wait, or both.",
)
@_account
@_older_than
@click.option("--yes", is_flag=True, help="Do not ask.")
def purge(
    path: Path, state: Which, account: str | None, older_than: float | None, yes: bool
) -> None:
    """Delete receipts for good, but none that is being sent. Their clients never get them.

    \b
    Examples:
      smpp-gateway receipts purge -c gateway.toml --state dead --older-than 3d
      smpp-gateway receipts purge -c gateway.toml --state all --account old-client --yes
    """
    if not yes and not sys.stdin.isatty():
        raise click.UsageError("this deletes for good and nobody is there to ask: give --yes")

    def work(visitor: Visitor, progress: Callable[[int], None]) -> int:
        if not yes:
            words = _meant(state, account, older_than)
            click.confirm(f"Delete {words} for good?", abort=True, err=True)
        return visitor.purge(state, account, older_than, now=time.time(), progress=progress)

    purged = change(path, account, work)
    _say("purged", purged, "Deleted {}." if purged else "No such receipts: nothing to delete.")


def _meant(state: str, account: str | None, older_than: float | None) -> str:
    kind = "dead and pending receipts" if state == "all" else f"{state} receipts"
    owner = "" if account is None else f" of {account}"
    age = "" if older_than is None else f" older than {duration(older_than)}"
    return f"all {kind}{owner}{age}"


def _forms(message_id: str) -> list[str]:
    """The id as it was given, and as accounts with other formats read it if it is the API's."""
    from gateway.smpp.message_id import written

    forms = (message_id, written(message_id, "hex"), written(message_id, "decimal"))
    return list(dict.fromkeys(forms))


def _say(what: str, count: int, words: str) -> None:
    if sys.stdout.isatty():
        number, them = ("1 receipt", "it") if count == 1 else (f"{count:,} receipts", "them")
        click.echo(words.format(number, them))
    else:
        click.echo(json.dumps({what: count}))
