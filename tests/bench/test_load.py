"""The load generator notices what a faulty MC does to its messages."""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from bench import esme, load
from gateway.smpp.constants import CommandId, CommandStatus

HEADER = struct.Struct(">IIII")
OK = CommandStatus.ESME_ROK


def resp(
    number: int, status: int = 0, body: bytes = b"id\0", command: int = CommandId.submit_sm_resp
) -> bytes:
    return HEADER.pack(16 + len(body), command, status, number) + body


Answer = Callable[[int, int], bytes]  # running number from 1, sequence_number -> octets


class FakeMc:
    """Binds everybody, then answers each submit_sm as `answer` says, one octet run at a time."""

    def __init__(self, answer: Answer, bind_status: int = 0) -> None:
        self.answer = answer
        self.bind_status = bind_status
        self.pdus: list[tuple[int, int, bytes]] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address: tuple[str, int] = self._listener.getsockname()
        self._threads: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(sock,))
            thread.start()
            self._threads.append(thread)

    def _serve(self, sock: socket.socket) -> None:
        with sock, sock.makefile("rb") as stream:
            submits = 0
            while head := stream.read(16):
                length, command, _, number = HEADER.unpack(head)
                self.pdus.append((command, number, stream.read(length - 16)))
                if command == CommandId.bind_transceiver:
                    out = resp(number, self.bind_status, b"mc\0", 0x80000009)
                elif command == CommandId.submit_sm:
                    submits += 1
                    out = self.answer(submits, number)
                elif command == CommandId.unbind:
                    out = resp(number, 0, b"", CommandId.unbind_resp)
                else:
                    out = b""
                if out == b"cut":
                    return
                middle = len(out) // 2
                try:
                    sock.sendall(out[:middle])
                    sock.sendall(out[middle:])
                except OSError:
                    return

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join(5)
        for thread in self._threads:
            thread.join(5)


@contextmanager
def mc(answer: Answer, bind_status: int = 0) -> Iterator[FakeMc]:
    fake = FakeMc(answer, bind_status)
    try:
        yield fake
    finally:
        fake.close()


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "WINDOW_WAIT", 0.05)


def run(fake: FakeMc, *, binds: int = 2, window: int = 5, drain: float = 5) -> dict[str, Any]:
    sessions = [esme.Session.bound(fake.address, "bench", "secret") for _ in range(binds)]
    running = load.Load(sessions, os.getpid())
    report = running.run(window, 0.02, 0.1, drain)
    running.unbind()
    return report


def test_every_message_is_answered_once() -> None:
    with mc(lambda n, number: resp(number)) as fake:
        report = run(fake)
    submits = [pdu for pdu in fake.pdus if pdu[0] == CommandId.submit_sm]
    assert report["sent"] == report["answered"] == len(submits) > 10
    assert report["status"] == {"0x00": report["answered"]}
    assert (report["lost"], report["unexpected"], report["cut"]) == (0, 0, 0)
    assert 0 < report["p50_ms"] <= report["p99_ms"]
    assert report["per_second"] > 0
    assert report["cpu_us"] >= 0


def test_each_bind_keeps_its_window_and_numbers() -> None:
    with mc(lambda n, number: b"") as fake:
        report = run(fake, binds=3, window=4, drain=0.02)
    numbers = [number for command, number, _ in fake.pdus if command == CommandId.submit_sm]
    assert sorted(numbers) == sorted([2, 3, 4, 5] * 3)
    assert (report["sent"], report["answered"], report["lost"]) == (12, 0, 12)


def test_statuses_are_told_apart() -> None:
    throttled = CommandStatus.ESME_RTHROTTLED
    with mc(lambda n, number: resp(number, throttled if n == 3 else OK, b"")) as fake:
        report = run(fake, binds=1)
    assert report["status"] == {"0x00": report["answered"] - 1, "0x58": 1}


FAULTS: list[tuple[str, Answer, dict[str, int]]] = [
    ("one is never answered", lambda n, s: b"" if n == 3 else resp(s), {"lost": 1}),
    ("one is answered twice", lambda n, s: resp(s) * (2 if n == 3 else 1), {"unexpected": 1}),
    (
        "a number that was never used",
        lambda n, s: resp(9_999_999) if n == 3 else resp(s),
        {"unexpected": 1, "lost": 1},
    ),
    (
        "generic_nack instead of the answer",
        lambda n, s: resp(s, 3, b"", CommandId.generic_nack) if n == 3 else resp(s),
        {"unexpected": 1, "lost": 1},
    ),
    ("the connection ends", lambda n, s: b"cut" if n == 3 else resp(s), {"cut": 1, "lost": 5}),
]


@pytest.mark.parametrize(
    ("answer", "found"), [row[1:] for row in FAULTS], ids=[r[0] for r in FAULTS]
)
def test_a_fault_is_reported(answer: Answer, found: dict[str, int]) -> None:
    with mc(answer) as fake:
        report = run(fake, binds=1, drain=0.05)
    faults = {name: report[name] for name in ("lost", "unexpected", "cut")}
    assert faults == {"lost": 0, "unexpected": 0, "cut": 0} | found


def test_enquire_link_is_answered() -> None:
    link = resp(77, 0, b"", CommandId.enquire_link)
    with mc(lambda n, number: resp(number) + (link if n == 2 else b"")) as fake:
        report = run(fake, binds=1)
    assert (CommandId.enquire_link_resp, 77, b"") in fake.pdus
    assert report["unexpected"] == 0


def test_a_refused_bind_is_an_error() -> None:
    with (
        mc(lambda n, number: b"", bind_status=0x0E) as fake,
        pytest.raises(esme.Refused, match="0x0E"),
    ):
        esme.Session.bound(fake.address, "bench", "wrong")


def test_the_pdus_are_what_smpp_says() -> None:
    with mc(lambda n, number: resp(number)) as fake:
        run(fake, binds=1, window=1)
    bodies = {command: body for command, _, body in fake.pdus}
    assert bodies[CommandId.bind_transceiver] == b"bench\0secret\0\0\x34\0\0\0"
    text = b"Your code is 123456. It is valid for ten minutes."
    assert bodies[CommandId.submit_sm] == (
        b"\0\x05\0Bench\0\x01\x0137255555555\0" + bytes(9) + bytes([len(text)]) + text
    )


def test_the_warm_up_lasts_until_the_first_window_is_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(load, "WINDOW_WAIT", 5)

    def slow(n: int, number: int) -> bytes:
        if n == 1:
            time.sleep(0.2)  # longer than warm-up and run together
        return resp(number)

    with mc(slow) as fake:
        report = run(fake, binds=1, window=2)
    assert report["per_second"] > 0
    assert report["p99_ms"] < 200, "the slow first answer belongs to the warm-up"
