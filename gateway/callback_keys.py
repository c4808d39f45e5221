"""The file of keys that seal the routes of callbacks: read, and followed while it is in use.

A line is a key: its id, when it was made, and 64 octets in base64. Lines that begin with # are
comments. All nodes behind one `callbacks.public_url` have the same keys. One seals once it is
five minutes old, until a newer one does, and opens for as long as it stands in the file.
"""

from __future__ import annotations

import base64
import re
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from gateway.errors import ConfigurationError
from gateway.omnichannel.callback import KEY_OCTETS, KID_CHARACTERS, Key, KeyRing
from gateway.omnichannel.route import Route

LARGEST_FILE: Final = 65_536

_KID: Final = re.compile(rf"[A-Za-z0-9]{{{KID_CHARACTERS}}}")
_MAKE_ONE: Final = "make one with: smpp-gateway callback-keys add"


class KeyFile:
    """A key file in use: it seals and opens with the keys that were read last.

    Raises ConfigurationError when the file cannot be used. If it cannot later on, the keys that
    it had stay, and `error` says what is wrong with it; None when nothing is.
    """

    def __init__(self, path: Path) -> None:
        self.path: Final = path
        self.error: ConfigurationError | None = None
        self.ring = self._read()

    def seal(self, route: Route, now: float) -> str:
        """As `KeyRing.seal`."""
        return self.ring.seal(route, now)

    def open(self, token: str) -> Route:
        """As `KeyRing.open`."""
        return self.ring.open(token)

    def reload_if_changed(self) -> bool:
        """Read the file if it is not the one that was read last; whether its keys were taken."""
        if self._identity == _identity(self.path):
            return False
        try:
            self.ring = self._read()
        except ConfigurationError as error:
            self.error = error
            return False
        self.error = None
        return True

    def _read(self) -> KeyRing:
        # Before the reading, so that what is written meanwhile is read the next time. A file
        # with a fault is not read again before it changes either.
        self._identity = _identity(self.path)
        return KeyRing(read(self.path))


def _identity(path: Path) -> tuple[int, ...]:
    """What changes when a file is written, replaced, or made readable; () when it is not there."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def read(path: Path) -> list[Key]:
    """The keys of a file, in its order. Raises ConfigurationError with a line for every fault.

    What stands in a line is not repeated: it may be a key.
    """
    return [key for _, key in keys_in(path, content(path))]


def warning(path: Path) -> str:
    """What is wrong with who may read a key file, "" if nothing is."""
    try:
        readable = path.stat().st_mode & stat.S_IROTH
    except OSError:
        return ""
    return f"{path}: every user of this machine can read these keys: chmod o-r" if readable else ""


def content(path: Path) -> str:
    """The text of a key file. Raises ConfigurationError."""
    try:
        with path.open("rb") as file:
            octets = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise _unreadable(path, error) from None
    if len(octets) > LARGEST_FILE:
        raise ConfigurationError(
            [f"{path}: has more than {LARGEST_FILE} octets: is it the right file?"]
        )
    try:
        return octets.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigurationError([f"{path}: is not UTF-8 text: is it the right file?"]) from None


def keys_in(path: Path, text: str, *, must_have: int = 1) -> list[tuple[int, Key]]:
    """The keys of a file's text with the numbers of their lines, as `read` gives them."""
    found: list[tuple[int, Key]] = []
    problems = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            key = _key(line)
            if any(other.kid == key.kid for _, other in found):
                raise ValueError(f"the id {key.kid} is taken by a line above: each has its own")
            found.append((number, key))
        except ValueError as error:
            problems.append(f"{path}: line {number}: {error}")
    if not problems and len(found) < must_have:
        problems.append(f"{path}: has no key: {_MAKE_ONE} {path}")
    if problems:
        raise ConfigurationError(problems)
    return found


def line_of(key: Key) -> str:
    """A key as its file has it."""
    return f"{key.kid} {in_utc(key.created)} {base64.b64encode(key.secret).decode('ascii')}"


def in_utc(moment: float) -> str:
    """Wall-clock seconds as a key file writes them."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _key(line: str) -> Key:
    """The key of a line; ValueError says what is wrong without showing the line."""
    words = line.split()
    if len(words) != 3:
        raise ValueError("a key is three words: its id, when it was made, and base64")
    kid, created, secret = words
    if not _KID.fullmatch(kid):
        raise ValueError(f"the id of a key has {KID_CHARACTERS} letters or digits (a-z, A-Z, 0-9)")
    try:
        moment = datetime.fromisoformat(created)
    except ValueError:
        raise ValueError("the second word is no time, such as 2026-03-01T09:00:00Z") from None
    if moment.tzinfo is None:
        raise ValueError("the time has no zone: end it with Z for UTC")
    try:
        octets = base64.b64decode(secret, validate=True)
    except ValueError:
        raise ValueError("the third word is not base64: was it cut?") from None
    if len(octets) != KEY_OCTETS:
        raise ValueError(f"the key has {len(octets)} octets and needs {KEY_OCTETS}: was it cut?")
    return Key(kid, moment.timestamp(), octets)


def _unreadable(path: Path, error: OSError) -> ConfigurationError:
    hint = f": {_MAKE_ONE} {path}" if isinstance(error, FileNotFoundError) else ""
    return ConfigurationError([f"{path}: cannot be read: {error.strerror}{hint}"])
