"""Parts of long messages put together, as they stand in a stream of PDUs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.explain import explain
from gateway.explain_readable import readable
from gateway.message.charset import AlphabetPolicy
from gateway.send_parts import Long, content_of
from gateway.smpp import pdu as p
from gateway.smpp.codec import encode
from gateway.smpp.constants import Tag

ENQUIRE_LINK = encode(p.EnquireLink(9))
TEXT = "Õhtu on hea. " * 20


def part(
    number: int,
    total: int,
    text: bytes,
    reference: int = 42,
    source: str = "Bank",
    destination: str = "37251234567",
    data_coding: int = 0,
    wide: bool = False,
) -> bytes:
    header = b"\x06\x08\x04\0" if wide else b"\x05\x00\x03"
    return encode(
        p.SubmitSm(
            number,
            source=p.Address(5, 0, source),
            destination=p.Address(1, 1, destination),
            esm_class=0x40,
            data_coding=data_coding,
            short_message=header + bytes([reference, total, number]) + text,
        )
    )


def split(found: list[dict[str, Any]]) -> tuple[list[str | None], list[dict[str, Any]]]:
    """Where each PDU belongs, and the sets."""
    labels = [each.get("part_of") for each in found if "set" not in each]
    return labels, [each["set"] for each in found if "set" in each]


def test_a_whole_set_in_any_order() -> None:
    octets = part(3, 3, b"c") + ENQUIRE_LINK + part(1, 3, b"a") + part(2, 3, b"b")
    labels, sets = split(explain(octets))
    assert labels == ["set 1, part 3 of 3", None, "set 1, part 1 of 3", "set 1, part 2 of 3"]
    assert sets == [
        {
            "number": 1,
            "source_addr": "Bank",
            "destination_addr": ["37251234567"],
            "kind": "udh8",
            "reference": 42,
            "parts": 3,
            "message": {"charset": "gsm7", "text": "abc"},
        }
    ]


def test_the_octets_are_joined_before_they_are_read() -> None:
    escape = part(1, 2, b"a\x1b") + part(2, 2, b"eb")
    halves = part(1, 2, b"\0a\xd8\x3d", 1, data_coding=8) + part(2, 2, b"\xde\0", 1, data_coding=8)
    _, [first, second] = split(explain(escape + halves))
    assert first["message"] == {"charset": "gsm7", "text": "a€b"}
    assert second["message"] == {"charset": "utf-16-be", "text": "a😀"}


@pytest.mark.parametrize(
    ("numbers", "total", "missing"),
    [
        ([2], 3, "1,3"),
        ([1], 2, "2"),
        ([5, 2], 9, "1,3-4,6-9"),
        ([255], 255, "1-254"),
    ],
)
def test_what_is_missing(numbers: list[int], total: int, missing: str) -> None:
    octets = b"".join(part(number, total, b"x") for number in numbers) + ENQUIRE_LINK
    _, [found] = split(explain(octets))
    assert found["missing"] == missing
    assert "message" not in found


@pytest.mark.parametrize(
    "other",
    [
        part(2, 2, b"b", reference=43),
        part(2, 2, b"b", source="Bonk"),
        part(2, 2, b"b", destination="37251234568"),
        part(2, 3, b"b"),
        part(2, 2, b"b", wide=True),
    ],
)
def test_what_does_not_belong_together(other: bytes) -> None:
    labels, sets = split(explain(part(1, 2, b"a") + other))
    assert [label[:5] for label in labels if label] == ["set 1", "set 2"]
    assert all("missing" in each for each in sets)


def test_a_part_that_comes_again_replaces_the_earlier_one() -> None:
    octets = part(1, 2, b"old") + part(1, 2, b"new") + part(2, 2, b"!")
    labels, [found] = split(explain(octets))
    assert labels[1] == "set 1, part 1 of 2, in place of an earlier one"
    assert found["message"]["text"] == "new!"


def test_a_reference_is_free_once_its_set_is_complete() -> None:
    octets = b"".join(part(n, 2, text) for text in (b"a", b"b") for n in (1, 2))
    labels, [first, second] = split(explain(octets))
    assert [label[:5] for label in labels if label] == ["set 1", "set 1", "set 2", "set 2"]
    assert (first["message"]["text"], second["message"]["text"]) == ("aa", "bb")


def test_one_part_of_one_is_a_whole_message() -> None:
    labels, sets = split(explain(part(1, 1, b"a") + ENQUIRE_LINK))
    assert (labels, sets) == ([None, None], [])


def test_one_pdu_alone_has_no_set() -> None:
    [found] = explain(part(1, 2, b"a"))
    assert "part_of" not in found
    assert found["message"]["concatenation"]["meaning"] == "part 1 of 2, reference 42"


def test_binary_parts() -> None:
    octets = part(1, 2, b"\1", data_coding=4) + part(2, 2, b"\2", data_coding=4)
    _, [found] = split(explain(octets))
    assert "0x04" in found["message"]["binary"]


def test_packed_parts() -> None:
    """Behind a header of six octets stands one fill bit."""
    octets = part(1, 2, bytes.fromhex("9069")) + part(2, 2, bytes.fromhex("9069"))
    policy = AlphabetPolicy(packed=True)
    _, [found] = split(explain(octets, policy))
    assert found["message"]["text"] == "HiHi"


@pytest.mark.parametrize("long", ["udh", "udh16", "sar"])
def test_what_send_cuts_to_several_numbers(long: Long) -> None:
    to = (p.Address(1, 1, "37251234567"), p.DistributionList("friends"))
    octets = b""
    for number, each in enumerate(content_of(TEXT, "auto", long).parts(7), start=1):
        tlvs: tuple[p.Tlv, ...] = ()
        if each.sar:
            tags = (Tag.sar_msg_ref_num, Tag.sar_total_segments, Tag.sar_segment_seqnum)
            tlvs = tuple(
                p.Tlv(tag, value.to_bytes(2)) for tag, value in zip(tags, each.sar, strict=True)
            )
        octets += encode(
            p.SubmitMulti(
                number,
                destinations=to,
                esm_class=0x40 if each.udhi else 0,
                data_coding=each.data_coding,
                short_message=each.short_message,
                tlvs=tlvs,
            )
        )
    labels, [found] = split(explain(octets))
    assert labels == [f"set 1, part {n} of 4" for n in (1, 2, 3, 4)]
    assert found["message"]["text"] == TEXT
    assert found["destination_addr"] == ["37251234567", "list friends"]


OCTETS = st.binary(max_size=40) | st.binary(max_size=30).map(lambda rest: b"\5\0\3\1\2\1" + rest)
TLVS = st.lists(
    st.builds(p.Tlv, st.sampled_from([*Tag, 0x1400]), st.binary(max_size=5)), max_size=4
)


@given(
    st.lists(
        st.builds(
            p.SubmitSm,
            st.just(1),
            esm_class=st.sampled_from([0, 0x40]),
            data_coding=st.integers(0, 255),
            short_message=OCTETS,
            tlvs=TLVS.map(tuple),
        ),
        max_size=4,
    ),
    st.binary(max_size=3),
    st.booleans(),
)
@example([p.SubmitSm(1, esm_class=0x40, short_message=b"\5\0\3\1\2\1")] * 2, b"\0", True)
def test_anything_can_be_explained(pdus: list[p.SubmitSm], rest: bytes, packed: bool) -> None:
    octets = b"".join(map(encode, pdus)) + rest
    found = explain(octets, AlphabetPolicy(packed=packed))
    assert len([each for each in found if "set" not in each]) == len(pdus) + bool(rest)
    for each in found:
        assert all(line.isprintable() for line in readable(each).split("\n"))
        json.dumps(each)
