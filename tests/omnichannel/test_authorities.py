"""Which CA bundle is used."""

from __future__ import annotations

import ssl
from pathlib import Path

import certifi
import pytest

from gateway.omnichannel import authorities
from gateway.omnichannel.authorities import authorities_file


def test_the_configured_file_wins() -> None:
    assert authorities_file("/etc/gateway/ca.pem") == "/etc/gateway/ca.pem"


def test_the_system_bundle_holds_certificates() -> None:
    assert ssl.create_default_context(cafile=authorities_file("")).cert_store_stats()["x509_ca"]


def test_ssl_cert_file_is_respected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.write_text("x")
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    assert authorities_file("") == str(bundle)


def test_an_image_without_a_bundle_has_certifi(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = tmp_path / "empty.pem"
    empty.touch()
    monkeypatch.setenv("SSL_CERT_FILE", str(empty))
    monkeypatch.setattr(authorities, "_BUNDLES", (str(empty), "/nonexistent"))
    assert authorities_file("") == certifi.where()
