"""Routes as octets: small, whole again, and nothing else is one."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.omnichannel.route import BadRoute, Route, Target, pack, unpack
from gateway.smpp.pdu import Address

SINGLE = Route(
    "bank",
    1_767_225_600.125,
    7,
    Address(5, 0, "Bank"),
    Address(1, 1, "37255500001"),
    targets=(Target(0, 1),),
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
# Packed by the first release that had them. They must be read for as long as there is version 1.
GOLDEN = [
    (SINGLE, "0100019b76daa87d0000070462616e6b05000442616e6b01010b333732353535303030303101"),
    (
        SINGLE._replace(targets=(Target(0, 1, 513),)),
        "0120019b76daa87d0000070462616e6b05000442616e6b01010b3337323535353030303031010201",
    ),
    (
        PARTS,
        "015f019b76daa9f4ffffff0462e46e6b00000002080930353535303030303103574150045465726504"
        "69642d31000102030405060708090a0b0c0d0e0f0102110100070401010000010301ffff",
    ),
]


@pytest.mark.parametrize(("route", "octets"), GOLDEN, ids=["single", "reference", "parts"])
def test_octets_that_stay_readable(route: Route, octets: str) -> None:
    assert unpack(bytes.fromhex(octets)) == route
    assert pack(route).hex() == octets


def test_what_is_absent_takes_no_octet() -> None:
    least = len(pack(SINGLE))
    assert least == 38
    for field, octets in [
        ({"v33": True}, 0),
        ({"service_type": "WAP"}, 4),
        ({"text": "Tere"}, 5),
        ({"common_id": "x" * 36}, 37),
        ({"base": bytes(16)}, 16),
        ({"targets": (Target(0, 1, 0),)}, 2),
    ]:
        assert len(pack(SINGLE._replace(**field))) == least + octets, field  # type: ignore[arg-type]


def test_parts_that_ask_for_the_same_are_one_run() -> None:
    def octets(*targets: Target) -> int:
        return len(pack(SINGLE._replace(targets=targets)))

    assert octets() == 37
    assert octets(*(Target(number, 1) for number in range(1, 255))) == 41
    assert octets(*(Target(number, 1, 9) for number in range(256))) == 37 + 6 + 6  # 255 in a run
    assert octets(Target(1, 1), Target(2, 1), Target(0, 1)) == 45
    assert octets(Target(1, 1), Target(2, 3), Target(3, 3, 0)) == 37 + 4 + 4 + 6


latin = st.text(st.characters(max_codepoint=255), max_size=255)
octet = st.integers(0, 255)
addresses = st.builds(Address, octet, octet, latin)
targets_ = st.lists(
    st.builds(
        Target,
        octet | st.integers(0, 3),
        octet | st.integers(0, 1),
        st.none() | st.integers(0, 65_535) | st.integers(0, 1),
    ),
    max_size=12,
)
routes = st.builds(
    Route,
    latin,
    st.integers(0, (1 << 38) * 1000 - 1).map(lambda milliseconds: milliseconds / 1000),
    st.integers(0, (1 << 24) - 1),
    addresses,
    addresses,
    latin,
    st.booleans(),
    latin,
    latin,
    st.just(b"") | st.binary(min_size=16, max_size=16),
    targets_.map(tuple),
)


@given(routes)
@example(SINGLE._replace(source=Address(255, 255, "\0\xff" * 127), system_id=""))
@example(SINGLE._replace(targets=tuple(Target(number, 1) for number in range(256))))
def test_every_route_survives(route: Route) -> None:
    assert unpack(pack(route)) == route


@given(st.floats(0, 4e9))
def test_milliseconds_survive(moment: float) -> None:
    assert abs(unpack(pack(SINGLE._replace(submitted_at=moment))).submitted_at - moment) < 0.00051


@pytest.mark.parametrize(
    "field",
    [
        {"system_id": "õ" * 2 + "€"},
        {"system_id": "x" * 256},
        {"source": Address(256, 0, "")},
        {"source": Address(0, -1, "")},
        {"destination": Address(0, 0, "1" * 256)},
        {"service_type": "€"},
        {"text": "x" * 256},
        {"common_id": "x" * 256},
        {"base": bytes(15)},
        {"serial": 1 << 24},
        {"serial": -1},
        {"submitted_at": -0.5},
        {"submitted_at": float("inf")},
        {"submitted_at": float("nan")},
        {"submitted_at": float(1 << 38)},
        {"targets": (Target(0, 256),)},
        {"targets": (Target(0, 1, 65_536),)},
        {"targets": (Target(0, 1, -1),)},
        {"targets": (Target(256, 1),)},
        {"targets": (Target(-1, 1),)},
    ],
    ids=repr,
)
def test_what_does_not_fit_is_not_packed(field: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"."):
        pack(SINGLE._replace(**field))  # type: ignore[arg-type]


@pytest.mark.parametrize("route", [SINGLE, PARTS], ids=["single", "parts"])
def test_no_octet_may_be_missing_or_too_many(route: Route) -> None:
    octets = pack(route)
    # A set without its last run is a set as well: 6 octets, before them 4, before them 6.
    whole = {len(octets) - cut for cut in (6, 10, 16)} if route is PARTS else set()
    for length in set(range(len(octets))) - whole:
        with pytest.raises(BadRoute):
            unpack(octets[:length])
    with pytest.raises(BadRoute):
        unpack(octets + b"\0")


@pytest.mark.parametrize(
    ("place", "octet"),
    [(0, 0), (0, 2), (1, 0x80), (1, 0x81)],
    ids=["version 0", "version 2", "a new flag", "a new flag too"],
)
def test_what_a_later_release_packs_is_not_guessed_at(place: int, octet: int) -> None:
    octets = bytearray(pack(SINGLE))
    octets[place] = octet
    with pytest.raises(BadRoute, match="is not known here"):
        unpack(bytes(octets))


@pytest.mark.parametrize("run", ["01000100", "02ff0100", "010101020000", "0101010100", "0101"])
def test_a_run_that_cannot_be(run: str) -> None:
    octets = pack(SINGLE._replace(targets=()))
    assert unpack(octets + bytes.fromhex("01ff0100")).targets[-1] == Target(255, 1)
    with pytest.raises(BadRoute):
        unpack(octets + bytes.fromhex(run))


@given(
    st.binary(max_size=80)
    | st.tuples(st.sampled_from([b"\1" + bytes([flags]) for flags in range(128)]), st.binary()).map(
        b"".join
    )
    | st.tuples(routes.map(pack), st.integers(0, 60), st.binary(max_size=9)).map(
        lambda found: found[0][: found[1]] + found[2] + found[0][found[1] + len(found[2]) :]
    )
)
def test_any_octets_are_a_route_or_a_bad_one(octets: bytes) -> None:
    try:
        route = unpack(octets)
    except BadRoute:
        return
    assert unpack(pack(route)) == route
