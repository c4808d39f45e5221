"""The load generator as a command."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bench import load, loading
from gateway.smpp import codec
from gateway.smpp.pdu import SubmitSm
from tests.bench.mc import FakeMc, mc, resp


def command(fake: FakeMc, capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    load.main(["--port", str(fake.address[1]), "--binds", "2", *map(str, arguments)])
    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    return report


def messages(fake: FakeMc) -> set[int]:
    found = set()
    for octets in fake.submits:
        submit = codec.decode(octets)
        assert isinstance(submit, SubmitSm)
        found.add(int(submit.destination.addr[3:]))
    return found


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "WINDOW_WAIT", 0.05)


SHORT = ("--window", 4, "--warmup", 0.02, "--seconds", 0.05)


def test_two_runs_share_no_message(capsys: pytest.CaptureFixture[str]) -> None:
    with mc(lambda n, number: resp(number)) as fake:
        report = command(fake, capsys, "--parts", 2, "--first", 1_000, *SHORT)
    first = messages(fake)
    assert report["sent"] == report["answered"] == 2 * len(first)
    assert min(first) == 1_000
    with mc(lambda n, number: resp(number)) as fake:
        report = command(fake, capsys, "--parts", 2, "--first", report["next"], *SHORT)
    assert first.isdisjoint(messages(fake))
    assert report["status"] == {"0x00": report["sent"]}


def test_first_parts_only(capsys: pytest.CaptureFixture[str]) -> None:
    with mc(lambda n, number: resp(number)) as fake:
        report = command(fake, capsys, "--incomplete", 25, "--window", 4)
    assert report["sent"] == report["answered"] == len(fake.submits) == 25
    assert len(messages(fake)) == 25
    assert max(messages(fake)) < report["next"]


def test_mixed_messages_are_whole_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    with mc(lambda n, number: resp(number)) as fake:
        report = command(fake, capsys, "--mixed", "--first", 1_000, *SHORT)
    assert report["sent"] == report["answered"] == len(fake.submits)
    assert report["sent"] % 5 == 0
    long = messages(fake) - {55555555}
    assert len(long) == report["sent"] // 5
    assert 1_000 <= min(long) <= max(long) < report["next"]


def test_whole_messages_unless_told(capsys: pytest.CaptureFixture[str]) -> None:
    with mc(lambda n, number: resp(number)) as fake:
        report = command(fake, capsys, *SHORT)
    assert messages(fake) == {55555555}
    assert "next" not in report


def test_a_refused_bind_ends_it() -> None:
    with mc(lambda n, number: b"", bind_status=0x0E) as fake, pytest.raises(SystemExit, match="0E"):
        load.main(["--port", str(fake.address[1])])
