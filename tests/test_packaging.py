"""What is shipped: the locks, the image and what may go into it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tomllib
from fnmatch import fnmatch
from pathlib import Path

from click.testing import CliRunner

from gateway.cli import main
from gateway.config import DrainSettings
from tests.markdown import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DOCKERFILE = re.sub(r" \\\n\s*", " ", (ROOT / "Dockerfile").read_text())


def pins(lock: str) -> dict[str, str]:
    text = (ROOT / lock).read_text()
    found = dict(re.findall(r"^([\w.-]+)==([^\s;]+)", text, re.MULTILINE))
    assert len(re.findall(r"^\S+==", text, re.MULTILINE)) == len(found)
    # Each pin goes on with a backslash, and its hashes.
    assert not re.search(r"^[\w.-]+==.*[^\\]$", text, re.MULTILINE)
    return found


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[<>=!~ ;]", requirement, maxsplit=1)[0] for requirement in requirements}


def test_the_runtime_lock_is_of_the_runtime_alone() -> None:
    runtime = pins("requirements.lock")
    assert names(PROJECT["dependencies"]) <= runtime.keys()
    assert not names(PROJECT["optional-dependencies"]["dev"]) & runtime.keys()


def test_the_tools_are_locked_beside_the_very_same_runtime() -> None:
    development = pins("requirements-dev.lock")
    assert names(PROJECT["optional-dependencies"]["dev"]) <= development.keys()
    assert pins("requirements.lock").items() <= development.items()


def test_the_build_is_locked_and_agrees_with_the_tools() -> None:
    build, development = pins("requirements-build.lock"), pins("requirements-dev.lock")
    assert "hatchling" in build
    for package in build.keys() & development.keys():
        assert build[package] == development[package]


def test_no_lock_names_a_registry() -> None:
    for lock in ROOT.glob("requirements*.lock"):
        assert "://" not in lock.read_text(), lock.name


def instruction(name: str) -> str:
    """The last one of its name: that of the final stage."""
    found: str = re.findall(rf"^{name} (.+)$", DOCKERFILE, re.MULTILINE)[-1]
    return found


def test_the_image_runs_the_gateway_as_nobody_in_particular() -> None:
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", instruction("USER"))
    assert json.loads(instruction("ENTRYPOINT")) == ["smpp-gateway"]
    assert instruction("STOPSIGNAL") == "SIGTERM"
    assert "requirements-dev.lock" not in DOCKERFILE


def test_everything_downloaded_is_pinned_by_hash() -> None:
    installs = [
        part
        for part in re.split(r"&&|\n", DOCKERFILE)
        if re.search(r"\bpip\b.* install ", part) and not part.startswith("#")
    ]
    assert len(installs) == 3
    for part in installs:
        assert "--require-hashes" in part or "--no-index" in part


def test_nothing_of_the_image_build_moves_but_what_can_be_named() -> None:
    # A frontend by its tag is one more download that nobody pins.
    assert "syntax=" not in DOCKERFILE
    assert set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)) == {"${BASE}"}
    # Where pip compiles, byte code names its source by hash; where the image runs it is not
    # written again.
    first, last = DOCKERFILE.split("FROM ${BASE}")[1:]
    assert first.index("ARG SOURCE_DATE_EPOCH\n") < first.index("RUN ")
    assert "PYTHONDONTWRITEBYTECODE=1" in last
    assert not re.search(r"^RUN ", last, re.MULTILINE)
    assert "PIP_NO_CACHE_DIR=1" in first


def test_make_image_takes_every_time_out_of_it() -> None:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    base = "python:3.11-slim@sha256:0000"
    told = subprocess.run(
        ["make", "--dry-run", "image", f"BASE={base}"],
        cwd=ROOT,
        env={**clean, "SOURCE_DATE_EPOCH": "1764000000"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    line = re.sub(r" \\\n\s*", " ", told)
    for needed in (
        "--build-arg SOURCE_DATE_EPOCH=1764000000 ",
        f"--build-arg BASE={base} ",
        ",rewrite-timestamp=true ",
        "--provenance=false ",  # it says when
    ):
        assert needed in line
    for argument in re.findall(r"--build-arg (\w+)=", line):
        assert re.search(rf"^ARG {argument}\b", DOCKERFILE, re.MULTILINE)


def test_the_ports_of_the_image_are_those_of_the_documents() -> None:
    assert instruction("EXPOSE").split() == ["2775", "3550", "8080", "8081"]


def test_the_commands_of_the_image_exist() -> None:
    health = json.loads(instruction("HEALTHCHECK").partition("CMD ")[2])
    for line in ([*health], ["smpp-gateway", *json.loads(instruction("CMD"))]):
        assert line[0] == "smpp-gateway"
        assert CliRunner().invoke(main, [line[1], "--help"]).exit_code == 0


def test_what_the_image_copies_is_let_through_and_exists() -> None:
    rules = (ROOT / ".dockerignore").read_text().split("\n")
    allowed = [rule[1:] for rule in rules if rule.startswith("!")]
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    sources = {source for line in copied for source in line.split()}
    assert sources == set(allowed)
    assert "*" in rules
    for source in sources:
        assert (ROOT / source).exists()
        assert not fnmatch(source, "requirements-dev*")


def test_the_licence_is_apache_2_whole() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert PROJECT["license"] == "Apache-2.0"
    assert "Version 2.0, January 2004" in text
    assert text.rstrip().endswith("limitations under the License.")


def test_a_stop_fits_into_the_grace_period_of_the_documents() -> None:
    told = re.findall(r"--stop-timeout (\d+)", Path(ROOT / "docs/operations.md").read_text())
    assert told
    assert all(int(seconds) > DrainSettings().timeout for seconds in told)
