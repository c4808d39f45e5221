"""Why a TLS handshake came to nothing, in words for whoever has to mend it."""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from gateway.smpp.constants import CommandId
from gateway.smpp.framing import STRANGERS

HEAD: Final = 16  # octets that tell what a client speaks: an SMPP header
_HEADER: Final = struct.Struct(">II")
_RECORDS: Final = frozenset({20, 21, 22, 23})  # the types of TLS records
_COMMANDS: Final = frozenset(CommandId)

_TOO_OLD: Final = "the client speaks no TLS later than 1.1; 1.2 or later is needed"
# Parts of OpenSSL's words, which differ from version to version.
_WORDS: Final = (
    ("did not return a certificate", "client_certificate", "the client shows no certificate"),
    ("unsupported protocol", "protocol", _TOO_OLD),
    ("version too low", "protocol", _TOO_OLD),
    ("wrong version number", "protocol", _TOO_OLD),
    (
        "no shared cipher",
        "protocol",
        "the client offers no cipher that is taken: in TLS 1.2 those are ECDHE with AES or"
        " ChaCha20, for the kind of key that the certificate has",
    ),
)
# Of the alerts that a client ends a handshake with.
_DISTRUST: Final = ("unknown ca", "bad certificate", "certificate unknown", "certificate expired")


class Failed(NamedTuple):
    """`reason` is plain_octets, client_certificate, timeout or protocol: a label of a metric."""

    reason: str
    detail: str


def plain(head: bytes) -> str:
    """What the client sent instead of TLS, and the way out of it; "" for TLS.

    `head` is what came first, of whatever length.
    """
    if not head or (head[0] in _RECORDS and head[1:2] in {b"", b"\3"}):
        return ""
    stranger = STRANGERS.get(head[:4], "")
    if "PROXY" in stranger:
        return f"{stranger} from an address that smpp.proxy_protocol does not name"
    if "HTTP" in stranger:
        return f"{stranger}; let the client use https"
    if stranger:
        return stranger
    if len(head) >= _HEADER.size:
        length, command_id = _HEADER.unpack_from(head)
        if length >= HEAD and command_id in _COMMANDS:
            name = CommandId(command_id).name
            return f"an SMPP {name}; switch the client's TLS on, or let it use smpp.listen"
    return "no TLS record"


def diagnose(head: bytes, words: str, refused: str, waited: float = 0) -> Failed:
    """What went wrong.

    `words` are OpenSSL's, "" if the client has left or its time was over; `refused` says what
    is wrong with its certificate; `waited` is in seconds, 0 if it was no matter of time.
    """
    if found := plain(head):
        return Failed("plain_octets", f"plain octets on the TLS port: {found}")
    if waited:
        what = "it was not finished" if head else "the client said nothing"
        return Failed("timeout", f"{what} in {waited:g} s")
    lowered = words.lower()
    if "certificate verify failed" in lowered:
        why = f": {refused}" if refused else ""
        return Failed("client_certificate", f"the client's certificate is refused{why}")
    if " alert " in lowered:
        alert = lowered.rpartition(" alert ")[2]
        why = ": it does not trust this listener's certificate" if alert in _DISTRUST else ""
        return Failed("protocol", f"the client ended it with the alert {alert}{why}")
    for part, reason, detail in _WORDS:
        if part in lowered:
            return Failed(reason, detail)
    return Failed("protocol", f"OpenSSL: {words}" if words else "the client left in the middle")
