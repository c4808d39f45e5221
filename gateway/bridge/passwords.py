"""Password checks off the event loop, and the memory of those that passed.

argon2id is slow on purpose (about 20 ms with these parameters), so it runs on two threads
of its own, and a bind that passed is remembered for a short time: when a link breaks and a
hundred clients come back at once, the processor is not spent on a hundred hashes.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from gateway.errors import GatewayError
from gateway.smpp.constants import CommandStatus

_THREADS: Final = 2
_WAITING: Final = 100  # checks not yet begun: about a second's worth
_REMEMBERED: Final = 10_000  # binds; the oldest is forgotten first

# OWASP's second choice, 19 MiB: SMPP passwords are short, but bind storms are real.
HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)


class Busy(GatewayError):
    """More binds wait for their check than a client would wait for."""

    command_status = CommandStatus.ESME_RBINDFAIL
    temporary = True


class _Check:
    """One password on its way to a thread."""

    answer: Deferred[bool]

    def __init__(self, password_hash: str | None, password: bytes, memory: bytes) -> None:
        self.password_hash = password_hash
        self.password = password
        self.memory = memory


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
        self._waiting: deque[_Check] = deque()
        self._running = 0
        self._dummy = HASHER.hash(secrets.token_hex(16))

    def start(self) -> None:
        self._pool.start()

    def stop(self) -> None:
        """End the threads; who still waits for a check is told nothing, which is no bind."""
        for check in tuple(self._waiting):
            check.answer.cancel()
        self._pool.stop()

    def check(self, password_hash: str | None, password: bytes) -> Deferred[bool]:
        """Whether `password` (octets from the wire) has this hash.

        None stands for an unknown system_id: it costs the same time, so that an answer
        does not tell which names exist. Cancel the Deferred when nobody waits any longer: a
        check that has not begun is forgotten. Raises `Busy`.
        """
        memory = self._key(password_hash or "", password)
        if self._passed.get(memory, 0.0) > self._clock():
            return succeed(True)
        if len(self._waiting) >= _WAITING:
            raise Busy("too many binds are being checked")
        check = _Check(password_hash, password, memory)
        check.answer = Deferred(lambda _: self._forget(check))
        self._waiting.append(check)
        self._next()
        return check.answer

    def _forget(self, check: _Check) -> None:
        if check in self._waiting:
            self._waiting.remove(check)

    def _next(self) -> None:
        while self._waiting and self._running < _THREADS:
            check = self._waiting.popleft()
            self._running += 1
            verified = deferToThreadPool(
                self._reactor,
                self._pool,
                _verify,
                check.password_hash or self._dummy,
                check.password,
            )
            verified.addBoth(self._verified, check)

    def _verified(self, passed: bool | Failure, check: _Check) -> None:
        self._running -= 1
        self._next()
        if check.answer.called:  # cancelled meanwhile
            return
        if isinstance(passed, Failure):
            check.answer.errback(passed)
            return
        passed = passed and check.password_hash is not None
        if passed:
            self._learn(check.memory)
        check.answer.callback(passed)

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


def _verify(password_hash: str, password: bytes) -> bool:
    try:
        return HASHER.verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False
