"""The verb `callback-keys`."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.callback_keys import in_utc, line_of, read
from gateway.cli import main
from tests import markdown
from tests.test_callback_keys import file_of, key

DAY = 86_400.0


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["callback-keys", *map(str, arguments)])


def shows_no_key(result: Result, path: Path) -> bool:
    return all(line_of(one).split()[-1][:16] not in result.output for one in read(path))


def test_add_makes_a_file_and_adds_to_it(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    made = run("add", path)
    [first] = read(path)
    assert made.exit_code == 0
    assert made.stdout == (
        f"Made {path}, readable by its owner only, with the key {first.kid}.\nIt seals at once.\n"
    )
    assert made.stderr == ""
    added = run("add", path)
    _, second = read(path)
    assert added.exit_code == 0
    assert added.stdout == (
        f"Added the key {second.kid} to {path}.\n"
        f"It seals from {in_utc(second.created + 300)}: every gateway needs it by then.\n"
    )
    assert shows_no_key(made, path)
    assert shows_no_key(added, path)


def test_add_says_what_it_dropped(tmp_path: Path) -> None:
    old = time.time() - 100 * DAY
    path = file_of(tmp_path, key("aa", old), key("bb", old + 50 * DAY, 2))
    path.chmod(0o644)
    added = run("add", path)
    assert added.stdout.splitlines()[2:] == [
        f"Dropped the key aa of {in_utc(old)}, long out of use."
    ]
    assert added.stderr == (
        f"warning: {path}: every user of this machine can read these keys: chmod o-r\n"
    )


def test_list(tmp_path: Path) -> None:
    now = time.time()
    keys = [
        key("dd", now - 20, 4),
        key("aa", now - 100 * DAY, 1),
        key("bb", now - 3 * DAY, 2),
        key("cc", now - 3 * 3600, 3),
    ]
    path = file_of(tmp_path, *keys)
    path.chmod(0o644)
    listed = run("list", path)
    lines = [re.split(r"\s{2,}", line) for line in listed.stdout.splitlines()]
    assert [(kid, does) for kid, _, _, does in lines] == [
        ("aa", f"opens, may go after {in_utc(int(keys[2].created) + 300 + 8 * DAY)}"),
        ("bb", f"opens, may go after {in_utc(int(keys[3].created) + 300 + 8 * DAY)}"),
        ("cc", "seals now"),
        ("dd", f"opens, seals from {in_utc(int(keys[0].created) + 300)}"),
    ]
    assert [age for _, _, age, _ in lines][:3] == ["100 days", "3 days", "3 hours"]
    assert re.fullmatch(r"2\d s", lines[3][2])
    assert lines[0][1] == f"made {in_utc(keys[1].created)}"
    assert listed.stderr.startswith("warning: ")
    assert shows_no_key(listed, path)


def test_list_of_a_file_with_one_key(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    run("add", path)
    assert run("list", path).stdout.endswith("seals now\n")


@pytest.mark.parametrize("verb", ["add", "list"])
def test_a_file_that_cannot_be_used(tmp_path: Path, verb: str) -> None:
    path = tmp_path / "keys"
    path.write_text("secret stuff\n")
    result = run(verb, path)
    assert result.exit_code == 78
    assert result.stdout == ""
    assert result.stderr == (
        f"{path}: line 1: a key is three words: its id, when it was made, and base64\n"
    )


def test_list_of_nothing(tmp_path: Path) -> None:
    result = run("list", tmp_path / "keys")
    assert result.exit_code == 78
    assert "cannot be read: No such file or directory: make one with" in result.stderr


def test_add_where_nothing_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / "none" / "keys"
    result = run("add", path)
    assert result.exit_code == 1
    assert result.stderr == f"Error: {path} cannot be written: No such file or directory\n"


def test_add_beside_another(tmp_path: Path) -> None:
    (tmp_path / "keys.new").touch()
    result = run("add", tmp_path / "keys")
    assert result.exit_code == 1
    assert result.stderr == (
        f"Error: {tmp_path}/keys.new is there: another callback-keys add is at work, or one was "
        "killed; if none runs, delete that file\n"
    )


def test_add_to_somebody_elses_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = file_of(tmp_path, key("aa"))

    def refused(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "fchmod", refused)
    result = run("add", path)
    assert result.exit_code == 1
    assert result.stderr == (
        f"Error: {path} cannot be written: Operation not permitted: run this as the file's owner\n"
    )
    assert os.listdir(tmp_path) == ["keys"]


@pytest.mark.parametrize("arguments", [("add",), ("list",), ("remove", "x"), ("add", "x", "y")])
def test_a_wrong_command_line(arguments: tuple[str, ...]) -> None:
    assert run(*arguments).exit_code == 2


def test_a_folder_is_no_key_file(tmp_path: Path) -> None:
    assert run("add", tmp_path).exit_code == 2


@pytest.mark.parametrize("verb", ["add", "list"])
def test_help_has_an_example_and_is_like_the_page(verb: str) -> None:
    shown = run(verb, "--help").output
    [example] = re.findall(r"Example:\n +(smpp-gateway callback-keys .*)", shown)
    page = (markdown.ROOT / "docs" / "command-line.md").read_text()
    assert f"    {example}\n" in page
