import struct
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.smpp.framing import BadLength, Framer

ENQUIRE_LINK = bytes.fromhex("00000010 00000015 00000000 00000001")
UNBIND = bytes.fromhex("00000010 00000006 00000000 00000002")
NACK_WITH_BODY = bytes.fromhex("00000013 80000000 00000003 00000003 AABBCC")
THREE = (ENQUIRE_LINK, UNBIND, NACK_WITH_BODY)


def taken(framer: Framer) -> list[bytes]:
    return list(iter(framer.next_pdu, None))


def test_nothing_comes_of_nothing() -> None:
    framer = Framer(512)
    assert framer.next_pdu() is None
    framer.feed(b"")
    assert framer.next_pdu() is None
    assert framer.pending == 0


def test_a_chunk_may_hold_many_pdus_and_they_are_taken_one_at_a_time() -> None:
    framer = Framer(512)
    framer.feed(b"".join(THREE))
    assert framer.pending == 51
    assert framer.next_pdu() == ENQUIRE_LINK
    assert framer.pending == 35
    framer.feed(ENQUIRE_LINK)  # while others wait
    assert taken(framer) == [UNBIND, NACK_WITH_BODY, ENQUIRE_LINK]
    assert framer.pending == 0


def test_a_pdu_cut_at_every_point() -> None:
    for cut in range(1, len(NACK_WITH_BODY)):
        framer = Framer(512)
        framer.feed(NACK_WITH_BODY[:cut])
        assert framer.next_pdu() is None
        assert framer.pending == cut
        framer.feed(NACK_WITH_BODY[cut:] + ENQUIRE_LINK[:3])
        assert taken(framer) == [NACK_WITH_BODY]
        assert framer.pending == 3


@settings(deadline=None)
@given(st.lists(st.sampled_from(THREE), max_size=8), st.data())
def test_chunks_do_not_matter(pdus: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(pdus)
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=20).map(sorted))
    framer = Framer(512)
    found = []
    fed = 0
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        framer.feed(stream[start:end])
        fed += end - start
        found += taken(framer)
        assert framer.pending == fed - sum(map(len, found))
    assert found == pdus


@pytest.mark.parametrize("length", [0, 4, 15, 513, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_length_out_of_bounds_is_told_at_once_and_again(length: int) -> None:
    framer = Framer(512)
    framer.feed(struct.pack(">I", length))
    for _ in range(2):
        with pytest.raises(BadLength) as caught:
            framer.next_pdu()
        assert caught.value.command_status == 0x02
        assert caught.value.sequence_number == 0
        shown = str(length) if length < 1_000_000 else f"0x{length:08X}"
        assert shown in caught.value.detail
    framer.feed(ENQUIRE_LINK)  # nothing behind it can be trusted
    with pytest.raises(BadLength):
        framer.next_pdu()


@pytest.mark.parametrize("have", range(4, 20))
def test_the_sequence_number_is_known_from_sixteen_octets_on(have: int) -> None:
    framer = Framer(512)
    octets = struct.pack(">IIII", 15, 4, 0, 0xFEDCBA98) + b"more"
    framer.feed(octets[:have])
    with pytest.raises(BadLength) as caught:
        framer.next_pdu()
    assert caught.value.sequence_number == (0xFEDCBA98 if have >= 16 else 0)


def test_pdus_before_the_bad_one_are_not_lost() -> None:
    framer = Framer(512)
    framer.feed(ENQUIRE_LINK + b"\0\0\0\0")
    assert framer.next_pdu() == ENQUIRE_LINK
    with pytest.raises(BadLength):
        framer.next_pdu()


def test_the_limit_is_inclusive_and_may_be_raised_between_two_pdus() -> None:
    framer = Framer(32)
    largest = struct.pack(">IIII", 32, 4, 0, 1) + bytes(16)
    larger = struct.pack(">IIII", 33, 4, 0, 2) + bytes(17)
    framer.feed(largest + larger)
    assert framer.next_pdu() == largest
    framer.limit = 33
    assert framer.next_pdu() == larger


@pytest.mark.parametrize(
    ("octets", "guess"),
    [
        (b"GET / HTTP/1.1\r\nHost: gateway\r\n\r\n", "HTTP request"),
        (b"POST /dlr HTTP/1.1\r\n", "HTTP request"),
        (b"HEAD / HTTP/1.0\r\n", "HTTP request"),
        (b"OPTIONS * HTTP/1.1\r\n", "HTTP request"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/2"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "SSH"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 2775\r\n", "PROXY"),
        (bytes.fromhex("16030100C8010000C40303"), "TLS"),
        (bytes.fromhex("16030300C8010000C40303"), "TLS"),
        (b"HTTP/1.1 400 Bad Request", "0x48545450"),
    ],
)
def test_strangers_are_named(octets: bytes, guess: str) -> None:
    framer = Framer(70_000)
    framer.feed(octets)
    with pytest.raises(BadLength, match=guess):
        framer.next_pdu()


def test_a_client_that_writes_octet_by_octet_costs_no_more() -> None:
    """Copying what waits at every octet would take half a minute here."""
    pdu = struct.pack(">IIII", 600_000, 4, 0, 1) + bytes(600_000 - 16)
    framer = Framer(600_000)
    began = time.process_time()
    for index in range(len(pdu)):
        framer.feed(pdu[index : index + 1])
    assert framer.next_pdu() == pdu
    assert time.process_time() - began < 3


def test_many_pdus_in_one_chunk_cost_no_more_than_each_alone() -> None:
    """Copying the rest of the chunk for every PDU would take seconds here."""
    framer = Framer(512)
    began = time.process_time()
    framer.feed(ENQUIRE_LINK * 100_000)
    assert len(taken(framer)) == 100_000
    assert time.process_time() - began < 2
