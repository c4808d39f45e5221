"""Every command that the documents print: it is run where that is possible, else checked.

A command that no row of `CHECKS` knows fails its test, so nobody can print one unnoticed.
"""

from __future__ import annotations

import argparse
import base64
import re
import shlex
import signal
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import click
import pytest

from gateway.cli import main
from tests import installing, markdown
from tests.made_run import COMMAND, PATIENCE, Running, environment, made_run
from tests.markdown import DOCUMENTS, ROOT
from tests.test_documents import documented_events

# Those that begin a line of a block which is not marked as shell.
PROGRAMS = ("make ", "curl ", "docker ", "smpp-gateway ", ".venv/bin/")
# Run for real when nothing else is in their pipeline but echo.
RUNNABLE = frozenset(
    {
        "send",
        "healthcheck",
        "check-config",
        "hash-password",
        "decode",
        "callback-keys",
        "receipts list",
        "receipts show",
    }
)
KEYS = "callback.keys"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with made_run(tmp_path_factory.mktemp("commands")) as gateway:
        yield gateway


def test_make_run_invites_sends_and_stops(tmp_path: Path) -> None:
    with made_run(tmp_path) as gateway:
        (line,) = (line for line in gateway.invitation if " send " in line)
        for _ in range(2):  # the second bind is remembered, and must work as well
            sent = shell(line, cwd=gateway.folder)
            assert sent.returncode == 0, sent.stderr
            assert "ESME_ROK" in sent.stdout
        gateway.process.send_signal(signal.SIGINT)
        assert gateway.process.wait(PATIENCE) == 0
    logged = gateway.events()
    assert set(logged) <= documented_events().keys()
    assert logged.count("message_relayed") == 2
    assert logged[-2:] == ["draining", "stopped"]


# The commands of the documents.


def commands() -> Iterator[tuple[str, str, str]]:
    """Document, language of the block, command in one line."""
    for document in DOCUMENTS:
        for block in markdown.blocks(document):
            for line in re.sub(r"\\\n\s*", "", block.text).splitlines():
                line = re.sub(r"^\$ |\s+#.*$", "", line).strip()
                is_shell = block.language in {"sh", "bash", "shell"}
                if (is_shell and line and line[0] != "#") or line.startswith(PROGRAMS):
                    yield str(document.relative_to(ROOT)), block.language, line


def shell(line: str, cwd: Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", "-c", line],
        cwd=cwd,
        env={**environment(), "SMPPGW_SEND_PASSWORD": "secret"},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def make(line: str, gateway: Running) -> None:
    """The target exists. `make run` has its own test, `make test` is what runs this one."""
    for target in shlex.split(line)[1:]:
        assert re.search(rf"^{target}:.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)


def curl(line: str, gateway: Running) -> None:
    """The same request, made here: curl is no requirement of this project."""
    parser = argparse.ArgumentParser()
    parser.add_argument("-u", dest="user")
    parser.add_argument("-d", dest="data")
    parser.add_argument("-s", action="store_true")
    parser.add_argument("url")
    options = parser.parse_args(shlex.split(line)[1:])
    request = urllib.request.Request(gateway.moved(options.url))
    assert request.host.startswith("127.0.0.1:")
    if options.user:
        token = base64.b64encode(options.user.encode()).decode()
        request.add_header("Authorization", f"Basic {token}")
    if options.data:
        request.data = options.data.encode()
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        assert answer.status in {200, 201}
        assert answer.read()


def smpp_gateway(line: str, gateway: Running) -> None:
    """Options and arguments are known to the verb; then it runs, if it can run here."""
    pipeline = [shlex.split(part) for part in re.split(r"\s\|\s", line)]
    own = [part[1:] for part in pipeline if part[0].endswith("smpp-gateway")]
    for arguments in own:
        parsed(arguments)
    verb = own[0][0] if own[0] else ""
    if verb == "receipts":
        verb = " ".join(own[0][:2])
    others = {part[0] for part in pipeline if not part[0].endswith("smpp-gateway")}
    elsewhere = "--host" in own[0]  # tests/e2e/test_send_tls.py runs one with --tls
    if verb not in RUNNABLE or elsewhere or others - {"echo"}:
        return
    line = re.sub(r"(\.venv/bin/)?smpp-gateway", shlex.quote(str(COMMAND)), line, count=1)
    if verb == "send":
        line = re.sub(r"--port \d+", "", line)
        line = line.replace(" send ", f" send --port {gateway.ports[2775]} ")
        line = re.sub(r"--count \d+", "--count 3", line)
    elif verb == "healthcheck" and "--url" not in line:
        line += f" --url http://127.0.0.1:{gateway.ports[8080]}/readyz"
    elif verb == "healthcheck":
        line = gateway.moved(line)
    elif verb == "callback-keys":
        keys(gateway.folder)
        line = re.sub(r"\S+$", KEYS, line)
    elif verb == "check-config":
        line = re.sub(r"-c \S+", f"-c {production(gateway.folder)}", line)
    elif verb.startswith("receipts"):
        line = re.sub(r"-c \S+", "-c demo.toml", line)
    ended = shell(line, gateway.folder, stdin="secret\n" if verb == "hash-password" else "")
    # A number that the sandbox refuses; a message that nobody has sent.
    expected = 1 if re.search(r"--to \+\d*[0-5]400\b|receipts show", line) else 0
    assert ended.returncode == expected, ended.stderr
    if verb == "send":
        assert ("ESME_RINVSRCADR" if expected else "ESME_ROK") in ended.stdout


def parsed(arguments: list[str]) -> None:
    """What click makes of a command line, without running anything."""
    command: click.Command = main
    while isinstance(command, click.Group) and arguments and arguments[0] in command.commands:
        command, arguments = command.commands[arguments[0]], arguments[1:]
    with suppress(click.exceptions.Exit):  # --help, --version
        command.make_context("smpp-gateway", list(arguments))


def production(folder: Path) -> Path:
    """The README's configuration, with its secret where it can be read."""
    (block,) = (block for block in markdown.blocks(ROOT / "README.md") if block.language == "toml")
    (folder / "messente").write_text("api-password\n")
    keys(folder)
    path = folder / "gateway.toml"
    here = block.text.replace("/run/secrets/", "").replace("/var/lib/smpp-gateway/", "")
    path.write_text(here)
    return path


def keys(folder: Path) -> None:
    """A key file, as the quick start makes it."""
    if not (folder / KEYS).exists():
        made = shell(f"{shlex.quote(str(COMMAND))} callback-keys add {KEYS}", folder)
        assert made.returncode == 0, made.stderr


def tool(line: str, gateway: Running) -> None:
    """A test run or a measurement of the work tree: what it names is there."""
    program, *arguments = shlex.split(line)
    assert Path(program).name in {"pytest", "python"}
    if arguments[:1] == ["-m"]:
        package, options = ROOT / arguments[1], arguments[2:]
        source = (package / "__main__.py").read_text()
        for option in options:
            assert not option.startswith("--") or f'"{option}"' in source, option
    else:
        for path in arguments:
            assert (ROOT / path).exists(), path


def search(line: str, gateway: Running) -> None:
    """It finds something in a real log, once a message was sent."""
    smpp_gateway('smpp-gateway send --to +37255555555 --text "Hello"', gateway)
    found = shell(line, gateway.folder)
    assert "message_relayed" in found.stdout


def docker(line: str, gateway: Running) -> None:
    """Needs an engine, so it is only read; tests/test_packaging.py looks at what it builds."""
    assert re.match(r"docker (build|buildx build|run) ", line)
    dockerfile = (ROOT / "Dockerfile").read_text()
    for argument in re.findall(r"--build-arg (\w+)=", line):
        assert re.search(rf"^ARG {argument}\b", dockerfile, re.MULTILINE), argument


def installed(line: str, gateway: Running) -> None:
    """The install page's configuration, with its secret in the file that the variable names."""
    block = next(b for b in markdown.blocks(installing.PAGE) if b.language == "toml")
    folder = gateway.folder / "installed"
    folder.mkdir(exist_ok=True)
    (folder / "gateway.toml").write_text(block.text.replace("/var/lib/smpp-gateway", str(folder)))
    (folder / "api-password").write_text("secret\n")
    keys(folder)
    line = line.replace("/etc/smpp-gateway", str(folder))
    line = re.sub(r"(?<= )\S*smpp-gateway(?= check-config)", shlex.quote(str(COMMAND)), line)
    ended = shell(line, folder)
    assert ended.returncode == 0, ended.stderr
    ended = shell(line.partition(" ")[2], folder)
    assert ended.returncode == 78  # without the variable: the service's file is not there


def only_read(check: Callable[[str], None]) -> Callable[[str, Running], None]:
    """A check that needs no gateway."""
    return lambda line, gateway: check(line)


CHECKS: tuple[tuple[str, Callable[[str, Running], None]], ...] = (
    (r"make [a-z ]+$", make),
    (r"curl .*http://127\.0\.0\.1:", curl),
    (r"(.* \| )?(\.venv/bin/)?smpp-gateway( |$)", smpp_gateway),
    (r"\.venv/bin/(pytest|python)( |$)", tool),
    (r"grep .* gateway\.log", search),
    (r"docker ", docker),
    (r"SMPPGW_\w+_FILE=\S+ \S*smpp-gateway check-config ", installed),
    *((pattern, only_read(check)) for pattern, check in installing.CHECKS),
)


@pytest.mark.parametrize(("document", "language", "line"), list(commands()))
def test_command(document: str, language: str, line: str, running: Running) -> None:
    for pattern, check in CHECKS:
        if re.match(pattern, line):
            if language == "console" and check is smpp_gateway:
                parsed(shlex.split(line)[1:])  # the block shows an output of its own
            else:
                check(line, running)
            return
    pytest.fail(f"{document} prints a command that no test knows: {line}")


def test_a_command_line_that_is_wrong_is_found() -> None:
    with pytest.raises(click.exceptions.NoSuchOption):
        parsed(["send", "--to", "+37255555555", "--txt", "Hello"])


def test_an_unknown_verb_is_found() -> None:
    with pytest.raises(click.exceptions.UsageError):
        main.resolve_command(main.make_context("smpp-gateway", ["deliver"]), ["deliver"])
