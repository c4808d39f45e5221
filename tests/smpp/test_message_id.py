from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.smpp import message_id as ids
from gateway.smpp.message_id import Form

API = "0f6a1c9e-52f7-4a4b-9d0c-6a1f0e2b7c3d"
HEX = "0f6a1c9e52f74a4b9d0c6a1f0e2b7c3d"
DECIMAL = str(0x0F6A1C9E52F74A4B9D0C6A1F0E2B7C3D)
FORMS: list[Form] = ["uuid", "hex", "decimal"]


@pytest.mark.parametrize(
    ("form", "shown"), [("uuid", API), ("hex", HEX), ("decimal", DECIMAL)], ids=FORMS
)
def test_three_ways_to_write_the_same_bits(form: Form, shown: str) -> None:
    assert ids.written(API, form) == shown
    assert ids.read(shown, form) == API


@given(st.uuids(), st.sampled_from(FORMS))
def test_every_form_leads_back(uuid: UUID, form: Form) -> None:
    shown = ids.written(str(uuid), form)
    assert len(shown) <= 39 or form == "uuid"
    assert ids.read(shown, form) == str(uuid)


@given(st.text(max_size=64), st.sampled_from(FORMS))
def test_what_is_no_uuid_passes_verbatim(text: str, form: Form) -> None:
    assert ids.written(text, form) == text


@pytest.mark.parametrize("spelling", [API.upper(), f"{{{API}}}", HEX, API[:-1]])
def test_another_spelling_would_come_back_changed_so_it_is_left(spelling: str) -> None:
    for form in FORMS:
        assert ids.written(spelling, form) == spelling


@pytest.mark.parametrize(
    ("text", "form", "found"),
    [
        (HEX.upper(), "hex", API),
        (DECIMAL.zfill(39), "decimal", API),
        (DECIMAL.zfill(64), "decimal", API),
        ("0", "decimal", "00000000-0000-0000-0000-000000000000"),
        (str(1 << 128), "decimal", str(1 << 128)),  # more than 128 bits
        (API, "hex", API),  # an ESME that was moved from another form
        (API, "decimal", API),
        (HEX[:-1], "hex", HEX[:-1]),
        ("", "decimal", ""),
        ("nonsense", "hex", "nonsense"),
        ("١٢٣", "decimal", "١٢٣"),  # digits, but not SMPP's
    ],
)
def test_reading_forgives_zeros_and_case_and_nothing_else(
    text: str, form: Form, found: str
) -> None:
    assert ids.read(text, form) == found


@pytest.mark.parametrize(
    ("number", "response", "receipt"),
    [(0x0F6A1C9E, "0f6a1c9e", "0258612382"), (1, "00000001", "0000000001")],
)
def test_a_short_id_is_hexadecimal_in_a_response_and_decimal_in_a_receipt(
    number: int, response: str, receipt: str
) -> None:
    assert ids.short(number) == response
    assert ids.short(number, "decimal") == receipt
    assert ids.read_short(response)[0] == number
    assert number in ids.read_short(receipt)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("FF", [0xFF]),
        ("10", [0x10, 10]),
        ("4294967295", [0xFFFFFFFF]),
        ("4294967296", []),
        ("", []),
        (API, []),
    ],
)
def test_what_a_short_id_may_mean(text: str, numbers: list[int]) -> None:
    assert ids.read_short(text) == numbers


@given(st.binary(min_size=16, max_size=16), st.integers(0, 255))
def test_ids_of_parts_are_uuids_of_version_8_with_the_number_at_the_end(
    random: bytes, number: int
) -> None:
    base = ids.base_of(random)
    assert base[15] == 0
    message_id = ids.of_part(base, number)
    uuid = UUID(message_id)
    assert (uuid.version, uuid.variant) == (8, "specified in RFC 4122")
    assert uuid.bytes == base[:15] + bytes([number])
    assert ids.is_own(message_id)


def test_ids_of_the_api_are_not_taken_for_our_own() -> None:
    assert not any(ids.is_own(str(uuid4())) for _ in range(100))
    assert not ids.is_own("nonsense")
    assert not ids.is_own("")


@pytest.mark.parametrize("text", [API, API.upper(), HEX, "0f6a1c9e", "7", ""])
def test_an_id_may_stand_in_a_log(text: str) -> None:
    assert ids.printable(text) == text


@pytest.mark.parametrize("text", ["Überweisung 4711", "+37255555555", "37255555555", "x" * 64])
def test_anything_else_may_not(text: str) -> None:
    assert ids.printable(text) == f"[{len(text)} characters]"
