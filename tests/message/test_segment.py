from collections.abc import Callable

import gsmcodecs  # type: ignore[import-untyped]
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from gateway.message import gsm0338, segment
from gateway.message.charset import AlphabetPolicy, BinaryContent, Decoded, UndecodableText
from gateway.message.gsm_languages import EXTENSION, LOCKING, SINGLE
from gateway.message.segment import Concatenation, Content, PortAddressed, read, text_of
from gateway.smpp.constants import CommandStatus, Tag
from gateway.smpp.pdu import Tlv

PLAIN = AlphabetPolicy()
PACKED = AlphabetPolicy(packed=True)
GSM7, LATIN_1, UCS2 = 0x00, 0x03, 0x08


def tlv(tag: Tag, value: str) -> Tlv:
    return Tlv(tag, bytes.fromhex(value))


def sar(reference: str, total: str, number: str) -> tuple[Tlv, ...]:
    return (
        tlv(Tag.sar_msg_ref_num, reference),
        tlv(Tag.sar_total_segments, total),
        tlv(Tag.sar_segment_seqnum, number),
    )


def content(octets: str, data_coding: int = GSM7, tlvs: tuple[Tlv, ...] = ()) -> Content:
    """What a PDU with a user data header says, in hexadecimal."""
    return read(bytes.fromhex(octets), udhi=True, data_coding=data_coding, tlvs=tlvs)


# What one PDU carries.


def test_without_header_and_parameters_everything_is_text() -> None:
    octets = bytes.fromhex("050003aa0201")
    assert read(octets, udhi=False, data_coding=3, tlvs=()) == Content(octets, 3)
    assert read(b"", udhi=True, data_coding=0, tlvs=()) == Content(b"", 0)
    assert read(b"", udhi=False, data_coding=0, tlvs=()) == Content(b"", 0)
    others = (tlv(Tag.message_payload, "41"), Tlv(0x1400, b"x"))
    assert read(b"", udhi=False, data_coding=0, tlvs=others) == Content(b"", 0)


@pytest.mark.parametrize(
    ("octets", "text", "concatenation", "locking", "single", "flags"),
    [
        ("050003aa0201 4142", "4142", Concatenation("udh8", 0xAA, 2, 1), 0, 0, ()),
        ("060804aabb0302 41", "41", Concatenation("udh16", 0xAABB, 3, 2), 0, 0, ()),
        ("050003aa0201", "", Concatenation("udh8", 0xAA, 2, 1), 0, 0, ()),
        ("050003aa0203 41", "41", None, 0, 0, ()),
        ("03240101 41", "41", None, 0, 1, ()),
        ("0b2401020003aa0201250103", "", Concatenation("udh8", 0xAA, 2, 1), 3, 2, ()),
        ("0401028003 41", "41", None, 0, 0, ("mwi_store",)),
        ("0401020003 41", "41", None, 0, 0, ("mwi_discard",)),
        ("080102000301028101 41", "41", None, 0, 0, ("mwi_store",)),
        ("0501020003ff 41", "41", None, 0, 0, ("udh_malformed", "mwi_discard")),
        ("4142", "4142", None, 0, 0, ("udh_malformed",)),
        ("00 41", "41", None, 0, 0, ()),
    ],
)
def test_the_header_is_read(
    octets: str,
    text: str,
    concatenation: Concatenation | None,
    locking: int,
    single: int,
    flags: tuple[str, ...],
) -> None:
    found = content(octets)
    assert found.octets == bytes.fromhex(text)
    assert found.header is not None
    assert found.header.octets + found.octets == bytes.fromhex(octets)
    assert found.concatenation == concatenation
    assert (found.locking, found.single, found.flags) == (locking, single, flags)


@pytest.mark.parametrize(
    ("tlvs", "found"),
    [
        (sar("aabb", "03", "02"), Concatenation("sar", 0xAABB, 3, 2)),
        (sar("aabb", "03", "02")[::-1], Concatenation("sar", 0xAABB, 3, 2)),
        # of any length
        (sar("aa", "0003", "00000002"), Concatenation("sar", 0xAA, 3, 2)),
        (sar("0000000000000000aabb", "ff", "ff"), Concatenation("sar", 0xAABB, 255, 255)),
        (sar("", "01", "01"), Concatenation("sar", 0, 1, 1)),
        # all three are needed
        (sar("aabb", "03", "02")[:2], None),
        (sar("aabb", "03", "02")[1:], None),
        (sar("aabb", "03", "02")[::2], None),
        # no such part
        (sar("aabb", "03", "00"), None),
        (sar("aabb", "03", "04"), None),
        (sar("aabb", "00", "00"), None),
        (sar("aabb", "", "01"), None),
        (sar("aabb", "0100", "01"), None),
        (sar("0100000000", "03", "02"), None),
        (sar("ff" * 5000, "ff" * 5000, "01"), None),
        # the last of a repeated one wins
        ((*sar("aabb", "03", "02"), *sar("ccdd", "05", "04")), Concatenation("sar", 0xCCDD, 5, 4)),
        (
            (*sar("aabb", "03", "02"), tlv(Tag.sar_segment_seqnum, "03")),
            Concatenation("sar", 0xAABB, 3, 3),
        ),
        ((*sar("aabb", "03", "02"), tlv(Tag.sar_segment_seqnum, "00")), None),
    ],
)
def test_sar(tlvs: tuple[Tlv, ...], found: Concatenation | None) -> None:
    plain = Content(b"A", GSM7, concatenation=found)
    assert read(b"A", udhi=False, data_coding=GSM7, tlvs=tlvs) == plain
    assert content("03240101 41", tlvs=tlvs).concatenation == found


def test_the_header_wins_over_sar() -> None:
    tlvs = sar("ccdd", "05", "04")
    assert content("050003aa0201 41", tlvs=tlvs).concatenation == Concatenation("udh8", 0xAA, 2, 1)
    assert content("050003aa0203 41", tlvs=tlvs).concatenation == Concatenation("sar", 0xCCDD, 5, 4)


@pytest.mark.parametrize(
    ("octets", "named"),
    [
        ("06 05040b8423f0 41", ("2948", "9200")),
        ("04 0402f0e2 41", ("240", "226")),
        ("0b 0003aa0201 05040b840000 41", ("2948", "0")),
        ("07 05040b8423f0ff 41", ("2948", "9200")),  # malformed, but plain enough
    ],
)
def test_ports_in_the_header_are_refused(octets: str, named: tuple[str, ...]) -> None:
    with pytest.raises(PortAddressed) as refusal:
        content(octets)
    assert refusal.value.command_status == CommandStatus.ESME_RINVESMCLASS
    assert all(f"port {port}" in refusal.value.detail for port in named)
    assert "only text for people" in refusal.value.detail


@pytest.mark.parametrize(
    ("tlvs", "named"),
    [
        ((tlv(Tag.destination_port, "0b84"),), "destination_port 2948"),
        ((tlv(Tag.source_port, "23f0"),), "source_port 9200"),
        (
            (tlv(Tag.destination_port, "0b84"), tlv(Tag.source_port, "00")),
            "source_port 0 and destination_port 2948",
        ),
        ((tlv(Tag.source_port, ""),), "source_port 0"),
        ((tlv(Tag.source_port, "01"), tlv(Tag.source_port, "02")), "source_port 2"),
        ((tlv(Tag.source_port, "ff" * 60000),), "source_port out of range"),
    ],
)
@pytest.mark.parametrize("udhi", [False, True])
def test_ports_in_parameters_are_refused(tlvs: tuple[Tlv, ...], named: str, udhi: bool) -> None:
    with pytest.raises(PortAddressed) as refusal:
        read(b"\x00A", udhi=udhi, data_coding=GSM7, tlvs=tlvs)
    assert refusal.value.command_status == CommandStatus.ESME_ROPTPARNOTALLWD
    assert refusal.value.detail.startswith(f"{named}: ")


@given(st.binary(max_size=40), st.booleans(), st.integers(0, 255))
@example(bytes.fromhex("060003aa0201") + "Hé".encode("utf-16-be"), True, UCS2)
def test_any_octets_are_read_or_refused(octets: bytes, udhi: bool, data_coding: int) -> None:
    try:
        found = read(octets, udhi=udhi, data_coding=data_coding, tlvs=())
    except PortAddressed:
        return
    before = found.header.octets if found.header else b""
    assert before + found.octets == octets
    for policy in (PLAIN, PACKED):
        try:
            text_of([found], policy)
        except BinaryContent:
            return


# From parts to text.


@pytest.mark.parametrize(
    ("contents", "expected"),
    [
        ([Content(b"Hi\x1be", GSM7)], Decoded("Hi€", "gsm7")),
        ([Content(b"", GSM7)], Decoded("", "gsm7")),
        # an escape and a surrogate pair that the boundary cuts
        ([Content(b"5\x1b", GSM7), Content(b"e!", GSM7)], Decoded("5€!", "gsm7")),
        (
            [Content(b"\x00A\xd8\x3d", UCS2), Content(b"\xde\x00\x00B", UCS2)],
            Decoded("A😀B", "utf-16-be"),
        ),
        # languages: each part its own, joined where they agree
        (
            [Content(b"\x1b", GSM7, single=1), Content(b"s", GSM7, single=1)],
            Decoded("ş", "gsm7"),
        ),
        (
            [Content(b"\x1b", GSM7, single=1), Content(b"s", GSM7)],
            Decoded(" s", "gsm7"),
        ),
        (
            [Content(b"\x1c", GSM7, locking=1), Content(b"\x1c", GSM7)],
            Decoded("ŞÆ", "gsm7"),
        ),
        # a language means nothing elsewhere
        ([Content(b"\x00A", UCS2, locking=6, single=6)], Decoded("A", "utf-16-be")),
        # different codings, each on its own
        (
            [Content(b"A\xe9", GSM7), Content(b"\x00B\xd8\x00", UCS2), Content(b"\x00", GSM7)],
            Decoded("A\ufffdB\ufffd@", "gsm7", 2),
        ),
        (
            [Content(b"\x00A", UCS2), Content(b"B", GSM7)],
            Decoded("AB", "utf-16-be"),
        ),
        ([Content(b"A", 0x11), Content(b"B", 0x10)], Decoded("AB", "gsm7", 0, 1)),
        ([Content(b"A", 0x00), Content(b"B", 0x10)], Decoded("AB", "gsm7", 0, None)),
        # flags of all, once
        (
            [
                Content(b"A", 0xD0, flags=("udh_malformed",)),
                Content(b"B", 0xD0, flags=("mwi_store", "udh_malformed")),
                Content(b"C", 0xC0),
            ],
            Decoded("ABC", "gsm7", 0, None, ("mwi_store", "mwi_discard", "udh_malformed")),
        ),
        ([Content(b"A", GSM7, flags=("x",))], Decoded("A", "gsm7", 0, None, ("x",))),
    ],
)
def test_text(contents: list[Content], expected: Decoded) -> None:
    assert text_of(contents, PLAIN) == expected


@pytest.mark.parametrize(
    ("parts", "text", "errors"),
    [
        # cut within a unit: even together
        (["004100", "4200", "43"], "ABC", 0),
        (["00", "41"], "A", 0),
        # a stray octet, or one that is missing, is the fault of its own part only
        (["004100", "00420043"], "A\ufffdBC", 1),
        (["00410000", "004200", "0043"], "A\x00B\ufffdC", 1),
        (["0041", "004200"], "AB\ufffd", 1),
        (["00", "0041"], "\ufffdA", 1),
        # one byte order mark for all of them
        (["fffe41", "00 4200"], "AB", 0),
        (["fffe4100", "4200"], "AB", 0),
        (["fffe4100 ff", "4200", "4300"], "A\ufffdBC", 1),
        (["feff0041 ff", "0042"], "A\ufffdB", 1),
        (["fffe 41", "4200"], "\ufffdB", 1),
    ],
)
def test_ucs2_of_odd_parts(parts: list[str], text: str, errors: int) -> None:
    decoded = text_of([Content(bytes.fromhex(part), UCS2) for part in parts], PLAIN)
    assert (decoded.text, decoded.errors) == (text, errors)
    assert decoded.flags == (("odd_ucs2",) if errors else ())


def test_undecodable_text_and_binary_parts_are_refused() -> None:
    policy = AlphabetPolicy(refuse_undecodable=True)
    with pytest.raises(UndecodableText):
        text_of([Content(b"A", GSM7), Content(b"\xe9", GSM7)], policy)
    with pytest.raises(BinaryContent):
        text_of([Content(b"A", GSM7), Content(b"\x00", 0x04)], PLAIN)


# Packed septets.


def pack(septets: bytes, fill: int = 0) -> bytes:
    whole = sum(septet << fill + 7 * place for place, septet in enumerate(septets))
    return whole.to_bytes((fill + 7 * len(septets) + 7) // 8, "little")


@pytest.mark.parametrize(
    ("data_coding", "policy", "text"),
    [
        (0x00, PACKED, "hello"),
        (0x10, PACKED, "hello"),
        (0xC0, PACKED, "hello"),
        (0x80, PACKED, "hello"),
        (0x00, PLAIN, "\ufffd2\ufffd\ufffdù"),
        (0x03, PACKED, "è2\x9bý\x06"),
        (0x00, AlphabetPolicy(default_alphabet="latin-1", packed=True), "è2\x9bý\x06"),
        (0xF0, AlphabetPolicy(default_alphabet="latin-1", packed=True), "hello"),
        (0x01, AlphabetPolicy(ascii_alphabet="gsm7", packed=True), "hello"),
        (0x01, PACKED, "è2›ý\x06"),
    ],
)
def test_only_gsm_7_bit_of_the_account_is_packed(
    data_coding: int, policy: AlphabetPolicy, text: str
) -> None:
    hello = Content(bytes.fromhex("e8329bfd06"), data_coding)
    assert text_of([hello], policy).text == text


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        ("050003aa0101 906536fb0d", "Hello"),  # one fill bit
        ("06080400aa0101 e8329bfd06", "hello"),  # none
        ("03240101 00", ""),
        ("050003aa0101", ""),
    ],
)
def test_packed_text_begins_behind_its_header(octets: str, text: str) -> None:
    assert text_of([content(octets)], PACKED).text == text


@pytest.mark.parametrize("length", [6, 7, 8, 14, 15, 16])
@pytest.mark.parametrize("locking", [0, 1])
def test_packed_texts_gain_nothing(length: int, locking: int) -> None:
    text = "abcdefghijklmnop"[:length]
    packed = Content(pack(text.encode()), GSM7, locking=locking)
    assert text_of([packed], PACKED).text == text


def long_parts(first: bytes, second: bytes) -> list[Content]:
    """Two packed parts with an 8-bit reference, of which 153 septets fill the first."""
    return [
        content(f"050003aa02{number:02x}" + pack(septets, 1).hex())
        for number, septets in ((1, first), (2, second))
    ]


@pytest.mark.parametrize(
    ("first", "second", "text"),
    [
        # A full part that ends in @ or in a carriage return: text, because more follows.
        (b"x" * 152 + b"\x00", b"y", "x" * 152 + "@y"),
        (b"x" * 152 + b"\r", b"y", "x" * 152 + "\ry"),
        (b"x" * 152 + b"\x00", b"\x00y", "x" * 152 + "@@y"),
        # The place that a sender left free in front of an escape.
        (b"x" * 152 + b"\x00", b"\x1bey", "x" * 152 + "€y"),
        (b"x" * 152 + b"\x1b", b"ey", "x" * 152 + "€y"),
        (b"x" * 153, b"\x1bey", "x" * 153 + "€y"),
        # Parts that are not full follow the plain rule, and so does the last one.
        (b"x" * 8 + b"\x00", b"y", "x" * 8 + "y"),
        (b"x" * 153, b"y" * 152 + b"\x00", "x" * 153 + "y" * 152),
    ],
)
def test_the_last_septet_of_a_full_part(first: bytes, second: bytes, text: str) -> None:
    parts = long_parts(first, second)
    assert parts[0].header is not None
    assert text_of(parts, PACKED).text == text


def test_a_full_part_without_header_keeps_its_last_septet() -> None:
    parts = [Content(pack(b"x" * 159 + b"\x00"), GSM7), Content(pack(b"y"), GSM7)]
    assert text_of(parts, PACKED).text == "x" * 159 + "@y"
    assert text_of(parts[:1], PACKED).text == "x" * 159


# Whatever a sender cuts, and wherever.

Header = Callable[[int, int], tuple[bytes, tuple[Tlv, ...]]]


def udh8(total: int, number: int) -> tuple[bytes, tuple[Tlv, ...]]:
    return bytes([5, 0, 3, 0xAA, total, number]), ()


def udh16(total: int, number: int) -> tuple[bytes, tuple[Tlv, ...]]:
    return bytes([6, 8, 4, 0xAA, 0xBB, total, number]), ()


def with_sar(total: int, number: int) -> tuple[bytes, tuple[Tlv, ...]]:
    return b"", sar("aabb", f"{total:02x}", f"{number:02x}")


def languages_too(locking: int, single: int) -> Header:
    def header(total: int, number: int) -> tuple[bytes, tuple[Tlv, ...]]:
        elements = bytes([0x25, 1, locking, 0x24, 1, single, 0, 3, 0xAA, total, number])
        return bytes([len(elements)]) + elements, ()

    return header


def sent(
    octets: bytes, cuts: list[int], header: Header, data_coding: int, *, packed: bool = False
) -> list[Content]:
    """The text cut there and read again, part by part."""
    places = [0, *sorted(cut % (len(octets) + 1) for cut in cuts), len(octets)]
    total = len(places) - 1
    contents = []
    for number in range(1, total + 1):
        before, tlvs = header(total, number)
        text = octets[places[number - 1] : places[number]]
        if packed:
            fill = -8 * len(before) % 7
            # What no receiver could tell from padding.
            ends_with_octet = (fill + 7 * len(text)) % 8 == 0
            assume(not (text and ends_with_octet and text[-1] in {0x00, 0x0D}))
            text = pack(text, fill)
        found = read(before + text, udhi=bool(before), data_coding=data_coding, tlvs=tlvs)
        assert found.concatenation is not None
        assert found.concatenation[2:] == (total, number)
        contents.append(found)
    return contents


cuts = st.lists(st.integers(0, 10_000), max_size=254)
headers = st.sampled_from([udh8, udh16, with_sar])
gsm_text = st.text(
    st.sampled_from(sorted({*gsm0338.BASE, *EXTENSION.values()} - {"\x1b"})), max_size=700
)


def gsm(text: str, locking: int = 0, single: int = 0) -> bytes:
    octets: bytes = gsmcodecs.makeCodec(locking, single).encode(text)[0]
    return octets


@given(gsm_text, cuts, headers)
@example("5€ [x]", [0, 1, 2, 3, 4, 5, 6, 7, 8], udh8)
@example("€" * 127, list(range(254)), udh16)
@example("€", [1], with_sar)
def test_gsm_7_bit_cut_anywhere(text: str, cuts: list[int], header: Header) -> None:
    contents = sent(gsm(text), cuts, header, GSM7)
    assert text_of(contents, PLAIN) == Decoded(text, "gsm7")


@given(gsm_text, cuts, headers)
@example("5€ [x]", [0, 1, 2, 3, 4, 5, 6, 7, 8], udh8)
@example("1234567€" * 20, [7, 8, 9, 150, 160], udh16)
@example("x" * 152 + "€" * 80, [153], udh8)
def test_packed_gsm_7_bit_cut_anywhere(text: str, cuts: list[int], header: Header) -> None:
    contents = sent(gsm(text), cuts, header, GSM7, packed=True)
    assert text_of(contents, PACKED) == Decoded(text, "gsm7")


@given(st.text(max_size=300), cuts, headers)
@example("A😀B", [0, 1, 2, 3, 4, 5, 6, 7, 8], udh8)
@example("\U0001f600" * 60, [67 * part for part in range(1, 4)], udh16)
@example("\ufffeA😀", [4], with_sar)
def test_ucs2_cut_anywhere(text: str, cuts: list[int], header: Header) -> None:
    octets = text.encode("utf-16-be")
    assume(octets[:2] not in {b"\xfe\xff", b"\xff\xfe"})  # would be a byte order mark
    assert text_of(sent(octets, cuts, header, UCS2), PLAIN) == Decoded(text, "utf-16-be")
    for order, mark in (("be", b"\xfe\xff"), ("le", b"\xff\xfe")):
        marked = mark + text.encode(f"utf-16-{order}")
        expected = Decoded(text, f"utf-16-{order}")
        assert text_of(sent(marked, cuts, header, UCS2), PLAIN) == expected


@st.composite
def national(draw: st.DrawFn) -> tuple[str, int, int]:
    """Text that two languages can write, without what gsmcodecs has wrong."""
    locking = draw(st.sampled_from([0, *LOCKING]))
    single = draw(st.sampled_from([0, *SINGLE]))
    wrong = {",", "'", "\u0ca1", "\u0caa", "\x1b", "\ufffd"}
    base = LOCKING.get(locking, gsm0338.BASE)
    extension = SINGLE.get(single, EXTENSION)
    known = sorted({*base, *extension.values()} - wrong)
    return draw(st.text(st.sampled_from(known), max_size=300)), locking, single


@given(national(), cuts, st.booleans())
@example(("şeker €", 1, 1), [0, 1, 2, 3, 4], False)
@example(("\u092d\u093e\u0930\u0924 \u0967", 6, 6), [1, 4, 6], True)
def test_national_languages_cut_anywhere(
    written: tuple[str, int, int], cuts: list[int], packed: bool
) -> None:
    text, locking, single = written
    header = languages_too(locking, single)
    contents = sent(gsm(text, locking, single), cuts, header, GSM7, packed=packed)
    assert text_of(contents, PACKED if packed else PLAIN) == Decoded(text, "gsm7")


@pytest.mark.parametrize(
    ("there", "total", "words"),
    [
        ([1, 2], 2, ""),
        ([1, 3], 3, "2"),
        ([4, 1], 4, "2-3"),
        ([2, 6, 7, 8], 9, "1,3-5,9"),
        ([], 255, "1-255"),
    ],
)
def test_missing_parts_in_few_words(there: list[int], total: int, words: str) -> None:
    assert segment.missing(there, total) == words
