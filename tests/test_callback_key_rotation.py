"""`callback-keys add`: a file's first key, the next ones, and the end of old ones."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from gateway.callback_key_rotation import OPENS_FOR, Added, add, opens_until
from gateway.callback_keys import KeyFile, read
from gateway.errors import ConfigurationError
from gateway.omnichannel.callback import KeyRing
from tests.test_callback_keys import KEY, LINE, MADE, NOW, ROUTE, file_of, key

DAY = 86_400.0


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_file(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    before = os.umask(0)
    try:
        added = add(path, NOW + 0.7)
    finally:
        os.umask(before)
    assert mode_of(path) == 0o600
    assert added == Added(added.key, NOW, [], is_new_file=True)
    assert read(path) == [added.key]
    assert added.key.created == NOW
    assert len(set(added.key.secret)) > 16
    comment, line = path.read_text().splitlines()
    assert comment.startswith("# ")
    assert line.startswith(f"{added.key.kid} 2026-03-02T09:00:00Z ")
    assert os.listdir(tmp_path) == ["keys"]
    assert KeyFile(path).seal(ROUTE, NOW)[:2] == added.key.kid


def test_an_empty_file_is_filled(tmp_path: Path) -> None:
    """So its owner and mode can be given beforehand."""
    path = file_of(tmp_path)
    path.chmod(0o640)
    added = add(path, NOW)
    assert not added.is_new_file
    assert added.seals_from == NOW
    assert path.read_text().startswith("# ")
    assert mode_of(path) == 0o640


@pytest.mark.parametrize("end", ["\n", "", "\r\n"])
def test_one_more_key(tmp_path: Path, end: str) -> None:
    path = tmp_path / "keys"
    text = f"# of gw1, gw2: ä\n\n{LINE}# last".replace("\n", end or "\n") + end
    path.write_bytes(text.encode())
    path.chmod(0o640)
    inode = path.stat().st_ino
    added = add(path, NOW)
    assert read(path) == [KEY, added.key]
    assert added == Added(added.key, NOW + 300, [], is_new_file=False)
    assert path.read_bytes().startswith(text.encode())
    assert mode_of(path) == 0o640
    assert path.stat().st_ino != inode  # whoever reads it sees the old file or the new one


def test_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    path = file_of(tmp_path / "real", KEY)
    (tmp_path / "keys").symlink_to(path)
    add(tmp_path / "keys", NOW)
    assert (tmp_path / "keys").is_symlink()
    assert len(read(path)) == 2


@pytest.mark.parametrize(
    ("ages", "left"),
    [
        # days since each was made
        ([9.0], [0]),
        ([400.0], [0]),  # nothing took its place
        ([20.0, 8.0], [0, 1]),  # the younger began to seal 5 minutes later
        ([20.0, 8.0 + 301 / DAY], [1]),
        ([20.0, 8.0 + 299 / DAY], [0, 1]),
        ([400.0, 300.0, 200.0, 7.0], [2, 3]),
        ([7.0, 200.0, 300.0, 400.0], [0, 1]),
        ([9.0, 9.0], [0, 1]),
    ],
)
def test_keys_go_eight_days_after_another_took_their_place(
    tmp_path: Path, ages: list[float], left: list[int]
) -> None:
    keys = [key(f"k{number}", NOW - age * DAY, number) for number, age in enumerate(ages)]
    path = file_of(tmp_path, *keys)
    added = add(path, NOW)
    assert read(path) == [keys[number] for number in left] + [added.key]
    assert added.dropped == [one for number, one in enumerate(keys) if number not in left]


def test_until_when_a_key_opens() -> None:
    keys = [key("aa", 0), key("bb", 1000), key("cc", 5000)]
    assert [opens_until(keys, one) for one in keys] == [
        1000 + 300 + OPENS_FOR, 5000 + 300 + OPENS_FOR, None,
    ]  # fmt: skip


def test_two_nodes_open_each_others_tokens_at_every_step(tmp_path: Path) -> None:
    """One node reads the file at once and the other four minutes later, for a year of weeks."""
    path = tmp_path / "keys"
    add(path, 0.0)
    quick, slow = KeyFile(path), KeyFile(path)
    sent: list[tuple[float, str]] = []
    for week in range(1, 53):
        begins = week * 7 * DAY
        add(path, begins)
        assert quick.reload_if_changed()
        for now in (begins, begins + 200, begins + 240, begins + 299, begins + 301, begins + DAY):
            if now == begins + 240:
                assert slow.reload_if_changed()
            tokens = [quick.seal(ROUTE, now), slow.seal(ROUTE, now)]
            assert [quick.open(token) for token in tokens] == [ROUTE, ROUTE]
            assert [slow.open(token) for token in tokens] == [ROUTE, ROUTE]
            sent += ((now, token) for token in tokens)
            sent = [(at, token) for at, token in sent if now - at <= OPENS_FOR]
        for _, token in sent:
            assert quick.open(token) == ROUTE
    assert len(read(path)) == 3


def test_ids_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = file_of(tmp_path, key("aa"))
    letters = iter("aaab")
    monkeypatch.setattr("secrets.choice", lambda _: next(letters))
    assert add(path, NOW).key.kid == "ab"


# What cannot be done leaves everything as it was.


def test_a_file_that_is_not_understood_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text("not a key\n")
    with pytest.raises(ConfigurationError, match="line 1"):
        add(path, NOW)
    assert path.read_text() == "not a key\n"
    assert os.listdir(tmp_path) == ["keys"]


def test_a_key_of_the_future_is_refused(tmp_path: Path) -> None:
    """Else it would seal instead of the new one, and the new one perhaps never."""
    path = file_of(tmp_path, KEY, key("zz", NOW + 1))
    with pytest.raises(ConfigurationError) as wrong:
        add(path, NOW)
    assert wrong.value.problems == [
        f"{path}: line 2: was made in the future: put this machine's clock or the line right"
    ]
    assert os.listdir(tmp_path) == ["keys"]
    assert len(add(path, NOW + 1).dropped) == 0


def test_one_at_a_time(tmp_path: Path) -> None:
    path = file_of(tmp_path, KEY)
    (tmp_path / "keys.new").write_text("of another")
    with pytest.raises(FileExistsError):
        add(path, NOW)
    assert read(path) == [KEY]
    assert (tmp_path / "keys.new").read_text() == "of another"


def test_a_failure_while_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = file_of(tmp_path, KEY)

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        add(path, NOW)
    assert read(path) == [KEY]
    assert os.listdir(tmp_path) == ["keys"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_file_keeps_its_owner(tmp_path: Path) -> None:
    path = file_of(tmp_path, KEY)
    os.chown(path, 12_345, 23_456)
    add(path, MADE + 1)
    assert (path.stat().st_uid, path.stat().st_gid) == (12_345, 23_456)
    assert mode_of(path) == 0o600


def test_the_ring_of_a_file_just_added_to(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    first = add(path, NOW).key
    second = add(path, NOW + 60)
    ring = KeyRing(read(path))
    assert ring.sealing(second.seals_from - 1) == first
    assert ring.sealing(second.seals_from) == second.key
