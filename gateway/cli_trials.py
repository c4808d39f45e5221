"""The verbs for trials and support work: `send` (in a module of its own), `sandbox`, `decode`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from gateway.cli_send import send

if TYPE_CHECKING:
    from twisted.logger import LogEvent

__all__ = ["decode", "sandbox", "send"]

# config_values.Alphabet, which needs pydantic: every verb would wait for that import.
ALPHABETS: Final = ("gsm7", "ascii", "latin-1", "cp1252", "utf-8")
DEFAULT_SANDBOX_PASSWORD: Final = "sandbox"  # noqa: S105  a stand-in has nothing to protect


@click.command()
@click.option(
    "--listen", default="127.0.0.1:8085", show_default=True, help="address:port; port 0 picks one."
)
@click.option("--username", default="sandbox", show_default=True, help="The API user to accept.")
@click.option("--password", help='The password to accept; "sandbox" when none is given.')
@click.option(
    "--password-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Its file.",
)
@click.option(
    "--rate-limit",
    default=150,
    show_default=True,
    type=click.IntRange(min=0),
    help="Requests a second before 429; 0 is no limit.",
)
@click.option("--retry-after", is_flag=True, help="Send Retry-After: 1 with every 429.")
@click.option(
    "--latency", default=0.0, type=click.FloatRange(0, 60), help="Seconds before each answer."
)
@click.option(
    "--delivery-delay",
    default=1.0,
    show_default=True,
    type=click.FloatRange(0, 86_400),
    help="Seconds until a message is delivered.",
)
@click.option(
    "--retry-pause",
    default=1.0,
    show_default=True,
    type=click.FloatRange(0, 3600),
    help="Seconds before a callback that was not accepted is sent again; twice as long each time.",
)
@click.option(
    "--callbacks-anywhere",
    is_flag=True,
    help="Call every dlr_url, not only those on a loopback address.",
)
def sandbox(
    listen: str,
    username: str,
    password: str | None,
    password_file: Path | None,
    rate_limit: int,
    retry_after: bool,
    latency: float,
    delivery_delay: float,
    retry_pause: float,
    callbacks_anywhere: bool,
) -> None:
    """Run a stand-in of the Omnichannel API on this machine, for trials and tests.

    It validates like the API, sends nothing to anybody, and takes its outcome from the last
    digits of the destination. A dlr_url gets signed callbacks. Ctrl-C ends it.

    \b
    Example:
      smpp-gateway sandbox --listen 127.0.0.1:8085 --latency 0.2
    """
    if password is not None and password_file is not None:
        raise click.UsageError("give --password or --password-file, not both")
    if password_file is not None:
        password = password_file.read_text().removesuffix("\n")
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise click.UsageError('--listen is "address:port", such as 127.0.0.1:8085')

    from twisted.internet import reactor as running_reactor  # noqa: TID251  a program of its own
    from twisted.internet.error import CannotListenError
    from twisted.logger import globalLogPublisher

    from gateway.sandbox.server import Sandbox

    globalLogPublisher.addObserver(_say_warnings)  # type: ignore[arg-type]  # a function will do
    reactor: Any = running_reactor  # declared as one of its interfaces only
    stand_in = Sandbox(
        reactor,
        username=username,
        password=DEFAULT_SANDBOX_PASSWORD if password is None else password,
        rate_limit=rate_limit,
        retry_after=retry_after,
        latency=latency,
        delivery_delay=delivery_delay,
        retry_pause=retry_pause,
        callbacks_anywhere=callbacks_anywhere,
    )
    try:
        listener = reactor.listenTCP(int(port), stand_in.site(), interface=host)
    except CannotListenError as error:
        raise click.ClickException(f"cannot listen on {listen}: {error.socketError}") from None
    where = listener.getHost()
    shown = f"[{where.host}]" if ":" in where.host else where.host
    click.echo(f"The sandbox listens on http://{shown}:{where.port}/v1 (user {username})")
    reactor.run()


def _say_warnings(event: LogEvent) -> None:
    from twisted.logger import LogLevel, formatEvent

    if event.get("log_level", LogLevel.info) is LogLevel.warn:
        click.echo(formatEvent(event), err=True)


@click.command()
@click.argument("octets", metavar="HEX", nargs=-1)
@click.option("--packed", is_flag=True, help="Read GSM 7-bit as eight septets to seven octets.")
@click.option(
    "--default-alphabet",
    default="gsm7",
    show_default=True,
    type=click.Choice(ALPHABETS),
    help="What data_coding 0 means to the account.",
)
def decode(octets: tuple[str, ...], packed: bool, default_alphabet: str) -> None:
    """Print every field of one or more PDUs written in hexadecimal.

    HEX may hold spaces, colons and 0x; without it standard input is read. Several PDUs may
    follow each other; then the parts of a long message are put together. On a terminal the
    output is for reading, into a pipe it is JSON. Exits 1 when a PDU is malformed, after
    saying where and what the gateway would answer.

    \b
    Examples:
      smpp-gateway decode 00000010 00000015 00000000 00000001
      xxd -p captured.bin | smpp-gateway decode
      xxd -p captured.bin | smpp-gateway decode --packed --default-alphabet latin-1
    """
    from gateway.explain import explain, octets_of
    from gateway.explain_readable import readable
    from gateway.message.charset import AlphabetPolicy

    written = " ".join(octets)
    if not written:
        if sys.stdin.isatty():
            raise click.UsageError("give the PDU in hexadecimal, or pipe it in")
        written = sys.stdin.read()
    try:
        policy = AlphabetPolicy(default_alphabet=default_alphabet, packed=packed)
        explained = explain(octets_of(written), policy)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    for number, pdu in enumerate(explained):
        if sys.stdout.isatty():
            click.echo(("\n" if number else "") + readable(pdu))
        else:
            click.echo(json.dumps(pdu))
    sys.exit(1 if any("malformed" in pdu for pdu in explained) else 0)
