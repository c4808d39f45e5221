"""The comparison with a revision, with gateways that only say who they are."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from bench import against as module
from bench.against import against
from bench.children import Failed
from bench.results import Results
from bench.run import Run
from bench.scenarios import REVISION, THIS_TREE
from bench.trees import Tree


class FakeRun:
    """Notes what is served and measured."""

    def __init__(self) -> None:
        self.results = Results()
        self.gateways = self
        self.served: list[Path | None] = []
        self.running: list[Path | None] = []
        self.measured: list[tuple[Any, Any]] = []

    @contextlib.contextmanager
    def serve(self, engine: str, *, tree: Tree) -> Iterator[Path | None]:
        assert engine == "libcurl"
        self.served.append(tree.folder)
        self.running.append(tree.folder)
        yield tree.folder
        self.running.remove(tree.folder)

    def in_turn(self, rows: list[tuple[Any, Any]], *, alternate: bool) -> None:
        assert alternate
        assert self.running == self.served, "both stay up"
        self.measured = rows


@pytest.fixture
def _trees(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextlib.contextmanager
    def checkout(revision: str, root: Path) -> Iterator[Tree]:
        yield Tree(root / "unpacked" / revision)

    monkeypatch.setattr(module, "checkout", checkout)
    monkeypatch.setattr(module, "commit", lambda revision, root: "1234567")
    monkeypatch.setattr(Tree, "verify", lambda self: None)


@pytest.mark.usefixtures("_trees")
@pytest.mark.parametrize(
    ("revision", "name"), [("HEAD~1", "1234567 (HEAD~1)"), ("1234567", "1234567")]
)
def test_both_trees_are_served_at_once(tmp_path: Path, revision: str, name: str) -> None:
    run = FakeRun()
    against(cast("Run", run), revision, tmp_path)
    that = tmp_path / "unpacked" / revision
    assert run.measured == [(THIS_TREE, tmp_path), (REVISION, that)]
    assert run.results.against == name
    assert run.running == []


def test_an_unknown_revision_starts_nothing(tmp_path: Path) -> None:
    run = FakeRun()
    with pytest.raises(Failed):
        against(cast("Run", run), "nope", tmp_path)
    assert run.served == []
