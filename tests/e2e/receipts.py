"""Receipts as an ESME reads them: the octets of a deliver_sm, and its text like php-smpp does.

Independent of the gateway's own codec. What any known client would stumble over is a failure:
other fields in the text, other orders of the TLVs, a text and TLVs that do not say the same.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import Self

from tests.e2e import raw_esme as wire
from tests.e2e.raw_esme import DELIVER_SM, RESP, Pdu, RawEsme, cstring, pdu

RX_T_APPN, RX_P_APPN = 0x64, 0x65  # command_status of a receiver: later, never

REFERENCE, ERROR_CODE, STATE, RECEIPTED = 0x0204, 0x0423, 0x0427, 0x001E
FINAL, INTERIM = 0x04, 0x20  # esm_class
ACCEPTD, DELIVRD, UNDELIV = "ACCEPTD", "DELIVRD", "UNDELIV"
STATES = {
    DELIVRD: 2,
    "EXPIRED": 3,
    "DELETED": 4,
    UNDELIV: 5,
    ACCEPTD: 6,
    "UNKNOWN": 7,
    "REJECTD": 8,
}

# onlinecity/php-smpp, the strictest of all that are known, without its tolerances.
PHP_SMPP = re.compile(
    r"\Aid:(?P<id>[^ ]+) sub:001 dlvrd:(?P<dlvrd>[0-9]{3}) submit date:(?P<submitted>[0-9]{10})"
    r" done date:(?P<done>[0-9]{10}) stat:(?P<stat>[A-Z]{7}) err:(?P<err>[0-9]{3})"
    r" text:(?P<text>[ -~]{0,20})\Z"
)


@dataclass(frozen=True)
class Receipt:
    """What one deliver_sm says. The dates are as it prints them."""

    sequence: int
    final: bool
    message_id: str
    stat: str
    err: int
    submitted: str
    done: str
    text: str
    service_type: str
    source: tuple[int, int, str]
    destination: tuple[int, int, str]
    tlvs: dict[int, bytes]

    @classmethod
    def of(cls, found: Pdu) -> Self:
        """Read it, strictly; a bind of 3.3 gets no TLVs, all others get theirs."""
        assert (found.command_id, found.status) == (DELIVER_SM, 0), found
        service_type, rest = found.body.split(b"\0", 1)
        source, rest = _address(rest)
        destination, rest = _address(rest)
        esm_class, fixed, rest = rest[0], rest[1:9], rest[9:]
        assert fixed == bytes(8), "no protocol_id, priority, times, ... nor data_coding"
        assert esm_class in {FINAL, INTERIM}
        text, rest = rest[1 : 1 + rest[0]].decode("ascii"), rest[1 + rest[0] :]
        read = PHP_SMPP.match(text)
        assert read, text
        receipt = cls(
            found.sequence,
            esm_class == FINAL,
            read["id"],
            read["stat"],
            int(read["err"]),
            read["submitted"],
            read["done"],
            read["text"],
            service_type.decode(),
            source,
            destination,
            _tlvs(rest),
        )
        assert read["dlvrd"] == ("001" if receipt.stat == DELIVRD else "000")
        receipt._agrees()
        return receipt

    def _agrees(self) -> None:
        assert self.final is (self.stat != ACCEPTD)
        assert self.stat in STATES
        if not self.tlvs:
            return
        # The id last: naz takes what follows its tag for a part of the id.
        expected = {STATE: bytes([STATES[self.stat]]), RECEIPTED: cstring(self.message_id)}
        if self.stat not in {DELIVRD, ACCEPTD}:
            expected = {ERROR_CODE: struct.pack(">BH", 3, self.err)} | expected
        if REFERENCE in self.tlvs:
            expected = {REFERENCE: self.tlvs[REFERENCE]} | expected
        assert list(self.tlvs.items()) == list(expected.items())

    @property
    def told(self) -> tuple[str, int]:
        return self.stat, self.err


def _address(octets: bytes) -> tuple[tuple[int, int, str], bytes]:
    text, rest = octets[2:].split(b"\0", 1)
    return (octets[0], octets[1], text.decode("ascii")), rest


def _tlvs(octets: bytes) -> dict[int, bytes]:
    """In their order."""
    found = {}
    while octets:
        tag, length = struct.unpack(">HH", octets[:4])
        found[tag], octets = octets[4 : 4 + length], octets[4 + length :]
        assert len(found[tag]) == length
    return found


def response(receipt: Receipt, status: int = wire.ROK, body: bytes = b"\0") -> bytes:
    """The deliver_sm_resp."""
    return pdu(DELIVER_SM | RESP, receipt.sequence, body, status)


def arriving(client: RawEsme, count: int) -> list[Receipt]:
    """The next PDUs, which must be so many receipts; they are left unanswered."""
    return [Receipt.of(client.expect()) for _ in range(count)]


def taken(client: RawEsme, count: int) -> list[Receipt]:
    """The next PDUs, which must be so many receipts, each answered with ESME_ROK."""
    found = []
    for _ in range(count):
        found += arriving(client, 1)
        client.send(response(found[-1]))
    return found


def exchange(
    client: RawEsme, requests: list[bytes], receipts: int
) -> tuple[dict[int, str], list[Receipt]]:
    """Send submits in one write, and read until all is answered and so many receipts came.

    Returns the message_ids by sequence_number, and the receipts in their order, all answered.
    A receipt before the response that tells its id is a failure.
    """
    client.send(*requests)
    answers: dict[int, str] = {}
    found: list[Receipt] = []
    while len(answers) < len(requests) or len(found) < receipts:
        one = client.expect()
        if one.command_id == DELIVER_SM:
            found.append(Receipt.of(one))
            client.send(response(found[-1]))
        else:
            assert one.status == wire.ROK, one
            answers[one.sequence] = one.message_id
            early = [receipt for receipt in found if receipt.message_id == one.message_id]
            assert early == [], "before its submit_sm_resp"
    return answers, found
