"""The verb `receipts`, beside a store that is in use."""

from __future__ import annotations

import json
import os
import pty
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from twisted.internet.defer import Deferred

from gateway import cli_visit
from gateway.cli import main
from gateway.cli_duration import duration
from gateway.receipts_shown import listed, whole
from gateway.smpp.constants import MessageState
from gateway.store.base import (
    Counts,
    Dead,
    NewReceipt,
    Pending,
    Report,
    Retry,
    SettledReceipt,
    message_key,
)
from gateway.store.sql import SqlStore
from gateway.store.visitor import Visitor
from gateway.store.worker import StoreThread
from tests import markdown
from tests.stored_receipts import ID, SECRET, pdu, row

COMMAND = str(Path(sys.executable).parent / "smpp-gateway")
AGO = 7200.0  # seconds since the receipts became due


def report(message_id: str = ID, ago: float = AGO, **other: Any) -> Report:
    due = time.time() - ago
    receipt = NewReceipt(message_id, MessageState.UNDELIVERABLE, pdu(message_id))
    key = message_key(due, message_id)
    return Report("bank", key, "final", [receipt], due, due, due)._replace(**other)


class Site:
    """A configuration and its store, open as a gateway has it."""

    def __init__(self, folder: Path, store: SqlStore) -> None:
        self.path = folder / "gateway.toml"
        self.url = f"sqlite:///{folder}/store.db"
        self.store = store

    def add(self, *reports: Report) -> None:
        self.store.report(reports)

    def settle(self, message_id: str, how: Callable[[Pending], SettledReceipt]) -> None:
        """Claim what is due, and do this to it."""
        for one in self.store.claim(time.time(), [("bank", 9), ("shop", 9)]):
            self.store.settle_receipts([how(p) for p in one if p.message_id == message_id])

    def bury(self, *message_ids: str, ago: float = AGO, **other: Any) -> None:
        for message_id in message_ids:
            [told] = self.store.report([report(message_id, leased=True, **other)])
            self.store.settle_receipts(
                [Dead(one, 0x0C, "refused", time.time() - ago) for one in told.ids]
            )

    def run(self, verb: str, *arguments: str, **options: Any) -> Result:
        words = ["receipts", verb, "-c", str(self.path), *arguments]
        return CliRunner().invoke(main, words, **options)

    def lines(self, verb: str, *arguments: str) -> list[dict[str, Any]]:
        """What it prints into a pipe."""
        result = self.run(verb, *arguments)
        assert (result.exit_code, result.stderr) == (0, "")
        return [json.loads(line) for line in result.stdout.splitlines()]

    def ids(self, *arguments: str) -> list[str]:
        return [line["message_id"] for line in self.lines("list", *arguments)]

    def on_terminal(self, verb: str, *arguments: str, types: str = "") -> tuple[int, str]:
        """Exit code, and what is seen."""
        master, terminal = pty.openpty()
        words = [COMMAND, "receipts", verb, "-c", str(self.path), *arguments]
        process = subprocess.Popen(words, stdin=terminal, stdout=terminal, stderr=terminal)
        os.close(terminal)
        os.write(master, types.encode())
        seen = b""
        try:
            while octets := os.read(master, 4096):
                seen += octets
        except OSError:  # how Linux says that the other end of a terminal is gone
            pass
        os.close(master)
        return process.wait(20), seen.decode().replace("\r\n", "\n")


def configure(folder: Path, more: str = "") -> Path:
    path = folder / "gateway.toml"
    path.write_text(
        '[omnichannel]\nusername = "u"\npassword = "p"\n'
        '[store]\nurl = "sqlite:///store.db"\n' + more +
        '[[accounts]]\nsystem_id = "bank"\npassword = "x"\nreceipts = "off"\n'
        '[[accounts]]\nsystem_id = "shop"\npassword = "y"\nreceipts = "off"\n'
    )  # fmt: skip
    return path


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    configure(tmp_path)
    with closing(SqlStore(f"sqlite:///{tmp_path}/store.db", max_parts=9)) as store:
        yield Site(tmp_path, store)


def test_dead_receipts_are_retried_while_the_gateway_runs(
    tmp_path: Path, running_reactor: Any, in_reactor: Callable[..., Any]
) -> None:
    configure(tmp_path)
    url = f"sqlite:///{tmp_path}/store.db"
    thread = StoreThread(running_reactor, lambda: SqlStore(url, max_parts=9))
    thread.open()
    words = ["-c", str(tmp_path / "gateway.toml")]

    async def before() -> None:
        told = await thread.report(report(leased=True))
        await thread.settle_receipt(Dead(told.ids[0], 0x0C, "refused", time.time() - AGO))
        assert not (await thread.look(time.time())).changed
        assert thread.counts == Counts(0, 0, dead=1)

    async def after() -> None:
        assert (await thread.look(time.time())).changed
        assert thread.counts == Counts(0, 0, receipts=1)
        [[pending]] = await thread.claim(time.time(), [("bank", 9)])
        assert (pending.message_id, pending.attempts) == (ID, 0)

    try:
        in_reactor(lambda: Deferred.fromCoroutine(before()))
        shown = CliRunner().invoke(main, ["receipts", "list", *words, "--state", "dead"])
        assert json.loads(shown.stdout)["message_id"] == ID
        retried = CliRunner().invoke(main, ["receipts", "retry", *words, "--account", "bank"])
        assert (retried.stdout, retried.exit_code) == ('{"retried": 1}\n', 0)
        in_reactor(lambda: Deferred.fromCoroutine(after()))
        shown = CliRunner().invoke(main, ["receipts", "list", *words])
        assert json.loads(shown.stdout)["state"] == "leased"
    finally:
        in_reactor(thread.stop)


# list


def test_list_into_a_pipe(site: Site) -> None:
    site.add(report("p", ago=60.0), report("other", ago=30.0))
    site.settle("p", lambda one: Retry(one.id, time.time() + 90, 0x58))
    site.bury("d", ago=45.0)
    waiting, dead, leased = site.lines("list")
    assert 60 <= waiting.pop("age_seconds") < 65
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", waiting.pop("next_try"))
    assert waiting == {
        "state": "pending",
        "account": "bank",
        "message_id": "p",
        "stat": "UNDELIV",
        "kind": "final",
        "attempts": 1,
        "last_status": "ESME_RTHROTTLED",
        "reason": None,
    }
    assert 45 <= dead["age_seconds"] < 50
    assert (dead["last_status"], dead["reason"]) == ("ESME_RINVMSGID", "refused")
    assert (dead["state"], leased["state"]) == ("dead", "leased")
    assert (dead["next_try"], leased["next_try"], leased["last_status"]) == (None, None, None)


def test_list_some(site: Site) -> None:
    site.add(report("p2", ago=200.0), report("p3", ago=20.0), report("s", 150.0, system_id="shop"))
    site.bury("d1", ago=300.0)
    site.bury("d4", ago=10.0)
    assert site.ids() == ["d1", "p2", "s", "p3", "d4"]
    assert site.ids("--state", "pending") == ["p2", "s", "p3"]
    assert site.ids("--state", "dead") == ["d1", "d4"]
    assert site.ids("--account", "shop") == ["s"]
    assert site.ids("--older-than", "2m") == ["d1", "p2", "s"]
    assert site.ids("--state", "dead", "--limit", "2") == ["d1", "d4"]
    cut = site.run("list", "--limit", "2")
    assert [json.loads(line)["message_id"] for line in cut.stdout.splitlines()] == ["d1", "p2"]
    assert (cut.exit_code, cut.stderr) == (0, "There are more than 2: --limit 20 shows more.\n")


def test_list_of_nothing(site: Site) -> None:
    assert site.lines("list") == []


def test_an_account_that_is_not_configured(site: Site) -> None:
    site.bury("d", system_id="gone")
    result = site.run("list", "--account", "gone")
    assert json.loads(result.stdout)["message_id"] == "d"
    assert result.exit_code == 0
    assert result.stderr == (
        'warning: the configuration has no account "gone"; receipts of an earlier one may be '
        "there all the same\n"
    )


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Click's runner passes for a terminal."""
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _self: True)


@pytest.mark.usefixtures("terminal")
def test_on_a_terminal(site: Site) -> None:
    assert site.run("list").stdout == "none\n"
    site.bury("d1", "d2")
    listed = site.run("list", "--limit", "1")
    head, line = listed.stdout.splitlines()
    assert head.split()[:3] == ["state", "account", "message_id"]
    assert line.split() == [
        "dead", "bank", "d1", "UNDELIV", "2h", "1", "ESME_RINVMSGID", "-", "refused"
    ]  # fmt: skip
    assert listed.stderr == "There are more than 1: --limit 10 shows more.\n"
    shown = site.run("show", "d1").stdout.splitlines()
    assert shown[0].split() == ["state", "dead"]
    assert site.run("retry", "d1").stdout == (
        "Retried 1 receipt: a gateway that runs sends it within a second or two, where a receiver "
        "is bound.\n"
    )
    assert site.run("retry", "d1").exit_code == 1
    assert site.run("retry", "--account", "shop").stdout == (
        "No such dead receipts: nothing to retry.\n"
    )
    assert site.run("purge", "--state", "dead", "--account", "shop", "--yes").stdout == (
        "No such receipts: nothing to delete.\n"
    )


@pytest.mark.usefixtures("terminal")
def test_purge_declined(site: Site) -> None:
    site.bury("d")
    result = site.run("purge", "--state", "dead", "--account", "bank", input="n\n")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "Delete all dead receipts of bank for good? [y/N]" in result.stderr
    with closing(Visitor(site.url)) as visitor:
        assert len(visitor.show("d")) == 1


def test_purge_on_a_real_terminal(site: Site) -> None:
    site.bury("d1", "d2")
    code, seen = site.on_terminal("purge", "--state", "all", "--older-than", "1h", types="y\n")
    assert "Delete all dead and pending receipts older than 1h for good? [y/N]" in seen
    assert seen.endswith("Deleted 2 receipts.\n")
    assert (code, site.ids()) == (0, [])


# show


def test_show_into_a_pipe(site: Site) -> None:
    site.bury(ID)
    result = site.run("show", ID)
    shown = json.loads(result.stdout)
    assert result.exit_code == 0
    assert shown["source"] == "***234"
    assert shown["destination"] == "Bank"
    assert shown["receipt"] == (
        f"id:{ID} sub:001 dlvrd:000 submit date:2603011230 done date:2603011230 stat:UNDELIV "
        "err:008"
    )
    assert shown["tlvs"] == {
        "user_message_reference": "515",
        "network_error_code": "network type 3, error 8",
        "message_state": "UNDELIVERABLE",
        "receipted_message_id": ID,
    }
    assert shown["advice"] == (
        "the client refused it: it does not know the message_id: see receipt_id_format of the "
        "account (if it would take it later, name ESME_RINVMSGID in deliver_retry); have the "
        f"client mended, then: smpp-gateway receipts retry {ID}"
    )
    assert SECRET[:2] not in result.output
    assert "37255501234" not in result.output


def test_show_with_full_numbers(tmp_path: Path, site: Site) -> None:
    site.bury(ID)
    configure(tmp_path, "[log]\nfull_numbers = true\n")
    result = site.run("show", ID)
    assert json.loads(result.stdout)["source"] == "37255501234"
    assert SECRET[:2] not in result.output


@pytest.mark.parametrize("form", ["hex", "decimal"])
def test_the_apis_id_finds_what_the_client_reads_otherwise(site: Site, form: str) -> None:
    digits = ID.replace("-", "")
    written = digits if form == "hex" else str(int(digits, 16))
    site.bury(written)
    assert [one["message_id"] for one in site.lines("show", ID)] == [written]
    assert site.lines("retry", ID) == [{"retried": 1}]


def test_show_of_nothing(site: Site) -> None:
    result = site.run("show", ID)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"Error: the store has no receipt of {ID}\n"


# retry


def test_retry_some(site: Site) -> None:
    site.bury("a", "b", "c")
    site.bury("young", ago=10.0)
    site.bury("s", system_id="shop")
    assert site.lines("retry", "a") == [{"retried": 1}]
    assert site.lines("retry", "b", "--account", "bank") == [{"retried": 1}]
    assert site.lines("retry", "--account", "bank", "--older-than", "1h") == [{"retried": 1}]
    assert site.ids("--state", "dead") == ["s", "young"]
    assert site.lines("retry", "--all") == [{"retried": 2}]
    assert site.lines("retry", "--all") == [{"retried": 0}]
    none = site.run("retry", "a")
    assert (none.exit_code, none.stderr) == (1, "Error: there is no such dead receipt of a\n")


# purge


def test_purge_some(site: Site) -> None:
    site.add(report("leased"))
    site.settle("none of them", lambda one: Retry(one.id, 0.0, None))
    site.add(report("p"), report("young", 10.0), report("s", system_id="shop"))
    site.bury("d")
    purge = ["purge", "--yes", "--state"]
    assert site.lines(*purge, "dead") == [{"purged": 1}]
    assert site.lines(*purge, "all", "--account", "bank", "--older-than", "1h") == [{"purged": 1}]
    assert sorted(site.ids()) == ["leased", "s", "young"]
    assert site.lines(*purge, "all") == [{"purged": 2}]
    assert site.ids() == ["leased"]


def test_purge_asks_before_it_deletes(site: Site) -> None:
    site.bury("d")
    result = site.run("purge", "--state", "all", input="y\n")
    assert result.exit_code == 2
    assert "nobody is there to ask: give --yes" in result.stderr
    assert site.ids() == ["d"]


# what both have


def test_long_work_counts_on_a_terminal(
    site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("gateway.store.visitor._BITE", 2)
    monkeypatch.setattr(cli_visit, "_PATIENCE", -1.0)
    site.bury("a", "b", "c")
    assert site.run("retry", "--all").stderr == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    purged = cli_visit.change(
        site.path,
        None,
        lambda visitor, progress: visitor.purge("all", now=time.time(), progress=progress),
    )
    assert purged == 3
    assert capsys.readouterr().err == "\r2 receipts so far\r3 receipts so far\n"


def test_what_was_done_before_it_failed(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.store.dialect._BUSY_TIMEOUT", 0.01)
    monkeypatch.setattr("gateway.store.visitor._BITE", 2)
    site.bury("a", "b", "c")
    backup = sqlite3.connect(site.path.parent / "store.db", isolation_level=None)

    def held_up(visitor: Visitor, progress: Callable[[int], None]) -> int:
        def lock(done: int) -> None:
            progress(done)
            backup.execute("BEGIN IMMEDIATE")

        return visitor.retry_dead(now=time.time(), progress=lock)

    with closing(backup), pytest.raises(click.ClickException) as error:
        cli_visit.change(site.path, None, held_up)
    assert error.value.message == (
        f"store.url sqlite:///{site.path.parent}/store.db: the store: database is locked: another "
        "program is writing to it; try again; 2 were done before"
    )

    def interrupted(_visitor: Visitor, progress: Callable[[int], None]) -> int:
        progress(7)
        raise KeyboardInterrupt

    with pytest.raises(click.ClickException, match=r"^interrupted; 7 were done before$"):
        cli_visit.change(site.path, None, interrupted)


def test_a_store_that_is_locked(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.store.dialect._BUSY_TIMEOUT", 0.01)
    site.bury("a")
    with closing(sqlite3.connect(site.path.parent / "store.db", isolation_level=None)) as backup:
        backup.execute("BEGIN IMMEDIATE")
        assert site.ids() == ["a"]
        result = site.run("retry", "--all")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.endswith("is locked: another program is writing to it; try again\n")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("verb", [["list"], ["show", "x"], ["retry", "x"],
                                  ["purge", "--yes", "--state", "all"]])  # fmt: skip
def test_no_store_yet(tmp_path: Path, verb: list[str]) -> None:
    path = configure(tmp_path)
    result = CliRunner().invoke(main, ["receipts", *verb, "-c", str(path)])
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        f"Error: store.url sqlite:///{tmp_path}/store.db: {tmp_path}/store.db: No such file or "
        "directory: no gateway has made it yet, or it lies elsewhere\n"
    )
    assert not (tmp_path / "store.db").exists()


def test_a_store_of_another_version(site: Site) -> None:
    with site.store.transaction() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0099'")
    result = site.run("list")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "the store has version 99 and this program knows" in result.stderr


def test_a_configuration_that_cannot_be_used(tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text("[log]\nlevel = 'x'\n")
    result = CliRunner().invoke(main, ["receipts", "list", "-c", str(path)])
    assert (result.exit_code, result.stdout) == (78, "")
    assert result.stderr.startswith(f"{path}: log.level: must be one of ")


@pytest.mark.parametrize(
    ("written", "seconds"), [("90s", 90), ("15m", 900), ("6h", 21_600), ("3d", 259_200)]
)
def test_durations(
    monkeypatch: pytest.MonkeyPatch, site: Site, written: str, seconds: float
) -> None:
    asked: list[Any] = []

    def keep(_self: Visitor, *words: Any, **_: Any) -> int:
        asked.append(words[2])
        return 0

    monkeypatch.setattr(Visitor, "retry_dead", keep)
    site.run("retry", "--all", "--older-than", written)
    assert asked == [seconds]
    assert duration(seconds) == written


@pytest.mark.parametrize("written", ["15", "m", "1.5h", "-1h", "5w", "1 h", "1h30m", "9999999d"])
def test_a_duration_that_is_none(site: Site, written: str) -> None:
    result = site.run("list", f"--older-than={written}")
    assert result.exit_code == 2
    assert f"{written!r} is no duration: write a whole number and s, m, h or d, such as 15m" in (
        " ".join(result.stderr.split())
    )


def test_the_longest_duration(site: Site) -> None:
    assert site.ids("--older-than", "999999d") == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["retry"], "say which: MESSAGE_ID, --account SYSTEM_ID, or --all"),
        (["retry", "--older-than", "1h"], "say which: MESSAGE_ID"),
        (["retry", "--all", "x"], "give MESSAGE_ID or --all, not both"),
        (["purge", "--yes"], "--state"),
        (["list", "--state", "leased"], "--state"),
        (["list", "--limit", "0"], "--limit"),
        (["show"], "MESSAGE_ID"),
    ],
)
def test_a_wrong_command_line(site: Site, arguments: list[str], words: str) -> None:
    result = site.run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert words in result.stderr


@pytest.mark.parametrize("verb", ["list", "show", "retry", "purge"])
def test_help_has_examples_and_is_like_the_page(verb: str) -> None:
    shown = CliRunner().invoke(main, ["receipts", verb, "--help"]).output
    examples = re.findall(rf"^ +(smpp-gateway receipts {verb} .*)$", shown, re.MULTILINE)
    page = (markdown.ROOT / "docs" / "command-line.md").read_text()
    assert examples
    for example in examples:
        assert f"    {example}\n" in page
    for option in re.findall(r"^  (--[a-z-]+)", shown, re.MULTILINE):
        assert option == "--help" or f"`{option}" in page


def test_the_page_names_the_fields() -> None:
    page = (markdown.ROOT / "docs" / "command-line.md").read_text()
    section = page.split("\n## receipts\n")[1].split("\n## ")[0]
    for field in {*listed(row(), 99.0), *whole(row(), 99.0, (), full_numbers=False)}:
        assert f"`{field}`" in section, field
