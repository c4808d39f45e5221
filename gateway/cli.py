"""The command `smpp-gateway`: one verb for every thing an operator does with the gateway.

Exit codes: 0, 1 for a failure, 2 for a wrong command line, 78 for a configuration that
cannot be used. What a verb needs is imported inside it: `healthcheck` runs every few
seconds and needs neither Twisted nor pydantic.
"""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from gateway import __version__
from gateway.cli_configuration import config_option, refuse, settings_of
from gateway.cli_keys import callback_keys
from gateway.cli_receipts import receipts
from gateway.cli_trials import decode, sandbox, send

if TYPE_CHECKING:
    from gateway.config import Settings

READYZ: Final = "http://127.0.0.1:8080/readyz"


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    no_args_is_help=True,
)
@click.version_option(__version__, prog_name="smpp-gateway")
def main() -> None:
    """An SMPP server in front of Messente's Omnichannel API.

    Legacy clients bind to it and submit; it relays each message to the API and answers with
    the API's own answer. Begin with "smpp-gateway serve -c FILE"; each verb explains itself
    with --help.
    """


def _say_warnings(words: list[str]) -> None:
    for line in words:
        click.echo(f"warning: {line}", err=True)


@main.command()
@config_option
def serve(path: Path) -> None:
    """Run the gateway in the foreground until SIGTERM or Ctrl-C.

    Both drain it first: what is in flight gets its answer. Exits 78 when the configuration
    cannot be used.

    \b
    Example:
      smpp-gateway serve -c /etc/smpp-gateway/gateway.toml
    """
    gc.disable()  # nothing of what an import makes is garbage: an eighth of the time to start
    from gateway import config_checks, service
    from gateway.errors import ConfigurationError

    gc.enable()
    settings = settings_of(path)
    _say_warnings(config_checks.warnings(settings))
    try:
        code = service.run(settings, config_path=path)
    except ConfigurationError as error:
        refuse(error.problems)
    sys.exit(code)


@main.command("check-config")
@config_option
@click.option(
    "--environment/--no-environment",
    default=True,
    help="Also try what the file names on this machine: addresses, certificate files.",
)
def check_config(path: Path, environment: bool) -> None:
    """Check a configuration without starting anything.

    Prints one line for every fault and exits 78, or prints a summary and exits 0. A listener's
    port that is in use is no fault: it may be the running gateway.

    \b
    Example:
      smpp-gateway check-config -c gateway.toml --no-environment
    """
    from gateway import config_checks, config_environment

    settings = settings_of(path)
    notes = config_checks.warnings(settings)
    if environment:
        problems, more = config_environment.environment(settings)
        notes += more
        if problems:
            refuse([f"{path}: {problem}" for problem in problems])
    _say_warnings(notes)
    names = ", ".join(account.system_id for account in settings.accounts) or "none"
    click.echo(f"{path} can be used.")
    smpp, admin = settings.smpp, settings.admin
    ports = [smpp.listen] * bool(smpp.listen) + [f"{smpp.tls_listen} (TLS)"] * bool(smpp.tls_listen)
    click.echo(f"  SMPP      {', '.join(ports) or 'off'}")
    click.echo(f"  admin     {admin.listen or 'off'}{' (TLS)' if admin.tls_certificate else ''}")
    click.echo(f"  store     {settings.store.url}")
    click.echo(f"  API       {settings.omnichannel.base_url} ({settings.omnichannel.engine})")
    click.echo(f"  pace      {_pace(settings)}")
    click.echo(f"  callbacks {_callbacks(settings)}")
    click.echo(f"  accounts  {names}")


def _pace(settings: Settings) -> str:
    api = settings.omnichannel
    if not api.rate_limit:
        return "no limit, each message in a request of its own"
    alone = api.bulk == "off" or not api.max_waiting
    messages = "one message" if alone else f"up to {api.bulk_max:,} messages"
    return f"{api.rate_limit:,.10g} requests/s, with {messages} in each"


def _callbacks(settings: Settings) -> str:
    from gateway.omnichannel.callback import PATH

    calls = settings.callbacks
    return f"{calls.public_url}{PATH} at {calls.listen}" if calls.public_url else "off"


@main.command("hash-password")
def hash_password() -> None:
    """Turn an account's password into what password_hash holds.

    Asks twice without showing it, or reads one line from a pipe. A password never stands on
    the command line, where other users of the machine could see it.

    \b
    Examples:
      smpp-gateway hash-password
      pass show bank | smpp-gateway hash-password
    """
    from gateway.bridge.passwords import HASHER

    if sys.stdin.isatty():
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    else:
        password = sys.stdin.readline().removesuffix("\n").removesuffix("\r")
    if not password:
        raise click.ClickException("the password is empty")
    click.echo(HASHER.hash(password))


@main.command()
@click.option("--url", default=READYZ, show_default=True, help="What must answer 200.")
@click.option(
    "--timeout", default=3.0, show_default=True, type=click.FloatRange(min=0.1), help="Seconds."
)
def healthcheck(url: str, timeout: float) -> None:
    """Ask a running gateway whether it is ready; exit 0 or 1.

    \b
    Example:
      smpp-gateway healthcheck --url http://127.0.0.1:8080/livez
    """
    from gateway.healthcheck import probe

    healthy, line = probe(url, timeout)
    click.echo(line, err=not healthy)
    sys.exit(0 if healthy else 1)


for verb in (callback_keys, receipts, send, sandbox, decode):
    main.add_command(verb)
