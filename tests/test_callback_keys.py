"""The key file: what stands in it, and how a running gateway follows it."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest

from gateway.callback_keys import KeyFile, in_utc, line_of, read, warning
from gateway.errors import ConfigurationError
from gateway.omnichannel.callback import BadToken, Key
from gateway.omnichannel.route import Route, Target
from gateway.smpp.pdu import Address

MADE = 1_772_355_600.0  # 2026-03-01T09:00:00Z
NOW = MADE + 86_400
ROUTE = Route(
    "bank", NOW, 7, Address(5, 0, "Bank"), Address(1, 1, "37255500001"), targets=(Target(0, 1),)
)
SECRET = base64.b64encode(bytes(range(64))).decode()
LINE = f"q7 2026-03-01T09:00:00Z {SECRET}\n"
KEY = Key("q7", MADE, bytes(range(64)))


def key(kid: str, created: float = MADE, secret: int = 1) -> Key:
    return Key(kid, created, bytes([secret]) * 64)


def file_of(folder: Path, *keys: Key) -> Path:
    path = folder / "keys"
    path.write_text("".join(line_of(one) + "\n" for one in keys))
    path.chmod(0o600)
    return path


@pytest.mark.parametrize(
    "text",
    [
        LINE,
        LINE.strip(),
        f"# made for gw1 and gw2\n\n  # ä\n{LINE}\n",
        "\ufeff" + LINE,
        LINE.replace("\n", "\r\n"),
        f"  q7\t2026-03-01T11:00:00+02:00   {SECRET} \n",
    ],
)
def test_a_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "keys"
    path.write_bytes(text.encode())
    assert read(path) == [KEY]


def test_a_key_as_its_line() -> None:
    assert line_of(KEY) + "\n" == LINE
    assert in_utc(MADE + 0.9) == "2026-03-01T09:00:00Z"


TAIL = "make one with: smpp-gateway callback-keys add"


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("", [f": has no key: {TAIL} "]),
        ("# nothing\n\n", [f": has no key: {TAIL} "]),
        (SECRET, [": line 1: a key is three words: its id, when it was made, and base64"]),
        (f"q7 {SECRET}", [": line 1: a key is three words"]),
        (LINE.strip() + " x", [": line 1: a key is three words"]),
        (LINE.replace("q7", "q77"), [": line 1: the id of a key has 2 letters or digits"]),
        (LINE.replace("q7", "q-"), [": line 1: the id of a key has 2 letters or digits"]),
        (LINE.replace("q7", "qä"), [": line 1: the id of a key has 2 letters or digits"]),
        (LINE.replace("03-01", "02-30"), [": line 1: the second word is no time, such as 20"]),
        (LINE.replace("00Z", "00"), [": line 1: the time has no zone: end it with Z for UTC"]),
        (LINE.replace(SECRET, SECRET[:-1]), [": line 1: the third word is not base64: was it cut"]),
        (LINE.replace(SECRET, SECRET[:-4]), [": line 1: the key has 63 octets and needs 64"]),
        (LINE.replace(SECRET, SECRET[:-3] + "ä=="), [": line 1: the third word is not base64"]),
        (f"{LINE}# x\n{LINE}", [": line 3: the id q7 is taken by a line above"]),
        (f"a\n{LINE}b c\n", [": line 1: a key is", ": line 3: a key is"]),
        ("x" * 65_537, [": has more than 65536 octets: is it the right file?"]),
        (b"\xff" + LINE.encode(), [": is not UTF-8 text: is it the right file?"]),
    ],
    ids=lambda value: repr(value[:30]) if isinstance(value, str | bytes) else None,
)
def test_a_file_that_cannot_be_used(tmp_path: Path, text: str | bytes, problems: list[str]) -> None:
    path = tmp_path / "keys"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigurationError) as wrong:
        read(path)
    assert len(wrong.value.problems) == len(problems)
    for found, words in zip(wrong.value.problems, problems, strict=True):
        assert found.startswith(f"{path}{words}")
        assert SECRET[:12] not in found
    with pytest.raises(ConfigurationError):
        KeyFile(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    with pytest.raises(ConfigurationError) as wrong:
        KeyFile(path)
    assert wrong.value.problems == [
        f"{path}: cannot be read: No such file or directory: {TAIL} {path}"
    ]
    with pytest.raises(ConfigurationError, match=r"cannot be read: Is a directory$"):
        read(tmp_path)


@pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o640, False), (0o644, True)])
def test_who_may_read_it(tmp_path: Path, mode: int, warned: bool) -> None:
    path = file_of(tmp_path, KEY)
    path.chmod(mode)
    words = f"{path}: every user of this machine can read these keys: chmod o-r"
    assert warning(path) == (words if warned else "")
    assert warning(tmp_path / "missing") == ""


# In use


def test_a_file_in_use_seals_and_opens(tmp_path: Path) -> None:
    keys = KeyFile(file_of(tmp_path, KEY))
    token = keys.seal(ROUTE, NOW)
    assert token[:2] == "q7"
    assert keys.open(token) == ROUTE
    assert not keys.reload_if_changed()
    assert keys.error is None


def replaced(folder: Path, text: str) -> None:
    (folder / "other").write_text(text)
    os.replace(folder / "other", folder / "keys")


def written(folder: Path, text: str) -> None:
    (folder / "keys").write_text(text)


@pytest.mark.parametrize("put", [replaced, written])
def test_a_change_is_followed(tmp_path: Path, put: object) -> None:
    assert callable(put)
    keys = KeyFile(file_of(tmp_path, KEY))
    old = keys.ring
    token = keys.seal(ROUTE, NOW)
    put(tmp_path, LINE + line_of(key("zz", MADE + 60)) + "\n")
    assert keys.reload_if_changed()
    assert not keys.reload_if_changed()
    assert keys.open(token) == ROUTE
    new = keys.seal(ROUTE, NOW)
    assert new[:2] == "zz"
    with pytest.raises(BadToken):
        old.open(new)


def test_an_exchanged_link_is_a_change(tmp_path: Path) -> None:
    """So Kubernetes exchanges the files of a secret: all names in the folder are links."""
    for name, one in (("1", KEY), ("2", key("zz"))):
        (tmp_path / name).mkdir()
        file_of(tmp_path / name, one)
    (tmp_path / "data").symlink_to("1")
    keys = KeyFile(tmp_path / "data" / "keys")
    (tmp_path / "new").symlink_to("2")
    os.replace(tmp_path / "new", tmp_path / "data")
    assert keys.reload_if_changed()
    assert keys.seal(ROUTE, NOW)[:2] == "zz"


def test_the_same_size_and_time_do_not_hide_a_change(tmp_path: Path) -> None:
    path = file_of(tmp_path, KEY)
    before = path.stat()
    keys = KeyFile(path)
    written(tmp_path, LINE.replace("q7", "zz"))
    while path.stat().st_ctime_ns == before.st_ctime_ns:  # a tick of the kernel's, some ms
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert keys.reload_if_changed()
    assert keys.seal(ROUTE, NOW)[:2] == "zz"


@pytest.mark.parametrize(
    ("text", "words"),
    [(LINE[:-10], "line 1: the third word"), ("", "has no key"), (None, "cannot be read: No such")],
)
def test_a_bad_change_leaves_the_keys(tmp_path: Path, text: str | None, words: str) -> None:
    path = file_of(tmp_path, KEY)
    keys = KeyFile(path)
    token = keys.seal(ROUTE, NOW)
    if text is None:
        path.rename(tmp_path / "away")
    else:
        replaced(tmp_path, text)
    for _ in range(2):
        assert not keys.reload_if_changed()
        assert keys.error is not None
        assert words in keys.error.detail
        assert keys.open(token) == ROUTE
        assert keys.seal(ROUTE, NOW) == token
    if text is None:
        (tmp_path / "away").rename(path)
    else:
        replaced(tmp_path, LINE)
    assert keys.reload_if_changed()
    assert keys.error is None


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_becomes_readable_is_read(tmp_path: Path) -> None:
    path = file_of(tmp_path, KEY)
    keys = KeyFile(path)
    path.chmod(0)
    assert not keys.reload_if_changed()
    assert keys.error is not None
    path.chmod(0o600)
    assert keys.reload_if_changed()
    assert keys.error is None
