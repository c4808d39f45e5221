"""A revision is unpacked, proved to be the one that runs, and removed."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from bench import trees
from bench.children import Failed
from bench.trees import Tree, checkout, commit


def git(folder: Path, *arguments: str) -> str:
    settings = ("user.name=bench", "user.email=bench@example.com", "commit.gpgsign=false")
    options = [word for setting in settings for word in ("-c", setting)]
    ran = subprocess.run(
        ["git", "-C", folder, *options, *arguments], check=True, capture_output=True, text=True
    )
    return ran.stdout


def package(folder: Path, version: str) -> None:
    (folder / "gateway").mkdir(exist_ok=True)
    (folder / "gateway" / "__init__.py").write_text(f"version = {version!r}\n")


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two commits, `old` tagged, and a change that is not committed; temporary files beside."""
    for name in list(os.environ):
        if name.startswith("GIT_"):
            monkeypatch.delenv(name)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "--quiet")
    for version in ("old", "new"):
        package(folder, version)
        git(folder, "add", ".")
        git(folder, "commit", "--quiet", "--message", version)
        git(folder, "tag", version)
    package(folder, "changed")
    return folder


def left(repository: Path) -> list[Path]:
    return list((repository.parent / "temporary").iterdir())


def imported(tree: Tree) -> str:
    ran = subprocess.run(
        [sys.executable, "-c", "import gateway; print(gateway.version)"],
        cwd=tree.folder,
        env=tree.environ,
        check=True,
        capture_output=True,
        text=True,
    )
    return ran.stdout.strip()


def test_each_tree_runs_its_own_gateway(repository: Path) -> None:
    with checkout("old", repository) as old, checkout("HEAD", repository) as head:
        assert [imported(old), imported(head), imported(Tree(repository))] == [
            "old",
            "new",
            "changed",
        ]
        assert old.command == [sys.executable, "-m", "gateway"]
    assert left(repository) == []


@pytest.mark.parametrize("error", [Failed, KeyboardInterrupt, SystemExit])
def test_the_folder_goes_whatever_happens(repository: Path, error: type[BaseException]) -> None:
    before = git(repository, "status", "--porcelain=v2", "--branch")
    with pytest.raises(error), checkout("old", repository) as tree:  # noqa: PT012
        assert tree.folder is not None
        assert left(repository) == [tree.folder]
        raise error
    assert left(repository) == []
    assert git(repository, "status", "--porcelain=v2", "--branch") == before
    assert len(git(repository, "worktree", "list").splitlines()) == 1


def test_a_clean_clone_is_enough(repository: Path, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(repository), str(clone))
    with checkout("HEAD~1", clone) as tree:
        assert imported(tree) == "old"


def test_the_commit_is_named(repository: Path) -> None:
    assert commit("old", repository) == git(repository, "rev-parse", "--short", "old").strip()


@pytest.mark.parametrize("revision", ["nope", "HEAD~2", "--help", ""])
def test_an_unknown_revision_is_a_failure(repository: Path, revision: str) -> None:
    with pytest.raises(Failed, match="git rev-parse: "), checkout(revision, repository):
        pass
    assert left(repository) == []


def test_no_repository_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="git rev-parse: "):
        commit("HEAD", tmp_path)


def test_a_revision_without_a_gateway_is_not_replaced_by_ours(repository: Path) -> None:
    git(repository, "rm", "-r", "--quiet", "--force", "gateway")
    git(repository, "commit", "--quiet", "--message", "none")
    with pytest.raises(Failed, match="not the gateway in"), checkout("HEAD", repository):
        pass
    assert left(repository) == []


def test_a_gateway_that_cannot_be_imported_says_why(tmp_path: Path) -> None:
    (tmp_path / "gateway").mkdir()
    (tmp_path / "gateway" / "__init__.py").write_text("raise ImportError('something is missing')\n")
    with pytest.raises(Failed, match="something is missing"):
        Tree(tmp_path).verify()


def test_this_tree_is_a_tree() -> None:
    Tree(trees.ROOT).verify()


def test_settings_of_another_gateway_do_not_leak(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMPPGW_STORE__URL", "sqlite:///other.db")
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    for tree in (Tree(), Tree(Path("/folder"))):
        assert "SMPPGW_STORE__URL" not in tree.environ
    assert Tree(Path("/folder")).environ["PYTHONPATH"] == "/folder"
    assert Tree().environ["PYTHONPATH"] == "elsewhere"
    assert Tree().command == [trees.INSTALLED]
