"""The verb `callback-keys`: the keys that seal the routes in dlr_url."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

import click

from gateway.cli_configuration import refuse

_FILE: Final = click.argument(
    "path", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path)
)


@click.group("callback-keys", no_args_is_help=True)
def callback_keys() -> None:
    """Make, renew and list the keys that callbacks are sealed with.

    FILE is what callbacks.key_file names. All gateways behind one callbacks.public_url need the
    same keys. A running gateway reads the file again by itself.

    \b
    Examples:
      smpp-gateway callback-keys add /etc/smpp-gateway/callback-keys
      smpp-gateway callback-keys list /etc/smpp-gateway/callback-keys
    """


@callback_keys.command()
@_FILE
def add(path: Path) -> None:
    """Make FILE with a key, or add a key to it.

    A key that is added begins to seal after five minutes; in this time every gateway must get
    the file. Keys that have not sealed for eight days are dropped. No key is ever printed.

    \b
    Example:
      smpp-gateway callback-keys add /etc/smpp-gateway/callback-keys
    """
    from gateway import callback_key_rotation
    from gateway.callback_keys import in_utc
    from gateway.errors import ConfigurationError

    try:
        added = callback_key_rotation.add(path, time.time())
    except ConfigurationError as error:
        refuse(error.problems)
    except FileExistsError as error:
        raise click.ClickException(
            f"{error.filename} is there: another callback-keys add is at work, or one was "
            "killed; if none runs, delete that file"
        ) from None
    except OSError as error:
        hint = ": run this as the file's owner" if isinstance(error, PermissionError) else ""
        raise click.ClickException(f"{path} cannot be written: {error.strerror}{hint}") from None
    kid = added.key.kid
    if added.is_new_file:
        click.echo(f"Made {path}, readable by its owner only, with the key {kid}.")
    else:
        click.echo(f"Added the key {kid} to {path}.")
    if added.seals_from > added.key.created:
        click.echo(f"It seals from {in_utc(added.seals_from)}: every gateway needs it by then.")
    else:
        click.echo("It seals at once.")
    for key in added.dropped:
        click.echo(f"Dropped the key {key.kid} of {in_utc(key.created)}, long out of use.")
    _warn(path)


@callback_keys.command("list")
@_FILE
def list_(path: Path) -> None:
    """List the keys of FILE: id, age, and what each does now. No key is printed.

    \b
    Example:
      smpp-gateway callback-keys list /etc/smpp-gateway/callback-keys
    """
    from gateway.callback_key_rotation import opens_until
    from gateway.callback_keys import in_utc, read
    from gateway.errors import ConfigurationError
    from gateway.omnichannel.callback import PICKED_UP, KeyRing

    now = time.time()
    try:
        ring = KeyRing(read(path))
    except ConfigurationError as error:
        refuse(error.problems)
    sealing = ring.sealing(now)
    for key in ring.keys:
        until = opens_until(ring.keys, key)
        if key is sealing:
            does = "seals now"
        elif key.created + PICKED_UP > now:
            does = f"opens, seals from {in_utc(key.created + PICKED_UP)}"
        else:
            does = f"opens, may go after {in_utc(until)}" if until else "opens"
        click.echo(f"{key.kid}  made {in_utc(key.created)}  {_age(now - key.created):>8}  {does}")
    _warn(path)


def _age(seconds: float) -> str:
    if seconds < 0:
        return "future"
    for size, name in ((86_400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds // size:.0f} {name}"
    return f"{seconds:.0f} s"


def _warn(path: Path) -> None:
    from gateway.callback_keys import warning

    if words := warning(path):
        click.echo(f"warning: {words}", err=True)
