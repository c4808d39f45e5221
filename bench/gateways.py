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

from bench.children import STOP_WAIT, Failed, Upstream, child, finished, json_line, tail
from bench.measure import memory
from bench.trees import Tree
from gateway.callback_key_rotation import add

SYSTEM_ID = PASSWORD = "bench"
START_WAIT = 20.0  # seconds until a gateway must serve
DRAIN_WAIT = 15.0  # seconds for what is outstanding when a load ends
FILL_WAIT = 600.0

# Only keys that every version knows: it also goes to old revisions. A store that is not
# configured stands beside the configuration.
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
{callbacks}{store}
[[accounts]]
system_id = "bench"
password_hash = "{password_hash}"
max_binds = 2000
window = 1000
response_deadline = 60
{account}"""
STORE_FILE = "gateway.db"
STORE = f"""
[store]
url = "sqlite:///{STORE_FILE}"
max_parts = 1000000
"""
CALLBACKS = """
[callbacks]
listen = "127.0.0.1:{port}"
public_url = "http://127.0.0.1:{port}"
key_file = "callback-keys"
"""
PARTS_ACCOUNT = "reassembly_timeout = 3600\n"
RECEIPTS_ACCOUNT = "deliver_window = 100\n"


def configuration(*, parts: bool = False, callback_port: int = 0, **values: object) -> str:
    """Give the text of a configuration.

    With `parts`, its store may hold a million of them. With `callback_port`, the API reports
    there, and receipts are delivered with a window of 100.
    """
    return CONFIGURATION.format(
        callbacks=CALLBACKS.format(port=callback_port) if callback_port else "",
        store=STORE if parts or callback_port else "",
        account=(PARTS_ACCOUNT if parts else "") + (RECEIPTS_ACCOUNT if callback_port else ""),
        **values,
    )


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
    def idle(self, binds: int) -> Iterator[None]:
        """Hold `binds` bound sessions. Raises Failed if one is lost meanwhile."""
        log = self.log.with_name("idle.log")
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

    def metric(self, name: str) -> float:
        """The value of a metric without labels. Raises Failed when there is none."""
        with urlopen(f"http://127.0.0.1:{self.admin_port}/metrics", timeout=10) as answer:
            for line in answer.read().decode().splitlines():
                if line.startswith(f"{name} "):
                    return float(line.split()[1])
        raise Failed(f"the gateway has no metric {name}")


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
    ) -> Iterator[Gateway]:
        """Start the verb serve, of the installed command unless told, and wait for its listener.

        `store` is the file to begin with, which is moved to the gateway's folder.
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
