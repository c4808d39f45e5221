"""What every store must do with receipts, in every database."""

from __future__ import annotations

import pytest

from gateway.store.base import (
    Counts,
    Dead,
    Delivered,
    FailedSet,
    Look,
    Pending,
    Report,
    Reported,
    Retry,
    Returned,
    StoreUnavailable,
    message_key,
)
from gateway.store.schema import DEAD_RECEIPTS
from gateway.store.sql import SqlStore
from tests.store.databases import OpenStore
from tests.store.parts import added, complete, everything, key, part
from tests.store.receipts import DELIVERED, awaited, claimed, live, names, report

FINAL = report(due_at=13.0)
INTERIM = report("m", "interim", kind="interim")
HELD = report("m", "held", kind="unknown")


def outcomes(store: SqlStore, *reports: Report) -> list[str]:
    return [one.outcome for one in store.report(reports)]


def dead(store: SqlStore) -> list[tuple[object, ...]]:
    """message_id, attempts, last_status, reason, died_at."""
    with store.transaction() as connection:
        rows = connection.execute(DEAD_RECEIPTS.select().order_by(DEAD_RECEIPTS.c.id)).all()
    return [(r.message_id, r.attempts, r.last_status, r.reason, r.died_at) for r in rows]


class TestKey:
    def test_the_second_leads(self) -> None:
        assert message_key(0x01020304 + 0.9994, "id")[:4] == b"\x01\x02\x03\x04"
        assert len(message_key(1.5, "id")) == 16
        assert len({message_key(1.5, "id"), message_key(1.5, "id2"), message_key(2.0, "id")}) == 3

    def test_what_sealing_rounds_away_does_not_count(self) -> None:
        assert message_key(1.99951, "id") == message_key(2.0, "id")


class TestReport:
    def test_a_receipt_comes_back_as_it_was_stored(self, store: SqlStore) -> None:
        told = report(submitted_at=1.7e9 + 0.000001, received_at=1.7e9 + 1.1, due_at=1.7e9 + 2.2)
        assert store.report([told]) == [Reported("new", (1,))]
        assert claimed(store, 2e9) == [
            Pending(
                1, "bank", told.key, "m", "final", DELIVERED, b"\x00m", 0,
                1.7e9 + 0.000001, 1.7e9 + 1.1, 1.7e9 + 2.2,
            )
        ]  # fmt: skip

    @pytest.mark.parametrize("together", [True, False])
    def test_a_final_one_is_told_once(self, store: SqlStore, together: bool) -> None:
        reports = [FINAL, report("m", "p1", "p2"), INTERIM, HELD]
        if together:
            told = outcomes(store, *reports)
        else:
            told = [outcome for one in reports for outcome in outcomes(store, one)]
        assert told == ["new", "repeated", "stale", "stale"]
        assert live(store) == ["m"]

    def test_it_is_told_once_though_its_receipt_is_gone(self, open_store: OpenStore) -> None:
        store = open_store()
        [told] = store.report([FINAL._replace(leased=True)])
        store.settle_receipts([Delivered(told.ids[0])])
        assert outcomes(store, FINAL) == ["repeated"]
        store.close()
        assert outcomes(open_store(), FINAL) == ["repeated"]

    def test_each_interim_state_is_told_once(self, store: SqlStore) -> None:
        enroute = INTERIM._replace(receipts=[INTERIM.receipts[0]._replace(message_state=1)])
        assert outcomes(store, INTERIM, INTERIM, enroute) == ["new", "repeated", "new"]

    def test_a_receipt_for_each_part(self, store: SqlStore) -> None:
        assert store.report([report("m", "p1", "p2")]) == [Reported("new", (1, 2))]
        assert names(claimed(store)) == ["p1", "p2"]

    @pytest.mark.parametrize("kind", ["final", "interim", "unknown"])
    def test_nobody_asked(self, store: SqlStore, kind: str) -> None:
        """Then nothing is written, so that it costs nothing."""
        nothing = report(kind=kind, receipts=[])
        assert store.report([nothing, nothing]) == [Reported("new"), Reported("new")]
        with store.transaction() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM known").scalar_one() == 0

    def test_a_final_one_that_nobody_asked_for_ends_what_was_awaited(self, store: SqlStore) -> None:
        store.await_reports([awaited(), awaited("other")])
        assert outcomes(store, report(receipts=[]), report()) == ["new", "repeated"]
        assert store.counts() == Counts(0, 0, awaited=1)

    def test_a_repeated_one_ends_what_was_awaited_too(self, store: SqlStore) -> None:
        store.report([FINAL])
        store.await_reports([awaited()])
        assert outcomes(store, FINAL) == ["repeated"]
        assert store.counts() == Counts(0, 0, receipts=1)

    @pytest.mark.parametrize("told", [INTERIM, HELD])
    def test_what_is_not_final_ends_nothing(self, store: SqlStore, told: Report) -> None:
        store.await_reports([awaited()])
        store.report([told])
        assert store.counts() == Counts(0, 0, receipts=1, awaited=1)


class TestHeld:
    def test_a_final_one_takes_its_place(self, store: SqlStore) -> None:
        assert outcomes(store, HELD, HELD) == ["new", "repeated"]
        assert outcomes(store, FINAL) == ["new"]
        assert live(store) == ["m"]
        assert store.counts() == Counts(0, 0, receipts=1)

    def test_one_that_nobody_asked_for_ends_it(self, store: SqlStore) -> None:
        """registered_delivery 2 asks for failures only: delivered at last, so none."""
        store.report([HELD])
        assert outcomes(store, report(receipts=[]), FINAL, HELD) == ["new", "repeated", "stale"]
        assert store.counts() == Counts(0, 0)

    def test_claimed_it_is_the_final_one(self, store: SqlStore) -> None:
        parts = report("m", "p1", "p2", kind="unknown")
        store.report([parts])
        [first] = claimed(store, 12.0, limit=1)
        assert outcomes(store, FINAL, HELD) == ["repeated", "stale"]
        store.settle_receipts([Retry(first.id, 13.0, 8)])
        assert names(claimed(store)) == ["p2", "p1"]

    def test_leased_from_birth_it_is_the_final_one(self, store: SqlStore) -> None:
        assert outcomes(store, HELD._replace(leased=True), FINAL) == ["new", "repeated"]

    def test_it_waits_until_it_is_due(self, store: SqlStore) -> None:
        store.report([HELD])
        assert claimed(store, 11.9) == []
        assert names(claimed(store, 12.0)) == ["held"]


class TestInterim:
    def test_one_that_was_not_tried_yet_leaves_first(self, store: SqlStore) -> None:
        store.report([INTERIM, FINAL])
        assert names(claimed(store)) == ["interim", "m"]

    def test_one_that_waits_to_be_tried_again_gives_way(self, store: SqlStore) -> None:
        store.report([INTERIM])
        [pending] = claimed(store)
        store.settle_receipts([Retry(pending.id, 50.0, 8)])
        store.report([FINAL])
        assert live(store) == ["m"]
        assert store.counts() == Counts(0, 0, receipts=1)

    def test_one_that_is_being_sent_stays_and_is_not_tried_again(self, store: SqlStore) -> None:
        other = report("other", kind="interim")
        store.report([INTERIM, other])
        first, second = claimed(store)
        store.report([FINAL])
        assert live(store) == ["interim", "other", "m"]
        store.settle_receipts([Retry(first.id, 50.0, 8), Retry(second.id, 50.0, 8)])
        assert live(store) == ["other", "m"]
        assert store.counts() == Counts(0, 0, receipts=2)

    def test_tried_together_only_the_final_one_is_tried_again(self, store: SqlStore) -> None:
        store.report([INTERIM, FINAL])
        store.settle_receipts([Retry(one.id, 50.0, 8) for one in claimed(store)])
        assert live(store) == ["m"]

    def test_one_that_was_not_tried_comes_back(self, store: SqlStore) -> None:
        store.report([INTERIM, FINAL])
        [first] = claimed(store, limit=1)
        store.settle_receipts([Returned(first.id)])
        assert names(claimed(store)) == ["interim", "m"]


class TestClaim:
    def test_the_first_to_leave_first_and_each_for_its_own(self, store: SqlStore) -> None:
        store.report(
            [
                report("late", due_at=14.0),
                report("b", due_at=13.0),
                report("c", due_at=13.0),
                report("a", due_at=12.0),
                report("else", system_id="shop"),
            ]
        )
        both = store.claim(13.5, [("bank", 2), ("nobody", 9), ("shop", 9), ("bank", 9)])
        assert [names(one) for one in both] == [["a", "b"], [], ["else"], ["c"]]
        assert claimed(store, 13.5) == []
        assert names(claimed(store, 14.0)) == ["late"]
        assert store.counts() == Counts(0, 0, receipts=5)

    def test_what_one_may_not_have_is_not_taken_because_another_may(self, store: SqlStore) -> None:
        store.report([report("m", "p1", "p2"), report("n", "q1", "q2", system_id="shop")])
        both = store.claim(13.0, [("bank", 1), ("shop", 2)])
        assert [names(one) for one in both] == [["p1"], ["q1", "q2"]]
        assert names(claimed(store)) == ["p2"]

    @pytest.mark.parametrize("quotas", [[], [("bank", 0)], [("bank", -1)]])
    def test_no_room_takes_nothing(self, store: SqlStore, quotas: list[tuple[str, int]]) -> None:
        store.report([FINAL])
        assert store.claim(1e9, quotas) == [[] for _ in quotas]
        assert names(claimed(store)) == ["m"]

    def test_more_than_one_statement_takes(self, store: SqlStore) -> None:
        told = [f"{n:04}" for n in range(2_500)]
        store.report([report("m", *told)])
        pendings = claimed(store, limit=3_000)
        assert names(pendings) == told
        store.settle_receipts([Delivered(one.id) for one in pendings])
        assert store.counts() == Counts(0, 0)


class TestSettle:
    def test_delivered(self, store: SqlStore) -> None:
        store.report([report("m", "p1", "p2")])
        first, _ = claimed(store)
        store.settle_receipts([Delivered(first.id), Delivered(first.id), Delivered(99)])
        assert live(store) == ["p2"]
        assert store.counts() == Counts(0, 0, receipts=1)

    def test_tried_again_behind_what_came_meanwhile(self, store: SqlStore) -> None:
        store.report([report("m", "p1", "p2")])
        first, second = claimed(store)
        store.settle_receipts([Retry(first.id, 20.0, 0x58), Retry(second.id, 19.0, None)])
        store.report([report("n", due_at=19.5)])
        assert claimed(store, 18.9) == []
        again = claimed(store)
        assert names(again) == ["p2", "n", "p1"]
        assert [one.attempts for one in again] == [1, 0, 1]

    def test_returned_it_was_not_tried(self, store: SqlStore) -> None:
        store.report([FINAL])
        [pending] = claimed(store)
        store.settle_receipts([Returned(pending.id)])
        assert claimed(store) == [pending]

    def test_dead_it_is_kept_aside(self, store: SqlStore) -> None:
        store.report([report("m", "p1", "p2")])
        first, second = claimed(store)
        store.settle_receipts([Retry(first.id, 13.0, 0x58)])
        claimed(store)
        store.settle_receipts(
            [Dead(first.id, 0x0B, "refused", 20.5), Dead(second.id, None, "x", 2)]
        )
        assert dead(store) == [("p1", 2, 0x0B, "refused", 20_500_000), ("p2", 1, None, "x", 2e6)]
        assert live(store) == []
        assert store.counts() == Counts(0, 0, dead=2)
        assert outcomes(store, FINAL) == ["repeated"]

    def test_what_is_not_leased_is_not_touched(self, store: SqlStore) -> None:
        store.report([FINAL])
        store.settle_receipts([Delivered(1), Retry(1, 99.0, 8), Dead(1, 8, "x", 1.0), Returned(1)])
        assert [one.attempts for one in claimed(store, 13.0)] == [0]


class TestExpire:
    def test_the_oldest_first_and_never_what_is_being_sent(self, store: SqlStore) -> None:
        store.report(
            [
                report("sent", due_at=1.0, leased=True),
                report("c", due_at=5.0),
                report("b", due_at=4.0, system_id="shop"),
                report("a", due_at=3.0),
                report("young", due_at=6.0),
            ]
        )
        assert store.expire_receipts(6.0, 100.5, 2) == ["bank", "shop"]
        assert store.expire_receipts(6.0, 100.5, 2) == ["bank"]
        assert store.expire_receipts(6.0, 100.5, 2) == []
        assert live(store) == ["sent", "young"]
        assert store.counts() == Counts(0, 0, receipts=2, dead=3)
        assert dead(store)[0] == ("c", 0, None, "expired", 100_500_000)

    def test_it_keeps_what_the_last_one_said(self, store: SqlStore) -> None:
        store.report([FINAL])
        [pending] = claimed(store)
        store.settle_receipts([Retry(pending.id, 99.0, 0x58)])
        store.expire_receipts(20.0, 30.0, 9)
        assert dead(store) == [("m", 1, 0x58, "expired", 30_000_000)]


class TestLook:
    def test_the_oldest_that_is_due_leased_or_not(self, store: SqlStore) -> None:
        assert store.look(1e9) == Look(None, changed=False)
        store.report([report("sent", due_at=3.0, leased=True), report("waits", due_at=4.0)])
        assert store.look(2.9) == Look(None, changed=False)
        assert store.look(9.0) == Look(3.0, changed=False)
        store.settle_receipts([Delivered(1)])
        assert store.look(9.0) == Look(4.0, changed=False)


class TestSets:
    def failed(self, store: SqlStore) -> bytes:
        base = added(store, 1, b"1").base
        store.expire(2_000.0, 10)
        return base

    def test_a_set_fails_together_with_its_report_or_not_at_all(self, store: SqlStore) -> None:
        base = self.failed(store)
        with store.transaction() as connection:
            connection.exec_driver_sql(
                "CREATE TRIGGER poison BEFORE INSERT ON receipts "
                "BEGIN SELECT RAISE(ABORT, 'poisoned'); END"
            )
        with pytest.raises(StoreUnavailable, match="poisoned"):
            store.fail([FailedSet(base, FINAL)])
        assert store.counts() == Counts(1, 1)
        store.release([(base, "refused")])
        assert everything(store)[base].outcome == "refused"

    def test_a_report_ends_the_set_that_a_dead_process_left(self, open_store: OpenStore) -> None:
        store = open_store()
        results = store.add([part(1, b"A1"), part(2, b"A2"), part(1, b"B1")])
        left, waits = complete(results[1]).base, results[2]
        store.close()
        store = open_store()
        told = report(base=left)
        assert (
            outcomes(store, told, report("other", base=getattr(waits, "base", b""))) == ["new"] * 2
        )
        assert store.counts() == Counts(1, 1, receipts=2)
        assert left not in everything(store)
        assert outcomes(store, told) == ["repeated"]
        assert store.counts() == Counts(1, 1, receipts=2)

    def test_twice_restarted_it_is_known_still(self, open_store: OpenStore) -> None:
        store = open_store()
        left = complete(store.add([part(1, b"A1"), part(2, b"A2")])[1]).base
        for _ in range(2):
            store.close()
            store = open_store()
        store.report([report(base=left)])
        assert store.counts() == Counts(0, 0, receipts=1)

    def test_it_stays_once_it_is_in_sending_again(self, open_store: OpenStore) -> None:
        store = open_store()
        left = complete(store.add([part(1, b"A1"), part(2, b"A2")])[1]).base
        store.close()
        store = open_store()
        assert complete(store.add([part(2, b"A2")])[0]).base == left
        store.report([report(base=left)])
        store.release([(left, "refused")])  # by now it is this process's
        store.report([report("again", base=left)])
        assert store.counts() == Counts(1, 1, receipts=2)

    def test_one_of_this_process_stays(self, store: SqlStore) -> None:
        base = complete(store.add([part(1, b"1", key(total=2)), part(2, b"2")])[1]).base
        store.report([report(base=base)])
        store.release([(base, "unknown")])
        store.report([report("again", base=base)])
        assert store.counts() == Counts(1, 1, receipts=2)


class TestOpening:
    def test_what_was_leased_waits_again(self, open_store: OpenStore) -> None:
        store = open_store()
        store.report([FINAL, report("other", leased=True), INTERIM._replace(key=b"k" * 16)])
        [first] = claimed(store, limit=1)
        store.settle_receipts([Dead(first.id, 8, "x", 1.0)])
        claimed(store)
        store.await_reports([awaited()])
        store.close()
        store = open_store()
        assert store.counts() == Counts(0, 0, receipts=2, dead=1, awaited=1)
        assert store.expire_receipts(1e9, 1e9, 1) == ["bank"]
        assert len(claimed(store)) == 1

    def test_ids_rise_over_the_dead_ones(self, open_store: OpenStore) -> None:
        """They come back under their own."""
        store = open_store()
        [told] = store.report([FINAL._replace(leased=True)])
        store.settle_receipts([Dead(told.ids[0], 8, "x", 1.0)])
        store.close()
        [again] = open_store().report([report("other")])
        assert again.ids[0] > told.ids[0]
