"""The requests of the `send` verb as they go over the wire, and what their answers say.

A submit_sm is written by smpplib. It has no submit_multi, so that one is written and its
answer read with the gateway's own codec.
"""

from __future__ import annotations

from typing import Any, Final

from smpplib import smpp

from gateway.esme import Esme, Response, SendError
from gateway.send_parts import Part
from gateway.smpp import codec
from gateway.smpp import pdu as p
from gateway.smpp.constants import CommandId, CommandStatus, EsmClass, Npi, Tag, Ton, name_of

ADDRESS_MAX: Final = 20
MOST_DESTINATIONS: Final = 254
UNREADABLE: Final = "an answer that cannot be read"


def address(written: str) -> p.Address:
    """TON, NPI and address. A leading + makes it international, letters alphanumeric.

    Raises SendError for what a submit_sm cannot carry.
    """
    addr = written.removeprefix("+")
    if len(addr) > ADDRESS_MAX or not addr.isascii() or "\0" in addr:
        raise SendError(f"{written!r} does not fit: an address is {ADDRESS_MAX} ASCII characters")
    if not addr:
        return p.Address(Ton.UNKNOWN, Npi.UNKNOWN, "")
    if any(c.isalpha() for c in addr):
        return p.Address(Ton.ALPHANUMERIC, Npi.UNKNOWN, written)
    return p.Address(Ton.INTERNATIONAL if addr != written else Ton.UNKNOWN, Npi.ISDN, addr)


def submit_sm(
    esme: Esme, source: p.Address, to: str, part: Part, registered_delivery: int = 0
) -> int:
    """Write one submit_sm; returns its sequence_number."""
    destination = address(to)
    optional: dict[str, Any] = {}
    if part.message_payload:
        optional["message_payload"] = part.message_payload
    if part.sar:
        sar = ("sar_msg_ref_num", "sar_total_segments", "sar_segment_seqnum")
        optional |= zip(sar, part.sar, strict=True)
    pdu = smpp.make_pdu(
        "submit_sm",
        client=esme,
        source_addr_ton=source.ton,
        source_addr_npi=source.npi,
        source_addr=source.addr,
        dest_addr_ton=destination.ton,
        dest_addr_npi=destination.npi,
        destination_addr=destination.addr,
        esm_class=int(EsmClass.UDHI) if part.udhi else 0,
        registered_delivery=registered_delivery,
        data_coding=part.data_coding,
        short_message=part.short_message,
        **optional,
    )
    esme.send(pdu)
    sequence_number: int = pdu.sequence
    return sequence_number


def submit_multi(
    esme: Esme,
    source: p.Address,
    to: tuple[str, ...],
    part: Part,
    registered_delivery: int = 0,
) -> int:
    """Write one submit_multi; returns its sequence_number."""
    tlvs: list[p.Tlv] = []
    if part.sar:
        reference, total, number = part.sar
        tlvs.append(p.Tlv(Tag.sar_msg_ref_num, reference.to_bytes(2)))
        tlvs.append(p.Tlv(Tag.sar_total_segments, total.to_bytes()))
        tlvs.append(p.Tlv(Tag.sar_segment_seqnum, number.to_bytes()))
    if part.message_payload:
        tlvs.append(p.Tlv(Tag.message_payload, part.message_payload))
    pdu = p.SubmitMulti(
        esme.next_sequence(),
        source=source,
        destinations=tuple(map(address, to)),
        esm_class=EsmClass.UDHI if part.udhi else 0,
        registered_delivery=registered_delivery,
        data_coding=part.data_coding,
        short_message=part.short_message,
        tlvs=tuple(tlvs),
    )
    esme.send_octets(codec.encode(pdu))
    return pdu.sequence_number


def results(response: Response, to: tuple[str, ...]) -> list[tuple[str, str, str]]:
    """For each destination: itself, its status, and its message_id if it was accepted.

    What a submit_multi_resp reports as failed has the status given there, all others have
    the response's own. An entry for a number that nobody asked for has a line too: it
    stands for one that the other side wrote in its own way, and failed.
    """
    status, message_id = name_of(CommandStatus, response.status), response.message_id
    failed: dict[str, list[str]] = {}
    known = response.command_id == CommandId.submit_multi_resp
    read = codec.decode(response.frame) if known else None
    if isinstance(read, p.SubmitMultiResp):
        message_id = read.message_id or ""
        if read.unsuccess is None and read.stray and response.status == CommandStatus.ESME_ROK:
            status = UNREADABLE  # it may have listed anything
        for where, error_status in read.unsuccess or ():
            failed.setdefault(where.addr, []).append(name_of(CommandStatus, error_status))
    found: list[tuple[str, str]] = []
    listed = set(failed)
    for written in to:
        statuses = failed.get(address(written).addr, [status])
        # A number that was given twice may be listed twice, or once for both.
        found.append((written, statuses.pop(0) if len(statuses) > 1 else statuses[0]))
    strangers = listed - {address(written).addr for written in to}
    found += ((addr, status) for addr in sorted(strangers) for status in failed[addr])
    accepted = CommandStatus.ESME_ROK.name
    return [(to, status, message_id if status == accepted else "") for to, status in found]
