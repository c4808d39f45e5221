"""The processes of a run: started, spoken to, measured, and ended whatever happens."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

STOP_WAIT = 10.0


class Failed(Exception):
    """A child did not do its part; the text says which and what it said last."""


def tail(file: Path, lines: int = 15) -> str:
    return "\n".join(file.read_text(errors="replace").splitlines()[-lines:])


@contextlib.contextmanager
def child(
    arguments: Sequence[str | Path],
    log: Path,
    *,
    stdin: int | None = None,
    folder: Path | None = None,
    environ: Mapping[str, str] | None = None,
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
            cwd=folder,
            env=environ,
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
        raise Failed(f"{what} ended early:\n{tail(log)}")
    line: dict[str, Any] = json.loads(text)
    return line


def finished(
    module: str,
    log: Path,
    limit: float,
    *arguments: object,
    meanwhile: Callable[[], None] | None = None,
    every: float = 0.5,
) -> dict[str, Any]:
    """Run `python -m MODULE ARGUMENTS` to its end; give the JSON line it prints.

    `meanwhile` is called `every` so many seconds.
    """
    command = [sys.executable, "-m", module, *map(str, arguments)]
    ends = time.monotonic() + limit
    with child(command, log) as process:
        while True:
            left = max(0.0, ends - time.monotonic())
            try:
                text, _ = process.communicate(timeout=min(every, left) if meanwhile else left)
                break
            except subprocess.TimeoutExpired as error:
                if meanwhile is None or left <= every:
                    raise Failed(f"{module} did not end within {limit:.0f} s") from error
                meanwhile()
    if process.returncode or not text:
        raise Failed(f"{module} ended with {process.returncode}:\n{tail(log)}")
    line: dict[str, Any] = json.loads(text)
    return line


def ask(process: subprocess.Popen[str], command: str, what: str, log: Path) -> dict[str, Any]:
    """Write a command to a child; give the line it answers."""
    assert process.stdin is not None, "opened as a pipe"
    process.stdin.write(command + "\n")
    process.stdin.flush()
    return json_line(process.stdout, what, log)


@dataclass
class Upstream:
    """The HTTPS stub; `bench.upstream` says what it answers."""

    process: subprocess.Popen[str]
    log: Path
    base_url: str
    ca_file: str

    def ask(self, command: str) -> dict[str, Any]:
        return ask(self.process, command, "the upstream", self.log)


@contextlib.contextmanager
def upstream(folder: Path, *options: str) -> Iterator[Upstream]:
    log = folder / "upstream.log"
    command: list[str | Path] = [sys.executable, "-m", "bench.upstream", "--folder", folder]
    with child([*command, *options], log) as process:
        ready = json_line(process.stdout, "the upstream", log)
        base_url = f"https://127.0.0.1:{ready['port']}/v1"
        yield Upstream(process, log, base_url, ready["ca_file"])
