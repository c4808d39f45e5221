"""What is read of a client: when, how far ahead, and how much of it in one turn."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from gateway.net.connection_limits import TURN
from gateway.net.reading import Reading

BOUND = 3 * TURN


class Client:
    """Takes what it is given; `holds_at` are the octets after which it takes no more."""

    def __init__(self, clock: Clock, *holds_at: int) -> None:
        self.transport = StringTransport()
        self.max_read_ahead = BOUND
        self.full = 0
        self.taken = b""
        self.turns: list[tuple[int, float]] = []  # octets, and when they were read
        self.reading = Reading(self, clock)
        self._holds_at = list(holds_at)

    def take(self, octets: bytes, now: float, read_at: float) -> None:
        self.taken += octets
        self.turns.append((len(octets), read_at))
        if self._holds_at and len(self.taken) >= self._holds_at[0]:
            self._holds_at.pop(0)
            self.reading.hold()

    def read_ahead_full(self) -> None:
        self.full += 1

    @property
    def reads(self) -> bool:
        return bool(self.transport.producerState == "producing")


@pytest.fixture
def clock() -> Clock:
    clock = Clock()
    clock.advance(1_000)
    return clock


def octets(count: int) -> bytes:
    return bytes(index * 7 % 251 for index in range(count))


def test_what_is_read_is_given_at_once(clock: Clock) -> None:
    client = Client(clock)
    client.reading.received(octets(TURN))
    assert client.turns == [(TURN, 1_000)]
    assert clock.getDelayedCalls() == []
    assert client.reads


def test_much_is_given_in_several_turns_and_nothing_is_read_meanwhile(clock: Clock) -> None:
    client = Client(clock)
    data = octets(2 * TURN + 5)
    client.reading.received(data)
    assert client.taken == data[:TURN]
    assert not client.reads
    assert [call.getTime() for call in clock.getDelayedCalls()] == [1_000]
    client.reading.received(b"more of a TLS client")  # which had been deciphered before
    assert client.taken == data[:TURN]
    clock.advance(0)
    assert client.taken == data + b"more of a TLS client"
    assert max(count for count, _ in client.turns) == TURN
    assert client.reads
    assert client.full == 0
    assert clock.getDelayedCalls() == []


def test_reading_goes_on_up_to_the_bound_while_the_session_takes_nothing(clock: Clock) -> None:
    client = Client(clock, 1)
    client.reading.received(b"x")
    assert client.reading.held
    for _ in range(BOUND):
        client.reading.received(b"y")
    assert client.reads
    assert client.full == 0
    client.reading.received(b"z")
    assert not client.reads
    assert client.full == 1
    client.reading.received(b"z")
    assert client.full == 1, "once each time"
    assert client.reading.ahead == BOUND + 2
    client.reading.go_on()
    assert len(client.taken) == 1 + TURN
    assert not client.reads, "there is more than a turn's worth"
    clock.advance(0)
    assert client.taken == b"x" + b"y" * BOUND + b"zz"
    assert client.reads


def test_the_bound_counts_again_when_it_was_left_and_is_reached_again(clock: Clock) -> None:
    client = Client(clock, 1, 2 + BOUND)
    client.reading.received(b"x")
    client.reading.received(octets(BOUND + 1))
    client.reading.go_on()
    clock.advance(0)
    assert client.reading.held
    assert client.reads
    client.reading.received(octets(BOUND + 1))
    assert client.full == 2


def test_a_larger_bound_takes_effect_when_it_is_asked_for(clock: Clock) -> None:
    client = Client(clock, 1)
    client.reading.received(b"x")
    client.reading.received(octets(BOUND + 1))
    assert not client.reads
    client.max_read_ahead = 2 * BOUND
    client.reading.regulate()
    assert client.reads


def test_a_session_that_holds_in_the_middle_gets_the_rest_later(clock: Clock) -> None:
    client = Client(clock, TURN)
    data = octets(TURN + 100)
    client.reading.received(data)
    assert client.reads, "100 octets are within the bound"
    clock.advance(5)
    client.reading.received(b"later")
    assert client.taken == data[:TURN]
    client.reading.go_on()
    assert client.taken == data + b"later"
    assert client.turns[-1] == (105, 1_000), "when the first of it was read"


def test_who_does_not_read_its_answers_is_not_read(clock: Clock) -> None:
    client = Client(clock, 1)
    client.reading.pause("transport")
    client.reading.received(b"x")
    client.reading.go_on()
    assert not client.reads
    client.reading.resume("transport")
    assert client.reads
    client.reading.resume("transport")
    assert client.reads


def test_after_the_end_nothing_is_given_any_more(clock: Clock) -> None:
    client = Client(clock)
    client.reading.received(octets(3 * TURN))
    client.reading.end()
    clock.advance(1)
    assert len(client.taken) == TURN
    assert clock.getDelayedCalls() == []


@given(
    st.lists(
        st.one_of(st.integers(1, 4 * TURN), st.sampled_from(["go on", "turn", "full", "empty"])),
        max_size=25,
    ),
    st.lists(st.integers(1, 20 * TURN), max_size=4).map(sorted),
)
def test_every_octet_is_given_once_and_in_order(steps: list[Any], holds_at: list[int]) -> None:
    clock = Clock()
    client = Client(clock, *holds_at)
    sent = b""
    for step in steps:
        if step == "go on":
            client.reading.go_on()
        elif step == "turn":
            clock.advance(0)
        elif step == "full":
            client.reading.pause("transport")
        elif step == "empty":
            client.reading.resume("transport")
        elif client.reads:
            data = octets(len(sent) + step)[len(sent) :]
            sent += data
            client.reading.received(data)
        assert sent == client.taken + bytes(client.reading._ahead)
        assert client.reading.ahead <= BOUND + 4 * TURN
    client.reading.resume("transport")
    while client.reading.ahead:
        client.reading.go_on()
        clock.advance(0)
    client.reading.go_on()
    assert client.taken == sent
    assert client.reads
    assert max((count for count, _ in client.turns), default=0) <= TURN
