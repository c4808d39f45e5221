"""The wheel is the same octets wherever it is built: two copies of the tree, made to differ."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from tests.markdown import ROOT

SOURCES = ("gateway", "pyproject.toml", "README.md", "LICENSE", ".gitignore")
HATCHLING = Path(sys.executable).parent / "hatchling"


def checkout(folder: Path, *, backwards: bool, mode: int, modified: int) -> Path:
    """A copy of what the wheel is made of, with another order on disk, other modes and times."""
    files = sorted(
        path.relative_to(ROOT)
        for source in SOURCES
        for path in ((ROOT / source).rglob("*") if (ROOT / source).is_dir() else [ROOT / source])
        if path.is_file() and path.suffix != ".pyc"
    )
    for name in reversed(files) if backwards else files:
        copy = folder / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, copy)
        copy.chmod(mode)
        os.utime(copy, (modified, modified))
    return folder


def wheel(folder: Path, **environment: str) -> Path:
    clean = {name: value for name, value in os.environ.items() if name != "SOURCE_DATE_EPOCH"}
    subprocess.run(
        [HATCHLING, "build", "-t", "wheel", "-d", "dist"],
        cwd=folder,
        env={**clean, **environment},
        check=True,
        capture_output=True,
    )
    (found,) = (folder / "dist").glob("*.whl")
    return found


def test_two_checkouts_give_the_same_wheel(tmp_path: Path) -> None:
    one = checkout(tmp_path / "one", backwards=False, mode=0o644, modified=1_700_000_000)
    two = checkout(tmp_path / "elsewhere", backwards=True, mode=0o660, modified=1_800_000_000)
    (two / "gateway/__pycache__").mkdir()
    (two / "gateway/__pycache__/cli.cpython-311.pyc").write_bytes(b"left by a run")
    commit = 1_764_000_000
    first, second = (
        wheel(folder, SOURCE_DATE_EPOCH=str(commit), TZ=zone)
        for folder, zone in ((one, "UTC"), (two, "Pacific/Auckland"))
    )
    assert first.name == second.name
    assert first.read_bytes() == second.read_bytes()
    entries = zipfile.ZipFile(first).infolist()
    assert {entry.date_time for entry in entries} == {(2025, 11, 24, 16, 0, 0)}
    packed = {entry.filename for entry in entries if entry.filename.startswith("gateway/")}
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "gateway").rglob("*.py")}
    assert packed == modules | {
        str(path.relative_to(ROOT))
        for path in (ROOT / "gateway").rglob("*")
        if path.is_file() and path.suffix not in {".py", ".pyc"}
    }


def test_make_wheel_dates_it_by_the_commit_unless_told_otherwise() -> None:
    def told(**environment: str) -> str:
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
        clean.pop("SOURCE_DATE_EPOCH", None)
        return subprocess.run(
            ["make", "--dry-run", "wheel"],
            cwd=ROOT,
            env={**clean, **environment},
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    dated = subprocess.run(
        ["git", "log", "-1", "--format=%ct"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    assert f"SOURCE_DATE_EPOCH={dated or 1580601600} " in told()
    assert "SOURCE_DATE_EPOCH=1764000000 " in told(SOURCE_DATE_EPOCH="1764000000")
