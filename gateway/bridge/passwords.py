"""Password checks off the event loop, and the memory of those that passed.

argon2id is slow on purpose (about 20 ms with these parameters), so it runs on one or two threads
of its own that step back for the event loop, and a bind that passed is remembered for a short
time: when a link breaks and a hundred clients come back at once, the processor is not spent on a
hundred hashes. Of those that wait for their turn no address can take the places of all others.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
import sys
import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final, NamedTuple

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from gateway.errors import GatewayError
from gateway.networks import neighbourhood
from gateway.smpp.constants import CommandStatus

# Two where they leave half of the processors alone: with all of them hashing, the loop's 99th
# percentile triples in a storm.
_THREADS: Final = 2 if (os.cpu_count() or 1) >= 4 else 1
_WAITING: Final = 50  # checks not yet begun, for each thread: about a second's worth
_REMEMBERED: Final = 10_000  # binds; the oldest is forgotten first
_NICE: Final = 10  # of the threads: a tenth of the event loop's share where they compete

# OWASP's second choice, 19 MiB: SMPP passwords are short, but bind storms are real.
HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
# What a hash made by it looks like to `stand_in`.
USUAL_COST: Final = (
    f"$argon2id$v=19$m={HASHER.memory_cost},t={HASHER.time_cost},p={HASHER.parallelism}"
    f"${'A' * 22}${'A' * 43}"
)


class Busy(GatewayError):
    """More binds wait for their check than a client would wait for."""

    command_status = CommandStatus.ESME_RBINDFAIL
    temporary = True


class _Check(NamedTuple):
    """One password on its way to a thread."""

    password_hash: str
    password: bytes
    memory: bytes
    address: str
    answer: Deferred[bool]


class PasswordCheck:
    """Checks passwords against argon2id hashes. Start it, and stop it to end its threads."""

    def __init__(
        self,
        reactor: IReactorFromThreads,
        clock: Callable[[], float],
        remember: float,
        threads: int = _THREADS,
    ) -> None:
        """`remember` is how many seconds a bind that passed needs no new hash; 0 never."""
        self._reactor = reactor
        self._clock = clock
        self._remember = remember
        self._pool = ThreadPool(0, threads, "passwords")
        self._threads = threads
        self._secret = secrets.token_bytes(32)
        self._passed: OrderedDict[bytes, float] = OrderedDict()
        self._waiting: deque[_Check] = deque()
        self._running = 0

    def start(self) -> None:
        self._pool.start()

    def stop(self) -> None:
        """End the threads; who still waits for a check is told nothing, which is no bind."""
        for check in tuple(self._waiting):
            check.answer.cancel()
        self._pool.stop()

    def check(self, password_hash: str, password: bytes, peer: str = "") -> Deferred[bool]:
        """Whether `password` (octets from the wire, sent from `peer`) has this hash.

        Cancel the Deferred when nobody waits any longer: a check that has not begun is
        forgotten. Fails with `Busy`, at once or when others need its place in the queue more.
        """
        memory = self._key(password_hash, password)
        if self._knows(memory):
            return succeed(True)
        address = neighbourhood(peer)
        if len(self._waiting) >= _WAITING * self._threads and not self._make_room(address):
            return fail(Busy("too many binds are being checked"))
        answer: Deferred[bool] = Deferred(self._forget)
        self._waiting.append(_Check(password_hash, password, memory, address, answer))
        self._next()
        return answer

    def _make_room(self, address: str) -> bool:
        """Whether there is a place now that somebody with more than `address` had to give."""
        waiting = Counter(check.address for check in self._waiting)
        crowd, number = waiting.most_common(1)[0]
        if number <= waiting[address] + 1:
            return False
        last = next(check for check in reversed(self._waiting) if check.address == crowd)
        self._waiting.remove(last)
        last.answer.errback(Busy("too many binds of this address are being checked"))
        return True

    def _forget(self, answer: Deferred[bool]) -> None:
        for check in self._waiting:
            if check.answer is answer:
                self._waiting.remove(check)
                return

    def _next(self) -> None:
        while self._waiting and self._running < self._threads:
            check = self._waiting.popleft()
            if self._knows(check.memory):  # the same bind has passed while this one waited
                check.answer.callback(True)
                continue
            self._running += 1
            verified = deferToThreadPool(
                self._reactor, self._pool, _verify, check.password_hash, check.password
            )
            verified.addBoth(self._verified, check)

    def _verified(self, passed: bool | Failure, check: _Check) -> None:
        self._running -= 1
        if passed is True:
            self._learn(check.memory)
        self._next()
        if check.answer.called:  # cancelled meanwhile
            return
        if isinstance(passed, Failure):
            check.answer.errback(passed)
        else:
            check.answer.callback(passed)

    def _knows(self, memory: bytes) -> bool:
        return self._passed.get(memory, 0.0) > self._clock()

    def _learn(self, memory: bytes) -> None:
        if not self._remember:
            return
        self._passed[memory] = self._clock() + self._remember
        self._passed.move_to_end(memory)
        if len(self._passed) > _REMEMBERED:
            self._passed.popitem(last=False)

    def _key(self, password_hash: str, password: bytes) -> bytes:
        """A fingerprint under a key of this process: the memory holds no password."""
        mixed = password_hash.encode() + b"\0" + password
        return hmac.new(self._secret, mixed, hashlib.sha256).digest()


def stand_in(password_hash: str) -> str:
    """A hash that no password has, and that costs the same to check as `password_hash`."""
    parameters, *secret = password_hash.rsplit("$", 2)
    return "$".join((parameters, *(_random_like(word) for word in secret)))


def _random_like(word: str) -> str:
    """Base64 of as many random octets as `word` stands for, without padding as argon2 has it."""
    return base64.b64encode(secrets.token_bytes(len(word) * 3 // 4)).rstrip(b"=").decode("ascii")


def _verify(password_hash: str, password: bytes) -> bool:
    if sys.platform == "linux":  # elsewhere a priority is of the whole process
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
    try:
        return HASHER.verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False
