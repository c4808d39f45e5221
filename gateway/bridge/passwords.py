"""Password checks off the event loop, and the memory of those that passed.

argon2id is slow on purpose (about 20 ms with these parameters), so it runs on two threads
of its own, and a bind that passed is remembered for a short time: when a link breaks and a
hundred clients come back at once, the processor is not spent on a hundred hashes.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

_THREADS: Final = 2
_REMEMBERED: Final = 10_000  # binds; the oldest is forgotten first

# OWASP's second choice, 19 MiB: SMPP passwords are short, but bind storms are real.
HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)


class PasswordCheck:
    """Checks passwords against argon2id hashes. Start it, and stop it to end its threads."""

    def __init__(
        self, reactor: IReactorFromThreads, clock: Callable[[], float], remember: float
    ) -> None:
        """`remember` is how many seconds a bind that passed needs no new hash; 0 never."""
        self._reactor = reactor
        self._clock = clock
        self._remember = remember
        self._pool = ThreadPool(0, _THREADS, "passwords")
        self._secret = secrets.token_bytes(32)
        self._passed: OrderedDict[bytes, float] = OrderedDict()
        self._dummy = HASHER.hash(secrets.token_hex(16))

    def start(self) -> None:
        self._pool.start()

    def stop(self) -> None:
        self._pool.stop()

    def check(self, password_hash: str | None, password: bytes) -> Deferred[bool]:
        """Whether `password` (octets from the wire) has this hash.

        None stands for an unknown system_id: it costs the same time, so that an answer
        does not tell which names exist.
        """
        memory = self._key(password_hash or "", password)
        if self._passed.get(memory, 0.0) > self._clock():
            return succeed(True)
        checked = deferToThreadPool(
            self._reactor, self._pool, _verify, password_hash or self._dummy, password
        )
        if password_hash is None:
            return checked.addCallback(lambda _: False)
        return checked.addCallback(self._learn, memory)

    def _learn(self, passed: bool, memory: bytes) -> bool:
        if passed and self._remember:
            self._passed[memory] = self._clock() + self._remember
            self._passed.move_to_end(memory)
            if len(self._passed) > _REMEMBERED:
                self._passed.popitem(last=False)
        return passed

    def _key(self, password_hash: str, password: bytes) -> bytes:
        """A fingerprint under a key of this process: the memory holds no password."""
        mixed = password_hash.encode() + b"\0" + password
        return hmac.new(self._secret, mixed, hashlib.sha256).digest()


def _verify(password_hash: str, password: bytes) -> bool:
    try:
        return HASHER.verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False
