"""The shell around the session, over real sockets, with a doorkeeper and a relay of the test."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
import structlog
from structlog.testing import LogCapture
from twisted.internet.defer import Deferred, fail, succeed

from gateway.bridge.accounts import Account, BindRefused
from gateway.bridge.journey import Origin
from gateway.bridge.submissions import Respond
from gateway.config import AccountSettings
from gateway.metrics import UNKNOWN, Metrics
from gateway.net.smpp_connection import SmppConnection
from gateway.net.smpp_server import SmppServer
from gateway.omnichannel.client import Credentials
from gateway.smpp.codec import encode
from gateway.smpp.constants import CommandStatus
from gateway.smpp.effects import Inquiry, Submission
from gateway.smpp.pdu import Bind, CancelSm, CancelSmResp, DeliverSm, QuerySmResp, SubmitSmResp, Tlv
from gateway.smpp.session import SessionLimits
from gateway.smpp.timers import TimerLimits
from tests.e2e import raw_esme as wire
from tests.e2e.raw_esme import RESP, RawEsme, pdu

WINDOW = 4
DELIVER_WINDOW = 3
COUNTED = {f"smppgw_{name}_total" for name in ("binds", "submits", "throttled", "inquiries")}


class Door:
    """Lets everybody in, unless `verdict` says otherwise."""

    def __init__(self) -> None:
        settings = AccountSettings.model_validate(
            {
                "system_id": "demo",
                "password": "demo",
                "window": WINDOW,
                "deliver_window": DELIVER_WINDOW,
            }
        )
        self.account = Account(settings, "", Credentials.basic("user", "password"))
        self.verdict: Callable[[], Deferred[Account]] = self._welcome
        self.peers: list[str] = []
        self.names: list[tuple[str, ...]] = []  # of certificates

    def _welcome(self) -> Deferred[Account]:
        self.account.binds += 1
        return succeed(self.account)

    def authenticate(self, bind: Bind, peer: str, names: Iterable[str]) -> Deferred[Account]:
        self.peers.append(peer)
        self.names.append(tuple(names))
        return self.verdict()

    def knows(self, system_id: str) -> bool:
        return system_id == "demo"


class Relay:
    """Keeps what is submitted, until the test answers it."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Submission, Respond]] = []
        self.origins: list[Origin] = []
        self.moments: list[float | None] = []  # when each was read
        self.at_once: CommandStatus | None = None
        self.fault: Exception | None = None

    def submit(
        self, pdu: Submission, origin: Origin, respond: Respond, received_at: float | None = None
    ) -> None:
        self.origins.append(origin)
        self.moments.append(received_at)
        if self.fault is not None:
            raise self.fault
        if self.at_once is not None:
            respond(SubmitSmResp(pdu.sequence_number, self.at_once))
            return
        self.waiting.append((pdu, respond))

    def settle(self, index: int = 0) -> None:
        pdu, respond = self.waiting.pop(index)
        respond(SubmitSmResp(pdu.sequence_number, 0, f"id-{pdu.sequence_number}"))


class Inquiries:
    """Answers at once that there is no such message."""

    def __init__(self) -> None:
        self.asked: list[tuple[Inquiry, Origin, float | None]] = []

    def inquire(
        self, pdu: Inquiry, origin: Origin, respond: Respond, received_at: float | None = None
    ) -> None:
        self.asked.append((pdu, origin, received_at))
        kind = CancelSmResp if isinstance(pdu, CancelSm) else QuerySmResp
        respond(kind(pdu.sequence_number, CommandStatus.ESME_RQUERYFAIL))


class Dispatcher:
    """Keeps what it is told; gives who joins the `receipts` at once, as far as there is room."""

    def __init__(self) -> None:
        self.receipts: list[tuple[bytes, int]] = []
        self.accounts: list[Account] = []
        self.receivers: list[SmppConnection] = []  # there now
        self.answers: list[tuple[int, int | None]] = []
        self.undelivered: list[list[int]] = []  # of each that left
        self.resumed = 0
        self.fault: Exception | None = None

    def joined(self, account: Account, receiver: SmppConnection) -> None:
        self.accounts.append(account)
        self.receivers.append(receiver)
        self.give(receiver)

    def answered(self, receiver: SmppConnection, tag: int, command_status: int | None) -> None:
        assert receiver in self.receivers
        self.answers.append((tag, command_status))
        if self.fault is not None:
            raise self.fault
        self.give(receiver)

    def left(self, receiver: SmppConnection, undelivered: list[int]) -> None:
        assert receiver.room == 0
        self.receivers.remove(receiver)  # a ValueError: it left twice
        self.undelivered.append(undelivered)

    def writable(self, receiver: SmppConnection) -> None:
        assert receiver in self.receivers
        self.resumed += 1
        self.give(receiver)

    def give(self, receiver: SmppConnection) -> None:
        while self.receipts and receiver.room:
            receiver.deliver(*self.receipts.pop(0))


class Gateway:
    def __init__(self, reactor: Any, in_reactor: Callable[..., Any]) -> None:
        self.call, self.reactor = in_reactor, reactor
        self.door, self.relay, self.metrics = Door(), Relay(), Metrics()
        self.inquiries, self.dispatcher = Inquiries(), Dispatcher()
        self.capture = LogCapture()
        log = structlog.wrap_logger(None, processors=[self.capture]).bind()
        timers = TimerLimits(session_init=0.6, pdu_read=0.6, enquire_link=0, unbind=0.6)
        self.server = SmppServer(
            reactor,
            SessionLimits(timers=timers),
            "gateway",
            self.door,
            self.relay,
            self.inquiries,
            self.dispatcher,
            self.metrics,
            log,
        )
        self.listening = in_reactor(
            reactor.listenTCP, 0, self.server.listener("smpp"), 50, "127.0.0.1"
        )
        self.port: int = self.listening.getHost().port

    def bound(self, command_id: int = wire.BIND_TRANSCEIVER) -> RawEsme:
        return RawEsme(self.port).bind(command_id)

    def until(self, true: Callable[[], Any]) -> None:
        deadline = time.monotonic() + 8
        while not self.call(true):
            assert time.monotonic() < deadline, "waited 8 s"
            time.sleep(0.005)

    def events(self, name: str) -> list[Any]:
        return [entry for entry in self.capture.entries if entry["event"] == name]

    def connection(self) -> SmppConnection:
        (found,) = self.server.connections
        return found

    def reads(self, connection: SmppConnection) -> bool:
        """Whether octets are taken from this connection; asked in the reactor's thread."""
        return connection.transport in self.reactor.getReaders()

    def sample(self, name: str, **labels: str) -> float:
        self.call(self.server.refresh_metrics)
        return self.metrics.registry.get_sample_value(name, labels) or 0.0

    def counted(self) -> dict[tuple[str, ...], float]:
        """What was counted of binds, submits and throttled submits, by name and labels."""
        return {
            (
                sample.name.removeprefix("smppgw_").removesuffix("_total"),
                *sample.labels.values(),
            ): sample.value
            for family in self.metrics.registry.collect()
            for sample in family.samples
            if sample.name in COUNTED and sample.value
        }

    def end(self) -> None:
        self.call(self.listening.stopListening)
        gone = self.call(lambda: [self.server.shut_down()])
        self.call(self.server.abort)
        self.call(lambda: gone[0])
        assert not self.server.connections
        assert not self.server._beat.running
        assert not self.dispatcher.receivers, "every one of them has left"


@pytest.fixture
def gateway(running_reactor: Any, in_reactor: Callable[..., Any]) -> Iterator[Gateway]:
    found = Gateway(running_reactor, in_reactor)
    yield found
    found.end()


def test_no_delay_and_keep_alive_are_set_on_what_is_accepted(gateway: Gateway) -> None:
    with gateway.bound():
        (connection,) = gateway.server.connections
        handle = connection.transport.getHandle()
        assert handle.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert handle.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


def test_answers_leave_as_they_come(gateway: Gateway) -> None:
    with gateway.bound() as client:
        client.send(wire.submit(11), wire.submit(12), wire.submit(13))
        gateway.until(lambda: len(gateway.relay.waiting) == 3)
        for index in (2, 0, 0):
            gateway.call(gateway.relay.settle, index)
        answers = [client.expect() for _ in range(3)]
    assert [answer.sequence for answer in answers] == [13, 11, 12]
    assert [answer.message_id for answer in answers] == ["id-13", "id-11", "id-12"]


def test_the_window_bounds_what_the_relay_is_given(gateway: Gateway) -> None:
    with gateway.bound() as client:
        client.send(*(wire.submit(number) for number in range(1, 31)))
        for number in range(1, 31):
            gateway.until(lambda: gateway.relay.waiting)
            assert len(gateway.relay.waiting) <= WINDOW
            gateway.call(gateway.relay.settle)
            assert client.expect().sequence == number
        assert gateway.relay.waiting == []
        assert client.alive()
    assert {origin.account for origin in gateway.relay.origins} == {gateway.door.account}


def test_requests_refused_at_once_do_not_stall_the_session(gateway: Gateway) -> None:
    """The answers come while the effects of one read still run: pause and resume keep order."""
    gateway.relay.at_once = CommandStatus.ESME_RTHROTTLED
    with gateway.bound() as client:
        client.send(*(wire.submit(number) for number in range(1, 200)))
        answers = [client.expect() for _ in range(199)]
        assert [answer.sequence for answer in answers] == list(range(1, 200))
        assert {answer.status for answer in answers} == {wire.RTHROTTLED}
        assert client.alive()


def test_a_bind_admitted_at_once_does_not_stall_the_session(gateway: Gateway) -> None:
    with RawEsme(gateway.port) as client:
        client.send(pdu(9, 1, wire.bind_body()), pdu(wire.ENQUIRE_LINK, 2))
        assert client.expect().command_id == wire.BIND_TRANSCEIVER | RESP
        assert client.expect().sequence == 2
        assert client.alive()


def test_the_bind_response(gateway: Gateway) -> None:
    for version, tail in ((0x33, b""), (0x34, wire.tlv(0x0210, b"\x34")), (0x50, None)):
        with RawEsme(gateway.port) as client:
            answer = client.ask(pdu(2, 9, wire.bind_body(interface_version=version)))
            expected = wire.tlv(0x0210, b"\x34") if tail is None else tail
            assert answer.body == b"gateway\0" + expected
    assert gateway.door.peers == ["127.0.0.1"] * 3


def test_bad_binds_wait_longer_each_time(gateway: Gateway) -> None:
    def refuse() -> Deferred[Account]:
        return fail(BindRefused("no", command_status=CommandStatus.ESME_RBINDFAIL))

    def refused() -> float:
        with RawEsme(gateway.port) as client:
            started = time.monotonic()
            (answer,) = client.send(pdu(1, 5, wire.bind_body())).rest()
            assert answer == wire.Pdu(17, 0x80000001, wire.RBINDFAIL, 5, b"\0")
            return time.monotonic() - started

    gateway.door.verdict = refuse
    seconds = [refused() for _ in range(3)]
    assert seconds[0] < 0.2
    assert 0.25 <= seconds[1] < 0.5 <= seconds[2] < 1
    (first, *_) = gateway.events("bind_refused")
    assert (first["command_status"], first["bind_type"]) == ("ESME_RBINDFAIL", "receiver")
    labels = {"bind_type": "receiver", "command_status": "ESME_RBINDFAIL"}
    assert gateway.sample("smppgw_binds_total", **labels) == 3


def test_a_fault_of_ours_in_a_bind_is_answered_and_logged(gateway: Gateway) -> None:
    gateway.door.verdict = lambda: fail(ZeroDivisionError("ours"))
    with RawEsme(gateway.port) as client:
        (answer,) = client.send(pdu(9, 5, wire.bind_body())).rest()
    assert (answer.status, answer.body) == (wire.RSYSERR, b"\0")
    (event,) = gateway.events("bind_failed")
    assert event["log_level"] == "error"
    assert "ZeroDivisionError" in event["failure"]


def test_who_leaves_before_the_verdict_is_not_checked_any_longer(gateway: Gateway) -> None:
    forgotten: list[object] = []
    verdict: Deferred[Account] = Deferred(forgotten.append)
    gateway.door.verdict = lambda: verdict
    with RawEsme(gateway.port) as client:
        client.send(pdu(9, 1, wire.bind_body()))
        gateway.until(lambda: gateway.door.peers)
        (connection,) = gateway.server.connections
        gateway.call(connection.transport.abortConnection)
        gateway.until(lambda: not gateway.server.connections)
    assert forgotten == [verdict]
    assert gateway.events("bind_failed") == []
    assert gateway.sample("smppgw_sessions", bind_type="transceiver") == 0


def test_an_answer_after_the_end_goes_nowhere(gateway: Gateway) -> None:
    with gateway.bound() as client:
        client.send(wire.submit(1))
        gateway.until(lambda: gateway.relay.waiting)
    gateway.until(lambda: not gateway.server.connections)
    gateway.call(gateway.relay.settle)
    (ended,) = gateway.events("session_ended")
    assert (ended["reason"], ended["unanswered"]) == ("closed by the ESME without unbind", 1)
    assert gateway.sample("smppgw_pdu_errors_total", reason="answer_after_close") == 1
    assert gateway.door.account.binds == 0


def test_unbind_waits_for_what_is_in_flight(gateway: Gateway) -> None:
    with gateway.bound() as client:
        client.send(wire.submit(1), pdu(wire.UNBIND, 2))
        gateway.until(lambda: gateway.relay.waiting)
        gateway.call(gateway.relay.settle)
        assert [answer.command_id for answer in client.rest()] == [
            wire.SUBMIT_SM | RESP,
            wire.UNBIND | RESP,
        ]


def test_unbind_does_not_wait_for_ever(gateway: Gateway) -> None:
    with gateway.bound() as client:
        client.send(wire.submit(1), pdu(wire.UNBIND, 2))
        assert [answer.command_id for answer in client.rest()] == [wire.UNBIND | RESP]
    gateway.call(gateway.relay.settle)


def test_a_shutdown_ends_with_the_last_connection(gateway: Gateway) -> None:
    with gateway.bound() as first, gateway.bound() as second, RawEsme(gateway.port) as stranger:
        first.send(wire.submit(1))
        gateway.until(lambda: gateway.relay.waiting and len(gateway.server.connections) == 3)
        fired: list[None] = []
        gateway.call(lambda: gateway.server.shut_down().addCallback(fired.append) and None)
        assert stranger.rest() == []
        assert first.ask(wire.submit(2)).status == wire.RMSGQFUL
        gateway.call(gateway.relay.settle)
        assert first.expect().sequence == 1
        for client in (first, second):
            unbind = client.expect()
            assert unbind.command_id == wire.UNBIND
            assert fired == []
            client.send(pdu(wire.UNBIND | RESP, unbind.sequence))
            assert client.rest() == []
        gateway.until(lambda: fired)


def test_a_shutdown_with_nobody_there_ends_at_once(gateway: Gateway) -> None:
    assert gateway.call(gateway.server.shut_down) is None


def test_a_bind_in_the_middle_of_a_shutdown_is_answered_and_unbound(gateway: Gateway) -> None:
    verdict: Deferred[Account] = Deferred()
    gateway.door.verdict = lambda: verdict
    with RawEsme(gateway.port) as client:
        client.send(pdu(9, 1, wire.bind_body()))
        gateway.until(lambda: gateway.door.peers)
        gateway.call(lambda: [gateway.server.shut_down()])
        gateway.door.account.binds = 1
        gateway.call(verdict.callback, gateway.door.account)
        assert client.expect().command_id == wire.BIND_TRANSCEIVER | RESP
        unbind = client.expect()
        assert unbind.command_id == wire.UNBIND
        client.send(pdu(wire.UNBIND | RESP, unbind.sequence))
        assert client.rest() == []
    gateway.until(lambda: gateway.door.account.binds == 0)


def test_abort_drops_everybody(gateway: Gateway) -> None:
    with gateway.bound() as bound, RawEsme(gateway.port) as stranger:
        gateway.until(lambda: len(gateway.server.connections) == 2)
        gateway.call(gateway.server.abort)
        assert bound.rest() == stranger.rest() == []


def test_an_answer_is_read_before_a_closed_connection_is_cut(gateway: Gateway) -> None:
    """Closing waits for a peer that reads late, but only as long as for an unbind."""
    with RawEsme(gateway.port) as client:
        client.send(pdu(0x15, 7, length=3))
        gateway.until(lambda: not gateway.server.connections)
        assert client.expect().status == wire.RINVCMDLEN


def test_counts_of_sessions_and_pdus(gateway: Gateway) -> None:
    with gateway.bound(wire.BIND_TRANSMITTER) as client:
        assert gateway.sample("smppgw_sessions", bind_type="transmitter") == 1
        assert gateway.sample("smppgw_connections") == 1
        client.send(wire.submit(1), wire.submit(2))
        gateway.until(lambda: len(gateway.relay.waiting) == 2)
        for _ in range(2):
            gateway.call(gateway.relay.settle)
        assert [client.expect().sequence, client.expect().sequence] == [1, 2]
        assert client.alive()
        labels = {"direction": "in", "command_id": "submit_sm"}
        assert gateway.sample("smppgw_pdus_total", **labels) == 2
        assert gateway.sample("smppgw_pdus_total", **labels) == 2, "counted once"
    gateway.until(lambda: not gateway.server.connections)
    assert gateway.sample("smppgw_sessions", bind_type="transmitter") == 0
    labels = {"direction": "out", "command_id": "enquire_link_resp"}
    assert gateway.sample("smppgw_pdus_total", **labels) == 1


# What is read while the session takes nothing.


def reset(client: RawEsme) -> None:
    """Leave without a word: the other end is sent a reset."""
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.socket.close()


@pytest.mark.parametrize("leave", [reset, lambda client: client.socket.close()])
def test_who_leaves_with_a_full_window_gives_its_place_back_at_once(
    gateway: Gateway, leave: Callable[[RawEsme], None]
) -> None:
    client = gateway.bound()
    client.send(*(wire.submit(number) for number in range(1, WINDOW + 2)))
    gateway.until(lambda: gateway.connection().reading.held)
    assert gateway.door.account.binds == 1
    leave(client)
    gateway.until(lambda: not gateway.server.connections)
    assert gateway.door.account.binds == 0
    assert len(gateway.relay.waiting) == WINDOW, "nothing was answered"
    (ended,) = gateway.events("session_ended")
    assert (ended["reason"], ended["unanswered"]) == ("closed by the ESME without unbind", WINDOW)


def test_what_was_read_ahead_is_served_in_order_with_the_moment_it_was_read(
    gateway: Gateway,
) -> None:
    with gateway.bound() as client:
        client.send(*(wire.submit(number) for number in range(1, WINDOW + 2)))
        gateway.until(lambda: len(gateway.relay.waiting) == WINDOW)
        ahead = b"".join(wire.submit(number) for number in range(WINDOW + 2, 31))
        client.send(ahead, pdu(wire.ENQUIRE_LINK, 31))
        gateway.until(lambda: gateway.connection().reading.ahead == len(ahead) + 16)
        read_by = gateway.call(gateway.server.clock.seconds)
        time.sleep(0.05)
        gateway.relay.at_once = CommandStatus.ESME_RSUBMITFAIL  # what is still to come
        for _ in range(WINDOW):
            gateway.call(gateway.relay.settle)
        answers = [client.expect().sequence for _ in range(31)]
        served = [sequence for sequence in answers if WINDOW + 1 < sequence < 31]
        assert served == list(range(WINDOW + 2, 31))
        assert sorted(answers) == list(range(1, 32))
        assert client.alive()
        assert not gateway.connection().reading.held
    assert len(gateway.relay.moments) == 30
    assert all(moment is not None and moment <= read_by for moment in gateway.relay.moments)


READ_AHEAD = 65_536  # octets of a bound client
READ_AHEAD_UNBOUND = 4_096


def flood(client: RawEsme) -> None:
    """Send 24 MiB, far more than the kernel keeps for both ends."""
    for _ in range(24 * 16):
        client.socket.sendall(pdu(wire.ENQUIRE_LINK, 8, b"\0" * 496) * 128)


@pytest.mark.parametrize("bound", [True, False])
def test_reading_ahead_has_a_bound(gateway: Gateway, bound: bool) -> None:
    verdict: Deferred[Account] = Deferred()
    with gateway.bound() if bound else RawEsme(gateway.port) as client:
        if bound:
            client.send(*(wire.submit(number) for number in range(1, WINDOW + 2)))
        else:
            gateway.door.verdict = lambda: verdict
            client.send(pdu(9, 1, wire.bind_body()))
        limit = READ_AHEAD if bound else READ_AHEAD_UNBOUND
        gateway.until(lambda: gateway.server.connections)
        connection = gateway.connection()
        gateway.until(lambda: connection.reading.held)
        client.send(pdu(wire.ENQUIRE_LINK, 7) * (limit // 16))
        gateway.until(lambda: connection.reading.ahead == limit)
        assert gateway.call(gateway.reads, connection), "up to the bound"
        client.send(pdu(wire.ENQUIRE_LINK, 7))
        gateway.until(lambda: not gateway.reads(connection))
        client.socket.settimeout(0.3)
        with pytest.raises(TimeoutError):
            flood(client)
        client.socket.settimeout(8)
        assert connection.reading.ahead == limit + 16
        # The window opens, or the bind is answered: all of it is served, and reading goes on.
        if bound:
            for _ in range(WINDOW):
                gateway.call(gateway.relay.settle)
        else:
            gateway.door.account.binds = 1
            gateway.call(verdict.callback, gateway.door.account)
        while client.expect().sequence != 8:
            pass
        gateway.until(lambda: not connection.reading.held)


# Inquiries.


def test_an_inquiry_is_handed_on_with_its_origin_and_its_moment(gateway: Gateway) -> None:
    with gateway.bound() as client:
        for command_id, body in (
            (wire.QUERY_SM, b"id\0\0\0\0"),
            (wire.CANCEL_SM, b"\0id\0\0\0\0\0\0\0"),
        ):
            answer = client.ask(pdu(command_id, 9, body))
            assert (answer.command_id, answer.status) == (command_id | wire.RESP, 0x67)
            assert answer.sequence == 9
    assert [asked.message_id for asked, _, _ in gateway.inquiries.asked] == ["id", "id"]
    for _, origin, received_at in gateway.inquiries.asked:
        assert origin.account is gateway.door.account
        assert received_at is not None


# What the session refuses by itself.

DEMO = "demo"
REFUSED: dict[str, tuple[bytes, str, str, tuple[str, ...]]] = {
    # octets, the answer, its status, what is counted
    "a malformed submit_sm": (
        pdu(wire.SUBMIT_SM, 7, b"\0"),
        "submit_sm_resp",
        "ESME_RINVCMDLEN",
        ("submits", DEMO, "ESME_RINVCMDLEN"),
    ),
    "a malformed bind": (
        pdu(wire.BIND_TRANSMITTER, 7, b"x" * 80),
        "bind_transmitter_resp",
        "ESME_RINVSYSID",
        ("binds", "transmitter", "ESME_RINVSYSID"),
    ),
    "a request that is not served": (
        pdu(wire.REPLACE_SM, 7, b"id" + b"\0" * 9),
        "replace_sm_resp",
        "ESME_RREPLACEFAIL",
        (),
    ),
    "a second bind": (
        pdu(wire.BIND_TRANSCEIVER, 7, wire.bind_body()),
        "bind_transceiver_resp",
        "ESME_RALYBND",
        ("binds", "transceiver", "ESME_RALYBND"),
    ),
    "an unknown command_id": (pdu(0xFFF, 7), "generic_nack", "ESME_RINVCMDID", ()),
    "a request of the wrong side": (
        pdu(wire.DELIVER_SM, 7, wire.submit_body()),
        "deliver_sm_resp",
        "ESME_RINVBNDSTS",
        (),
    ),
}


def told(gateway: Gateway, answer: str, status: str, system_id: str = DEMO) -> dict[str, Any]:
    """The one line about the one refusal, whose sequence_number is 7."""
    (event,) = gateway.events("request_refused")
    assert event["log_level"] == "warning"
    assert event["session_id"].startswith("s")
    found = [event[name] for name in ("answer", "command_status", "sequence_number", "system_id")]
    assert found == [answer, status, 7, system_id]
    assert event["detail"]
    assert event["peer"] == "127.0.0.1"
    return dict(event)


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_session_refuses_has_one_line_and_its_count(gateway: Gateway, name: str) -> None:
    octets, answer, status, counted = REFUSED[name]
    with gateway.bound() as client:
        before = gateway.call(gateway.counted)
        found = client.ask(octets)
        assert (found.status, found.sequence) == (CommandStatus[status], 7)
        assert client.alive()
    told(gateway, answer, status)
    assert gateway.call(gateway.counted) == before | ({counted: 1.0} if counted else {})
    assert gateway.relay.origins == []


def test_a_strangers_refusals_name_nobody(gateway: Gateway) -> None:
    for octets, answer, status, counted in (
        (
            wire.submit(7),
            "submit_sm_resp",
            "ESME_RINVBNDSTS",
            ("submits", UNKNOWN, "ESME_RINVBNDSTS"),
        ),
        (
            pdu(wire.DATA_SM, 7, b"\0" * 10),
            "data_sm_resp",
            "ESME_RINVBNDSTS",
            ("submits", UNKNOWN, "ESME_RINVBNDSTS"),
        ),
        (
            pdu(wire.QUERY_SM, 7, b"id\0\0\0\0"),
            "query_sm_resp",
            "ESME_RINVBNDSTS",
            ("inquiries", UNKNOWN, "query_sm", "ESME_RINVBNDSTS"),
        ),
        (
            pdu(wire.BIND_RECEIVER, 7, b"secret-word" * 8),
            "bind_receiver_resp",
            "ESME_RINVSYSID",
            ("binds", "receiver", "ESME_RINVSYSID"),
        ),
    ):
        before = gateway.call(gateway.counted)
        gateway.capture.entries.clear()
        with RawEsme(gateway.port) as client:
            assert client.ask(octets).status == CommandStatus[status]
            assert client.alive()
        told(gateway, answer, status, UNKNOWN)
        assert gateway.call(gateway.counted) == before | {counted: before.get(counted, 0.0) + 1}
        assert "secret-word" not in str(gateway.capture.entries)


def test_a_submit_while_draining_has_its_line_and_its_count(gateway: Gateway) -> None:
    with gateway.bound() as client:
        client.send(wire.submit(1))
        gateway.until(lambda: gateway.relay.waiting)
        gateway.call(lambda: [gateway.server.shut_down()])
        before = gateway.call(gateway.counted)
        assert client.ask(wire.submit(7)).status == wire.RMSGQFUL
        told(gateway, "submit_sm_resp", "ESME_RMSGQFUL")
        assert gateway.call(gateway.counted) == before | {("submits", DEMO, "ESME_RMSGQFUL"): 1.0}
        gateway.call(gateway.relay.settle)


def test_a_submit_beyond_the_window_that_throttles(gateway: Gateway) -> None:
    settings = {"system_id": DEMO, "password": "demo", "window": 1, "window_full": "throttle"}
    gateway.door.account = Account(
        AccountSettings.model_validate(settings), "", Credentials.basic("user", "password")
    )
    with gateway.bound() as client:
        before = gateway.call(gateway.counted)
        client.send(wire.submit(1))
        gateway.until(lambda: gateway.relay.waiting)
        assert client.ask(wire.submit(7)).status == wire.RTHROTTLED
        assert "window of 1" in told(gateway, "submit_sm_resp", "ESME_RTHROTTLED")["detail"]
        assert gateway.call(gateway.counted) == before | {
            ("submits", DEMO, "ESME_RTHROTTLED"): 1.0,
            ("throttled", DEMO, "window"): 1.0,
        }
        gateway.call(gateway.relay.settle)
        assert client.expect().sequence == 1
        assert client.alive()


# Clients that leave while they bind, and faults of ours behind a bind.


@pytest.mark.parametrize("leave", [reset, lambda client: client.socket.close()])
def test_a_client_that_leaves_ends_the_check_of_its_password(
    gateway: Gateway, leave: Callable[[RawEsme], None]
) -> None:
    forgotten: list[object] = []
    verdict: Deferred[Account] = Deferred(forgotten.append)
    gateway.door.verdict = lambda: verdict
    client = RawEsme(gateway.port).send(pdu(9, 1, wire.bind_body()))
    gateway.until(lambda: gateway.door.peers)
    assert forgotten == []
    leave(client)
    gateway.until(lambda: not gateway.server.connections)
    assert forgotten == [verdict]
    assert gateway.events("bind_failed") == []
    assert gateway.events("bind_refused") == []
    assert gateway.door.account.binds == 0


def test_a_fault_behind_an_accepted_bind_ends_the_connection(gateway: Gateway) -> None:
    """The session takes itself for bound by then, and has no answer to a refusal."""
    verdict: Deferred[Account] = Deferred()
    gateway.door.verdict = lambda: verdict
    gateway.relay.fault = ZeroDivisionError("ours")
    with RawEsme(gateway.port) as client:
        client.send(pdu(9, 1, wire.bind_body()), wire.submit(2))
        gateway.until(lambda: gateway.door.peers)
        gateway.door.account.binds = 1
        gateway.call(verdict.callback, gateway.door.account)
        client.rest()
    gateway.until(lambda: not gateway.server.connections)
    (event,) = gateway.events("bind_failed")
    assert "ZeroDivisionError" in event["failure"]
    assert gateway.door.account.binds == 0


# Receipts.

DELIVER_RESP = wire.DELIVER_SM | RESP
RX_T_APPN = 0x64
TLVS = (Tlv(0x0427, b"\2"), Tlv(0x001E, b"7\0"))


def receipts(*tags: int, tlvs: tuple[Tlv, ...] = TLVS) -> list[tuple[bytes, int]]:
    return [(encode(DeliverSm(0, 0, short_message=b"id:%d" % tag, tlvs=tlvs)), tag) for tag in tags]


def received(client: RawEsme, sequence: int, tag: int, tlvs: bool = True) -> None:
    """The next PDU is the receipt with this tag."""
    found = client.expect()
    assert (found.command_id, found.status, found.sequence) == (wire.DELIVER_SM, 0, sequence)
    text = b"id:%d" % tag
    tail = wire.tlv(0x0427, b"\2") + wire.tlv(0x001E, b"7\0") if tlvs else b""
    assert found.body.endswith(bytes([len(text)]) + text + tail)


def deliver(gateway: Gateway, *tags: int) -> SmppConnection:
    """Give the only receiver these; all in one turn of the reactor."""
    (receiver,) = gateway.dispatcher.receivers

    def give() -> None:
        for one in receipts(*tags):
            receiver.deliver(*one)

    gateway.call(give)
    return receiver


@pytest.mark.parametrize("command_id", [wire.BIND_RECEIVER, wire.BIND_TRANSCEIVER])
@pytest.mark.parametrize("version", [0x33, 0x34])
def test_a_receipt_and_its_answer(gateway: Gateway, command_id: int, version: int) -> None:
    with RawEsme(gateway.port).bind(command_id, interface_version=version) as client:
        gateway.until(lambda: gateway.dispatcher.receivers)
        receiver = deliver(gateway, 70, 71)
        assert (receiver.room, receiver.session_id[0]) == (DELIVER_WINDOW - 2, "s")
        received(client, 1, 70, version >= 0x34)
        received(client, 2, 71, version >= 0x34)
        client.send(pdu(DELIVER_RESP, 2, b"\0", RX_T_APPN), pdu(DELIVER_RESP, 1, b"an id\0"))
        gateway.until(lambda: len(gateway.dispatcher.answers) == 2)
        assert gateway.dispatcher.answers == [(71, RX_T_APPN), (70, 0)]
        assert receiver.room == DELIVER_WINDOW
        assert client.alive()
    gateway.until(lambda: gateway.dispatcher.undelivered)
    assert gateway.dispatcher.undelivered == [[]]
    (ended,) = gateway.events("session_ended")
    assert "undelivered" not in ended
    assert gateway.dispatcher.accounts == [gateway.door.account]
    labels = {"direction": "out", "command_id": "deliver_sm"}
    assert gateway.sample("smppgw_pdus_total", **labels) == 2
    labels = {"direction": "in", "command_id": "deliver_sm_resp"}
    assert gateway.sample("smppgw_pdus_total", **labels) == 2


def test_a_transmitter_never_joins(gateway: Gateway) -> None:
    with gateway.bound(wire.BIND_TRANSMITTER) as client:
        assert client.alive()
        assert gateway.connection().room == 0
    gateway.until(lambda: not gateway.server.connections)
    assert not gateway.dispatcher.accounts
    assert not gateway.dispatcher.undelivered


@pytest.mark.parametrize("at_once", [True, False])
def test_what_waits_leaves_behind_the_bind_response(gateway: Gateway, at_once: bool) -> None:
    gateway.dispatcher.receipts = receipts(70, 71, 72, 73)
    verdict: Deferred[Account] = Deferred()
    if not at_once:
        gateway.door.verdict = lambda: verdict
    with RawEsme(gateway.port) as client:
        client.send(pdu(wire.BIND_TRANSCEIVER, 9, wire.bind_body()), pdu(wire.ENQUIRE_LINK, 10))
        if not at_once:
            gateway.until(lambda: gateway.door.peers)
            assert gateway.connection().room == 0
            gateway.door.account.binds = 1
            gateway.call(verdict.callback, gateway.door.account)
        assert client.expect().command_id == wire.BIND_TRANSCEIVER | RESP
        assert client.expect().command_id == wire.ENQUIRE_LINK | RESP
        for sequence, tag in ((1, 70), (2, 71), (3, 72)):
            received(client, sequence, tag)
        assert client.alive(), "the window is full"
        client.send(pdu(DELIVER_RESP, 2))
        received(client, 4, 73)


@pytest.mark.parametrize("behind", [pdu(wire.UNBIND, 2), b"GET / HTTP/1.1\r\n"])
@pytest.mark.parametrize("at_once", [True, False])
def test_who_binds_and_is_gone_never_joins(gateway: Gateway, at_once: bool, behind: bytes) -> None:
    gateway.dispatcher.receipts = receipts(70)
    verdict: Deferred[Account] = Deferred()
    if not at_once:
        gateway.door.verdict = lambda: verdict
    with RawEsme(gateway.port) as client:
        client.send(pdu(wire.BIND_RECEIVER, 1, wire.bind_body()), behind)
        if not at_once:
            gateway.until(lambda: gateway.door.peers)
            gateway.door.account.binds = 1
            gateway.call(verdict.callback, gateway.door.account)
        assert client.expect().command_id == wire.BIND_RECEIVER | RESP
    gateway.until(lambda: not gateway.server.connections)
    assert not gateway.dispatcher.accounts
    assert not gateway.dispatcher.undelivered
    assert len(gateway.dispatcher.receipts) == 1


def test_a_receipt_that_is_never_answered_gives_its_place_back(gateway: Gateway) -> None:
    gateway.server.limits = SessionLimits(timers=TimerLimits(response=0.2, enquire_link=0))
    with gateway.bound() as client:
        gateway.until(lambda: gateway.dispatcher.receivers)
        receiver = deliver(gateway, 70)
        received(client, 1, 70)
        gateway.until(lambda: gateway.dispatcher.answers)
        assert gateway.dispatcher.answers == [(70, None)]
        assert receiver.room == DELIVER_WINDOW
        client.send(pdu(DELIVER_RESP, 1))
        assert client.alive()
    assert gateway.dispatcher.answers == [(70, None)]
    assert gateway.sample("smppgw_pdu_errors_total", reason="unexpected_response") == 1


def test_who_unbinds_leaves_what_it_did_not_answer(gateway: Gateway) -> None:
    with gateway.bound() as client:
        gateway.until(lambda: gateway.dispatcher.receivers)
        deliver(gateway, 70, 71, 72)
        client.send(pdu(DELIVER_RESP, 2), pdu(wire.UNBIND, 7), pdu(DELIVER_RESP, 1))
        assert client.rest()[-1].command_id == wire.UNBIND | RESP
    gateway.until(lambda: not gateway.server.connections)
    assert gateway.dispatcher.answers == [(71, 0)]
    assert gateway.dispatcher.undelivered == [[70, 72]]
    (ended,) = gateway.events("session_ended")
    assert (ended["undelivered"], ended["unanswered"]) == (2, 0)


def test_who_unbinds_is_heard_until_its_submits_are_answered(gateway: Gateway) -> None:
    with gateway.bound() as client:
        gateway.until(lambda: gateway.dispatcher.receivers)
        receiver = deliver(gateway, 70, 71)
        client.send(wire.submit(2), pdu(wire.UNBIND, 3))
        gateway.until(lambda: gateway.relay.waiting)
        assert receiver.room == 0
        assert gateway.dispatcher.undelivered == []
        client.send(pdu(DELIVER_RESP, 2))
        gateway.until(lambda: gateway.dispatcher.answers)
        gateway.call(gateway.relay.settle)
        assert client.rest()[-1].command_id == wire.UNBIND | RESP
    assert gateway.dispatcher.answers == [(71, 0)]
    assert gateway.dispatcher.undelivered == [[70]]


@pytest.mark.parametrize("leave", [reset, lambda client: client.socket.close()])
def test_who_hangs_up_leaves_what_it_did_not_answer(
    gateway: Gateway, leave: Callable[[RawEsme], None]
) -> None:
    client = gateway.bound(wire.BIND_RECEIVER)
    gateway.until(lambda: gateway.dispatcher.receivers)
    receiver = deliver(gateway, 70, 71)
    received(client, 1, 70)
    received(client, 2, 71)
    leave(client)
    gateway.until(lambda: not gateway.server.connections)
    assert gateway.dispatcher.undelivered == [[70, 71]]
    (ended,) = gateway.events("session_ended")
    assert ended["undelivered"] == 2
    assert receiver.room == 0
    gateway.dispatcher.receivers.append(receiver)  # a dispatcher that has not heard of it
    gateway.call(receiver.deliver, *receipts(72)[0])
    gateway.dispatcher.receivers.clear()
    assert gateway.dispatcher.answers == [(72, None)]


def test_a_shutdown_does_not_wait_for_unanswered_receipts(gateway: Gateway) -> None:
    with gateway.bound() as client:
        gateway.until(lambda: gateway.dispatcher.receivers)
        receiver = deliver(gateway, 70, 71)
        gateway.call(lambda: [gateway.server.shut_down()])
        assert receiver.room == 0
        received(client, 1, 70)
        received(client, 2, 71)
        assert client.expect() == wire.Pdu(16, wire.UNBIND, 0, 3, b"")
        client.send(pdu(DELIVER_RESP, 2), pdu(wire.UNBIND | RESP, 3))
        assert client.rest() == []
    gateway.until(lambda: not gateway.server.connections)
    assert gateway.dispatcher.answers == [(71, 0)]
    assert gateway.dispatcher.undelivered == [[70]]


def test_who_does_not_read_gets_no_more_until_it_does(gateway: Gateway) -> None:
    settings = {"system_id": DEMO, "password": "demo", "deliver_window": 10_000}
    gateway.door.account = Account(
        AccountSettings.model_validate(settings), "", Credentials.basic("user", "password")
    )
    # 24 MiB, far more than the kernel keeps for both ends
    count = 24 * 16
    large = (Tlv(0x0424, b"x" * 65_000),)
    waiting = receipts(*range(count), tlvs=large)
    seen: list[int] = []

    def stuck() -> bool:
        seen.append(len(waiting))
        return len(seen) > 10 and len(set(seen[-10:])) == 1

    with gateway.bound() as client:
        gateway.until(lambda: gateway.dispatcher.receivers)
        gateway.dispatcher.receipts = waiting
        gateway.call(gateway.dispatcher.give, gateway.connection())
        gateway.until(stuck)
        left, resumed = len(waiting), gateway.dispatcher.resumed
        assert left > 0
        assert gateway.connection().room == 0
        assert [client.expect().sequence for _ in range(count)] == list(range(1, count + 1))
        assert waiting == []
        assert gateway.dispatcher.resumed > resumed
        gateway.until(lambda: gateway.connection().room == 10_000 - count)
    gateway.until(lambda: gateway.dispatcher.undelivered)
    assert gateway.dispatcher.undelivered == [list(range(count))]


def test_a_fault_of_the_dispatcher_ends_the_connection(gateway: Gateway) -> None:
    with gateway.bound() as client:
        gateway.until(lambda: gateway.dispatcher.receivers)
        deliver(gateway, 70, 71)
        gateway.dispatcher.fault = ZeroDivisionError("ours")
        received(client, 1, 70)
        received(client, 2, 71)
        client.send(pdu(DELIVER_RESP, 1))
        assert client.rest() == []
    gateway.until(lambda: not gateway.server.connections)
    assert gateway.dispatcher.undelivered == [[71]]
