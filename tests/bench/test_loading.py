"""The load generator notices what a faulty MC does to its messages."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import pytest

from bench import esme, loading
from bench.submits import Parts, Submits, Whole
from gateway.smpp import codec
from gateway.smpp.constants import CommandId, CommandStatus
from gateway.smpp.pdu import SubmitSm
from tests.bench.mc import OK, Answer, FakeMc, mc, resp


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "WINDOW_WAIT", 0.05)


def bound(
    fake: FakeMc, binds: int, submits: Callable[[int], Submits] = lambda bind: Whole()
) -> loading.Load:
    sessions = [
        esme.Session.bound(fake.address, "bench", "secret", submits(bind)) for bind in range(binds)
    ]
    return loading.Load(sessions, os.getpid())


def run(
    fake: FakeMc,
    *,
    binds: int = 2,
    window: int = 5,
    drain: float = 5,
    submits: Callable[[int], Submits] = lambda bind: Whole(),
) -> dict[str, Any]:
    running = bound(fake, binds, submits)
    report = running.run(window, 0.02, 0.1, drain)
    running.unbind()
    return report


def test_every_message_is_answered_once() -> None:
    with mc(lambda n, number: resp(number)) as fake:
        report = run(fake)
    assert report["sent"] == report["answered"] == len(fake.submits) > 10
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
    monkeypatch.setattr(loading, "WINDOW_WAIT", 5)

    def slow(n: int, number: int) -> bytes:
        if n == 1:
            time.sleep(0.2)  # longer than warm-up and run together
        return resp(number)

    with mc(slow) as fake:
        report = run(fake, binds=1, window=2)
    assert report["per_second"] > 0
    assert report["p99_ms"] < 200, "the slow first answer belongs to the warm-up"


def parts_of(fake: FakeMc) -> dict[tuple[str, int], list[int]]:
    """The parts of each message, in the order of arrival."""
    found: dict[tuple[str, int], list[int]] = {}
    for octets in fake.submits:
        submit = codec.decode(octets)
        assert isinstance(submit, SubmitSm)
        _, _, _, reference, _, part = submit.short_message[:6]
        found.setdefault((submit.destination.addr, reference), []).append(part)
    return found


@pytest.mark.parametrize("window", [1, 4, 5])
def test_every_message_of_two_parts_is_finished(window: int) -> None:
    with mc(lambda n, number: resp(number)) as fake:
        report = run(fake, binds=3, window=window, submits=lambda bind: Parts(bind, 3))
    messages = parts_of(fake)
    assert set(map(tuple, messages.values())) == {(1, 2)}
    assert report["sent"] == report["answered"] == 2 * len(messages) > 10
    assert report["lost"] == 0


def test_finishing_a_message_keeps_the_window() -> None:
    most = 0

    class Noted(Parts):
        def encode(self, sequence_numbers: range) -> bytes:
            nonlocal most
            most = max(most, len(session.outstanding))  # these numbers are already in it
            return super().encode(sequence_numbers)

    with mc(lambda n, number: resp(number)) as fake:
        session = esme.Session.bound(fake.address, "bench", "secret", Noted(0, 1))
        running = loading.Load([session])
        report = running.submit(7, 3, 5)
        running.unbind()
    assert report["sent"] == report["answered"] == 8, "the eighth finishes the fourth message"
    assert set(map(tuple, parts_of(fake).values())) == {(1, 2)}
    assert most == 3


def test_first_and_last_parts_are_timed_apart() -> None:
    def slow_last(n: int, number: int) -> bytes:
        if n % 2 == 0:
            time.sleep(0.01)
        return resp(number)

    with mc(slow_last) as fake:
        report = run(fake, binds=1, window=1, submits=lambda bind: Parts(bind, 1))
    assert report["first_p50_ms"] < 9 <= 10 <= report["last_p50_ms"]
    assert report["p50_ms"] <= report["p99_ms"] == report["last_p99_ms"]


@pytest.mark.parametrize("count", [1, 7, 60])
def test_submit_sends_so_many_and_no_more(count: int) -> None:
    with mc(lambda n, number: resp(number)) as fake:
        running = bound(fake, 2, lambda bind: Parts(bind, 2, incomplete=True))
        report = running.submit(count, 5, 5)
        running.unbind()
    assert (report["sent"], report["answered"], report["lost"]) == (count, count, 0)
    assert len(fake.submits) == count
    assert list(parts_of(fake).values()) == [[1]] * count


def test_submit_gives_up_on_what_is_not_answered() -> None:
    with mc(lambda n, number: b"" if n == 3 else resp(number)) as fake:
        running = bound(fake, 1)
        report = running.submit(10, 2, 0.2)
        running.unbind()
    assert (report["sent"], report["answered"], report["lost"]) == (10, 9, 1)
