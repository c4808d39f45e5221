"""How old the oldest receipt is, and the end of those that nobody came for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import structlog

from gateway import logs
from gateway.bridge.watch import Watch
from gateway.omnichannel.report import DeliveryReport
from gateway.omnichannel.route import Route, Target
from gateway.smpp.pdu import Address
from gateway.store.base import StoreUnavailable
from gateway.store.operations import ExpireReceipts
from tests.bridge.receiving import Esme, esme, outcome
from tests.bridge.trial import FROM, TO, Trial
from tests.omnichannel.scripted_transport import accepted, in_turn

HELD = 3_600.0


@pytest.fixture(autouse=True)
def cleared() -> Iterator[None]:
    yield
    structlog.reset_defaults()
    Trial.close_all()


class Watched(Trial):
    """A gateway that keeps receipts for an hour; the account "shop" is there too."""

    def __init__(self) -> None:
        super().__init__(in_turn(accepted()))
        self.new_account("shop")
        self.watch = Watch(self.store, HELD, self.clock.seconds, self.metrics, logs.get())

    def report(self, number: int, system_id: str = "bank") -> None:
        route = Route(
            system_id,
            900.0,
            0,
            Address(1, 1, FROM),
            Address(1, 1, TO),
            targets=(Target(0, 1),),
        )
        outcome(self.reports.take(route, DeliveryReport(f"m{number}", "DELIVRD")))

    def look(self, seconds: float = 0.0) -> None:
        self.run(seconds)
        outcome(self.watch.look())

    @property
    def age(self) -> float | None:
        return self.value("receipt_oldest_age_seconds")

    @property
    def expiries(self) -> int:
        return sum(isinstance(one, ExpireReceipts) for one in self.store.operations)

    def bind(self) -> Esme:
        return esme(self)


def test_the_age_is_that_of_the_oldest() -> None:
    trial = Watched()
    trial.look()
    assert trial.age == 0
    trial.report(1)
    trial.run(10)
    trial.report(2)
    trial.look(5)
    assert trial.age == 15
    one = trial.bind()
    trial.look(5)
    assert trial.age == 20, "what is not answered yet counts"
    one.answer()
    trial.look(0)
    assert trial.age == 10
    one.answer()
    trial.look(1)
    assert trial.age == 0
    assert trial.expiries == 0


def test_what_nobody_came_for_is_kept_aside() -> None:
    trial = Watched()
    for number in (1, 2):
        trial.report(number)
    trial.report(3, "shop")
    trial.run(10)
    trial.report(4)
    trial.look(HELD - 10)
    assert (trial.expiries, len(trial.store.receipts())) == (0, 4)
    trial.look(1)
    assert [row["message_id"] for row in trial.store.receipts()] == ["m4"]
    dead = trial.store.dead_receipts()
    assert [(row["message_id"], row["reason"]) for row in dead] == [
        ("m1", "expired"),
        ("m2", "expired"),
        ("m3", "expired"),
    ]
    lines = [line for line in trial.lines if line["event"] == "receipts_expired"]
    assert {(line["system_id"], line["receipts"], line["level"]) for line in lines} == {
        ("bank", 2, "warning"),
        ("shop", 1, "warning"),
    }
    assert {line["held"] for line in lines} == {HELD}
    assert trial.value("receipt_attempts_total", result="expired") == 3
    assert trial.store.real.counts()[2:4] == (1, 3)
    assert trial.bind().ids == ["m4"]


def test_what_a_receiver_has_is_not_given_up() -> None:
    trial = Watched()
    one = trial.bind()
    trial.report(1)
    trial.look(2 * HELD)
    assert trial.store.dead_receipts() == []
    assert trial.age == 2 * HELD
    one.answer()
    assert trial.store.receipts() == []


def test_a_receipt_that_is_refused_for_a_while_for_ever_ends_too() -> None:
    trial = Watched()
    one = trial.bind()
    trial.report(1)
    tries = 0
    while trial.store.receipts():
        if one.unanswered:
            one.answer(0x58)
            tries += 1
        trial.look(120)
        trial.dispatcher.pump()
        assert trial.clock.seconds() < 1_000 + HELD + 600
    [dead] = trial.store.dead_receipts()
    assert (dead["reason"], dead["last_status"]) == ("expired", 0x58)
    assert dead["attempts"] == tries > 5


def test_a_store_that_fails_is_asked_again() -> None:
    trial = Watched()
    trial.report(1)
    trial.store.broken = True
    with pytest.raises(StoreUnavailable):
        trial.look(HELD + 1)
    trial.store.broken = False
    trial.look()
    assert len(trial.store.dead_receipts()) == 1
