"""Texts cut into parts, checked against the sizes of 3GPP TS 23.040 and 23.038."""

from __future__ import annotations

from itertools import pairwise
from typing import get_args

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.esme import SendError
from gateway.message import gsm0338, segment
from gateway.message.charset import DEFAULT_POLICY
from gateway.message.gsm_languages import EXTENSION
from gateway.send_parts import Content, Long, content_of, references
from gateway.smpp import pdu as p
from gateway.smpp.constants import Tag

LONG_FORMS: list[Long] = [*get_args(Long)]
IN_PARTS: list[Long] = ["udh", "udh16", "sar"]


@pytest.mark.parametrize(
    ("text", "coding", "octets", "data_coding"),
    [
        ("Hi @ [€]`"[:8], "auto", b"Hi \x00 \x1b\x3c\x1b\x65\x1b\x3e", 0),
        ("§", "gsm7", b"\x5f", 0),
        ("õ", "auto", b"\x00\xf5", 8),
        ("`", "auto", b"\x00`", 8),
        ("Hi", "ucs2", b"\0H\0i", 8),
        ("😀", "auto", b"\xd8\x3d\xde\x00", 8),
        ("õ", "latin1", b"\xf5", 3),
        ("", "auto", b"", 0),
    ],
)
def test_codings(text: str, coding: str, octets: bytes, data_coding: int) -> None:
    assert content_of(text, coding) == Content((octets,), data_coding)


@pytest.mark.parametrize(
    ("text", "coding", "words"),
    [
        ("abõ", "gsm7", "'õ' is not in the GSM 7-bit alphabet: use --coding ucs2"),
        ("ab€", "latin1", "'€' is not in Latin-1: use --coding ucs2"),
    ],
)
def test_texts_that_do_not_fit(text: str, coding: str, words: str) -> None:
    with pytest.raises(SendError) as caught:
        content_of(text, coding)
    assert str(caught.value) == words


@pytest.mark.parametrize(
    ("coding", "char", "width", "single", "narrow", "wide"),
    [
        ("gsm7", "x", 1, 160, 153, 152),
        ("ucs2", "õ", 2, 70, 67, 66),
        ("latin1", "õ", 1, 140, 134, 133),
    ],
)
@pytest.mark.parametrize("long", IN_PARTS)
def test_sizes(
    coding: str, char: str, width: int, single: int, narrow: int, wide: int, long: Long
) -> None:
    room = narrow if long == "udh" else wide
    assert len(content_of(char * single, coding, long).pieces) == 1
    found = content_of(char * (single + 1), coding, long)
    assert [len(piece) // width for piece in found.pieces] == [room, single + 1 - room]
    assert len(content_of(char * room * 3, coding, long).pieces) == 3
    assert len(content_of(char * room * 255, coding, long).pieces) == 255
    with pytest.raises(SendError, match=r"makes 256 parts.*: use --long payload"):
        content_of(char * (room * 255 + 1), coding, long)


def test_an_escape_and_its_character_stay_together() -> None:
    found = content_of("x" * 152 + "€" + "x" * 20, "gsm7", "udh")
    assert found.pieces == (b"x" * 152, b"\x1b\x65" + b"x" * 20)


def test_the_halves_of_a_surrogate_pair_stay_together() -> None:
    found = content_of("õ" * 66 + "😀" + "õ" * 20, "ucs2", "udh")
    assert found.pieces[1].startswith("😀".encode("utf-16-be"))
    assert len(found.pieces[0]) == 132


def test_parts_say_who_they_are() -> None:
    content = Content((b"ab", b"c"), 0, "udh")
    first, second = content.parts(0x0142)
    assert (first.short_message, first.udhi) == (b"\x05\x00\x03\x42\x02\x01ab", True)
    assert second.short_message == b"\x05\x00\x03\x42\x02\x02c"
    first, second = content._replace(long="udh16").parts(0x0142)
    assert (first.short_message, first.udhi) == (b"\x06\x08\x04\x01\x42\x02\x01ab", True)
    first, second = content._replace(long="sar").parts(0x0142)
    assert (first.short_message, first.udhi, first.sar) == (b"ab", False, (0x0142, 2, 1))
    assert second.sar == (0x0142, 2, 2)


@pytest.mark.parametrize("long", [None, "payload"])
def test_the_largest_payload(long: Long | None) -> None:
    [part] = content_of("x" * 65_535, "gsm7", long).parts(0)
    assert len(part.message_payload) == 65_535
    with pytest.raises(SendError, match=r"65536 octets, and message_payload takes 65535"):
        content_of("x" * 65_536, "gsm7", long)


def test_references_follow_each_other() -> None:
    numbers = references()
    found = [next(numbers) for _ in range(0x10001)]
    assert set(found) == set(range(0x10000))
    assert found[0] == found[-1]
    assert all((b - a) % 0x10000 == 1 for a, b in pairwise(found))


# Texts by coding; without the byte order marks, which a reader takes for what they are.
NO_MARKS = st.characters(exclude_categories=["Cs"], exclude_characters="\ufeff\ufffe")
TEXTS = {
    "auto": st.sampled_from("x€[õ😀\n ") | NO_MARKS,
    "gsm7": st.sampled_from(gsm0338.BASE.replace("\x1b", "") + "".join(EXTENSION.values())),
    "ucs2": st.sampled_from("xõ😀") | NO_MARKS,
    "latin1": st.characters(max_codepoint=0xFF),
}
SPOKEN = st.sampled_from(sorted(TEXTS)).flatmap(
    lambda coding: st.tuples(
        st.just(coding), st.integers(0, 900).flatmap(lambda n: st.text(TEXTS[coding], min_size=n))
    )
)


def contents(content: Content) -> list[segment.Content]:
    """The parts as the gateway reads them."""
    found = []
    for part in content.parts(0x1234):
        tlvs = () if part.sar is None else tuple(map(p.Tlv, SAR_TAGS, map(octets, part.sar)))
        short, payload = part.short_message, part.message_payload
        assert not (short and payload)
        assert len(short) <= 254
        found.append(
            segment.read(short or payload, udhi=part.udhi, data_coding=part.data_coding, tlvs=tlvs)
        )
    return found


def octets(number: int) -> bytes:
    return number.to_bytes(2)


SAR_TAGS = (Tag.sar_msg_ref_num, Tag.sar_total_segments, Tag.sar_segment_seqnum)


@given(SPOKEN, st.sampled_from([None, *LONG_FORMS]))
@example(("auto", "😀" * 300), "udh")
@example(("gsm7", "€" * 300), "udh16")
@example(("gsm7", "x" * 152 + "€" * 200), "sar")
@example(("latin1", "õ" * 300), "udh")
def test_the_gateway_reads_what_was_cut(spoken: tuple[str, str], long: Long | None) -> None:
    coding, text = spoken
    found = content_of(text, coding, long)
    parts = contents(found)
    assert segment.text_of(parts, DEFAULT_POLICY).text == text
    whole = b"".join(content_of(text, coding).pieces)
    single = {0: 160, 3: 140, 8: 140}[found.data_coding]
    assert (len(parts) > 1) is (long in IN_PARTS and len(whole) > single)
    if len(parts) > 1:
        places = [part.concatenation for part in parts]
        kind = {"udh": "udh8", "udh16": "udh16", "sar": "sar"}[long or ""]
        reference = 0x34 if long == "udh" else 0x1234
        assert places == [
            segment.Concatenation(kind, reference, len(parts), number)
            for number in range(1, len(parts) + 1)
        ]
    for part in parts:  # no cut goes through a character
        assert not segment.text_of([part], DEFAULT_POLICY).errors
        assert found.data_coding != 0 or not part.octets.endswith(b"\x1b")
