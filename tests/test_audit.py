"""`make audit` looks at all that is shipped, and with a tool that is itself locked."""

from __future__ import annotations

import os
import re
import shlex
import subprocess

from tests.markdown import ROOT

LOCK = (ROOT / "requirements-audit.lock").read_text()


def audit_command() -> list[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    told = subprocess.run(
        ["make", "--dry-run", "audit"],
        cwd=ROOT,
        env=clean,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.replace("\\\n", " ")
    (line,) = (line for line in told.splitlines() if "bin/pip-audit" in line)
    return shlex.split(line.partition("||")[0])


def test_what_runs_and_what_builds_it_is_audited() -> None:
    command = audit_command()
    named = [command[at + 1] for at, word in enumerate(command) if word == "-r"]
    assert named == ["requirements.lock", "requirements-build.lock"]
    # Without it an index that has no advisories, as mirrors do, lets everything pass.
    assert "--strict" in command
    # With it nothing is resolved anew: what the locks say is what is asked about.
    assert {"--require-hashes", "--disable-pip"} <= set(command)


def test_the_auditor_is_locked_and_kept_apart_from_what_it_audits() -> None:
    pins = re.findall(r"^([\w.-]+)==(\S+)(?: ; [^\\\n]+)? \\\n    --hash=sha256:", LOCK, re.M)
    assert len(pins) == len(re.findall(r"^\S+==", LOCK, re.M))
    assert "pip-audit" in dict(pins)
    for other in ("requirements.lock", "requirements-dev.lock"):
        assert "pip-audit" not in (ROOT / other).read_text()


def test_neither_the_tests_nor_ci_need_the_network_for_it() -> None:
    assert "audit" not in (ROOT / ".ci/run").read_text()
    makefile = (ROOT / "Makefile").read_text()
    assert re.findall(r"^(?:test|lint|\$\(READY\)):.*audit", makefile, re.M) == []
