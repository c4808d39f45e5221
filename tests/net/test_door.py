"""Who may connect: the rules by themselves, and what clients see of them."""

from __future__ import annotations

import socket
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.net.door import Door, DoorLimits
from tests.e2e import raw_esme as wire
from tests.e2e.raw_esme import RawEsme, pdu
from tests.net.test_smpp_server import Gateway

ALLOW = {
    "smpp": (ip_network("192.0.2.0/24"), ip_network("2001:db8::/32")),
    "smpp_tls": (ip_network("0.0.0.0/0"),),
    "open": (),
}


@pytest.mark.parametrize(
    ("listener", "host", "refusal"),
    [
        ("smpp", "192.0.2.1", ""),
        ("smpp", "::ffff:192.0.2.1", ""),
        ("smpp", "2001:db8::1", ""),
        ("smpp", "192.0.3.1", "allow"),
        ("smpp", "::1", "allow"),
        ("smpp", "", "allow"),
        ("smpp_tls", "192.0.3.1", ""),
        ("smpp_tls", "::1", "allow"),
        ("open", "::1", ""),
        ("not named", "192.0.3.1", ""),
    ],
)
def test_each_listener_has_its_allow_list(listener: str, host: str, refusal: str) -> None:
    assert Door(DoorLimits(ALLOW)).refusal(listener, host) == refusal


def test_the_number_of_connections_in_total() -> None:
    door = Door(DoorLimits(total=2))
    for host in ("192.0.2.1", "192.0.2.2"):
        assert door.refusal("smpp", host) == ""
        door.entered(host)
    assert door.refusal("smpp", "192.0.2.3") == door.refusal("smpp_tls", "::1") == "total"
    door.left("192.0.2.1")
    assert door.refusal("smpp", "192.0.2.3") == ""


@pytest.mark.parametrize(
    ("first", "same", "another"),
    [
        ("192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"),
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", "2001:db8:0:2::1"),
        ("fe80::1%eth0", "fe80::2", "fe81::1"),
    ],
)
def test_the_number_of_connections_of_an_address(first: str, same: str, another: str) -> None:
    door = Door(DoorLimits(per_address=2))
    door.entered(first)
    assert door.refusal("smpp", same) == ""
    door.entered(same)
    for host in (first, same):
        assert door.refusal("smpp", host) == "per_address"
        assert door.refusal("smpp_tls", host) == "per_address"
    assert door.refusal("smpp", another) == ""
    door.left(first)
    assert door.refusal("smpp", same) == ""


def test_who_is_not_allowed_is_told_that_whatever_else_is_full() -> None:
    door = Door(DoorLimits(ALLOW, total=1, per_address=1))
    door.entered("192.0.2.1")
    assert door.refusal("smpp", "::1") == "allow"
    assert door.refusal("smpp", "192.0.2.1") == "total"


def test_limits_may_be_replaced_below_what_is_open() -> None:
    door = Door()
    for _ in range(10):
        door.entered("192.0.2.1")
    door.limits = DoorLimits(total=5, per_address=3)
    assert door.refusal("smpp", "192.0.2.2") == "total"
    for _ in range(6):
        door.left("192.0.2.1")
    assert door.refusal("smpp", "192.0.2.2") == ""
    assert door.refusal("smpp", "192.0.2.1") == "per_address"
    door.limits = DoorLimits()
    assert door.refusal("smpp", "192.0.2.1") == ""


HOSTS = ("192.0.2.1", "192.0.2.2", "::ffff:192.0.2.1", "2001:db8::1", "2001:db8::2", "")


@given(st.lists(st.tuples(st.sampled_from(HOSTS), st.booleans()), max_size=60))
def test_what_is_kept_is_what_is_open(steps: list[tuple[str, bool]]) -> None:
    door = Door(DoorLimits(total=6, per_address=2))
    inside: Counter[str] = Counter()
    for host, comes in steps:
        if comes and not door.refusal("smpp", host):
            door.entered(host)
            inside[host] += 1
        elif not comes and inside[host]:
            door.left(host)
            inside[host] -= 1
        assert door.open == inside.total() <= 6
        assert all(0 < number <= 2 for number in door._by_address.values())
    for host in inside.elements():
        door.left(host)
    assert door.open == 0
    assert not door._by_address


# At a listener


@pytest.fixture
def gateway(running_reactor: Any, in_reactor: Callable[..., Any]) -> Iterator[Gateway]:
    found = Gateway(running_reactor, in_reactor)
    yield found
    found.end()
    assert found.server.door.open == 0
    assert not found.server.door._by_address


def refused(gateway: Gateway, reason: str) -> None:
    """The one refusal had its line and its count."""
    gateway.until(lambda: gateway.events("connection_refused"))
    (event,) = gateway.events("connection_refused")
    assert event["log_level"] == "warning"
    assert (event["listener"], event["peer"]) == ("smpp", "127.0.0.1")
    assert event["reason"] == reason
    assert event["detail"]
    labels = {"listener": "smpp", "reason": reason}
    assert gateway.sample("smppgw_connections_refused_total", **labels) == 1


@pytest.mark.parametrize(
    ("reason", "limits"),
    [
        ("allow", DoorLimits({"smpp": (ip_network("192.0.2.0/24"),)})),
        ("total", DoorLimits(total=2)),
        ("per_address", DoorLimits(per_address=2)),
    ],
)
def test_a_refused_connection_is_closed_and_disturbs_nobody(
    gateway: Gateway, reason: str, limits: DoorLimits
) -> None:
    with gateway.bound() as first, RawEsme(gateway.port):
        gateway.until(lambda: gateway.server.door.open == 2)
        gateway.server.door.limits = limits
        with RawEsme(gateway.port) as client:
            assert client.rest() == []
        refused(gateway, reason)
        assert first.alive()
        assert len(gateway.server.connections) == 2


def reset(client: RawEsme) -> None:
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def malformed(client: RawEsme) -> None:
    client.send(pdu(wire.ENQUIRE_LINK, 7, length=3)).rest()


@pytest.mark.parametrize(
    "end",
    [
        lambda client: None,
        reset,
        malformed,
        lambda client: client.socket.shutdown(socket.SHUT_WR),
        lambda client: client.bind(),
        lambda client: client.bind().ask(pdu(wire.UNBIND, 2)),
        lambda client: client.send(b"\0\0"),
    ],
    ids=["leave", "reset", "malformed", "half", "bound", "unbind", "in a PDU"],
)
def test_however_a_connection_ends_its_place_is_free(
    gateway: Gateway, end: Callable[[RawEsme], Any]
) -> None:
    gateway.server.door.limits = DoorLimits(per_address=1)
    for _ in range(3):
        with RawEsme(gateway.port) as client:
            end(client)
        gateway.until(lambda: not gateway.server.door.open)
    assert gateway.events("connection_refused") == []


def test_a_connection_that_ends_as_it_begins_leaves_nothing_counted(gateway: Gateway) -> None:
    def built_and_lost() -> None:
        connection = gateway.server.accept("smpp", "192.0.2.1")
        assert connection is not None
        connection.connectionLost()  # its transport could not be made

    gateway.call(built_and_lost)
    assert gateway.server.door.open == 0
    assert gateway.sample("smppgw_connections") == 0


def test_listeners_share_the_door_and_the_beat(
    gateway: Gateway, running_reactor: Any, in_reactor: Callable[..., Any]
) -> None:
    gateway.server.door.limits = DoorLimits(
        {"smpp_tls": (ip_network("192.0.2.0/24"),)}, per_address=1
    )
    listener = gateway.server.listener("smpp_tls")
    second = in_reactor(running_reactor.listenTCP, 0, listener, 50, "127.0.0.1")
    port = second.getHost().port
    with RawEsme(port) as client:
        assert client.rest() == []
    gateway.server.door.limits = DoorLimits(per_address=1)
    with RawEsme(port).bind() as client, RawEsme(gateway.port) as another:
        assert another.rest() == []
        assert client.alive()
    gateway.until(lambda: not gateway.server.connections)
    in_reactor(second.stopListening)
    assert gateway.server._beat.running, "the other listener may have the next connection"
    told = [(event["listener"], event["reason"]) for event in gateway.events("connection_refused")]
    assert told == [("smpp_tls", "allow"), ("smpp", "per_address")]
