"""What an operator reads of a failed handshake, where no client of `test_listeners.py` says it."""

from __future__ import annotations

import pytest

from gateway.net.handshakes import diagnose, plain
from tests.e2e import raw_esme as wire

HELLO = bytes.fromhex("16030102000100")
PROXY_V2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"", ""),
        (HELLO[:1], ""),
        (HELLO[:2], ""),
        (HELLO, ""),
        (b"\x15\x03\x01\x00\x02\x02\x30", ""),  # an alert
        (b"\x16\x04", "no TLS record"),
        (b"\x80\x2e\x01\x00\x02", "no TLS record"),  # a hello of SSL 2.0
        (wire.submit(1)[:16], "an SMPP submit_sm; switch"),
        (wire.pdu(wire.ENQUIRE_LINK, 1), "an SMPP enquire_link; switch"),
        (wire.submit(1)[:7], "no TLS record"),
        (b"\0\0\0\x0f" + wire.submit(1)[4:16], "no TLS record"),
        (PROXY_V2[:16], "a PROXY protocol header"),
        (PROXY_V2[:5], "a PROXY protocol header"),
        (b"PROXY UNKNOWN\r\n", "a PROXY protocol header"),
        (b"POST /dlr/x HTTP", "an HTTP request; let the client use https"),
        (b"SSH-2.0-OpenSSH_", "an SSH client"),
    ],
)
def test_what_is_not_tls(head: bytes, words: str) -> None:
    found = plain(head)
    assert found.startswith(words) if words else found == ""


@pytest.mark.parametrize(
    ("words", "refused", "waited", "reason", "detail"),
    [
        ("", "", 0, "protocol", "the client left in the middle"),
        ("", "", 10, "timeout", "it was not finished in 10 s"),
        ("certificate verify failed", "", 0, "client_certificate", "certificate is refused"),
        ("certificate verify failed", "it is odd", 0, "client_certificate", "refused: it is odd"),
        ("tlsv1 alert unknown ca", "", 0, "protocol", "the alert unknown ca: it does not trust"),
        ("ssl/tls alert bad certificate", "", 0, "protocol", "bad certificate: it does not trust"),
        ("tlsv1 alert decode error", "", 0, "protocol", "with the alert decode error"),
        ("ssl/tls alert handshake failure", "", 0, "protocol", "the alert handshake failure"),
        ("bad key share", "", 0, "protocol", "OpenSSL: bad key share"),
    ],
)
def test_what_went_wrong(words: str, refused: str, waited: float, reason: str, detail: str) -> None:
    found = diagnose(HELLO, words, refused, waited)
    assert found.reason == reason
    assert detail in found.detail


def test_octets_that_are_no_tls_count_before_the_time() -> None:
    assert diagnose(b"GET ", "", "", 10).reason == "plain_octets"
    assert diagnose(b"", "", "", 10).reason == "timeout"
