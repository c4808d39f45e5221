"""The beginning and the end of a session of the `send` verb, and what may be wrong there."""

from __future__ import annotations

import socket
import ssl
from typing import Final

from smpplib import smpp
from smpplib.command import Param
from smpplib.exceptions import ConnectionError as SmpplibConnectionError

from gateway.esme import Esme, SendError
from gateway.smpp.constants import CommandStatus, name_of

UNBIND_PATIENCE: Final = 2.0  # seconds
WHAT_TO_CHECK: Final = {
    CommandStatus.ESME_RINVPASWD: "check --system-id and --password",
    CommandStatus.ESME_RINVSYSID: "check --system-id",
    CommandStatus.ESME_RBINDFAIL: (
        "check --system-id and --password, the account's allow list, bind_types, max_binds and "
        "enabled; the gateway's log says which"
    ),
    CommandStatus.ESME_RALYBND: "the account has as many binds as max_binds allows",
    CommandStatus.ESME_RSYSERR: "the gateway has a problem of its own; see its log",
}


def connect(esme: Esme) -> None:
    """Open the connection; raises SendError, which says what to check."""
    where = f"{esme.host}:{esme.port}"
    try:
        esme.connect()
    except SmpplibConnectionError as error:
        # smpplib says "Connection refused" whatever the reason was.
        cause = error.__context__
        if isinstance(cause, socket.gaierror):
            raise SendError(f"{esme.host} does not resolve: {cause.strerror}") from None
        if isinstance(cause, ssl.SSLCertVerificationError):
            reason = f"its certificate is not accepted ({cause.verify_message})"
            raise SendError(f"{where}: {reason}: name its authority with --ca") from None
        if isinstance(cause, ssl.SSLError):
            raise SendError(f"{where}: no TLS there: leave out --tls, or check --port") from None
        if isinstance(cause, TimeoutError):
            raise SendError(f"{where} does not answer: check --host and --port") from None
        reason = (cause.strerror if isinstance(cause, OSError) else None) or "no connection"
        raise SendError(f"{where}: {reason}: is the gateway running there?") from None


def bind(esme: Esme, kind: str, system_id: str, password: str) -> None:
    """Bind as a `kind`; raises SendError, which says why and what to check."""
    pdu = smpp.make_pdu(f"bind_{kind}", client=esme, system_id=system_id, password=password)
    # smpplib cuts a longer password to 8 characters without a word; the gateway takes more.
    wide = {name: Param(type=str, max=65) for name in ("system_id", "password")}
    pdu.params = {**pdu.params, **wide}
    try:
        response = esme.request(pdu, esme.timeout)
    except TimeoutError:
        raise SendError(f"no answer to the bind in {esme.timeout:g} s") from None
    except UnicodeEncodeError:
        raise SendError("system_id and password must be Latin-1 text") from None
    if response.status != CommandStatus.ESME_ROK:
        name = name_of(CommandStatus, response.status)
        hint = WHAT_TO_CHECK.get(response.status, "see the gateway's log")  # type: ignore[call-overload]
        raise SendError(f"the bind was refused with {name}: {hint}")


def unbind(esme: Esme) -> None:
    """Unbind, without waiting long for the answer."""
    esme.socket.settimeout(UNBIND_PATIENCE)
    try:
        esme.request(smpp.make_pdu("unbind", client=esme), UNBIND_PATIENCE)
    except (SendError, TimeoutError):
        return  # every message has its answer: how the session ends changes nothing
