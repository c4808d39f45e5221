"""Which messages an account has sent: nothing of its own may be forgotten, few strangers known."""

from __future__ import annotations

import gc
import random
import struct
import tracemalloc
from functools import cache
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.bridge.sent_ids import SentIds


@cache
def ids(count: int, seed: int = 1) -> list[str]:
    """Ids as the API makes them, the same ones every time."""
    source = random.Random(seed)
    return [str(UUID(int=source.getrandbits(128), version=4)) for _ in range(count)]


def filled(capacity: int, messages: list[str]) -> SentIds:
    sent = SentIds(capacity)
    for message_id in messages:
        sent.add(message_id)
    return sent


def known(sent: SentIds, messages: list[str]) -> int:
    return sum(message_id in sent for message_id in messages)


def test_nothing_is_known_at_first() -> None:
    sent = SentIds(1_000)
    assert known(sent, [*ids(1_000), ""]) == 0
    assert not sent.changed


def test_what_was_added_is_known() -> None:
    messages = ids(1_000)
    sent = filled(1_000, messages)
    assert known(sent, messages) == 1_000
    assert sent.changed


def test_an_id_need_not_be_a_uuid() -> None:
    sent = filled(10, ["", "id-1", "tõene", "x" * 64])
    assert known(sent, ["", "id-1", "tõene", "x" * 64]) == 4
    assert "id-2" not in sent


def test_an_id_is_known_in_its_own_spelling_only() -> None:
    [message_id] = ids(1)
    sent = filled(1_000, [message_id])
    assert message_id.upper() not in sent
    assert message_id.replace("-", "") not in sent


CAPACITY = 5_000


@pytest.mark.parametrize("count", [1, CAPACITY, CAPACITY + 1, 2 * CAPACITY, 7 * CAPACITY + 11])
def test_at_most_one_stranger_in_a_thousand_is_taken_for_known(count: int) -> None:
    """The worst case is 2 * CAPACITY: both filters are full."""
    sent = filled(CAPACITY, ids(count))
    assert known(sent, ids(100_000, seed=2)) < 100


@pytest.mark.parametrize("capacity", [1, 2, 7, 100])
def test_the_newest_ids_are_always_known(capacity: int) -> None:
    sent = SentIds(capacity)
    messages = ids(5 * capacity + 3)
    for count, message_id in enumerate(messages, 1):
        sent.add(message_id)
        newest = messages[max(0, count - capacity) : count]
        assert known(sent, newest) == len(newest)


def test_the_oldest_ids_are_forgotten() -> None:
    messages = ids(10_000)
    sent = filled(1_000, messages)
    assert known(sent, messages[-1_000:]) == 1_000
    assert known(sent, messages[:-2_000]) < 20
    # Twice the capacity is remembered at most.
    assert known(sent, messages) < 2_000 + 20


# Memory


def allocated(work: list[SentIds], capacity: int, messages: list[str]) -> int:
    """How many octets a filter of these messages holds; it is left in `work`."""
    gc.collect()
    tracemalloc.start()
    try:
        work.append(filled(capacity, messages))
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


def test_an_account_that_sends_nothing_costs_nothing() -> None:
    assert allocated([], 10_000_000, []) < 2_000


@pytest.mark.parametrize(("count", "filters"), [(1, 1), (1_000, 1), (1_001, 2), (5_500, 2)])
def test_an_id_costs_thirty_two_bits_in_each_of_two_filters(count: int, filters: int) -> None:
    octets = allocated([], 1_000, ids(count))
    assert filters * 4_000 <= octets < filters * 4_000 + 3_000


def test_a_dump_of_few_ids_is_small() -> None:
    capacity = 100_000  # 400 kB
    assert len(SentIds(capacity).dump()) < 50
    assert len(filled(capacity, ids(10)).dump()) < 4_000
    # Full filters do not shrink, nor grow much.
    assert len(filled(1_000, ids(2_000)).dump()) < 2 * 4_000 * 1.01 + 50


# Over a restart


def restored(dumped: bytes, capacity: int) -> SentIds:
    sent = SentIds(capacity)
    sent.load(dumped)
    return sent


@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 199, 200, 201, 350])
def test_a_restart_forgets_nothing(count: int) -> None:
    messages, strangers = ids(count), ids(2_000, seed=2)
    before = filled(100, messages)
    after = restored(before.dump(), 100)
    assert [one in after for one in messages] == [one in before for one in messages]
    assert [one in after for one in strangers] == [one in before for one in strangers]
    assert after.dump() == before.dump()
    assert not after.changed


@settings(max_examples=60, deadline=None)
@given(
    capacity=st.integers(1, 20),
    steps=st.lists(st.integers(0, 30), min_size=1, max_size=8),
)
def test_restarts_at_any_time_change_nothing(capacity: int, steps: list[int]) -> None:
    """Not even when the older filter is dropped."""
    messages = ids(sum(steps))
    never, often = SentIds(capacity), SentIds(capacity)
    added = 0
    for step in steps:
        for message_id in messages[added : added + step]:
            never.add(message_id)
            often.add(message_id)
        added += step
        often = restored(often.dump(), capacity)
        newest = messages[max(0, added - capacity) : added]
        assert known(often, newest) == len(newest)
        assert often.dump() == never.dump()


def test_changed_is_since_the_last_dump() -> None:
    sent = SentIds(10)
    sent.add("a")
    assert sent.changed
    sent.dump()
    assert not sent.changed
    sent.add("b")
    assert sent.changed


def test_a_dump_changes_nothing() -> None:
    sent = filled(10, ids(15))
    assert sent.dump() == sent.dump()
    assert known(sent, ids(15)[-10:]) == 10


DUMPED = filled(100, ids(150)).dump()
DAMAGED = {
    "empty": b"",
    "one octet": DUMPED[:1],
    "no head": DUMPED[8:],
    "the head alone": DUMPED[:8],
    "cut": DUMPED[: len(DUMPED) // 2],
    "the last octet cut": DUMPED[:-1],
    "text": b"nonsense, and more of it",
    "zeros": bytes(1_000),
    "not compressed": DUMPED[:8] + bytes(400),
    "another size": struct.pack(">II", 100, 50) + filled(101, ids(150)).dump()[8:],
}


@pytest.mark.parametrize("damaged", DAMAGED.values(), ids=DAMAGED)
def test_what_cannot_be_read_is_forgotten(damaged: bytes) -> None:
    sent = restored(damaged, 100)
    assert known(sent, ids(150)) == 0
    assert not sent.changed
    # It works on from there.
    sent.add("a")
    assert "a" in sent


def test_what_cannot_be_read_takes_nothing_away() -> None:
    messages = ids(150)
    for damaged in DAMAGED.values():
        sent = filled(100, messages)
        sent.load(damaged)
        assert known(sent, messages) == 150


@pytest.mark.parametrize("place", range(8, len(DUMPED), 7))
def test_a_bit_that_flipped_makes_no_other_memory(place: int) -> None:
    damaged = bytearray(DUMPED)
    damaged[place] ^= 0x10
    assert restored(bytes(damaged), 100).dump() in {SentIds(100).dump(), DUMPED}


@pytest.mark.parametrize("capacity", [1, 50, 99, 101, 200, 10_000])
def test_the_memory_of_another_capacity_is_forgotten(capacity: int) -> None:
    assert known(restored(DUMPED, capacity), ids(150)) == 0


@given(st.binary(max_size=64) | st.binary(max_size=64).map(lambda tail: DUMPED[:8] + tail))
def test_no_octets_make_loading_fail(dumped: bytes) -> None:
    sent = restored(dumped, 100)
    sent.add("a")
    assert "a" in sent
