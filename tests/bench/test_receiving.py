"""The receivers of the bench."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from bench.esme import Session
from bench.receiving import Receivers
from bench.submits import Whole
from gateway.smpp import codec
from gateway.smpp.pdu import DeliverSm, DeliverSmResp, EnquireLink, Tlv


def deliver_sm(number: int, message_id: str) -> bytes:
    return codec.encode(DeliverSm(number, tlvs=(Tlv(0x1E, message_id.encode() + b"\0"),)))


class Running:
    """Receivers in a thread, with the MC's end of their one session."""

    def __init__(self, mc: socket.socket, write: int, read: int) -> None:
        self.mc = mc
        self._write = write
        self._read = read

    def ask(self, command: str) -> dict[str, Any]:
        os.write(self._write, command.encode() + b"\n")
        found: dict[str, Any] = json.loads(os.read(self._read, 4096))
        return found

    def answers(self, count: int) -> list[object]:
        octets, found = b"", list[object]()
        while len(found) < count:
            octets += self.mc.recv(65_536)
            while len(octets) >= 4 and len(octets) >= (length := int.from_bytes(octets[:4])):
                found.append(codec.decode(octets[:length]))
                octets = octets[length:]
        return found


@contextmanager
def running(
    monkeypatch: pytest.MonkeyPatch, rest: bytes = b"", **options: Any
) -> Iterator[Running]:
    mine, theirs = socket.socketpair()
    mine.settimeout(5)
    theirs.setblocking(False)
    session = Session(theirs, Whole())
    session.rest = rest
    (commands, write), (read, told) = os.pipe(), os.pipe()

    def say(report: dict[str, Any]) -> None:
        os.write(told, json.dumps(report).encode() + b"\n")

    monkeypatch.setattr("bench.receiving._say", say)
    receivers = Receivers([session], **options)
    thread = threading.Thread(target=receivers.run, args=(commands,))
    thread.start()
    try:
        yield Running(mine, write, read)
    finally:
        os.close(write)
        thread.join(5)
        for descriptor in (commands, read, told):
            os.close(descriptor)
        mine.close()
        theirs.close()


ONE, OTHER = "a" * 36, "b" * 36


def test_each_is_answered_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    with running(monkeypatch) as receivers:
        octets = deliver_sm(7, ONE) + codec.encode(EnquireLink(8)) + deliver_sm(9, OTHER)
        receivers.mc.sendall(octets[:40])
        receivers.mc.sendall(octets[40:])
        answers = receivers.answers(3)
        assert [a.sequence_number for a in answers if isinstance(a, DeliverSmResp)] == [7, 9]
        assert receivers.ask("count") == {"taken": 2, "doubled": 0, "unexpected": 0, "bound": 1}
        assert receivers.ask("between 0 1e12") == {"taken": 2}
        assert receivers.ask("between 0 1") == {"taken": 0}


def test_what_is_there_twice_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with running(monkeypatch, rest=deliver_sm(1, ONE)) as receivers:
        receivers.mc.sendall(deliver_sm(2, ONE))
        receivers.answers(2)
        found = receivers.ask("count")
    assert (found["taken"], found["doubled"]) == (2, 1)


def test_they_leave_with_what_they_take(monkeypatch: pytest.MonkeyPatch) -> None:
    with running(monkeypatch, take=3, skip=1, watched=os.getpid()) as receivers:
        for number in range(1, 4):
            receivers.mc.sendall(deliver_sm(number, f"{number:036}"))
            receivers.answers(1)
        assert receivers.mc.recv(1) == b"", "it has left"
        found = receivers.ask("count")
    assert (found["taken"], found["bound"]) == (3, 0)
    assert found["per_second"] > 0
    assert found["cpu_us"] >= 0
    assert found["rss_mb"] > 1


def test_a_session_that_is_lost_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with running(monkeypatch) as receivers:
        receivers.mc.shutdown(socket.SHUT_RDWR)
        while (found := receivers.ask("count"))["bound"]:
            pass
    assert found["taken"] == 0
