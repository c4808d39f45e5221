"""The inputs that are kept: `corpus/<target>.hex`, one input a line, the shortest first.

They are text, so that a change of them can be read. Between them they reach whatever a long
run reached; `python -m tests.fuzz --keep` writes them anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from tests.fuzz.regressions import ROWS

FOLDER: Final = Path(__file__).with_name("corpus")


def kept(name: str) -> list[bytes]:
    """The corpus of one target."""
    path = FOLDER / f"{name}.hex"
    return [bytes.fromhex(line) for line in path.read_text("ascii").splitlines()]


def mended(name: str) -> list[bytes]:
    """The inputs that once broke a promise of this target."""
    return [bytes.fromhex(written) for target, written, _ in ROWS if target == name]


def keep(name: str, inputs: Iterable[bytes]) -> None:
    ordered = sorted(set(inputs), key=lambda octets: (len(octets), octets))
    text = "".join(f"{octets.hex()}\n" for octets in ordered)
    (FOLDER / f"{name}.hex").write_text(text, "ascii")


def spread(inputs: Iterable[bytes], folder: Path) -> None:
    """As files, which is how libFuzzer reads them."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, octets in enumerate(inputs):
        (folder / f"{number:05d}").write_bytes(octets)


def gathered(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(folder.iterdir())]
