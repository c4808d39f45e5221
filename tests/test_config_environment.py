"""What `check-config` asks of the machine."""

from __future__ import annotations

import socket
from pathlib import Path

from gateway.config import Settings
from gateway.config_environment import environment
from gateway.config_file import load
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
