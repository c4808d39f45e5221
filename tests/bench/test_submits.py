"""What the load generator submits, read by the gateway's own codec."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest

from bench import submits
from bench.submits import MIXED_MESSAGES, MIXED_SUBMITS, Mixed, Parts, Submits, Whole
from gateway.smpp import codec
from gateway.smpp.constants import EsmClass
from gateway.smpp.pdu import Address, SubmitSm


def read(source: Submits, count: int, begin: int = 2) -> list[SubmitSm]:
    octets = source.encode(range(begin, begin + count))
    found = []
    while octets:
        (length,) = struct.unpack_from(">I", octets)
        pdu = codec.decode(octets[:length])
        assert isinstance(pdu, SubmitSm)
        found.append(pdu)
        octets = octets[length:]
    assert [pdu.sequence_number for pdu in found] == list(range(begin, begin + count))
    return found


def test_whole_messages() -> None:
    whole = Whole()
    for pdu in read(whole, 3):
        assert pdu.source == Address(5, 0, "Bench")
        assert pdu.destination == Address(1, 1, "37255555555")
        assert pdu.short_message == submits.TEXT
        assert (pdu.esm_class, pdu.tlvs, pdu.stray) == (0, (), b"")
        assert pdu.registered_delivery == 0
    assert not whole.unfinished


def test_receipts_are_asked_for() -> None:
    [plain], [asks] = read(Whole(), 1), read(Whole(receipts=True), 1)
    assert asks == replace(plain, registered_delivery=1)


def test_two_parts_with_one_reference_and_destination() -> None:
    pdus = read(Parts(first=37, step=4), 6)
    assert [pdu.destination.addr for pdu in pdus] == [
        *["37200000037"] * 2,
        *["37200000041"] * 2,
        *["37200000045"] * 2,
    ]
    headers = [tuple(pdu.short_message[:6]) for pdu in pdus]
    assert headers == [(5, 0, 3, ref, 2, part) for ref in (37, 41, 45) for part in (1, 2)]
    for first, last in zip(pdus[::2], pdus[1::2], strict=True):
        assert first.short_message[6:] == submits.TEXTS[0]
        assert last.short_message[6:] == submits.TEXTS[1]
    for pdu in pdus:
        assert pdu.esm_class == EsmClass.UDHI
        assert pdu.source == Address(5, 0, "Bench")
        assert (pdu.data_coding, pdu.registered_delivery, pdu.tlvs, pdu.stray) == (0, 0, (), b"")


def test_a_part_fits_one_message() -> None:
    assert len(submits.TEXTS[0]) == 153  # characters beside the header, SMPP and GSM 03.40
    assert 0 < len(submits.TEXTS[1]) <= 153


def test_a_message_may_be_cut_by_a_write() -> None:
    parts = Parts(first=0, step=1)
    assert [pdu.short_message[5] for pdu in read(parts, 3)] == [1, 2, 1]
    assert parts.unfinished
    assert [pdu.short_message[5] for pdu in read(parts, 1, begin=5)] == [2]
    assert not parts.unfinished
    assert parts.next == 2


def test_no_two_messages_in_flight_belong_together() -> None:
    keys = []
    for bind in range(4):
        for pdu in read(Parts(first=1_000_000 + bind, step=4), 2_000):
            keys.append((pdu.destination.addr, *pdu.short_message[3:6]))
    assert len(set(keys)) == len(keys) == 8_000


def test_mixed_messages_come_in_turn() -> None:
    mixed = Mixed(first=37, step=4)
    short, other, first, last, long = read(mixed, MIXED_SUBMITS)
    assert not mixed.unfinished
    assert short.short_message == submits.TEXT
    assert other.data_coding == 8
    assert other.short_message.decode("utf-16-be").startswith("Ваш код")
    assert len(other.short_message) <= 140
    assert (first.short_message[:6], last.short_message[:6]) == (b"\5\0\3%\2\1", b"\5\0\3%\2\2")
    assert first.destination == last.destination == Address(1, 1, "37200000037")
    (payload,) = long.tlvs
    assert (long.short_message, payload.tag, len(payload.value)) == (b"", 0x0424, 1_000)
    assert {pdu.registered_delivery for pdu in (short, other, first, last, long)} == {1}
    read(mixed, 3)
    assert mixed.unfinished, "the last part is missing"
    read(mixed, 2)
    assert (mixed.next, MIXED_MESSAGES) == (37 + 2 * 4, 4)


def test_incomplete_messages_have_no_last_part() -> None:
    parts = Parts(first=5, step=2, incomplete=True)
    pdus = read(parts, 300)
    assert {pdu.short_message[5] for pdu in pdus} == {1}
    assert len({pdu.destination.addr for pdu in pdus}) == 300
    assert not parts.unfinished
    assert parts.next == 605


def test_numbers_begin_again_after_eight_digits() -> None:
    pdus = read(Parts(first=99_999_999, step=1), 4)
    assert [pdu.destination.addr for pdu in pdus] == ["37299999999"] * 2 + ["37200000000"] * 2


def test_a_percent_sign_is_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submits, "TEXTS", (b"100 %b", b"%"))
    pdus = read(Parts(first=0, step=1), 2)
    assert [pdu.short_message[6:] for pdu in pdus] == [b"100 %b", b"%"]
