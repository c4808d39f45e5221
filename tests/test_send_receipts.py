"""Receipts as several kinds of MC write them, built from struct."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.send_receipts import Receipt, read_receipt

APPENDIX_B = (
    "id:0123456789 sub:001 dlvrd:001 submit date:2601011200 done date:2601011201 "
    "stat:DELIVRD err:000 text:Hello"
)


def tlv(tag: int, value: bytes) -> bytes:
    return struct.pack(">HH", tag, len(value)) + value


def deliver(
    text: bytes | str = "",
    esm_class: int = 0x04,
    tlvs: bytes = b"",
    data_coding: int = 0,
    source: bytes = b"372555",
) -> bytes:
    short = text.encode("latin-1") if isinstance(text, str) else text
    body = b"\0\1\1" + source + b"\0\5\0Demo\0" + bytes([esm_class, 0, 0]) + b"\0\0"
    body += bytes([0, 0, data_coding, 0, len(short)]) + short + tlvs
    return struct.pack(">IIII", 16 + len(body), 5, 0, 9) + body


@pytest.mark.parametrize(
    ("text", "message_id", "stat", "err"),
    [
        (APPENDIX_B, "0123456789", "DELIVRD", "000"),
        ("id:a sub:1 dlvrd:0 stat:UNDELIV err:69B text:", "a", "UNDELIV", "69B"),
        ("ID: a STAT: EXPIRED ERR: 5", "a", "EXPIRED", "5"),
        ("stat:REJECTD err:008 id:a", "a", "REJECTD", "008"),
        ("id:a stat:DELIVRD", "a", "DELIVRD", ""),
        ("id:a stat:DELIVRD text:id:b stat:UNDELIV err:1", "a", "DELIVRD", ""),
        ("id:a stat:DELIVRD err:000 Text:stat:x", "a", "DELIVRD", "000"),
        ("mid:b id:a smstat:1 stat:DELIVRD stat:UNDELIV", "a", "DELIVRD", ""),
        ("", "", "", ""),
        ("something else", "", "", ""),
    ],
)
def test_texts(text: str, message_id: str, stat: str, err: str) -> None:
    assert read_receipt(deliver(text)) == Receipt(message_id, stat, err, "372555", True)


def test_tlvs_count_for_more_than_the_text() -> None:
    tlvs = tlv(0x001E, b"from-tlv\0") + tlv(0x0427, b"\x05") + tlv(0x0423, b"\3\0\x2a")
    assert read_receipt(deliver(APPENDIX_B, tlvs=tlvs)) == Receipt(
        "from-tlv", "DELIVRD", "000", "372555", True
    )
    assert read_receipt(deliver(tlvs=tlvs)) == Receipt("from-tlv", "UNDELIV", "042", "372555", True)
    unended = tlv(0x1400, b"x") + tlv(0x001E, b"from-tlv")
    assert read_receipt(deliver(tlvs=unended)) == Receipt("from-tlv", "", "", "372555", True)


@pytest.mark.parametrize(
    ("esm_class", "stat", "final"),
    [
        (0x04, "DELIVRD", True),
        (0x04, "UNKNOWN", True),
        (0x04, "ACCEPTD", False),
        (0x04, "enroute", False),
        (0x20, "ACCEPTD", False),
        (0x20, "DELIVRD", False),
        (0x44, "DELIVRD", True),
        (0x07, "DELIVRD", True),
        (0x00, "DELIVRD", True),
    ],
)
def test_finality(esm_class: int, stat: str, final: bool) -> None:
    text = f"id:a stat:{stat}".encode()
    if esm_class & 0x40:
        text = b"\x05\x00\x03\x01\x01\x01" + text
    found = read_receipt(deliver(text, esm_class))
    assert found == Receipt("a", stat, "", "372555", final)


def test_other_places_of_the_text() -> None:
    payload = tlv(0x0424, APPENDIX_B.encode())
    assert read_receipt(deliver(tlvs=payload)) == read_receipt(deliver(APPENDIX_B))
    wide = APPENDIX_B[:100].encode("utf-16-be")
    found = read_receipt(deliver(wide, data_coding=8))
    assert found is not None
    assert (found.message_id, found.stat) == ("0123456789", "DELIVRD")


@pytest.mark.parametrize(
    ("text", "esm_class"),
    [("Hello", 0), ("id:5 please", 0), ("id:a stat:DELIVRD"[:-13], 0), ("", 0), ("Hello", 0x08)],
)
def test_messages_of_somebody(text: str, esm_class: int) -> None:
    assert read_receipt(deliver(text, esm_class)) is None


@given(st.integers(0, 90), st.binary(max_size=30))
def test_whatever_comes(cut: int, rest: bytes) -> None:
    """A PDU that is cut off, and one that goes on as it likes, is read or left alone."""
    whole = deliver(APPENDIX_B, tlvs=tlv(0x001E, b"a\0"))
    read_receipt(whole[:cut])
    read_receipt(whole[:cut] + rest)
    read_receipt(struct.pack(">IIII", 16 + len(rest), 5, 0, 9) + rest)
