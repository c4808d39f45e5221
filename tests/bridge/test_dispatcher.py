"""Receipts on their way to the ESME: who gets which, when, and what becomes of each.

The reports and the store are the real ones; the receivers are scripted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from gateway.bridge import dispatcher as dispatcher_module
from gateway.bridge.reports import Taken
from gateway.omnichannel.report import DeliveryReport
from gateway.omnichannel.route import Route, Target
from gateway.smpp.pdu import Address
from gateway.store.base import Dead, Delivered, Retry, Returned, message_key
from gateway.store.operations import Claim, SettleReceipt
from gateway.store.schema import LEASED, PENDING
from tests.bridge.direct_store import DirectStore
from tests.bridge.receiving import Esme, esme, outcome
from tests.bridge.trial import FROM, TO, Trial
from tests.omnichannel.scripted_transport import accepted, in_turn

SUBMITTED = 900.0  # a while before the trials begin
ROK, THROTTLED, NO_ANSWER = 0, 0x58, None


@pytest.fixture(autouse=True)
def cleared() -> Iterator[None]:
    yield
    structlog.reset_defaults()
    Trial.close_all()


class Desk(Trial):
    """A gateway whose account "bank" has sent messages that asked for every receipt."""

    def __init__(self, **account: Any) -> None:
        super().__init__(in_turn(accepted()), **account)

    def bind(self, session_id: str = "s1", window: int = 10, account: str = "bank") -> Esme:
        return esme(self, session_id, window, account)

    def report(
        self,
        number: int,
        status: str = "DELIVRD",
        system_id: str = "bank",
        submitted_at: float = SUBMITTED,
        targets: tuple[Target, ...] = (Target(0, 0x11),),
    ) -> str:
        """The API tells of the message m<number>; how new that was."""
        taken = self.taking(number, status, system_id, submitted_at, targets)
        return str(outcome(taken).result)

    async def taking(
        self,
        number: int,
        status: str = "DELIVRD",
        system_id: str = "bank",
        submitted_at: float = SUBMITTED,
        targets: tuple[Target, ...] = (Target(0, 0x11),),
    ) -> Taken:
        route = Route(
            system_id,
            submitted_at,
            0,
            Address(1, 1, FROM),
            Address(1, 1, TO),
            base=bytes(16),
            targets=targets,
        )
        return await self.reports.take(route, DeliveryReport(f"m{number}", status))

    def beat(self, seconds: float = 0.0) -> None:
        """Time passes, and the dispatcher is woken as it is each second."""
        self.run(seconds)
        self.dispatcher.pump()

    @property
    def settled(self) -> list[Any]:
        return [one.settled for one in self.store.operations if isinstance(one, SettleReceipt)]

    @property
    def claims(self) -> int:
        return sum(isinstance(one, Claim) for one in self.store.operations)

    def attempts(self, result: str) -> float:
        return self.value("receipt_attempts_total", result=result) or 0.0

    def told(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["event"] == event]


def names(*numbers: int) -> list[str]:
    return [f"m{number}" for number in numbers]


def key(number: int) -> bytes:
    return message_key(SUBMITTED, f"m{number}")


# The straight way


def test_a_receipt_leaves_once_it_is_committed_and_is_gone_once_it_is_acknowledged() -> None:
    desk = Desk()
    one = desk.bind()
    assert desk.claims == 1
    desk.report(1)
    assert one.ids == names(1)
    [row] = desk.store.receipts()
    assert row["state"] == LEASED
    assert desk.settled == []
    one.answer()
    assert desk.store.receipts() == []
    assert desk.settled == [Delivered(row["id"])]
    assert desk.claims == 1, "it was not read back"
    for _ in range(3):
        desk.beat(1)
    assert one.ids == names(1)
    assert desk.settled == [Delivered(row["id"])]
    assert desk.store.real.counts().receipts == 0


def test_nothing_leaves_before_its_commit() -> None:
    desk = Desk()
    one = desk.bind()
    desk.store.holding = True
    Deferred.fromCoroutine(desk.taking(1))
    assert one.pdus == []
    desk.store.held.pop()()
    assert one.ids == names(1)


def test_receivers_take_turns() -> None:
    desk = Desk()
    one, two, three = desk.bind("s1"), desk.bind("s2"), desk.bind("s3")
    for number in range(1, 8):
        desk.report(number)
    assert (one.ids, two.ids, three.ids) == (names(1, 4, 7), names(2, 5), names(3, 6))


def test_a_window_is_never_exceeded() -> None:
    desk = Desk()
    one = desk.bind(window=3)
    for number in range(1, 9):
        desk.report(number)
    assert one.ids == names(1, 2, 3)
    one.answer(place=1)
    assert one.ids == names(1, 2, 3, 4)
    one.take_all()
    assert one.ids == names(*range(1, 9))
    assert desk.store.receipts() == []


def test_who_has_no_room_is_passed_over_and_gets_its_own_when_it_reads_again() -> None:
    desk = Desk()
    one, two = desk.bind("s1"), desk.bind("s2", window=2)
    one.reads = False
    for number in range(1, 6):
        desk.report(number)
    assert (one.ids, two.ids) == ([], names(1, 2))
    one.reads = True
    desk.dispatcher.writable(one)
    assert one.ids == names(3, 4, 5)


def test_receipts_go_to_their_own_account_alone() -> None:
    desk = Desk()
    desk.new_account("shop")
    bank, shop = desk.bind("s1"), desk.bind("s2", account="shop")
    desk.report(1, system_id="shop")
    desk.report(2)
    desk.report(3, system_id="nobody")
    assert (bank.ids, shop.ids) == (names(2), names(1))
    assert [row["system_id"] for row in desk.store.receipts()] == ["shop", "bank", "nobody"]


def test_an_answer_to_nothing_changes_nothing() -> None:
    desk = Desk()
    one = desk.bind()
    desk.report(1)
    desk.dispatcher.answered(one, 4711, ROK)
    assert (desk.settled, len(desk.store.receipts())) == ([], 1)


# Nobody is there


def test_what_waited_leaves_oldest_first_paced_by_the_window() -> None:
    desk = Desk()
    for number in range(1, 301):
        desk.report(number)
    assert desk.store.real.counts().receipts == 300
    assert {row["state"] for row in desk.store.receipts()} == {PENDING}
    one = desk.bind(window=7)
    assert one.ids == names(*range(1, 8))
    claimed = [row for row in desk.store.receipts() if row["state"] == LEASED]
    assert len(claimed) < 300, "the memory takes a page, not the backlog"
    one.take_all()
    assert one.ids == names(*range(1, 301))
    assert 3 <= desk.claims <= 5
    assert desk.store.receipts() == []
    assert len(desk.settled) == 300


def test_the_oldest_is_the_one_that_was_due_first() -> None:
    desk = Desk(receipt_delay=10)
    for number, submitted_at in ((1, 1_000.0), (2, 995.0), (3, 991.0), (4, 1_003.0)):
        desk.report(number, submitted_at=submitted_at)
    desk.run(12)
    assert desk.bind().ids == names(3, 2, 1)


@pytest.mark.parametrize("window", [1, 2])
def test_what_comes_meanwhile_waits_behind_what_waited(window: int) -> None:
    desk = Desk()
    for number in range(1, 151):
        desk.report(number)
    one = desk.bind(window=window)
    for number in range(151, 160):
        desk.report(number)
        one.answer()
    one.take_all()
    assert one.ids == names(*range(1, 160))


def test_two_receivers_share_what_waited() -> None:
    desk = Desk()
    for number in range(1, 11):
        desk.report(number)
    one = desk.bind("s1", window=2)
    two = desk.bind("s2", window=2)
    assert (one.ids, two.ids) == (names(1, 2), names(3, 4))


def test_a_receipt_that_is_stored_while_others_are_claimed_is_not_overlooked() -> None:
    desk = Desk()
    desk.report(1)
    desk.store.holding = True
    one = desk.bind()
    desk.store.holding = False
    desk.report(2)  # the claim that is under way has not seen it
    assert one.pdus == []
    [give] = desk.store.held
    give()
    assert one.ids == names(1, 2)


# The answer


RETRIED = [0x08, 0x14, 0x45, 0x58, 0x64, 0x67, 0xFE, 0xFF, NO_ANSWER]


@pytest.mark.parametrize("status", RETRIED)
def test_a_receipt_that_cannot_be_taken_now_is_tried_again(status: int | None) -> None:
    desk = Desk()
    one = desk.bind()
    desk.report(1)
    one.answer(status)
    [row] = desk.store.receipts()
    assert (row["state"], row["attempts"], row["last_status"]) == (PENDING, 1, status)
    assert row["not_before"] == 1_001_000_000
    desk.report(2)
    assert one.ids == names(1), "the receiver is left in peace"
    desk.beat(0.9)
    assert one.ids == names(1)
    desk.beat(0.1)
    assert sorted(one.ids) == names(1, 1, 2)
    one.take_all()
    assert desk.store.receipts() == []
    result = "no_answer" if status is None else "retried"
    assert (desk.attempts(result), desk.attempts("delivered")) == (1, 2)
    [line] = desk.told("receipt_retried")
    assert (line["level"], line["attempts"], line["again_in"]) == ("info", 1, 1)
    assert (line["command_status"] == "") is (status is None)


def test_each_further_try_comes_later_up_to_five_minutes() -> None:
    desk = Desk()
    one = desk.bind()
    desk.report(1)
    pauses = []
    for attempt in range(1, 13):
        assert len(one.pdus) == attempt
        one.answer(THROTTLED)
        [row] = desk.store.receipts()
        pause = row["not_before"] / 1e6 - desk.clock.seconds()
        pauses.append(round(pause))
        desk.beat(pause - 0.01)
        assert len(one.pdus) == attempt
        desk.beat(0.01)
    assert pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]


def test_the_others_go_to_another_receiver_meanwhile() -> None:
    desk = Desk()
    one, two = desk.bind("s1"), desk.bind("s2")
    desk.report(1)
    one.answer(THROTTLED)
    for number in range(2, 5):
        desk.report(number)
    assert (one.ids, two.ids) == (names(1), names(2, 3, 4))
    desk.beat(1)
    assert sorted(one.ids + two.ids) == names(1, 1, 2, 3, 4)


DEAD = [0x01, 0x0B, 0x0D, 0x65, 0x66, 0x400]


@pytest.mark.parametrize("status", DEAD)
def test_a_receipt_that_is_refused_for_good_is_kept_aside(status: int) -> None:
    desk = Desk()
    one = desk.bind()
    desk.report(1)
    one.answer(status)
    assert desk.store.receipts() == []
    [dead] = desk.store.dead_receipts()
    assert (dead["last_status"], dead["reason"]) == (status, "refused")
    assert (dead["system_id"], dead["message_id"]) == ("bank", "m1")
    assert dead["died_at"] == 1_000_000_000
    desk.beat(400)
    assert desk.bind("s2").pdus == []
    assert desk.report(1) == "repeated"
    assert one.ids == names(1)
    [line] = desk.told("receipt_dead")
    assert (line["level"], line["system_id"], line["message_id"]) == ("warning", "bank", "m1")
    assert (line["message_state"], line["session_id"]) == ("DELIVERED", "s1")
    assert line["command_status"]
    assert (desk.attempts("dead"), desk.store.real.counts().dead) == (1, 1)


def test_a_refusal_does_not_pause_the_receiver() -> None:
    desk = Desk()
    one = desk.bind(window=1)
    desk.report(1)
    desk.report(2)
    one.answer(0x65)
    assert one.ids == names(1, 2)


def test_an_account_says_itself_what_is_tried_again() -> None:
    desk = Desk(deliver_retry=["ESME_RX_P_APPN"])
    one = desk.bind()
    desk.report(1)
    one.answer(0x65)
    assert desk.store.dead_receipts() == []
    desk.report(2)
    desk.beat(1)
    one.answer(0x58)
    assert len(desk.store.dead_receipts()) == 1


def test_what_the_log_and_the_metrics_say_of_a_delivery() -> None:
    desk = Desk()
    one = desk.bind()
    desk.report(1, "UNDELIV")
    desk.run(2.5)
    one.answer()
    [line] = desk.told("receipt_delivered")
    del line["timestamp"]
    assert line == {
        "level": "info",
        "event": "receipt_delivered",
        "system_id": "bank",
        "message_id": "m1",
        "message_state": "UNDELIVERABLE",
        "session_id": "s1",
        "seconds": 2.5,
    }
    assert desk.value("receipt_delivery_seconds_count") == 1
    assert desk.value("receipt_delivery_seconds_sum") == 2.5
    assert desk.value("receipts_total", message_state="UNDELIVERABLE") == 1


def test_deliveries_can_be_left_out_of_the_log_but_the_rest_cannot() -> None:
    desk = Desk(log_messages=False)
    one = desk.bind()
    for number, status in ((1, ROK), (2, 0x65), (3, THROTTLED)):
        desk.report(number)
        one.answer(status)
    assert [line["event"] for line in desk.lines] == ["receipt_dead", "receipt_retried"]


def test_no_number_and_no_text_of_a_receipt_reaches_the_log() -> None:
    desk = Desk()
    one = desk.bind()
    for number, status in ((1, ROK), (2, 0x65), (3, THROTTLED)):
        desk.report(number)
        one.answer(status)
    log = desk.stream.getvalue()
    assert FROM not in log
    assert TO not in log
    assert "stat:" not in log


# The session ends


def test_what_was_not_answered_goes_to_another_receiver_before_all_else() -> None:
    desk = Desk()
    one, two = desk.bind("s1", window=2), desk.bind("s2", window=1)
    for number in range(1, 7):
        desk.report(number)
    assert (one.ids, two.ids) == (names(1, 3), names(2))
    tags = one.leave()
    two.take_all()
    assert two.ids == names(2, 1, 3, 4, 5, 6)
    assert desk.attempts("disconnected") == 2
    # What the first one says when it is gone is not heard.
    desk.dispatcher.answered(one, tags[0], 0x65)
    assert desk.store.dead_receipts() == desk.store.receipts() == []
    assert len(desk.settled) == 6


def test_with_nobody_left_all_goes_back_to_the_store_as_it_was() -> None:
    desk = Desk()
    one = desk.bind(window=2)
    for number in range(1, 6):
        desk.report(number)
    one.leave()
    rows = desk.store.receipts()
    assert [(row["message_id"], row["state"], row["attempts"]) for row in rows] == [
        (name, PENDING, 0) for name in names(1, 2, 3, 4, 5)
    ]
    assert all(isinstance(one, Returned) for one in desk.settled)
    desk.report(6)
    again = desk.bind("s2")
    again.take_all()
    assert again.ids == names(1, 2, 3, 4, 5, 6)
    assert desk.store.receipts() == []


def test_a_receiver_that_leaves_while_its_receipts_are_claimed() -> None:
    desk = Desk()
    desk.report(1)
    desk.store.holding = True
    one = desk.bind()
    one.leave()
    desk.store.holding = False
    desk.store.held.pop()()
    assert one.pdus == []
    assert [row["state"] for row in desk.store.receipts()] == [PENDING]
    assert desk.bind("s2").ids == names(1)


def test_a_receiver_that_leaves_while_its_receipt_is_committed() -> None:
    desk = Desk()
    one = desk.bind()
    desk.store.holding = True
    Deferred.fromCoroutine(desk.taking(1))
    one.leave()
    desk.store.holding = False
    desk.store.held.pop()()
    assert [row["state"] for row in desk.store.receipts()] == [PENDING]
    assert desk.bind("s2").ids == names(1)


def test_who_is_not_there_cannot_leave_nor_read() -> None:
    desk = Desk()
    one = desk.bind()
    one.leave()
    one.leave()
    desk.dispatcher.writable(one)
    assert desk.attempts("disconnected") == 0


# Not before its time


def test_a_receipt_waits_for_its_moment() -> None:
    desk = Desk(receipt_delay=5)
    one = desk.bind()
    desk.report(1, submitted_at=1_000.0)
    desk.report(2, submitted_at=998.0)
    desk.report(3, submitted_at=999.0)
    desk.report(4)
    assert one.ids == names(4)
    desk.run(2.99)
    assert one.ids == names(4)
    desk.run(0.02)
    assert one.ids == names(4, 2)
    desk.run(5)
    assert one.ids == names(4, 2, 3, 1)


def test_a_receipt_whose_moment_comes_when_nobody_is_there_any_more() -> None:
    desk = Desk(receipt_delay=5)
    one = desk.bind()
    desk.report(1, submitted_at=1_000.0)
    one.leave()
    desk.run(6)
    assert [row["state"] for row in desk.store.receipts()] == [PENDING]
    assert desk.bind("s2").ids == names(1)


# The response of its submit comes first


def test_what_is_held_waits_and_a_moment_more() -> None:
    desk = Desk()
    one = desk.bind()
    desk.dispatcher.hold(key(1))
    desk.report(1)
    desk.report(2)
    desk.beat(3)
    assert one.ids == names(2)
    desk.dispatcher.release(key(1), desk.clock.seconds() + 0.5)
    desk.run(0.4)
    assert one.ids == names(2)
    desk.run(0.2)
    assert one.ids == names(2, 1)


def test_what_is_held_waits_when_it_is_claimed_too() -> None:
    desk = Desk()
    desk.dispatcher.hold(key(1))
    desk.report(1)
    desk.report(2)
    one = desk.bind()
    assert one.ids == names(2)
    desk.dispatcher.release(key(1), desk.clock.seconds())
    assert one.ids == names(2, 1)
    one.take_all()
    assert desk.store.receipts() == []


def test_what_comes_in_that_moment_waits_behind_what_was_held() -> None:
    desk = Desk()
    one = desk.bind()
    desk.dispatcher.hold(key(1))
    desk.report(1, "ACCEPTD")
    desk.dispatcher.release(key(1), desk.clock.seconds() + 0.5)
    desk.run(0.1)
    desk.report(1, "DELIVRD")
    desk.run(1)
    one.take_all()
    assert one.stats == ["ACCEPTD", "DELIVRD"]


def test_what_is_held_when_the_last_receiver_leaves_is_not_lost() -> None:
    desk = Desk()
    one = desk.bind()
    desk.dispatcher.hold(key(1))
    desk.report(1)
    one.leave()
    desk.dispatcher.release(key(1), desk.clock.seconds())
    assert [row["state"] for row in desk.store.receipts()] == [PENDING]
    assert desk.bind("s2").ids == names(1)


# States of one message in order


def test_the_final_state_waits_for_the_answer_to_the_one_before() -> None:
    desk = Desk()
    one, two = desk.bind("s1"), desk.bind("s2")
    desk.report(1, "ACCEPTD")
    desk.report(1, "DELIVRD")
    desk.report(2)
    assert (one.stats, two.ids) == (["ACCEPTD"], names(2))
    one.answer()
    assert one.stats + two.stats == ["ACCEPTD", "DELIVRD", "DELIVRD"]


def test_states_that_waited_leave_in_order_too() -> None:
    desk = Desk()
    desk.report(1, "ACCEPTD")
    desk.report(1, "UNDELIV")
    one, two = desk.bind("s1"), desk.bind("s2")
    assert (one.stats, two.stats) == (["ACCEPTD"], [])
    one.answer()
    assert one.stats + two.stats == ["ACCEPTD", "UNDELIV"]


def test_states_stay_in_order_when_a_session_ends_between_them() -> None:
    desk = Desk()
    one, two = desk.bind("s1", window=2), desk.bind("s2", window=0)
    for number in (1, 2):
        desk.report(number, "ACCEPTD")
    for number in (1, 2):
        desk.report(number, "DELIVRD")
    assert one.ids == names(1, 2)
    two.window = 10
    one.leave()
    assert two.stats == ["ACCEPTD", "ACCEPTD"]
    two.take_all()
    assert [(one.id, one.stat) for one in two.told] == [
        ("m1", "ACCEPTD"),
        ("m2", "ACCEPTD"),
        ("m1", "DELIVRD"),
        ("m2", "DELIVRD"),
    ]
    assert desk.store.receipts() == []


def test_a_state_that_was_overtaken_is_not_tried_again() -> None:
    desk = Desk()
    one, two = desk.bind("s1"), desk.bind("s2")
    desk.report(1, "ACCEPTD")
    desk.report(1, "DELIVRD")
    one.answer(NO_ANSWER)
    assert two.stats == ["DELIVRD"]
    two.answer()
    assert desk.store.receipts() == []
    desk.beat(10)
    assert one.stats + two.stats == ["ACCEPTD", "DELIVRD"]


def test_a_state_that_waits_for_another_try_gives_way_to_the_final_one() -> None:
    desk = Desk()
    one = desk.bind()
    desk.report(1, "ACCEPTD")
    one.answer(THROTTLED)
    desk.run(0.5)
    desk.report(1, "DELIVRD")
    desk.beat(10)
    one.take_all()
    assert one.stats == ["ACCEPTD", "DELIVRD"]
    assert desk.store.receipts() == []


def test_the_parts_of_a_message_have_their_states_in_order_each() -> None:
    desk = Desk()
    one, two = desk.bind("s1"), desk.bind("s2")
    both = (Target(0, 0x11), Target(1, 0x11))
    desk.report(1, "ACCEPTD", targets=both)
    desk.report(1, "DELIVRD", targets=both)
    for _ in range(4):
        one.take_all()
        two.take_all()
    sent = one.told + two.told
    assert Counter(receipt.stat for receipt in sent) == {"ACCEPTD": 2, "DELIVRD": 2}
    assert len({receipt.id for receipt in sent}) == 2
    assert desk.store.receipts() == []


def test_an_unknown_state_is_held_and_gives_way_to_a_better_one() -> None:
    desk = Desk(unknown_held=60)
    one = desk.bind()
    desk.report(1, "UNKNOWN")
    desk.report(2, "UNKNOWN")
    desk.beat(30)
    assert one.pdus == []
    desk.report(1, "DELIVRD")
    desk.beat(29.9)
    assert one.stats == ["DELIVRD"]
    desk.beat(0.2)
    assert [(one.id, one.stat) for one in one.told] == [("m1", "DELIVRD"), ("m2", "UNKNOWN")]
    assert desk.report(2, "DELIVRD") == "repeated"
    one.take_all()
    assert len(one.pdus) == 2


# The store fails


@pytest.mark.parametrize(
    ("status", "kind"), [(ROK, Delivered), (THROTTLED, Retry), (NO_ANSWER, Retry), (0x65, Dead)]
)
def test_what_the_store_cannot_be_told_is_owed_and_the_receipt_is_not_sent_again(
    status: int | None, kind: type[Any]
) -> None:
    desk = Desk()
    one = desk.bind()
    desk.report(1)
    desk.store.broken = True
    one.answer(status)
    for _ in range(3):
        desk.beat(1)
    assert {type(settled) for settled in desk.settled} == {kind}
    assert desk.told("store_failed")[0]["operation"] == "settle_receipt"
    assert desk.told("store_failed")[0]["detail"] == "the disk is full"
    [row] = desk.store.receipts()
    assert row["state"] == LEASED
    desk.store.broken = False
    tries = len(desk.settled)
    two = desk.bind("s2")
    assert one.ids == names(1)
    assert two.ids == []
    desk.beat(0)
    assert len(desk.settled) == tries + 1
    desk.beat(1)
    assert len(desk.settled) == tries + 1, "it is told once"
    assert one.ids + two.ids == (names(1, 1) if kind is Retry else names(1))
    assert len(desk.store.dead_receipts()) == (kind is Dead)


def test_a_store_that_cannot_be_asked_is_asked_again() -> None:
    desk = Desk()
    desk.report(1)
    desk.store.broken = True
    one = desk.bind()
    [line] = desk.told("store_failed")
    assert (line["level"], line["operation"]) == ("error", "claim")
    desk.store.broken = False
    assert one.pdus == []
    desk.beat(1)
    assert one.ids == names(1)


def test_receipts_go_on_after_a_report_that_could_not_be_committed() -> None:
    desk = Desk()
    one = desk.bind()
    desk.store.broken = True
    with pytest.raises(Exception, match="the disk is full"):
        desk.report(1)
    desk.store.broken = False
    assert desk.report(1) == "new"
    assert one.ids == names(1)


# The end


def test_a_stop_ends_sending_and_an_answer_still_counts() -> None:
    desk = Desk(receipt_delay=5)
    one = desk.bind(window=1)
    desk.report(1)
    desk.report(2)
    desk.report(3, submitted_at=1_000.0)
    desk.dispatcher.stop()
    desk.report(4)
    one.answer()
    one.window = 10
    desk.beat(10)
    desk.bind("s2")
    assert one.ids == names(1)
    rows = desk.store.receipts()
    assert [row["message_id"] for row in rows] == names(2, 3, 4)
    assert rows[-1]["state"] == PENDING, "it is not for this process to deliver"
    assert desk.clock.getDelayedCalls() == []


def test_after_a_crash_all_that_was_not_acknowledged_is_sent_again(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/gateway.db"
    before = Desk(store=DirectStore(url=url))
    one = before.bind(window=3)
    for number in range(1, 6):
        before.report(number)
    one.answer()
    assert one.ids == names(1, 2, 3, 4)
    before.store.close()
    after = Desk(store=DirectStore(url=url))
    again = after.bind()
    again.take_all()
    assert again.ids == names(2, 3, 4, 5)
    assert after.store.receipts() == []
    assert after.report(1) == "repeated"


def test_the_memory_takes_only_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatcher_module, "_MOST_HELD", 5)
    desk = Desk()
    one = desk.bind(window=2)
    for number in range(1, 21):
        desk.report(number)
    assert sum(row["state"] == LEASED for row in desk.store.receipts()) == 5
    one.take_all()
    assert one.ids == names(*range(1, 21))
    assert desk.store.receipts() == []
    # All of it is given back: as many are taken as at first.
    for number in range(21, 41):
        desk.report(number)
    assert sum(row["state"] == LEASED for row in desk.store.receipts()) == 5


# Whatever happens


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("report"), st.integers(1, 4), st.sampled_from(["ACCEPTD", "DELIVRD"])),
        st.tuples(st.just("answer"), st.integers(0, 2), st.sampled_from([ROK, ROK, 0x58, None])),
        st.tuples(st.just("bind"), st.integers(1, 3)),
        st.tuples(st.just("leave"), st.integers(0, 2)),
        st.tuples(st.just("beat"), st.sampled_from([0.0, 0.3, 1.0, 5.0])),
        st.tuples(st.just("break"), st.booleans()),
        st.tuples(st.just("hold"), st.integers(1, 4)),
    ),
    max_size=30,
)


@settings(max_examples=20, deadline=None)
@given(STEPS)
def test_each_receipt_is_acknowledged_once_and_in_order(steps: list[tuple[Any, ...]]) -> None:
    desk = Desk()
    there: list[Esme] = []
    acknowledged: list[tuple[str, str]] = []
    taken: dict[tuple[str, str], str] = {}  # what each report was, where it was committed
    held: list[int] = []

    def answer(one: Esme, status: int | None) -> None:
        receipt = one.told[len(one.pdus) - len(one.unanswered)]
        one.answer(status)
        if status == ROK:
            acknowledged.append((receipt.id, receipt.stat))

    for step, *what in steps:
        if step == "report":
            number, status = what
            if not desk.store.broken:
                found = desk.report(number, status)
                taken.setdefault((f"m{number}", status), found)
        elif step == "bind" and len(there) < 3:
            there.append(desk.bind(f"s{len(there)}", window=what[0]))
        elif step == "leave" and what[0] < len(there):
            there.pop(what[0]).leave()
        elif step == "answer" and what[0] < len(there) and there[what[0]].unanswered:
            answer(there[what[0]], what[1])
        elif step == "beat":
            desk.beat(what[0])
        elif step == "break":
            desk.store.broken = what[0]
        elif step == "hold":
            if what[0] in held:
                held.remove(what[0])
                desk.dispatcher.release(key(what[0]), desk.clock.seconds() + 0.5)
            else:
                held.append(what[0])
                desk.dispatcher.hold(key(what[0]))
        flying = [tag for one in there for tag in one.unanswered]
        assert len(flying) == len(set(flying)), "it flies twice"

    # All is well again: whatever is left is delivered.
    desk.store.broken = False
    for number in held:
        desk.dispatcher.release(key(number), desk.clock.seconds())
    there.append(desk.bind("last"))
    for _ in range(8):
        desk.beat(10)
        for one in there:
            while one.unanswered:
                answer(one, ROK)
    assert desk.store.receipts() == []
    assert len(acknowledged) == len(set(acknowledged))
    finals = {what for what, found in taken.items() if found == "new" and what[1] == "DELIVRD"}
    assert {what for what in acknowledged if what[1] == "DELIVRD"} == finals
    new = {what for what, found in taken.items() if found == "new"}
    assert set(acknowledged) <= new
    for number in range(1, 5):
        order = [stat for name, stat in acknowledged if name == f"m{number}"]
        assert order in (["ACCEPTD", "DELIVRD"], ["ACCEPTD"], ["DELIVRD"], [])
    assert desk.dispatcher.settling.held == 0
    assert desk.dispatcher._flights == {}
    assert desk.dispatcher._precedence._queues == {}
