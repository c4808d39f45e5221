"""What an operator sees: metrics, health, log lines; and what nobody may see in them."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e import raw_esme as wire
from tests.e2e.daemon import ACCOUNT, DEMO_HASH, PASSWORD, USERNAME, Daemon, until
from tests.e2e.raw_esme import RawEsme, pdu, submit_body
from tests.omnichannel.https_server import Answer, HttpsServer

SLOW = f"""
[[accounts]]
system_id = "slow"
password_hash = "{DEMO_HASH}"
throttle = 1
"""


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with Daemon(accounts=ACCOUNT + SLOW, more="[log]\nmessages = false") as running:
        yield running
        assert running.stop() == 0
        running.assert_healthy_log()


def test_metrics_after_a_known_exchange(daemon: Daemon) -> None:
    before = daemon.metrics()
    with RawEsme(daemon.port) as client, RawEsme(daemon.port) as slow, RawEsme(daemon.port) as bad:
        client.bind()
        for sequence, suffix in ((2, "0001"), (3, "0002"), (4, "0400"), (5, "0500"), (6, "0429")):
            client.ask(wire.submit(sequence, f"3725550{suffix}"))
        client.ask(pdu(4, 7, submit_body("")))
        client.ask(pdu(0xDEAD, 8))
        assert client.alive()
        slow.bind(wire.BIND_TRANSMITTER, system_id="slow")
        assert slow.ask(wire.submit(2)).status == wire.ROK
        assert slow.ask(wire.submit(3)).status == wire.RTHROTTLED
        bad.send(pdu(1, 1, wire.bind_body("some stranger", "x"))).rest()
        during = daemon.metrics()
        client.ask(pdu(wire.UNBIND, 9))
    until(lambda: daemon.metric("smppgw_connections") == 0, "the ends")
    after = daemon.metrics()

    def grown(sample: str) -> float:
        return after.get(sample, 0) - before.get(sample, 0)

    assert {sample: grown(sample) for sample in EXPECTED} == EXPECTED
    assert during["smppgw_connections"] == 2
    assert during['smppgw_sessions{bind_type="transceiver"}'] == 1
    assert during['smppgw_sessions{bind_type="transmitter"}'] == 1
    assert after['smppgw_sessions{bind_type="transceiver"}'] == 0
    assert after["smppgw_submits_in_flight"] == 0
    assert "stranger" not in json.dumps(list(after))
    assert after['smppgw_build_info{version="' + version(daemon) + '"}'] == 1
    until(lambda: daemon.metric("smppgw_reactor_lag_seconds_count"), "a look at the lag")
    assert after["process_resident_memory_bytes"] > 1 << 20


EXPECTED = {
    'smppgw_binds_total{bind_type="transceiver",command_status="ESME_ROK"}': 1,
    'smppgw_binds_total{bind_type="transmitter",command_status="ESME_ROK"}': 1,
    'smppgw_binds_total{bind_type="receiver",command_status="ESME_RINVPASWD"}': 1,
    'smppgw_submits_total{command_status="ESME_ROK",system_id="demo"}': 2,
    'smppgw_submits_total{command_status="ESME_RINVSRCADR",system_id="demo"}': 1,
    'smppgw_submits_total{command_status="ESME_RSYSERR",system_id="demo"}': 1,
    'smppgw_submits_total{command_status="ESME_RTHROTTLED",system_id="demo"}': 1,
    'smppgw_submits_total{command_status="ESME_RINVDSTADR",system_id="demo"}': 1,
    'smppgw_submits_total{command_status="ESME_ROK",system_id="slow"}': 1,
    'smppgw_submits_total{command_status="ESME_RTHROTTLED",system_id="slow"}': 1,
    "smppgw_submit_duration_seconds_count": 8,
    'smppgw_throttled_total{limit="api",system_id="demo"}': 1,
    'smppgw_throttled_total{limit="account",system_id="slow"}': 1,
    'smppgw_api_requests_total{outcome="accepted"}': 3,
    'smppgw_api_requests_total{outcome="refused"}': 1,
    'smppgw_api_requests_total{outcome="server_error"}': 1,
    'smppgw_api_requests_total{outcome="throttled"}': 1,
    "smppgw_api_request_duration_seconds_count": 6,
    'smppgw_pdus_total{command_id="submit_sm",direction="in"}': 8,
    'smppgw_pdus_total{command_id="submit_sm_resp",direction="out"}': 8,
    'smppgw_pdus_total{command_id="bind_transceiver",direction="in"}': 1,
    'smppgw_pdus_total{command_id="bind_receiver_resp",direction="out"}': 1,
    'smppgw_pdus_total{command_id="generic_nack",direction="out"}': 1,
    'smppgw_pdus_total{command_id="enquire_link_resp",direction="out"}': 1,
    'smppgw_pdus_total{command_id="unbind_resp",direction="out"}': 1,
    'smppgw_pdu_errors_total{reason="unknown_command_id"}': 1,
}


def version(daemon: Daemon) -> str:
    found: str = daemon.events("started")[0]["version"]
    return found


def test_the_exposition_is_what_promtool_accepts(daemon: Daemon) -> None:
    with RawEsme(daemon.port) as client:
        assert client.bind().ask(wire.submit(2)).status == wire.ROK
    status, content_type, text = daemon.admin("/metrics")
    assert status == 200
    assert content_type.startswith("text/plain; version=")
    assert text.endswith("\n")
    described: dict[str, set[str]] = {}
    for line in text.splitlines():
        if line.startswith("# "):
            _, what, name, rest = line.split(" ", 3)
            assert rest, line
            assert what not in described.setdefault(name, set()), f"twice: {line}"
            described[name].add(what)
    lines = [line.rpartition(" ")[0] for line in text.splitlines() if line[0] != "#"]
    assert len(lines) == len(set(lines)), "no series stands twice"
    families = list(text_string_to_metric_families(text))
    assert len({family.name for family in families}) == len(families)
    for family in families:
        exposed = family.name + ("_total" if family.type == "counter" else "")
        assert described[exposed] == {"HELP", "TYPE"}, family.name
        assert family.type in {"counter", "gauge", "histogram", "info"}, family.name
        assert re.fullmatch(r"(smppgw|process|python)_[a-z0-9_]+", family.name)
        assert not family.name.endswith(("_milliseconds", "_ms", "_count", "_sum", "_bucket"))
        check_samples(family)
    assert {"smppgw_submits", "smppgw_api_requests"} <= {family.name for family in families}


def check_samples(family: Any) -> None:
    for sample in family.samples:
        assert not sample.name.endswith("_created")
        if family.type == "counter":
            assert sample.name == f"{family.name}_total"
            assert sample.value >= 0
    if family.type != "histogram":
        return
    buckets = [s for s in family.samples if s.name.endswith("_bucket")]
    (count,) = [s.value for s in family.samples if s.name.endswith("_count")]
    bounds = [float(s.labels["le"]) for s in buckets]
    assert bounds == sorted(bounds)
    assert bounds[-1] == float("inf")
    values = [s.value for s in buckets]
    assert values == sorted(values)
    assert values[-1] == count


def test_openmetrics_for_those_who_ask(daemon: Daemon) -> None:
    accept = "application/openmetrics-text; version=1.0.0"
    status, content_type, text = daemon.admin("/metrics", Accept=accept)
    assert (status, content_type.split(";")[0]) == (200, "application/openmetrics-text")
    assert text.endswith("# EOF\n")
    families = read_openmetrics(text)  # type: ignore[no-untyped-call]
    assert "smppgw_submits" in {family.name for family in families}


def test_health(daemon: Daemon) -> None:
    assert daemon.admin("/livez") == (200, "text/plain; charset=utf-8", "alive\n")
    assert daemon.admin("/readyz") == (200, "text/plain; charset=utf-8", "ready\n")
    assert daemon.admin("/")[0] == 200


@pytest.mark.parametrize("path", ["/nothing", "/metrics/x", "/livez/", "/dlr/token", "/..%2fx"])
def test_other_paths_are_not_found(daemon: Daemon, path: str) -> None:
    assert daemon.admin(path)[0] == 404


@pytest.mark.parametrize("path", ["/metrics", "/livez", "/readyz", "/"])
def test_other_methods_are_refused(daemon: Daemon, path: str) -> None:
    assert daemon.admin(path, "POST")[0] == 405
    assert daemon.admin(path, "BREW")[0] == 405


def test_accepted_messages_need_no_line_but_refused_ones_have_one(daemon: Daemon) -> None:
    with RawEsme(daemon.port) as client:
        client.bind()
        client.ask(wire.submit(1001))
        client.ask(wire.submit(1002, "37255500400"))
    assert daemon.event("message_refused", sequence_number=1002)["system_id"] == "demo"
    assert daemon.events("message_relayed") == []


# Privacy.

TEXT = "Überweisung 4711 an Krankenhaus"
SECRET = "kennwort7"
DESTINATION, SOURCE = "37251234567", "37259876543"
MISTYPED = "p4ssw0rd-as-id"
PRIVATE = f"""
[[accounts]]
system_id = "bank"
password = "{SECRET}"
reassembly_timeout = 1
default_messages = {{ 1 = "{TEXT}" }}
"""


def exercise(daemon: Daemon, api: HttpsServer) -> None:
    """Every way in which a text, a number or a password might reach a log."""
    octets = TEXT.encode("latin-1")

    def message(sequence: int, **fields: Any) -> bytes:
        given: dict[str, Any] = {
            "to": DESTINATION,
            "text": octets,
            "sender": SOURCE,
            "data_coding": 3,
        } | fields
        return pdu(4, sequence, submit_body(**given))

    accepted = Answer(201, b'{"omnimessage_id": "id-1"}')
    with RawEsme(daemon.port) as client:
        client.bind(system_id="bank", password=SECRET)
        for sequence, answer in enumerate(ANSWERS, 10):
            api.actions["/omnimessage"] = answer
            client.ask(message(sequence))
        api.actions["/omnimessage"] = accepted
        client.ask(message(30, sm_length=255))
        client.ask(message(31, data_coding=4))
        client.ask(message(32, to=f"{DESTINATION} x"))
        client.ask(message(33, to=DESTINATION * 2))
        client.ask(message(34, validity=TEXT[:16]))
        client.ask(message(35, service_type=TEXT))
        client.ask(message(36, sender="", tail=b"\x04\x24\xff\xff" + octets))
        client.ask(message(37, data_coding=8))
        client.ask(message(38, data_coding=0))
        ways_that_a_text_may_come(client, octets)
        client.ask(pdu(0xDEAD, 39, octets))
        client.send(octets * 3).rest()
    for system_id, password in ((MISTYPED, "x"), ("bank", MISTYPED), (SECRET, SECRET)):
        with RawEsme(daemon.port) as client:
            client.send(pdu(2, 1, wire.bind_body(system_id, password))).rest()


def ways_that_a_text_may_come(client: RawEsme, octets: bytes) -> None:
    """In parts, to several, by data_sm, as a default, and where no text belongs."""
    words = octets.decode("latin-1")
    fields: dict[str, Any] = {"sender": SOURCE, "data_coding": 3}
    for n, reference in ((1, 1), (2, 1), (1, 2), (3, 3)):
        header = wire.udh(wire.concat8(reference, 2 if reference < 3 else 3, n))
        assert client.ask(wire.part(40, DESTINATION, header, octets, **fields)).status == wire.ROK
    # Headers whose lengths are letters of the text.
    client.ask(wire.submit(43, DESTINATION, octets, esm_class=wire.UDHI, **fields))
    client.ask(wire.part(44, DESTINATION, wire.udh(b"\x05\x04\0\1\0\1"), octets, **fields))
    client.ask(wire.multi(45, [wire.number(DESTINATION), wire.dl("x")], octets, **fields))
    client.ask(wire.multi(46, [wire.dl(words[:20])], octets, **fields))
    client.ask(wire.multi(47, [wire.number(f"{DESTINATION} y")], octets, **fields))
    client.ask(wire.data(48, DESTINATION, wire.payload(octets), sender=SOURCE, data_coding=3))
    client.ask(wire.data(49, f"{DESTINATION} z", wire.payload(octets), sender=SOURCE))
    client.ask(wire.submit(50, DESTINATION, b"", default=1, **fields))
    client.ask(wire.query(51, "id", SOURCE))
    client.ask(wire.cancel(52, "", SOURCE, DESTINATION))
    client.ask(wire.replace_sm(53, "id", octets))
    client.ask(wire.query(54, words))
    client.ask(wire.cancel(55, words))


ANSWERS = [
    Answer(201, b'{"omnimessage_id": "id-1"}'),
    Answer(
        400,
        json.dumps(
            {
                "errors": [
                    {
                        "code": "105",
                        "title": f"Invalid {DESTINATION}",
                        "detail": f"Invalid phone number +{DESTINATION}",
                        "source": "payload[to]",
                    }
                ]
            }
        ).encode(),
    ),
    Answer(201, f"not JSON, and quotes {TEXT} to {DESTINATION}".encode()),
    Answer(500, f"<html>{TEXT}</html>".encode()),
]


@pytest.fixture(scope="module")
def api() -> Iterator[HttpsServer]:
    with HttpsServer(None) as server:
        yield server


@pytest.mark.parametrize("engine", ["libcurl", "requests"])
def test_nothing_private_reaches_the_output(api: HttpsServer, engine: str) -> None:
    with Daemon(
        base_url=api.base_url,
        omnichannel=f'engine = "{engine}"',
        accounts=PRIVATE,
        more='[metrics]\nsystem_id = false\n[log]\nlevel = "debug"',
    ) as daemon:
        exercise(daemon, api)
        daemon.event("set_failed", parts=3)
        metrics = daemon.admin("/metrics")[2]
        assert daemon.stop() == 0
    relayed = daemon.events("message_relayed")
    assert len(relayed) >= 1
    assert {event["destination"] for event in relayed} == {"***567"}
    assert 'smppgw_submits_total{command_status="ESME_ROK",system_id="-"}' in metrics
    authorization = base64.b64encode(f"{USERNAME}:{PASSWORD}".encode()).decode()
    for output in (daemon.output(), metrics):
        for private in (TEXT, DESTINATION, SOURCE, SECRET, PASSWORD, authorization, MISTYPED):
            assert private not in output
        for words in ("berweisung", "Krankenhaus", "51234567", "59876543"):
            assert words not in output
    daemon.assert_healthy_log()


def test_full_numbers_when_asked_for(api: HttpsServer) -> None:
    with Daemon(
        base_url=api.base_url, accounts=PRIVATE, more="[log]\nfull_numbers = true"
    ) as daemon:
        exercise(daemon, api)
        assert daemon.stop() == 0
    relayed = daemon.events("message_relayed")[0]
    assert (relayed["destination"], relayed["source"]) == (DESTINATION, SOURCE)
    for private in (TEXT, SECRET, PASSWORD, MISTYPED):
        assert private not in daemon.output()


def test_a_life_in_log_lines(daemon: Daemon) -> None:
    """A bind, an irregularity, an unbind: a line each, with what support needs to find it."""
    known = len(daemon.log())
    with RawEsme(daemon.port) as client:
        client.bind(interface_version=0x50)
        client.ask(pdu(0xDEAD, 5))
        client.ask(pdu(wire.UNBIND, 6))
    until(lambda: daemon.log()[known:][-1:] and daemon.log()[-1]["event"] == "session_ended", "end")
    lines = daemon.log()[known:]
    assert [line["event"] for line in lines] == ["bound", "request_refused", "session_ended"]
    bound, refused, ended = lines
    assert bound["system_id"] == ended["system_id"] == "demo"
    assert len({line["session_id"] for line in lines}) == 1
    assert (bound["bind_type"], bound["interface_version"]) == ("transceiver", "0x50")
    assert bound["peer"] == ended["peer"] == "127.0.0.1"
    assert refused["detail"] == "unknown command_id 0x0000DEAD"
    assert (refused["answer"], refused["command_status"]) == ("generic_nack", "ESME_RINVCMDID")
    assert (refused["sequence_number"], refused["system_id"]) == (5, "demo")
    assert (ended["reason"], ended["unanswered"]) == ("unbound", 0)
    assert [line["level"] for line in lines] == ["info", "warning", "info"]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", line["timestamp"]) for line in lines)
