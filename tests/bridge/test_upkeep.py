"""What is done by the clock, over a store that is scripted and a clock that the test turns."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import structlog
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from gateway import logs
from gateway.bridge.sent_ids import SentIds
from gateway.bridge.upkeep import Upkeep
from gateway.config import LogSettings
from gateway.store.base import StoreUnavailable

NOW = 1_700_000_000.0  # wall-clock seconds, nothing to do with the clock's
HOUR, DAY = 3_600.0, 86_400.0


class ScriptedStore:
    """Keeps what it is asked for; what it answers is up to the test.

    While an operation stands in `holding`, its Deferreds wait in `held`; while it stands in
    `failing`, they fail with that.
    """

    def __init__(self, memories: dict[str, bytes] | None = None) -> None:
        self.memories = memories or {}
        self.saves: list[dict[str, bytes]] = []
        self.purges: list[tuple[float, float, float]] = []
        self.expired: list[float] = []  # when
        self.holding: set[str] = set()
        self.held: dict[str, list[Deferred[Any]]] = {}
        self.failing: dict[str, Exception] = {}

    def answer(self, operation: str, result: Any = None) -> Deferred[Any]:
        answer: Deferred[Any] = Deferred()
        if operation in self.failing:
            answer.errback(self.failing[operation])
        elif operation in self.holding:
            self.held.setdefault(operation, []).append(answer)
        else:
            answer.callback(result)
        return answer

    def save_memories(self, memories: Mapping[str, bytes]) -> Deferred[None]:
        self.saves.append(dict(memories))
        return self.answer("save_memories")

    def load_memories(self) -> Deferred[dict[str, bytes]]:
        return self.answer("load_memories", self.memories)

    def purge(self, ids_before: float, finals_before: float, dead_before: float) -> Deferred[None]:
        self.purges.append((ids_before, finals_before, dead_before))
        return self.answer("purge")

    def let_go(self, operation: str, result: Any = None) -> None:
        """Answer what waits, and hold no longer."""
        self.holding.discard(operation)
        for deferred in self.held.pop(operation, []):
            deferred.callback(result)


class Trial:
    """The upkeep of a gateway with the accounts "bank" and "shop"."""

    def __init__(self, memories: dict[str, bytes] | None = None) -> None:
        self.stream = io.StringIO()
        logs.configure(LogSettings(format="json"), self.stream)
        self.clock = Clock()
        self.store = ScriptedStore(memories)
        self.bank, self.shop = SentIds(100), SentIds(100)
        self.accounts = {"bank": self.bank, "shop": self.shop}
        self.upkeep = Upkeep(
            self.store,
            {"expire": self._expire},
            lambda: self.accounts,
            self.clock,
            lambda: NOW + self.clock.seconds(),
            logs.get(),
            short_ids_held=7 * DAY,
            finals_held=2 * DAY,
            dead_receipts_held=HOUR,
        )
        self.stopped: list[object] = []

    async def _expire(self) -> None:
        self.store.expired.append(self.clock.seconds())
        await self.store.answer("expire")

    def start(self) -> Trial:
        self.upkeep.start()
        return self

    def later(self, seconds: float) -> Trial:
        """Time passes, in halves of a second."""
        self.clock.pump([0.5] * round(2 * seconds))
        return self

    def stop(self) -> Trial:
        Deferred.fromCoroutine(self.upkeep.stop()).addBoth(self.stopped.append)
        return self

    @property
    def is_stopped(self) -> bool:
        """The Deferred of `stop` has fired, and not with a failure."""
        if self.stopped:
            assert self.stopped == [None]
        return bool(self.stopped)

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]


@pytest.fixture(autouse=True)
def own_log() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def dump_of(*message_ids: str) -> bytes:
    sent = SentIds(100)
    for message_id in message_ids:
        sent.add(message_id)
    return sent.dump()


DISK_FULL = StoreUnavailable("the disk is full")


# Sets whose time is over


def test_sets_are_expired_each_second() -> None:
    trial = Trial().start().later(4)
    assert trial.store.expired == [1.0, 2.0, 3.0, 4.0]
    assert trial.lines == []


def test_an_expiry_that_takes_long_is_not_overlapped() -> None:
    trial = Trial()
    trial.store.holding.add("expire")
    trial.start().later(4.5)
    assert trial.store.expired == [1.0]
    trial.store.let_go("expire")
    trial.later(2.5)
    assert trial.store.expired == [1.0, 5.0, 6.0, 7.0]


@pytest.mark.parametrize(
    ("error", "detail"),
    [(DISK_FULL, "the disk is full"), (RuntimeError("a bug"), "RuntimeError: a bug")],
)
def test_an_expiry_that_fails_is_told_and_comes_again(error: Exception, detail: str) -> None:
    trial = Trial()
    trial.store.failing["expire"] = error
    trial.start().later(2)
    assert trial.store.expired == [1.0, 2.0]
    assert [line["event"] for line in trial.lines] == ["store_failed", "store_failed"]
    assert trial.lines[0]["level"] == "error"
    assert trial.lines[0]["operation"] == "expire"
    assert detail in trial.lines[0]["detail"]
    del trial.store.failing["expire"]
    trial.later(2)
    assert trial.store.expired == [1.0, 2.0, 3.0, 4.0]
    assert len(trial.lines) == 2


def test_each_work_has_its_own_beat_and_its_own_failure() -> None:
    trial = Trial()
    done: list[str] = []

    async def deliver() -> None:
        done.append("receipts")
        await trial.store.answer("receipts")

    async def poll() -> None:
        done.append("poll")
        raise ZeroDivisionError

    upkeep = Upkeep(
        trial.store,
        {"receipts": deliver, "poll": poll},
        dict,
        trial.clock,
        lambda: NOW,
        logs.get(),
        short_ids_held=1,
        finals_held=1,
        dead_receipts_held=1,
    )
    upkeep.start()
    trial.later(2)
    assert done == ["receipts", "poll"] * 2
    trial.store.holding.add("receipts")
    trial.later(3)
    assert done == ["receipts", "poll"] * 3 + ["poll"] * 2
    assert {line["operation"] for line in trial.lines} == {"poll"}
    assert "ZeroDivisionError" in trial.lines[0]["detail"]
    stopped: list[object] = []
    Deferred.fromCoroutine(upkeep.stop()).addCallback(stopped.append)
    assert stopped == []
    trial.store.let_go("receipts")
    assert stopped == [None]


# Old rows


def test_old_rows_go_once_a_minute() -> None:
    trial = Trial().start().later(59.5)
    assert trial.store.purges == []
    trial.later(60.5)
    assert trial.store.purges == [
        (NOW + 60 - 7 * DAY, NOW + 60 - 2 * DAY, NOW + 60 - HOUR),
        (NOW + 120 - 7 * DAY, NOW + 120 - 2 * DAY, NOW + 120 - HOUR),
    ]


def test_a_purge_that_takes_long_is_not_overlapped() -> None:
    trial = Trial()
    trial.store.holding.add("purge")
    trial.start().later(200)
    assert len(trial.store.purges) == 1
    trial.store.let_go("purge")
    trial.later(60)
    assert [before for _, _, before in trial.store.purges] == [NOW + 60 - HOUR, NOW + 240 - HOUR]


def test_a_purge_that_fails_is_told_and_comes_again() -> None:
    trial = Trial()
    trial.store.failing["purge"] = DISK_FULL
    trial.start().later(120)
    assert len(trial.store.purges) == 2
    assert [line["operation"] for line in trial.lines] == ["purge", "purge"]


# What the accounts remember


def test_memories_come_back_at_the_start() -> None:
    trial = Trial({"bank": dump_of("a"), "shop": dump_of("b"), "gone": dump_of("c")}).start()
    assert "a" in trial.bank
    assert "b" in trial.shop
    assert "b" not in trial.bank
    assert "a" not in trial.shop
    assert trial.lines == []


@pytest.mark.parametrize("memories", [{}, {"bank": b""}, {"bank": b"nonsense"}])
def test_memories_that_are_missing_or_damaged_are_no_fault(memories: dict[str, bytes]) -> None:
    trial = Trial(memories).start()
    assert "a" not in trial.bank
    assert trial.lines == []


def test_memories_that_cannot_be_read_are_told_and_nothing_else_stops() -> None:
    trial = Trial({"bank": dump_of("a")})
    trial.store.failing["load_memories"] = DISK_FULL
    trial.start().later(2)
    [line] = trial.lines
    assert (line["event"], line["operation"]) == ("store_failed", "load_memories")
    assert trial.store.expired == [1.0, 2.0]


def test_the_start_does_not_wait_for_the_memories() -> None:
    trial = Trial()
    trial.store.holding.add("load_memories")
    trial.start().later(2)
    assert trial.store.expired == [1.0, 2.0]
    trial.store.let_go("load_memories", {"bank": dump_of("a")})
    assert "a" in trial.bank


def test_only_what_changed_is_saved_every_five_minutes() -> None:
    trial = Trial({"bank": dump_of("a")}).start().later(300)
    assert trial.store.saves == []
    trial.bank.add("b")
    trial.later(299.5)
    assert trial.store.saves == []
    trial.later(0.5)
    assert trial.store.saves == [{"bank": dump_of("a", "b")}]
    trial.later(300)
    assert len(trial.store.saves) == 1
    trial.shop.add("c")
    trial.later(300)
    assert trial.store.saves[1:] == [{"shop": dump_of("c")}]
    trial.bank.add("d")
    trial.shop.add("d")
    trial.later(300)
    assert trial.store.saves[2:] == [{"bank": dump_of("a", "b", "d"), "shop": dump_of("c", "d")}]


def test_what_is_added_while_a_save_runs_is_saved_next_time() -> None:
    trial = Trial().start()
    trial.store.holding.add("save_memories")
    trial.bank.add("a")
    trial.later(300)
    trial.bank.add("b")
    trial.store.let_go("save_memories")
    trial.later(300)
    assert trial.store.saves == [{"bank": dump_of("a")}, {"bank": dump_of("a", "b")}]


def test_a_save_that_takes_long_is_not_overlapped() -> None:
    trial = Trial().start()
    trial.store.holding.add("save_memories")
    trial.bank.add("a")
    trial.later(300)
    trial.bank.add("b")
    trial.later(600)
    assert len(trial.store.saves) == 1


def test_a_save_that_fails_is_told_and_comes_again() -> None:
    trial = Trial().start()
    trial.store.failing["save_memories"] = DISK_FULL
    trial.bank.add("a")
    trial.later(300)
    [line] = trial.lines
    assert (line["event"], line["level"]) == ("store_failed", "error")
    assert (line["operation"], line["detail"]) == ("save_memories", "the disk is full")
    del trial.store.failing["save_memories"]
    trial.later(300)
    assert trial.store.saves[-1] == {"bank": dump_of("a")}


# The end


def test_a_stop_saves_what_changed_and_ends_the_beats() -> None:
    trial = Trial().start()
    trial.bank.add("a")
    trial.stop()
    assert trial.is_stopped
    assert trial.store.saves == [{"bank": dump_of("a")}]
    assert trial.clock.getDelayedCalls() == []
    trial.later(1_000)
    assert (trial.store.expired, trial.store.purges, len(trial.store.saves)) == ([], [], 1)


def test_a_stop_without_anything_new_saves_nothing() -> None:
    trial = Trial({"bank": dump_of("a")}).start().later(2).stop()
    assert trial.is_stopped
    assert trial.store.saves == []


def test_what_is_saved_at_the_end_comes_back() -> None:
    before = Trial().start()
    before.bank.add("a")
    before.later(300)
    before.bank.add("b")
    before.stop()
    after = Trial(before.store.saves[-1]).start()
    assert "a" in after.bank
    assert "b" in after.bank


@pytest.mark.parametrize("operation", ["expire", "purge", "save_memories"])
def test_a_stop_waits_for_what_runs(operation: str) -> None:
    trial = Trial().start()
    trial.bank.add("a")
    trial.store.holding.add(operation)
    trial.later(300)
    saves = len(trial.store.saves)
    assert operation in trial.store.held
    trial.bank.add("b")
    trial.stop()
    assert not trial.is_stopped
    assert len(trial.store.saves) == saves  # the last save comes after all else
    trial.store.let_go(operation)
    assert trial.is_stopped
    assert trial.store.saves[-1] == {"bank": dump_of("a", "b")}
    assert trial.clock.getDelayedCalls() == []


def test_a_stop_waits_for_its_own_save() -> None:
    trial = Trial().start()
    trial.bank.add("a")
    trial.store.holding.add("save_memories")
    trial.stop()
    assert not trial.is_stopped
    trial.store.let_go("save_memories")
    assert trial.is_stopped


def test_a_stop_whose_save_fails_is_told_and_ends() -> None:
    trial = Trial().start()
    trial.bank.add("a")
    trial.store.failing["save_memories"] = DISK_FULL
    trial.stop()
    assert trial.is_stopped
    assert [line["operation"] for line in trial.lines] == ["save_memories"]


def test_a_stop_while_something_fails_ends_too() -> None:
    trial = Trial().start()
    trial.store.holding.add("purge")
    trial.later(60).stop()
    [purging] = trial.store.held["purge"]
    purging.errback(DISK_FULL)
    assert trial.is_stopped
    assert [line["operation"] for line in trial.lines] == ["purge"]


def test_a_stop_before_the_start() -> None:
    trial = Trial().stop()
    assert trial.is_stopped
    assert trial.store.saves == []


# Memories that are read late, or not at once


def test_what_is_sent_before_the_memories_are_read_is_not_forgotten() -> None:
    trial = Trial({"bank": dump_of("old")})
    trial.store.holding.add("load_memories")
    trial.start()
    trial.bank.add("new")
    trial.store.let_go("load_memories", {"bank": dump_of("old")})
    assert "new" in trial.bank
    assert "old" in trial.bank


def test_memories_that_could_not_be_read_are_not_overwritten() -> None:
    trial = Trial({"bank": dump_of("old")})
    trial.store.failing["load_memories"] = DISK_FULL
    trial.start()
    trial.bank.add("new")
    trial.later(300)
    assert trial.store.saves == []
    del trial.store.failing["load_memories"]
    trial.later(300)
    assert "old" in trial.bank
    [saved] = trial.store.saves
    again = SentIds(100)
    again.load(saved["bank"])
    assert "old" in again
    assert "new" in again


def test_an_account_that_a_reload_brings_recalls_what_it_remembered() -> None:
    trial = Trial({"bank": dump_of("a"), "clinic": dump_of("b")}).start()
    clinic = trial.accounts["clinic"] = SentIds(100)
    trial.upkeep.recall()
    assert "b" in clinic
    # What was recalled before is not added once more.
    before = trial.bank.dump()
    trial.upkeep.recall()
    assert trial.bank.dump() == before
