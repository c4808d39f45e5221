"""Gateways in front of the upstream, each in a folder of its own: configuration, log, store."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from argon2 import PasswordHasher

from bench.children import Failed, Upstream, child, tail
from bench.configuration import MAX_BINDS, PASSWORD, STORE_FILE, configuration
from bench.gateway import Gateway
from bench.trees import Tree
from gateway.callback_key_rotation import add

START_WAIT = 20.0  # seconds until a gateway must serve
UNPACED = "rate_limit = 0\n"  # what the gateway can do, and not what the API allows


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


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
        second: bool = False,
    ) -> Iterator[Gateway]:
        """Start the verb serve, of the installed command unless told, and wait for its listener.

        `store` is the file to begin with, which is moved to the gateway's folder; `smpp` and
        `api` are further lines of their tables, as far as the tree knows them; with `second`
        there is another account.
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
                api=api if tree.knows("rate_burst") else "",  # rate_limit is the sandbox's too
                max_binds=max_binds,
                second=second,
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
