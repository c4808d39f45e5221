"""The commands of the install page: those about files are run in a scratch folder that stands
for the root of the file system, the others are read: their options, and what they name here.
"""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from gateway import __version__
from tests.markdown import ROOT

PAGE = ROOT / "docs/install.md"
UNIT = (ROOT / "config/smpp-gateway.service").read_text()
OWNERS = {"root", "smpp-gateway"}
PLACES = ("/opt/smpp-gateway", "/etc/smpp-gateway", "/var/lib/smpp-gateway")
HOOK = "/etc/letsencrypt/renewal-hooks/deploy/smpp-gateway"
LINKS = ("/etc/systemd/system/smpp-gateway.service", "/usr/local/bin/smpp-gateway", HOOK)
TUNNEL = "stunnel@smpp"
PORTS = {"443", "2775", "3550"}
NEXT = "0.2.0"  # the version that the page upgrades to


class _Options(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise AssertionError(message)


def _parse(parser: argparse.ArgumentParser, line: str) -> argparse.Namespace:
    return parser.parse_intermixed_args(shlex.split(line)[1:])


def _ours(path: str) -> None:
    """It is a place that the page tells of."""
    assert path in LINKS or re.match(rf"({'|'.join(PLACES)})(?=[-/]|$)", path), path


def _run(command: list[str], folder: Path | str = ROOT) -> None:
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


def install(line: str) -> None:
    """Copies what is in the tree, or makes what is empty, with a mode that fits a secret."""
    parser = _Options()
    parser.add_argument("-d", action="store_true")
    parser.add_argument("-m", required=True)
    parser.add_argument("-o", choices=OWNERS)
    parser.add_argument("-g", choices=OWNERS)
    parser.add_argument("paths", nargs="+")
    options = _parse(parser, line)
    *sources, target = options.paths
    _ours(target)
    assert len(sources) == (0 if options.d else 1)
    if options.g:  # what is the service's own is nobody else's
        assert int(options.m, 8) & 0o7 == 0
    for source in sources:
        assert source == "/dev/null" or (ROOT / source).is_file(), source
    with tempfile.TemporaryDirectory() as root:
        there = Path(root + target)
        there.parent.mkdir(parents=True)
        _run(["install", *(["-d"] if options.d else []), "-m", options.m, *sources, str(there)])
        assert there.stat().st_mode & 0o777 == int(options.m, 8)


def files(line: str) -> None:
    """cp, mv, rm and ln do what they should with a tree like the installed one."""
    program, *words = shlex.split(line)
    named = [word for word in words if word.startswith("/")]
    for path in named:
        _ours(path)
    with tempfile.TemporaryDirectory() as root:
        moved = [root + word if word in named else word for word in words]
        there = [Path(root + path) for path in named]
        for target in there:
            target.parent.mkdir(parents=True, exist_ok=True)
        for source in {"rm": there, "ln": []}.get(program, there[:-1]):
            source.mkdir()
        if program == "ln":  # -n is needed where a link to a folder is replaced
            there[-1].parent.joinpath(moved[-2]).mkdir(parents=True)
        _run([program, *moved])
        if program == "rm":
            assert not any(path.exists() for path in there)
        elif program == "ln":
            _run([program, *moved])  # the second time too it replaces the link
            assert str(there[-1].readlink()) == moved[-2]
            assert list(there[-1].iterdir()) == []
        else:
            assert there[-1].is_dir()


def make_venv(line: str) -> None:
    _, *arguments = shlex.split(line)
    assert arguments[:2] == ["-m", "venv"]
    (folder,) = arguments[2:]
    assert folder in {f"/opt/smpp-gateway/{version}" for version in (__version__, NEXT)}


def pip(line: str) -> None:
    """Nothing without a hash, nothing from elsewhere; the wheel has the version of its folder."""
    program, verb, *arguments = shlex.split(line)
    version = Path(program).parts[3]
    assert version in {__version__, NEXT}
    assert verb == "install"
    wheel = f"dist/smpp_omnichannel_gateway-{version}-py3-none-any.whl"
    assert arguments in (
        ["--require-hashes", "--only-binary", ":all:", "-r", "requirements.lock"],
        ["--no-deps", "--no-index", wheel],
    )
    assert (ROOT / "requirements.lock").is_file()


def useradd(line: str) -> None:
    parser = _Options()
    parser.add_argument("name")
    for flag in ("--system", "--user-group", "--no-create-home"):
        parser.add_argument(flag, action="store_true", required=True)
    parser.add_argument("--home-dir", required=True, choices=PLACES)
    parser.add_argument("--shell", required=True, choices=["/usr/sbin/nologin"])
    _users(_parse(parser, line).name)


def userdel(line: str) -> None:
    (name,) = shlex.split(line)[1:]
    _users(name)


def runuser(line: str) -> None:
    words = shlex.split(line)
    assert (words[1], words[3], words[4]) == ("-u", "--", "smpp-gateway")
    _users(words[2])


def _users(name: str) -> None:
    assert f"\nUser={name}\n" in UNIT


def systemctl(line: str) -> None:
    parser = _Options()
    verbs = ["daemon-reload", "disable", "edit", "enable", "reload", "restart", "start", "status"]
    parser.add_argument("verb", choices=[*verbs, "stop"])
    parser.add_argument("--now", action="store_true")
    parser.add_argument("unit", nargs="?", choices=["smpp-gateway", TUNNEL])
    options = _parse(parser, line)
    assert (options.unit is None) == (options.verb == "daemon-reload")
    assert not options.now or options.verb in {"enable", "disable"}
    assert options.verb != "reload" or "\nExecReload=" in UNIT
    if options.unit == TUNNEL:
        assert f"/etc/stunnel/{TUNNEL.partition('@')[2]}.conf" in PAGE.read_text()


def journalctl(line: str) -> None:
    parser = _Options()
    parser.add_argument("-u", required=True, choices=["smpp-gateway"])
    parser.add_argument("-o", choices=["cat"])
    parser.add_argument("-f", action="store_true")
    parser.add_argument("-n", type=int)
    _parse(parser, line)


def creds(line: str) -> None:
    """The credential has the name that the unit hands over."""
    parser = _Options()
    parser.add_argument("verb", choices=["encrypt"])
    parser.add_argument("--name", required=True)
    parser.add_argument("input")
    parser.add_argument("output")
    options = _parse(parser, line)
    assert f"\nLoadCredential={options.name}:{options.input}\n" in UNIT
    assert f"\nLoadCredentialEncrypted={options.name}:{options.output}\n" in PAGE.read_text()


def apt(line: str) -> None:
    parser = _Options()
    parser.add_argument("verb", choices=["install"])
    parser.add_argument("package", nargs="+", choices=["python3", "python3-venv"])
    _parse(parser, line)


def ufw(line: str) -> None:
    address = r"(any|[\d.]+(/\d+)?)"
    found = re.fullmatch(rf"ufw allow proto tcp from {address} to any port (\d+)", line)
    assert found
    assert found[3] in PORTS
    assert found[1] != "any" or found[3] == "443"  # SMPP is nothing for strangers


def hook(line: str) -> None:
    """What is run by hand is what certbot runs, and about the certificate that the hook takes."""
    lineage, program = line.removeprefix("RENEWED_LINEAGE=").split()
    assert program == HOOK
    text = (ROOT / "config/certbot-deploy-hook").read_text()
    assert f"\nname={lineage.rpartition('/')[2]}\n" in text
    assert lineage.startswith("/etc/letsencrypt/live/")


def openssl(line: str) -> None:
    """Those that make certificates are run, after the ones before them on the page."""
    if line.startswith("openssl s_client"):
        port = re.search(r" -connect 127\.0\.0\.1:(\d+) ", line)
        assert port
        assert port[1] in PORTS
        return
    made = [found for found in PAGE.read_text().splitlines() if found.startswith("openssl req")]
    with tempfile.TemporaryDirectory() as folder:
        for command in made[: made.index(line) + 1]:
            _run(shlex.split(command), folder)
        if line == made[-1]:
            _run(["openssl", "verify", "-purpose", "sslclient", "-CAfile", *_pems(made)], folder)


def _pems(commands: list[str]) -> list[str]:
    return [command.rpartition(" -out ")[2] for command in commands]


CHECKS: tuple[tuple[str, Callable[[str], None]], ...] = (
    (r"apt-get ", apt),
    (r"python3 -m venv ", make_venv),
    (r"/opt/smpp-gateway/\S+/bin/pip ", pip),
    (r"(cp|mv|rm|ln) ", files),
    (r"install ", install),
    (r"useradd ", useradd),
    (r"userdel ", userdel),
    (r"runuser ", runuser),
    (r"systemctl ", systemctl),
    (r"journalctl ", journalctl),
    (r"systemd-creds ", creds),
    (r"ufw ", ufw),
    (r"RENEWED_LINEAGE=", hook),
    (r"openssl (req|s_client) ", openssl),
)
