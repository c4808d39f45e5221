"""Sealed routes and signed bodies."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.omnichannel.callback import (
    LONGEST_TOKEN,
    BadToken,
    Key,
    KeyRing,
    longest_token,
    signature,
    signed,
)
from gateway.omnichannel.route import Route, Target
from gateway.smpp.pdu import Address
from tests import markdown

NOW = 1_767_225_600.125
DAY = 86_400.0
ROUTE = Route(
    "bank", NOW, 7, Address(5, 0, "Bank"), Address(1, 1, "37255500001"), targets=(Target(0, 1),)
)
PARTS = Route(
    "b\xe4nk",
    1_767_225_600.5,
    (1 << 24) - 1,
    Address(0, 0, ""),
    Address(2, 8, "055500001"),
    "WAP",
    v33=True,
    text="Tere",
    common_id="id-1",
    base=bytes(range(16)),
    targets=(Target(1, 0x11, 7), Target(2, 0x11, 7), Target(4, 1), Target(0, 3, 65_535)),
)


def key(kid: str, created: float = 0.0, secret: int = 1) -> Key:
    return Key(kid, created, bytes([secret]) * 64)


RING = KeyRing([Key("k1", 0.0, bytes(range(64)))])
# Sealed by the first release that had them: they stand in URLs at the API.
GOLDEN = [
    (ROUTE, "k1EQAaNe-tMIq1Kup19AOBS4umiXPfd59753EI4k5UIi4KLVW3jo9nb44ASqqgE_Xd5ooGzBHf"),
    (
        PARTS,
        "k1_INLSg-_jM9WOIlwPjy0AfAYo6DwcC84oTupzdMY8Ha-jTqgiuGUoSKBaATjSe3a_WSZc4jSB0uyUuJz7xw3NPvU4"
        "pZkB1BXw-vOWyRezHmXOoZBKTppNBtVApo5",
    ),
]


@pytest.mark.parametrize(("route", "token"), GOLDEN, ids=["single", "parts"])
def test_tokens_that_stay_openable(route: Route, token: str) -> None:
    assert RING.open(token) == route
    assert RING.seal(route, NOW) == token  # and the same route has the same token


def test_a_token_is_one_segment_of_a_path() -> None:
    for serial in range(500):
        token = RING.seal(ROUTE._replace(serial=serial), NOW)
        assert re.fullmatch(r"k1[A-Za-z0-9_-]{72}", token)


def test_a_token_shows_nothing() -> None:
    tokens = {RING.seal(ROUTE._replace(serial=serial), NOW) for serial in range(100)}
    assert len({token[2:8] for token in tokens}) > 90  # nothing is the same at its beginning
    assert len({token[-6:] for token in tokens}) > 90


ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def test_no_character_of_a_token_may_change() -> None:
    token = RING.seal(ROUTE, NOW)  # 54 octets, so that no bit of it is spare
    for place, character in enumerate(token):
        other = ALPHABET[(ALPHABET.index(character) + 1) % 64]
        with pytest.raises(BadToken):
            RING.open(token[:place] + other + token[place + 1 :])


TOKEN = RING.seal(ROUTE, NOW)


@pytest.mark.parametrize(
    ("token", "words"),
    [
        ("", "is not written as a token"),
        ("k1", "is not written as a token"),
        ("k1" + "A" * 22, "is not written as a token"),  # 16 octets: nothing is sealed
        ("k1" + "A" * 24, "was not sealed with the key k1"),
        (TOKEN + "=", "is not written as a token"),
        (TOKEN + "\n", "is not written as a token"),
        (TOKEN.replace("_", "/"), "is not written as a token"),
        (TOKEN[:-1] + "õ", "is not written as a token"),
        (TOKEN[:-1] + "\ud83d", "is not written as a token"),
        (TOKEN + "A", "is not base64url"),
        (TOKEN[:-1], "was not sealed with the key k1"),
        (TOKEN[:-4], "was not sealed with the key k1"),
        ("k2" + TOKEN[2:], "names the key k2, which is not in the key file"),
        ("k1" + "A" * (LONGEST_TOKEN - 2), "was not sealed with the key k1"),
        ("k1" + "A" * (LONGEST_TOKEN - 1), "more than 3072"),
        ("é" * 10_000_000, "more than 3072"),
    ],
    ids=lambda value: value if len(value) < 60 else f"{len(value)} characters",
)
def test_a_bad_token(token: str, words: str) -> None:
    with pytest.raises(BadToken) as bad:
        RING.open(token)
    assert words in bad.value.detail
    assert TOKEN[2:20] not in bad.value.detail


def test_what_a_later_release_sealed_is_a_bad_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.omnichannel.route._VERSION", 2)
    token = RING.seal(ROUTE, NOW)
    monkeypatch.undo()
    with pytest.raises(BadToken, match="holds no route that can be read: version 2"):
        RING.open(token)


def test_a_token_belongs_to_its_key() -> None:
    """The id is authenticated: the same secret under another id opens nothing."""
    ring = KeyRing([key("aa"), key("bb")])
    token = ring.seal(ROUTE, NOW)
    other = {"aa": "bb", "bb": "aa"}[token[:2]]
    with pytest.raises(BadToken, match=f"was not sealed with the key {other}"):
        ring.open(other + token[2:])


@given(st.text(max_size=120) | st.text(ALPHABET, min_size=20, max_size=120).map("k1".__add__))
def test_no_text_opens(token: str) -> None:
    with pytest.raises(BadToken):
        RING.open(token)


# Keys


@pytest.mark.parametrize(
    ("ages", "seals"),
    [
        ({"aa": 0}, "aa"),  # the only one, however new
        ({"aa": -50}, "aa"),  # clocks differ
        ({"aa": 10 * DAY}, "aa"),
        ({"aa": 10 * DAY, "bb": 0}, "aa"),
        ({"aa": 10 * DAY, "bb": 299}, "aa"),
        ({"aa": 10 * DAY, "bb": 300}, "bb"),
        ({"bb": 300, "aa": 10 * DAY}, "bb"),  # whatever the order of the lines
        ({"aa": 10 * DAY, "bb": 9 * DAY, "cc": 60}, "bb"),
        ({"aa": 30, "bb": 20}, "aa"),  # all new: the oldest, which is known longest
        ({"aa": 400, "bb": 400}, "bb"),  # the later line
    ],
)
def test_which_key_seals(ages: dict[str, float], seals: str) -> None:
    ring = KeyRing([key(kid, NOW - age) for kid, age in ages.items()])
    assert ring.sealing(NOW).kid == seals
    assert ring.seal(ROUTE, NOW)[:2] == seals


def test_a_new_key_begins_to_seal_when_its_time_comes() -> None:
    ring = KeyRing([key("aa", 0), key("bb", 1000, 2), key("cc", 1100, 3)])
    found = [ring.seal(ROUTE, now)[:2] for now in (0, 1299.9, 1300, 1399, 1400, 1e9)]
    assert found == ["aa", "aa", "bb", "bb", "cc", "cc"]


def test_every_key_opens() -> None:
    keys = [key("aa", 0, 1), key("bb", 1000, 2), key("cc", 1_000_000, 3)]
    ring = KeyRing(keys)
    for one in keys:
        assert ring.open(KeyRing([one]).seal(ROUTE, NOW)) == ROUTE


def test_a_ring_needs_a_key() -> None:
    with pytest.raises(ValueError, match="needs a key"):
        KeyRing([])


def test_a_key_does_not_show_itself() -> None:
    assert "\\x01" not in repr(KeyRing([key("aa")]).keys)


# Length


def worst(system_id_octets: int, text_characters: int) -> Route:
    address = Address(1, 1, "9" * 20)
    text = "x" * text_characters
    targets = (Target(0, 255, 65_535),)
    return Route(
        "x" * system_id_octets, NOW, 9, address, address, "WAP12", True, text, targets=targets
    )


@pytest.mark.parametrize("system_id_octets", [1, 4, 15, 16, 64])
@pytest.mark.parametrize("text_characters", [0, 1, 2, 20])
def test_the_longest_token(system_id_octets: int, text_characters: int) -> None:
    token = RING.seal(worst(system_id_octets, text_characters), NOW)
    assert len(token) == longest_token(system_id_octets, text_characters)


def test_a_url_of_a_single_message_has_room_in_255_characters() -> None:
    assert longest_token(15, 20) == 161
    assert longest_token(15, 0) == 133
    assert len(RING.seal(ROUTE, NOW)) == 74


def test_no_token_is_too_long_to_open() -> None:
    """The longest of all: a data_sm is no long message, but addresses of 64 do no harm."""
    address = Address(1, 1, "9" * 64)
    targets = tuple(Target(number, 1, number) for number in range(256))
    route = worst(64, 20)._replace(
        source=address, destination=address, common_id="x" * 64, base=bytes(16), targets=targets
    )
    assert RING.open(RING.seal(route, NOW)).targets == targets


def test_the_lengths_that_the_page_names() -> None:
    page = markdown.section(markdown.ROOT / "docs" / "callbacks.md", "## What is sealed")
    sizes, lengths = page.split("| A message |")
    named = [int(number) for row in markdown.rows(lengths) for number in row[-1].split(", ")]
    parts = ROUTE._replace(base=bytes(16), targets=(Target(1, 1), Target(2, 1), Target(0, 1)))
    multi = ROUTE._replace(common_id="5bca2f3e-9a31-4e2b-8d8f-0c7f0c1f8f11")
    found = [len(RING.seal(route, NOW)) for route in (ROUTE, parts, multi)]
    assert named == [*found, longest_token(15, 0), longest_token(15, 20)]
    fixed = [int(number) for row in markdown.rows(sizes) for number in re.findall(r"\d+$", row[-1])]
    texts = len("bank" + "Bank" + "37255500001")
    assert sum(fixed) + texts == 54 == (found[0] - 2) * 3 // 4


# Signature

BODY = b'{"status":"DELIVRD"}'
# openssl dgst -sha256 -hmac s3cret
SIGNATURE = "c6b16b41a02584536e744265d20737d024af05766d53d1084f17d7d8f0961e8b"


def test_a_signature() -> None:
    assert signature(BODY, "s3cret") == SIGNATURE
    assert signature(b"", "õ") == signature(b"", "õ").lower()
    assert signature(BODY, "õ") != signature(BODY, "o")


@pytest.mark.parametrize(
    "header", [SIGNATURE, SIGNATURE.upper(), f" {SIGNATURE}\t"], ids=["as is", "capitals", "spaces"]
)
@pytest.mark.parametrize("passwords", [["s3cret"], ["other", "s3cret"], ["s3cret", "other"]])
def test_a_signed_body(header: str, passwords: list[str]) -> None:
    assert signed(BODY, header, passwords)
    assert not signed(BODY + b" ", header, passwords)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        " ",
        "õ" * 64,
        "\ud83d",
        SIGNATURE[:-1],
        SIGNATURE + "0",
        SIGNATURE[:-1] + "c",
        "0" * 64,
        f"sha256={SIGNATURE}",
    ],
    ids=ascii,
)
def test_an_unsigned_body(header: str | None) -> None:
    assert not signed(BODY, header, ["s3cret", "other"])


@pytest.mark.parametrize("passwords", [[], ["other"], [""]])
def test_a_body_that_another_signed(passwords: list[str]) -> None:
    assert not signed(BODY, SIGNATURE, passwords)


def test_passwords_are_tried_to_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time that it takes does not tell which one it was."""
    tried: list[str] = []
    real: Callable[[bytes, str], str] = signature

    def counted(body: bytes, password: str) -> str:
        tried.append(password)
        return real(body, password)

    monkeypatch.setattr("gateway.omnichannel.callback.signature", counted)
    assert signed(BODY, SIGNATURE, iter(["s3cret", "a", "b"]))
    assert tried == ["s3cret", "a", "b"]
