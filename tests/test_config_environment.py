"""What `check-config` asks of the machine."""

from __future__ import annotations

import base64
import socket
from pathlib import Path

import pytest

from gateway import config_environment
from gateway.config import Settings
from gateway.config_environment import environment
from gateway.config_file import load
from tests.omnichannel.certificates import Authority
from tests.test_config_file import ACCOUNT, API, write


def settings_with(tmp_path: Path, text: str) -> Settings:
    return load(write(tmp_path, API + ACCOUNT + text), {})


def test_environment_faults(tmp_path: Path) -> None:
    (tmp_path / "bad.pem").write_text("no certificate")
    text = '[smpp]\nlisten = "192.0.2.1:2775"\n[admin]\nlisten = "no-such-host.invalid:1"\n'
    ca = 'ca_file = "bad.pem"\n'
    settings = load(write(tmp_path, API + ca + ACCOUNT + text), {})
    found, notes = environment(settings)
    assert notes == []
    assert found[0].startswith(f"omnichannel.ca_file: {tmp_path / 'bad.pem'} cannot be used: ")
    assert (
        found[1] == "smpp.listen: 192.0.2.1:2775 cannot be bound: Cannot assign requested address"
    )
    assert found[2].startswith("admin.listen: no-such-host.invalid:1 does not resolve: ")


def test_a_port_in_use_is_only_worth_knowing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        text = f'[smpp]\nlisten = "{where}"\n[admin]\nlisten = "127.0.0.1:0"\n'
        found, notes = environment(settings_with(tmp_path, text))
    assert found == []
    assert notes == [f"smpp.listen: {where} is in use; fine if that is the running gateway"]


def test_a_store_that_can_be_there(tmp_path: Path) -> None:
    for url in ("sqlite://", "sqlite:///gateway.db", f"sqlite:///{tmp_path}/other.db"):
        text = f'[smpp]\nlisten = ""\n[admin]\nlisten = ""\n[store]\nurl = "{url}"\n'
        assert environment(settings_with(tmp_path, text)) == ([], [])
    assert not list(tmp_path.glob("*.db*")), "a check makes no store"


def test_a_store_without_its_folder(tmp_path: Path) -> None:
    text = '[smpp]\nlisten = ""\n[admin]\nlisten = ""\n[store]\nurl = "sqlite:///none/here.db"\n'
    found, _ = environment(settings_with(tmp_path, text))
    assert found == [f"store.url: {tmp_path}/none is no folder"]


QUIET = '[smpp]\nlisten = ""\n[admin]\nlisten = ""\n[store]\nurl = "sqlite://"\n'


def callbacks(tmp_path: Path, keys: str) -> tuple[list[str], list[str]]:
    text = '[callbacks]\nlisten = "127.0.0.1:0"\npublic_url = "https://gw.example.com"\n'
    return environment(settings_with(tmp_path, QUIET + text + 'key_file = "keys"\n' + keys))


def make_keys(tmp_path: Path) -> None:
    key = base64.b64encode(bytes(range(64))).decode()
    (tmp_path / "keys").write_text(f"q7 2026-03-01T09:00:00Z {key}\n")
    (tmp_path / "keys").chmod(0o600)


def test_the_keys_of_callbacks(tmp_path: Path) -> None:
    (fault,), _ = callbacks(tmp_path, "")
    assert fault.startswith("callbacks.key_file: ")
    assert str(tmp_path / "keys") in fault
    make_keys(tmp_path)
    assert callbacks(tmp_path, "") == ([], [])
    (tmp_path / "keys").chmod(0o644)
    found, (note,) = callbacks(tmp_path, "")
    assert found == []
    assert note.startswith("callbacks.key_file: ")


def test_the_certificate_of_callbacks(tmp_path: Path) -> None:
    make_keys(tmp_path)
    authority = Authority(tmp_path)
    good, other = authority.issue(), authority.issue("other.example.com")
    expired = authority.issue(expired=True)

    def faults(certificate: str, key: str) -> list[str]:
        words = f'tls_certificate = "{certificate}"\ntls_key = "{key}"\n'
        return callbacks(tmp_path, words)[0]

    assert faults(good, good) == []
    assert faults(expired, expired) == [f"callbacks.tls_certificate: {expired} has expired"]
    assert faults(good, other) == [
        f"callbacks.tls_key: {other} is not the key of the certificate in {good}"
    ]
    assert faults("none.pem", good) == [
        f"callbacks.tls_certificate: {tmp_path}/none.pem cannot be read: No such file or directory"
    ]


def tls_listener(tmp_path: Path, section: str, keys: str) -> tuple[list[str], list[str]]:
    """What is said of the files of a listener with these keys."""
    off = f'[{section}]\nlisten = ""\n'
    on = f'[{section}]\nlisten = "127.0.0.1:0"\n{keys}'
    if section == "smpp":
        on = off + on.removeprefix("[smpp]\n").replace("listen", "tls_listen", 1)
    assert off in QUIET
    return environment(settings_with(tmp_path, QUIET.replace(off, on)))


@pytest.mark.parametrize("section", ["smpp", "admin"])
def test_the_files_of_tls_listeners(tmp_path: Path, section: str) -> None:
    authority = Authority(tmp_path)
    good, expired = authority.issue(), authority.issue(expired=True)

    def faults(certificate: str, more: str = "") -> list[str]:
        pair = f'tls_certificate = "{certificate}"\ntls_key = "{certificate}"\n'
        return tls_listener(tmp_path, section, pair + more)[0]

    (tmp_path / "empty.pem").write_text("nothing")
    assert faults(good) == []
    assert faults(good, f'tls_client_ca = "{authority.ca_file}"\n') == []
    assert faults(good, 'tls_client_ca = "empty.pem"\n') == [
        f"{section}.tls_client_ca: {tmp_path}/empty.pem holds no certificate in PEM"
    ]
    assert faults(good, 'tls_client_ca = "none.pem"\n') == [
        f"{section}.tls_client_ca: {tmp_path}/none.pem cannot be read: No such file or directory"
    ]
    assert faults(expired) == [f"{section}.tls_certificate: {expired} has expired"]


def test_a_certificate_that_ends_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = Authority(tmp_path).issue()  # for ten days
    pair = f'tls_certificate = "{good}"\ntls_key = "{good}"\n'
    assert tls_listener(tmp_path, "smpp", pair) == (
        [],
        [f"smpp.tls_certificate: {good} ends in 9 days: renew it, a reload (SIGHUP) takes it over"],
    )
    monkeypatch.setattr(config_environment, "SOON", 5 * 86_400)
    assert tls_listener(tmp_path, "smpp", pair) == ([], [])
