"""From a bound client to the API's answer, with both HTTP engines."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from smpplib.gsm import gsm_encode

from tests.e2e import esme, raw_esme
from tests.e2e.daemon import ACCOUNT, DEMO_HASH, PASSWORD, USERNAME, Daemon, until
from tests.omnichannel.certificates import Authority
from tests.omnichannel.https_server import Answer, HttpsServer, server_context

DEADLINE = 1.2  # the response_deadline of account "quick"
QUICK = f"""
[[accounts]]
system_id = "quick"
password_hash = "{DEMO_HASH}"
response_deadline = {DEADLINE}
max_binds = 100

[[accounts]]
system_id = "single"
password_hash = "{DEMO_HASH}"
response_deadline = {DEADLINE}
window = 1
"""


@pytest.fixture(scope="module", params=["libcurl", "requests"])
def daemon(request: pytest.FixtureRequest) -> Iterator[Daemon]:
    with Daemon(omnichannel=f'engine = "{request.param}"', accounts=ACCOUNT + QUICK) as running:
        yield running
        assert running.stop() == 0
        running.assert_healthy_log()


def message_to(daemon: Daemon, to: str) -> dict[str, Any]:
    """The one message that the sandbox accepted for this number."""
    (found,) = daemon.accepted(to)
    return found


@pytest.mark.parametrize(
    ("bind_type", "to"), [("transmitter", "+37255510001"), ("transceiver", "+37255510002")]
)
def test_the_message_id_is_the_apis_own(daemon: Daemon, bind_type: str, to: str) -> None:
    with esme.bound(daemon.port, bind_type) as client:
        answer = esme.send(client, to, b"hello")
    assert answer.status == raw_esme.ROK
    assert answer.message_id.decode() == message_to(daemon, to)["omnimessage_id"]


def test_a_receiver_binds_and_may_not_submit(daemon: Daemon) -> None:
    with esme.bound(daemon.port, "receiver"):
        pass
    with raw_esme.RawEsme(daemon.port) as client:
        client.bind(raw_esme.BIND_RECEIVER)
        answer = client.ask(raw_esme.submit(2))
        assert (answer.command_id, answer.status) == (0x80000004, raw_esme.RINVBNDSTS)
        assert client.alive()


GSM_TEXT = "Price: 5€ {a} [b] ^~\\| @£$¥ èéùìòÇØøÅå ΔΦΓΛΩΠΨΣΘΞ ÆæßÉ ¡ÄÖÑÜ¿äöñüà\r\n_"
UCS2_TEXT = "Tere õhtust 😀 Привет 日本 🇪🇪"
LATIN1_TEXT = "São João é ñ ü þ ÿ ½"
TEXTS = {
    "gsm": (GSM_TEXT, gsm_encode(GSM_TEXT), esme.GSM7),
    "ucs2": (UCS2_TEXT, UCS2_TEXT.encode("utf-16-be"), esme.UCS2),
    "latin1": (LATIN1_TEXT, LATIN1_TEXT.encode("latin-1"), esme.LATIN1),
}


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("field", ["short_message", "message_payload"])
def test_the_text_arrives_exactly(daemon: Daemon, name: str, field: str) -> None:
    text, octets, data_coding = TEXTS[name]
    to = f"+37255520{list(TEXTS).index(name)}{len(field)}"
    payload: dict[str, Any] = {"data_coding": data_coding}
    if field == "message_payload":
        text, octets = text * 10, octets * 10
        payload["message_payload"] = octets
    with esme.bound(daemon.port) as client:
        answer = esme.send(client, to, b"" if "message_payload" in payload else octets, **payload)
    assert answer.status == raw_esme.ROK
    assert message_to(daemon, to)["request"] == {
        "to": to,
        "messages": [{"channel": "sms", "text": text, "autoconvert": "off", "sender": "Demo"}],
    }


def test_sender_times_and_priority(daemon: Daemon) -> None:
    to = "+37255530001"
    tomorrow = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    with esme.bound(daemon.port) as client:
        answer = esme.send(
            client,
            to.removeprefix("+"),
            b"later",
            source_addr="37255599999",
            source_addr_ton=1,
            schedule_delivery_time=tomorrow.strftime("%y%m%d%H%M%S") + "000+",
            validity_period=(tomorrow + timedelta(hours=1)).strftime("%y%m%d%H%M%S") + "000+",
            priority_flag=2,
        )
    assert answer.status == raw_esme.ROK
    request = message_to(daemon, to)["request"]
    assert request["time_to_send"] == tomorrow.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert request["priority"] == "high"
    assert request["messages"] == [
        {
            "channel": "sms",
            "text": "later",
            "autoconvert": "off",
            "sender": "+37255599999",
            "ttl": 3600,
        }
    ]


def test_relative_validity_and_the_accounts_sender(daemon: Daemon) -> None:
    to = "+37255530002"
    with esme.bound(daemon.port) as client:
        esme.send(
            client,
            to,
            b"soon",
            source_addr="",
            source_addr_ton=0,
            priority_flag=1,
            validity_period="000000021500000R",
        )
    request = message_to(daemon, to)["request"]
    (message,) = request["messages"]
    assert (message["sender"], message["ttl"], request["priority"]) == ("Demo", 8100, "regular")
    assert "time_to_send" not in request


REFUSALS = {
    "0400": raw_esme.RINVSRCADR,
    "1400": raw_esme.RINVDSTADR,
    "2400": raw_esme.RINVMSGLEN,
    "3400": raw_esme.RINVSCHED,
    "4400": raw_esme.RINVEXPIRY,
    "5400": raw_esme.RSUBMITFAIL,
    "0401": raw_esme.RSYSERR,
    "0403": raw_esme.RSYSERR,
    "0404": raw_esme.RSYSERR,
    "0429": raw_esme.RTHROTTLED,
    "0500": raw_esme.RSYSERR,
    "0502": raw_esme.RSYSERR,
    "0201": raw_esme.RSYSERR,
}


def test_each_refusal_has_its_status_and_the_session_lives(daemon: Daemon) -> None:
    seen = {}
    with raw_esme.RawEsme(daemon.port) as client:
        client.bind()
        for sequence, suffix in enumerate(REFUSALS, 100):
            answer = client.ask(raw_esme.submit(sequence, f"3725554{suffix}"))
            assert (answer.command_id, answer.sequence) == (0x80000004, sequence)
            assert (answer.length, answer.body) == (16, b""), "a refusal has no body"
            seen[suffix] = answer.status
        assert client.alive()
        good = client.ask(raw_esme.submit(200, "37255540200"))
    assert seen == REFUSALS
    assert good.status == raw_esme.ROK
    assert good.message_id == message_to(daemon, "+37255540200")["omnimessage_id"]


def test_the_log_says_what_the_api_said(daemon: Daemon) -> None:
    with esme.bound(daemon.port) as client:
        sequence = esme.submit(client, "+37255550400", b"refused")
        assert esme.answer(client).status == raw_esme.RINVSRCADR
    event = daemon.event(
        "message_refused", sequence_number=sequence, api_source="payload[sms][sender]"
    )
    assert event["command_status"] == "ESME_RINVSRCADR"
    assert (event["http_status"], event["code"]) == (400, "105")
    assert event["detail"] == "Invalid or disallowed sender"


@pytest.mark.parametrize("suffix", ["9000", "9001", "9002"])
def test_an_answer_that_never_comes(daemon: Daemon, suffix: str) -> None:
    """Temporary for the ESME, in time, counted as unknown, and posted exactly once."""
    to = f"+3725556{suffix}"
    unknown = 'smppgw_api_requests_total{outcome="unknown"}'
    before = daemon.metric(unknown)
    with raw_esme.RawEsme(daemon.port) as client:
        client.bind(system_id="quick")
        started = time.monotonic()
        answer = client.ask(raw_esme.submit(2, to))
        seconds = time.monotonic() - started
        assert client.alive()
    assert (answer.status, answer.body) == (raw_esme.RSYSERR, b"")
    assert seconds <= DEADLINE + 0.3
    if suffix == "9000":
        assert seconds > DEADLINE / 2
    assert daemon.metric(unknown) == before + 1
    assert len(daemon.accepted(to)) == 1
    daemon.event("message_refused", outcome="unknown", sequence_number=2, system_id="quick")


def test_the_deadline_counts_from_when_a_submit_was_read(daemon: Daemon) -> None:
    """Those that waited behind a full window are answered in time too."""
    to = "+37255559000"
    with raw_esme.RawEsme(daemon.port) as client:
        client.bind(system_id="single")
        started = time.monotonic()
        client.send(raw_esme.submit(1, to), raw_esme.submit(2, to))  # the second finds it full
        time.sleep(0.02)
        client.send(raw_esme.submit(3, to))  # which is read ahead, while the session takes nothing
        answers = [client.expect() for _ in range(3)]
        assert time.monotonic() - started < DEADLINE + 0.5
        assert client.alive()
    statuses = {answer.sequence: answer.status for answer in answers}
    assert (statuses[1], statuses[2]) == (raw_esme.RSYSERR, raw_esme.RMSGQFUL)
    # Had the third a moment more than the second, the API may have been asked for that long.
    assert statuses[3] in {raw_esme.RMSGQFUL, raw_esme.RSYSERR}


def test_an_idle_connection_that_was_used_before_is_cut(daemon: Daemon) -> None:
    """On a reused connection libcurl would repeat by itself; nothing may."""
    to = "+37255579001"
    with raw_esme.RawEsme(daemon.port) as client:
        client.bind(system_id="quick")
        for sequence in range(2, 6):
            assert client.ask(raw_esme.submit(sequence, "37255570001")).status == raw_esme.ROK
            assert client.ask(raw_esme.submit(sequence + 10, to)).status == raw_esme.RSYSERR
    assert len(daemon.accepted(to)) == 4
    assert len(daemon.accepted("+37255570001")) == 4


def test_fifty_in_a_window_come_back_as_results_come(daemon: Daemon) -> None:
    with raw_esme.RawEsme(daemon.port) as client:
        client.bind(system_id="quick")
        first = raw_esme.submit(1000, "37255589000")  # never answered by the API
        client.send(first, *(raw_esme.submit(n, "37255580001") for n in range(1001, 1050)))
        answers = [client.expect() for _ in range(50)]
    assert sorted(answer.sequence for answer in answers) == list(range(1000, 1050))
    assert answers[-1].sequence == 1000
    assert answers[-1].status == raw_esme.RSYSERR
    ids = {answer.message_id for answer in answers[:-1]}
    assert {answer.status for answer in answers[:-1]} == {raw_esme.ROK}
    accepted = daemon.accepted("+37255580001")
    assert ids == {message["omnimessage_id"] for message in accepted}
    assert len(accepted) == len(ids) == 49


def test_hanging_messages_hold_up_no_other_session(daemon: Daemon) -> None:
    with raw_esme.RawEsme(daemon.port) as hanging, raw_esme.RawEsme(daemon.port) as other:
        hanging.bind(system_id="quick")
        other.bind()
        hanging.send(*(raw_esme.submit(n, "37255599000") for n in range(1, 61)))
        until(lambda: daemon.sandbox("/sandbox/counts")["hang"] >= 60, "60 requests to hang")
        started = time.monotonic()
        for sequence in range(1, 21):
            assert other.ask(raw_esme.submit(sequence, "37255590001")).status == raw_esme.ROK
        assert time.monotonic() - started < DEADLINE / 2
        answers = [hanging.expect() for _ in range(60)]
    assert {answer.status for answer in answers} == {raw_esme.RSYSERR}
    assert len(daemon.accepted("+37255599000")) == 60


ENGINES = ["libcurl", "requests"]
OMNIMESSAGE_ID = "6a4b4b6c-6f5a-4d3e-9c2b-1f0e8d7c6b5a"
CREATED = json.dumps({"omnimessage_id": OMNIMESSAGE_ID, "messages": [], "to": "x"}).encode()


@pytest.mark.parametrize("engine", ENGINES)
def test_https_with_a_certificate_authority_of_our_own(engine: str, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    context = server_context(authority.issue(), ["h2", "http/1.1"])
    with HttpsServer(context, {"/omnimessage": Answer(201, CREATED)}) as api:
        omnichannel = f'engine = "{engine}"\nca_file = "{authority.ca_file}"'
        with Daemon(base_url=api.base_url, omnichannel=omnichannel) as daemon:
            with esme.bound(daemon.port) as client:
                answers = [esme.send(client, "+37255500001", b"over TLS") for _ in range(3)]
            assert daemon.stop() == 0
            daemon.assert_healthy_log()
    assert [answer.message_id.decode() for answer in answers] == [OMNIMESSAGE_ID] * 3
    assert api.seen("/omnimessage") == 3
    assert api.handshakes == 1, "the connection is kept"
    request = api.requests[0]
    assert json.loads(request.body)["messages"][0]["text"] == "over TLS"
    assert request.headers["authorization"].startswith("Basic ")
    assert request.headers["content-type"] == "application/json"
    assert (USERNAME in request.headers["authorization"], PASSWORD in str(request)) == (False,) * 2


@pytest.mark.parametrize("engine", ENGINES)
def test_https_from_a_stranger_is_never_sent_a_message(engine: str, tmp_path: Path) -> None:
    context = server_context(Authority(tmp_path).issue(), ["http/1.1"])
    accounts = ACCOUNT + "response_deadline = 0.6"
    with (
        HttpsServer(context, {"/omnimessage": Answer(201, CREATED)}) as api,
        Daemon(
            base_url=api.base_url, omnichannel=f'engine = "{engine}"', accounts=accounts
        ) as daemon,
    ):
        with esme.bound(daemon.port) as client:
            assert esme.send(client, "+37255500001", b"secret").status == raw_esme.RSYSERR
        assert daemon.event("message_refused")["outcome"] == "unreachable"
        assert daemon.stop() == 0
        daemon.assert_healthy_log()
    assert api.requests == []
