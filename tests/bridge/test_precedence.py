"""What must go before a receipt."""

from __future__ import annotations

from gateway.bridge.precedence import Precedence
from tests.bridge.pending import pending

A, B, C = pending(1), pending(2, key=pending(1).key), pending(3)


def test_nothing_waits_without_a_reason() -> None:
    assert not Precedence().park(A)


def test_what_is_held_comes_back_in_order_once_it_is_released() -> None:
    precedence = Precedence()
    precedence.hold(A.key)
    assert precedence.park(A)
    assert precedence.park(B)
    assert precedence.release(A.key) == [A, B]
    assert not precedence.park(A)


def test_one_message_does_not_hold_another() -> None:
    precedence = Precedence()
    precedence.hold(A.key)
    assert not precedence.park(C)


def test_every_reason_counts() -> None:
    precedence = Precedence()
    precedence.hold(A.key)
    precedence.hold(A.key)
    assert precedence.park(A)
    assert precedence.release(A.key) == []
    assert precedence.park(B)
    assert precedence.release(A.key) == [A, B]


def test_a_release_without_a_hold_lets_nothing_go() -> None:
    assert Precedence().release(A.key) == []
