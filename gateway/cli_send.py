"""The verb `send`: what an ESME would send, from a command line."""

from __future__ import annotations

import os
import ssl
import sys
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from gateway.send_parts import Long

DEMO: Final = "demo"  # the account of config/demo.toml; its password is no secret
# registered_delivery: SMPP 3.4 section 5.2.17, "all" with intermediate notifications
RECEIPTS: Final = {"final": 0x01, "failure": 0x02, "success": 0x03, "all": 0x11}
OF_EVERY_MESSAGE: Final = frozenset({"final", "all"})
WAIT: Final = 30.0  # seconds for receipts
PASSWORD_VARIABLE: Final = "SMPPGW_SEND_PASSWORD"  # noqa: S105  the variable's name


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Where the gateway listens.")
@click.option("--port", default=2775, show_default=True, type=click.IntRange(1, 65535))
@click.option("--tls", is_flag=True, help="Encrypt, and check the gateway's certificate.")
@click.option(
    "--ca",
    type=click.Path(exists=True, dir_okay=False),
    help="With --tls: whom to trust instead of the system's authorities, in PEM.",
)
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
@click.option(
    "--long",
    type=click.Choice(["udh", "udh16", "sar", "payload"]),
    help="How a text goes that does not fit one SMS: in parts with a user data header (8-bit or "
    "16-bit reference) or sar_* TLVs, or whole in message_payload. Without it, message_payload "
    "above 254 octets.",
)
@click.option("--multi", is_flag=True, help="All numbers in one submit_multi, 254 at most.")
@click.option(
    "--count", default=1, show_default=True, type=click.IntRange(min=1), help="How many times."
)
@click.option(
    "--rate", default=0.0, type=click.FloatRange(min=0), help="Requests a second; 0 is no limit."
)
@click.option(
    "--window",
    default=10,
    show_default=True,
    type=click.IntRange(1, 10_000),
    help="Requests that may wait for their answer at a time.",
)
@click.option(
    "--bind",
    type=click.Choice(["transmitter", "transceiver"]),
    help="A transceiver also takes, and drops, what is delivered to the account. The default is "
    "transmitter, with --receipt transceiver.",
)
@click.option(
    "--receipt",
    is_flag=False,
    flag_value="final",
    type=click.Choice(list(RECEIPTS)),
    help="Ask for delivery receipts and show them: final (without a value), only of failure or of "
    "success, or all, on the way too.",
)
@click.option(
    "--wait",
    type=click.FloatRange(min=0),
    help=f"Seconds to wait for receipts after the last answer; {WAIT:g} with --receipt.",
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
    tls: bool,
    ca: str | None,
    system_id: str,
    password: str | None,
    to: tuple[str, ...],
    sender: str,
    text: str | None,
    coding: str,
    long: Long | None,
    multi: bool,
    count: int,
    rate: float,
    window: int,
    bind: str | None,
    receipt: str | None,
    wait: float | None,
    timeout: float,
) -> None:
    """Send messages through a running gateway, as a client of its would.

    Prints the status and the message_id of each message, a summary for many, and JSON lines
    into a pipe. Each part of a long message and each number of a submit_multi has its own
    line, and so has each receipt. Exits 1 when any of them was not accepted, or has no final
    receipt after the wait though it asked for one.

    \b
    Examples:
      smpp-gateway send --to +37255555555 --text "Hello"
      echo "Tere õhtust" | smpp-gateway send --to +37255555555 --from Demo
      smpp-gateway send --to +37255555555 --text load --count 1000 --rate 100
      cat terms.txt | smpp-gateway send --to +37255555555 --long udh
      smpp-gateway send --multi --to +37255555555 --to +37255555556 --text "Hello"
      smpp-gateway send --to +37255555555 --text "Hello" --receipt --wait 60
    """
    from gateway.esme import SendError
    from gateway.send import Plan
    from gateway.send import send as run
    from gateway.send_parts import content_of
    from gateway.send_pdus import MOST_DESTINATIONS, address
    from gateway.send_report import Report

    if multi and len(to) > MOST_DESTINATIONS:
        raise click.UsageError(
            f"a submit_multi takes {MOST_DESTINATIONS} numbers and --to is given {len(to)} times: "
            "leave out --multi, or send to fewer at a time"
        )

    if bind is None:
        bind = "transceiver" if receipt else "transmitter"
    waits = receipt is not None and bind == "transceiver"
    if wait is not None and not waits:
        raise click.UsageError("--wait is for receipts: it needs --receipt and a transceiver")

    if text is None:
        if sys.stdin.isatty():
            raise click.UsageError("give --text, or pipe the text in")
        text = sys.stdin.read().removesuffix("\n")
    try:
        content = content_of(text, coding, long)
        for written in (*to, sender):
            address(written)
    except SendError as error:
        raise click.UsageError(str(error)) from None
    plan = Plan(
        host=host,
        port=port,
        tls=_tls(tls, ca),
        system_id=system_id,
        password=_password(system_id, password),
        to=to,
        sender=sender,
        content=content,
        multi=multi,
        count=count,
        rate=rate,
        window=window,
        bind=bind,
        timeout=timeout,
        registered_delivery=RECEIPTS[receipt] if receipt else 0,
        wait=(WAIT if wait is None else wait) if waits else 0.0,
    )
    failure = ""
    with Report(plan.answers, terminal=sys.stdout.isatty(), receipts=waits) as report:
        try:
            run(plan, report)
        except SendError as error:
            failure = str(error)
        except KeyboardInterrupt:
            failure = "interrupted"
    if failure:
        raise click.ClickException(failure)
    complete = not report.missing or receipt not in OF_EVERY_MESSAGE
    sys.exit(0 if report.all_accepted and complete else 1)


def _tls(wanted: bool, ca: str | None) -> ssl.SSLContext | None:
    if ca is not None and not wanted:
        raise click.UsageError("--ca is for --tls")
    if not wanted:
        return None
    try:
        return ssl.create_default_context(cafile=ca)
    except ssl.SSLError:
        raise click.UsageError(f"{ca} holds no certificate in PEM") from None


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
