"""The limit of requests per second."""

from __future__ import annotations

from gateway.sandbox.rate import ADDRESSES, RateLimit


def test_no_second_holds_more_than_the_limit() -> None:
    rate = RateLimit(3)
    times = [0.0, 0.5, 0.75, 0.875, 1.0, 1.25, 1.5, 1.75, 1.875]
    passed = [rate.allows("192.0.2.1", time) for time in times]
    assert passed == [True, True, True, False, True, False, True, True, False]


def test_each_address_has_a_limit_of_its_own() -> None:
    rate = RateLimit(1)
    assert rate.allows("192.0.2.1", 0.0)
    assert rate.allows("192.0.2.2", 0.0)
    assert not rate.allows("192.0.2.1", 0.0)


def test_zero_is_no_limit() -> None:
    rate = RateLimit(0)
    assert all(rate.allows("192.0.2.1", 0.0) for _ in range(1000))


def test_idle_addresses_are_forgotten() -> None:
    rate = RateLimit(1)
    for number in range(ADDRESSES):
        rate.allows(f"client {number}", 0.0)
    rate.allows("one more", 5.0)
    assert len(rate._passed) == 1
