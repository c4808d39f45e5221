"""A load at a steady pace sends on, whatever the answers take."""

from __future__ import annotations

import json
import os
import time
from typing import Any

import pytest

from bench import esme, load
from bench.pacing import PacedLoad
from tests.bench.mc import Answer, mc, resp


def paced(answer: Answer, rate: float, warmup: float, seconds: float, drain: float = 5) -> Any:
    with mc(answer) as fake:
        sessions = [esme.Session.bound(fake.address, "bench", "bench") for _ in range(2)]
        running = PacedLoad(sessions, os.getpid())
        report = running.pace(rate, warmup, seconds, drain)
        running.unbind()
        return report, fake


def test_as_many_are_sent_as_the_pace_says() -> None:
    begun = time.perf_counter()
    report, fake = paced(lambda n, number: resp(number), rate=400, warmup=0.05, seconds=0.2)
    assert time.perf_counter() - begun >= 0.25
    assert report["sent"] == report["answered"] == len(fake.submits) == 100
    assert report["per_second"] == pytest.approx(400, rel=0.2)
    assert (report["lost"], report["unexpected"], report["cut"]) == (0, 0, 0)
    assert 0 < report["p50_ms"] <= report["p99_ms"]
    assert report["late_p99_ms"] >= 0
    assert report["cpu_percent"] >= 0


def test_both_binds_take_turns() -> None:
    _, fake = paced(lambda n, number: resp(number), rate=400, warmup=0, seconds=0.05)
    numbers = sorted(number for command, number, _ in fake.pdus if command == 4)
    assert numbers == sorted([*range(2, 12)] * 2)


def test_a_slow_answer_holds_nothing_up_and_is_counted() -> None:
    def slow(n: int, number: int) -> bytes:
        if n == 1:
            time.sleep(0.3)  # longer than the whole measured time
        return resp(number)

    report, _ = paced(slow, rate=200, warmup=0, seconds=0.1)
    assert report["sent"] == report["answered"] == 20
    assert report["most"] >= 15, "they were sent while nothing was answered"
    assert report["p99_ms"] >= 300


def test_what_is_never_answered_is_lost() -> None:
    report, _ = paced(lambda n, number: b"" if n == 2 else resp(number), 200, 0, 0.05, drain=0.1)
    assert report["sent"] == 10
    assert report["lost"] == 2


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    with mc(lambda n, number: resp(number)) as fake:
        port = ("--port", str(fake.address[1]), "--binds", "2")
        load.main([*port, "--rate", "200", "--warmup", "0", "--seconds", "0.05"])
    report = json.loads(capsys.readouterr().out)
    assert report["sent"] == report["answered"] == 10
