"""What is done by the clock: unfinished work is looked after, memories are saved, old rows go."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any, Final, Protocol

from structlog.typing import FilteringBoundLogger
from twisted.internet.defer import Deferred, DeferredList, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure

from gateway.bridge.refusals import cause_of
from gateway.bridge.sent_ids import SentIds

_BEAT: Final = 1.0  # seconds; how late a set may end, or a receipt be tried again
_SAVE_BEAT: Final = 300.0  # how much of the memories a crash may cost
_PURGE_BEAT: Final = 60.0


class Keeps(Protocol):
    """What outlives the process: `store.worker.StoreThread`."""

    def save_memories(self, memories: Mapping[str, bytes]) -> Deferred[None]: ...

    def load_memories(self) -> Deferred[dict[str, bytes]]: ...

    def purge(
        self, ids_before: float, finals_before: float, dead_before: float
    ) -> Deferred[None]: ...


class Upkeep:
    """Beats from `start` to `stop`. `now` gives wall-clock seconds, `clock` is the reactor."""

    def __init__(
        self,
        store: Keeps,
        works: Mapping[str, Callable[[], Coroutine[Any, Any, None]]],
        memories: Callable[[], Mapping[str, SentIds]],
        clock: IReactorTime,
        now: Callable[[], float],
        log: FilteringBoundLogger,
        *,
        short_ids_held: float,
        finals_held: float,
        dead_receipts_held: float,
    ) -> None:
        """`works` are done once a second, each under the name that the log gives its failure.

        `memories` gives what the accounts of the moment remember, by system_id.
        """
        self._store = store
        self._memories = memories
        self._recalled: set[str] = set()  # whose memory was read from the store
        self._now = now
        self._log = log
        self._held = short_ids_held, finals_held, dead_receipts_held
        self._beats: list[tuple[LoopingCall, float]] = [
            *(
                (LoopingCall(self._guarded, name, partial(_started, work)), _BEAT)
                for name, work in works.items()
            ),
            (LoopingCall(self._guarded, "save_memories", self.save), _SAVE_BEAT),
            (LoopingCall(self._guarded, "purge", self._purge), _PURGE_BEAT),
        ]
        for beat, _ in self._beats:
            beat.clock = clock
        self._ended: list[Deferred[LoopingCall]] = []  # each fires when its beat has ended

    def start(self) -> None:
        """Begin; what the accounts remembered is read as soon as the event loop runs."""
        self.recall()
        for beat, seconds in self._beats:
            self._ended.append(beat.start(seconds, now=False))

    async def stop(self) -> None:
        """Finish what is under way, and save the memories."""
        for beat, _ in self._beats:
            if beat.running:
                beat.stop()
        await DeferredList(self._ended)
        await self._guarded("save_memories", self.save)

    def recall(self) -> None:
        """Read what accounts remembered that are new here."""
        self._guarded("load_memories", self._load)

    def _guarded(self, operation: str, work: Callable[[], Deferred[Any]]) -> Deferred[Any]:
        """A beat that fails is told, and comes again."""
        return work().addErrback(self._failed, operation)

    def _failed(self, failure: Failure, operation: str) -> None:
        self._log.error("store_failed", operation=operation, detail=cause_of(failure))

    def _load(self) -> Deferred[None]:
        return self._store.load_memories().addCallback(self._remember)

    def _remember(self, dumped: dict[str, bytes]) -> None:
        for system_id, sent in self._memories().items():
            if system_id not in self._recalled:
                self._recalled.add(system_id)
                sent.load(dumped.get(system_id, b""))

    def save(self) -> Deferred[None]:
        """Write down what the accounts remember, where it changed.

        What was written before must have been read first, or it would be lost.
        """
        memories = self._memories()
        if not self._recalled.issuperset(memories):
            return self._load().addCallback(lambda _: self.save())
        changed = {system_id: sent.dump() for system_id, sent in memories.items() if sent.changed}
        if not changed:
            return succeed(None)
        return self._store.save_memories(changed).addErrback(self._not_saved, changed)

    def _not_saved(self, failure: Failure, changed: Mapping[str, bytes]) -> Failure:
        memories = self._memories()
        for system_id in changed:
            memories[system_id].changed = True
        return failure

    def _purge(self) -> Deferred[None]:
        now = self._now()
        ids_held, finals_held, dead_held = self._held
        return self._store.purge(now - ids_held, now - finals_held, now - dead_held)


def _started(work: Callable[[], Coroutine[Any, Any, None]]) -> Deferred[None]:
    return Deferred.fromCoroutine(work())
