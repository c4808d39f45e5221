"""Clients that send what they should not, as much of it as they like: bounded and counted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gateway.net.connection_limits import MAX_READ_AHEAD_UNBOUND, ConnectionLimits
from gateway.smpp.session import SessionLimits
from tests.e2e import raw_esme as wire
from tests.e2e.raw_esme import RawEsme, pdu
from tests.net.test_smpp_server import DELIVER_RESP, WINDOW, Gateway, deliver, received


@pytest.fixture
def gateway(running_reactor: Any, in_reactor: Callable[..., Any]) -> Iterator[Gateway]:
    found = Gateway(running_reactor, in_reactor)
    yield found
    found.end()


def errors(gateway: Gateway, reason: str) -> float:
    return gateway.sample("smppgw_pdu_errors_total", reason=reason)


def grown(octets: int) -> bytes:
    return pdu(wire.ENQUIRE_LINK, 8, b"\0" * (octets - 16))


@pytest.mark.parametrize("bound", [False, True])
def test_a_pdu_beyond_the_limit_costs_the_session_and_is_counted(
    gateway: Gateway, bound: bool
) -> None:
    gateway.server.limits = SessionLimits(max_pdu=2_000, max_pdu_before_bind=300)
    largest = 2_000 if bound else 300
    with gateway.bound() if bound else RawEsme(gateway.port) as client:
        assert client.ask(grown(largest)).status == wire.ROK
        [answer] = client.send(grown(largest + 1)).rest()
        assert (answer.command_id, answer.status) == (wire.GENERIC_NACK, wire.RINVCMDLEN)
    assert errors(gateway, "bad_length") == 1


def test_a_full_read_ahead_is_counted_once_and_told(gateway: Gateway) -> None:
    gateway.server.connection_limits = ConnectionLimits(max_read_ahead=2_048)
    with gateway.bound() as client:
        client.send(*(wire.submit(number) for number in range(WINDOW + 1)))
        gateway.until(lambda: gateway.connection().reading.held)
        assert errors(gateway, "read_ahead_full") == 0
        client.send(pdu(wire.ENQUIRE_LINK, 7) * 200)
        connection = gateway.connection()
        gateway.until(lambda: not gateway.reads(connection))
        assert errors(gateway, "read_ahead_full") == 1
        for _ in range(WINDOW + 1):
            gateway.until(lambda: gateway.relay.waiting)
            gateway.call(gateway.relay.settle)
        assert len([client.expect() for _ in range(WINDOW + 201)]) == WINDOW + 201
        assert client.alive()
    [line] = [one for one in gateway.events("irregular") if one["reason"] == "read_ahead_full"]
    assert line["peer"] == "127.0.0.1"


def test_a_stranger_is_read_ahead_less(gateway: Gateway) -> None:
    gateway.server.connection_limits = ConnectionLimits(max_read_ahead=1_000_000)
    with RawEsme(gateway.port) as client:
        gateway.until(lambda: gateway.server.connections)
        assert gateway.connection().max_read_ahead == MAX_READ_AHEAD_UNBOUND
        client.bind()
        assert gateway.connection().max_read_ahead == 1_000_000


def test_thousands_of_pdus_in_one_write_are_served_while_others_are_too(gateway: Gateway) -> None:
    """An event loop that served them in one go would keep everybody waiting."""
    turns: list[int] = []
    with gateway.bound() as flooding, gateway.bound() as other:
        for connection in gateway.server.connections:
            gateway.call(count_turns, connection, turns)
        flooding.send(pdu(wire.SUBMIT_SM, 8, b"\0") * 3_800)  # 64 KiB
        assert other.alive()
        assert {flooding.expect().status for _ in range(3_800)} == {wire.RINVCMDLEN}
        assert flooding.alive()
    assert max(turns) <= 8_192
    assert errors(gateway, "malformed") == 3_800


def count_turns(connection: Any, turns: list[int]) -> None:
    """Note how many octets its session is given at a time."""
    give = connection.session.octets_received

    def counted(octets: bytes, *rest: Any) -> Any:
        turns.append(len(octets))
        return give(octets, *rest)

    connection.session.octets_received = counted


def test_who_sends_much_and_leaves_is_served_to_the_end(gateway: Gateway) -> None:
    """Fire and forget: what was sent before the end counts."""
    settings = gateway.door.account.settings.model_copy(update={"window": 10_000})
    gateway.door.account.settings = settings
    client = gateway.bound()
    client.send(*(wire.submit(number) for number in range(1_000)))
    client.socket.close()
    gateway.until(lambda: len(gateway.relay.waiting) == 1_000)
    gateway.until(lambda: not gateway.server.connections)


def test_a_pdu_may_come_octet_by_octet(gateway: Gateway) -> None:
    with gateway.bound() as client:
        for octet in wire.submit(9):
            client.send(bytes([octet]))
        gateway.until(lambda: gateway.relay.waiting)
        gateway.call(gateway.relay.settle)
        assert client.expect().sequence == 9
        assert client.alive()


def test_a_pdu_that_trickles_in_has_its_time(gateway: Gateway) -> None:
    """From its first octet to its last: another octet buys none."""
    with gateway.bound() as client:
        client.socket.settimeout(0.1)
        started = time.monotonic()
        found = None
        for octet in wire.submit(9) * 10:
            try:
                client.send(bytes([octet]))
                found = client.read()
            except TimeoutError:
                continue
            break
        assert found is not None
        assert (found.command_id, found.status) == (wire.GENERIC_NACK, wire.RINVCMDLEN)
        assert 0.5 <= time.monotonic() - started < 3
    assert errors(gateway, "unfinished_pdu") == 1


def test_answers_to_nothing_and_garbage_for_answers_are_counted(gateway: Gateway) -> None:
    with gateway.bound() as client:
        gateway.until(lambda: gateway.dispatcher.receivers)
        deliver(gateway, 70)
        received(client, 1, 70)
        client.send(
            pdu(DELIVER_RESP, 99),  # of nothing
            pdu(wire.SUBMIT_SM | wire.RESP, 1, b"id\0"),  # of another kind
            pdu(wire.ENQUIRE_LINK | wire.RESP, 5),
            pdu(wire.GENERIC_NACK, 77),
            pdu(DELIVER_RESP, 98, b"\xff" * 300),  # without an end
            pdu(0x80000FFF, 1, b"\xff" * 9),  # a response of no command
        )
        assert client.alive(), "none of them is answered"
        assert gateway.dispatcher.answers == []
        counted = {
            reason: errors(gateway, reason)
            for reason in ("unexpected_response", "malformed", "unknown_command_id", "ignored")
        }
        assert sum(counted.values()) == 6, counted
        client.send(pdu(DELIVER_RESP, 1, b"", 0xDEADBEEF))
        gateway.until(lambda: gateway.dispatcher.answers)
    assert gateway.dispatcher.answers == [(70, 0xDEADBEEF)]
    lines = [one["reason"] for one in gateway.events("irregular") if one["log_level"] == "info"]
    assert len(lines) == len(set(lines)), "each kind once a session"
