"""More than the gateway lets in, over real sockets, with a slow API behind the real relay.

Time is the test's: the API takes a second, which passes when the test says so.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
import structlog
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import LoopingCall

from gateway import logs
from gateway.bridge.accounts import Account
from gateway.bridge.inquiries import Inquiries
from gateway.bridge.submissions import Submissions
from gateway.net.smpp_server import SmppServer
from gateway.smpp.pdu import Bind
from gateway.smpp.session import SessionLimits
from gateway.smpp.timers import TimerLimits
from tests.bridge.trial import Trial
from tests.e2e import raw_esme as wire
from tests.e2e.raw_esme import RawEsme
from tests.net.test_smpp_server import Dispatcher
from tests.omnichannel.scripted_transport import accepted, in_turn

MOST, WINDOW = 30, 60
SECOND = 1.0  # that the API takes


class Overloaded:
    """A gateway that lets in `MOST`; its accounts are bank and demo."""

    def __init__(self, reactor: Any, in_reactor: Callable[..., Any]) -> None:
        self.call = in_reactor
        self.trial = Trial(in_turn(accepted()._replace(after=SECOND)), window=WINDOW)
        self.trial.new_account("demo", window=WINDOW)
        trial, log = self.trial, logs.get()
        self.load = trial.relay.load
        self.load.max_in_flight = MOST
        self.server = SmppServer(
            trial.clock,
            SessionLimits(timers=TimerLimits(enquire_link=0)),
            "gateway",
            self,
            Submissions(trial.relay, trial.ids, trial.unanswered, bytes, trial.metrics, log),
            Inquiries(
                trial.relay._api,
                trial.ids,
                trial.clock,
                trial.clock.seconds,
                trial.metrics,
                log,
                self.load,
            ),
            Dispatcher(),
            trial.metrics,
            log,
        )
        listener = self.server.listener("smpp")
        self.listening = in_reactor(reactor.listenTCP, 0, listener, 50, "127.0.0.1")
        self.port: int = self.listening.getHost().port
        # The event loop turns, though no time passes: what is read is served in helpings.
        self._turning = LoopingCall(trial.clock.advance, 0)
        self._turning.clock = reactor
        in_reactor(lambda: bool(self._turning.start(0.001)))

    # The doorkeeper.

    def authenticate(self, bind: Bind, peer: str, names: Iterable[str]) -> Deferred[Account]:
        return succeed(self.trial.accounts[bind.system_id])

    def knows(self, system_id: str) -> bool:
        return True

    # The test's side.

    def esme(self, system_id: str) -> RawEsme:
        return RawEsme(self.port).bind(system_id=system_id)

    def passes(self, seconds: float) -> None:
        self.call(self.trial.run, seconds)

    def until_in_flight(self, count: int) -> None:
        end = time.monotonic() + 8
        while self.call(lambda: self.load.in_flight) != count:
            assert time.monotonic() < end
            time.sleep(0.002)

    def throttled(self, system_id: str, limit: str) -> float:
        return self.trial.value("throttled_total", system_id=system_id, limit=limit) or 0.0

    def end(self) -> None:
        self.call(self.listening.stopListening)
        self.call(self.server.abort)
        self.passes(SECOND)
        self.call(self._turning.stop)
        assert self.load.in_flight == 0
        assert self.load.idle().called


@pytest.fixture
def gateway(running_reactor: Any, in_reactor: Callable[..., Any]) -> Iterator[Overloaded]:
    found = Overloaded(running_reactor, in_reactor)
    yield found
    found.end()
    Trial.close_all()
    structlog.reset_defaults()


def answers(client: RawEsme, count: int) -> Counter[int]:
    """By status."""
    return Counter(client.expect().status for _ in range(count))


def flood(client: RawEsme, count: int) -> None:
    client.send(*(wire.submit(number) for number in range(count)))


def test_a_flood_is_refused_at_once_and_what_was_let_in_is_answered(gateway: Overloaded) -> None:
    with gateway.esme("bank") as client:
        flood(client, WINDOW)
        assert answers(client, WINDOW - MOST) == {wire.RTHROTTLED: WINDOW - MOST}
        for _ in range(3):
            flood(client, WINDOW)
            assert answers(client, WINDOW) == {wire.RTHROTTLED: WINDOW}
        assert len(gateway.trial.transport.posts) == MOST
        assert gateway.throttled("bank", "daemon") == 4 * WINDOW - MOST
        gateway.passes(SECOND)
        assert answers(client, MOST) == {wire.ROK: MOST}
        # It is over, and nothing is left of it.
        flood(client, MOST)
        gateway.until_in_flight(MOST)
        gateway.passes(SECOND)
        assert answers(client, MOST) == {wire.ROK: MOST}
        assert client.alive()


def test_under_overload_everything_else_is_answered(gateway: Overloaded) -> None:
    with gateway.esme("bank") as one, gateway.esme("demo") as other:
        flood(one, MOST)
        assert one.alive()
        assert gateway.call(lambda: gateway.load.in_flight) == MOST
        for client in (one, other):
            assert client.alive()
            assert client.ask(wire.submit(7)).status == wire.RTHROTTLED
            assert client.ask(wire.query(8, "x")).status == wire.RTHROTTLED
        with gateway.esme("demo") as third:  # whoever comes now may bind
            assert third.alive()
            assert third.ask(wire.pdu(wire.UNBIND, 9)).command_id == wire.UNBIND | wire.RESP
        assert gateway.throttled("demo", "daemon") == 2
        gateway.passes(SECOND)
        assert answers(one, MOST) == {wire.ROK: MOST}
        other.send(wire.submit(9))
        assert other.alive(), "it is in flight"
        gateway.passes(SECOND)
        assert other.expect().status == wire.ROK


def test_a_window_beyond_the_bound_never_fills(gateway: Overloaded) -> None:
    """The session is read on, and goes on with each answer."""
    with gateway.esme("bank") as client:
        flood(client, WINDOW)
        assert answers(client, WINDOW - MOST) == {wire.RTHROTTLED: WINDOW - MOST}
        assert client.alive()
        gateway.passes(SECOND)
        assert answers(client, MOST) == {wire.ROK: MOST}
    events = [line["event"] for line in gateway.trial.lines]
    assert "irregular" not in events


def test_a_window_within_the_bound_is_waited_for(gateway: Overloaded) -> None:
    """Back-pressure before refusals: TCP slows the client down, and nothing is refused."""
    gateway.load.max_in_flight = WINDOW + 5
    with gateway.esme("bank") as client:
        flood(client, 3 * WINDOW)
        for _ in range(3):
            gateway.until_in_flight(WINDOW)
            gateway.passes(SECOND)
            assert answers(client, WINDOW) == {wire.ROK: WINDOW}
        assert client.alive()


def test_the_time_of_who_was_let_in_stays_bounded_however_long_it_floods(
    gateway: Overloaded,
) -> None:
    with gateway.esme("bank") as one, gateway.esme("demo") as other:
        for _ in range(10):
            flood(one, WINDOW)
            assert answers(one, WINDOW - MOST) == {wire.RTHROTTLED: WINDOW - MOST}
            flood(other, WINDOW)
            assert answers(other, WINDOW) == {wire.RTHROTTLED: WINDOW}
            gateway.passes(SECOND)
            assert answers(one, MOST) == {wire.ROK: MOST}
    lines = [line for line in gateway.trial.lines if line["event"] == "message_relayed"]
    assert len(lines) == 10 * MOST
    assert max(line["seconds"] for line in lines) <= SECOND
