"""User data headers, sar_* TLVs and alphabets, explained. The PDUs are built from struct."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from gateway.explain import explain
from gateway.message.charset import AlphabetPolicy
from tests.test_explain import pdu, submit


def message(octets: bytes, policy: AlphabetPolicy | None = None) -> dict[str, Any]:
    [found] = explain(octets, policy) if policy else explain(octets)
    explained: dict[str, Any] = found["message"]
    return explained


def with_header(header: str, text: bytes = b"Hi", data_coding: int = 0) -> bytes:
    return submit(bytes.fromhex(header) + text, data_coding, esm_class=0x40)


@pytest.mark.parametrize(
    ("header", "elements"),
    [
        ("050003 2a0302", [("0x00", "part 2 of 3, reference 42")]),
        ("060804 012a0302", [("0x08", "part 2 of 3, reference 298")]),
        ("050003 2a0304", [("0x00", "ignored: its length or its values cannot be right")]),
        ("050003 2a0000", [("0x00", "ignored: its length or its values cannot be right")]),
        ("040002 2a03", [("0x00", "ignored: its length or its values cannot be right")]),
        ("0401020003", [("0x01", "3 voice waiting, discard this message")]),
        ("0401028101", [("0x01", "1 fax waiting, store this message")]),
        (
            "0801020201 01020705",
            [
                ("0x01", "1 e-mail waiting, discard this message"),
                ("0x01", "5 video waiting, discard this message"),
            ],
        ),
        ("03240101", [("0x24", "Turkish")]),
        ("03250103", [("0x25", "Portuguese")]),
        ("03250102", [("0x25", "Spanish has no such table: the default one is used")]),
        ("03240163", [("0x24", "language 99 has no such table: the default one is used")]),
        (
            "0a 0003010201 0003020202",
            [
                ("0x00", "part 1 of 2, reference 1; a later element wins"),
                ("0x00", "part 2 of 2, reference 2"),
            ],
        ),
        (
            "0b 080400010201 0003020202",
            [
                ("0x08", "part 1 of 2, reference 1; a later element wins"),
                ("0x00", "part 2 of 2, reference 2"),
            ],
        ),
        (
            "0a 0003010201 0003020209",
            [
                ("0x00", "part 1 of 2, reference 1"),
                ("0x00", "ignored: its length or its values cannot be right"),
            ],
        ),
        ("0470020102", [("0x70", None)]),
    ],
)
def test_elements(header: str, elements: list[tuple[str, str | None]]) -> None:
    explained = message(with_header(header))
    found = [(each["iei"], each.get("meaning")) for each in explained["udh_elements"]]
    assert found == elements
    assert explained["text"] == "Hi"
    assert explained["udh"] == bytes.fromhex(header).hex()
    assert "udh_malformed" not in explained


def test_names_and_data() -> None:
    [known, reserved] = message(with_header("08 7002 0102 6002 0304"))["udh_elements"]
    assert known == {"iei": "0x70", "name": "SIM toolkit security header", "data": "0102"}
    assert reserved == {"iei": "0x60", "name": "reserved", "data": "0304"}


@pytest.mark.parametrize(
    ("header", "port"),
    [("060504158100ff", "5505, from port 255"), ("0404021582", "21, from port 130")],
)
def test_ports(header: str, port: str) -> None:
    explained = message(with_header(header, data_coding=4))
    assert explained["refused"].startswith("ESME_RINVESMCLASS: ")
    [element] = explained["udh_elements"]
    assert element["meaning"] == f"to port {port}"
    assert "text" not in explained


def test_a_port_in_a_tlv() -> None:
    explained = message(submit(b"Hi", tlvs=struct.pack(">HHH", 0x020B, 2, 9200)))
    assert explained["refused"].startswith("ESME_ROPTPARNOTALLWD: ")
    assert "9200" in explained["refused"]
    assert "text" not in explained


@pytest.mark.parametrize(
    ("octets", "data_coding", "malformed", "text"),
    [
        (
            b"Hi",
            0,
            "UDHL 72 reaches past the end of 2 octets: there is no header, and all of them are "
            "read as text",
            "Hi",
        ),
        (
            bytes.fromhex("070003 010201 2401") + b"Hi",
            0,
            "UDHL announces 7 octets and the elements make 5: the other 2 are ignored, the text "
            "begins where UDHL says, at octet 8",
            "Hi",
        ),
        (
            bytes.fromhex("060003010201 00") + b"Hi",
            0,
            "UDHL announces 6 octets and the elements make 5: the other 1 are ignored, the text "
            "begins where UDHL says, at octet 7",
            "Hi",
        ),
        (
            bytes.fromhex("060003010201") + b"\0H\0i",
            8,
            "UDHL 6 is one too high: the text begins where the elements end, at octet 6",
            "Hi",
        ),
    ],
)
def test_malformed_headers(octets: bytes, data_coding: int, malformed: str, text: str) -> None:
    explained = message(submit(octets, data_coding, esm_class=0x40))
    assert explained["udh_malformed"] == malformed
    assert explained["text"] == text
    assert "udh_malformed" in explained["flags"]


def sar(**values: int) -> bytes:
    tags = {"reference": (0x020C, 2), "total": (0x020E, 1), "number": (0x020F, 1)}
    return b"".join(
        struct.pack(">HH", *tags[name]) + value.to_bytes(tags[name][1])
        for name, value in values.items()
    )


@pytest.mark.parametrize(
    ("values", "note"),
    [
        ({"reference": 42, "total": 3}, "the sar_* TLVs are ignored: without sar_segment_seqnum"),
        (
            {"number": 3},
            "the sar_* TLVs are ignored: without sar_msg_ref_num and sar_total_segments",
        ),
        (
            {"reference": 42, "total": 3, "number": 4},
            "the sar_* TLVs are ignored: their values cannot be right",
        ),
    ],
)
def test_sar_that_does_not_count(values: dict[str, int], note: str) -> None:
    explained = message(submit(b"Hi", tlvs=sar(**values)))
    assert explained["notes"] == [note]
    assert "concatenation" not in explained


def test_sar() -> None:
    tlvs = sar(reference=42, total=3, number=2)
    [found] = explain(submit(b"Hi", tlvs=tlvs))
    assert [tlv["meaning"] for tlv in found["tlvs"]] == ["42", "3", "2"]
    assert found["message"] == {
        "concatenation": {"kind": "sar", "reference": 42, "total": 3, "number": 2,
                          "meaning": "part 2 of 3, reference 42"},
        "charset": "gsm7",
        "text": "Hi",
    }  # fmt: skip


def test_a_header_wins_over_sar() -> None:
    tlvs = sar(reference=42, total=3, number=2)
    explained = message(submit(bytes.fromhex("050003070101") + b"Hi", esm_class=0x40, tlvs=tlvs))
    assert explained["notes"] == ["the user data header wins over the sar_* TLVs"]
    assert explained["concatenation"]["kind"] == "udh8"


def test_text_twice() -> None:
    payload = struct.pack(">HH", 0x0424, 2)
    explained = message(submit(b"Hi", tlvs=payload + b"No"))
    assert explained["text"] == "Hi"
    assert explained["notes"][0].startswith("short_message and message_payload are both filled")
    assert message(submit(b"", tlvs=payload + b"No" + payload + b"Hi"))["text"] == "Hi"


def test_a_header_that_is_not_there() -> None:
    explained = message(submit(b"", esm_class=0x40))
    assert explained["notes"] == ["esm_class announces a user data header, and there are no octets"]


PACKED_HI = bytes.fromhex("c834")  # "Hi" in 14 bits
LATER_HI = bytes.fromhex("9069")  # the same behind a header of six octets and one bit


@pytest.mark.parametrize(
    ("octets", "policy", "text"),
    [
        (submit(b"H\xe9"), AlphabetPolicy(), "H\ufffd"),
        (submit(b"H\xe9"), AlphabetPolicy(default_alphabet="latin-1"), "Hé"),
        (submit(b"\xc3\xa9"), AlphabetPolicy(default_alphabet="utf-8"), "é"),
        (submit(PACKED_HI), AlphabetPolicy(packed=True), "Hi"),
        (submit(PACKED_HI, 8), AlphabetPolicy(packed=True), "\uc834"),
        (
            with_header("050003070101", LATER_HI),
            AlphabetPolicy(packed=True),
            "Hi",
        ),
        (with_header("03240101", b"\x1bg"), AlphabetPolicy(), "ğ"),
        (with_header("03250101", b"\x40"), AlphabetPolicy(), "İ"),
        (with_header("03250101", b"\x40"), AlphabetPolicy(default_alphabet="latin-1"), "@"),
    ],
)
def test_alphabets(octets: bytes, policy: AlphabetPolicy, text: str) -> None:
    assert message(octets, policy)["text"] == text


def test_other_pdus_with_a_text() -> None:
    header, text = bytes.fromhex("050003070201"), b"Hi"
    payload = struct.pack(">HH", 0x0424, 8) + header + text
    data_sm = pdu(0x103, 0, 1, b"\0\0\0\0\1\1\x31\x32\0\x40\0\0" + payload)
    multi = pdu(
        0x21, 0, 2,
        b"\0\0\0\0\2\1\1\1\x31\x32\0\2list\0\x40\0\0\0\0\0\0\0\0\x08" + header + text,
    )  # fmt: skip
    deliver = pdu(5, 0, 3, submit(header + text, esm_class=0x40)[16:])
    for octets, command in ((data_sm, "data_sm"), (multi, "submit_multi"), (deliver, "deliver_sm")):
        [found] = explain(octets)
        assert found["command"] == command
        assert found["message"]["text"] == "Hi"
        assert found["message"]["concatenation"]["meaning"] == "part 1 of 2, reference 7"
