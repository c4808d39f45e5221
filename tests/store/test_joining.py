"""Names of keys and sets; how parts join is held by the contract and the model."""

from __future__ import annotations

import uuid
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.store.base import SetKey
from gateway.store.joining import digest_of, join, new_bases
from tests.store.parts import part

_texts = st.text("a1:\0é", max_size=4)
_keys = st.builds(
    SetKey,
    _texts,
    _texts,
    _texts,
    st.sampled_from(["udh8", "udh16", "sar"]),
    st.integers(0, 65_535),
    st.integers(1, 255),
)


@given(_keys, _keys)
def test_different_keys_have_different_digests(one: SetKey, other: SetKey) -> None:
    assert (digest_of(one) == digest_of(other)) == (one == other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (SetKey("a", "bc", "d", "sar", 1, 2), SetKey("ab", "c", "d", "sar", 1, 2)),
        (SetKey("a", "1:b", "", "sar", 1, 2), SetKey("a", "", "1:b", "sar", 1, 2)),
        (SetKey("a", "b", "c", "sar", 1, 12), SetKey("a", "b", "c", "sar", 11, 2)),
        (SetKey("", "a0:", "", "sar", 1, 2), SetKey("", "", "a0:", "sar", 1, 2)),
    ],
)
def test_fields_do_not_run_together(one: SetKey, other: SetKey) -> None:
    assert digest_of(one) != digest_of(other)


def test_a_digest_stays_the_same_for_ever() -> None:
    """It is in every store there is."""
    digest = digest_of(SetKey("bank", "Bank", "37255555555", "udh8", 7, 2))
    assert digest.hex() == "403371733adbdd5e1746b32305d4673a"


def test_bases_are_random_uuids_of_version_8() -> None:
    bases = list(new_bases(200))
    assert len(set(bases)) == 200
    for base in bases:
        name = uuid.UUID(bytes=base)
        assert (name.version, name.variant) == (8, uuid.RFC_4122)
        assert base[-1] == 0
    for octet in (*range(6), 7, *range(9, 15)):
        assert len({base[octet] for base in bases}) > 50
    assert {base[6] & 0x0F for base in bases} == set(range(16))


def test_a_set_that_gains_nothing_is_not_written() -> None:
    one = part(1, b"1")
    joined = join([one], [digest_of(one.key)], {}, count(1), room=0)
    assert joined.touched == []
    assert joined.gained == 0
