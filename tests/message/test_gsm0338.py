import gsm0338 as oracle_gsm0338  # type: ignore[import-untyped]
import gsmcodecs  # type: ignore[import-untyped]
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.message import gsm0338
from gateway.message.gsm_languages import LOCKING, SINGLE

# 3GPP TS 23.038 section 6.2.1 as code points, sixteen codes a line; 0x1B is the escape.
ROWS = """
0040 00A3 0024 00A5 00E8 00E9 00F9 00EC 00F2 00C7 000A 00D8 00F8 000D 00C5 00E5
0394 005F 03A6 0393 039B 03A9 03A0 03A8 03A3 0398 039E ESC  00C6 00E6 00DF 00C9
0020 0021 0022 0023 00A4 0025 0026 0027 0028 0029 002A 002B 002C 002D 002E 002F
0030 0031 0032 0033 0034 0035 0036 0037 0038 0039 003A 003B 003C 003D 003E 003F
00A1 0041 0042 0043 0044 0045 0046 0047 0048 0049 004A 004B 004C 004D 004E 004F
0050 0051 0052 0053 0054 0055 0056 0057 0058 0059 005A 00C4 00D6 00D1 00DC 00A7
00BF 0061 0062 0063 0064 0065 0066 0067 0068 0069 006A 006B 006C 006D 006E 006F
0070 0071 0072 0073 0074 0075 0076 0077 0078 0079 007A 00E4 00F6 00F1 00FC 00E0
"""
PUBLISHED = ROWS.split()
BASE = {code: chr(int(point, 16)) for code, point in enumerate(PUBLISHED) if point != "ESC"}
# Section 6.2.1.1.
EXTENSION = {
    0x0A: "\u000c",
    0x14: "\u005e",
    0x28: "\u007b",
    0x29: "\u007d",
    0x2F: "\u005c",
    0x3C: "\u005b",
    0x3D: "\u007e",
    0x3E: "\u005d",
    0x40: "\u007c",
    0x65: "\u20ac",
}


def by_hand(octets: bytes, locking: int = 0, single: int = 0) -> str:
    """The rules of section 6.2.1 one octet at a time, as slow and plain as they read."""
    text = ""
    escaped = False
    base = dict(enumerate(LOCKING[locking])) if locking in LOCKING else BASE
    extension = SINGLE.get(single, EXTENSION)
    for octet in octets:
        if escaped and octet in extension:
            text += extension[octet]
            escaped = False
        elif octet == 0x1B:
            text += " " if escaped else ""
            escaped = not escaped
        else:
            text += base.get(octet, "\ufffd")
            escaped = False
    return text + " " if escaped else text


def test_the_published_table_is_whole() -> None:
    assert len(PUBLISHED) == 128
    assert len(set(BASE.values()) | set(EXTENSION.values())) == 137


@pytest.mark.parametrize("code", BASE)
def test_each_code_of_the_base_table(code: int) -> None:
    assert gsm0338.decode(bytes([code])) == BASE[code]
    assert gsm0338.encode(BASE[code]) == bytes([code])


@pytest.mark.parametrize("code", EXTENSION)
def test_each_code_of_the_extension_table(code: int) -> None:
    assert gsm0338.decode(bytes([0x1B, code])) == EXTENSION[code]
    assert gsm0338.encode(EXTENSION[code]) == bytes([0x1B, code])


@pytest.mark.parametrize("code", sorted(BASE.keys() - EXTENSION.keys()))
def test_an_unknown_escape_shows_the_base_character(code: int) -> None:
    assert gsm0338.decode(bytes([0x41, 0x1B, code, 0x42])) == f"A{BASE[code]}B"


@pytest.mark.parametrize("octet", range(0x80, 0x100))
def test_no_octet_loses_its_high_bit(octet: int) -> None:
    assert gsm0338.decode(bytes([octet])) == "\ufffd"
    assert gsm0338.decode(bytes([0x1B, octet])) == "\ufffd"


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        ("", ""),
        ("1b", " "),
        ("411b", "A "),
        ("1b1b", " "),
        ("1b1b65", " e"),
        ("1b1b1b65", " €"),
        ("1b1b1b1b", "  "),
        ("1b651b3c1b3e", "€[]"),
        ("1b0d", "\r"),
        ("1b0a", "\f"),
        ("00", "@"),
        ("410000", "A@@"),
        ("48656c6c6f1100", "Hello_@"),
        ("e9", "\ufffd"),
    ],
)
def test_escapes_and_edges(octets: str, text: str) -> None:
    assert gsm0338.decode(bytes.fromhex(octets)) == text


@pytest.mark.parametrize(
    "text", ["ç", "`", "\x1b", "\t", "\x00", "“", "Ж", "😀", "\ud800", "plain but ő"]
)
def test_what_is_in_neither_table_is_not_encoded(text: str) -> None:
    assert gsm0338.encode(text) is None


def test_an_extension_character_costs_two_octets() -> None:
    assert gsm0338.encode("5€ [x]") == bytes.fromhex("351b65201b3c781b3e")
    assert gsm0338.encode("") == b""


@given(
    st.lists(st.one_of(st.integers(0, 255), st.sampled_from([0x1B, 0x65, 0x0A, 0x00]))).map(bytes)
)
def test_any_octets_read_as_by_hand(octets: bytes) -> None:
    assert gsm0338.decode(octets) == by_hand(octets)


@given(st.text(st.sampled_from([*BASE.values(), *EXTENSION.values()])))
def test_encoded_text_decodes_to_itself(text: str) -> None:
    octets = gsm0338.encode(text)
    assert octets is not None
    assert gsm0338.decode(octets) == text


@given(st.text())
def test_encode_answers_any_text(text: str) -> None:
    octets = gsm0338.encode(text)
    known = {*BASE.values(), *EXTENSION.values()}
    assert (octets is None) == (not set(text) <= known)


languages = st.integers(0, 15)


@given(
    st.lists(st.one_of(st.integers(0, 255), st.sampled_from([0x1B, 0x65, 0x0C, 0x00]))).map(bytes),
    languages,
    languages,
)
@example(b"\x1b\x0c\x0c\x1b", 4, 4)
def test_any_octets_of_any_language_read_as_by_hand(
    octets: bytes, locking: int, single: int
) -> None:
    assert gsm0338.decode(octets, locking, single) == by_hand(octets, locking, single)


@pytest.mark.parametrize(
    ("locking", "single", "octets", "text"),
    [
        # Turkish, with either table and with both; neither touches the other's codes.
        (1, 0, "1c65 6b65 72 20 04 35", "Şeker €5"),
        (1, 0, "1b531b1c", "SŞ"),
        (0, 1, "1b5365 6b65 72 1c 1b65", "ŞekerÆ€"),
        (1, 1, "1c1b531b671b1d", "ŞŞğş"),
        # Spanish and Portuguese
        (0, 2, "1b611b4f 1b09", "áÓç"),
        (2, 2, "041b61", "èá"),  # there is no Spanish locking table
        (3, 3, "041b051b12 1b2e", "êêΦ."),
        # Hindi: the word for India, a digit and a danda of the single shift table
        (6, 6, "41504427 1b1d 1b19", "\u092d\u093e\u0930\u0924\u0967\u0964"),
        (6, 0, "411b651b22", "\u092d€\u091f"),
        (6, 6, "1b1b411b", " \u092d "),
        # What is not defined: in the table itself, behind an escape, behind an octet
        (4, 0, "0c41", "\ufffd\u09ad"),
        (4, 0, "1b0c", "\ufffd"),
        (4, 4, "1b0c", "+"),
        (4, 4, "1b0d", "\r"),
        (4, 4, "1be9e9", "\ufffd\ufffd"),
        (4, 4, "1b1b0c", " \ufffd"),
        (12, 12, "651b65", "ee"),  # Telugu alone has no euro sign
        # Languages that nobody has defined
        (14, 14, "04001b65", "è@€"),
        (0, 255, "1b53", "S"),
        (255, 0, "1c", "Æ"),
        (6, 6, "", ""),
    ],
)
def test_languages(locking: int, single: int, octets: str, text: str) -> None:
    assert gsm0338.decode(bytes.fromhex(octets), locking, single) == text


@pytest.mark.parametrize("single", range(14))
@pytest.mark.parametrize("locking", [0, *LOCKING])
def test_what_gsmcodecs_encodes_comes_back(locking: int, single: int) -> None:
    """Without the comma and the Kannada letters that it has wrong."""
    base = LOCKING.get(locking, gsm0338.BASE)
    extension = SINGLE.get(single, EXTENSION)
    wrong = {",", "'", "\u0ca1", "\u0caa", "\x1b", "\ufffd"} if locking > 3 else {"\x1b"}
    text = "".join(sorted({*base, *extension.values()} - wrong))
    octets, _ = gsmcodecs.makeCodec(locking, single).encode(text)
    assert gsm0338.decode(octets, locking, single) == text


def test_what_gsm0338_encodes_comes_back() -> None:
    text = "".join(sorted({*gsm0338.BASE, *EXTENSION.values()} - {"\x1b"}))
    octets, _ = oracle_gsm0338.Codec().encode(text)
    assert octets == gsm0338.encode(text)
    assert gsm0338.decode(octets) == text


def test_the_spanish_of_gsm0338_comes_back() -> None:
    codec = oracle_gsm0338.Codec(
        single_shift_decode_map=oracle_gsm0338.SINGLE_SHIFT_CHARACTER_SET_SPANISH
    )
    text = "".join(sorted({*gsm0338.BASE, *SINGLE[2].values()} - {"\x1b"}))
    octets, _ = codec.encode(text)
    assert gsm0338.decode(octets, 0, 2) == text
    assert codec.decode(octets)[0] == text
