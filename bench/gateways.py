"""Gateways in front of the upstream, each in a folder of its own: configuration, log, store."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from argon2 import PasswordHasher

from bench.children import STOP_WAIT, Failed, Upstream, ask, child, finished, json_line, tail
from bench.configuration import MAX_BINDS, PASSWORD, STORE_FILE, SYSTEM_ID, configuration
from bench.exposition import samples
from bench.measure import memory
from bench.trees import Tree
from gateway.callback_key_rotation import add

START_WAIT = 20.0  # seconds until a gateway must serve
DRAIN_WAIT = 15.0  # seconds for what is outstanding when a load ends
FILL_WAIT = 600.0
METRIC_WAIT = 10.0
UNPACED = "rate_limit = 0\n"  # what the gateway can do, and not what the API allows


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@dataclass
class Gateway:
    """A running gateway with one account."""

    pid: int
    smpp_port: int
    log: Path
    next_message: int = 0
    admin_port: int = 0
    callback_port: int = 0
    started: float = 0.0  # seconds from its start until its listener was there

    @property
    def folder(self) -> Path:
        return self.log.parent

    def load(
        self,
        binds: int,
        window: int,
        warmup: float,
        seconds: float,
        parts: int = 1,
        *,
        receipts: bool = False,
    ) -> dict[str, Any]:
        """Give the load generator's report, this process's cost in it."""
        return self._loaded(
            warmup + seconds + DRAIN_WAIT + 60,
            *("--binds", binds, "--window", window, "--watch", self.pid),
            *("--warmup", warmup, "--seconds", seconds, "--parts", parts),
            *(("--receipts",) if receipts else ()),
        )

    def paced(self, binds: int, rate: int, warmup: float, seconds: float) -> dict[str, Any]:
        """Give the report of a load at a steady pace, this process's cost in it."""
        return self._loaded(
            warmup + seconds + DRAIN_WAIT + 60,
            *("--binds", binds, "--rate", rate, "--watch", self.pid),
            *("--warmup", warmup, "--seconds", seconds),
        )

    def fill(self, count: int) -> dict[str, Any]:
        """Submit the first parts of `count` messages; give the counts."""
        return self._loaded(FILL_WAIT, "--binds", 4, "--window", 100, "--incomplete", count)

    def _loaded(self, limit: float, *arguments: object) -> dict[str, Any]:
        found = finished(
            "bench.load",
            self.log.with_name("load.log"),
            limit,
            *("--port", self.smpp_port, "--system-id", SYSTEM_ID, "--password", PASSWORD),
            *("--drain", DRAIN_WAIT, "--first", self.next_message, *arguments),
        )
        self.next_message = found.get("next", self.next_message)
        return found

    @contextlib.contextmanager
    def idle(self, binds: int) -> Iterator[Idle]:
        """Hold `binds` bound sessions. Raises Failed if one is lost meanwhile."""
        log = self.log.with_name("idle.log")
        command = [sys.executable, "-m", "bench.load", "--idle", "--port", str(self.smpp_port)]
        with child([*command, "--binds", str(binds)], log) as process:
            bound = json_line(process.stdout, "the load generator", log)["bound"]
            yield Idle(process, log)
            assert process.stdin is not None, "opened as a pipe"
            process.stdin.close()
            left = json_line(process.stdout, "the load generator", log)["bound"]
            if bound != binds or left != binds:
                raise Failed(f"{binds} sessions wanted, {bound} bound, {left} left at the end")
            process.wait(STOP_WAIT)

    def memory(self) -> dict[str, float]:
        return memory(self.pid)

    def metric(self, name: str) -> float:
        """The value of a metric, `name{label="value"}`. Raises Failed when there is none."""
        found = self._samples()
        if name not in found:
            raise Failed(f"the gateway has no metric {name}")
        return found[name]

    def metrics(self, *names: str) -> dict[str, float]:
        """The values of metrics at one moment; 0 for what was not counted yet."""
        found = self._samples()
        return {name: found.get(name, 0.0) for name in names}

    def _samples(self) -> dict[str, float]:
        url = f"http://127.0.0.1:{self.admin_port}/metrics"
        with urlopen(url, timeout=METRIC_WAIT) as answer:
            return samples(answer.read().decode())


@dataclass
class Idle:
    """Sessions of another process that answer enquire_link and do nothing else."""

    process: subprocess.Popen[str]
    log: Path

    def asked(self) -> tuple[int, int]:
        """How many enquire_links came, and how many to the session that had the fewest."""
        found = ask(self.process, "count", "the load generator", self.log)
        return found["asked"], found["least"]


class Gateways:
    """Starts gateways in front of one upstream, each with a configuration of its own."""

    def __init__(self, folder: Path, stub: Upstream) -> None:
        self._folder = folder
        self._stub = stub
        self._started = 0
        hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
        self._password_hash = hasher.hash(PASSWORD)

    @contextlib.contextmanager
    def serve(
        self,
        engine: str,
        *,
        messages: bool = True,
        parts: bool = False,
        callbacks: bool = False,
        store: Path | None = None,
        tree: Tree | None = None,
        smpp: str = "",
        api: str = UNPACED,
        max_binds: int = MAX_BINDS,
    ) -> Iterator[Gateway]:
        """Start the verb serve, of the installed command unless told, and wait for its listener.

        `store` is the file to begin with, which is moved to the gateway's folder; `smpp` and
        `api` are further lines of their tables, as far as the tree knows them.
        """
        tree = tree or Tree()
        self._started += 1
        folder = self._folder / f"gateway-{self._started}-{engine}"
        folder.mkdir()
        file, log = folder / "gateway.toml", folder / "gateway.log"
        smpp_port, admin_port = free_port(), free_port()
        callback_port = free_port() if callbacks else 0
        if callbacks:
            add(folder / "callback-keys", time.time())
        if store:
            store.rename(folder / STORE_FILE)
        file.touch(mode=0o600)
        file.write_text(
            configuration(
                parts=parts,
                callback_port=callback_port,
                smpp=smpp,
                api=api if tree.knows("rate_limit") else "",
                max_binds=max_binds,
                smpp_port=smpp_port,
                admin_port=admin_port,
                base_url=self._stub.base_url,
                ca_file=self._stub.ca_file,
                engine=engine,
                messages=str(messages).lower(),
                password_hash=self._password_hash,
            )
        )
        begun = time.monotonic()
        with child(
            [*tree.command, "serve", "-c", file],
            log,
            stdin=subprocess.DEVNULL,
            folder=tree.folder,
            environ=tree.environ,
        ) as run:
            self._wait(run, smpp_port, log)
            started = time.monotonic() - begun
            yield Gateway(run.pid, smpp_port, log, 0, admin_port, callback_port, started)
            if run.poll() is not None:
                raise Failed(f"the gateway ended with {run.returncode}:\n{tail(log)}")
        os.truncate(log, 0)  # a line per message adds up

    def _wait(self, process: subprocess.Popen[str], port: int, log: Path) -> None:
        ends = time.monotonic() + START_WAIT
        while time.monotonic() < ends:
            if process.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        raise Failed(f"the gateway does not serve:\n{tail(log)}")
