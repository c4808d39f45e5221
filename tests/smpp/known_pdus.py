"""Every PDU as its octets, written out field by field from the specification.

The octets are typed here, not made by the code under test: hexadecimal digits, and text
between quotes as ASCII. Only the header is packed, from the numbers in the row.
"""

from __future__ import annotations

import re
import struct
from typing import Final

from gateway.smpp import pdu as p


def octets(notation: str) -> bytes:
    """`'00 "CMT" 00'` -> the octets 00 43 4D 54 00."""
    return b"".join(
        text.encode("ascii") if text else bytes.fromhex(digits)
        for text, digits in re.findall(r'"([^"]*)"|([0-9A-Fa-f\s]+)', notation)
    )


def wire(command_id: int, sequence_number: int, status: int = 0, body: str | bytes = b"") -> bytes:
    """A whole PDU, by the header's layout in SMPP 3.4 section 3.2."""
    rest = octets(body) if isinstance(body, str) else body
    return struct.pack(">IIII", 16 + len(rest), command_id, status, sequence_number) + rest


# SMPP 3.4 section 3.2.4: the specification's own example of an encoded PDU.
SPECIFICATIONS_OWN: Final = bytes.fromhex(
    "00 00 00 2F 00 00 00 02 00 00 00 00 00 00 00 01 53 4D 50 50 33 54 45 53 54 00 73 65 63 72 65"
    "74 30 38 00 53 55 42 4D 49 54 31 00 00 01 01 00"
)

_SRC: Final = p.Address(5, 0, "Bank")
_DST: Final = p.Address(1, 1, "37255555555")
_SRC_OCTETS: Final = '05 00 "Bank" 00'
_DST_OCTETS: Final = '01 01 "37255555555" 00'
_BIND_OCTETS: Final = '"bank" 00 "secret" 00 "VMS" 00 34 01 02 "^37" 00'
_BIND: Final = ("bank", "secret", "VMS", 0x34, 1, 2, "^37")
_CONTENT_OCTETS: Final = """
    43 7F 03 "261231120000000+" 00 "000002000000000R" 00 11 01 08 07 04 00 41 04 11
"""
_CONTENT: Final = (
    *(0x43, 0x7F, 3, "261231120000000+", "000002000000000R", 0x11, 1, 8, 7),
    bytes.fromhex("00410411"),
)
_EMPTY_CONTENT_OCTETS: Final = "00 00 00 00 00 00 00 00 00 00"

# (the value, command_id, command_status, sequence_number, body)
_ROWS: Final[list[tuple[p.Pdu, int, int, int, str]]] = [
    (p.BindReceiver(1, 0, *_BIND), 0x01, 0, 1, _BIND_OCTETS),
    (p.BindTransmitter(1, 0, *_BIND), 0x02, 0, 1, _BIND_OCTETS),
    (p.BindTransceiver(1, 0, *_BIND), 0x09, 0, 1, _BIND_OCTETS),
    (p.BindTransceiver(2, 0, "", "", "", 0), 0x09, 0, 2, "00 00 00 00 00 00 00"),
    (
        p.BindTransmitter(3, tlvs=(p.Tlv(0x1400, b"\1"),)),
        *(0x02, 0, 3, "00 00 00 34 00 00 00  1400 0001 01"),
    ),
    (p.BindReceiverResp(1, 0, "gw"), 0x80000001, 0, 1, '"gw" 00'),
    (p.BindTransmitterResp(1, 0, "gw"), 0x80000002, 0, 1, '"gw" 00'),
    (
        p.BindTransceiverResp(1, 0, "gw", (p.Tlv(0x0210, b"\x34"),)),
        *(0x80000009, 0, 1, '"gw" 00 0210 0001 34'),
    ),
    (p.BindReceiverResp(4, 0x0E), 0x80000001, 0x0E, 4, ""),
    (p.BindTransmitterResp(4, 0x0D, ""), 0x80000002, 0x0D, 4, "00"),
    (p.Outbind(5, 0, "mc", "pw"), 0x0B, 0, 5, '"mc" 00 "pw" 00'),
    (p.Unbind(6), 0x06, 0, 6, ""),
    (p.UnbindResp(6), 0x80000006, 0, 6, ""),
    (p.EnquireLink(0), 0x15, 0, 0, ""),
    (p.EnquireLinkResp(0xFFFFFFFF), 0x80000015, 0, 0xFFFFFFFF, ""),
    (p.EnquireLinkResp(7, 0, b"\0"), 0x80000015, 0, 7, "00"),  # php-smpp
    (p.GenericNack(8, 3), 0x80000000, 3, 8, ""),
    (p.GenericNack(8, 0x401, b"why"), 0x80000000, 0x401, 8, '"why"'),
    (
        p.SubmitSm(9, 0, "CMT", _SRC, _DST, *_CONTENT),
        *(0x04, 0, 9, f'"CMT" 00 {_SRC_OCTETS} {_DST_OCTETS} {_CONTENT_OCTETS}'),
    ),
    (p.SubmitSm(10), 0x04, 0, 10, f"00 000000 000000 {_EMPTY_CONTENT_OCTETS}"),
    (
        p.SubmitSm(11, tlvs=(p.Tlv(0x0424, b"hello"), p.Tlv(0x130C, b"")), stray=b"\0"),
        *(0x04, 0, 11, f'00 000000 000000 {_EMPTY_CONTENT_OCTETS} 0424 0005 "hello" 130C 0000 00'),
    ),
    (
        p.DeliverSm(12, 0, "", _DST, _SRC, esm_class=4, short_message=b"id:1"),
        *(0x05, 0, 12, f'00 {_DST_OCTETS} {_SRC_OCTETS} 04 00 00 00 00 00 00 00 00 04 "id:1"'),
    ),
    (p.SubmitSmResp(13, 0, "a1"), 0x80000004, 0, 13, '"a1" 00'),
    (p.SubmitSmResp(13, 0x58), 0x80000004, 0x58, 13, ""),
    (p.SubmitSmResp(13, 0x45, "a1"), 0x80000004, 0x45, 13, '"a1" 00'),
    (p.SubmitSmResp(13, 0), 0x80000004, 0, 13, ""),
    (p.DeliverSmResp(14, 0, ""), 0x80000005, 0, 14, "00"),
    (p.DeliverSmResp(14, 0, "filled"), 0x80000005, 0, 14, '"filled" 00'),
    (p.DeliverSmResp(14, 0x64), 0x80000005, 0x64, 14, ""),
    (
        p.SubmitMulti(
            15,
            0,
            "",
            _SRC,
            (_DST, p.DistributionList("staff"), p.Address(1, 1, "3726")),
            *_CONTENT,
            (p.Tlv(0x0204, b"\0\1"),),
        ),
        *(0x21, 0, 15),
        f'00 {_SRC_OCTETS} 03 01 {_DST_OCTETS} 02 "staff" 00 01 01 01 "3726" 00'
        f"{_CONTENT_OCTETS} 0204 0002 0001",
    ),
    (
        p.SubmitMultiResp(
            *(16, 0, "m1", (p.Unsuccess(_DST, 0x0B), p.Unsuccess(p.Address(), 0xFFFFFFFF)))
        ),
        *(0x80000021, 0, 16, f'"m1" 00 02 {_DST_OCTETS} 0000000B 00 00 00 FFFFFFFF'),
    ),
    (p.SubmitMultiResp(16, 0, "m1", ()), 0x80000021, 0, 16, '"m1" 00 00'),
    (p.SubmitMultiResp(16, 0x45), 0x80000021, 0x45, 16, ""),
    (
        p.DataSm(17, 0, "WAP", _SRC, _DST, 1, 2, 4, (p.Tlv(0x0424, b""), p.Tlv(0x0019, b"\0"))),
        *(0x0103, 0, 17, f'"WAP" 00 {_SRC_OCTETS} {_DST_OCTETS} 01 02 04 0424 0000 0019 0001 00'),
    ),
    (
        p.DataSmResp(18, 0, "d", (p.Tlv(0x0425, b"\2"), p.Tlv(0x0423, b"\3\0\1"))),
        *(0x80000103, 0, 18, '"d" 00 0425 0001 02 0423 0003 030001'),
    ),
    (p.QuerySm(19, 0, "m1", _SRC), 0x03, 0, 19, f'"m1" 00 {_SRC_OCTETS}'),
    (
        p.QuerySmResp(20, 0, "m1", "261231120000000+", 2, 0),
        *(0x80000003, 0, 20, '"m1" 00 "261231120000000+" 00 02 00'),
    ),
    (p.QuerySmResp(20, 0, "m1", "", 1, 9), 0x80000003, 0, 20, '"m1" 00 00 01 09'),
    (p.QuerySmResp(20, 0x67), 0x80000003, 0x67, 20, ""),
    (
        p.CancelSm(21, 0, "CMT", "m1", _SRC, _DST),
        *(0x08, 0, 21, f'"CMT" 00 "m1" 00 {_SRC_OCTETS} {_DST_OCTETS}'),
    ),
    (p.CancelSmResp(21, 0x11), 0x80000008, 0x11, 21, ""),
    (
        p.ReplaceSm(22, 0, "m1", _SRC, "", "000002000000000R", 1, 0, b"new"),
        *(0x07, 0, 22, f'"m1" 00 {_SRC_OCTETS} 00 "000002000000000R" 00 01 00 03 "new"'),
    ),
    (p.ReplaceSmResp(22, 0x13), 0x80000007, 0x13, 22, ""),
    (
        p.AlertNotification(23, 0, _DST, _SRC, (p.Tlv(0x0422, b"\0"),)),
        *(0x0102, 0, 23, f"{_DST_OCTETS} {_SRC_OCTETS} 0422 0001 00"),
    ),
]

KNOWN: Final[list[tuple[p.Pdu, bytes]]] = [
    (p.BindTransmitter(1, 0, "SMPP3TEST", "secret08", "SUBMIT1", 0, 1, 1), SPECIFICATIONS_OWN),
    *((row[0], wire(row[1], row[3], row[2], row[4])) for row in _ROWS),
]
NAMES: Final = [f"{type(value).__name__}-{len(raw)}" for value, raw in KNOWN]
REQUESTS: Final = [raw for value, raw in KNOWN if value.command_id < 0x80000000]

# Of each request the least body that is whole: with every string empty.
LEAST_BODIES: Final = {
    "bind_receiver": "00 00 00 34 00 00 00",
    "bind_transmitter": "00 00 00 34 00 00 00",
    "bind_transceiver": "00 00 00 34 00 00 00",
    "submit_sm": "00 000000 000000 000000 00 00 00000000 00",
    "deliver_sm": "00 000000 000000 000000 00 00 00000000 00",
    "submit_multi": "00 000000 01 02 00 000000 00 00 00000000 00",
    "query_sm": "00 000000",
    "cancel_sm": "00 00 000000 000000",
    "replace_sm": "00 000000 00 00 0000 00",
    "data_sm": "00 000000 000000 000000",
    "outbind": "00 00",
    "alert_notification": "000000 000000",
}
