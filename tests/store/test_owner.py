"""One gateway for one store."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gateway.store.base import StoreUnavailable
from gateway.store.owner import Owner

HOLD = """
import sys
from pathlib import Path
from gateway.store.owner import Owner
owner = Owner(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_another_process_is_turned_away_until_this_one_dies(tmp_path: Path) -> None:
    file = tmp_path / "store.db"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(StoreUnavailable, match="in use by another gateway"):
            Owner(file)
        holder.kill()
    Owner(file).close()


def test_closing_gives_it_up(tmp_path: Path) -> None:
    for _ in range(2):
        Owner(tmp_path / "store.db").close()


def test_a_place_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match=r"nowhere/store\.db-lock: No such file"):
        Owner(tmp_path / "nowhere" / "store.db")
