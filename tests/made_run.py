"""The gateway as `make run` starts it: a process of its own, on free ports, in its own folder."""

from __future__ import annotations

import json
import os
import re
import shlex
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.markdown import ROOT

COMMAND = Path(sys.executable).parent / "smpp-gateway"
DEMO = ROOT / "config/demo.toml"
PATIENCE = 20.0  # seconds that any command may take


@dataclass
class Running:
    """`make run` on free ports, in a folder of its own."""

    process: subprocess.Popen[str]
    folder: Path
    ports: dict[int, int]  # from those the documents print
    invitation: list[str]

    def events(self) -> list[str]:
        lines = (self.folder / "gateway.log").read_text().splitlines()
        return [json.loads(line)["event"] for line in lines]

    def moved(self, text: str) -> str:
        """`text` with the ports that this gateway has."""
        return re.sub(r"(?<=:)\d{4}\b", lambda port: str(self.ports[int(port[0])]), text)


def free_ports(count: int) -> list[int]:
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(listener.getsockname()[1]) for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports


def environment() -> dict[str, str]:
    """Without what make and the caller's shell would tell the gateway."""
    return {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("SMPPGW_", "MAKE", "MFLAGS"))
    }


@contextmanager
def made_run(folder: Path) -> Iterator[Running]:
    """The last command of `make run`, with config/demo.toml moved to free ports."""
    told = subprocess.run(
        ["make", "--dry-run", "run"],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    program, *arguments = shlex.split(told.stdout.splitlines()[-1])
    assert program == ".venv/bin/smpp-gateway"
    assert arguments == ["serve", "-c", "config/demo.toml"]
    ports = dict(zip((2775, 8080, 8081, 8085), free_ports(4), strict=True))
    text = DEMO.read_text()
    for printed, port in ports.items():
        assert f'127.0.0.1:{printed}"' in text or f"127.0.0.1:{printed}/" in text
        text = text.replace(f":{printed}", f":{port}")
    # The account that the quick start makes, beside the demo's.
    text += '\n[[accounts]]\nsystem_id = "bank"\npassword = "secret"\ndefault_sender = "Bank"\n'
    (folder / "demo.toml").write_text(text)
    with (folder / "gateway.log").open("w") as log:
        process = subprocess.Popen(
            [COMMAND, *arguments[:-1], folder / "demo.toml"],
            cwd=folder,
            env=environment(),
            stdout=log,
            stderr=subprocess.PIPE,
            text=True,
        )
    try:
        yield Running(process, folder, ports, until_invited(process))
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(PATIENCE)
        assert process.stderr is not None
        process.stderr.close()


def until_invited(process: subprocess.Popen[str]) -> list[str]:
    """What `make run` prints for the newcomer, up to its last line."""
    assert process.stderr is not None
    lines: list[str] = []
    give_up = threading.Timer(PATIENCE, process.kill)
    give_up.start()
    for line in process.stderr:
        lines.append(line.strip())
        if "Ctrl-C" in line:
            break
    give_up.cancel()
    assert lines, "the gateway ended without a word"
    assert "Ctrl-C" in lines[-1], lines
    return lines
