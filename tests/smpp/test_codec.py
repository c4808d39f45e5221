import dataclasses
import inspect
import struct
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from smpplib import smpp as smpplib

from gateway.smpp import pdu as p
from gateway.smpp.codec import MalformedPdu, decode, encode, response_to
from gateway.smpp.constants import CommandId
from tests.smpp.any_pdu import CLASSES, damaged, pdus
from tests.smpp.known_pdus import KNOWN, NAMES, octets, wire

# Every PDU class, by itself in its octets.


@pytest.mark.parametrize(("value", "raw"), KNOWN, ids=NAMES)
def test_known_pdus_are_read(value: p.Pdu, raw: bytes) -> None:
    found = decode(raw)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(("value", "raw"), KNOWN, ids=NAMES)
def test_known_pdus_are_written(value: p.Pdu, raw: bytes) -> None:
    assert encode(value) == raw


def test_every_pdu_class_and_every_command_id_is_among_the_known() -> None:
    known = {type(value) for value, _ in KNOWN}
    concrete = {
        cls
        for _, cls in inspect.getmembers(p, inspect.isclass)
        if issubclass(cls, p.Pdu) and hasattr(cls, "command_id")
    }
    assert known == concrete
    assert {cls.command_id for cls in known} == set(CommandId)


# Against an independent implementation, for what its generator does right.

_SMPPLIB = [
    (p.EnquireLink(7), {}),
    (p.EnquireLinkResp(7), {}),
    (p.Unbind(7), {}),
    (p.UnbindResp(7), {}),
    (p.BindReceiver(7, 0, "bank", "secret", "VMS", 0x34, 1, 2, "^37"), {}),
    (p.BindTransmitter(7, 0, "bank", "secret", "", 0x34, 0, 0, ""), {}),
    (p.BindTransceiver(7, 0, "", "", "", 0x34, 0, 0, ""), {}),
    (
        p.BindTransceiverResp(7, 0, "gw", (p.Tlv(0x0210, b"\x34"),)),
        {"sc_interface_version": 0x34},
    ),
    (p.SubmitSmResp(7, 0, "0f6a"), {}),
    (p.DeliverSmResp(7, 0, ""), {}),
    (p.QuerySm(7, 0, "0f6a", p.Address(1, 1, "3725")), {}),
    (p.QuerySmResp(7, 0, "0f6a", "261231120000000+", 2, 0), {}),
    (p.AlertNotification(7, 0, p.Address(1, 1, "3725"), p.Address(5, 0, "Bank")), {}),
    (p.DataSm(7, 0, "WAP", p.Address(5, 0, "Bank"), p.Address(1, 1, "3725"), 1, 2, 4), {}),
    (
        p.SubmitSm(
            *(7, 0, "CMT", p.Address(5, 0, "Bank"), p.Address(1, 1, "37255555555"), 0x40, 0, 1),
            *("000002000000000R", "261231120000000+", 1, 0, 8, 0, bytes(range(140))),
            (p.Tlv(0x0204, b"\x12\x34"), p.Tlv(0x020C, b"\0\1"), p.Tlv(0x020E, b"\2")),
        ),
        {"user_message_reference": 0x1234, "sar_msg_ref_num": 1, "sar_total_segments": 2},
    ),
    (
        p.DeliverSm(
            *(7, 0, "", p.Address(1, 1, "3725"), p.Address(5, 0, "Bank"), 4),
            short_message=b"id:0f6a stat:DELIVRD",
            tlvs=(p.Tlv(0x0427, b"\2"), p.Tlv(0x001E, b"0f6a\0")),
        ),
        {"message_state": 2, "receipted_message_id": "0f6a"},
    ),
]
_SMPPLIB_NAMES = {
    "source": ("source_addr_ton", "source_addr_npi", "source_addr"),
    "destination": ("dest_addr_ton", "dest_addr_npi", "destination_addr"),
    "esme": ("esme_addr_ton", "esme_addr_npi", "esme_addr"),
}


def smpplibs(value: p.Pdu, optional: dict[str, Any]) -> Any:
    fields = dict(optional)
    for name in value.__dataclass_fields__:
        found = getattr(value, name)
        if name in _SMPPLIB_NAMES:
            fields |= zip(_SMPPLIB_NAMES[name], found, strict=True)
        elif name not in {"sequence_number", "command_status", "tlvs", "stray"}:
            fields[name] = found
    client = SimpleNamespace(sequence=7, next_sequence=lambda: 7)
    pdu = smpplib.make_pdu(value.command_id.name, client=client, **fields)
    pdu.sequence = value.sequence_number
    return pdu


@pytest.mark.parametrize(
    ("value", "optional"), _SMPPLIB, ids=[value.command_id.name for value, _ in _SMPPLIB]
)
def test_smpplib_writes_the_same(value: p.Pdu, optional: dict[str, Any]) -> None:
    raw = smpplibs(value, optional).generate()
    if len(optional) < 2:
        assert encode(value) == raw
    theirs: Any = decode(raw)
    if hasattr(value, "tlvs"):  # it has an order of its own for them
        assert sorted(theirs.tlvs) == sorted(value.tlvs)
        theirs = dataclasses.replace(theirs, tlvs=value.tlvs)
    assert theirs == value


# Lossless both ways.


def read(raw: bytes, *, keep_broken_tlv: bool = False) -> p.Pdu | MalformedPdu:
    """What decoding gives; any other exception is a bug."""
    try:
        return decode(raw, keep_broken_tlv=keep_broken_tlv)
    except MalformedPdu as error:
        return error


@settings(deadline=None, max_examples=400)
@given(pdus())
def test_what_is_written_reads_the_same(value: p.Pdu) -> None:
    raw = encode(value)
    assert struct.unpack_from(">IIII", raw) == (
        len(raw),
        value.command_id,
        value.command_status,
        value.sequence_number,
    )
    assert decode(raw) == value


@settings(deadline=None, max_examples=400)
@given(damaged(), st.booleans())
def test_what_is_read_writes_the_same_whatever_happened_to_it(raw: bytes, keep: bool) -> None:
    found = read(raw, keep_broken_tlv=keep)
    if isinstance(found, p.Pdu):
        assert encode(found) == raw
    else:
        _, command_id, _, sequence_number = struct.unpack_from(">IIII", raw)
        assert (found.command_id, found.sequence_number) == (command_id, sequence_number)
        assert found.field
        assert found.detail


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: str(cls.__name__))
@settings(deadline=None, max_examples=25)
@given(body=st.binary(max_size=80))
def test_any_octets_at_all_as_a_body(cls: type[p.Pdu], body: bytes) -> None:
    raw = wire(cls.command_id, 5, 0, body)
    found = read(raw)
    if isinstance(found, p.Pdu):
        assert encode(found) == raw
    else:
        assert cls.command_id < 0x80000000, "nobody is told of a malformed response"


@pytest.mark.parametrize(("value", "raw"), KNOWN, ids=NAMES)
def test_a_known_pdu_cut_at_every_point(value: p.Pdu, raw: bytes) -> None:
    """It reads, losslessly, or it is refused by name; a TLV's stub is not taken for a TLV."""
    for cut in range(16, len(raw)):
        short = struct.pack(">I", cut) + raw[4:cut]
        found = read(short)
        if isinstance(found, p.Pdu):
            assert encode(found) == short
        else:
            assert value.command_id < 0x80000000
            assert found.sequence_number == value.sequence_number
            assert found.command_status != 0


# What is kept.


def submit(tail: str = "", text: str = "00") -> bytes:
    return wire(4, 1, 0, f"00 000000 000000 000000 00 00 00000000 {text} {tail}")


@pytest.mark.parametrize(
    ("tail", "tlvs"),
    [
        ("FFFF 0001 AA", ((0xFFFF, "AA"),)),
        ("1400 0003 010203", ((0x1400, "010203"),)),
        ("0000 0000", ((0, ""),)),
        ("0381 0001 01 0381 0001 02 0381 0001 01", ((0x381, "01"), (0x381, "02"), (0x381, "01"))),
        ("0427 0001 02", ((0x427, "02"),)),  # message_state belongs to deliver_sm
        ("0204 0001 05", ((0x204, "05"),)),  # two octets long by specification
        ("0210 0001 34 0001 0000 0005 0000", ((0x210, "34"), (1, ""), (5, ""))),
        ("130C 0001 01", ((0x130C, "01"),)),
    ],
)
def test_tlvs_keep_their_order_whatever_they_are(
    tail: str, tlvs: tuple[tuple[int, str], ...]
) -> None:
    found = decode(submit(tail))
    assert isinstance(found, p.SubmitSm)
    assert found.tlvs == tuple(p.Tlv(tag, bytes.fromhex(value)) for tag, value in tlvs)
    assert found.stray == b""


def test_a_tlv_of_the_greatest_length() -> None:
    text = bytes(range(256)) * 255 + bytes(255)
    value = p.DataSm(1, tlvs=(p.Tlv(0x0424, text), p.Tlv(0x0204, b"\0\1")))
    assert decode(encode(value)) == value


@pytest.mark.parametrize("stray", ["00", "0000", "000000", "FF", "0424", "0424FF"])
def test_up_to_three_stray_octets_are_kept_aside(stray: str) -> None:
    for tail in ("", "0204 0002 0001"):
        found = decode(submit(tail + stray))
        assert isinstance(found, p.SubmitSm)
        assert found.stray == bytes.fromhex(stray)
        assert len(found.tlvs) == bool(tail)


@pytest.mark.parametrize("length", [0, 1, 254, 255])
def test_short_message_up_to_255_octets(length: int) -> None:
    text = bytes(range(255))[:length]
    found = decode(submit("0204 0002 0001", f"{length:02X} {text.hex()}"))
    assert isinstance(found, p.SubmitSm)
    assert found.short_message == text
    assert found.tlvs == (p.Tlv(0x0204, b"\0\1"),)


def test_a_trailing_nul_in_short_message_is_text() -> None:
    """It is @ in GSM 03.38."""
    found = decode(submit(text='03 "a" 00 00'))
    assert isinstance(found, p.SubmitSm)
    assert found.short_message == b"a\0\0"


def test_every_octet_of_a_c_string_survives() -> None:
    for start in (1, 21, 250):
        addr = bytes((start - 1 + i) % 255 + 1 for i in range(20))
        found = decode(wire(3, 1, 0, b"\0\xff\xfe" + addr + b"\0"))
        assert isinstance(found, p.QuerySm)
        assert found.source == p.Address(255, 254, addr.decode("latin-1"))


@pytest.mark.parametrize("count", [1, 254, 255])
def test_submit_multi_has_up_to_255_destinations(count: int) -> None:
    destinations = tuple(
        p.DistributionList(f"list{i}") if i % 2 else p.Address(1, 1, f"3725{i}")
        for i in range(count)
    )
    value = p.SubmitMulti(1, destinations=destinations, short_message=b"hi")
    assert decode(encode(value)) == value


# Responses, where nobody can be told.


@pytest.mark.parametrize(
    ("command_id", "body"),
    [
        (0x80000004, b"no NUL anywhere"),
        (0x80000005, b"x" * 65 + b"\0"),
        (0x80000005, b"id\0\x04\x24\x00\xffab"),
        (0x80000021, b"id\0\x02\0\0\0"),
        (0x80000021, b"id\0\x01\0\0\0\0\0\x01"),
        (0x80000003, b"\0"),
        (0x80000009, b"x" * 80),
        (0x80000103, b"id\0\x04\x25\x00\x02\x01"),
    ],
)
def test_a_malformed_response_is_read_by_its_header(command_id: int, body: bytes) -> None:
    found: Any = decode(wire(command_id, 77, 0x58, body))
    assert found.command_id == command_id
    assert (found.sequence_number, found.command_status, found.stray) == (77, 0x58, body)
    first = "system_id" if isinstance(found, p.BindResp) else "message_id"
    assert getattr(found, first) is None


@pytest.mark.parametrize("status", [0, 0x45, 0x401])
def test_a_response_may_have_a_body_with_any_status(status: int) -> None:
    bare, filled = (
        decode(wire(0x80000004, 1, status)),
        decode(wire(0x80000004, 1, status, '"id"00')),
    )
    assert bare == p.SubmitSmResp(1, status, None)
    assert filled == p.SubmitSmResp(1, status, "id")


# The responses that are ours to give.


@pytest.mark.parametrize(
    ("command_id", "expected"),
    [
        # a refused bind ends in one NUL: Kannel warns, aiosmpplib fails without it
        (0x01, wire(0x80000001, 9, 0x0E, "00")),
        (0x02, wire(0x80000002, 9, 0x0E, "00")),
        (0x09, wire(0x80000009, 9, 0x0E, "00")),
        *(
            (command_id, wire(0x80000000 | command_id, 9, 0x0E))
            for command_id in (0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x15, 0x21, 0x103)
        ),
        # no response of their own
        *(
            (command_id, wire(0x80000000, 9, 0x0E))
            for command_id in (0x0B, 0x102, 0x00, 0x0A, 0x111, 0x7FFFFFFF, 0x80000004, 0x80000000)
        ),
    ],
)
def test_response_to(command_id: int, expected: bytes) -> None:
    assert encode(response_to(command_id, 9, 0x0E)) == expected


# What cannot be written is a fault of ours, and said to be one.


@pytest.mark.parametrize(
    "value",
    [
        p.SubmitSmResp(1, 0, "x" * 65),
        p.SubmitSmResp(1, 0, "a\0b"),
        p.SubmitSmResp(1, 0, "€"),
        p.SubmitSm(1, source=p.Address(1, 1, "1" * 21)),
        p.SubmitSm(1, source=p.Address(256, 1, "1")),
        p.SubmitSm(1, data_coding=256),
        p.SubmitSm(1, short_message=bytes(256)),
        p.SubmitMulti(1, destinations=(p.Address(),) * 256),
        p.SubmitMulti(1, destinations=(p.DistributionList("x" * 21),)),
        p.DeliverSm(1, tlvs=(p.Tlv(0x10000, b""),)),
        p.DeliverSm(1, tlvs=(p.Tlv(0x0424, bytes(65_536)),)),
        p.EnquireLink(0x1_0000_0000),
        p.EnquireLink(-1),
        p.SubmitSmResp(1, 0x1_0000_0000),
        p.SubmitMultiResp(1, 0, "", (p.Unsuccess(p.Address(), -1),)),
    ],
    ids=repr,
)
def test_what_the_wire_cannot_carry(value: p.Pdu) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  the message differs
        encode(value)


def test_tlvs_on_a_response_without_its_fields_cannot_be_written() -> None:
    """They would be read as the message_id."""
    with pytest.raises(ValueError, match="message_id"):
        encode(p.SubmitSmResp(1, 0x45, None, (p.Tlv(0x001D, b"why\0"),)))


# What may end in a log.


@pytest.mark.parametrize(("value", "raw"), KNOWN, ids=NAMES)
def test_no_repr_tells_a_password_an_address_or_a_text(value: p.Pdu, raw: bytes) -> None:
    shown = repr(value)
    for private in ("secret", "pw", "37255555555", "Bank", "hello", "id:1", "new"):
        assert private not in shown


def test_octets_notation_itself() -> None:
    assert octets('00 "CMT" 00') == b"\0CMT\0"
