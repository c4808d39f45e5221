"""Settings from a TOML file, the environment and secret files.

`load` is the only way in. An environment variable `SMPPGW_SMPP__LISTEN` overrides
`smpp.listen`, `SMPPGW_ACCOUNTS__0__MAX_BINDS` the first account's `max_binds`. A secret
may stand in a file of its own, named by the key with `_file` behind it; after loading it
is in the plain key. Names of files are relative to the folder of the configuration file.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, SecretStr, ValidationError

from gateway import config_checks
from gateway.config import Settings, StoreSettings
from gateway.config_problems import (
    Loc,
    in_words,
    model_at,
    nearest,
    place,
)
from gateway.errors import ConfigurationError

PREFIX: Final = "SMPPGW_"
NOT_SETTINGS: Final = frozenset({"SMPPGW_SEND_PASSWORD"})  # read by the send verb
# Kubernetes puts these into every pod beside a Service whose name begins with "smppgw".
SERVICE_LINK: Final = re.compile(
    r"SMPPGW_([A-Z0-9]+_)*"
    r"(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9]+)*|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)
LARGEST_SECRET: Final = 4096
FILES: Final = (
    ("omnichannel", "ca_file"),
    ("smpp", "tls_certificate"),
    ("smpp", "tls_key"),
    ("smpp", "tls_client_ca"),
    ("admin", "tls_certificate"),
    ("admin", "tls_key"),
    ("admin", "tls_client_ca"),
    ("callbacks", "key_file"),
    ("callbacks", "tls_certificate"),
    ("callbacks", "tls_key"),
)
SQLITE: Final = "sqlite:///"

warnings = config_checks.warnings


class _Document:
    """The tables being put together, where each value came from, and what is wrong."""

    def __init__(self, path: Path, tables: dict[str, Any]) -> None:
        self.path = path
        self.tables = tables
        self.variables: dict[Loc, str] = {}
        self.problems: list[str] = []

    def fault(self, loc: Loc, words: str) -> None:
        variable = self.variables.get(loc)
        source = f"environment {variable}" if variable else str(self.path)
        where = place(loc, self.tables)
        self.problems.append(f"{source}: {where}: {words}" if where else f"{source}: {words}")


def load(path: Path, environ: Mapping[str, str]) -> Settings:
    """The settings that `path` and the `SMPPGW_` variables of `environ` give together.

    Raises `ConfigurationError` with a line for every fault found, not only the first.
    """
    document = _Document(path, _read(path))
    _override(document, environ)
    _refuse_truth_for_numbers(document)
    _read_secrets(document)
    _place_files(document)
    try:
        settings = Settings.model_validate(document.tables)
    except ValidationError as error:
        for loc, words in in_words(error):
            document.fault(loc, words)
        raise ConfigurationError(document.problems) from None
    if not document.problems:
        for loc, words in config_checks.faults(settings):
            document.fault(loc, words)
    if document.problems:
        raise ConfigurationError(document.problems)
    return settings


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ConfigurationError([f"{path}: cannot be read: {error.strerror}"]) from None
    except UnicodeDecodeError as error:
        number = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigurationError([f"{path}: line {number}: is not UTF-8"]) from None
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message, _, where = str(error).partition(" (at ")
        line = where.rstrip(")").partition(",")[0]
        if not line.startswith("line "):
            line = f"line {text.count(chr(10)) + 1}"  # "at end of document"
        hint = "; text needs quotes" if message == "Invalid value" else ""
        raise ConfigurationError([f"{path}: {line}: not valid TOML: {message}{hint}"]) from None


def _override(document: _Document, environ: Mapping[str, str]) -> None:
    for name in sorted(environ, key=_by_index):
        if not name.startswith(PREFIX) or name in NOT_SETTINGS:
            continue
        if SERVICE_LINK.fullmatch(name):
            continue
        try:
            loc = _set(document.tables, name, environ[name])
        except ValueError as error:
            document.problems.append(f"environment {name}: {error}")
        else:
            document.variables[loc] = name


def _by_index(name: str) -> list[tuple[int, str]]:
    """Sort variables so that element 10 of a list comes after element 9."""
    return [(int(p) if p.isdecimal() else -1, p) for p in name.split("__")]


def _set(tables: dict[str, Any], name: str, value: str) -> Loc:
    """Put the variable's value into the tables; ValueError says why it has no place there."""
    section, *steps = name.removeprefix(PREFIX).lower().split("__")
    model = model_at((section,))
    if model is None:
        raise ValueError(f"unknown setting{_meant_section(section, steps)}")
    loc: Loc = (section,)
    if section == "accounts":
        index, *steps = steps or [""]
        table = _account(tables, index)
        loc = (section, int(index))
    else:
        table = tables.setdefault(section, {})
    if not steps:
        raise ValueError("names a whole table, add __ and a key")
    key, *below = steps
    field = model.model_fields.get(key)
    if field is None:
        near = nearest(key, model.model_fields)
        written = "__".join(str(step).upper() for step in loc)
        meant = f", did you mean {PREFIX}{written}__{near.upper()}?" if near else ""
        raise ValueError(f"unknown setting{meant}")
    if field.annotation == dict[str, str]:
        if not below:
            raise ValueError("names a whole table, add __ and a key")
        table = table.setdefault(key, {}) if isinstance(table, dict) else None
        loc, key = (*loc, key), "__".join(below)
    elif below:
        raise ValueError(f"{key} has nothing below it; write a list as words with commas")
    if not isinstance(table, dict):
        raise ValueError("the file has something else where this needs a table")
    table[key] = value
    return (*loc, key)


def _account(tables: dict[str, Any], index: str) -> Any:
    accounts = tables.setdefault("accounts", [])
    if not isinstance(accounts, list):
        raise ValueError("the file has no list of accounts: write [[accounts]]")
    if not index.isdecimal():
        raise ValueError("after ACCOUNTS comes a number, as in SMPPGW_ACCOUNTS__0__MAX_BINDS")
    if int(index) > len(accounts):
        raise ValueError(f"the next account to add has the number {len(accounts)}")
    if int(index) == len(accounts):
        accounts.append({})
    return accounts[int(index)]


def _meant_section(section: str, steps: list[str]) -> str:
    for name in Settings.model_fields:
        model = model_at((name,))
        # A single underscore where two belong is the usual slip.
        key = section.removeprefix(f"{name}_")
        if model and key != section and (near := nearest(key, model.model_fields)):
            return f", did you mean {PREFIX}{name.upper()}__{near.upper()}?"
    if near := nearest(section, Settings.model_fields):
        return f", did you mean {'__'.join([PREFIX + near.upper(), *map(str.upper, steps)])}?"
    return ""


def _tables(document: _Document) -> list[tuple[Loc, type[BaseModel], dict[str, Any]]]:
    """Every table of the document that has a model, with its place."""
    found: list[tuple[Loc, type[BaseModel], dict[str, Any]]] = []
    for name, value in document.tables.items():
        model = model_at((name,))
        elements = value if isinstance(value, list) else [value]
        for index, table in enumerate(elements):
            loc: Loc = (name, index) if isinstance(value, list) else (name,)
            if model and isinstance(table, dict):
                found.append((loc, model, table))
    return found


def _refuse_truth_for_numbers(document: _Document) -> None:
    """`throttle = true` would quietly become 1."""
    for loc, model, table in _tables(document):
        for name, value in table.items():
            field = model.model_fields.get(name)
            if field and isinstance(value, bool) and field.annotation in {int, float}:
                document.fault((*loc, name), "must be a number, not true or false")


def _read_secrets(document: _Document) -> None:
    folder = document.path.parent.absolute()
    for loc, model, table in _tables(document):
        for name, field in model.model_fields.items():
            twin = f"{name}_file"
            if field.annotation is not SecretStr or not isinstance(table.get(twin), str):
                continue
            if not table[twin]:
                continue
            if table.get(name):
                document.fault((*loc, twin), f"{name} is given too: keep one of the two")
                continue
            try:
                table[name] = _secret(folder / table[twin])
            except OSError as error:
                words = f"{table[twin]} cannot be read: {error.strerror}"
                document.fault((*loc, twin), words)
            except ValueError as error:
                document.fault((*loc, twin), f"{table[twin]} {error}")


def _place_files(document: _Document) -> None:
    """Make the names of files absolute: they count from the folder of the configuration."""
    folder = document.path.parent.absolute()
    for section, key in FILES:
        table = document.tables.get(section)
        if isinstance(table, dict) and isinstance(table.get(key), str) and table[key]:
            table[key] = str(folder / table[key])
    store = document.tables.setdefault("store", {})
    if isinstance(store, dict):
        url = store.get("url", StoreSettings().url)
        if isinstance(url, str) and url.startswith(SQLITE) and url != SQLITE:
            store["url"] = SQLITE + str(folder / url.removeprefix(SQLITE))


def _secret(path: Path) -> str:
    """The content without one newline at its end; ValueError says why it cannot be a secret."""
    with path.open("rb") as file:
        octets = file.read(LARGEST_SECRET + 1)
    if len(octets) > LARGEST_SECRET:
        raise ValueError(f"has more than {LARGEST_SECRET} octets: is it the right file?")
    try:
        text = octets.decode()
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8 text: is it the right file?") from None
    text = text.removesuffix("\r\n") if text.endswith("\r\n") else text.removesuffix("\n")
    if not text:
        raise ValueError("is empty")
    if "\n" in text or "\0" in text:
        raise ValueError("has more than one line: a secret is one line")
    return text
