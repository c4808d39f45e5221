"""An API that cannot be connected to: few attempts, refusals at once, and no restart after it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.e2e import raw_esme as wire
from tests.e2e.daemon import ACCOUNT, Daemon, Sandbox, until
from tests.e2e.faulty_api import FaultyApi
from tests.e2e.raw_esme import RawEsme
from tests.omnichannel.certificates import Authority
from tests.omnichannel.https_server import Answer, HttpsServer, server_context

PATH = "/omnimessage"
GOOD = Answer(201, b'{"omnimessage_id": "6a4b4b6c-6f5a-4d3e-9c2b-1f0e8d7c6b5a"}')
ACCOUNTS = ACCOUNT + "window = 5000\n"
SOON = "fail_fast_after = 0.6\nprobe_interval = 0.2\n"
REACHABLE = "smppgw_api_reachable"


def assert_refuses_at_once(client: RawEsme, count: int = 20) -> None:
    for number in range(count):
        began = time.monotonic()
        assert client.ask(wire.submit(10_000 + number)).status == wire.RSYSERR
        assert time.monotonic() - began < 0.05


@pytest.mark.parametrize("engine", ["libcurl", "requests"])
def test_an_expired_certificate_and_a_new_one(tmp_path: Path, engine: str) -> None:
    authority = Authority(tmp_path)
    alpn = ("h2", "http/1.1")
    expired = server_context(authority.issue(expired=True), alpn)
    engine_lines = f'engine = "{engine}"\nca_file = "{authority.ca_file}"'
    with (
        HttpsServer(expired, {PATH: GOOD}) as api,
        Daemon(
            base_url=api.base_url,
            accounts=ACCOUNTS,
            omnichannel=f"{engine_lines}\nfail_fast_after = 1",
        ) as daemon,
    ):
        client = RawEsme(daemon.port).bind()
        client.send(wire.submit(1))
        until(lambda: daemon.metric('smppgw_api_requests_total{outcome="unreachable"}'), "failure")
        began, connections = time.monotonic(), api.connections
        client.send(*(wire.submit(number) for number in range(2, 2_002)))
        answers = [client.expect() for _ in range(2_001)]
        assert {one.status for one in answers} == {wire.RSYSERR}
        assert len({one.sequence for one in answers}) == 2_001
        assert time.monotonic() - began < 3
        assert_refuses_at_once(client)
        assert api.connections - connections < 12
        assert daemon.metric(REACHABLE) == 0
        assert daemon.event("api_unreachable")["detail"].startswith("tls: ")
        assert daemon.event("message_refused")["outcome"] == "unreachable"
        assert api.requests == []

        api.context = server_context(authority.issue(), alpn)
        began = time.monotonic()
        until(lambda: daemon.metric(REACHABLE) == 1, "recovery")
        assert time.monotonic() - began < 3
        assert client.ask(wire.submit(5_000)).status == wire.ROK
        assert daemon.event("api_reachable")["seconds"] > 1
        assert api.seen(PATH) == 1
        client.socket.close()
        assert daemon.stop() == 0
        daemon.assert_healthy_log()


def test_a_name_that_cannot_be_resolved() -> None:
    """One label too long for DNS: no resolver is asked, and none can know it."""
    base_url = f"https://{'a' * 64}.invalid/v1"
    with Daemon(base_url=base_url, accounts=ACCOUNTS, omnichannel=SOON) as daemon:
        with RawEsme(daemon.port) as client:
            client.bind()
            assert client.ask(wire.submit(1)).status == wire.RSYSERR
            assert_refuses_at_once(client)
        assert daemon.event("api_unreachable")["detail"].startswith("dns: ")
        assert daemon.stop() == 0
        daemon.assert_healthy_log()


def test_an_api_that_is_down_at_the_start_and_comes_later() -> None:
    with Sandbox() as sandbox, FaultyApi(sandbox.port) as api:
        api.down()
        with Daemon(
            base_url=api.base_url, sandbox_port=sandbox.port, accounts=ACCOUNTS, omnichannel=SOON
        ) as daemon:
            with RawEsme(daemon.port) as client:
                client.bind()
                assert daemon.metric(REACHABLE) == 1  # nobody has asked yet
                assert client.ask(wire.submit(1)).status == wire.RSYSERR
                assert_refuses_at_once(client)
                assert daemon.metric(REACHABLE) == 0
                assert daemon.admin("/readyz")[0] == 200
                api.up()
                until(lambda: daemon.metric(REACHABLE) == 1, "recovery without traffic")
                assert client.ask(wire.submit(2, "37255501111")).status == wire.ROK
            assert len(daemon.accepted()) == 1
            assert [request.to for request in api.requests] == ["", "+37255501111"]
            assert b"authorization" not in api.requests[0].head.lower()
            assert daemon.stop() == 0
            daemon.assert_healthy_log()
