"""What failed binds cost the address that they come from: a wait, and in the end a lock-out.

Every failure slows the next answers down. Only wrong credentials lock out, because only they
are guesses: a client with too many binds, or whose account is disabled, knows its password. An
account's `allow` list exempts nobody: a listed address may be one that many share, and an
address that may guess without end would tell by that which accounts list it.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, NamedTuple, TypeVar

from gateway.networks import neighbourhood

_FIRST: Final = 0.25  # seconds
_LONGEST: Final = 5.0  # below the response timers of clients
_FORGIVEN: Final = 60.0  # seconds without a failure
_ADDRESSES: Final = 10_000  # with failures, and as many that are locked out

_Kept = TypeVar("_Kept")


class Penalty(NamedTuple):
    """What one failure costs.

    `pause` is how many seconds its answer waits. `locked_out` is how many wrong credentials in a
    row have locked the address out with this one, 0 if it is not, or was before.
    """

    pause: float
    locked_out: int = 0


class _Failures(NamedTuple):
    number: int
    wrong_credentials: int
    last: float


class BindPenalties:
    """Failures by address, IPv6 by /64. Times are seconds of one monotonic clock.

    The two settings may be replaced at any time. The memory is bounded: whoever fails from ten
    thousand addresses has the oldest forgotten, but no address that is locked out for it.
    """

    def __init__(self, lockout_failures: int = 20, lockout_time: float = 60.0) -> None:
        """`lockout_failures` 0 locks nobody out."""
        self.lockout_failures = lockout_failures
        self.lockout_time = lockout_time
        self._failures: OrderedDict[str, _Failures] = OrderedDict()
        self._locked_out: OrderedDict[str, float] = OrderedDict()  # since when

    def failed(self, peer: str, now: float, *, wrong_credentials: bool) -> Penalty:
        """Note a failure at `now`."""
        address = neighbourhood(peer)
        if self.locked_out(peer, now):  # its check had begun before that
            return Penalty(0.0)
        before = self._failures.pop(address, None)
        if before is None or now - before.last > _FORGIVEN:
            before = _Failures(0, 0, now)
        wrong = before.wrong_credentials + wrong_credentials
        if wrong_credentials and 0 < self.lockout_failures <= wrong:
            self._locked_out.pop(address, None)
            _add(self._locked_out, address, now)
            return Penalty(_pause_after(before.number), wrong)
        _add(self._failures, address, _Failures(before.number + 1, wrong, now))
        return Penalty(_pause_after(before.number))

    def passed(self, peer: str) -> None:
        """A bind that succeeds forgives what its address did before."""
        address = neighbourhood(peer)
        self._failures.pop(address, None)
        self._locked_out.pop(address, None)

    def locked_out(self, peer: str, now: float) -> float:
        """For how many seconds more `peer` is locked out; 0 if it is not."""
        since = self._locked_out.get(neighbourhood(peer))
        return 0.0 if since is None else self._left(since, now)

    def addresses_locked_out(self, now: float) -> int:
        """How many are, and forget those that are not any more."""
        for address, since in tuple(self._locked_out.items()):
            if not self._left(since, now):
                del self._locked_out[address]
        return len(self._locked_out)

    def _left(self, since: float, now: float) -> float:
        if not self.lockout_failures:
            return 0.0
        return max(0.0, since + self.lockout_time - now)


def _pause_after(failures: int) -> float:
    return min(_FIRST * 2.0 ** (min(failures, 10) - 1), _LONGEST) if failures else 0.0


def _add(addresses: OrderedDict[str, _Kept], address: str, kept: _Kept) -> None:
    addresses[address] = kept
    if len(addresses) > _ADDRESSES:
        addresses.popitem(last=False)
