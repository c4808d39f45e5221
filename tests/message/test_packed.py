import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.message.packed import fill_bits, unpack, without_padding


def pack(septets: bytes, fill: int = 0, padding: int = 0) -> bytes:
    """Septet by septet, as 3GPP TS 23.038 section 6.1.2.1.1 draws it; `padding` for spare bits."""
    bits = [0] * fill
    for septet in septets:
        bits += [septet >> place & 1 for place in range(7)]
    spare = -len(bits) % 8
    bits += [padding >> place & 1 for place in range(spare)]
    return bytes(
        sum(bit << place for place, bit in enumerate(bits[first : first + 8]))
        for first in range(0, len(bits), 8)
    )


@pytest.mark.parametrize(
    ("octets", "septets"),
    [
        ("", b""),
        ("31", b"1"),
        ("e8329bfd06", b"hello"),
        ("e8329bfd4697d9ec37", b"hellohello"),
        ("31d98c56b3dd00", b"1234567\x00"),  # seven characters and a spare septet
        ("31d98c56b3dd1a", b"1234567\r"),  # the same, padded as section 6.1.2.3.1 says
        ("31d98c56b3dd70", b"12345678"),
        ("31d98c56b3dd7031d98c56b3dd00", b"123456781234567\x00"),
        ("31d98c56b3dd7031d98c56b3dd70", b"1234567812345678"),
        ("31d98c56b3dd7039", b"123456789"),
        ("ff", b"\x7f"),
        ("ffffffffffffff", b"\x7f" * 8),
    ],
)
def test_published_octets(octets: str, septets: bytes) -> None:
    assert unpack(bytes.fromhex(octets)) == septets


@pytest.mark.parametrize(
    ("octets", "fill", "septets"),
    [
        # Behind 05 00 03 00 02 01 the text begins one bit late.
        ("90", 1, b"H"),
        ("906536fb0d", 1, b"Hello"),
        ("62", 1, b"1"),
        ("80", 7, b""),
        ("8018", 7, b"1"),
        ("00", 6, b""),
        ("", 6, b""),
    ],
)
def test_fill_bits_are_skipped(octets: str, fill: int, septets: bytes) -> None:
    assert unpack(bytes.fromhex(octets), fill) == septets


@pytest.mark.parametrize(
    ("udh_octets", "fill"),
    [(0, 0), (1, 6), (2, 5), (3, 4), (4, 3), (5, 2), (6, 1), (7, 0), (8, 6), (140, 0)],
)
def test_text_begins_at_the_next_septet_behind_the_header(udh_octets: int, fill: int) -> None:
    assert fill_bits(udh_octets) == fill
    assert (8 * udh_octets + fill) % 7 == 0


@pytest.mark.parametrize(
    ("text", "fill", "kept"),
    [
        # Only a septet that ends with its octet can be padding.
        (b"1234567\x00", 0, b"1234567"),
        (b"1234567\r", 0, b"1234567"),
        (b"1234567\n", 0, b"1234567\n"),
        (b"12345678", 0, b"12345678"),
        (b"\x00" * 8, 0, b"\x00" * 7),
        (b"123456\x00", 0, b"123456\x00"),
        (b"12345678\x00", 0, b"12345678\x00"),
        (b"123456781234567\x00", 0, b"123456781234567"),
        (b"\x00", 1, b""),
        (b"\r", 1, b""),
        (b"1", 1, b"1"),
        (b"\x00", 0, b"\x00"),
        (b"12345678\x00", 1, b"12345678"),
        (b"12\x00", 3, b"12"),
        (b"123\x00", 3, b"123\x00"),
        (b"", 0, b""),
        (b"", 1, b""),
    ],
)
def test_padding(text: bytes, fill: int, kept: bytes) -> None:
    assert without_padding(text, fill) == kept


@pytest.mark.parametrize("padding", [0x00, 0x0D])
@pytest.mark.parametrize("fill", range(7))
@pytest.mark.parametrize("length", [*range(20), 152, 153, 159, 160])
def test_texts_of_any_length_gain_and_lose_nothing(length: int, fill: int, padding: int) -> None:
    text = bytes(ord("0") + place % 10 for place in range(length))
    spare = -(fill + 7 * length) % 8
    octets = pack(text, fill, padding if spare == 7 else 0)
    assert without_padding(unpack(octets, fill), fill) == text


def loop(octets: bytes, fill: int) -> bytes:
    """Bit by bit, with nothing in common with the code under test."""
    bits = "".join(f"{octet:08b}"[::-1] for octet in octets)[fill:]
    return bytes(int(bits[first : first + 7][::-1], 2) for first in range(0, len(bits) - 6, 7))


@given(st.binary(max_size=300), st.integers(0, 7))
@example(bytes(range(256)) * 2, 3)
@example(b"\xff" * 225, 0)  # one octet more than are spread at once
@example(b"\xff" * 224, 1)
@example(b"\xff" * 672, 6)
def test_any_octets_unpack_as_bit_by_bit(octets: bytes, fill: int) -> None:
    assert unpack(octets, fill) == loop(octets, fill)


@given(st.lists(st.integers(0, 127), max_size=400).map(bytes), st.integers(0, 6))
@example(b"\x1b" * 160, 1)
def test_what_is_packed_comes_back(septets: bytes, fill: int) -> None:
    unpacked = unpack(pack(septets, fill), fill)
    assert unpacked[: len(septets)] == septets
    assert unpacked[len(septets) :] in (b"", b"\x00")
    if (fill + 7 * len(septets)) % 8:  # only then is a zero at the end padding for certain
        assert without_padding(unpacked, fill) == septets
