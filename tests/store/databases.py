"""The databases that the contract is held against."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from gateway.store.sql import SqlStore

# Another database joins the contract by a line here.
DATABASES: Final[dict[str, Callable[[Path], str]]] = {
    "memory": lambda place: "sqlite://",
    "file": lambda place: f"sqlite:///{place}/store.db",
}
LASTING: Final = tuple(name for name in DATABASES if name != "memory")

OpenStore = Callable[..., SqlStore]
