import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.message.address import (
    InvalidDestination,
    InvalidSource,
    Numbering,
    destination,
    sender,
)
from gateway.smpp.constants import CommandStatus
from gateway.smpp.pdu import Address

ANYWHERE = Numbering()
ESTONIA = Numbering(country_prefix="372", trunk_prefix="")
UK = Numbering(country_prefix="44", trunk_prefix="0")
HUNGARY = Numbering(country_prefix="36", trunk_prefix="06")
LITHUANIA = Numbering(country_prefix="370", trunk_prefix="8")


@pytest.mark.parametrize(
    ("ton", "addr", "numbering", "to"),
    [
        # TON 1
        (1, "3725555555", ANYWHERE, "+3725555555"),
        (1, "+3725555555", ANYWHERE, "+3725555555"),
        (1, "003725555555", ANYWHERE, "+3725555555"),
        (1, "3725555555", UK, "+3725555555"),
        (1, "86123456789", LITHUANIA, "+86123456789"),
        # TON 1 fixed in a client that writes national numbers: no country code begins with 0
        (1, "07700900123", UK, "+447700900123"),
        # a leading + whatever the TON
        (0, "+447700900123", UK, "+447700900123"),
        (2, "+447700900123", ANYWHERE, "+447700900123"),
        (5, "+447700900123", ANYWHERE, "+447700900123"),
        (7, "+447700900123", UK, "+447700900123"),
        # TON 2
        (2, "5555555", ESTONIA, "+3725555555"),
        (2, "7700900123", UK, "+447700900123"),
        (2, "07700900123", UK, "+447700900123"),
        (2, "06201234567", HUNGARY, "+36201234567"),
        (2, "861234567", LITHUANIA, "+37061234567"),
        (2, "0612345678", Numbering(country_prefix="39", trunk_prefix=""), "+390612345678"),
        # TON 0
        (0, "3725555555", ANYWHERE, "+3725555555"),
        (0, "003725555555", ANYWHERE, "+3725555555"),
        (0, "00447700900123", UK, "+447700900123"),
        (0, "07700900123", UK, "+447700900123"),
        (0, "447700900123", UK, "+447700900123"),
        (0, "861234567", LITHUANIA, "+37061234567"),
        (0, "3725555555", ESTONIA, "+3725555555"),
        # TONs that say nothing reliable, and values that no specification names
        (3, "3725555555", ANYWHERE, "+3725555555"),
        (4, "3725555555", ANYWHERE, "+3725555555"),
        (5, "3725555555", ANYWHERE, "+3725555555"),
        (6, "07700900123", UK, "+447700900123"),
        (7, "3725555555", ANYWHERE, "+3725555555"),
        (255, "003725555555", ANYWHERE, "+3725555555"),
        # the bounds of E.164
        (1, "1234567", ANYWHERE, "+1234567"),
        (1, "123456789012345", ANYWHERE, "+123456789012345"),
    ],
)
def test_destination(ton: int, addr: str, numbering: Numbering, to: str) -> None:
    assert destination(Address(ton, 1, addr), numbering) == to


@pytest.mark.parametrize("npi", [0, 1, 3, 8, 18, 255])
def test_the_numbering_plan_changes_nothing(npi: int) -> None:
    assert destination(Address(1, npi, "3725555555"), ANYWHERE) == "+3725555555"
    assert sender(Address(1, npi, "3725555555"), ANYWHERE, "") == "+3725555555"


@pytest.mark.parametrize(
    ("ton", "addr", "numbering", "detail"),
    [
        (1, "", ANYWHERE, "is empty"),
        (1, "+", ANYWHERE, "has no digits"),
        (1, "372 5555555", ANYWHERE, "has a space"),
        (1, " 3725555555", ANYWHERE, "has a space"),
        (1, "3725555555 ", ANYWHERE, "has a space"),
        (1, "+372-5555555", ANYWHERE, "has punctuation"),
        (1, "(372)5555555", ANYWHERE, "has punctuation"),
        (1, "++3725555555", ANYWHERE, "has punctuation"),
        (1, "372+5555555", ANYWHERE, "has punctuation"),
        (1, "372.5555555", ANYWHERE, "has punctuation"),
        (1, "372555555x", ANYWHERE, "has a letter"),
        (5, "Messente", ANYWHERE, "has a letter"),
        (1, "372555555\u00b2", ANYWHERE, "has a character outside ASCII"),
        (1, "\u00a03725555555", ANYWHERE, "has a character outside ASCII"),
        (1, "3725555555\n", ANYWHERE, "has a control character"),
        (2, "5555555", ANYWHERE, "set country_prefix"),
        (2, "05555555", ANYWHERE, "set country_prefix"),
        (2, "00447700900123", UK, "begins with 00"),
        (0, "05555555", ANYWHERE, "begins with 0"),
        (1, "05555555", ANYWHERE, "begins with 0"),
        (1, "05555555", ESTONIA, "begins with 0"),
        (1, "+05555555", UK, "begins with 0"),
        (1, "0005555555", UK, "begins with 0"),
        (0, "00", ANYWHERE, "begins with 0"),
        (1, "123456", ANYWHERE, "has 6 digits"),
        (1, "1234567890123456", ANYWHERE, "has 16 digits"),
        (2, "12", UK, "has 4 digits"),
        (2, "12345678901234", UK, "has 16 digits"),
        (6, "12345", ANYWHERE, "has 5 digits"),
    ],
)
def test_destination_refused(ton: int, addr: str, numbering: Numbering, detail: str) -> None:
    with pytest.raises(InvalidDestination) as refusal:
        destination(Address(ton, 1, addr), numbering)
    assert detail in refusal.value.detail
    assert refusal.value.command_status == CommandStatus.ESME_RINVDSTADR
    digits = re.sub(r"\D", "", addr)
    assert len(digits) < 5 or digits not in refusal.value.detail


@pytest.mark.parametrize(
    ("ton", "addr", "numbering", "expected"),
    [
        # TON 5
        (5, "Messente", ANYWHERE, "Messente"),
        (5, "A", ANYWHERE, "A"),
        (5, "Bank 24.ee", ANYWHERE, "Bank 24.ee"),
        (5, "A-B_C&D+E", ANYWHERE, "A-B_C&D+E"),
        (5, "24/7!", ANYWHERE, "24/7!"),
        (5, "12345678901", ANYWHERE, "12345678901"),
        (5, "12345", UK, "12345"),
        (5, "+3725555555", ANYWHERE, "+3725555555"),
        (5, "+372555555555", ANYWHERE, "+372555555555"),
        (5, "372555555555", ANYWHERE, "372555555555"),
        # letters under another TON
        (0, "Messente", ANYWHERE, "Messente"),
        (1, "Messente", ANYWHERE, "Messente"),
        (2, "1Bank", UK, "1Bank"),
        (0, "Bank 24.ee", ANYWHERE, "Bank 24.ee"),
        (0, "+Bank", ANYWHERE, "+Bank"),
        # short codes: naz and smppload TON 1, Kannel TON 2
        (0, "12345", ANYWHERE, "12345"),
        (1, "12345", ANYWHERE, "12345"),
        (1, "1", ANYWHERE, "1"),
        (1, "123456", ANYWHERE, "123456"),
        (2, "12345", UK, "12345"),
        (2, "01234", UK, "01234"),
        (6, "12345", ANYWHERE, "12345"),
        (1, "+12345", ANYWHERE, "12345"),
        # international numbers
        (1, "3725555555", ANYWHERE, "+3725555555"),
        (1, "+3725555555", ANYWHERE, "+3725555555"),
        (1, "003725555555", ANYWHERE, "+3725555555"),
        (1, "1234567", ANYWHERE, "+1234567"),
        (0, "+3725555555", ANYWHERE, "+3725555555"),
        (0, "003725555555", ANYWHERE, "+3725555555"),
        (2, "+3725555555", UK, "+3725555555"),
        (1, "123456789012345", ANYWHERE, "+123456789012345"),
        # national numbers
        (2, "7700900123", UK, "+447700900123"),
        (2, "07700900123", UK, "+447700900123"),
        (0, "07700900123", UK, "+447700900123"),
        (1, "07700900123", UK, "+447700900123"),
        # numbers of which nothing says what they are
        (0, "3725555555", ANYWHERE, "3725555555"),
        (0, "447700900123", UK, "447700900123"),
        (3, "3725555555", ANYWHERE, "3725555555"),
        (2, "7700900123", ANYWHERE, "7700900123"),
        (1, "0800123456", ANYWHERE, "0800123456"),
        (2, "00447700900123", UK, "00447700900123"),
        (0, "123456789012345", ANYWHERE, "123456789012345"),
    ],
)
def test_sender(ton: int, addr: str, numbering: Numbering, expected: str) -> None:
    assert sender(Address(ton, 0, addr), numbering, "default") == expected


@pytest.mark.parametrize("ton", range(8))
def test_an_empty_source_is_the_default_sender(ton: int) -> None:
    assert sender(Address(ton, 0, ""), UK, "") is None
    assert sender(Address(ton, 0, ""), UK, "0770 090 0123 x") == "0770 090 0123 x"


@pytest.mark.parametrize(
    ("ton", "addr", "numbering", "detail"),
    [
        (5, "TwelveChars!", ANYWHERE, "has 12 characters"),
        (0, "TwelveChars!", ANYWHERE, "has 12 characters"),
        (5, "Bänk", ANYWHERE, "has a character outside ASCII"),
        (0, "Bänk", ANYWHERE, "has a character outside ASCII"),
        (5, "A\x11B", ANYWHERE, "has a control character"),
        (5, "A\n", ANYWHERE, "has a control character"),
        (5, "   ", ANYWHERE, "has spaces only"),
        (1, "372 5555555", ANYWHERE, "has a space"),
        (0, "372-555", ANYWHERE, "has punctuation"),
        (0, "+", ANYWHERE, "has no digits"),
        (0, "372555555\u00b2", ANYWHERE, "has a character outside ASCII"),
        (1, "+0800123456", ANYWHERE, "has a 0 where"),
        (0, "0001234567", ANYWHERE, "has a 0 where"),
        (1, "1234567890123456", ANYWHERE, "has 16 digits"),
        (0, "1234567890123456", ANYWHERE, "has 16 digits"),
        (5, "1234567890123456", ANYWHERE, "has 16 digits"),
        (2, "12345678901234", UK, "has 16 digits"),
    ],
)
def test_sender_refused(ton: int, addr: str, numbering: Numbering, detail: str) -> None:
    with pytest.raises(InvalidSource) as refusal:
        sender(Address(ton, 0, addr), numbering, "default")
    assert detail in refusal.value.detail
    assert refusal.value.command_status == CommandStatus.ESME_RINVSRCADR
    assert addr == "+" or addr not in refusal.value.detail


addresses = st.builds(
    Address,
    st.integers(0, 255),
    st.integers(0, 255),
    st.one_of(
        st.text(st.characters(min_codepoint=1, max_codepoint=255), max_size=21),
        st.text("+0123456789 ", max_size=21),
    ),
)
numberings = st.builds(
    Numbering, st.sampled_from(["", "1", "44", "372"]), st.sampled_from(["", "0", "06", "8"])
)


@given(addresses, numberings)
def test_any_destination_is_e164_or_refused(address: Address, numbering: Numbering) -> None:
    try:
        to = destination(address, numbering)
    except InvalidDestination:
        return
    assert re.fullmatch(r"\+[1-9][0-9]{6,14}", to)


@given(addresses, numberings)
def test_any_sender_fits_the_api_or_is_refused(address: Address, numbering: Numbering) -> None:
    try:
        found = sender(address, numbering, "")
    except InvalidSource:
        return
    if found is None:
        assert not address.addr
    else:
        assert re.fullmatch(r"\+?[0-9]{1,15}|[ -~]{1,11}", found)
