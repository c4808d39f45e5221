"""Passwords against real argon2id hashes, on real threads, in a real event loop."""

from __future__ import annotations

import os
import sys
import threading
import time as clock
from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue
from typing import Any

import pytest
from argon2 import PasswordHasher, extract_parameters
from argon2.exceptions import VerifyMismatchError
from twisted.internet.defer import CancelledError, Deferred, gatherResults

from gateway.bridge import passwords
from gateway.bridge.passwords import Busy, PasswordCheck

InReactor = Callable[..., Any]
HASH = passwords.HASHER.hash("secret8")
OTHER_HASH = passwords.HASHER.hash("changed")


class Counting:
    """The real hasher, and who it worked for."""

    def __init__(self, real: PasswordHasher) -> None:
        self.real = real
        self.hashes: list[str] = []
        self.threads: set[str] = set()

    def verify(self, password_hash: str, password: bytes) -> bool:
        self.hashes.append(password_hash)
        self.threads.add(threading.current_thread().name)
        return self.real.verify(password_hash, password)

    def hash(self, password: str) -> str:
        return self.real.hash(password)


class Time:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def hasher(monkeypatch: pytest.MonkeyPatch) -> Counting:
    counting = Counting(passwords.HASHER)
    monkeypatch.setattr(passwords, "HASHER", counting)
    return counting


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def make(
    in_reactor: InReactor, running_reactor: Any, time: Time, hasher: Counting
) -> Iterator[Callable[[float], PasswordCheck]]:
    made: list[PasswordCheck] = []

    def start(remember: float) -> PasswordCheck:
        check = PasswordCheck(running_reactor, time, remember, threads=2)
        made.append(check)
        in_reactor(check.start)
        return check

    yield start
    for check in made:
        in_reactor(check.stop)


@pytest.fixture
def check(make: Callable[[float], PasswordCheck]) -> PasswordCheck:
    return make(300)


def test_right_and_wrong(check: PasswordCheck, in_reactor: InReactor) -> None:
    assert in_reactor(check.check, HASH, b"secret8") is True
    for wrong in (b"", b"secret", b"secret88", b"SECRET8", b"secret8\0", b"\xff", HASH.encode()):
        assert in_reactor(check.check, HASH, wrong) is False


def test_a_password_of_any_octets(check: PasswordCheck, in_reactor: InReactor) -> None:
    octets = bytes(range(1, 256))
    assert in_reactor(check.check, passwords.HASHER.hash(octets), octets) is True


@pytest.mark.parametrize(
    "broken",
    ["", "secret8", "$2b$12$abcdefghijklmnopqrstuv", HASH[:-4], HASH + "AAAA", "$argon2id$v=19$"],
)
def test_a_broken_hash_passes_nobody(
    check: PasswordCheck, in_reactor: InReactor, broken: str
) -> None:
    assert in_reactor(check.check, broken, b"secret8") is False
    assert in_reactor(check.check, broken, broken.encode()) is False


def test_hashing_never_holds_up_the_event_loop(
    check: PasswordCheck, in_reactor: InReactor, hasher: Counting
) -> None:
    def a_storm() -> Any:
        return gatherResults([check.check(HASH, b"%d" % number) for number in range(6)])

    assert in_reactor(a_storm) == [False] * 6
    loop = in_reactor(lambda: threading.current_thread().name)
    assert loop not in hasher.threads
    assert 1 <= len(hasher.threads) <= 2


def test_what_passed_is_not_hashed_again(
    check: PasswordCheck, in_reactor: InReactor, hasher: Counting
) -> None:
    for _ in range(5):
        assert in_reactor(check.check, HASH, b"secret8") is True
    assert hasher.hashes == [HASH]


def test_what_failed_is_hashed_each_time(
    check: PasswordCheck, in_reactor: InReactor, hasher: Counting
) -> None:
    for _ in range(3):
        assert in_reactor(check.check, HASH, b"wrong") is False
    assert hasher.hashes == [HASH] * 3


def test_the_memory_is_of_this_hash_and_this_password(
    check: PasswordCheck, in_reactor: InReactor, hasher: Counting
) -> None:
    assert in_reactor(check.check, HASH, b"secret8") is True
    # The operator has changed the password: the old one is worth nothing from then on.
    assert in_reactor(check.check, OTHER_HASH, b"secret8") is False
    assert in_reactor(check.check, OTHER_HASH, b"changed") is True
    assert in_reactor(check.check, HASH, b"changed") is False
    assert len(hasher.hashes) == 4


def test_the_memory_fades(
    check: PasswordCheck, in_reactor: InReactor, time: Time, hasher: Counting
) -> None:
    in_reactor(check.check, HASH, b"secret8")
    time.now += 299.9
    in_reactor(check.check, HASH, b"secret8")
    assert len(hasher.hashes) == 1
    time.now += 0.2
    assert in_reactor(check.check, HASH, b"secret8") is True
    assert len(hasher.hashes) == 2


def test_the_memory_can_be_switched_off(
    make: Callable[[float], PasswordCheck], in_reactor: InReactor, hasher: Counting
) -> None:
    check = make(0)
    for _ in range(2):
        assert in_reactor(check.check, HASH, b"secret8") is True
    assert len(hasher.hashes) == 2


def test_the_memory_is_bounded(
    check: PasswordCheck,
    in_reactor: InReactor,
    hasher: Counting,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(passwords, "_REMEMBERED", 2)
    hashes = {word: hasher.hash(word) for word in ("one", "two", "three")}
    for word, password_hash in hashes.items():
        assert in_reactor(check.check, password_hash, word.encode()) is True
    for word in ("three", "two", "one"):
        assert in_reactor(check.check, hashes[word], word.encode()) is True
    assert hasher.hashes[3:] == [hashes["one"]]  # the oldest was forgotten, nothing else


def test_the_memory_holds_no_password(check: PasswordCheck, in_reactor: InReactor) -> None:
    in_reactor(check.check, HASH, b"secret8")
    assert "secret8" not in repr(vars(check))
    assert "secret8" not in str(check)


HEAVY_HASH = PasswordHasher(time_cost=3, memory_cost=1024, parallelism=2, hash_len=16).hash("x")


@pytest.mark.parametrize(
    "like", [HASH, HEAVY_HASH, passwords.USUAL_COST], ids=["ours", "heavier", "usual"]
)
def test_a_stand_in_costs_the_same_and_has_no_password(
    check: PasswordCheck, in_reactor: InReactor, hasher: Counting, like: str
) -> None:
    made = [passwords.stand_in(like) for _ in range(2)]
    assert len({like, *made}) == 3
    for password_hash in made:
        assert extract_parameters(password_hash) == extract_parameters(like)
        with pytest.raises(VerifyMismatchError):  # and not that it is no hash, which costs nothing
            hasher.real.verify(password_hash, b"secret8")
        assert in_reactor(check.check, password_hash, b"secret8") is False
    assert hasher.hashes == made


def test_the_usual_cost_is_that_of_our_own_hashes() -> None:
    assert extract_parameters(passwords.USUAL_COST) == extract_parameters(HASH)


def test_the_hash_is_the_light_profile_of_argon2id() -> None:
    found = extract_parameters(HASH)
    assert (found.type.name, found.memory_cost, found.time_cost, found.parallelism) == (
        "ID",
        19_456,
        2,
        1,
    )


# More checks at once than threads


class Gate:
    """Holds each check in its thread until it is let go; only then it is the real one."""

    def __init__(self, hasher: Counting) -> None:
        self._verify = hasher.verify
        self._go = threading.Semaphore(0)
        self._begun: SimpleQueue[bytes] = SimpleQueue()
        hasher.verify = self.verify  # type: ignore[method-assign]

    def verify(self, password_hash: str, password: bytes) -> bool:
        self._begun.put(password)
        assert self._go.acquire(timeout=10)
        return self._verify(password_hash, password)

    def let_go(self, checks: int = 1) -> None:
        self._go.release(checks)

    def begun(self, checks: int) -> set[bytes]:
        """The passwords of the next so many checks that begin."""
        return {self._begun.get(timeout=5) for _ in range(checks)}

    def begins_none(self) -> bool:
        try:
            self._begun.get(timeout=0.05)
        except Empty:
            return True
        return False


@pytest.fixture
def gate(make: Callable[[float], PasswordCheck], hasher: Counting) -> Iterator[Gate]:
    gate = Gate(hasher)  # after `make`, so that it is open when the threads are ended
    yield gate
    gate.let_go(1_000)


class Binds:
    """Checks of b"0", b"1", ... and what each was told."""

    def __init__(
        self, check: PasswordCheck, in_reactor: InReactor, number: int, peer: str = ""
    ) -> None:
        self.told: dict[int, list[Any]] = {each: [] for each in range(number)}
        self._deferreds: list[Deferred[bool]] = []
        self._in_reactor = in_reactor
        in_reactor(self._start, check, number, peer)

    def _start(self, check: PasswordCheck, number: int, peer: str) -> None:
        for each in range(number):
            deferred = check.check(HASH, b"%d" % each, peer)
            self._deferreds.append(deferred)
            deferred.addErrback(lambda failure: failure.type).addCallback(self.told[each].append)

    def cancel(self, *numbers: int) -> None:
        def cancel() -> None:
            for number in numbers:
                self._deferreds[number].cancel()

        self._in_reactor(cancel)

    def wait(self, *numbers: int) -> None:
        for number in numbers:
            ends = clock.monotonic() + 5
            while not self.told[number]:
                assert clock.monotonic() < ends, f"{number} was told nothing"
                clock.sleep(0.005)


def test_two_checks_run_and_the_others_wait_their_turn(
    check: PasswordCheck, in_reactor: InReactor, gate: Gate
) -> None:
    binds = Binds(check, in_reactor, 4)
    assert gate.begun(2) == {b"0", b"1"}
    assert gate.begins_none()
    gate.let_go()
    assert gate.begun(1) == {b"2"}
    assert gate.begins_none()
    gate.let_go(3)
    assert gate.begun(1) == {b"3"}
    binds.wait(*range(4))
    assert list(binds.told.values()) == [[False]] * 4


def test_a_check_that_waits_costs_no_hash_once_cancelled(
    check: PasswordCheck, in_reactor: InReactor, gate: Gate, hasher: Counting
) -> None:
    binds = Binds(check, in_reactor, 50)
    gate.begun(2)
    binds.cancel(*range(2, 49))
    gate.let_go(50)
    binds.wait(*range(50))
    assert gate.begun(1) == {b"49"}
    assert gate.begins_none()
    assert len(hasher.hashes) == 3
    assert [binds.told[number] for number in (0, 1, 2, 48, 49)] == [
        [False],
        [False],
        [CancelledError],
        [CancelledError],
        [False],
    ]


def test_a_running_check_that_is_cancelled_gives_its_thread_to_the_next(
    check: PasswordCheck, in_reactor: InReactor, gate: Gate, hasher: Counting
) -> None:
    binds = Binds(check, in_reactor, 4)
    gate.begun(2)
    binds.cancel(0, 1)
    assert gate.begins_none()  # a hash cannot be stopped: its thread is not free yet
    gate.let_go(4)
    binds.wait(*range(4))
    assert list(binds.told.values()) == [[CancelledError], [CancelledError], [False], [False]]
    assert len(hasher.hashes) == 4


def test_more_than_a_hundred_that_wait_are_too_many(
    check: PasswordCheck, in_reactor: InReactor, gate: Gate
) -> None:
    gate.let_go()
    assert in_reactor(check.check, HASH, b"secret8") is True
    gate.begun(1)
    binds = Binds(check, in_reactor, 102)
    with pytest.raises(Busy) as busy:
        in_reactor(check.check, HASH, b"102")
    assert busy.value.command_status.name == "ESME_RBINDFAIL"
    assert in_reactor(check.check, HASH, b"secret8") is True  # what is remembered needs no thread
    binds.cancel(50)
    more = Binds(check, in_reactor, 1)
    with pytest.raises(Busy):
        in_reactor(check.check, HASH, b"102")
    binds.cancel(*(number for number in range(2, 102) if number != 50))
    gate.let_go(3)
    more.wait(0)
    assert more.told[0] == [False]


def test_who_knocks_once_gets_the_place_of_who_knocks_without_end(
    check: PasswordCheck, in_reactor: InReactor, gate: Gate
) -> None:
    storm = Binds(check, in_reactor, 102, "2001:db8:0:1::1")
    gate.begun(2)
    honest = Binds(check, in_reactor, 3, "192.0.2.1")
    storm.wait(99, 100, 101)
    assert [storm.told[number] for number in (99, 100, 101)] == [[Busy]] * 3, "the last to come"
    assert not any(honest.told.values())
    # Another address of the same IPv6 site is the same crowd.
    with pytest.raises(Busy):
        in_reactor(check.check, HASH, b"x", "2001:db8:0:1:2::2")
    # So is the address that has had its share by then.
    more = Binds(check, in_reactor, 60, "192.0.2.1")
    assert [number for number in range(60) if more.told[number]] == list(range(47, 60))
    assert sum(bool(told) for told in storm.told.values()) == 3 + 47
    storm.cancel(*range(2, 99))
    gate.let_go(5)
    honest.wait(0, 1, 2)
    assert list(honest.told.values()) == [[False]] * 3


def test_a_crowd_of_many_addresses_is_full_for_one_more(
    check: PasswordCheck, in_reactor: InReactor, gate: Gate
) -> None:
    for number in range(102):
        Binds(check, in_reactor, 1, f"192.0.2.{number}")
    with pytest.raises(Busy):
        in_reactor(check.check, HASH, b"x", "203.0.113.9")


def test_the_same_bind_many_times_at_once_costs_no_hash_each(
    check: PasswordCheck, in_reactor: InReactor, gate: Gate, hasher: Counting
) -> None:
    """A hundred sessions of one client come back after a restart, when nothing is remembered."""
    gate.let_go(1_000)

    def come_back() -> Any:
        return gatherResults([check.check(HASH, b"secret8", "192.0.2.1") for _ in range(102)])

    assert in_reactor(come_back) == [True] * 102
    assert len(hasher.hashes) <= 3


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a priority is of the whole process")
def test_the_threads_step_back_for_the_event_loop_and_nobody_else_does(
    check: PasswordCheck, in_reactor: InReactor, gate: Gate
) -> None:
    niceness: list[tuple[str, int]] = []

    def note() -> None:
        for thread in threading.enumerate():
            found = os.getpriority(os.PRIO_PROCESS, thread.native_id or 0)
            niceness.append((thread.name, found))

    binds = Binds(check, in_reactor, 2)
    gate.begun(2)
    note()
    gate.let_go(2)
    binds.wait(0, 1)
    ours = {nice for name, nice in niceness if "passwords" in name}
    usual = os.getpriority(os.PRIO_PROCESS, 0)
    assert {nice for name, nice in niceness if name == "reactor"} == {usual}
    assert ours == {max(10, usual)}


def test_stop_does_not_work_through_what_waits(
    running_reactor: Any, in_reactor: InReactor, time: Time, gate: Gate, hasher: Counting
) -> None:
    check = PasswordCheck(running_reactor, time, 300, threads=2)
    in_reactor(check.start)
    binds = Binds(check, in_reactor, 102)
    gate.begun(2)

    def stop() -> float:
        began = clock.monotonic()
        gate.let_go(1_000)
        check.stop()
        return clock.monotonic() - began

    assert in_reactor(stop) < 0.8  # two hashes; a hundred are more than a second
    binds.wait(*range(102))
    assert len(hasher.hashes) == 2
    assert [binds.told[number] for number in range(2, 102)] == [[CancelledError]] * 100
