"""A new key for the callbacks, and the end of old ones: what `callback-keys add` does."""

from __future__ import annotations

import os
import secrets
import stat
import string
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from gateway.callback_keys import content, keys_in, line_of
from gateway.errors import ConfigurationError
from gateway.omnichannel.callback import KEY_OCTETS, KID_CHARACTERS, PICKED_UP, Key

# Seconds that a key opens for, at least, once another one seals: a message may wait for a phone
# for days, and the reports of it may be repeated.
OPENS_FOR: Final = 8 * 86_400.0

_HEADING: Final = "# Keys of the callbacks of smpp-gateway: id, made at, key. A secret.\n"
_LETTERS: Final = string.ascii_letters + string.digits


class Added(NamedTuple):
    """What `add` did."""

    key: Key
    seals_from: float  # wall-clock seconds
    dropped: list[Key]
    is_new_file: bool


def add(path: Path, now: float) -> Added:
    """Add a key to a file, or make the file with one, for its owner only.

    Drops the keys that have not sealed for eight days. The file is replaced in one step and
    keeps its owner, its mode and its comments. Raises ConfigurationError when the file cannot
    be understood and OSError when it cannot be replaced: FileExistsError while another `add`
    works on it.
    """
    path = path.resolve()  # a link stays one
    beside = path.with_name(f"{path.name}.new")
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(handle, "w", encoding="utf-8", newline="") as file:
            is_new_file = not path.exists()
            text = _HEADING
            found: list[tuple[int, Key]] = []
            if not is_new_file:
                _keep_access(path, handle)
                text = content(path) or _HEADING
                found = keys_in(path, text, must_have=0)
            made = Key(_free_kid(found), float(int(now)), secrets.token_bytes(KEY_OCTETS))
            _refuse_future(path, found, now)
            dropped = _out_of_use([key for _, key in found], now)
            gone = {number for number, key in found if key in dropped}
            lines = text.removesuffix("\n").split("\n")
            kept = [line for number, line in enumerate(lines, start=1) if number not in gone]
            file.write("\n".join([*kept, line_of(made)]) + "\n")
            file.flush()
            os.fsync(handle)
        beside.replace(path)
    except BaseException:
        beside.unlink()
        raise
    _sync_folder(path.parent)
    seals_from = made.created + PICKED_UP if found else made.created
    return Added(made, seals_from, dropped, is_new_file)


def opens_until(keys: Sequence[Key], key: Key) -> float | None:
    """When a key may be dropped: None as long as none of the keys takes its place."""
    newer = [other.created for other in keys if other.created > key.created]
    return min(newer) + PICKED_UP + OPENS_FOR if newer else None


def _out_of_use(keys: Sequence[Key], now: float) -> list[Key]:
    return [key for key in keys if (until := opens_until(keys, key)) is not None and until < now]


def _free_kid(found: Sequence[tuple[int, Key]]) -> str:
    taken = {key.kid for _, key in found}
    while True:
        kid = "".join(secrets.choice(_LETTERS) for _ in range(KID_CHARACTERS))
        if kid not in taken:
            return kid


def _refuse_future(path: Path, found: Sequence[tuple[int, Key]], now: float) -> None:
    """A key made later than the new one would take its place, and the new one never seal."""
    problems = [
        f"{path}: line {number}: was made in the future: put this machine's clock or the line right"
        for number, key in found
        if key.created > now
    ]
    if problems:
        raise ConfigurationError(problems)


def _keep_access(path: Path, handle: int) -> None:
    """Give the open file the owner and the mode of the one whose place it takes."""
    before, here = path.stat(), os.fstat(handle)
    if (before.st_uid, before.st_gid) != (here.st_uid, here.st_gid):
        os.fchown(handle, before.st_uid, before.st_gid)
    os.fchmod(handle, stat.S_IMODE(before.st_mode))


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
