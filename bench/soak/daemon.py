"""The gateway of a soak and its API: `serve` with everything on, the sandbox in another process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
import ssl
import time
from collections import Counter, deque
from collections.abc import AsyncIterator
from pathlib import Path

from argon2 import PasswordHasher

from bench import certificate
from bench.children import Failed
from bench.gateways import free_port
from bench.soak.place import GUESTS, MUTE, NARROW, STRICT, WINDOW
from bench.soak.steady import ACCOUNT
from bench.trees import Tree
from gateway.callback_key_rotation import add

START_WAIT, STOP_WAIT = 20.0, 40.0  # seconds
DELIVERY_DELAY = 1.0  # seconds from a message to its report
KEPT = 20  # lines of trouble
LINE = 1 << 20  # octets of a line of the log at most

# The timers are short, so that a client which must be thrown out is so many times an hour. Few
# connections to the API, so that as many as there may ever be are there soon: each costs memory.
CONFIGURATION = """\
[smpp]
listen = "127.0.0.1:{smpp}"
tls_listen = "127.0.0.1:{smpp_tls}"
tls_certificate = "server.pem"
tls_key = "server.pem"
session_init_timeout = 5
pdu_read_timeout = 5
enquire_link_interval = 8
response_timeout = 5
max_unread = 65536
unread_timeout = 10
lockout_failures = 3
lockout_time = 30

[omnichannel]
base_url = "http://127.0.0.1:{api}/v1"
username = "soak"
password = "soak"
max_connections = 32

[callbacks]
listen = "127.0.0.1:{callbacks}"
public_url = "http://127.0.0.1:{callbacks}"
key_file = "callback-keys"
request_timeout = 10

[admin]
listen = "127.0.0.1:{admin}"

[log]
format = "json"
"""
LISTENERS = ("smpp", "smpp_tls", "callbacks", "admin")
TABLE = """
[[accounts]]
system_id = "{system_id}"
password_hash = "{password_hash}"
max_binds = 100
{more}
"""
ACCOUNTS = {
    ACCOUNT: "deliver_window = 100",
    GUESTS: "",
    NARROW: f"window = {WINDOW}",
    STRICT: f'window = {WINDOW}\nwindow_full = "throttle"',
    MUTE: "",
}


class Process:
    """A child whose output is read to its end."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.pid = process.pid
        self.events: Counter[str] = Counter()
        self.trouble: deque[str] = deque(maxlen=KEPT)  # errors, and what is no log line at all
        assert process.stdout is not None
        self._reading = asyncio.create_task(self._read(process.stdout))

    async def _read(self, stream: asyncio.StreamReader) -> None:
        while line := await stream.readline():
            self._note(line.decode(errors="replace").rstrip())

    def _note(self, line: str) -> None:
        try:
            found = json.loads(line)
            event, level = found["event"], found["level"]
        except (ValueError, KeyError, TypeError):
            self.trouble.append(line)
            return
        self.events[event] += 1
        if level in {"error", "critical"}:
            self.trouble.append(line)

    def reload(self) -> None:
        """Have it read its configuration and its certificates anew."""
        self.process.send_signal(signal.SIGHUP)

    async def stop(self) -> int:
        """SIGTERM, the end of its output, and its exit code."""
        if self.process.returncode is None:
            self.process.terminate()
        try:
            async with asyncio.timeout(STOP_WAIT):
                await self._reading
                return await self.process.wait()
        except TimeoutError:
            self.process.kill()
            return await self.process.wait()


class Daemon(Process):
    """The gateway, and its ports: smpp, smpp_tls, callbacks, admin, and api of the sandbox."""

    def __init__(
        self, process: asyncio.subprocess.Process, ports: dict[str, int], tls: ssl.SSLContext
    ) -> None:
        super().__init__(process)
        self.ports = ports
        self.tls = tls  # what its clients trust


@contextlib.asynccontextmanager
async def daemon(folder: Path) -> AsyncIterator[Daemon]:
    """Start both, and end them whatever happens. Raises Failed when one does not serve."""
    async with _sandbox() as api:
        ports = {name: free_port() for name in LISTENERS} | {"api": api}
        ca_file, _ = certificate.make(folder)
        file = folder / "gateway.toml"
        file.touch(mode=0o600)
        file.write_text(configuration(ports))
        add(folder / "callback-keys", time.time())
        tree = Tree()
        process = await asyncio.create_subprocess_exec(
            *(*tree.command, "serve", "-c", file),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=folder,
            env=tree.environ,
            limit=LINE,
            start_new_session=True,  # Ctrl-C reaches only the soak
        )
        run = Daemon(process, ports, ssl.create_default_context(cafile=ca_file))
        try:
            await _wait(run)
            yield run
        finally:
            await run.stop()


def configuration(ports: dict[str, int]) -> str:
    hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
    tables = (
        TABLE.format(system_id=name, password_hash=hasher.hash(name), more=more)
        for name, more in ACCOUNTS.items()
    )
    return CONFIGURATION.format(**ports) + "".join(tables)


async def _wait(run: Daemon) -> None:
    ends = time.monotonic() + START_WAIT
    while time.monotonic() < ends and run.process.returncode is None:
        if run.events["started"]:
            return
        await asyncio.sleep(0.05)
    raise Failed("the gateway does not serve:\n" + "\n".join(run.trouble))


@contextlib.asynccontextmanager
async def _sandbox() -> AsyncIterator[int]:
    """Start the sandbox; give its port."""
    tree = Tree()
    process = await asyncio.create_subprocess_exec(
        *(*tree.command, "sandbox", "--listen", "127.0.0.1:0", "--rate-limit", "0"),
        *("--username", "soak", "--password", "soak"),
        *("--delivery-delay", str(DELIVERY_DELAY)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        env=tree.environ,
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        line = (await process.stdout.readline()).decode()
        found = re.search(r"127\.0\.0\.1:(\d+)/v1", line)
        if not found:
            raise Failed(f"the sandbox does not serve: {line}")
        yield int(found[1])
    finally:
        process.terminate()
        await process.wait()
