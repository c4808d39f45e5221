"""The unit for systemd agrees with the code, with the page that installs it, and with systemd."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gateway.cli import main
from gateway.config import DrainSettings, Settings
from tests import markdown
from tests.markdown import ROOT

UNIT = ROOT / "config/smpp-gateway.service"
HOOK = ROOT / "config/certbot-deploy-hook"
PAGE = ROOT / "docs/install.md"
TEXT = UNIT.read_text()


def service() -> dict[str, list[str]]:
    """Each directive with its values, in order."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for name, value in re.findall(r"^(\w+)=(.*)$", TEXT, re.MULTILINE):
        found[name].append(value)
    return found


SERVICE = service()


def one(name: str) -> str:
    (value,) = SERVICE[name]
    return value


def installed() -> Settings:
    block = next(block for block in markdown.blocks(PAGE) if block.language == "toml")
    return Settings.model_validate(tomllib.loads(block.text))


def test_it_serves_what_the_page_installs() -> None:
    program, verb, *options = one("ExecStart").split()
    assert CliRunner().invoke(main, [verb, "--help"]).exit_code == 0
    assert options == ["-c", "/etc/smpp-gateway/gateway.toml"]
    page = PAGE.read_text()
    assert Path(program).parts[:4] == ("/", "opt", "smpp-gateway", "current")
    assert f"ln -sfn {program} /usr/local/bin/smpp-gateway\n" in page
    for folder in ("StateDirectory", "ConfigurationDirectory"):
        above = {"StateDirectory": "/var/lib", "ConfigurationDirectory": "/etc"}[folder]
        mode = one(f"{folder}Mode")
        assert re.search(rf"^install -d -m {mode} .* {above}/{one(folder)}$", page, re.MULTILINE)
    assert re.search(rf"^useradd .* {one('User')}$", page, re.MULTILINE)


def test_the_store_lies_where_the_unit_lets_it_write() -> None:
    settings = installed()
    assert settings.store.url == f"sqlite:////var/lib/{one('StateDirectory')}/gateway.db"
    assert f'store.url = "{settings.store.url}"' in TEXT
    assert one("ProtectSystem") == "strict"


def test_the_password_is_where_the_configuration_looks_for_it() -> None:
    name, _, source = one("LoadCredential").partition(":")
    expected = f"/run/credentials/{UNIT.name}/{name}"
    assert installed().omnichannel.password_file == expected
    assert f'password_file = "{expected}"' in TEXT
    # Only root reads the source; the page makes it so.
    assert f"install -m 0600 -o root -g root /dev/null {source}\n" in PAGE.read_text()


def seconds(span: str) -> float:
    number, unit = re.fullmatch(r"(\d+)(min|s)?", span).groups()  # type: ignore[union-attr]
    return float(number) * (60 if unit == "min" else 1)


def test_a_stop_is_given_the_time_that_a_drain_takes() -> None:
    drain = DrainSettings()
    assert seconds(one("TimeoutStopSec")) >= drain.delay + drain.timeout + 10
    assert seconds(one("TimeoutStartSec")) > 90
    told = re.search(r"takes up to (\d+) seconds\*\* \(`TimeoutStopSec`\)", PAGE.read_text())
    assert told
    assert float(told[1]) == seconds(one("TimeoutStopSec"))


def test_it_is_started_again_unless_the_configuration_is_at_fault() -> None:
    assert one("Restart") == "on-failure"
    assert one("RestartPreventExitStatus") == str(os.EX_CONFIG)
    assert one("StartLimitIntervalSec") == "0"


def test_systemd_is_told_by_the_protocol_that_the_gateway_speaks() -> None:
    # notify-reload would need systemd 253, which is newer than Debian 12.
    assert one("Type") == "notify"
    assert one("NotifyAccess") == "main"
    assert "AF_UNIX" in one("RestrictAddressFamilies").split()
    assert seconds(one("WatchdogSec")) >= 10


def test_a_reload_is_the_signal_that_the_gateway_reloads_on() -> None:
    assert one("ExecReload") == "/bin/kill -HUP $MAINPID"
    # A credential is a copy of the start: what is renewed meanwhile must be no credential.
    assert [value.partition(":")[0] for value in SERVICE["LoadCredential"]] == ["api-password"]
    for block in markdown.blocks(PAGE):
        if block.language == "toml" and "tls_certificate" in block.text:
            smpp = Settings.model_validate(_with_passwords(block.text)).smpp
            for path in (smpp.tls_certificate, smpp.tls_key):
                assert f"/{one('ConfigurationDirectory')}/{path}".startswith("/smpp-gateway/tls/")


def _with_passwords(text: str) -> dict[str, Any]:
    tables = tomllib.loads(text)
    for account in tables.get("accounts", ()):
        account["password"] = "given elsewhere"
    return tables


@pytest.mark.parametrize(("lineage", "concerned"), [("gw.example.com", True), ("www", False)])
def test_the_hook_copies_for_the_service_and_has_it_reload(
    lineage: str, concerned: bool, tmp_path: Path
) -> None:
    told = tmp_path / "told"
    for program in ("install", "systemctl"):
        stub = tmp_path / program
        stub.write_text(f'#!/bin/sh\necho {program} "$@" >> {told}\n')
        stub.chmod(0o755)
    live = f"/etc/letsencrypt/live/{lineage}"
    subprocess.run(
        [HOOK], env={"PATH": f"{tmp_path}:/usr/bin:/bin", "RENEWED_LINEAGE": live}, check=True
    )
    folder = f"/etc/{one('ConfigurationDirectory')}/tls"
    mode = f"-m 0640 -o root -g {one('Group')}"
    expected = [
        *(
            f"install {mode} {live}/{pem} {folder}/{pem}"
            for pem in ("fullchain.pem", "privkey.pem")
        ),
        f"systemctl try-reload-or-restart {UNIT.stem}",
    ]
    assert (told.read_text().splitlines() if told.exists() else []) == expected * concerned
    page = PAGE.read_text()
    for copy in ("fullchain.pem", "privkey.pem"):
        assert f'"tls/{copy}"' in page


def test_what_the_gateway_needs_is_not_taken_from_it() -> None:
    taken = {group for line in SERVICE["SystemCallFilter"][1:] for group in line[1:].split()}
    assert "@resources" not in taken  # process.prepare sets RLIMIT_NOFILE
    assert one("MemoryDenyWriteExecute") == "yes"  # tests/test_tls.py: TLS works all the same
    assert "ProcSubset" not in SERVICE  # prometheus_client reads /proc/stat
    assert int(one("LimitNOFILE")) >= 4096
    assert one("LogRateLimitIntervalSec") == "0"  # or "was it sent?" has no answer


ANALYZE = shutil.which("systemd-analyze")


@pytest.mark.skipif(not ANALYZE, reason="systemd is not on this machine")
def test_systemd_knows_every_line_of_it(tmp_path: Path) -> None:
    assert ANALYZE
    there = re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", TEXT, flags=re.MULTILINE)
    copy = tmp_path / UNIT.name
    copy.write_text(there)
    told = subprocess.run(
        [ANALYZE, "verify", "--man=no", copy], capture_output=True, text=True, check=False
    )
    mine = [line for line in told.stderr.splitlines() if UNIT.name in line]
    assert mine == []


@pytest.mark.skipif(not ANALYZE, reason="systemd is not on this machine")
def test_systemd_finds_little_that_it_may_do() -> None:
    assert ANALYZE
    told = subprocess.run(
        [ANALYZE, "security", "--offline=yes", "--threshold=20", "--no-pager", UNIT],
        capture_output=True,
        text=True,
        check=False,
    )
    if "Unknown" in told.stderr or "unrecognized option" in told.stderr:  # before systemd 250
        pytest.skip("this systemd looks at installed units only")
    assert told.returncode == 0, told.stdout[-300:]
