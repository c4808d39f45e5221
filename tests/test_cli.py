"""The verbs: pure ones through click's runner, exit codes through the installed command."""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path
from typing import get_args

import pytest
from argon2 import PasswordHasher, extract_parameters
from click.testing import CliRunner

from gateway import __version__
from gateway.cli import main
from gateway.cli_trials import ALPHABETS
from gateway.config_values import Alphabet

ROOT = Path(__file__).parent.parent
COMMAND = str(Path(sys.executable).parent / "smpp-gateway")
VERBS = [
    "callback-keys", "check-config", "decode", "hash-password", "healthcheck", "receipts",
    "sandbox", "send", "serve",
]  # fmt: skip


def run(*arguments: str, stdin: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=30,
        env={**os.environ, **environ},
    )


def test_help_names_every_verb() -> None:
    shown = CliRunner().invoke(main, ["--help"]).output
    assert re.findall(r"^  ([a-z-]+)  ", shown, flags=re.MULTILINE)[-len(VERBS) :] == VERBS


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_an_example_and_a_place_in_the_page(verb: str) -> None:
    result = CliRunner().invoke(main, [verb, "--help"])
    assert result.exit_code == 0
    assert re.search(rf"Examples?:\n(.*\n)*? .*smpp-gateway {verb}", result.output)
    page = (ROOT / "docs" / "command-line.md").read_text()
    assert f"\n## {verb}\n" in page
    assert f"    smpp-gateway {verb}" in page
    for option in re.findall(r"^  (?:-\w, )?(--[a-z-]+)", result.output, flags=re.MULTILINE):
        assert option in {"--help"} or option in OPTIONS_OF[verb]


OPTIONS_OF = {
    "callback-keys": set[str](),
    "receipts": set[str](),
    "serve": {"--config"},
    "check-config": {"--config", "--environment"},
    "hash-password": set[str](),
    "healthcheck": {"--url", "--timeout"},
    "decode": {"--packed", "--default-alphabet"},
    "sandbox": {
        "--listen", "--username", "--password", "--password-file", "--rate-limit", "--latency",
        "--delivery-delay", "--retry-pause", "--callbacks-anywhere", "--retry-after",
    },
    "send": {
        "--host", "--port", "--system-id", "--password", "--to", "--from", "--text", "--coding",
        "--long", "--multi", "--count", "--rate", "--window", "--bind", "--timeout", "--receipt",
        "--wait", "--tls", "--ca",
    },
}  # fmt: skip


def test_version_and_module() -> None:
    assert run("--version").stdout == f"smpp-gateway, version {__version__}\n"
    as_module = subprocess.run(
        [sys.executable, "-m", "gateway", "--version"], capture_output=True, text=True, timeout=30
    )
    assert as_module.stdout == f"smpp-gateway, version {__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("serve",),
        ("send", "--text", "x"),
        ("send", "--to", "1" * 21, "--text", "x"),
        ("send", "--to", "+372", "--text", "õ", "--coding", "gsm7"),
        ("send", "--to", "+372", "--text", "x", "--window", "0"),
        ("send", "--to", "+372", "--text", "x", "--system-id", "bank"),
        ("send", "--to", "+372", "--text", "x", "--long", "parts"),
        ("send", "--to", "+372", "--text", "x", "--ca", __file__),
        ("send", "--to", "+372", "--text", "x", "--tls", "--ca", __file__),
        ("send", "--to", "+372", "--text", "x" * (255 * 153 + 1), "--long", "udh"),
        ("send", "--to", "+372", "--text", "x" * 65_536),
        ("send", "--multi", *["--to", "+372"] * 255, "--text", "x"),
        ("decode", "--default-alphabet", "klingon", "00"),
        ("sandbox", "--listen", "8085"),
        ("decode", "xyz"),
        ("decode",),
    ],
)
def test_a_wrong_command_line(arguments: tuple[str, ...]) -> None:
    result = CliRunner().invoke(main, list(arguments), env={"SMPPGW_SEND_PASSWORD": None})
    assert result.exit_code == 2, result.output


def test_a_wrong_command_line_says_what_to_do() -> None:
    long = CliRunner().invoke(
        main, ["send", "--to", "+372", "--text", "õ" * 17_000, "--long", "sar"]
    )
    assert "the text makes 258 parts, and a message has at most 255: use --long payload" in (
        long.output
    )
    many = CliRunner().invoke(main, ["send", "--multi", *["--to", "+372"] * 300, "--text", "x"])
    assert "leave out --multi, or send to fewer at a time" in many.output


@pytest.mark.parametrize("verb", ["serve", "check-config"])
def test_a_configuration_that_cannot_be_used(verb: str, tmp_path: Path) -> None:
    path = tmp_path / "gw.toml"
    path.write_text("[smpp]\nlistne = 1\n[log]\nlevel = 'x'\n")
    done = run(verb, "-c", str(path))
    assert done.returncode == 78
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        f'{path}: smpp.listne: unknown key, did you mean "listen"?',
        f'{path}: log.level: must be one of "debug", "info", "warning", "error"',
    ]


def test_check_config(tmp_path: Path) -> None:
    path = tmp_path / "gw.toml"
    path.write_text(
        '[smpp]\nlisten = "192.0.2.1:2775"\n[admin]\nlisten = ""\n'
        '[omnichannel]\nusername = "u"\npassword = "p"\n'
        '[[accounts]]\nsystem_id = "bank"\npassword = "x"\nreceipts = "off"\n'
    )
    done = run("check-config", "-c", str(path))
    assert done.returncode == 78
    assert done.stderr == (
        f"{path}: smpp.listen: 192.0.2.1:2775 cannot be bound: Cannot assign requested address\n"
    )
    done = run("check-config", "-c", str(path), "--no-environment")
    assert done.returncode == 0
    assert done.stdout == (
        f"{path} can be used.\n"
        "  SMPP      192.0.2.1:2775\n"
        "  admin     off\n"
        f"  store     sqlite:///{tmp_path}/gateway.db\n"
        "  API       https://api.messente.com/v1 (libcurl)\n"
        "  pace      150 requests/s, with up to 1,000 messages in each\n"
        "  callbacks off\n"
        "  accounts  bank\n"
    )
    assert done.stderr == (
        'warning: accounts[0] "bank".password: stands in the clear; prefer password_hash '
        "(smpp-gateway hash-password)\n"
    )
    path_in_environment = run("check-config", "-c", str(path), SMPPGW_SMPP__LISTEN="127.0.0.1:0")
    assert path_in_environment.returncode == 0


def test_hash_password_from_a_pipe() -> None:
    done = run("hash-password", stdin="s3 cret\n")
    hashed = done.stdout.removesuffix("\n")
    assert done.returncode == 0
    assert PasswordHasher().verify(hashed, "s3 cret")
    found = extract_parameters(hashed)
    assert (found.time_cost, found.memory_cost, found.parallelism) == (2, 19456, 1)
    assert found.type.name == "ID"
    assert run("hash-password", stdin="\n").returncode == 1
    assert run("hash-password", "s3cret").returncode == 2


def test_decode() -> None:
    runner = CliRunner()
    good = "00000010 00000015 00000000 00000001"
    result = runner.invoke(main, ["decode", *good.split()])
    assert result.exit_code == 0
    assert json.loads(result.output)["command"] == "enquire_link"
    piped = runner.invoke(main, ["decode"], input=good + "\n" + good)
    assert piped.exit_code == 0
    assert len(piped.output.splitlines()) == 2
    bad = runner.invoke(main, ["decode", good.replace("0015", "0FFF")])
    assert bad.exit_code == 1
    assert json.loads(bad.output)["answer"].startswith("generic_nack ESME_RINVCMDID")


def long_message(data_coding: int, *texts: bytes) -> str:
    """The submit_sm of each part, one line each."""
    lines = []
    for number, text in enumerate(texts, start=1):
        octets = bytes([5, 0, 3, 42, len(texts), number]) + text
        body = b"\0\0\0Bank\0\1\1" + b"372555\0\x40\0\0\0\0\0\0"
        body += bytes([data_coding, 0, len(octets)]) + octets
        lines.append((struct.pack(">IIII", 16 + len(body), 4, 0, number) + body).hex())
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("data_coding", "texts", "options", "joined"),
    [
        (0, (b"a\x1b", b"eb"), [], "a€b"),
        (8, (b"\xd8\x3d", b"\xde\0"), [], "😀"),
        (0, (b"\xe9", b"e"), ["--default-alphabet", "latin-1"], "ée"),
        (0, (b"\x90\x69", b"\x90\x69"), ["--packed"], "HiHi"),
    ],
)
def test_decode_a_long_message(
    data_coding: int, texts: tuple[bytes, ...], options: list[str], joined: str
) -> None:
    written = long_message(data_coding, *texts)
    result = CliRunner().invoke(main, ["decode", *options], input=written)
    assert result.exit_code == 0
    first, second, whole = map(json.loads, result.output.splitlines())
    assert (first["part_of"], second["part_of"]) == ("set 1, part 1 of 2", "set 1, part 2 of 2")
    assert whole["set"]["message"]["text"] == joined


def test_the_default_alphabets_are_the_settings() -> None:
    assert get_args(Alphabet) == ALPHABETS


def test_healthcheck_of_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/readyz"
    done = run("healthcheck", "--url", url)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"{url}: Connection refused\n"


def smpp_server(status: int) -> tuple[int, threading.Thread, list[bytes]]:
    """A server of one connection that answers every submit_sm with `status`.

    A submit_multi it takes for all but +372556.
    """
    server = socket.create_server(("127.0.0.1", 0))
    received: list[bytes] = []

    def serve() -> None:
        connection, _ = server.accept()
        with server, connection, connection.makefile("rb") as stream:
            while len(head := stream.read(16)) == 16:
                length, command_id, _, sequence = struct.unpack(">IIII", head)
                received.append(stream.read(length - 16))
                failed = b"\0"
                if b"372556\0" in received[-1]:
                    failed = b"\1\1\1" + b"372556\0" + struct.pack(">I", 0x0B)
                body = {2: b"gw\0", 4: b"id\0", 0x21: b"id\0" + failed}.get(command_id, b"")
                answer = status if command_id == 4 else 0
                connection.sendall(
                    struct.pack(">IIII", 16 + len(body), command_id | 1 << 31, answer, sequence)
                    + body
                )

    thread = threading.Thread(target=serve)
    thread.start()
    return server.getsockname()[1], thread, received


@pytest.mark.parametrize(
    ("status", "name", "code"), [(0, "ESME_ROK", 0), (11, "ESME_RINVDSTADR", 1)]
)
def test_send(status: int, name: str, code: int) -> None:
    port, thread, received = smpp_server(status)
    done = run(
        "send", "--port", str(port), "--system-id", "bank", "--to", "+372555", "--count", "2",
        stdin="Tere\n", SMPPGW_SEND_PASSWORD="from the environment",
    )  # fmt: skip
    thread.join(5)
    assert done.returncode == code, done.stderr
    first, second, summary = map(json.loads, done.stdout.splitlines())
    assert first["to"] == second["to"] == "+372555"
    assert first["status"] == second["status"] == name
    assert first["message_id"] == ("id" if status == 0 else "")
    assert first["ms"] > 0
    assert (first["part"], first["parts"]) == (1, 1)
    assert (summary["messages"], summary["statuses"]) == (2, {name: 2})
    assert summary["p50_ms"] <= summary["p99_ms"]
    assert received[0].startswith(b"bank\0from the environment\0")
    assert received[1].endswith(b"\x04Tere")


def test_send_in_parts() -> None:
    port, thread, received = smpp_server(0)
    done = run(
        "send", "--port", str(port), "--to", "+372555", "--count", "2", "--long", "udh",
        stdin="Tere " * 70,
    )  # fmt: skip
    thread.join(5)
    assert done.returncode == 0, done.stderr
    *parts, summary = map(json.loads, done.stdout.splitlines())
    assert [(part["part"], part["parts"]) for part in parts] == [(1, 3), (2, 3), (3, 3)] * 2
    assert (summary["messages"], summary["parts"]) == (2, 6)
    assert len(received) == 8  # with bind and unbind


@pytest.mark.parametrize(("number", "code"), [("+372557", 0), ("+372556", 1)])
def test_send_to_several_at_once(number: str, code: int) -> None:
    port, thread, _ = smpp_server(0)
    done = run(
        "send", "--port", str(port), "--multi", "--to", "+372555", "--to", number, "--text", "x",
    )  # fmt: skip
    thread.join(5)
    *lines, _ = map(json.loads, done.stdout.splitlines())
    found = [(line["to"], line["status"], line["message_id"]) for line in lines]
    accepted = ("ESME_ROK", "id")
    refused = ("ESME_RINVDSTADR", "")
    assert done.returncode == code
    assert found == [("+372555", *accepted), (number, *(refused if code else accepted))]


def test_send_to_nobody() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    done = run("send", "--port", str(port), "--to", "+372555", "--text", "x")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"Error: 127.0.0.1:{port}: Connection refused: is the gateway running there?\n"
    )


@pytest.mark.parametrize(
    ("arguments", "ends"),
    [
        (["--to", "+372555", "--to", "+372556"], ["ms", "ms"]),
        (["--to", "+372555", "--count", "11"], ["ESME_ROK", "ms"]),
        (["--to", "+372555", "--long", "sar", "--text", "x" * 200], ["ms", "ms"]),
    ],
)
def test_send_on_a_terminal(arguments: list[str], ends: list[str]) -> None:
    port, thread, _ = smpp_server(0)
    master, terminal = os.openpty()
    process = subprocess.Popen(
        [COMMAND, "send", "--port", str(port), "--text", "x", *arguments],
        stdout=terminal,
        stderr=terminal,
        stdin=terminal,
    )
    os.close(terminal)
    shown = b""
    try:
        while octets := os.read(master, 4096):
            shown += octets
    except OSError:  # how Linux says that the other end of a terminal is gone
        pass
    os.close(master)
    assert process.wait(10) == 0
    thread.join(5)
    lines = shown.decode().splitlines()[-2:]
    assert [line.split()[-1] for line in lines] == ends, shown
    assert ("messages/s" in lines[-1]) is ("--count" in arguments)
    assert ("2/2" in lines[-1].split()) is ("--long" in arguments)


def test_sandbox(tmp_path: Path) -> None:
    (tmp_path / "pw").write_text("s3cret\n")
    process = subprocess.Popen(
        [COMMAND, "sandbox", "--listen", "127.0.0.1:0", "--password-file", str(tmp_path / "pw")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    found = re.fullmatch(
        r"The sandbox listens on http://127\.0\.0\.1:(\d+)/v1 \(user sandbox\)\n", line
    )
    assert found, line
    statuses = []
    for password in ("s3cret", "wrong"):
        connection = http.client.HTTPConnection("127.0.0.1", int(found[1]), timeout=5)
        basic = base64.b64encode(f"sandbox:{password}".encode()).decode()
        connection.request(
            "POST", "/v1/omnimessage", body="{}", headers={"Authorization": f"Basic {basic}"}
        )
        statuses.append(connection.getresponse().status)
        connection.close()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=10)
    assert statuses == [400, 401]
    assert (process.returncode, errors) == (0, "")
