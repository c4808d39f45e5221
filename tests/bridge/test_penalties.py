"""What failed binds cost an address, second by second."""

from __future__ import annotations

import pytest

from gateway.bridge import penalties as module
from gateway.bridge.penalties import BindPenalties, Penalty

HERE, ELSEWHERE = "192.0.2.7", "203.0.113.9"


def patient(**settings: float) -> BindPenalties:
    """Slows down and never locks out, unless the settings say so."""
    found = BindPenalties(0)
    for name, value in settings.items():
        setattr(found, name, value)
    return found


def guess(penalties: BindPenalties, peer: str = ELSEWHERE, now: float = 0.0) -> Penalty:
    return penalties.failed(peer, now, wrong_credentials=True)


# Slow down


def test_the_first_failure_is_answered_at_once_and_each_further_one_later() -> None:
    penalties = patient()
    waits = [guess(penalties, now=100.0 + count).pause for count in range(9)]
    assert waits == [0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 5.0, 5.0, 5.0]


def test_a_wait_stays_bounded_for_ever() -> None:
    penalties = patient()
    waits = [guess(penalties).pause for _ in range(5_000)]
    assert max(waits) == waits[-1] == 5.0


def test_each_address_has_its_own() -> None:
    penalties = patient()
    for _ in range(5):
        guess(penalties)
    assert guess(penalties, HERE).pause == 0.0


def test_addresses_of_one_ipv6_site_are_one() -> None:
    penalties = patient(lockout_failures=3)
    for last in "123":
        guess(penalties, f"2001:db8:1:2::{last}")
    assert penalties.locked_out("2001:db8:1:2:ffff::9", 0.0)
    assert not penalties.locked_out("2001:db8:1:3::1", 0.0)
    for peer in ("192.0.2.1", "::ffff:192.0.2.1", "192.0.2.1"):
        guess(penalties, peer)
    assert penalties.locked_out("::ffff:192.0.2.1", 0.0)


def test_a_bind_that_succeeds_forgives() -> None:
    penalties = patient()
    for _ in range(5):
        guess(penalties)
    penalties.passed(ELSEWHERE)
    penalties.passed("never seen")
    assert guess(penalties).pause == 0.0


def test_time_forgives() -> None:
    penalties = patient()
    for _ in range(5):
        guess(penalties)
    assert guess(penalties, now=59.0).pause == 4.0
    assert guess(penalties, now=118.0).pause == 5.0
    assert guess(penalties, now=179.0).pause == 0.0


def test_addresses_without_end_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ADDRESSES", 100)
    penalties = patient()
    guess(penalties, "first")
    for count in range(99):
        guess(penalties, f"10.0.0.{count}")
    assert guess(penalties, "first").pause == 0.25  # still known, and now the newest
    for count in range(99):
        guess(penalties, f"10.0.1.{count}")
    assert guess(penalties, "first").pause == 0.5
    for count in range(100):
        guess(penalties, f"10.0.2.{count}")
    assert guess(penalties, "first").pause == 0.0  # pushed out by a hundred others
    assert guess(penalties, "10.0.0.0").pause == 0.0
    assert len(penalties._failures) == 100


# Lock out


def test_wrong_credentials_lock_out_for_a_time() -> None:
    penalties = BindPenalties(4, 30.0)
    assert [guess(penalties, now=1.0).locked_out for _ in range(3)] == [0, 0, 0]
    assert penalties.locked_out(ELSEWHERE, 1.0) == 0.0
    assert guess(penalties, now=2.0) == (0.5 * 2, 4)
    assert penalties.locked_out(ELSEWHERE, 2.0) == 30.0
    assert penalties.locked_out(ELSEWHERE, 31.5) == 0.5
    assert penalties.locked_out(HERE, 2.0) == 0.0
    assert penalties.locked_out(ELSEWHERE, 32.0) == 0.0
    # It begins anew, and may end there again.
    assert [guess(penalties, now=32.0) for _ in range(2)] == [(0.0, 0), (0.25, 0)]
    guess(penalties, now=33.0)
    assert guess(penalties, now=34.0).locked_out == 4
    assert penalties.locked_out(ELSEWHERE, 63.0) == 1.0


def test_checks_that_had_begun_do_not_lock_out_twice_or_longer() -> None:
    penalties = BindPenalties(2, 30.0)
    assert [guess(penalties, now=float(now)).locked_out for now in range(6)] == [0, 2, 0, 0, 0, 0]
    assert penalties.locked_out(ELSEWHERE, 30.9) > 0
    assert guess(penalties, now=31.0) == (0.0, 0)
    assert penalties.locked_out(ELSEWHERE, 31.0) == 0.0


def test_only_wrong_credentials_lock_out() -> None:
    penalties = BindPenalties(3, 60.0)
    for _ in range(50):
        penalty = penalties.failed(HERE, 0.0, wrong_credentials=False)
    assert penalty == (5.0, 0)
    guess(penalties, HERE)
    guess(penalties, HERE)
    penalties.failed(HERE, 0.0, wrong_credentials=False)
    assert guess(penalties, HERE) == (5.0, 3)


def test_a_success_or_a_quiet_minute_in_between_locks_nobody_out() -> None:
    penalties = BindPenalties(3, 60.0)
    for _ in range(10):
        guess(penalties)
        guess(penalties)
        penalties.passed(ELSEWHERE)
    for now in range(0, 1_000, 61):
        guess(penalties, now=now)
    assert penalties.addresses_locked_out(0.0) == 0


def test_a_success_ends_a_lock_out() -> None:
    """Its check had begun before: nothing else can succeed."""
    penalties = BindPenalties(1, 60.0)
    assert guess(penalties).locked_out == 1
    penalties.passed(ELSEWHERE)
    assert penalties.locked_out(ELSEWHERE, 0.0) == 0.0


def test_zero_never_locks_out() -> None:
    penalties = BindPenalties(0, 60.0)
    assert {guess(penalties).locked_out for _ in range(100)} == {0}
    assert penalties.addresses_locked_out(0.0) == 0


def test_the_settings_may_be_replaced_at_any_time() -> None:
    penalties = BindPenalties(1, 60.0)
    guess(penalties)
    penalties.lockout_time = 10.0
    assert penalties.locked_out(ELSEWHERE, 4.0) == 6.0
    penalties.lockout_failures = 0
    assert penalties.locked_out(ELSEWHERE, 4.0) == 0.0
    penalties.lockout_failures = 5
    for _ in range(4):
        assert guess(penalties, HERE).locked_out == 0
    penalties.lockout_failures = 2
    assert guess(penalties, HERE).locked_out == 5


def test_how_many_are_locked_out() -> None:
    penalties = BindPenalties(1, 10.0)
    for second in range(3):
        guess(penalties, f"192.0.2.{second}", float(second))
    assert [penalties.addresses_locked_out(now) for now in (2.0, 10.5, 11.5, 12.5)] == [3, 2, 1, 0]
    assert not penalties._locked_out


def test_failures_of_others_let_nobody_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ADDRESSES", 100)
    penalties = BindPenalties(2, 60.0)
    guess(penalties)
    guess(penalties)
    for count in range(1_000):
        guess(penalties, f"10.0.{count // 250}.{count % 250}")
    assert penalties.locked_out(ELSEWHERE, 0.0) == 60.0
    assert len(penalties._failures) == 100
    # Those that are locked out are bounded too: who was so for the longest is let go first.
    for count in range(100):
        guess(penalties, f"10.1.0.{count}")
        guess(penalties, f"10.1.0.{count}")
    assert len(penalties._locked_out) == 100
    assert penalties.locked_out(ELSEWHERE, 0.0) == 0.0
    assert penalties.locked_out("10.1.0.0", 0.0) == 60.0
    # Who is locked out again is the newest.
    for _ in range(2):
        guess(penalties, "10.1.0.0", 70.0)
    guess(penalties, HERE, 70.0)
    guess(penalties, HERE, 70.0)
    assert penalties.locked_out("10.1.0.0", 71.0) == 59.0
