"""The documents say what the code does: links, metrics, events, defaults and tables."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, get_args

import pytest

from gateway.bridge.accounts import Account
from gateway.bridge.journey import Journey, Origin, event_of
from gateway.config import AccountSettings, Settings
from gateway.message import charset
from gateway.message.gsm_languages import NAMES
from gateway.message.segment import Concatenation
from gateway.metrics import Metrics
from gateway.omnichannel.client import Credentials
from gateway.omnichannel.outcome import STATES, Verdict, read_overrides
from gateway.reload import NEEDS_RESTART
from gateway.smpp import pdu as p
from gateway.smpp.constants import CommandStatus, InterfaceVersion
from gateway.smpp.layouts import CLASSES, DL_NAME, LAYOUTS, Kind
from gateway.smpp.pdu import SubmitSm
from gateway.smpp.states import UNSERVED
from gateway.store.base import Outcome
from tests import markdown
from tests.markdown import DOCUMENTS, ROOT, Block

README = ROOT / "README.md"
OPERATIONS = ROOT / "docs/operations.md"
SMPP = ROOT / "docs/smpp.md"
LONG = ROOT / "docs/long-messages.md"
STORE = ROOT / "docs/store.md"
THROUGHPUT = ROOT / "docs/throughput.md"
SERIES = re.compile(r"\bsmppgw_\w+")


def name(value: object) -> str:
    return str(value.relative_to(ROOT)) if isinstance(value, Path) else ""


# The map and the first screen.


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_links_lead_somewhere(document: Path) -> None:
    for link in markdown.links(document):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        assert target.is_file(), link
        assert not anchor or anchor in markdown.anchors(target), link


def test_every_page_is_on_the_map() -> None:
    on_the_map = {link.partition("#")[0] for link in markdown.links(ROOT / "docs/README.md")}
    pages = {page.name for page in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert pages <= on_the_map


def test_the_first_screen_runs_and_tests() -> None:
    first, second, *_ = markdown.blocks(README)
    assert (first.text, second.text) == ("make run\n", "make test\n")
    screen = "".join(README.read_text().splitlines(keepends=True)[:30])
    for needed in (second.text, "Point your client here", "2775", "`demo`"):
        assert needed in screen


# Configuration.

TOML = [
    pytest.param(block, id=f"{name(document)}-{number}")
    for document in DOCUMENTS
    for number, block in enumerate(markdown.blocks(document))
    if block.language == "toml"
]


@pytest.mark.parametrize("block", TOML)
def test_configurations_have_only_known_keys_and_values(block: Block) -> None:
    tables = tomllib.loads(block.text)
    for account in tables.get("accounts", ()):
        if not {"password", "password_file", "password_hash"} & account.keys():
            account["password"] = "given elsewhere"
    settings = Settings.model_validate(tables)
    read_overrides(settings.omnichannel.status_overrides)


def setting(path: str) -> Any:
    """The default of `smpp.listen`, or of `window` in an account."""
    table, _, key = path.rpartition(".")
    if table in {"", "accounts"}:
        return AccountSettings.model_fields[key].default
    return getattr(getattr(Settings(), table), key)


def test_the_timers_have_the_defaults_of_the_settings() -> None:
    table = markdown.rows(markdown.section(SMPP, "## Timers and windows"))
    assert len(table) == 8
    for _, path, default, _ in table:
        assert float(default) == setting(path.strip("`")), path


def test_what_needs_a_restart_is_documented() -> None:
    table = dict(markdown.rows(markdown.section(OPERATIONS, "## Reload"))[-6:])
    whole = {section for section, keys in table.items() if keys == "all"}
    assert whole == {"`[store]`, `[sandbox]`, `[metrics]`"}
    keys = {
        key for cell in table.values() for key in re.findall(r"`(\w+\.\w+)`(?! from or to)", cell)
    }
    parts = re.compile(r"(store|sandbox|metrics)\.")
    assert keys == {key for key in NEEDS_RESTART if not parts.match(key)}


def test_the_limits_on_the_way_have_the_defaults_of_the_settings() -> None:
    for cell, told, *_ in markdown.rows(markdown.section(THROUGHPUT, "## What each limit means")):
        keys = markdown.words(cell)
        defaults = told.replace("none", "0").replace("64 MiB", f"{64 * 1024 * 1024}").split(", ")
        assert [float(one.replace(",", "")) for one in defaults] == [setting(key) for key in keys]


PROSE = [
    *(SMPP, OPERATIONS, LONG, STORE, THROUGHPUT),
    *(ROOT / "docs" / page for page in ("migration.md", "status-table.md", "sandbox.md")),
]


@pytest.mark.parametrize("document", PROSE, ids=name)
def test_settings_named_in_prose_exist(document: Path) -> None:
    sections = "|".join(Settings.model_fields)
    for found in re.findall(rf"`((?:{sections})\.[a-z_]+)`", document.read_text()):
        setting(found)


# Metrics.


@cache
def collectors() -> dict[str, Any]:
    """By the name of the exposition; a counter's ends in _total."""
    registry = Metrics().registry
    found: set[Any] = set(registry._names_to_collectors.values())
    return {
        f"{it._name}_total" if it._type == "counter" else it._name: it
        for it in found
        if getattr(it, "_name", "").startswith("smppgw_")
    }


def test_the_table_of_metrics_is_complete() -> None:
    documented = {
        words[0]: (kind, tuple(markdown.words(labels)))
        for cell, kind, labels, _ in markdown.rows(markdown.section(OPERATIONS, "## Metrics"))
        if (words := markdown.words(cell))
    }
    assert documented == {
        metric: (it._type, tuple(it._labelnames)) for metric, it in collectors().items()
    }


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_metrics_named_anywhere_exist(document: Path) -> None:
    for found in SERIES.findall(document.read_text()):
        assert re.sub("_(bucket|sum|count)$", "", found) in collectors(), found


# The log.

LEVELS = {"debug", "info", "warning", "error", "critical"}
NOBODY = Credentials("")
V34 = InterfaceVersion.V34


@cache
def calls() -> list[tuple[ast.Call, set[str]]]:
    """Every call of the package, with the texts that its first argument may be."""
    found = []
    for path in sorted((ROOT / "gateway").rglob("*.py")):
        tree = ast.parse(path.read_text())
        assigned: dict[str, set[str]] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                assigned.setdefault(node.targets[0].id, set()).update(texts(node.value))
        for parameter, value in passed(tree):
            assigned.setdefault(parameter, set()).update(texts(value))
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and node.args:
                first = node.args[0]
                variable = assigned.get(first.id, set()) if isinstance(first, ast.Name) else set()
                found.append((node, variable | set(texts(first))))
    return found


def passed(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    """What the calls of a module hand to its own functions, by the parameter's name."""
    parameters = {
        node.name: [argument.arg for argument in node.args.args if argument.arg != "self"]
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
            yield from zip(parameters.get(called, []), node.args, strict=False)


def texts(node: ast.expr) -> list[str]:
    """The constants that an expression may be."""
    if isinstance(node, ast.IfExp):
        return texts(node.body) + texts(node.orelse)
    return [node.value] if isinstance(node, ast.Constant) and isinstance(node.value, str) else []


def is_log_call(call: ast.Call) -> bool:
    match call.func:
        case ast.Attribute(attr=attr):
            return attr in LEVELS
        case ast.Name(id=id):
            return id == "log"
        case ast.Call(func=ast.Name(id="getattr")):
            return True
    return False


def events() -> dict[str, set[str]]:
    """Every event that the code logs, with the fields it names."""
    found: dict[str, set[str]] = {"log_lines_dropped": {"count"}}  # written past the logger
    for call, names in calls():
        if is_log_call(call):
            for event in names:
                fields = {keyword.arg for keyword in call.keywords if keyword.arg}
                found.setdefault(event, set()).update(fields)
    return found


def documented_events() -> dict[str, set[str]]:
    found = {}
    for cells in markdown.rows(markdown.section(OPERATIONS, "## Log")):
        if len(cells) == 4:
            found[cells[0].strip("`")] = set(markdown.words(cells[3]))
    return found


def test_the_table_of_events_is_complete() -> None:
    assert documented_events().keys() == events().keys()


def test_the_fields_of_events_are_documented() -> None:
    documented = documented_events()
    documented["message_refused"] |= documented["message_relayed"]
    renamed = {"failure": "exception", "exc_info": "exception"}
    for event, fields in events().items():
        written = {renamed.get(field, field) for field in fields}
        assert written <= documented[event], event
    # Fields that reach the line by other ways than the call itself.
    assert {"http_status", "api_source", "outcome", "charset"} <= documented["message_refused"]
    journey = Journey(
        SubmitSm(1),
        Origin("s1", Account(AccountSettings(system_id="a", password_hash="-"), "", NOBODY), V34),
        lambda response: True,
        0,
        decoded=charset.Decoded("text", "gsm7", 1, None, ("fallback",)),
        part=Concatenation("udh8", 1, 2, 1),
        base=bytes(16),
    )
    line = event_of(journey, "ESME_ROK", "an id", "another", 0)
    assert line.keys() <= documented["message_relayed"]


def test_the_reasons_of_irregular_lines_are_complete() -> None:
    reasons: set[str] = set()
    for call, names in calls():
        if isinstance(call.func, ast.Attribute) and call.func.attr == "Flag":
            reasons |= names
    table = markdown.rows(markdown.section(OPERATIONS, "## Log"))
    assert {cells[0].strip("`") for cells in table if len(cells) == 2} == reasons


def test_the_runbook_has_every_outcome() -> None:
    table = markdown.rows(markdown.section(OPERATIONS, "## Was it sent?"))
    outcomes = [cells[0].strip("`") for cells in table if not cells[0].startswith("none")]
    assert sorted(outcomes) == sorted(verdict.value for verdict in Verdict)


# The SMPP server.


def test_data_coding_is_refused_where_the_table_says_so() -> None:
    described: dict[int, str] = {}
    for cell, words in markdown.rows(markdown.section(SMPP, "## data_coding")):
        first, _, last = cell.partition("-")
        for data_coding in range(int(first, 16), int(last or first, 16) + 1):
            assert data_coding not in described
            described[data_coding] = words
    assert sorted(described) == list(range(256))
    for data_coding, words in described.items():
        try:
            decoded = charset.decode(b"\x00A", data_coding)
        except charset.BinaryContent:
            assert words.startswith("refused"), hex(data_coding)
            continue
        assert not words.startswith("refused"), hex(data_coding)
        assert ("message class" in words) is (decoded.message_class is not None)
        assert ("message waiting" in words) is any("mwi" in flag for flag in decoded.flags)
        if words.startswith("GSM 7-bit"):
            assert decoded.charset == "gsm7"
        if words.startswith("UCS-2"):
            assert decoded.charset == "utf-16-be"


def test_fields_at_fault_have_the_statuses_of_the_layouts() -> None:
    table = markdown.rows(markdown.section(SMPP, "## Bad input"))
    documented = dict(row for row in table if len(row) == 2)
    requests = [LAYOUTS[cls] for cls in (p.BindTransmitter, p.SubmitSm, p.QuerySm)]
    fields = [DL_NAME, *(field for layout in requests for field in layout)]
    texts = [field for field in fields if field.kind in {Kind.CSTRING, Kind.ADDRESS}]
    assert documented == {field.name: field.status.name for field in texts}


def test_what_is_not_served_is_told_as_documented() -> None:
    answers = dict(markdown.rows(markdown.section(SMPP, "## PDUs")))
    for command_id, (status, detail) in UNSERVED.items():
        response = CLASSES[command_id | 0x80000000].command_id.name
        assert answers[command_id.name] == f"{response}, {status.name}: {detail}"


def test_the_states_of_query_sm_are_those_of_the_table() -> None:
    documented = {}
    for cells in markdown.rows(markdown.section(SMPP, "## query_sm")):
        if len(cells) == 3:
            word = "".join(markdown.words(cells[0])[:1])
            documented[word] = (cells[1], cells[2] == "yes")
    assert documented == {
        word: (f"{state.message_state.value} {state.message_state.name}", state.final)
        for word, state in STATES.items()
    }


def test_the_causes_of_a_failed_set_are_documented() -> None:
    table = markdown.rows(markdown.section(LONG, "### A part never comes"))
    assert {cells[0].strip("`") for cells in table} == (set(get_args(Outcome)) | {"expired"}) - {""}


def test_the_kinds_of_references_are_documented() -> None:
    table = markdown.rows(markdown.section(LONG, "## What belongs together"))
    assert [cells[-1].strip("`") for cells in table] == ["udh8", "udh16", "sar"]


def test_every_national_language_is_named() -> None:
    text = " ".join(LONG.read_text().split())
    assert [language for language in NAMES.values() if language not in text] == []


def test_the_files_of_the_store_are_documented() -> None:
    rows = markdown.rows(markdown.section(STORE, "## The files"))
    assert markdown.words(" ".join(row[0] for row in rows)) == [
        f"gateway.db{suffix}" for suffix in ("", "-wal", "-shm", "-lock")
    ]


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_statuses_named_anywhere_exist(document: Path) -> None:
    known = CommandStatus.__members__
    assert [
        found for found in re.findall(r"\bESME_R\w+", document.read_text()) if found not in known
    ] == []
