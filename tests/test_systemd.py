"""The service manager's socket, as systemd would read it."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from gateway.systemd import Notifier


@contextmanager
def manager(address: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(address.replace("@", "\0"))
        listening.settimeout(5)
        yield listening


@pytest.fixture(params=["path", "abstract"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "notify") if request.param == "path" else f"@{secrets.token_hex(8)}"


def test_what_the_manager_is_told(address: str) -> None:
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": address})
    with manager(address) as listening:
        notifier.ready()
        notifier.status("12 sessions")
        notifier.watchdog()
        notifier.stopping()
        told = [listening.recv(4096) for _ in range(4)]
    assert told == [b"READY=1", b"STATUS=12 sessions", b"WATCHDOG=1", b"STOPPING=1"]


def test_a_reload_says_since_when(address: str) -> None:
    before = time.monotonic_ns() // 1000
    with manager(address) as listening:
        Notifier(address).reloading()
        told = listening.recv(4096).decode().split("\n")
    after = time.monotonic_ns() // 1000
    assert told[0] == "RELOADING=1"
    name, _, microseconds = told[1].partition("=")
    assert name == "MONOTONIC_USEC"
    assert before <= int(microseconds) <= after
    assert len(told) == 2


def test_a_status_is_one_line_and_no_assignment(address: str) -> None:
    with manager(address) as listening:
        Notifier(address).status("draining\nMAINPID=1\n")
        assert listening.recv(4096) == b"STATUS=draining MAINPID=1"


def test_nothing_is_left_open(address: str) -> None:
    notifier = Notifier(address)
    with manager(address) as listening:
        before = os.listdir("/proc/self/fd")
        for _ in range(5):
            notifier.watchdog()
            listening.recv(4096)
        assert os.listdir("/proc/self/fd") == before


def everything(notifier: Notifier) -> None:
    notifier.reloading()
    notifier.ready()
    notifier.status("ready")
    notifier.watchdog()
    notifier.stopping()


def test_a_manager_that_is_gone_is_no_error(address: str) -> None:
    everything(Notifier(address))


def test_a_manager_that_does_not_read_holds_nothing_up(address: str) -> None:
    with manager(address):
        notifier = Notifier(address)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as filling:
            filling.setblocking(False)
            with suppress(BlockingIOError):
                while True:
                    filling.sendto(b"X", address.replace("@", "\0"))
        began = time.monotonic()
        notifier.watchdog()
        assert time.monotonic() - began < 2


@pytest.mark.parametrize("named", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:9"}])
def test_without_a_manager_nothing_happens(
    named: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    notifier = Notifier.from_environment({**named, "WATCHDOG_USEC": "30000000"})
    everything(notifier)
    assert notifier.watchdog_interval is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("environ", "interval"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getppid())}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": ""}, None),
    ],
)
def test_how_often_the_watchdog_wants_to_hear(
    environ: dict[str, str], interval: float | None
) -> None:
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": "/run/notify", **environ})
    assert notifier.watchdog_interval == interval


def test_the_gateway_tells_its_manager(tmp_path: Path) -> None:
    (tmp_path / "gateway.toml").write_text(
        '[smpp]\nlisten = "127.0.0.1:0"\n[admin]\nlisten = ""\n'
        '[omnichannel]\nusername = "u"\npassword = "p"\n'
    )
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        manager.settimeout(20)
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway", "serve", "-c", tmp_path / "gateway.toml"],
            env={**os.environ, "NOTIFY_SOCKET": address, "WATCHDOG_USEC": "200000"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            heard = [manager.recv(1000) for _ in range(3)]
            process.send_signal(signal.SIGTERM)
            while heard[-1] != b"STOPPING=1":
                heard.append(manager.recv(1000))
            assert process.wait(20) == 0
        finally:
            process.kill()
            process.wait(20)
    assert heard[0] == b"READY=1"
    assert set(heard[1:-1]) == {b"WATCHDOG=1"}
