"""How long each field may be and what answers one that is longer: typed from the specification.

Lengths are octets with the NUL. system_id and password are longer than specified because
clients are; message_id is that of 3.4.
"""

import struct
from typing import Final

import pytest

from gateway.smpp import pdu as p
from gateway.smpp.codec import MalformedPdu, decode
from gateway.smpp.layouts import BODY_NAMES, CLASSES, LAYOUTS, WITH_TLVS
from tests.smpp.known_pdus import wire

ADDRESS: Final = "00 00 *"
SCHEDULE: Final = "schedule_delivery_time"
CONTENT: Final = "00 00 00 00 00 00 00 00 00 00"

# command_id, the body with * for the field's octets, field, most octets, status of one too long
LENGTHS: Final = [
    *(
        row
        for bind in (0x01, 0x02, 0x09)
        for row in [
            (bind, "* 00 00 34 00 00 00", "system_id", 65, 0x0F),
            (bind, "00 * 00 34 00 00 00", "password", 65, 0x0E),
            (bind, "00 00 * 34 00 00 00", "system_type", 13, 0x53),
            (bind, "00 00 00 34 00 00 *", "address_range", 41, 0x02),
        ]
    ),
    (0x0B, "* 00", "system_id", 65, 0x0F),
    (0x0B, "00 *", "password", 65, 0x0E),
    *(
        row
        for message in (0x04, 0x05)
        for row in [
            (message, f"* 000000 000000 {CONTENT}", "service_type", 6, 0x15),
            (message, f"00 {ADDRESS} 000000 {CONTENT}", "source_addr", 21, 0x0A),
            (message, f"00 000000 {ADDRESS} {CONTENT}", "destination_addr", 21, 0x0B),
            (
                message,
                "00 000000 000000 000000 * 00 00000000 00",
                "schedule_delivery_time",
                17,
                0x61,
            ),
            (message, "00 000000 000000 000000 00 * 00000000 00", "validity_period", 17, 0x62),
        ]
    ),
    (0x21, f"* 000000 01 01 000000 {CONTENT}", "service_type", 6, 0x15),
    (0x21, f"00 {ADDRESS} 01 01 000000 {CONTENT}", "source_addr", 21, 0x0A),
    (0x21, f"00 000000 01 01 {ADDRESS} {CONTENT}", "dest_address", 21, 0x0B),
    (0x21, f"00 000000 02 02 6100 01 {ADDRESS} {CONTENT}", "dest_address", 21, 0x0B),
    (0x21, f"00 000000 01 02 * {CONTENT}", "dl_name", 21, 0x34),
    (0x21, "00 000000 01 01 000000 000000 * 00 00000000 00", "schedule_delivery_time", 17, 0x61),
    (0x21, "00 000000 01 01 000000 000000 00 * 00000000 00", "validity_period", 17, 0x62),
    (0x103, "* 000000 000000 000000", "service_type", 6, 0x15),
    (0x103, f"00 {ADDRESS} 000000 000000", "source_addr", 65, 0x0A),
    (0x103, f"00 000000 {ADDRESS} 000000", "destination_addr", 65, 0x0B),
    (0x03, "* 000000", "message_id", 65, 0x0C),
    (0x03, f"00 {ADDRESS}", "source_addr", 21, 0x0A),
    (0x08, "* 00 000000 000000", "service_type", 6, 0x15),
    (0x08, "00 * 000000 000000", "message_id", 65, 0x0C),
    (0x08, f"00 00 {ADDRESS} 000000", "source_addr", 21, 0x0A),
    (0x08, f"00 00 000000 {ADDRESS}", "destination_addr", 21, 0x0B),
    (0x07, "* 000000 00 00 0000 00", "message_id", 65, 0x0C),
    (0x07, f"00 {ADDRESS} 00 00 0000 00", "source_addr", 21, 0x0A),
    (0x07, "00 000000 * 00 0000 00", "schedule_delivery_time", 17, 0x61),
    (0x07, "00 000000 00 * 0000 00", "validity_period", 17, 0x62),
    (0x102, f"{ADDRESS} 000000", "source_addr", 65, 0x0A),
    (0x102, f"000000 {ADDRESS}", "esme_addr", 65, 0x0A),
]
IDS: Final = [f"{row[0]:03x}-{row[2]}" for row in LENGTHS]


def filled(body: str, length: int, *, nul: bool = True) -> bytes:
    """The body with a field of `length` octets, the last of them NUL."""
    before, after = body.split("*")
    field = b"x" * (length - 1) + (b"\0" if nul else b"x")
    return bytes.fromhex(before) + field + (bytes.fromhex(after) if nul else b"")


@pytest.mark.parametrize(("command_id", "body", "field", "most", "status"), LENGTHS, ids=IDS)
def test_the_longest_is_read_and_one_more_is_refused(
    command_id: int, body: str, field: str, most: int, status: int
) -> None:
    longest = decode(wire(command_id, 1, 0, filled(body, most)))
    assert "x" * (most - 1) in repr([getattr(longest, name) for name in BODY_NAMES[type(longest)]])
    with pytest.raises(MalformedPdu) as caught:
        decode(wire(command_id, 0x80000001, 0, filled(body, most + 1)))
    error = caught.value
    assert (error.command_status, error.field) == (status, field)
    assert (error.command_id, error.sequence_number) == (command_id, 0x80000001)


@pytest.mark.parametrize(("command_id", "body", "field", "most", "status"), LENGTHS, ids=IDS)
def test_a_field_without_nul_is_refused_by_its_name(
    command_id: int, body: str, field: str, most: int, status: int
) -> None:
    with pytest.raises(MalformedPdu) as caught:
        decode(wire(command_id, 1, 0, filled(body, 5, nul=False)))
    assert (caught.value.command_status, caught.value.field) == (status, field)


@pytest.mark.parametrize(
    ("command_id", "body", "status"),
    [
        # number_of_dests 0, dest_flag 0 and 3, fewer entries than counted
        (0x21, f"00 000000 00 {CONTENT}", 0x33),
        (0x21, f"00 000000 01 00 000000 {CONTENT}", 0x40),
        (0x21, f"00 000000 02 01 000000 03 6100 {CONTENT}", 0x40),
        (0x21, "00 000000 02 01 000000", 0x02),
        # sm_length one more than there is, and none at all
        (0x04, "00 000000 000000 000000 00 00 00000000 05 61616161", 0x01),
        (0x05, "00 000000 000000 000000 00 00 00000000 01", 0x01),
        (0x07, "00 000000 00 00 0000 FF 00", 0x01),
        (0x21, "00 000000 01 01 000000 000000 00 00 00000000 02 61", 0x01),
        (0x04, "00 000000 000000 000000 00 00 00000000", 0x02),
        # one-octet integers that are not there
        (0x04, "00 00", 0x02),
        (0x09, "00 00 00 34 00", 0x02),
        (0x103, "00 000000 000000 0000", 0x02),
        (0x07, "00 000000 00 00 00", 0x02),
        # no body
        *((command_id, "", 0x02) for command_id in (1, 2, 9, 3, 4, 5, 7, 8, 0x21, 0x103)),
    ],
)
def test_other_faults_of_a_field(command_id: int, body: str, status: int) -> None:
    with pytest.raises(MalformedPdu) as caught:
        decode(wire(command_id, 3, 0, body))
    assert caught.value.command_status == status
    assert caught.value.sequence_number == 3


def test_the_fields_of_a_layout_are_the_attributes_of_its_class() -> None:
    for cls, layout in LAYOUTS.items():
        names = [name for field in layout for name in field.name.split()]
        renamed = {
            "source_addr": "source",
            "destination_addr": "destination",
            "dest_address": "destinations",
            "esme_addr": "esme",
            "unsuccess_sme": "unsuccess",
        }
        assert tuple(renamed.get(name, name) for name in names) == BODY_NAMES[cls]
        assert CLASSES[cls.command_id] is cls


def test_only_pdus_without_room_for_tlvs_have_none() -> None:
    without = {p.Outbind, *(cls for cls, layout in LAYOUTS.items() if not layout)}
    assert set(LAYOUTS) - WITH_TLVS == without


def test_a_header_is_four_big_endian_integers() -> None:
    raw = struct.pack(">IIII", 16, 0x15, 0x01020304, 0xFFFEFDFC)
    assert decode(raw) == p.EnquireLink(0xFFFEFDFC, 0x01020304)
