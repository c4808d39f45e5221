"""The installed command as a subprocess, with a configuration given inline and free ports."""

from __future__ import annotations

import base64
import http.client
import json
import os
import random
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP, SIGTERM
from typing import Any, Self

from prometheus_client.parser import text_string_to_metric_families

COMMAND = str(Path(sys.executable).with_name("smpp-gateway"))
LIMIT = 15.0  # seconds for a start, a stop, or anything else that is waited for

TELLING = 12  # characters of a text that nothing but a quotation has
USERNAME, PASSWORD = "api-user", "api-Geheim-7391"
KEY_FILE = "callback-keys"  # in the folder of its daemon

# config/demo.toml on free ports; its account has the password "demo".
DEMO_HASH = (
    "$argon2id$v=19$m=19456,t=2,p=1$H0/8EX0ib1IG9VE9pmAGEw"
    "$ofLTwwKwz98ItyGMTQtpkjhxhWs+pU/0wKyMpyAxmBw"
)
ACCOUNT = f"""
[[accounts]]
system_id = "demo"
password_hash = "{DEMO_HASH}"
default_sender = "Demo"
max_binds = 1000
"""


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def fixed_port() -> int:
    """A free port that no connection gets by itself, so that it is free after a restart too.

    A free port of the range that connections take theirs from may be taken by one of those that
    the test makes meanwhile, even one that wants to reach it: TCP can connect to itself.
    """
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as sock:
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


def until(true: Callable[[], Any], what: str, limit: float = LIMIT) -> Any:
    """Wait for `true` to give something true, and return that."""
    deadline = time.monotonic() + limit
    while not (found := true()):
        assert time.monotonic() < deadline, f"waited {limit} s for {what}"
        time.sleep(0.01)
    return found


class Sandbox:
    """`smpp-gateway sandbox`, a process of its own that outlives a gateway; a context manager."""

    def __init__(self, *options: str) -> None:
        self._options = options

    def __enter__(self) -> Self:
        credentials = ("--username", USERNAME, "--password", PASSWORD, "--rate-limit", "0")
        self.process = subprocess.Popen(
            [COMMAND, "sandbox", "--listen", "127.0.0.1:0", *credentials, *self._options],
            stdout=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        assert self.process.stdout
        line = self.process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)/v1", line)
        assert found, line
        self.port = int(found[1])
        return self

    def freeze(self) -> None:
        """Let time stand still for it, until `thaw`."""
        self.process.send_signal(SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(SIGCONT)

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait(LIMIT)
        assert self.process.stdout
        self.process.stdout.close()


class Daemon:
    """`smpp-gateway serve`; use as a context manager.

    The keyword arguments are lines of TOML for their tables, `accounts` whole tables. Unless
    `base_url` or the port of another `Sandbox` points elsewhere, the sandbox runs inside and
    is what the API's questions go to.

    With `callbacks` (lines of its table, perhaps none) the API can report to it, at a port that
    it keeps; with `key_file` those reports can be read by a later process too.

    Its folder, with the store in it, stays until `end`: `start` after a `stop` or a `crash`
    goes on with the same store. The other ports are new then, unless `listen` names one.
    """

    def __init__(
        self,
        *,
        smpp: str = "",
        omnichannel: str = "",
        sandbox: str = "rate_limit = 0",
        base_url: str = "",
        admin: str = 'listen = "127.0.0.1:0"',
        accounts: str = ACCOUNT,
        more: str = "",
        listen: str = "127.0.0.1:0",
        environment: dict[str, str] | None = None,
        sandbox_port: int = 0,
        callbacks: str | None = None,
        key_file: bool = False,
    ) -> None:
        self._sandbox_port = sandbox_port or free_port()
        self._key_file = key_file
        inside = not base_url and not sandbox_port
        own = f'[sandbox]\nlisten = "127.0.0.1:{self._sandbox_port}"\n{sandbox}' if inside else ""
        base_url = base_url or f"http://127.0.0.1:{self._sandbox_port}/v1"
        if "rate_limit" not in omnichannel:
            omnichannel = f"rate_limit = 0\n{omnichannel}"  # the API's is a test of its own
        called = "" if callbacks is None else f"[callbacks]\n{callbacks}\n"
        if callbacks is not None:
            where = f"127.0.0.1:{fixed_port()}"
            called += f'listen = "{where}"\npublic_url = "http://{where}"\n'
        if key_file:
            called += f'key_file = "{KEY_FILE}"\n'
        self.config = "\n".join(
            (
                f'[smpp]\nlisten = "{listen}"\n{smpp}',
                f'[omnichannel]\nbase_url = "{base_url}"',
                f'username = "{USERNAME}"\npassword = "{PASSWORD}"\n{omnichannel}',
                f"[admin]\n{admin}\n{called}\n{own}\n{more}\n{accounts}",
            )
        )
        self._environment = environment or {}
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._lines_before = 0  # of the lives before this one
        self.texts: set[str] = set()  # that the sandbox accepted, as far as it was asked
        self.tokens: set[str] = set()  # and those of the dlr_urls beside them
        self.stdout: list[str] = []
        self.stderr: list[str] = []
        self.ports: dict[str, int] = {}
        self.exit_code: int | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """Leave nothing behind, whatever state it is in."""
        if self.process.poll() is None:
            self.process.kill()
        self.wait()
        if self._folder:
            self._folder.cleanup()

    def start(self) -> None:
        """Start it, and wait until it is ready; fails with its output if it never is."""
        self.launch()
        until(lambda: self.process.poll() is not None or self._since("started"), "the start")
        assert self.process.poll() is None, self.output()
        self.ports = {event["listener"]: event["port"] for event in self._since("listening")}
        if "admin" in self.ports:
            until(lambda: self.admin("/readyz")[0] == 200, "readiness")

    def launch(self) -> None:
        """Start the process and the reading of its output, and wait for nothing."""
        self._folder = self._folder or tempfile.TemporaryDirectory()
        self._lines_before = len(self.stdout)
        keys = Path(self._folder.name, KEY_FILE)
        if self._key_file and not keys.exists():
            subprocess.run(
                [COMMAND, "callback-keys", "add", keys], check=True, stdout=subprocess.DEVNULL
            )
        path = Path(self._folder.name, "gateway.toml")
        path.write_text(self.config, encoding="utf-8")
        kept = {k: v for k, v in os.environ.items() if not k.startswith("SMPPGW_")}
        self.process = subprocess.Popen(
            [COMMAND, "serve", "-c", str(path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
            env=kept | self._environment,
            cwd=self._folder.name,
        )
        assert self.process.stdout
        assert self.process.stderr
        self._readers = [
            threading.Thread(target=self._collect, args=pair, daemon=True)
            for pair in ((self.process.stdout, self.stdout), (self.process.stderr, self.stderr))
        ]
        for reader in self._readers:
            reader.start()

    @staticmethod
    def _collect(stream: Iterable[str], lines: list[str]) -> None:
        for line in stream:
            lines.append(line.rstrip("\n"))

    def rewrite(self, old: str, new: str) -> None:
        """Change its configuration's file; it stays so for the next start."""
        assert old in self.config, old
        assert self._folder
        self.config = self.config.replace(old, new)
        Path(self._folder.name, "gateway.toml").write_text(self.config, encoding="utf-8")

    def kill(self, number: int = SIGTERM) -> None:
        self.process.send_signal(number)

    def wait(self, limit: float = LIMIT) -> int:
        """Its exit code, once it has ended by itself and all of its output is read."""
        self.exit_code = self.process.wait(limit)
        for reader in self._readers:
            reader.join(limit)
        for stream in (self.process.stdout, self.process.stderr):
            if stream:
                stream.close()
        return self.exit_code

    def stop(self, number: int = SIGTERM) -> int:
        self.kill(number)
        return self.wait()

    def crash(self) -> None:
        """SIGKILL: no last word, and perhaps half a line of log."""
        self.kill(SIGKILL)
        self.wait()
        if self.stdout and not self.stdout[-1].endswith("}"):
            self.stdout.pop()

    @property
    def port(self) -> int:
        """Where SMPP is spoken."""
        return self.ports["smpp"]

    def output(self) -> str:
        return "\n".join([*self.stdout, *self.stderr])

    def log(self) -> list[dict[str, Any]]:
        """Every line of standard output; each must be one JSON object."""
        return [json.loads(line) for line in self.stdout]

    def events(self, name: str, **fields: object) -> list[dict[str, Any]]:
        """The log's events of this name and with these fields, the oldest first."""
        return [
            event
            for event in self.log()
            if event["event"] == name and fields.items() <= event.items()
        ]

    def _since(self, name: str) -> list[dict[str, Any]]:
        """The events of this name since the last start."""
        lines = [json.loads(line) for line in self.stdout[self._lines_before :]]
        return [event for event in lines if event["event"] == name]

    def event(self, name: str, **fields: object) -> dict[str, Any]:
        """The first such event, waited for."""
        found: dict[str, Any] = until(lambda: self.events(name, **fields), f"{name} {fields}")[0]
        return found

    def refuses_to_start(self) -> int:
        """The exit code of a start that must fail."""
        self.launch()
        try:
            return self.wait()
        finally:
            self.end()

    def assert_healthy_log(self) -> None:
        """No fault of the gateway's own was logged, no text of a message, and no dlr_url."""
        output = self.output()
        assert "Traceback" not in output, output
        own = [event for event in self.log() if event["level"] in {"error", "critical"}]
        # error is also for what the API says that asks for the operator: credentials, wrong
        # URL, no credit left; and for an API that cannot be connected to.
        theirs = {"message_refused", "report_taken", "api_unreachable"}
        assert [one for one in own if one["event"] not in theirs] == []
        assert [event for event in self.log() if event["event"] == "python_warning"] == []
        said = [str(value) for event in self.log() for value in event.values()] + self.stderr
        everything = "\n".join(said)  # a text and a line may be many thousands
        for beginning in {text[:TELLING] for text in self.texts}:
            assert beginning not in everything, f"a message's text was logged: {beginning}"
        assert "/dlr/" not in output
        assert " stat:" not in output, "a receipt's text was logged"
        assert [token for token in self.tokens if token[:TELLING] in output] == []

    def admin(self, path: str, method: str = "GET", **headers: str) -> tuple[int, str, str]:
        """Status, content type and body."""
        return _http(self.ports["admin"], method, path, headers)

    def metrics(self) -> dict[str, float]:
        """Each sample as the exposition writes it, `name{label="value"}`, labels sorted."""
        samples = {}
        for family in text_string_to_metric_families(self.admin("/metrics")[2]):
            for sample in family.samples:
                labels = ",".join(f'{k}="{v}"' for k, v in sorted(sample.labels.items()))
                samples[sample.name + (f"{{{labels}}}" if labels else "")] = sample.value
        return samples

    def metric(self, sample: str) -> float:
        """One sample; 0 while nothing was counted."""
        return self.metrics().get(sample, 0.0)

    def sandbox(self, path: str) -> Any:
        """What the sandbox says beside the API."""
        pair = base64.b64encode(f"{USERNAME}:{PASSWORD}".encode()).decode()
        status, _, body = _http(self._sandbox_port, "GET", path, {"Authorization": f"Basic {pair}"})
        assert status == 200, body
        return json.loads(body)

    def accepted(self, to: str = "", limit: int = 1000) -> list[dict[str, Any]]:
        """What the sandbox accepted (for one number), the oldest first."""
        found = self.sandbox(f"/sandbox/messages?limit={limit}")["messages"]
        texts = {message["request"]["messages"][0]["text"] for message in found}
        self.texts |= {text for text in texts if len(text) >= TELLING}
        urls = {message["request"].get("dlr_url", "") for message in found} - {""}
        self.tokens |= {url.rpartition("/")[2] for url in urls}
        return [message for message in reversed(found) if to in {"", message["to"]}]

    def accepted_texts(self, to: str) -> list[str]:
        """The texts of those, in the order in which the sandbox accepted them."""
        return [message["request"]["messages"][0]["text"] for message in self.accepted(to)]

    def resident(self) -> int:
        """Its RSS in octets."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("no VmRSS")

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))


def _http(port: int, method: str, path: str, headers: dict[str, str]) -> tuple[int, str, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.getheader("Content-Type", ""), answer.read().decode()
    finally:
        connection.close()
