import gsmcodecs  # type: ignore[import-untyped]
import pytest

from gateway.message.gsm_languages import EXTENSION, LOCKING, NAMES, SINGLE

# What gsmcodecs has wrong, by table and code: an apostrophe for the comma in ten locking
# tables, and the Kannada letter PA a second time where DDA belongs.
WRONG = {
    **{(language, 0x2C): "'" for language in range(4, 14)},
    (7, 0x24): "\u0caa",
}
# The first code point of the Unicode blocks that share one layout with Devanagari.
BLOCKS = {4: 0x980, 5: 0xA80, 6: 0x900, 7: 0xC80, 8: 0xD00, 9: 0xB00, 10: 0xA00, 11: 0xB80}
BLOCKS |= {12: 0xC00}


def oracle(language: int, table: str) -> dict[int, str]:
    points = gsmcodecs.GSMCHARMAPS[language][table]["decode"]
    return {code: chr(point) for code, point in points.items() if code != 0x1B}


def test_the_languages_are_those_of_the_specification() -> None:
    assert list(NAMES) == list(SINGLE) == list(range(1, 14))
    assert sorted(LOCKING) == [1, *range(3, 14)]  # Spanish has a single shift only


@pytest.mark.parametrize("language", LOCKING)
def test_a_locking_table_is_whole(language: int) -> None:
    table = LOCKING[language]
    assert len(table) == 128
    assert [code for code, char in enumerate(table) if char == "\x1b"] == [0x1B]
    defined = [char for char in table if char != "\ufffd"]
    assert len(set(defined)) == len(defined)
    assert (table[0x0A], table[0x0D], table[0x20], table[0x2C]) == ("\n", "\r", " ", ",")


@pytest.mark.parametrize("language", LOCKING)
def test_locking_tables_are_those_of_gsmcodecs(language: int) -> None:
    theirs = oracle(language, "locking")
    for code, char in enumerate(LOCKING[language]):
        if code == 0x1B:
            continue
        if (language, code) in WRONG:
            assert theirs[code] == WRONG[language, code]
            assert theirs[code] != char
        else:
            assert theirs.get(code, "\ufffd") == char, hex(code)


@pytest.mark.parametrize("language", SINGLE)
def test_single_shift_tables_are_those_of_gsmcodecs(language: int) -> None:
    assert SINGLE[language] == oracle(language, "singleShift")


def test_the_default_extensions_are_those_of_gsmcodecs() -> None:
    assert oracle(0, "singleShift") == EXTENSION


@pytest.mark.parametrize("language", SINGLE)
def test_a_single_shift_table_keeps_the_default_one(language: int) -> None:
    kept = {code: char for code, char in EXTENSION.items() if (language, code) != (12, 0x65)}
    assert kept.items() <= SINGLE[language].items()
    assert 0x0D not in SINGLE[language]
    assert 0x1B not in SINGLE[language]
    assert (0x65 in SINGLE[language]) is (language != 12)


@pytest.mark.parametrize("code", range(0x60))
def test_the_indic_scripts_share_one_layout(code: int) -> None:
    """Where these tables have letters of the script, they have the same ones."""
    letters = {language: ord(LOCKING[language][code]) for language in BLOCKS}
    offsets = {
        point - BLOCKS[language] for language, point in letters.items() if 0x900 <= point < 0xD80
    }
    assert len(offsets) <= 1


@pytest.mark.parametrize(
    ("language", "codes"),
    [
        (1, {0x04: "€", 0x07: "ı", 0x0B: "Ğ", 0x0C: "ğ", 0x1C: "Ş", 0x1D: "ş", 0x1F: "É"}),
        (1, {0x40: "İ", 0x60: "ç"}),
        (3, {0x04: "ê", 0x06: "ú", 0x09: "ç", 0x0B: "Ô", 0x12: "ª", 0x13: "Ç", 0x15: "∞"}),
        (3, {0x16: "^", 0x17: "\\", 0x18: "€", 0x1A: "|", 0x24: "º", 0x5B: "Ã", 0x7D: "`"}),
        (4, {0x00: "\u0981", 0x0C: "\ufffd", 0x60: "\u09ce", 0x7F: "\u09f1"}),
        (7, {0x24: "\u0ca1", 0x3D: "\u0caa"}),
        (9, {0x47: "\u0b33"}),
        (13, {0x00: "\u0627", 0x60: "\u0654", 0x7F: "\u0670"}),
    ],
)
def test_published_cells_of_locking_tables(language: int, codes: dict[int, str]) -> None:
    assert {code: LOCKING[language][code] for code in codes} == codes


@pytest.mark.parametrize(
    ("language", "codes"),
    [
        (1, {0x47: "Ğ", 0x49: "İ", 0x53: "Ş", 0x63: "ç", 0x67: "ğ", 0x69: "ı", 0x73: "ş"}),
        (2, {0x09: "ç", 0x41: "Á", 0x49: "Í", 0x4F: "Ó", 0x55: "Ú", 0x61: "á", 0x75: "ú"}),
        (3, {0x05: "ê", 0x12: "Φ", 0x15: "Ω", 0x1F: "Ê", 0x41: "À", 0x5B: "Ã", 0x7F: "â"}),
        (6, {0x19: "\u0964", 0x1C: "\u0966", 0x39: "\u0970", 0x41: "A", 0x5A: "Z"}),
        (10, {0x23: "\u0a6d"}),
        (11, {0x24: "\u0bee", 0x25: "\u0bef"}),
        (12, {0x22: "\u0c6c", 0x23: "\u0c6d", 0x32: "\u0c7f"}),
        (13, {0x19: "\u0600", 0x3B: "\u06cd", 0x3F: "\u06d4"}),
    ],
)
def test_published_cells_of_single_shift_tables(language: int, codes: dict[int, str]) -> None:
    assert {code: SINGLE[language][code] for code in codes} == codes
