"""smpplib's client, an SMPP implementation that is not ours, as the ESME of a test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from smpplib import consts
from smpplib.client import Client
from smpplib.smpp import make_pdu

GSM7, LATIN1, UCS2 = (
    consts.SMPP_ENCODING_DEFAULT,
    consts.SMPP_ENCODING_ISO88591,
    consts.SMPP_ENCODING_ISO10646,
)


@contextmanager
def bound(
    port: int, bind_type: str = "transceiver", system_id: str = "demo", password: str = "demo"
) -> Iterator[Client]:
    """A bound client, unbound and closed at the end."""
    client = Client("127.0.0.1", port, timeout=10, allow_unknown_opt_params=True)
    client.logger.disabled = True
    client.connect()
    try:
        getattr(client, f"bind_{bind_type}")(system_id=system_id, password=password)
        yield client
        client.unbind()
    finally:
        client.disconnect()


def submit(client: Client, to: str, text: bytes, **fields: Any) -> int:
    """Send a submit_sm and return its sequence_number; `fields` as smpplib calls them."""
    given = {
        "source_addr_ton": consts.SMPP_TON_ALNUM,
        "source_addr": "Demo",
        "dest_addr_ton": consts.SMPP_TON_INTL,
        "dest_addr_npi": consts.SMPP_NPI_ISDN,
        "destination_addr": to,
        "short_message": text,
    } | fields
    request = make_pdu("submit_sm", client=client, **given)
    client.send_pdu(request)
    return int(request.sequence)


def answer(client: Client) -> Any:
    """The next submit_sm_resp as smpplib parsed it; enquire_links on the way are answered."""
    while True:
        found = client.read_pdu()
        if found.command == "enquire_link":
            response = make_pdu("enquire_link_resp", client=client)
            response.sequence = found.sequence
            client.send_pdu(response)
            continue
        assert found.command == "submit_sm_resp", found.command
        return found


def send(client: Client, to: str, text: bytes, **fields: Any) -> Any:
    """Submit one message and return its submit_sm_resp."""
    sequence = submit(client, to, text, **fields)
    found = answer(client)
    assert found.sequence == sequence
    return found


def exchange(client: Client, answers: int, receipts: int) -> tuple[dict[int, Any], list[Any]]:
    """Read until so many of both have come, and answer each deliver_sm.

    Returns the submit_sm_resps by sequence_number, and the receipts in their order.
    """
    answered: dict[int, Any] = {}
    found: list[Any] = []
    while len(answered) < answers or len(found) < receipts:
        one = client.read_pdu()
        if one.command == "deliver_sm":
            found.append(one)
            response = make_pdu("deliver_sm_resp", client=client)
            response.sequence = one.sequence
            client.send_pdu(response)
        else:
            assert one.command == "submit_sm_resp", one.command
            answered[one.sequence] = one
    return answered, found
