"""Callbacks of the bench, as the gateway reads them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from bench.webhooks import SUBMITTED, Webhooks
from gateway.callback_key_rotation import add
from gateway.callback_keys import KeyFile
from gateway.omnichannel.callback import signed
from gateway.omnichannel.report import judge_report, read_report


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    add(path, time.time())
    return path


def test_each_is_a_signed_report_about_a_message_of_its_own(key_file: Path) -> None:
    keys, webhooks = KeyFile(key_file), Webhooks(key_file, "bench", "secret")
    seen = set()
    for _ in range(3):
        head, _, body = next(webhooks).partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = dict(line.split(": ") for line in lines)
        method, path, version = first.split(" ")
        assert (method, version) == ("POST", "HTTP/1.1")
        assert int(headers["Content-Length"]) == len(body)
        assert signed(body, headers["X-Messente-Signature"], ["secret"])
        route = keys.open(path.removeprefix("/dlr/"))
        assert (route.system_id, [t.registered_delivery for t in route.targets]) == ("bench", [1])
        assert route.submitted_at == pytest.approx(time.time() - SUBMITTED, abs=5)
        report = read_report(body)
        assert report is not None
        assert report.to.endswith(route.destination.addr)
        assert judge_report(report.status, report.err).kind == "final"
        seen.add((report.omnimessage_id, route.serial))
    assert len({message for message, _ in seen}) == len({serial for _, serial in seen}) == 3
