"""How the installed command stops, and how it does not start."""

from __future__ import annotations

import json
import shlex
import socket
import struct
import subprocess
import time
from pathlib import Path
from signal import SIGINT, SIGTERM, Signals

import pytest

from tests.e2e import raw_esme as wire
from tests.e2e.daemon import ACCOUNT, LIMIT, Daemon, until
from tests.e2e.raw_esme import RESP, RawEsme, pdu
from tests.omnichannel.https_server import Answer, HttpsServer

HANGS = "37255509000"


@pytest.mark.parametrize("number", [SIGTERM, SIGINT])
def test_a_drain_finishes_what_is_in_flight(number: int) -> None:
    with Daemon(sandbox="rate_limit = 0\nlatency = 0.7") as daemon:
        with RawEsme(daemon.port) as client, RawEsme(daemon.port) as stranger:
            client.bind()
            client.send(*(wire.submit(n) for n in range(1, 21)))
            until(lambda: daemon.metric("smppgw_submits_in_flight") == 20, "the submits")
            daemon.kill(number)
            daemon.event("draining")
            assert daemon.admin("/readyz")[:2] == (503, "text/plain; charset=utf-8")
            assert "draining" in daemon.admin("/readyz")[2]
            assert daemon.admin("/livez")[0] == 200
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", daemon.port))
            assert stranger.rest() == []
            refused = client.ask(wire.submit(100))
            assert (refused.sequence, refused.status) == (100, wire.RMSGQFUL)
            assert client.alive()
            answers = [client.expect() for _ in range(20)]
            assert {answer.sequence for answer in answers} == set(range(1, 21))
            assert {answer.status for answer in answers} == {wire.ROK}
            unbind = client.expect()
            assert (unbind.command_id, unbind.length) == (wire.UNBIND, 16)
            assert client.alive(), "until it is unbound"
            client.send(pdu(wire.UNBIND | RESP, unbind.sequence))
            assert client.rest() == []
        assert daemon.wait() == 0
        assert daemon.events("draining")[0]["reason"] == Signals(number).name
        assert daemon.events("session_ended")[0]["reason"] == "unbound by the gateway"
        assert daemon.log()[-1]["event"] == "stopped"
        daemon.assert_healthy_log()


def test_what_crosses_the_unbind_may_be_sent_again() -> None:
    with Daemon() as daemon:
        with RawEsme(daemon.port) as client:
            client.bind()
            daemon.kill()
            unbind = client.expect()
            assert unbind.command_id == wire.UNBIND
            assert client.ask(wire.submit(2)).status == wire.RMSGQFUL
            assert client.ask(wire.query(3, "id")).status == wire.RMSGQFUL
            client.send(pdu(wire.UNBIND | RESP, unbind.sequence))
            assert client.rest() == []
        assert daemon.wait() == 0
        daemon.assert_healthy_log()


def test_nobody_comes_in_by_a_header_that_is_late() -> None:
    header = b"PROXY TCP4 192.0.2.1 192.0.2.2 1000 2775\r\n"
    with Daemon(
        smpp='proxy_protocol = ["127.0.0.1"]', sandbox="rate_limit = 0\nlatency = 0.5"
    ) as daemon:
        with RawEsme(daemon.port) as client, RawEsme(daemon.port) as late:
            client.send(header)
            client.bind().send(wire.submit(1))
            until(lambda: daemon.metric("smppgw_submits_in_flight") == 1, "the submit")
            daemon.kill()
            daemon.event("draining")
            late.send(header, pdu(wire.BIND_TRANSCEIVER, 1, wire.bind_body()))
            assert late.rest() == []
            assert client.expect().status == wire.ROK
            client.send(pdu(wire.UNBIND | RESP, client.expect().sequence))
        assert daemon.wait() == 0
        assert daemon.events("connections_dropped") == []
        daemon.assert_healthy_log()


@pytest.mark.parametrize("engine", ["libcurl", "requests"])
def test_a_second_signal_does_not_wait(engine: str) -> None:
    with Daemon(omnichannel=f'engine = "{engine}"') as daemon:
        with RawEsme(daemon.port) as client:
            client.bind().send(wire.submit(1, HANGS))
            until(lambda: daemon.sandbox("/sandbox/counts").get("hang"), "the post")
            daemon.kill()
            daemon.event("draining")
            started = time.monotonic()
            daemon.kill()
            assert daemon.wait() == 0
            assert time.monotonic() - started < 2
            answer, unbind = client.rest()
            assert (answer.sequence, answer.status) == (1, wire.RSYSERR)
            assert unbind.command_id == wire.UNBIND
        assert len(daemon.events("stopping_at_once")) == 1
        assert daemon.log()[-1]["event"] == "stopped"
        daemon.assert_healthy_log()


@pytest.mark.parametrize("deaf", [True, False])
def test_drain_timeout_is_the_end(deaf: bool) -> None:
    """Each message has its answer and the session its unbind before anything is dropped."""
    with Daemon(more="[drain]\ntimeout = 0.5") as daemon:
        with RawEsme(daemon.port) as client:
            client.bind().send(*(wire.submit(number, HANGS) for number in (1, 2, 3)))
            until(lambda: daemon.sandbox("/sandbox/counts").get("hang") == 3, "the posts")
            started = time.monotonic()
            daemon.kill()
            answers = [client.expect() for _ in range(3)]
            assert {answer.sequence for answer in answers} == {1, 2, 3}
            assert {answer.status for answer in answers} == {wire.RSYSERR}
            unbind = client.expect()
            assert unbind.command_id == wire.UNBIND
            if not deaf:
                client.send(pdu(wire.UNBIND | RESP, unbind.sequence))
            assert daemon.wait() == 0
            assert 0.4 < time.monotonic() - started < 2
            assert client.rest() == []
        dropped = [event["connections"] for event in daemon.events("connections_dropped")]
        assert dropped == ([1] if deaf else [])
        (ended,) = daemon.events("session_ended")
        assert ended["reason"] == ("dropped by the gateway" if deaf else "unbound by the gateway")
        # What became of them nobody knows, and the log says so.
        assert [one["outcome"] for one in daemon.events("message_refused")] == ["unknown"] * 3
        daemon.assert_healthy_log()


def test_a_drain_waits_for_the_api_although_the_client_has_left() -> None:
    with Daemon(sandbox="rate_limit = 0\nlatency = 0.7") as daemon:
        with RawEsme(daemon.port) as client:
            client.bind().send(wire.submit(1))
            until(lambda: daemon.metric("smppgw_submits_in_flight") == 1, "the submit")
            reset = struct.pack("ii", 1, 0)
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
        daemon.event("session_ended")
        assert daemon.stop() == 0
        (message,) = daemon.events("message_relayed")
        assert (message["answered"], message["command_status"]) == (False, "ESME_ROK")
        assert daemon.log()[-1]["event"] == "stopped"
        daemon.assert_healthy_log()


def half(number: int) -> bytes:
    """Part `number` of a message of two."""
    header = wire.udh(wire.concat8(7, 2, number))
    return wire.part(number, "+37255500002", header, b"half %d, " % number)


@pytest.mark.parametrize("at_once", [False, True])
def test_parts_wait_on_after_a_stop(at_once: bool) -> None:
    """A drain takes no more of them, and one that completes its message gets its answer."""
    accepted = Answer(201, b'{"omnimessage_id": "id-1"}', delay=0.7)
    with (
        HttpsServer(None, {"/omnimessage": accepted}) as api,
        Daemon(base_url=api.base_url) as daemon,
    ):
        with RawEsme(daemon.port) as client:
            assert client.bind().ask(half(1)).status == wire.ROK
            client.send(half(2))
            until(lambda: api.requests, "the whole message")
            daemon.kill()
            daemon.event("draining")
            late = client.ask(wire.part(9, "+37255500003", wire.udh(wire.concat8(7, 2, 1)), b"x"))
            assert (late.sequence, late.status) == (9, wire.RMSGQFUL)
            if at_once:
                daemon.kill()
            answer = client.expect()
            assert (answer.sequence, answer.status) == (2, wire.RSYSERR if at_once else wire.ROK)
        assert daemon.wait() == 0
        daemon.start()
        with RawEsme(daemon.port) as client:
            client.bind()
            assert daemon.metric("smppgw_segments_pending") == at_once
            if at_once:  # nobody knows whether it was accepted: the client's repeat decides
                assert client.ask(half(2)).status == wire.ROK
        texts = [json.loads(one.body)["messages"][0]["text"] for one in api.requests]
        assert texts == ["half 1, half 2, "] * (1 + at_once)
        assert daemon.stop() == 0
        daemon.assert_healthy_log()


def test_one_store_is_for_one_gateway(tmp_path: Path) -> None:
    """Also while it is busy, and free again as soon as that one is dead."""
    store = f'[store]\nurl = "sqlite:///{tmp_path}/gateway.db"'
    with Daemon(more=store) as daemon:
        other = Daemon(more=store)
        assert other.refuses_to_start() == 1
        assert "Traceback" not in other.output()
        assert "in use" in other.output()
        daemon.crash()
        with Daemon(more=store) as heir:
            assert heir.stop() == 0
            heir.assert_healthy_log()


def closed(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionError:
        return True
    return False


def test_drain_delay_keeps_the_port_open_while_balancers_look_away() -> None:
    with Daemon(more="[drain]\ndelay = 0.8") as daemon:
        daemon.kill()
        started = time.monotonic()
        daemon.event("draining")
        assert daemon.admin("/readyz")[:2] == (503, "text/plain; charset=utf-8")
        with RawEsme(daemon.port) as late:
            assert late.bind().ask(wire.submit(2)).status == wire.ROK
            assert time.monotonic() - started < 0.8, "the test came too late to say anything"
            unbind = late.expect()
            assert time.monotonic() - started > 0.7
            assert unbind.command_id == wire.UNBIND
            until(lambda: closed(daemon.port), "the port to close")
            late.send(pdu(wire.UNBIND | RESP, unbind.sequence))
        assert daemon.wait() == 0
        daemon.assert_healthy_log()


def test_a_second_signal_does_not_wait_for_drain_delay_either() -> None:
    with Daemon(more="[drain]\ndelay = 60") as daemon:
        daemon.kill()
        daemon.event("draining")
        assert daemon.stop() == 0
        assert daemon.log()[-1]["event"] == "stopped"


def test_unbind_timeout_is_the_end_of_a_deaf_client() -> None:
    with Daemon(smpp="unbind_timeout = 0.5") as daemon:
        with RawEsme(daemon.port) as client:
            client.bind()
            started = time.monotonic()
            assert daemon.stop() == 0
            assert 0.4 < time.monotonic() - started < 2.5
            assert [one.command_id for one in client.rest()] == [wire.UNBIND]
        assert daemon.events("session_ended")[0]["reason"] == "no unbind_resp in time"
        assert daemon.events("connections_dropped") == []
        daemon.assert_healthy_log()


def test_a_port_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        daemon = Daemon(listen=address)
        assert daemon.refuses_to_start() == 1
        (event,) = daemon.events("cannot_listen")
        assert event["address"] == address
        assert "in use" in event["detail"]
        assert address.rpartition(":")[2] in "\n".join(daemon.stderr)
        assert "Traceback" not in daemon.output()


def test_a_host_that_does_not_resolve() -> None:
    daemon = Daemon(listen="gateway.invalid:2775")
    assert daemon.refuses_to_start() == 1
    (event,) = daemon.events("cannot_listen")
    assert event["address"] == "gateway.invalid:2775"
    assert event["detail"].startswith("smpp.listen ")
    assert "gateway.invalid" in "\n".join(daemon.stderr)
    assert "Traceback" not in daemon.output()


@pytest.mark.parametrize(
    ("smpp", "accounts", "words"),
    [
        ("windw = 4", ACCOUNT, "windw"),
        ('system_id = "much-too-long-a-name"', ACCOUNT, "system_id"),
        ("", ACCOUNT.replace("max_binds = 1000", "max_binds = 0"), "max_binds"),
        ("", ACCOUNT.replace("password_hash", "pasword_hash"), "pasword_hash"),
        ("= not TOML", ACCOUNT, "TOML"),
    ],
)
def test_a_bad_configuration(smpp: str, accounts: str, words: str) -> None:
    daemon = Daemon(smpp=smpp, accounts=accounts)
    assert daemon.refuses_to_start() == 78
    assert any(words in line for line in daemon.stderr), daemon.output()
    assert "Traceback" not in daemon.output()


def test_a_newcomer_is_invited() -> None:
    """What is printed names the ports that were really taken, and its send line works."""
    with Daemon() as daemon:
        invitation = "\n".join(daemon.stderr)
        assert f"127.0.0.1:{daemon.port}" in invitation
        assert f"--port {daemon.port} --to +" in invitation
        assert f"http://127.0.0.1:{daemon.ports['admin']}/metrics" in invitation
        (line,) = [line for line in invitation.splitlines() if " send " in line]
        sent = subprocess.run(shlex.split(line), capture_output=True, text=True, timeout=LIMIT)
        assert sent.returncode == 0, sent.stderr
        (message,) = daemon.accepted("+37255555555")
        assert message["request"]["messages"][0]["text"] == "Hello"
        assert message["omnimessage_id"] in sent.stdout
        assert daemon.stop() == 0
