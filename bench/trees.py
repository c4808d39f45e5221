"""Which gateway is run: the installed command, a work tree, or a git revision."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.children import Failed

ROOT = Path(__file__).resolve().parent.parent
INSTALLED = Path(sys.executable).parent / "smpp-gateway"
PROBE = "import gateway; print(gateway.__file__)"
PROBE_WAIT = 30.0  # seconds


@dataclass(frozen=True)
class Tree:
    """The gateway in `folder`, or the installed command without one."""

    folder: Path | None = None

    @property
    def command(self) -> list[str | Path]:
        return [INSTALLED] if self.folder is None else [sys.executable, "-m", "gateway"]

    @property
    def environ(self) -> dict[str, str]:
        """Ours, without settings of a gateway; the folder's own package comes first."""
        environ = {name: v for name, v in os.environ.items() if not name.startswith("SMPPGW_")}
        if self.folder is not None:
            environ["PYTHONPATH"] = str(self.folder)
        return environ

    def knows(self, key: str) -> bool:
        """Whether its configuration has this key: an old revision refuses a new one."""
        config = (self.folder or ROOT) / "gateway" / "config.py"
        return f"    {key}: " in config.read_text()

    def verify(self) -> None:
        """Ask a child started like the gateway what it imports. Raises Failed if not ours."""
        assert self.folder is not None, "the installed command is what it is"
        ran = subprocess.run(
            [sys.executable, "-c", PROBE],
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=PROBE_WAIT,
            check=False,
        )
        if ran.returncode:
            raise Failed(f"the gateway in {self.folder} cannot be imported:\n{ran.stderr.strip()}")
        package = Path(ran.stdout.strip()).resolve()
        if not package.is_relative_to(self.folder.resolve()):
            raise Failed(f"not the gateway in {self.folder} but {package} is imported")


def commit(revision: str, root: Path = ROOT) -> str:
    """Give the short name of a revision's commit. Raises Failed for what names none."""
    text = _git(root, "rev-parse", "--short", "--verify", f"{revision}^{{commit}}")
    return text.decode().strip()


@contextlib.contextmanager
def checkout(revision: str, root: Path = ROOT) -> Iterator[Tree]:
    """Unpack a revision into a temporary folder, which is removed whatever happens.

    The repository is only read, never written: others may be at work in it.
    """
    with tempfile.TemporaryDirectory(prefix="smpp-gateway-revision-") as name:
        archive = _git(root, "archive", "--format=tar", commit(revision, root))
        subprocess.run(["tar", "-x", "-C", name], input=archive, check=True)
        tree = Tree(Path(name))
        tree.verify()
        yield tree


def _git(root: Path, *arguments: str) -> bytes:
    try:
        ran = subprocess.run(["git", "-C", root, *arguments], capture_output=True, check=False)
    except FileNotFoundError as error:
        raise Failed("a revision needs git") from error
    if ran.returncode:
        words = ran.stderr.decode(errors="replace").strip()
        raise Failed(f"git {arguments[0]}: {words}")
    return ran.stdout
