"""What every store must do, in every database."""

from __future__ import annotations

import pytest

from gateway.errors import GatewayError
from gateway.smpp.constants import CommandStatus
from gateway.store.base import (
    Complete,
    Counts,
    Dead,
    Delivered,
    FailedSet,
    StoredPart,
    StoreFull,
    StoreUnavailable,
    Waiting,
    message_key,
)
from gateway.store.sql import SqlStore
from tests.store.databases import OpenStore
from tests.store.parts import added, complete, contents, everything, key, part
from tests.store.receipts import awaited, claimed, live, names, report


class TestAdd:
    def test_the_first_part_waits(self, store: SqlStore) -> None:
        [result] = store.add([part(1, b"A1")])
        assert isinstance(result, Waiting)
        assert not result.replaced
        assert store.counts() == Counts(1, 1)

    def test_the_last_part_completes_and_is_not_stored(self, store: SqlStore) -> None:
        base = added(store, 2, b"\x00\xff second").base
        assert store.add([part(1, b"first")]) == [Complete(base, (b"first", b"\x00\xff second"))]
        assert store.counts() == Counts(1, 1)

    def test_parts_come_in_any_order_in_one_batch_or_several(self, store: SqlStore) -> None:
        of = key(total=5)
        first = store.add([part(4, b"4", of), part(2, b"2", of)])
        last = store.add([part(5, b"5", of), part(1, b"1", of), part(3, b"3", of)])
        assert [type(result) for result in first + last] == [Waiting] * 4 + [Complete]
        assert complete(last[-1]).pdus == (b"1", b"2", b"3", b"4", b"5")

    def test_a_part_replaces_the_one_with_its_number(self, store: SqlStore) -> None:
        base = added(store, 1, b"old").base
        assert store.add([part(1, b"new")]) == [Waiting(base, replaced=True)]
        assert store.counts() == Counts(1, 1)
        assert complete(store.add([part(2, b"2")])[0]).pdus == (b"new", b"2")

    def test_a_part_replaces_one_of_its_own_batch(self, store: SqlStore) -> None:
        results = store.add([part(1, b"old"), part(1, b"new"), part(2, b"2")])
        assert [getattr(result, "replaced", None) for result in results] == [False, True, None]
        assert complete(results[2]).pdus == (b"new", b"2")
        assert store.counts() == Counts(1, 1)

    @pytest.mark.parametrize("together", [True, False])
    def test_a_reused_reference_opens_another_set(self, store: SqlStore, together: bool) -> None:
        parts = [part(1, b"A1"), part(2, b"A2"), part(1, b"B1"), part(2, b"B2")]
        if together:
            results = store.add(parts)
        else:
            results = [result for one in parts for result in store.add([one])]
        first, second = complete(results[1]), complete(results[3])
        assert first.base != second.base
        assert (first.pdus, second.pdus) == ((b"A1", b"A2"), (b"B1", b"B2"))
        assert store.counts() == Counts(2, 2)

    def test_a_set_from_before_and_its_successor_in_one_batch(self, store: SqlStore) -> None:
        base = added(store, 1, b"A1").base
        results = store.add([part(2, b"A2"), part(1, b"B1")])
        assert complete(results[0]) == Complete(base, (b"A1", b"A2"))
        assert isinstance(results[1], Waiting)
        assert results[1].base != base

    @pytest.mark.parametrize(
        "other",
        [
            key(system_id="shop"),
            key(source="Other"),
            key(destination="37255555556"),
            key(kind="sar"),
            key(reference=8),
            key(total=3),
            key(source="Bank3", destination="7255555555"),
        ],
    )
    def test_each_field_of_the_key_keeps_sets_apart(self, store: SqlStore, other: object) -> None:
        assert added(store, 1, b"A").base != added(store, 1, b"B", other).base  # type: ignore[arg-type]

    def test_a_message_of_one_part_is_complete_at_once(self, store: SqlStore) -> None:
        only = complete(store.add([part(1, b"only", key(total=1))])[0])
        assert only.pdus == (b"only",)
        assert store.counts() == Counts(1, 0)
        store.release([(only.base, "refused")])
        again = complete(store.add([part(1, b"again", key(total=1))])[0])
        assert again == Complete(only.base, (b"again",))

    @pytest.mark.parametrize("number", [0, 3, -1])
    def test_a_number_outside_the_total_is_a_fault_of_the_caller(
        self, store: SqlStore, number: int
    ) -> None:
        with pytest.raises(ValueError, match=f"part {number} of 2"):
            store.add([part(1, b"good"), part(number, b"bad")])
        assert store.counts() == Counts(0, 0)

    def test_more_parts_than_one_statement_takes(self, open_store: OpenStore) -> None:
        store = open_store(max_parts=10_000)
        keys = [key(reference=reference) for reference in range(2_500)]
        bases = [getattr(one, "base", b"") for one in store.add([part(1, b"1", of) for of in keys])]
        done = [complete(one) for one in store.add([part(2, b"2", of) for of in keys])]
        assert [one.base for one in done] == bases
        assert {one.pdus for one in done} == {(b"1", b"2")}
        store.settle(bases)
        assert store.counts() == Counts(0, 0)
        store.close()
        assert open_store().counts() == Counts(0, 0)


class TestFull:
    def test_only_a_part_that_would_be_stored_is_turned_away(self, store: SqlStore) -> None:
        of = key(total=12)
        store.add([part(number, b"x", of) for number in range(1, 10)])
        results = store.add(
            [
                part(1, b"10th", key(reference=1)),
                part(10, b"no room", of),
                part(1, b"no room", key(reference=2)),
                part(9, b"replaces", of),
                part(2, b"completes", key(reference=1)),
                part(1, b"no room", key(reference=3)),
            ]
        )
        assert [type(one) for one in results] == [
            Waiting,
            StoreFull,
            StoreFull,
            Waiting,
            Complete,
            StoreFull,
        ]
        assert store.counts() == Counts(2, 10)
        full = results[1]
        assert isinstance(full, StoreFull)
        assert full.command_status == CommandStatus.ESME_RMSGQFUL
        assert full.temporary

    def test_a_settled_set_makes_room(self, store: SqlStore) -> None:
        of = key(total=11)
        done = store.add([part(number, b"x", of) for number in range(1, 12)])[-1]
        assert isinstance(store.add([part(1, b"x")])[0], StoreFull)
        with store.transaction():
            store.settle([complete(done).base])
            [result] = store.add([part(1, b"x")])
        assert isinstance(result, Waiting)


class TestSettleAndRelease:
    def test_a_settled_set_is_gone(self, store: SqlStore) -> None:
        done = complete(store.add([part(1, b"1"), part(2, b"2")])[1])
        store.settle([done.base, done.base])
        assert store.counts() == Counts(0, 0)
        assert everything(store) == {}

    def test_a_released_set_completes_again(self, store: SqlStore) -> None:
        done = complete(store.add([part(1, b"1"), part(2, b"2")])[1])
        store.release([(done.base, "refused")])
        assert store.add([part(2, b"2 again")]) == [Complete(done.base, (b"1", b"2 again"))]

    def test_it_completes_only_by_the_part_that_it_lacks(self, store: SqlStore) -> None:
        done = complete(store.add([part(1, b"1"), part(2, b"2")])[1])
        store.release([(done.base, "refused")])
        assert store.add([part(1, b"1 again")]) == [Waiting(done.base, replaced=True)]
        assert store.add([part(2, b"2")]) == [Complete(done.base, (b"1 again", b"2"))]

    def test_it_stays_detached_when_another_set_has_the_key(self, store: SqlStore) -> None:
        results = store.add([part(1, b"A1"), part(2, b"A2"), part(1, b"B1")])
        first, second = complete(results[1]), results[2]
        assert isinstance(second, Waiting)
        store.release([(first.base, "refused")])
        assert store.add([part(2, b"B2")]) == [Complete(second.base, (b"B1", b"B2"))]
        left = everything(store)
        assert list(left) == [first.base]
        assert contents(left[first.base]) == {1: b"A1"}

    def test_of_two_released_together_the_first_is_attached(self, store: SqlStore) -> None:
        results = store.add([part(1, b"A1"), part(2, b"A2"), part(1, b"B1"), part(2, b"B2")])
        first, second = complete(results[1]), complete(results[3])
        store.release([(second.base, "unknown"), (first.base, "refused")])
        assert store.add([part(2, b"!")]) == [Complete(second.base, (b"B1", b"!"))]
        assert everything(store)[first.base].outcome == "refused"

    @pytest.mark.parametrize("act", ["settle", "release", "fail"])
    def test_a_set_that_waits_is_not_touched(self, store: SqlStore, act: str) -> None:
        base = added(store, 1, b"1").base
        if act == "settle":
            store.settle([base, b"?" * 16])
        elif act == "release":
            store.release([(base, "refused"), (b"?" * 16, "refused")])
        else:
            store.fail([FailedSet(base, report()), FailedSet(b"?" * 16, report())])
        assert store.counts() == Counts(1, 1)
        assert everything(store)[base].outcome == ""

    def test_all_in_one_transaction(self, store: SqlStore) -> None:
        done = complete(store.add([part(1, b"1"), part(2, b"2")])[1])
        with store.transaction():
            store.release([(done.base, "unknown")])
            [again] = store.add([part(2, b"2")])
            store.settle([done.base])
        assert again == done
        assert store.counts() == Counts(0, 0)


class TestExpire:
    def test_the_oldest_deadlines_first(self, store: SqlStore) -> None:
        bases = [
            added(store, 1, b"x", key(reference=n), deadline=deadline).base
            for n, deadline in enumerate((30.0, 10.0, 40.0, 20.0))
        ]
        assert [one.base for one in store.expire(30.0, 2)] == [bases[1], bases[3]]
        assert [one.base for one in store.expire(30.0, 2)] == [bases[0]]
        assert store.expire(30.0, 2) == []
        assert store.counts() == Counts(4, 4)

    def test_it_says_what_is_there(self, store: SqlStore) -> None:
        of = key(total=4)
        base = added(store, 3, b"\x003", of, received_at=1_764_000_000.123456).base
        added(store, 1, b"1", of, received_at=1_764_000_001.0, deadline=1.0, common_id="c-1")
        [expired] = store.expire(1_300.0, 10)
        assert expired.base == base
        assert expired.system_id == "bank"
        assert (expired.total, expired.outcome) == (4, "")
        assert expired.parts == (
            StoredPart(1, b"1", 1_764_000_001.0, "c-1"),
            StoredPart(3, b"\x003", 1_764_000_000.123456),
        )

    def test_a_part_that_replaces_another_brings_its_own_all(self, store: SqlStore) -> None:
        added(store, 1, b"old", received_at=1.0, common_id="a")
        added(store, 1, b"new", received_at=1.001, common_id="b")
        [expired] = store.expire(2_000.0, 1)
        assert expired.parts == (StoredPart(1, b"new", 1.001, "b"),)

    def test_the_deadline_is_that_of_the_part_that_opened(self, store: SqlStore) -> None:
        of = key(total=3)
        added(store, 1, b"1", of, deadline=50.0)
        added(store, 2, b"2", of, deadline=5.0)
        assert store.expire(49.9, 10) == []
        assert len(store.expire(50.0, 10)) == 1

    def test_a_set_in_sending_does_not_expire(self, store: SqlStore) -> None:
        done = complete(store.add([part(1, b"1"), part(2, b"2")])[1])
        assert everything(store) == {}
        store.release([(done.base, "unknown")])
        assert everything(store)[done.base].outcome == "unknown"

    def test_an_expired_set_leaves_its_key(self, store: SqlStore) -> None:
        base = added(store, 1, b"late").base
        store.expire(2_000.0, 10)
        assert added(store, 1, b"next").base != base

    def test_it_can_be_settled(self, store: SqlStore) -> None:
        base = added(store, 1, b"1").base
        store.expire(2_000.0, 10)
        store.settle([base])
        assert store.counts() == Counts(0, 0)

    def test_failing_leaves_receipts_in_its_place(self, store: SqlStore) -> None:
        base = added(store, 1, b"1").base
        store.expire(2_000.0, 10)
        other = added(store, 1, b"1", key(reference=1)).base
        store.expire(2_000.0, 10)
        # What is told of a failed set is claimed like any other, whatever its report says.
        failed = FailedSet(base, report("m", "id-1", "id-2", leased=True))
        store.fail([failed, FailedSet(other, None)])
        assert store.counts() == Counts(0, 0, receipts=2)
        store.fail([failed._replace(report=report("other"))])
        assert names(claimed(store)) == ["id-1", "id-2"]


class TestShortIds:
    def test_the_first_eight_digits(self, store: SqlStore) -> None:
        [number] = store.keep_ids([("bank", "0123abCD-4f5e-4aaa-8888-0123456789ab", 1.0)])
        assert number == 0x0123ABCD
        assert store.find_ids([("bank", number), ("shop", number), ("bank", 1)]) == [
            "0123abCD-4f5e-4aaa-8888-0123456789ab",
            None,
            None,
        ]

    def test_accounts_have_numbers_of_their_own(self, store: SqlStore) -> None:
        ids = [("bank", "00000001-a", 1.0), ("shop", "00000001-b", 1.0)]
        assert store.keep_ids(ids) == [1, 1]

    @pytest.mark.parametrize("together", [True, False])
    def test_a_number_that_is_taken_gives_way_to_another(
        self, store: SqlStore, together: bool
    ) -> None:
        ids = [("bank", "00000001-a", 1.0), ("bank", "00000001-b", 1.0)]
        numbers = store.keep_ids(ids) if together else [store.keep_ids([one])[0] for one in ids]
        assert numbers[0] == 1
        assert numbers[1] != 1
        assert store.find_ids([("bank", number) for number in numbers]) == [
            "00000001-a",
            "00000001-b",
        ]

    @pytest.mark.parametrize("together", [True, False])
    def test_a_message_keeps_its_number(self, store: SqlStore, together: bool) -> None:
        one = ("bank", "00000001-a", 1.0)
        numbers = store.keep_ids([one, one]) if together else store.keep_ids([one]) * 2
        assert numbers == [1, 1]
        assert store.keep_ids([one]) == [1]

    @pytest.mark.parametrize("message_id", ["00000000-a", "nothex00", "1234567", ""])
    def test_any_other_message_id_gets_some_number(self, store: SqlStore, message_id: str) -> None:
        [number] = store.keep_ids([("bank", message_id, 1.0)])
        assert 0 < number < 2**32
        assert store.find_ids([("bank", number)]) == [message_id]


class TestTheRest:
    def test_memories(self, store: SqlStore) -> None:
        assert store.load_memories() == {}
        store.save_memories({"bank": b"\x00\x01", "shop": b"2"})
        store.save_memories({"bank": b"3"})
        assert store.load_memories() == {"bank": b"3", "shop": b"2"}

    def test_purge_keeps_what_is_young(self, store: SqlStore) -> None:
        store.keep_ids([("bank", "00000001", 10.0), ("bank", "00000002", 20.0)])
        old = report("old", key=message_key(29.9, "old"), leased=True)
        young = report("young", key=message_key(30.0, "young"), leased=True)
        [[one], [other]] = [reported.ids for reported in store.report([old, young])]
        store.settle_receipts([Dead(one, 8, "x", 39.9), Dead(other, 8, "x", 40.0)])
        assert not store.purge(20.0, 30.0, 40.0)
        assert store.find_ids([("bank", 1), ("bank", 2)]) == [None, "00000002"]
        assert [one.outcome for one in store.report([old, young])] == ["new", "repeated"]
        assert store.counts() == Counts(0, 0, receipts=1, dead=1)

    def test_each_table_is_purged_in_bites(
        self, store: SqlStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("gateway.store.sql._PURGED_AT_ONCE", 2)
        reports = [report(f"{n}", key=message_key(n, f"{n}"), leased=True) for n in range(5)]
        told = store.report(reports)
        store.settle_receipts([Dead(one.ids[0], 8, "x", n) for n, one in enumerate(told)])
        assert [store.purge(0.0, 5.0, 0.0) for _ in range(2)] == [True, False]
        assert store.counts() == Counts(0, 0, dead=5)
        assert [store.purge(0.0, 0.0, 5.0) for _ in range(2)] == [True, False]
        assert store.counts() == Counts(0, 0)
        assert {one.outcome for one in store.report(reports)} == {"new"}

    def test_purge_takes_a_bounded_bite(
        self, store: SqlStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("gateway.store.sql._PURGED_AT_ONCE", 2)
        store.keep_ids([("bank", f"0000000{n}", n / 10) for n in range(1, 6)])
        assert [store.purge(2.0, 0.0, 0.0) for _ in range(2)] == [True, False]
        assert store.find_ids([("bank", n) for n in range(1, 6)]) == [None] * 5

    def test_what_raises_in_a_transaction_leaves_nothing(self, store: SqlStore) -> None:
        done = complete(store.add([part(1, b"1"), part(2, b"2")])[1])
        overdue = added(store, 1, b"1", key(reference=1), deadline=1.0).base
        [leased] = store.report([report("leased", leased=True)])[0].ids

        def everything_at_once() -> None:
            with store.transaction():
                store.settle([done.base])
                store.fail([FailedSet(one.base, report()) for one in store.expire(2.0, 10)])
                store.await_reports([awaited("other")])
                store.settle_receipts([Delivered(leased)])
                store.add([part(1, b"9", key(reference=9)), part(2, b"9", key(reference=9))])
                raise KeyError("a fault")

        with pytest.raises(KeyError):
            everything_at_once()
        assert store.counts() == Counts(2, 2, receipts=1)
        assert live(store) == ["leased"]
        store.settle_receipts([Delivered(leased)])
        assert list(everything(store)) == [overdue]
        store.settle([done.base, overdue])
        assert store.counts() == Counts(0, 0)

    def test_its_errors_are_temporary(self) -> None:
        problem = StoreUnavailable("disk full")
        assert isinstance(problem, GatewayError)
        assert problem.command_status == CommandStatus.ESME_RSYSERR
        assert problem.temporary


class TestOpening:
    def test_everything_is_there_again(self, open_store: OpenStore) -> None:
        store = open_store()
        base = added(store, 1, b"1").base
        store.save_memories({"bank": b"m"})
        [number] = store.keep_ids([("bank", "a message", 1.0)])
        store.close()
        store = open_store()
        assert store.counts() == Counts(1, 1)
        assert store.load_memories() == {"bank": b"m"}
        assert store.find_ids([("bank", number)]) == ["a message"]
        assert store.add([part(2, b"2")]) == [Complete(base, (b"1", b"2"))]

    def test_what_was_sending_waits_again_with_its_outcome_unknown(
        self, open_store: OpenStore
    ) -> None:
        store = open_store()
        done = complete(store.add([part(1, b"1"), part(2, b"2")])[1])
        store.close()
        store = open_store()
        assert store.add([part(2, b"2")]) == [done]
        store.close()
        assert everything(open_store())[done.base].outcome == "unknown"

    def test_of_several_for_one_key_the_first_is_attached(self, open_store: OpenStore) -> None:
        store = open_store()
        results = store.add([part(1, b"A1"), part(2, b"A2"), part(1, b"B1"), part(2, b"B2")])
        first, second = complete(results[1]), complete(results[3])
        store.close()
        store = open_store()
        assert store.add([part(2, b"!")]) == [Complete(first.base, (b"A1", b"!"))]
        assert list(everything(store)) == [second.base]

    def test_a_set_that_has_the_key_keeps_it(self, open_store: OpenStore) -> None:
        store = open_store()
        results = store.add([part(1, b"A1"), part(2, b"A2"), part(1, b"B1")])
        store.close()
        again = complete(open_store().add([part(2, b"B2")])[0])
        assert again.pdus == (b"B1", b"B2")
        assert again.base == getattr(results[2], "base", None)
