"""`smpp-gateway send --tls` against the encrypted listener."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from tests.e2e.daemon import COMMAND, LIMIT, Daemon
from tests.omnichannel.certificates import Authority


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def daemon(authority: Authority) -> Iterator[Daemon]:
    pair = authority.issue()
    smpp = f'tls_listen = "127.0.0.1:0"\ntls_certificate = "{pair}"\ntls_key = "{pair}"'
    with Daemon(smpp=smpp) as running:
        yield running


def send(port: int, *options: str) -> subprocess.CompletedProcess[str]:
    command = [COMMAND, "send", "--port", str(port), "--to", "+37255500001", "--text", "Hi"]
    return subprocess.run([*command, *options], capture_output=True, text=True, timeout=LIMIT)


def test_a_message_over_tls(daemon: Daemon, authority: Authority) -> None:
    sent = send(daemon.ports["smpp_tls"], "--tls", "--ca", authority.ca_file)
    assert (sent.returncode, sent.stderr) == (0, "")
    assert "ESME_ROK" in sent.stdout


def test_an_authority_that_is_not_trusted(daemon: Daemon) -> None:
    sent = send(daemon.ports["smpp_tls"], "--tls")
    assert sent.returncode == 1
    assert "its certificate is not accepted" in sent.stderr
    assert "--ca" in sent.stderr
    assert "Traceback" not in sent.stderr


def test_a_certificate_of_another_name(authority: Authority) -> None:
    pair = authority.issue("elsewhere.example.com")
    smpp = f'tls_listen = "127.0.0.1:0"\ntls_certificate = "{pair}"\ntls_key = "{pair}"'
    with Daemon(smpp=smpp) as other:
        sent = send(other.ports["smpp_tls"], "--tls", "--ca", authority.ca_file)
    assert sent.returncode == 1
    assert "its certificate is not accepted" in sent.stderr


@pytest.mark.parametrize(
    ("listener", "options", "words"),
    [("smpp", ["--tls"], "no TLS there"), ("smpp_tls", [], "closed the connection")],
)
def test_the_wrong_port(daemon: Daemon, listener: str, options: list[str], words: str) -> None:
    sent = send(daemon.ports[listener], *options)
    assert sent.returncode == 1
    assert words in sent.stderr
