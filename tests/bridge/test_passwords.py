"""Passwords against real argon2id hashes, on real threads, in a real event loop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from argon2 import PasswordHasher, extract_parameters
from twisted.internet.defer import gatherResults

from gateway.bridge import passwords
from gateway.bridge.passwords import PasswordCheck

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
        check = PasswordCheck(running_reactor, time, remember)
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


def test_an_unknown_name_costs_a_hash_of_the_same_price(
    check: PasswordCheck, in_reactor: InReactor, hasher: Counting
) -> None:
    for _ in range(2):
        assert in_reactor(check.check, None, b"secret8") is False
    assert len(hasher.hashes) == 2
    for dummy in hasher.hashes:
        assert extract_parameters(dummy) == extract_parameters(HASH)


def test_an_unknown_name_never_passes(
    make: Callable[[float], PasswordCheck], in_reactor: InReactor, hasher: Counting
) -> None:
    """Not even with the password of the dummy."""
    check = make(300)
    hasher.verify = lambda password_hash, password: True  # type: ignore[method-assign]
    assert in_reactor(check.check, None, b"x") is False
    assert in_reactor(check.check, None, b"x") is False


def test_the_hash_is_the_light_profile_of_argon2id() -> None:
    found = extract_parameters(HASH)
    assert (found.type.name, found.memory_cost, found.time_cost, found.parallelism) == (
        "ID",
        19_456,
        2,
        1,
    )
