"""A process that works on a store until it is killed, and says what it was promised."""

from __future__ import annotations

import random
from multiprocessing.connection import Connection
from typing import Any

from gateway.store.base import Complete, Delivered, NewPart, Retry, SetKey, Waiting
from gateway.store.batch import run_batch
from gateway.store.operations import Operation, Release, Settle, SettleReceipt
from gateway.store.sql import SqlStore
from tests.store.receipts import report


def pdu(message: int, number: int) -> bytes:
    return b"%d %d " % (message, number) * 20


def key(message: int) -> SetKey:
    return SetKey("bank", "Bank", str(message), "sar", 0, 2 + message % 4)


def part(message: int, number: int) -> NewPart:
    return NewPart(key(message), number, pdu(message, number), 1.0, 2.0)


def write(url: str, seed: int, said: Connection) -> None:
    """Say ("part", message, number) for a part that is committed, ("settling", message)
    before a set is deleted and ("settled", message) after; of a report ("told", message) when
    its receipt is committed, ("delivering", message) before that is deleted and ("delivered",
    message) after."""
    chance = random.Random(seed)
    store = SqlStore(url, max_parts=1_000_000)
    said.send(("opened",))
    waiting: list[tuple[int, int]] = []
    sending: list[tuple[int, bytes]] = []
    leased: list[tuple[int, int]] = []
    message = seed * 1_000_000
    while True:
        for _ in range(chance.randrange(1, 20)):
            message += 1
            waiting += [(message, number) for number in range(1, key(message).total + 1)]
        chance.shuffle(waiting)
        taken = [waiting.pop() for _ in range(chance.randrange(1, min(len(waiting), 60) + 1))]
        batch: list[Operation] = [part(*one) for one in taken]
        ended: list[int] = []
        for done, base in sending:
            if chance.random() < 0.5:
                batch.append(Release(base, "refused"))
                continue
            batch.append(Settle(base))
            said.send(("settling", done))
            ended.append(done)
        sending = []
        delivered: list[int] = []
        for one, receipt_id in leased:
            if chance.random() < 0.5:
                batch.append(SettleReceipt(Retry(receipt_id, 1.0, 8)))
                continue
            batch.append(SettleReceipt(Delivered(receipt_id)))
            said.send(("delivering", one))
            delivered.append(one)
        reported = message
        batch.append(report(f"{reported}", leased=True))
        results: list[Any] = run_batch(store, batch)
        for (one, number), result in zip(taken, results, strict=False):
            if isinstance(result, Waiting):
                said.send(("part", one, number))
            else:
                assert isinstance(result, Complete)
                assert result.pdus == tuple(pdu(one, n) for n in range(1, key(one).total + 1))
                sending.append((one, result.base))
        said.send(("told", reported))
        leased = [(reported, results[-1].ids[0])]
        for done in ended:
            said.send(("settled", done))
        for one in delivered:
            said.send(("delivered", one))
