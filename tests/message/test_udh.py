import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.message.udh import (
    NAMES,
    Concatenated,
    Element,
    MessageWaiting,
    Ports,
    UserDataHeader,
    concatenation,
    concatenation_header,
    languages,
    message_waiting,
    ports,
    split,
    without_languages,
)

NO_HEADER = UserDataHeader(b"", (), malformed=True)


def header_of(*elements: str) -> UserDataHeader:
    """A header of these elements in hexadecimal, its UDHL made to fit."""
    body = bytes.fromhex("".join(elements))
    header, text = split(bytes([len(body)]) + body, 0x00)
    assert text == b""
    assert not header.malformed
    return header


@pytest.mark.parametrize(
    ("octets", "elements", "text"),
    [
        ("00 4142", [], "4142"),
        ("00", [], ""),
        ("050003aa0201 4142", [(0x00, "aa0201")], "4142"),
        ("060804aabb0201", [(0x08, "aabb0201")], ""),
        ("08 240101 0003aa0202 41", [(0x24, "01"), (0x00, "aa0202")], "41"),
        ("02 7000 41", [(0x70, "")], "41"),
        ("0b 0504 0b8423f0 0003aa0201 41", [(0x05, "0b8423f0"), (0x00, "aa0201")], "41"),
    ],
)
def test_well_formed(octets: str, elements: list[tuple[int, str]], text: str) -> None:
    raw = bytes.fromhex(octets)
    header, found = split(raw, 0x00)
    assert found == bytes.fromhex(text)
    assert header.octets + found == raw
    assert header.elements == tuple(Element(iei, bytes.fromhex(data)) for iei, data in elements)
    assert not header.malformed


@pytest.mark.parametrize(
    ("octets", "elements", "text"),
    [
        # an element that overruns; the text is where UDHL says
        ("050004aa0201 4142", [], "4142"),
        ("08 0003aa0201 24ff01 41", [(0x00, "aa0201")], "41"),
        # an octet left over
        ("060003aa0201ff 41", [(0x00, "aa0201")], "41"),
        ("01ff 41", [], "41"),
    ],
)
def test_elements_that_do_not_fill_the_header(
    octets: str, elements: list[tuple[int, str]], text: str
) -> None:
    raw = bytes.fromhex(octets)
    header, found = split(raw, 0x00)
    assert found == bytes.fromhex(text)
    assert header.octets + found == raw
    assert header.elements == tuple(Element(iei, bytes.fromhex(data)) for iei, data in elements)
    assert header.malformed


@pytest.mark.parametrize("octets", [b"", b"\x01", b"\x05\x00\x03\xaa\x02", b"Hello", b"\xff" * 255])
def test_a_udhl_beyond_the_end_leaves_text_only(octets: bytes) -> None:
    assert split(octets, 0x00) == (NO_HEADER, octets)


def test_a_udhl_to_the_very_end_is_a_header_without_text() -> None:
    octets = bytes.fromhex("050003aa0201")
    assert split(octets, 0x00) == (
        UserDataHeader(octets, (Element(0x00, b"\xaa\x02\x01"),)),
        b"",
    )


@pytest.mark.parametrize(
    ("data_coding", "octets", "text"),
    [
        # go-smpp issue 117: the header has five octets, UDHL says six
        (0x08, "060003aa0201 00480069", "00480069"),
        (0x18, "060003aa0201 00480069", "00480069"),
        # the octet left over is no text if the text is whole without it
        (0x08, "060003aa0201ff 00480069", "00480069"),
        # nor in another alphabet
        (0x00, "060003aa0201 41424344", "424344"),
        (0x03, "060003aa0201 41424344", "424344"),
        # two octets left over are another fault
        (0x08, "070003aa0201 0048 006900", "006900"),
        # and an odd text behind a sound header is only that
        (0x08, "050003aa0201 004800", "004800"),
    ],
)
def test_a_udhl_that_is_one_too_high(data_coding: int, octets: str, text: str) -> None:
    raw = bytes.fromhex(octets)
    header, found = split(raw, data_coding)
    assert found == bytes.fromhex(text)
    assert header.octets + found == raw
    assert header.elements == (Element(0x00, b"\xaa\x02\x01"),)
    assert header.malformed is (raw[0] != 5)


@pytest.mark.parametrize("data_coding", [0x00, 0x08])
def test_a_header_cut_short_anywhere_is_malformed_and_loses_nothing(data_coding: int) -> None:
    whole = bytes.fromhex("0b 240101 250101 0003aa0201")
    assert whole[0] == len(whole) - 1
    for end in range(len(whole)):
        header, text = split(whole[:end], data_coding)
        assert header == NO_HEADER
        assert text == whole[:end]
        # the same with text behind, and UDHL made shorter instead
        header, text = split(bytes([end]) + whole[1:], data_coding)
        assert header.octets + text == bytes([end]) + whole[1:]
        assert header.malformed is (end not in {0, 3, 6, 11})
        expected = (end >= 3) + (end >= 6) + (end == 11)
        assert len(header.elements) == expected


@given(st.binary(max_size=300), st.integers(0, 255))
@example(b"\x06\x00\x03\xaa\x02\x01\x00H\x00i", 0x08)
def test_any_octets_are_split(octets: bytes, data_coding: int) -> None:
    header, text = split(octets, data_coding)
    assert header.octets + text == octets
    concatenation(header)
    ports(header)
    languages(header)
    message_waiting(header)
    assert split(without_languages(header), 0x00)[0].malformed is (without_languages(header) == b"")


@pytest.mark.parametrize(
    ("elements", "found"),
    [
        ([], None),
        (["0003aa0201"], Concatenated(0xAA, False, 2, 1)),
        (["0804aabb0302"], Concatenated(0xAABB, True, 3, 2)),
        (["240101", "0003aa0201"], Concatenated(0xAA, False, 2, 1)),  # need not be first
        (["0003aaff ff"], Concatenated(0xAA, False, 255, 255)),
        (["0003000101"], Concatenated(0, False, 1, 1)),
        # no such part
        (["0003aa0200"], None),
        (["0003aa0203"], None),
        (["0003aa0000"], None),
        # jsmpp's example of 16 bits: an 8-bit reference, total, number and a zero
        (["0804aa020100"], None),
        # no such length
        (["0002aa02"], None),
        (["0004aa020100"], None),
        (["0803aa0201"], None),
        (["0800"], None),
        # the last valid one wins
        (["0003aa0201", "0804aabb0302"], Concatenated(0xAABB, True, 3, 2)),
        (["0804aabb0302", "0003aa0201"], Concatenated(0xAA, False, 2, 1)),
        (["0003aa0201", "0003bb0202"], Concatenated(0xBB, False, 2, 2)),
        (["0003aa0201", "0003bb0200"], Concatenated(0xAA, False, 2, 1)),
    ],
)
def test_concatenation(elements: list[str], found: Concatenated | None) -> None:
    assert concatenation(header_of(*elements)) == found


@pytest.mark.parametrize(
    ("elements", "found"),
    [
        ([], None),
        (["0402f0e2"], Ports(0xF0, 0xE2)),
        (["05040b8423f0"], Ports(2948, 9200)),
        (["050400000000"], Ports(0, 0)),
        (["0003aa0201", "0402f0e2"], Ports(0xF0, 0xE2)),
        (["0402f0e2", "05040b8423f0"], Ports(2948, 9200)),
        (["0401f0"], None),
        (["05020b84"], None),
    ],
)
def test_ports(elements: list[str], found: Ports | None) -> None:
    assert ports(header_of(*elements)) == found


@pytest.mark.parametrize(
    ("elements", "found"),
    [
        ([], (0, 0)),
        (["240101"], (0, 1)),
        (["250103"], (3, 0)),
        (["250106", "240106"], (6, 6)),
        (["240102", "2501ff"], (0xFF, 2)),
        (["240101", "240102", "250101", "250103"], (3, 2)),
        (["240101", "2400", "25020101"], (0, 1)),
    ],
)
def test_languages(elements: list[str], found: tuple[int, int]) -> None:
    assert languages(header_of(*elements)) == found


@pytest.mark.parametrize(
    ("elements", "found"),
    [
        ([], ()),
        (["01028003"], (MessageWaiting(True, 0, 3),)),
        (["010202ff"], (MessageWaiting(False, 2, 255),)),
        (["01020001", "01028105"], (MessageWaiting(False, 0, 1), MessageWaiting(True, 1, 5))),
        (["010180"], ()),
    ],
)
def test_message_waiting(elements: list[str], found: tuple[MessageWaiting, ...]) -> None:
    assert message_waiting(header_of(*elements)) == found


@pytest.mark.parametrize(
    ("octets", "left"),
    [
        ("00", ""),
        ("03240101", ""),
        ("06240101250101", ""),
        ("050003aa0201", "050003aa0201"),
        ("0b2401010003aa0201250101", "050003aa0201"),
        ("08 7000 240101 7101ff", "05 7000 7101ff"),
        ("060003aa020124 41", "050003aa0201"),  # well-formed again
        ("09 41", ""),
    ],
)
def test_without_languages(octets: str, left: str) -> None:
    header, _ = split(bytes.fromhex(octets), 0x00)
    assert without_languages(header) == bytes.fromhex(left)


elements = st.lists(
    st.builds(
        Element,
        st.integers(0, 255).filter(lambda iei: iei not in {0x24, 0x25}),
        st.binary(max_size=10),
    ),
    min_size=1,
    max_size=20,
)


@given(elements, st.binary(max_size=20))
@example([Element(0x00, b"\xaa\x02\x01"), Element(0x70, b"")], b"text")
def test_a_sound_header_without_languages_stays_as_it_is(
    elements: list[Element], text: bytes
) -> None:
    body = b"".join(bytes([iei, len(data)]) + data for iei, data in elements)
    octets = bytes([len(body)]) + body
    header, behind = split(octets + text, 0x00)
    assert header == UserDataHeader(octets, tuple(elements))
    assert behind == text
    assert without_languages(header) == octets


@pytest.mark.parametrize(
    ("reference", "wide", "total", "number", "octets"),
    [
        (0xAA, False, 2, 1, "050003aa0201"),
        (0xAA, True, 2, 1, "06080400aa0201"),
        (0xAABB, True, 255, 255, "060804aabbffff"),
        (0xAABB, False, 2, 2, "050003bb0202"),
        (0xAABBCC, True, 2, 2, "060804bbcc0202"),
    ],
)
def test_concatenation_header(
    reference: int, wide: bool, total: int, number: int, octets: str
) -> None:
    header = concatenation_header(reference, wide, total, number)
    assert header == bytes.fromhex(octets)
    width = 0xFFFF if wide else 0xFF
    expected = Concatenated(reference & width, wide, total, number)
    assert concatenation(split(header, 0x00)[0]) == expected


def test_elements_have_names() -> None:
    assert NAMES[0x00] == "concatenated short messages, 8-bit reference"
    assert NAMES[0x24] == "national language single shift"
    assert NAMES[0x25] == "national language locking shift"
    assert NAMES[0x70] == NAMES[0x7F] == "SIM toolkit security header"
    assert {0x00, 0x01, 0x04, 0x05, 0x08, 0x24, 0x25} <= NAMES.keys() <= set(range(256))
    # reserved by the specification
    assert not NAMES.keys() & {0x02, 0x1B, 0x1F, 0x26, 0x6F, 0xA0, 0xBF, 0xE0, 0xFF}
