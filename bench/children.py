"""The processes of a run: started, spoken to, measured, and ended whatever happens."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from argon2 import PasswordHasher

from bench.measure import memory

SYSTEM_ID = PASSWORD = "bench"
START_WAIT = 20.0  # seconds until a child must be ready
STOP_WAIT = 10.0
DRAIN_WAIT = 15.0  # seconds for what is outstanding when a load ends
GATEWAY = Path(sys.executable).parent / "smpp-gateway"

CONFIGURATION = """\
[smpp]
listen = "127.0.0.1:{smpp_port}"

[omnichannel]
base_url = "{base_url}"
ca_file = "{ca_file}"
username = "bench"
password = "bench"
engine = "{engine}"

[admin]
listen = "127.0.0.1:{admin_port}"

[log]
format = "json"
messages = {messages}

[[accounts]]
system_id = "bench"
password_hash = "{password_hash}"
max_binds = 2000
window = 1000
response_deadline = 60
"""


class Failed(Exception):
    """A child did not do its part; the text says which and what it said last."""


def _tail(file: Path, lines: int = 15) -> str:
    return "\n".join(file.read_text(errors="replace").splitlines()[-lines:])


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextlib.contextmanager
def child(
    arguments: Sequence[str | Path], log: Path, *, stdin: int | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Run a program in a session of its own (Ctrl-C reaches only the bench) and end it."""
    with log.open("w") as stderr:
        process = subprocess.Popen(
            arguments,
            stdin=subprocess.PIPE if stdin is None else stdin,
            stdout=subprocess.PIPE if stdin is None else stderr,
            stderr=stderr,
            text=True,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        if process.stdin is not None:
            process.stdin.close()
        process.terminate()
        try:
            process.wait(STOP_WAIT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def json_line(stream: IO[str] | None, what: str, log: Path) -> dict[str, Any]:
    """Read the next line a child prints. Raises Failed when there is none."""
    assert stream is not None, "opened as a pipe"
    text = stream.readline()
    if not text:
        raise Failed(f"{what} ended early:\n{_tail(log)}")
    line: dict[str, Any] = json.loads(text)
    return line


def finished(module: str, log: Path, limit: float, *arguments: object) -> dict[str, Any]:
    """Run `python -m MODULE ARGUMENTS` to its end; give the JSON line it prints."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    with child(command, log) as process:
        try:
            text, _ = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired as error:
            raise Failed(f"{module} did not end within {limit:.0f} s") from error
    if process.returncode or not text:
        raise Failed(f"{module} ended with {process.returncode}:\n{_tail(log)}")
    line: dict[str, Any] = json.loads(text)
    return line


@dataclass
class Upstream:
    """The HTTPS stub; `bench.upstream` says what it answers."""

    process: subprocess.Popen[str]
    log: Path
    base_url: str
    ca_file: str

    def ask(self, command: str) -> dict[str, Any]:
        assert self.process.stdin is not None, "opened as a pipe"
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return json_line(self.process.stdout, "the upstream", self.log)


@contextlib.contextmanager
def upstream(folder: Path) -> Iterator[Upstream]:
    log = folder / "upstream.log"
    with child([sys.executable, "-m", "bench.upstream", "--folder", folder], log) as process:
        ready = json_line(process.stdout, "the upstream", log)
        base_url = f"https://127.0.0.1:{ready['port']}/v1"
        yield Upstream(process, log, base_url, ready["ca_file"])


@dataclass
class Gateway:
    """The installed command, serving one account."""

    pid: int
    smpp_port: int
    log: Path

    def load(self, binds: int, window: int, warmup: float, seconds: float) -> dict[str, Any]:
        """Give the load generator's report, this process's cost in it."""
        return finished(
            "bench.load",
            self.log.with_suffix(".load.log"),
            warmup + seconds + DRAIN_WAIT + 60,
            *("--port", self.smpp_port, "--system-id", SYSTEM_ID, "--password", PASSWORD),
            *("--binds", binds, "--window", window, "--watch", self.pid),
            *("--warmup", warmup, "--seconds", seconds, "--drain", DRAIN_WAIT),
        )

    @contextlib.contextmanager
    def idle(self, binds: int) -> Iterator[None]:
        """Hold `binds` bound sessions. Raises Failed if one is lost meanwhile."""
        log = self.log.with_suffix(".idle.log")
        command = [sys.executable, "-m", "bench.load", "--idle", "--port", str(self.smpp_port)]
        with child([*command, "--binds", str(binds)], log) as process:
            bound = json_line(process.stdout, "the load generator", log)["bound"]
            yield
            assert process.stdin is not None, "opened as a pipe"
            process.stdin.close()
            left = json_line(process.stdout, "the load generator", log)["bound"]
            if bound != binds or left != binds:
                raise Failed(f"{binds} sessions wanted, {bound} bound, {left} left at the end")
            process.wait(STOP_WAIT)

    def memory(self) -> dict[str, float]:
        return memory(self.pid)


class Gateways:
    """Starts gateways in front of one upstream, each with a configuration of its own."""

    def __init__(self, folder: Path, stub: Upstream) -> None:
        self._folder = folder
        self._stub = stub
        self._started = 0
        hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
        self._password_hash = hasher.hash(PASSWORD)

    @contextlib.contextmanager
    def serve(self, engine: str, *, messages: bool = True) -> Iterator[Gateway]:
        """Start `smpp-gateway serve` and wait for its SMPP listener."""
        self._started += 1
        name = f"gateway-{self._started}-{engine}"
        configuration = self._folder / f"{name}.toml"
        smpp_port = free_port()
        text = CONFIGURATION.format(
            smpp_port=smpp_port,
            admin_port=free_port(),
            base_url=self._stub.base_url,
            ca_file=self._stub.ca_file,
            engine=engine,
            messages=str(messages).lower(),
            password_hash=self._password_hash,
        )
        configuration.touch(mode=0o600)
        configuration.write_text(text)
        log = self._folder / f"{name}.log"
        with child([GATEWAY, "serve", "-c", configuration], log, stdin=subprocess.DEVNULL) as run:
            self._wait(run, smpp_port, log)
            yield Gateway(run.pid, smpp_port, log)
            if run.poll() is not None:
                raise Failed(f"the gateway ended with {run.returncode}:\n{_tail(log)}")
        os.truncate(log, 0)  # a line per message adds up

    def _wait(self, process: subprocess.Popen[str], port: int, log: Path) -> None:
        ends = time.monotonic() + START_WAIT
        while time.monotonic() < ends:
            if process.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise Failed(f"the gateway does not serve:\n{_tail(log)}")
