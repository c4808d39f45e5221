"""Stores that are filled for the bench."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path

import pytest

from bench import backlog
from bench.configuration import SYSTEM_ID
from gateway.smpp.codec import decode
from gateway.smpp.pdu import DeliverSm
from gateway.store.sql import SqlStore


def test_as_many_as_wanted_wait_and_are_due(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlog, "AT_A_TIME", 4)
    backlog.fill(tmp_path / "store.db", 10)
    with closing(SqlStore(f"sqlite:///{tmp_path / 'store.db'}", max_parts=1)) as store:
        assert store.counts().receipts == 10
        [found] = store.claim(time.time(), [(SYSTEM_ID, 11)])
    assert len(found) == 10
    assert len({each.message_id for each in found}) == len({each.key for each in found}) == 10
    pdu = decode(found[0].pdu)
    assert isinstance(pdu, DeliverSm)
    assert b"stat:DELIVRD" in pdu.short_message
