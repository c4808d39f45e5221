"""A process that is killed at any moment keeps every promise it made."""

from __future__ import annotations

import multiprocessing
import random
import signal
from contextlib import closing
from pathlib import Path
from typing import Final

from gateway.store.base import Complete, Delivered
from gateway.store.sql import SqlStore
from tests.store import writer
from tests.store.parts import everything
from tests.store.receipts import claimed, live, names, report

KILLS: Final = 25
SEED: Final = 20_261_124


class Promises:
    """What the writers said, over all their lives."""

    def __init__(self) -> None:
        self.parts: dict[int, set[int]] = {}
        self.settling: set[int] = set()
        self.settled: set[int] = set()
        self.told: set[int] = set()
        self.delivering: set[int] = set()
        self.delivered: set[int] = set()

    def hear(self, kind: str, message: int = 0, number: int = 0) -> None:
        if kind == "part":
            self.parts.setdefault(message, set()).add(number)
        elif kind != "opened":
            getattr(self, kind).add(message)


def listen(url: str, seed: int, heard: int, promises: Promises) -> None:
    """Let a writer live until it said `heard` things, and hear what else it said till then."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.store.writer"])
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=writer.write, args=(url, seed, theirs))
    process.start()
    theirs.close()
    try:
        for _ in range(heard):
            promises.hear(*ours.recv())
        process.kill()
        while True:
            promises.hear(*ours.recv())
    except EOFError:
        pass
    finally:
        process.join()
        ours.close()
    assert process.exitcode == -signal.SIGKILL
    process.close()


def check(url: str, promises: Promises) -> None:
    with closing(SqlStore(url, max_parts=1_000_000)) as store:
        sets = everything(store)
        counts = store.counts()
        stored = {}
        for one in sets.values():
            [message] = {int(part.pdu.split()[0]) for part in one.parts}
            assert message not in stored
            stored[message] = {part.number for part in one.parts}
            assert {part.pdu for part in one.parts} == {
                writer.pdu(message, number) for number in stored[message]
            }
        for message, numbers in promises.parts.items():
            if message not in promises.settling:
                assert numbers <= stored.get(message, set()), message
        for message in promises.settled:
            assert message not in stored
        assert counts[:2] == (len(stored), sum(map(len, stored.values())))
        store.release([(base, "unknown") for base in sets])
        for message, numbers in stored.items():
            total = writer.key(message).total
            missing = sorted(set(range(1, total + 1)) - numbers)
            results = store.add([writer.part(message, number) for number in missing])
            done = results[-1]
            assert isinstance(done, Complete)
            assert done.pdus == tuple(writer.pdu(message, n) for n in range(1, total + 1))
            store.settle([done.base])
        assert store.counts()[:2] == (0, 0)


def check_receipts(url: str, promises: Promises) -> None:
    """Then deliver what is left."""
    with closing(SqlStore(url, max_parts=1_000_000)) as store:
        stored = live(store)
        assert store.counts().receipts == len(stored)
        assert len(stored) == len(set(stored))
        there = {int(message) for message in stored}
        assert promises.told - promises.delivering <= there
        assert not promises.delivered & there
        again = store.report([report(f"{message}") for message in sorted(promises.told)])
        assert {one.outcome for one in again} <= {"repeated"}
        left = claimed(store, limit=1_000_000)
        assert sorted(names(left)) == sorted(stored)
        store.settle_receipts([Delivered(one.id) for one in left])
        assert store.counts().receipts == 0


def test_what_was_acknowledged_survives_every_kill(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    url = f"sqlite:///{tmp_path}/store.db"
    acknowledged = settled = delivered = 0
    for life in range(KILLS):
        promises = Promises()
        listen(url, life, chance.randrange(1, 400), promises)
        check(url, promises)
        check_receipts(url, promises)
        delivered += len(promises.delivered)
        acknowledged += sum(map(len, promises.parts.values()))
        settled += len(promises.settled)
    assert acknowledged > 100 * KILLS
    assert settled > 5 * KILLS
    assert delivered > KILLS
