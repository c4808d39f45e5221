"""One target at work: a child process, what it tells, and what it leaves.

New inputs collect in build/fuzz/<target> from one run to the next.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.fuzz import inputs
from tests.fuzz.target import Target

ROOT: Final = Path(__file__).parents[2]
WORK: Final = ROOT / "build" / "fuzz"
FOUND: Final = Path(__file__).with_name("found")

_TIMEOUT: Final = 30  # seconds that one input may take, on a machine that has other work
_MEGABYTES: Final = 2048
_PAUSE: Final = 10.0  # seconds between two lines about a target
_TAIL: Final = 60  # lines of a child that are shown when it ends badly
_PROGRESS: Final = re.compile(r"#(\d+)\t.*cov: (\d+) .*corp: (\d+)/.*exec/s: (\d+)")
_TOTALS: Final = re.compile(r"stat::(\w+):\s+(\d+)")
_WRITTEN: Final = re.compile(r"Test unit written to (\S+)")


@dataclass
class Result:
    """What became of one target."""

    name: str
    executions: int = 0
    coverage: int = 0  # edges of bytecode
    inputs: int = 0  # in the corpus at work
    new: int = 0
    seconds: float = 0.0
    failure: str = ""  # the end of what the child said
    artifact: Path | None = None  # the input at fault
    _said: deque[str] = field(default_factory=lambda: deque(maxlen=_TAIL), repr=False)

    @property
    def line(self) -> str:
        pace = self.executions / self.seconds if self.seconds else 0
        return (
            f"{self.name:<16} {self.executions:>13,} executions {pace:>9,.0f}/s"
            f"  coverage {self.coverage:>5}  inputs {self.inputs:>5} (+{self.new})"
        )

    def hear(self, line: str) -> None:
        self._said.append(line)
        if progress := _PROGRESS.match(line):
            self.executions, self.coverage, self.inputs, _ = map(int, progress.groups())
            self.new += "\tNEW " in line
        elif totals := _TOTALS.match(line):
            if totals[1] == "number_of_executed_units":
                self.executions = int(totals[2])
        elif written := _WRITTEN.search(line):
            self.artifact = Path(written[1])

    def end(self, code: int) -> None:
        if code:
            self.failure = "".join(self._said) or f"the child ended with {code}"


def fuzz(
    name: str, target: Target, *, seconds: float, runs: int, say: Callable[[str], None]
) -> Result:
    """Run one target until its time or its `runs` (0: no matter how many) are over."""
    result = Result(name)
    work = WORK / name
    work.mkdir(parents=True, exist_ok=True)
    FOUND.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="smpp-gateway-fuzz-") as folder:
        seeds = Path(folder) / "seeds"
        inputs.spread([*inputs.kept(name), *inputs.mended(name)], seeds)
        words = Path(folder) / "words"
        words.write_text(
            "".join(f'"{_quoted(word)}"\n' for word in target.words or [b"\0"]), "ascii"
        )
        options = [
            *(f"-max_len={target.longest}", f"-timeout={_TIMEOUT}", f"-rss_limit_mb={_MEGABYTES}"),
            *(f"-artifact_prefix={FOUND}/{name}-", f"-dict={words}"),
            *("-print_final_stats=1", "-print_funcs=0"),
            *([f"-runs={runs}"] if runs else [f"-max_total_time={max(1, round(seconds))}"]),
        ]
        begun = told = time.monotonic()
        with _child(name, *options, str(work), str(seeds)) as child:
            assert child.stdout is not None
            for line in child.stdout:
                result.hear(line)
                now = time.monotonic()
                if now - told >= _PAUSE:
                    told, result.seconds = now, now - begun
                    say(result.line)
        result.seconds = time.monotonic() - begun
        result.end(child.returncode)
    return result


def keep(name: str) -> None:
    """Make of all inputs of this target the fewest that reach as much; they are the corpus."""
    with tempfile.TemporaryDirectory(prefix="smpp-gateway-fuzz-") as folder:
        seeds, merged = Path(folder) / "seeds", Path(folder) / "merged"
        inputs.spread(inputs.kept(name), seeds)
        merged.mkdir()
        folders = [str(merged), str(WORK / name), str(seeds)]
        with _child(name, "-set_cover_merge=1", *folders) as child:
            said, _ = child.communicate()
        if child.returncode:
            raise RuntimeError(f"the inputs of {name} were not merged: {said[-2000:]}")
        inputs.keep(name, inputs.gathered(merged))


def shrunk(target: Target, octets: bytes) -> bytes:
    """A shorter input that fails in the same way, if leaving out pieces makes one."""
    kind = _fails(target, octets)
    size = len(octets) // 2
    while kind is not None and size:
        at = 0
        while at < len(octets):
            shorter = octets[:at] + octets[at + size :]
            if _fails(target, shorter) is kind:
                octets = shorter
            else:
                at += size
        size //= 2
    return octets


def _fails(target: Target, octets: bytes) -> type[Exception] | None:
    try:
        target.run(octets)
    except Exception as error:  # noqa: BLE001  whatever it is, that is the question
        return type(error)
    return None


def _child(name: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.fuzz.engine", name, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )


def _quoted(word: bytes) -> str:
    return "".join(f"\\x{octet:02X}" for octet in word)
