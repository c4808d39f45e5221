"""The verbs for trials and support work: `send`, `sandbox`, `decode`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any, Final

import click

DEMO: Final = "demo"  # the account of config/demo.toml; its password is no secret
DEFAULT_SANDBOX_PASSWORD: Final = "sandbox"  # noqa: S105  a stand-in has nothing to protect
PASSWORD_VARIABLE: Final = "SMPPGW_SEND_PASSWORD"  # noqa: S105  the variable's name


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Where the gateway listens.")
@click.option("--port", default=2775, show_default=True, type=click.IntRange(1, 65535))
@click.option("--system-id", default=DEMO, show_default=True, help="The account to bind as.")
@click.option(
    "--password",
    help=f'Defaults to "demo" for the demo account, else to ${PASSWORD_VARIABLE}, else asks.',
)
@click.option("--to", multiple=True, required=True, help="A number, best with +. Repeatable.")
@click.option("--from", "sender", default="", help="A number or up to 11 letters and digits.")
@click.option("--text", help="The message; without it the text is read from standard input.")
@click.option(
    "--coding",
    default="auto",
    show_default=True,
    type=click.Choice(["auto", "gsm7", "ucs2", "latin1"]),
    help="auto takes gsm7 where the alphabet allows it, else ucs2.",
)
@click.option("--count", default=1, show_default=True, type=click.IntRange(min=1), help="Times.")
@click.option(
    "--rate", default=0.0, type=click.FloatRange(min=0), help="Messages a second; 0 is no limit."
)
@click.option(
    "--window",
    default=10,
    show_default=True,
    type=click.IntRange(1, 10_000),
    help="Messages that may wait for their answer at a time.",
)
@click.option(
    "--bind",
    default="transmitter",
    show_default=True,
    type=click.Choice(["transmitter", "transceiver"]),
    help="A transceiver also takes, and drops, what is delivered to the account.",
)
@click.option(
    "--timeout",
    default=15.0,
    show_default=True,
    type=click.FloatRange(min=0.1),
    help="Seconds to wait for each answer.",
)
def send(
    host: str,
    port: int,
    system_id: str,
    password: str | None,
    to: tuple[str, ...],
    sender: str,
    text: str | None,
    coding: str,
    count: int,
    rate: float,
    window: int,
    bind: str,
    timeout: float,
) -> None:
    """Send messages through a running gateway, as a client of its would.

    Prints the status and the message_id of each message, a summary for many, and JSON lines
    into a pipe. Exits 1 when any message was not accepted.

    \b
    Examples:
      smpp-gateway send --to +37255555555 --text "Hello"
      echo "Tere õhtust" | smpp-gateway send --to +37255555555 --from Demo
      smpp-gateway send --to +37255555555 --text load --count 1000 --rate 100
    """
    from gateway.esme import SendError
    from gateway.send import Plan, address, content_of
    from gateway.send import send as run
    from gateway.send_report import Report

    if text is None:
        if sys.stdin.isatty():
            raise click.UsageError("give --text, or pipe the text in")
        text = sys.stdin.read().removesuffix("\n")
    try:
        content = content_of(text, coding)
        for written in (*to, sender):
            address(written)
    except SendError as error:
        raise click.UsageError(str(error)) from None
    plan = Plan(
        host=host,
        port=port,
        system_id=system_id,
        password=_password(system_id, password),
        to=to,
        sender=sender,
        content=content,
        count=count,
        rate=rate,
        window=window,
        bind=bind,
        timeout=timeout,
    )
    failure = ""
    with Report(count * len(to), terminal=sys.stdout.isatty()) as report:
        try:
            run(plan, report.add)
        except SendError as error:
            failure = str(error)
        except KeyboardInterrupt:
            failure = "interrupted"
    if failure:
        raise click.ClickException(failure)
    sys.exit(0 if report.all_accepted else 1)


def _password(system_id: str, given: str | None) -> str:
    if given is not None:
        return given
    if system_id == DEMO:
        return DEMO
    if (found := os.environ.get(PASSWORD_VARIABLE)) is not None:
        return found
    if not sys.stdin.isatty():
        raise click.UsageError(f"give --password or set {PASSWORD_VARIABLE}")
    answer: str = click.prompt(f"Password of {system_id}", hide_input=True, err=True)
    return answer


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
@click.option(
    "--latency", default=0.0, type=click.FloatRange(0, 60), help="Seconds before each answer."
)
def sandbox(
    listen: str,
    username: str,
    password: str | None,
    password_file: Path | None,
    rate_limit: int,
    latency: float,
) -> None:
    """Run a stand-in of the Omnichannel API on this machine, for trials and tests.

    It validates like the API, sends nothing to anybody, and takes its outcome from the last
    digits of the destination. Ctrl-C ends it.

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

    from gateway.sandbox.server import Sandbox

    reactor: Any = running_reactor  # declared as one of its interfaces only
    stand_in = Sandbox(
        reactor,
        username=username,
        password=DEFAULT_SANDBOX_PASSWORD if password is None else password,
        rate_limit=rate_limit,
        latency=latency,
    )
    try:
        listener = reactor.listenTCP(int(port), stand_in.site(), interface=host)
    except CannotListenError as error:
        raise click.ClickException(f"cannot listen on {listen}: {error.socketError}") from None
    where = listener.getHost()
    shown = f"[{where.host}]" if ":" in where.host else where.host
    click.echo(f"The sandbox listens on http://{shown}:{where.port}/v1 (user {username})")
    reactor.run()


@click.command()
@click.argument("octets", metavar="HEX", nargs=-1)
def decode(octets: tuple[str, ...]) -> None:
    """Print every field of one or more PDUs written in hexadecimal.

    HEX may hold spaces, colons and 0x; without it standard input is read. Several PDUs may
    follow each other. On a terminal the output is for reading, into a pipe it is JSON. Exits
    1 when a PDU is malformed, after saying where and what the gateway would answer.

    \b
    Examples:
      smpp-gateway decode 00000010 00000015 00000000 00000001
      xxd -p captured.bin | smpp-gateway decode
    """
    from gateway.explain import explain, octets_of, readable

    written = " ".join(octets)
    if not written:
        if sys.stdin.isatty():
            raise click.UsageError("give the PDU in hexadecimal, or pipe it in")
        written = sys.stdin.read()
    try:
        explained = explain(octets_of(written))
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    for number, pdu in enumerate(explained):
        if sys.stdout.isatty():
            click.echo(("\n" if number else "") + readable(pdu))
        else:
            click.echo(json.dumps(pdu))
    sys.exit(1 if any("malformed" in pdu for pdu in explained) else 0)
