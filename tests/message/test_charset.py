from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.message.charset import (
    AlphabetPolicy,
    BinaryContent,
    Decoded,
    UndecodableText,
    check_text,
    decode,
    is_gsm7,
)
from gateway.smpp.constants import CommandStatus

ALPHABETS = ["gsm7", "ascii", "latin-1", "cp1252", "utf-8"]

# Octets that read differently in each family: GSM 7-bit, UCS-2, Latin-1 and its relatives.
PROBE = b"\x00A"
GSM7, UCS2, OCTETS = "@A", "A", "\x00A"

# SMPP 3.4 section 5.2.19, value by value: text of PROBE (None: refused), flags.
SMPP_VALUES: list[tuple[str | None, set[str]]] = [
    (GSM7, set()),  # 0x00 default alphabet
    (OCTETS, set()),  # 0x01 IA5
    (None, set()),  # 0x02 octets
    (OCTETS, set()),  # 0x03 Latin-1
    (None, set()),  # 0x04 octets
    (OCTETS, {"guessed"}),  # 0x05 JIS X 0208, nothing shows in which form
    (OCTETS, set()),  # 0x06 ISO-8859-5
    (OCTETS, set()),  # 0x07 ISO-8859-8
    (UCS2, set()),  # 0x08 UCS2
    (None, set()),  # 0x09 pictogram
    (OCTETS, set()),  # 0x0A ISO-2022-JP music
    (UCS2, {"reserved"}),  # 0x0B reserved, UCS2 in 23.038
    (GSM7, {"reserved"}),  # 0x0C reserved
    (OCTETS, set()),  # 0x0D JIS X 0212
    (OCTETS, set()),  # 0x0E KS C 5601
    (GSM7, {"reserved"}),  # 0x0F reserved
]


def published(data_coding: int) -> tuple[str | None, int | None, set[str]]:
    """Text of PROBE, message class and flags, bit by bit as 3GPP TS 23.038 section 4 has it."""
    if data_coding < 0x10:
        text, flags = SMPP_VALUES[data_coding]
        return text, None, flags
    group, low = data_coding >> 4, data_coding & 0x03
    flags = set()
    if group < 8:  # bits 7-6: 00 general, 01 marked for automatic deletion
        if group & 0b0100:
            flags.add("auto_delete")
        if group & 0b0010:  # bit 5: compressed
            return None, None, flags
        alphabet = data_coding >> 2 & 0x03
        if alphabet == 3:
            flags.add("reserved")
        return [GSM7, None, UCS2, GSM7][alphabet], low if group & 1 else None, flags
    if group < 12:
        return GSM7, None, {"reserved"}
    if group == 15:
        return (None if data_coding & 0x04 else GSM7), low, flags
    text = {12: GSM7, 13: GSM7, 14: UCS2}[group]
    return text, None, {"mwi_discard" if group == 12 else "mwi_store"}


@pytest.mark.parametrize("data_coding", range(256))
def test_every_data_coding_decodes_or_is_refused(data_coding: int) -> None:
    text, message_class, flags = published(data_coding)
    if text is None:
        with pytest.raises(BinaryContent) as refusal:
            decode(PROBE, data_coding)
        assert refusal.value.command_status == CommandStatus.ESME_RINVDCS
        assert f"0x{data_coding:02X}" in refusal.value.detail
        return
    decoded = decode(PROBE, data_coding)
    assert decoded.text == text
    assert decoded.message_class == message_class
    assert set(decoded.flags) == flags
    assert decoded.errors == 0


@pytest.mark.parametrize("data_coding", range(256))
def test_the_default_alphabet_rules_only_where_no_list_names_one(data_coding: int) -> None:
    text = published(data_coding)[0]
    if text is None:
        return
    open_value = data_coding in {0x00, 0x0C, 0x0F} or 0x80 <= data_coding <= 0xBF
    expected = OCTETS if open_value else text
    assert decode(PROBE, data_coding, AlphabetPolicy(default_alphabet="latin-1")).text == expected


@pytest.mark.parametrize(
    ("data_coding", "octets", "text", "charset"),
    [
        (0x00, "48656c6c6f1100", "Hello_@", "gsm7"),
        (0x00, "1b65203130", "€ 10", "gsm7"),
        (0x01, "48656c6c6f5f40", "Hello_@", "ascii"),
        (0x03, "c9746fe96c65", "Étoéle", "latin-1"),
        (0x05, "1b2442467c4b5c386c1b2842", "日本語", "iso2022-jp"),
        (0x05, "93fa967b8cea", "日本語", "cp932"),
        (0x05, "b1b2b3", "ｱｲｳ", "cp932"),  # half-width katakana
        (0x06, "bfe0d8d2d5e2", "Привет", "iso8859-5"),
        (0x07, "f9ece5ed", "שלום", "iso8859-8"),
        (0x08, "041f04400438043204350442", "Привет", "utf-16-be"),
        (0x08, "0633064406270645", "سلام", "utf-16-be"),
        (0x08, "d83dde00", "😀", "utf-16-be"),
        (0x08, "feff00480069", "Hi", "utf-16-be"),
        (0x08, "fffe48006900", "Hi", "utf-16-le"),
        (0x08, "0048feff0069", "H\ufeffi", "utf-16-be"),
        (0x08, "00480000006900", "H\x00i\ufffd", "utf-16-be"),
        (0x08, "fffd", "\ufffd", "utf-16-be"),
        (0x0A, "1b2442467c4b5c386c1b2842", "日本語", "iso2022-jp-ext"),
        (0x0D, "1b2442467c4b5c386c1b2842", "日本語", "iso2022-jp-1"),
        (0x0D, "1b24284430211b2842", "丂", "iso2022-jp-1"),  # JIS X 0212 row 16 cell 1
        (0x0D, "c6fccbdcb8ec", "日本語", "euc-jp"),
        (0x0E, "c7d1b1db", "한글", "cp949"),
        (0x0E, "1b2429430e475131 5b0f", "한글", "iso2022-kr"),
        (0x0E, "0e475131 5b0f", "한글", "iso2022-kr"),  # without its header
        (0x0E, "8141", "갂", "cp949"),  # Unified Hangul, outside EUC-KR
        (0x11, "1b3c1b3e", "[]", "gsm7"),
        (0x18, "d83dde00", "😀", "utf-16-be"),
        (0xC8, "00", "@", "gsm7"),
        (0xE0, "20ac", "€", "utf-16-be"),
        (0xF0, "09", "Ç", "gsm7"),
    ],
)
def test_published_octets(data_coding: int, octets: str, text: str, charset: str) -> None:
    decoded = decode(bytes.fromhex(octets), data_coding)
    assert decoded.text == text
    assert decoded.charset == charset


@pytest.mark.parametrize(
    ("alphabet", "octets", "text", "errors"),
    [
        ("gsm7", "0011e9", "@_\ufffd", 1),
        ("ascii", "4100ff80", "A\x00\ufffd\ufffd", 2),
        ("latin-1", "e980", "é\x80", 0),
        ("cp1252", "e98081", "é€\ufffd", 1),
        ("utf-8", "c3a9f09f9880", "é😀", 0),
        ("utf-8", "41c3", "A\ufffd", 1),
        ("utf-8", "efbfbdc3", "\ufffd\ufffd", 1),  # U+FFFD itself, then half a character
        ("utf-8", "eda080", "\ufffd\ufffd\ufffd", 3),  # a surrogate is no UTF-8
    ],
)
@pytest.mark.parametrize("data_coding", [0x00, 0x0C, 0x80, 0x01])
def test_alphabets_of_an_account(
    data_coding: int, alphabet: str, octets: str, text: str, errors: int
) -> None:
    policy = (
        AlphabetPolicy(ascii_alphabet=alphabet, fallback_alphabet=alphabet)
        if data_coding == 0x01
        else AlphabetPolicy(default_alphabet=alphabet)
    )
    decoded = decode(bytes.fromhex(octets), data_coding, policy)
    assert (decoded.text, decoded.charset, decoded.errors) == (text, alphabet, errors)


def test_data_coding_1_of_node_smpp_is_gsm() -> None:
    octets = bytes.fromhex("116100")
    assert decode(octets, 0x01).text == "\x11a\x00"
    assert decode(octets, 0x01, AlphabetPolicy(ascii_alphabet="gsm7")).text == "_a@"


@pytest.mark.parametrize(
    ("data_coding", "policy", "octets", "expected"),
    [
        # "ASCII" with high octets is Windows text, unless the account says something else.
        (1, AlphabetPolicy(), "e980", Decoded("é€", "cp1252", 0, None, ("fallback",))),
        (1, AlphabetPolicy(), "e981", Decoded("é\ufffd", "cp1252", 1, None, ("fallback",))),
        (1, AlphabetPolicy(), "4181", Decoded("A\ufffd", "ascii", 1)),
        (
            1,
            AlphabetPolicy(fallback_alphabet="utf-8"),
            "c3a9",
            Decoded("é", "utf-8", 0, None, ("fallback",)),
        ),
        (1, AlphabetPolicy(ascii_alphabet="gsm7"), "00e9", Decoded("@\ufffd", "gsm7", 1)),
        # data_coding 0 has no fallback of its own.
        (0, AlphabetPolicy(), "41e9", Decoded("A\ufffd", "gsm7", 1)),
        (
            0,
            AlphabetPolicy(fallback_alphabet="latin-1"),
            "5fe9",
            Decoded("_é", "latin-1", 0, None, ("fallback",)),
        ),
        (0, AlphabetPolicy(fallback_alphabet="latin-1"), "1141", Decoded("_A", "gsm7")),
        (0, AlphabetPolicy(fallback_alphabet="ascii"), "00e9", Decoded("@\ufffd", "gsm7", 1)),
        (
            0x80,
            AlphabetPolicy(fallback_alphabet="latin-1"),
            "e9",
            Decoded("é", "latin-1", 0, None, ("reserved", "fallback")),
        ),
        # A value that names its alphabet has no fallback at all.
        (0xF0, AlphabetPolicy(fallback_alphabet="latin-1"), "e9", Decoded("\ufffd", "gsm7", 1, 0)),
    ],
)
def test_fallback(data_coding: int, policy: AlphabetPolicy, octets: str, expected: Decoded) -> None:
    assert decode(bytes.fromhex(octets), data_coding, policy) == expected


@pytest.mark.parametrize(
    ("octets", "little", "text", "charset", "errors", "flags"),
    [
        ("d800", False, "\ufffd", "utf-16-be", 1, ()),
        ("dc000041", False, "\ufffdA", "utf-16-be", 1, ()),
        ("d800d83dde00", False, "\ufffd😀", "utf-16-be", 1, ()),
        ("0041d8", False, "A\ufffd", "utf-16-be", 1, ("odd_ucs2",)),
        ("d80000", False, "\ufffd\ufffd", "utf-16-be", 2, ("odd_ucs2",)),
        ("00", False, "\ufffd", "utf-16-be", 1, ("odd_ucs2",)),
        ("fffdd800", False, "\ufffd\ufffd", "utf-16-be", 1, ()),
        ("feff", False, "", "utf-16-be", 0, ()),
        ("fffe4100d8", False, "A\ufffd", "utf-16-le", 1, ("odd_ucs2",)),
        ("4100", True, "A", "utf-16-le", 0, ()),
        ("feff0041", True, "A", "utf-16-be", 0, ()),
        ("fffe4100", True, "A", "utf-16-le", 0, ()),
        ("3dd800de", True, "😀", "utf-16-le", 0, ()),
        ("4100", False, "\u4100", "utf-16-be", 0, ()),
        ("", False, "", "utf-16-be", 0, ()),
    ],
)
def test_ucs2(
    octets: str, little: bool, text: str, charset: str, errors: int, flags: tuple[str, ...]
) -> None:
    policy = AlphabetPolicy(ucs2_little_endian=little)
    expected = Decoded(text, charset, errors, None, flags)
    assert decode(bytes.fromhex(octets), 0x08, policy) == expected


@pytest.mark.parametrize(
    ("data_coding", "octets", "kept", "stripped"),
    [
        (0x08, "00480000006900 00", "H\x00i\x00", "Hi"),
        (0x03, "486900", "Hi\x00", "Hi"),
        (0x00, "486900", "Hi@", "Hi@"),
    ],
)
def test_nul_is_kept_unless_stripped(
    data_coding: int, octets: str, kept: str, stripped: str
) -> None:
    raw = bytes.fromhex(octets)
    assert decode(raw, data_coding).text == kept
    assert decode(raw, data_coding, AlphabetPolicy(strip_nul=True)).text == stripped


@pytest.mark.parametrize(
    ("data_coding", "octets"),
    [(0x00, "e9"), (0x01, "e9"), (0x08, "d800"), (0x08, "004100"), (0x07, "ff"), (0xF0, "80")],
)
def test_undecodable_text_is_refused_on_request(data_coding: int, octets: str) -> None:
    raw = bytes.fromhex(octets)
    decode(raw, data_coding)
    with pytest.raises(UndecodableText) as refusal:
        decode(raw, data_coding, AlphabetPolicy(refuse_undecodable=True))
    assert refusal.value.command_status == CommandStatus.ESME_RINVDCS
    assert refusal.value.fields["errors"] == 1


def test_a_configured_fallback_comes_before_the_refusal() -> None:
    policy = AlphabetPolicy(fallback_alphabet="cp1252", refuse_undecodable=True)
    assert decode(b"\xe9", 0x01, policy).text == "é"
    with pytest.raises(UndecodableText):
        decode(b"\xe9\x81", 0x01, policy)


def test_music_codes_that_are_no_text_are_refused() -> None:
    with pytest.raises(BinaryContent):
        decode(b"\x80\xff", 0x0A)


policies = st.builds(
    AlphabetPolicy,
    default_alphabet=st.sampled_from(ALPHABETS),
    ascii_alphabet=st.sampled_from(ALPHABETS),
    fallback_alphabet=st.sampled_from(["", *ALPHABETS]),
    refuse_undecodable=st.booleans(),
    ucs2_little_endian=st.booleans(),
    strip_nul=st.booleans(),
)
messages = st.one_of(
    st.binary(max_size=160),
    # Escape sequences, shifts, surrogates and lead octets, which random octets seldom hit.
    st.lists(
        st.sampled_from(
            [b"\x1b", b"\x1b$B", b"\x1b$(D", b"\x1b$)C", b"\x1b(B", b"\x1b(I", b"\x0e", b"\x0f"]
        )
        | st.sampled_from(
            [b"\xd8", b"\xdc", b"\x00", b"\xfe\xff", b"\xff\xfe", b"\x81", b"\x8f", b"A", b"\n"]
        )
    ).map(b"".join),
)


@given(messages, st.integers(0, 255), policies)
@example(b"\xd8\x00\xdc", 0x08, AlphabetPolicy())
@example(b"\xed\xa0\x80", 0x00, AlphabetPolicy(default_alphabet="utf-8"))
@example(b"\x1b$B!", 0x05, AlphabetPolicy())
def test_any_octets_decode_or_are_refused(
    octets: bytes, data_coding: int, policy: AlphabetPolicy
) -> None:
    try:
        decoded = decode(octets, data_coding, policy)
    except (BinaryContent, UndecodableText):
        return
    decoded.text.encode("utf-8")
    assert 0 <= decoded.errors <= max(len(octets), 1)
    assert not (decoded.errors and policy.refuse_undecodable)
    if decoded.errors:
        assert "\ufffd" in decoded.text
    if policy.strip_nul:
        assert "\0" not in decoded.text


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_comes_back_from_ucs2(text: str) -> None:
    octets = b"\xfe\xff" + text.encode("utf-16-be")
    assert decode(octets, 0x08) == Decoded(text, "utf-16-be")


@pytest.mark.parametrize("data_coding", range(256))
def test_gsm_7_bit_is_what_reads_as_such(data_coding: int) -> None:
    text = published(data_coding)[0]
    assert is_gsm7(data_coding, AlphabetPolicy()) is (text == GSM7)
    assert is_gsm7(data_coding, AlphabetPolicy(ascii_alphabet="gsm7")) is (
        text == GSM7 or data_coding == 0x01
    )
    open_value = data_coding in {0x00, 0x0C, 0x0F} or 0x80 <= data_coding <= 0xBF
    assert is_gsm7(data_coding, AlphabetPolicy(default_alphabet="latin-1")) is (
        text == GSM7 and not open_value
    )


@pytest.mark.parametrize("data_coding", range(256))
def test_what_never_is_text_is_told_without_octets(data_coding: int) -> None:
    if published(data_coding)[0] is not None:
        check_text(data_coding)
        return
    with pytest.raises(BinaryContent) as refusal:
        check_text(data_coding)
    with pytest.raises(BinaryContent) as decoding:
        decode(PROBE, data_coding)
    assert refusal.value.detail == decoding.value.detail
    assert refusal.value.command_status == CommandStatus.ESME_RINVDCS


TURKISH = bytes.fromhex("1c1b73")  # Ş of the locking table, ş of the single shift table


@pytest.mark.parametrize("data_coding", range(256))
def test_languages_apply_to_gsm_7_bit_only(data_coding: int) -> None:
    if published(data_coding)[0] is None:
        return
    plain = decode(TURKISH, data_coding)
    decoded = decode(TURKISH, data_coding, AlphabetPolicy(), 1, 1)
    if is_gsm7(data_coding):
        assert plain.text == "Æs"
        assert decoded == replace(plain, text="Şş")
    else:
        assert decoded == plain


@pytest.mark.parametrize(
    ("data_coding", "policy", "text"),
    [
        (0x00, AlphabetPolicy(default_alphabet="latin-1"), "\x1c\x1bs"),
        (0xF0, AlphabetPolicy(default_alphabet="latin-1"), "Şş"),
        (0x01, AlphabetPolicy(ascii_alphabet="gsm7"), "Şş"),
        # What an account packs is unpacked before.
        (0x00, AlphabetPolicy(packed=True), "Şş"),
    ],
)
def test_languages_follow_what_the_account_writes(
    data_coding: int, policy: AlphabetPolicy, text: str
) -> None:
    assert decode(TURKISH, data_coding, policy, locking=1, single=1).text == text


def test_a_text_with_a_language_has_no_fallback() -> None:
    policy = AlphabetPolicy(fallback_alphabet="latin-1")
    assert decode(b"\x0c", 0x00, policy, 4) == Decoded("\ufffd", "gsm7", 1)
    assert decode(b"\x1b\x0c", 0x00, policy, 4, 4) == Decoded("+", "gsm7")
    with pytest.raises(UndecodableText):
        decode(b"\x0c", 0x00, AlphabetPolicy(refuse_undecodable=True), 4)
