"""Clients that do not read what they are sent: exact bounds, and the same over a real socket."""

# mypy: disable-error-code="no-untyped-call"
# (StringTransport is not annotated)

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from structlog.testing import LogCapture
from twisted.internet.error import ConnectionAborted
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from gateway.metrics import UNKNOWN, Metrics
from gateway.net.connection_limits import ConnectionLimits
from gateway.net.smpp_server import SmppServer
from gateway.net.unread import Unread
from gateway.smpp.constants import CommandStatus
from gateway.smpp.pdu import Tlv
from gateway.smpp.session import SessionLimits
from gateway.smpp.timers import TimerLimits
from tests.e2e import raw_esme as wire
from tests.e2e.raw_esme import RawEsme, pdu
from tests.net.test_smpp_server import (
    WINDOW,
    Dispatcher,
    Door,
    Gateway,
    Inquiries,
    Relay,
    receipts,
)
from tests.net.test_tls_smpp import TlsGateway

MAX_UNREAD, TIMEOUT = 200, 20.0
ANSWER = 16 + len("id-9") + 1  # octets of a submit_sm_resp


def test_too_much_or_too_long() -> None:
    limits = ConnectionLimits(max_unread=100, unread_timeout=10)
    unread = Unread(1_000.0)
    unread.octets = 100
    assert not unread.beyond(limits, 1_009.9)
    assert unread.beyond(limits, 1_010.0)
    unread.octets = 101
    assert unread.beyond(limits, 1_000.0)


class Wire(StringTransport):
    """Full and empty when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.aborted = 0

    def setTcpNoDelay(self, _: object) -> None: ...

    def setTcpKeepAlive(self, _: object) -> None: ...

    def abortConnection(self) -> None:
        self.aborted += 1


class Trial:
    """A connection of a bound client, whose submits wait for the test."""

    def __init__(self, *, bind: bool = True, command_id: int = wire.BIND_TRANSCEIVER) -> None:
        self.clock = Clock()
        self.clock.advance(1_000)
        self.relay, self.metrics, self.door = Relay(), Metrics(), Door()
        self.dispatcher = Dispatcher()
        self.capture = LogCapture()
        self.server = SmppServer(
            self.clock,
            SessionLimits(timers=TimerLimits(enquire_link=0, session_init=1_000)),
            "gateway",
            self.door,
            self.relay,
            Inquiries(),
            self.dispatcher,
            self.metrics,
            structlog.wrap_logger(None, processors=[self.capture]).bind(),
            connection_limits=ConnectionLimits(max_unread=MAX_UNREAD, unread_timeout=TIMEOUT),
        )
        listener = self.server.listener("smpp_tls")
        listener.doStart()
        connection = listener.buildProtocol(None)
        assert connection is not None
        self.connection, self.wire = connection, Wire()
        self.connection.makeConnection(self.wire)
        if bind:
            self.connection.dataReceived(pdu(command_id, 1, wire.bind_body()))
        self.wire.clear()

    def submit(self, count: int) -> None:
        for number in range(count):
            self.connection.dataReceived(wire.submit(number))

    def dropped(self) -> list[Any]:
        return [entry for entry in self.capture.entries if entry["event"] == "session_dropped"]

    def count(self) -> float:
        labels = {"listener": "smpp_tls", "reason": "unread"}
        name = "smppgw_connections_dropped_total"
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


def test_answers_to_a_client_that_does_not_read_are_counted_to_the_octet() -> None:
    trial = Trial()
    trial.server.connection_limits = ConnectionLimits(2 * ANSWER, 2 * ANSWER, TIMEOUT)
    trial.submit(4)
    trial.relay.settle()  # before: the transport's own affair
    trial.connection.pauseProducing()
    trial.relay.settle()
    trial.relay.settle()
    assert trial.wire.aborted == trial.count() == 0
    trial.clock.advance(2.34)
    trial.relay.settle()
    assert trial.wire.aborted == trial.count() == 1
    [line] = trial.dropped()
    assert line["log_level"] == "warning"
    assert (line["listener"], line["reason"]) == ("smpp_tls", "unread")
    assert (line["octets"], line["seconds"]) == (3 * ANSWER, 2.3)
    assert (line["system_id"], line["session_id"]) == ("demo", "s1")
    assert line["peer"]


def test_receipts_and_enquire_links_are_counted_too() -> None:
    trial = Trial()
    trial.connection.pauseProducing()
    trial.connection.deliver(*receipts(70)[0])
    trial.server.relimit(
        SessionLimits(timers=TimerLimits(enquire_link=5)), trial.server.connection_limits
    )
    trial.clock.advance(5)
    written = len(trial.wire.value())
    assert written > 16
    trial.server.connection_limits = ConnectionLimits(max_unread=written - 1)
    trial.connection.tick(trial.clock.seconds())
    [line] = trial.dropped()
    assert line["octets"] == written


def test_a_client_that_reads_again_starts_anew() -> None:
    trial = Trial()
    for _ in range(30):
        trial.submit(WINDOW)
        trial.connection.pauseProducing()
        for _ in range(WINDOW):
            trial.relay.settle()
        trial.clock.pump([1.0] * int(TIMEOUT - 1))
        trial.connection.resumeProducing()
    assert trial.wire.aborted == 0
    assert trial.dropped() == []


def test_a_transport_may_be_full_only_for_so_long() -> None:
    trial = Trial(command_id=wire.BIND_RECEIVER)
    trial.connection.pauseProducing()
    trial.clock.pump([0.5] * int(2 * TIMEOUT - 1))
    assert trial.wire.aborted == 0
    trial.clock.pump([0.5])
    assert trial.wire.aborted == trial.count() == 1
    [line] = trial.dropped()
    assert (line["octets"], line["seconds"]) == (0, TIMEOUT)
    trial.clock.pump([0.5] * 10)
    assert len(trial.dropped()) == trial.count() == 1, "it is told once"
    trial.connection.connectionLost(Failure(ConnectionAborted()))
    [ended] = [entry for entry in trial.capture.entries if entry["event"] == "session_ended"]
    assert ended["reason"] == "does not read what it is sent"


def test_other_limits_hold_for_who_is_there() -> None:
    trial = Trial()
    trial.connection.pauseProducing()
    trial.clock.pump([0.5] * 20)
    assert trial.dropped() == []
    trial.server.relimit(trial.server.limits, ConnectionLimits(unread_timeout=5))
    trial.clock.pump([0.5])
    assert len(trial.dropped()) == 1


def test_a_client_that_is_not_bound_has_no_name() -> None:
    trial = Trial(bind=False)
    trial.connection.pauseProducing()
    trial.clock.pump([0.5] * 40)
    [line] = trial.dropped()
    assert line["system_id"] == UNKNOWN


def test_one_that_is_being_closed_is_not_dropped_for_that() -> None:
    """It has its own time for leaving."""
    trial = Trial()
    trial.connection.pauseProducing()
    trial.connection.dataReceived(pdu(wire.UNBIND, 5))
    trial.clock.pump([0.5] * 60)
    assert trial.dropped() == []
    assert trial.count() == 0
    assert trial.wire.aborted > 0


def test_the_settings_of_the_account_reach_the_session_that_is_there() -> None:
    trial = Trial()
    trial.submit(WINDOW + 1)
    assert trial.connection.reading.held
    settings = trial.door.account.settings
    trial.door.account.settings = settings.model_copy(update={"window": 10 * WINDOW})
    trial.server.relimit(trial.server.limits, trial.server.connection_limits)
    assert not trial.connection.reading.held
    assert len(trial.relay.waiting) == WINDOW + 1


def test_a_fault_in_one_session_does_not_keep_the_others_from_new_limits() -> None:
    trial = Trial()
    trial.connection.session.relimit = None  # type: ignore[method-assign, assignment]
    trial.server.relimit(trial.server.limits, trial.server.connection_limits)
    assert trial.wire.aborted == 1
    [line] = [entry for entry in trial.capture.entries if entry["event"] == "session_failed"]
    assert line["session_id"] == "s1"


# Over real sockets.


@pytest.fixture
def gateway(running_reactor: Any, in_reactor: Callable[..., Any]) -> Iterator[Gateway]:
    found = Gateway(running_reactor, in_reactor)
    yield found
    found.end()


class Deaf(RawEsme):
    """A bound client that does not read; both ends keep little of what it should."""

    def __init__(self, gateway: Gateway) -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        self.socket.settimeout(8)
        self.socket.connect(("127.0.0.1", gateway.port))
        self._buffer = b""
        self.bind()
        handle = gateway.connection().transport.getHandle()
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)


def test_a_client_that_sends_and_never_reads_is_dropped(gateway: Gateway) -> None:
    gateway.server.connection_limits = ConnectionLimits(unread_timeout=0.3)
    requests = pdu(wire.ENQUIRE_LINK, 8) * 400_000  # far more than the kernel keeps
    with Deaf(gateway) as client:
        with pytest.raises(ConnectionError):
            client.socket.sendall(requests)
        gateway.until(lambda: not gateway.server.connections)
    [line] = gateway.events("session_dropped")
    assert (line["listener"], line["system_id"], line["peer"]) == ("smpp", "demo", "127.0.0.1")
    assert line["seconds"] >= 0.3
    assert line["octets"] <= 65_536, "it was not read while it did not read"
    assert gateway.door.account.binds == 0
    labels = {"listener": "smpp", "reason": "unread"}
    assert gateway.sample("smppgw_connections_dropped_total", **labels) == 1


def test_what_is_written_meanwhile_gives_it_no_more_time(gateway: Gateway) -> None:
    """A TCP transport that is full says so again at every write."""
    gateway.server.connection_limits = ConnectionLimits(unread_timeout=0.3)
    large = receipts(*range(9), tlvs=(Tlv(0x0424, b"x" * 60_000),))
    with Deaf(gateway):
        gateway.until(lambda: gateway.dispatcher.receivers)
        connection = gateway.connection()
        gateway.call(connection.transport.write, large[0][0] * 3)
        gateway.until(lambda: connection._unread is not None)
        first, octets = connection._unread, len(large[0][0])
        assert first is not None
        gateway.call(connection._write, large[0][0])
        gateway.call(connection._write, large[0][0])
        assert connection._unread is first
        assert first.octets == 2 * octets
        gateway.until(lambda: not gateway.server.connections)
    [line] = gateway.events("session_dropped")
    assert line["octets"] == 2 * octets


def test_receipts_for_a_client_that_never_reads(gateway: Gateway) -> None:
    """They go back to where they came from, and the client is dropped."""
    gateway.server.connection_limits = ConnectionLimits(unread_timeout=0.3)
    with Deaf(gateway):
        gateway.until(lambda: gateway.dispatcher.receivers)
        large = (Tlv(0x0424, b"x" * 60_000),)
        gateway.dispatcher.receipts = receipts(*range(9), tlvs=large)
        gateway.call(gateway.dispatcher.give, gateway.connection())
        gateway.until(lambda: not gateway.server.connections)
    assert len(gateway.events("session_dropped")) == 1
    [undelivered] = gateway.dispatcher.undelivered
    assert undelivered
    assert undelivered == list(range(len(undelivered)))
    assert len(undelivered) + len(gateway.dispatcher.receipts) == 9


def test_a_client_that_reads_late_is_served_in_full(gateway: Gateway) -> None:
    """Within its time: all that it sent is answered, nothing is lost."""
    gateway.relay.at_once = CommandStatus.ESME_RSUBMITFAIL
    count = 12_000
    requests = b"".join(wire.submit(number) for number in range(count))
    with Deaf(gateway) as client:
        sender = threading.Thread(target=client.socket.sendall, args=(requests,), daemon=True)
        sender.start()
        connection = gateway.connection()
        gateway.until(lambda: connection._unread is not None)
        assert [client.expect().sequence for _ in range(count)] == list(range(count))
        sender.join()
        assert client.alive()
        assert connection._unread is None
    assert gateway.events("session_dropped") == []


def test_a_client_that_never_reads_over_tls(
    running_reactor: Any, in_reactor: Callable[..., Any], tmp_path: Path
) -> None:
    found = TlsGateway(running_reactor, in_reactor, tmp_path)
    found.inner.server.connection_limits = ConnectionLimits(unread_timeout=0.3)
    requests = pdu(wire.ENQUIRE_LINK, 8) * 400_000
    try:
        with found.bound() as client:
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            handle = found.inner.connection().transport.transport.getHandle()
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
            with pytest.raises((ConnectionError, ssl.SSLError)):
                client.socket.sendall(requests)
            found.until(lambda: not found.inner.server.connections)
    finally:
        found.end()
    [line] = found.inner.events("session_dropped")
    assert (line["listener"], line["reason"]) == ("smpp_tls", "unread")
