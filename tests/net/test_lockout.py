"""An address that guesses passwords, as it and its neighbours see it, over real sockets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail

from gateway.bridge.accounts import Account, BindRefused, WrongCredentials
from gateway.smpp.constants import CommandStatus
from tests.e2e import raw_esme as wire
from tests.e2e.raw_esme import RawEsme, bind_body, pdu
from tests.net.test_smpp_server import Gateway

FAILURES = 3


@pytest.fixture
def gateway(
    running_reactor: Any, in_reactor: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Gateway]:
    monkeypatch.setattr("gateway.bridge.penalties._FIRST", 0.01)
    found = Gateway(running_reactor, in_reactor)
    found.server.penalties.lockout_failures = FAILURES
    found.server.penalties.lockout_time = 60.0
    yield found
    found.end()


def wrong() -> Deferred[Account]:
    status = CommandStatus.ESME_RINVPASWD
    return fail(WrongCredentials("wrong password", command_status=status))


def status(gateway: Gateway) -> int:
    """What one bind is answered; a refused one is closed."""
    with RawEsme(gateway.port) as client:
        answer = client.ask(pdu(9, 5, bind_body()))
        if answer.status:
            assert (answer.body, client.rest()) == (b"\0", [])
        return answer.status


def test_guesses_end_in_a_lock_out(gateway: Gateway) -> None:
    gateway.door.verdict = wrong
    assert [status(gateway) for _ in range(FAILURES)] == [wire.RINVPASWD] * FAILURES
    assert len(gateway.door.peers) == FAILURES
    (event,) = gateway.events("locked_out")
    assert event["log_level"] == "warning"
    assert (event["peer"], event["failures"], event["seconds"]) == ("127.0.0.1", FAILURES, 60.0)
    assert gateway.sample("smppgw_addresses_locked_out") == 1

    # The right password helps nobody now, nor is any looked at: it would be a guess that counts.
    gateway.door.verdict = gateway.door._welcome
    assert [status(gateway) for _ in range(3)] == [wire.RBINDFAIL] * 3
    assert len(gateway.door.peers) == FAILURES
    assert len(gateway.events("locked_out")) == 1
    last = gateway.events("bind_refused")[-1]
    assert last["detail"].startswith("the address is locked out for ")
    assert last["command_status"] == "ESME_RBINDFAIL"
    labels = {"bind_type": "transceiver", "command_status": "ESME_RBINDFAIL"}
    assert gateway.sample("smppgw_binds_total", **labels) == 3

    gateway.server.penalties.lockout_time = 0.001  # and so the time is over
    assert status(gateway) == wire.ROK
    assert gateway.sample("smppgw_addresses_locked_out") == 0


def test_sessions_that_are_bound_stay(gateway: Gateway) -> None:
    with gateway.bound() as bound:
        gateway.door.verdict = wrong
        for _ in range(FAILURES):
            status(gateway)
        assert status(gateway) == wire.RBINDFAIL
        assert bound.alive()


def test_refusals_of_clients_that_know_their_password_lock_nobody_out(gateway: Gateway) -> None:
    gateway.door.verdict = lambda: fail(BindRefused("the account has its max_binds of 4"))
    assert {status(gateway) for _ in range(FAILURES + 3)} == {wire.RBINDFAIL}
    assert len(gateway.door.peers) == FAILURES + 3
    assert gateway.events("locked_out") == []


def test_a_success_forgives(gateway: Gateway) -> None:
    for _ in range(3):
        gateway.door.verdict = wrong
        for _ in range(FAILURES - 1):
            assert status(gateway) == wire.RINVPASWD
        gateway.door.verdict = gateway.door._welcome
        assert status(gateway) == wire.ROK
    assert gateway.events("locked_out") == []


def test_guesses_side_by_side_count_one_by_one(gateway: Gateway) -> None:
    """Their checks had all begun before the first of them failed."""
    verdicts: list[Deferred[Account]] = []

    def later() -> Deferred[Account]:
        verdicts.append(Deferred())
        return verdicts[-1]

    gateway.door.verdict = later
    clients = [RawEsme(gateway.port).send(pdu(9, 5, bind_body())) for _ in range(FAILURES + 2)]
    gateway.until(lambda: len(verdicts) == len(clients))
    for verdict in verdicts:
        gateway.call(verdict.errback, WrongCredentials("wrong password"))
    for client in clients:
        with client:
            assert client.expect().status == wire.RBINDFAIL
    assert len(gateway.events("locked_out")) == 1
