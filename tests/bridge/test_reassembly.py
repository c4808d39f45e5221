"""Parts of long messages: what each is answered, what reaches the API, what becomes of the rest.

The store is the real one, in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from gateway.omnichannel.transport import FailureKind
from gateway.smpp.constants import CommandStatus, MessageState
from gateway.smpp.pdu import Address, SubmitSm, Tlv
from gateway.store.base import Outcome, StoreUnavailable
from gateway.store.operations import Release, Settle
from tests.bridge.direct_store import DirectStore
from tests.bridge.trial import FROM, ID, TO, V33, V34, Trial, name, submit
from tests.omnichannel.scripted_transport import Step, accepted, failure, in_turn, refused

UNSURE = failure(FailureKind.CUT, sent=True)
DOWN = refused(500, "104")


@pytest.fixture(autouse=True)
def cleared() -> Iterator[None]:
    yield
    structlog.reset_defaults()
    Trial.close_all()


def part(number: int, total: int, text: str, reference: int = 7, **fields: Any) -> SubmitSm:
    """A part with an 8-bit reference; its sequence_number is its number."""
    header = bytes([5, 0, 3, reference, total, number])
    return submit(number, esm_class=0x40, short_message=header + text.encode(), **fields)


def sar(number: int, total: int, text: str, reference: int = 7, **fields: Any) -> SubmitSm:
    tlvs = (
        Tlv(0x020C, reference.to_bytes(2)),
        Tlv(0x020E, bytes([total])),
        Tlv(0x020F, bytes([number])),
    )
    return submit(number, short_message=text.encode(), tlvs=tlvs, **fields)


def texts(trial: Trial) -> list[str]:
    return [post.sms["messages"][0]["text"] for post in trial.transport.posts]


def answers(trial: Trial) -> list[tuple[int, str]]:
    return [(answer.sequence_number, name(answer)) for answer in trial.answers]


def expire(trial: Trial) -> None:
    ended = Deferred.fromCoroutine(trial.expiry.expire())
    ended.addErrback(lambda failure: failure.trap(StoreUnavailable))  # some break it on purpose
    trial.run(0)


# Complete sets.


def test_two_parts_become_one_message() -> None:
    trial = Trial(in_turn(accepted(ID)))
    trial.submit(part(1, 2, "Hello, "))
    assert answers(trial) == [(1, "ESME_ROK")]
    assert trial.transport.posts == []
    trial.submit(part(2, 2, "world"))
    assert answers(trial)[1:] == [(2, "ESME_ROK")]
    assert texts(trial) == ["Hello, world"]
    first, last = (answer.message_id for answer in trial.answers)
    assert last == ID
    assert UUID(first).version == 8
    assert UUID(first).bytes[15] == 1
    assert trial.store.real.counts()[:2] == (0, 0)


def test_the_log_tells_of_the_set_in_both_lines_and_the_text_in_none() -> None:
    trial = Trial(in_turn(accepted(ID)))
    trial.submit(part(1, 2, "Zebra "))
    trial.submit(part(2, 2, "code"))
    stored, relayed = trial.lines
    assert (stored["event"], relayed["event"]) == ("part_stored", "message_relayed")
    for line, number in ((stored, 1), (relayed, 2)):
        assert (line["part"], line["parts"], line["reference"]) == (number, 2, 7)
        assert line["reference_kind"] == "udh8"
    assert stored["set_id"] == relayed["set_id"]
    assert stored["set_id"][:30] == stored["message_id"].replace("-", "")[:30]
    assert relayed["characters"] == len("Zebra code")
    assert "Zebra" not in trial.stream.getvalue()
    assert trial.value("submits_total", system_id="bank", command_status="ESME_ROK") == 2


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_order_any_repetition_and_any_mixture_of_sets(data: st.DataObject) -> None:
    """Each set is relayed once, whole, when its last missing part comes."""
    sets = {
        reference: [f"<{reference}.{number}>" for number in range(1, total + 1)]
        for reference, total in enumerate(data.draw(st.lists(st.integers(2, 6), max_size=4)))
    }
    script = [(ref, n) for ref, cut in sets.items() for n in range(1, len(cut) + 1)]
    script = data.draw(st.permutations(script))
    trial = Trial(in_turn(accepted()))
    there: dict[int, set[int]] = {reference: set() for reference in sets}
    for reference, number in script:
        total = len(sets[reference])
        missing = total - len(there[reference])
        if missing > 1 and there[reference] and data.draw(st.booleans()):
            again = data.draw(st.sampled_from(sorted(there[reference])))
            trial.submit(part(again, total, sets[reference][again - 1], reference))
        trial.submit(part(number, total, sets[reference][number - 1], reference))
        there[reference].add(number)
    assert {name(answer) for answer in trial.answers} <= {"ESME_ROK"}
    assert sorted(texts(trial)) == sorted("".join(cut) for cut in sets.values())
    assert trial.store.real.counts()[:2] == (0, 0)


def test_the_largest_set() -> None:
    trial = Trial(in_turn(accepted(ID)))
    for number in range(255, 0, -1):
        trial.submit(part(number, 255, f"{number:03}"))
    assert texts(trial) == ["".join(f"{number:03}" for number in range(1, 256))]
    assert len({answer.message_id for answer in trial.answers}) == 255


def test_a_part_that_comes_again_replaces_the_earlier_one() -> None:
    trial = Trial(in_turn(accepted(ID)))
    trial.submit(part(1, 3, "old "))
    trial.submit(part(1, 3, "new "))
    trial.submit(part(2, 3, "and "))
    assert trial.transport.posts == []
    trial.submit(part(3, 3, "whole"))
    assert texts(trial) == ["new and whole"]
    assert trial.answers[0].message_id == trial.answers[1].message_id
    assert trial.value("text_flags_total", flag="part_replaced") == 1


@pytest.mark.parametrize(
    "other",
    [
        {"source": Address(1, 1, "37255560000")},
        {"destination": Address(1, 1, "37255512346")},
    ],
)
def test_parts_of_other_addresses_are_other_messages(other: dict[str, Any]) -> None:
    trial = Trial(in_turn(accepted()))
    trial.submit(part(1, 2, "a"))
    trial.submit(part(2, 2, "b", **other))
    assert trial.transport.posts == []


@pytest.mark.parametrize(
    "second",
    [part(2, 2, "b", reference=8), part(2, 3, "b"), sar(2, 2, "b")],
    ids=["reference", "total", "kind"],
)
def test_another_reference_total_or_kind_is_another_message(second: SubmitSm) -> None:
    trial = Trial(in_turn(accepted()))
    trial.submit(part(1, 2, "a"))
    trial.submit(second)
    assert trial.transport.posts == []
    assert trial.store.real.counts()[:2] == (2, 2)


def test_parts_of_another_account_are_another_message() -> None:
    trial = Trial(in_turn(accepted()))
    trial.submit(part(1, 2, "a"))
    trial.submit(part(2, 2, "b"), account=trial.new_account("demo"))
    assert trial.transport.posts == []


def test_sar_parameters() -> None:
    trial = Trial(in_turn(accepted(ID)))
    trial.submit(sar(2, 2, "world", reference=0xABCD))
    trial.submit(sar(1, 2, "Hello, ", reference=0xABCD))
    assert texts(trial) == ["Hello, world"]


@pytest.mark.parametrize("reference", [0, 7])
def test_a_reference_used_again_at_once_begins_another_message(reference: int) -> None:
    """aiosmpplib's reference can be 0 for every message."""
    trial = Trial(in_turn(accepted()._replace(after=1.0)))
    for text in ("first", "second"):
        trial.submit(part(1, 2, f"{text} ", reference))
        trial.submit(part(2, 2, "message", reference))
    trial.run(5)
    assert texts(trial) == ["first message", "second message"]
    assert answers(trial) == [(1, "ESME_ROK"), (1, "ESME_ROK"), (2, "ESME_ROK"), (2, "ESME_ROK")]
    assert trial.store.real.counts()[:2] == (0, 0)


def test_what_is_no_text_is_that_of_the_first_part() -> None:
    trial = Trial(in_turn(accepted()))
    trial.submit(part(2, 2, "b", validity_period="000000000100000R"))
    trial.submit(part(1, 2, "a", validity_period="000000000200000R", priority_flag=3))
    [post] = trial.transport.posts
    assert post.sms["priority"] == "high"
    assert post.sms["messages"][0]["ttl"] == 120


def test_parts_of_different_codings_are_each_read_as_their_own() -> None:
    trial = Trial(in_turn(accepted()))
    trial.submit(part(1, 2, "[GSM] ".replace("[", "(").replace("]", ")")))
    ucs2 = bytes([5, 0, 3, 7, 2, 2]) + "Жук".encode("utf-16-be")
    trial.submit(submit(2, esm_class=0x40, short_message=ucs2, data_coding=8))
    assert texts(trial) == ["(GSM) Жук"]


# Answers of the API.


@pytest.mark.parametrize(
    ("step", "status", "outcome"),
    [
        (DOWN, "ESME_RSYSERR", "unknown"),
        (refused(429), "ESME_RTHROTTLED", "refused"),
        (UNSURE, "ESME_RSYSERR", "unknown"),
    ],
)
def test_after_an_error_the_retry_of_the_last_part_completes_it_again(
    step: Step, status: str, outcome: Outcome
) -> None:
    trial = Trial(in_turn(step, accepted(ID)))
    trial.submit(part(1, 2, "Hello, "))
    trial.submit(part(2, 2, "world"))
    assert answers(trial)[1] == (2, status)
    assert trial.store.real.counts()[:2] == (1, 1)
    assert trial.store.operations[-1] == Release(
        UUID(trial.answers[0].message_id).bytes[:15] + b"\0", outcome
    )
    trial.submit(part(2, 2, "world"))
    assert (answers(trial)[2], trial.answers[2].message_id) == ((2, "ESME_ROK"), ID)
    assert texts(trial) == ["Hello, world"] * 2
    assert trial.store.real.counts()[:2] == (0, 0)


def test_the_error_reaches_the_esme_only_after_the_set_was_put_back() -> None:
    """Or a retry on another bind might find no set to complete."""
    trial = Trial(in_turn(DOWN))
    trial.submit(part(1, 2, "a"))
    trial.store.holding = True
    trial.submit(part(2, 2, "b"))
    trial.store.held.pop()()
    assert isinstance(trial.store.operations[-1], Release)
    assert answers(trial)[-1] == (2, "ESME_RSYSERR")


def test_a_message_refused_when_it_is_whole_stays_too() -> None:
    trial = Trial(in_turn(accepted()), undecodable="refuse")
    trial.submit(part(1, 2, "a"))
    bad = bytes([5, 0, 3, 7, 2, 2]) + b"\xff"
    trial.submit(submit(2, esm_class=0x40, short_message=bad))
    assert answers(trial)[-1] == (2, "ESME_RINVDCS")
    assert trial.transport.posts == []
    assert trial.store.real.counts()[:2] == (1, 1)
    trial.submit(part(2, 2, "b"))
    assert texts(trial) == ["ab"]


# A last part that comes again while the API is thinking: jSMPP waits 2 s, go-smpp 1 s.


@pytest.mark.parametrize("step", [accepted(ID), DOWN, refused(429), UNSURE])
def test_a_copy_of_the_last_part_gets_the_same_answer(step: Step) -> None:
    trial = Trial(in_turn(step._replace(after=3.0), accepted(ID)))
    trial.submit(part(1, 2, "Hello, "))
    trial.submit(part(2, 2, "world"))
    trial.run(1)
    trial.submit(part(2, 2, "world"))
    trial.submit(part(2, 2, "world"))
    assert len(trial.answers) == 1
    trial.run(5)
    assert len({(name(answer), answer.message_id) for answer in trial.answers[1:]}) == 1
    assert len(trial.answers) == 4
    assert texts(trial) == ["Hello, world"]
    if name(trial.answers[1]) != "ESME_ROK":
        trial.submit(part(2, 2, "world"))
        assert trial.answers[-1].message_id == ID
    assert trial.store.real.counts()[:2] == (0, 0)
    assert trial.relay.load.in_flight == 0
    assert trial.relay._followers == {}


def test_the_copies_are_told_from_the_messages_in_the_log() -> None:
    trial = Trial(in_turn(accepted(ID)._replace(after=3.0)))
    for number in (1, 2, 2):
        trial.submit(part(number, 2, "x"))
    trial.run(5)
    assert [line["event"] for line in trial.lines] == [
        "part_stored",
        "message_relayed",
        "part_repeated",
    ]
    assert trial.lines[2]["message_id"] == ID


def test_another_text_with_the_same_key_is_another_message() -> None:
    trial = Trial(in_turn(accepted()._replace(after=3.0)))
    trial.submit(part(1, 2, "a"))
    trial.submit(part(2, 2, "b"))
    trial.submit(part(2, 2, "y"))
    trial.submit(part(1, 2, "x"))
    trial.run(10)
    assert texts(trial) == ["ab", "xy"]


def test_the_same_message_twice_in_order_is_two_messages() -> None:
    trial = Trial(in_turn(accepted()._replace(after=3.0)))
    for _ in range(3):
        trial.submit(part(1, 2, "a", reference=0))
        trial.submit(part(2, 2, "b", reference=0))
    trial.run(10)
    assert texts(trial) == ["ab"] * 3
    assert {name(answer) for answer in trial.answers} == {"ESME_ROK"}


# The store.


def test_a_part_is_answered_only_after_its_commit() -> None:
    trial = Trial(in_turn(accepted(ID)))
    trial.store.holding = True
    trial.submit(part(1, 2, "a"))
    assert trial.answers == []
    trial.store.held.pop()()
    assert answers(trial) == [(1, "ESME_ROK")]


def test_a_store_that_fails_is_a_temporary_error_of_that_part() -> None:
    trial = Trial(in_turn(accepted(ID)))
    trial.store.broken = True
    trial.submit(part(1, 2, "a"))
    assert answers(trial) == [(1, "ESME_RSYSERR")]
    assert trial.line["detail"] == "the disk is full"
    trial.submit(submit(5))
    assert answers(trial)[1:] == [(5, "ESME_ROK")], "a whole message needs no store"


def test_a_store_that_is_full_says_so_and_completes_all_the_same() -> None:
    trial = Trial(in_turn(accepted(ID)), store=DirectStore(max_parts=1))
    trial.submit(part(1, 2, "a"))
    trial.submit(part(1, 2, "x", reference=8))
    assert answers(trial)[-1] == (1, "ESME_RMSGQFUL")
    trial.submit(part(2, 2, "b"))
    assert answers(trial)[-1] == (2, "ESME_ROK")
    assert texts(trial) == ["ab"]


def test_a_store_that_hangs_meets_the_deadline_and_nothing_is_lost() -> None:
    trial = Trial(in_turn(accepted(ID)), response_deadline=2)
    trial.submit(part(1, 2, "a"))
    trial.store.holding = True
    trial.submit(part(2, 2, "b"))
    trial.run(3)
    assert answers(trial)[-1] == (2, "ESME_RSYSERR")
    assert trial.answered_at[-1] <= 1_002
    trial.store.holding = False
    for give in trial.store.held:
        give()
    assert trial.transport.posts == [], "nobody waits for it any more"
    trial.submit(part(2, 2, "b"))
    assert (answers(trial)[-1], texts(trial)) == ((2, "ESME_ROK"), ["ab"])


def test_the_api_is_not_asked_when_the_store_took_the_time() -> None:
    trial = Trial(in_turn(accepted(ID)), response_deadline=2)
    trial.submit(part(1, 2, "a"))
    trial.store.holding = True
    trial.submit(part(2, 2, "b"))
    trial.run(1.9)
    trial.store.holding = False
    trial.store.held.pop()()
    assert answers(trial)[-1] == (2, "ESME_RMSGQFUL")
    assert trial.transport.posts == []
    assert trial.store.real.counts()[:2] == (1, 1)


def test_a_set_that_cannot_be_settled_is_told() -> None:
    trial = Trial(in_turn(accepted(ID)._replace(after=1.0)))
    trial.submit(part(1, 2, "a"))
    trial.submit(part(2, 2, "b"))
    trial.store.broken = True
    trial.run(2)
    assert answers(trial)[-1] == (2, "ESME_ROK"), "the API has accepted it"
    [failed] = [line for line in trial.lines if line["event"] == "store_failed"]
    assert (failed["operation"], failed["detail"]) == ("settle", "the disk is full")
    assert isinstance(trial.store.operations[-1], Settle)
    # It is done as soon as the store is well, and told once.
    expire(trial)
    trial.store.broken = False
    expire(trial)
    assert trial.store.real.counts()[:2] == (0, 0)
    assert len([line for line in trial.lines if line["event"] == "store_failed"]) == 1


def test_a_set_that_cannot_be_put_back_is_put_back_later() -> None:
    trial = Trial(in_turn(DOWN._replace(after=1.0), accepted(ID)))
    trial.submit(part(1, 2, "a"))
    trial.submit(part(2, 2, "b"))
    trial.store.broken = True
    trial.run(2)
    trial.store.broken = False
    expire(trial)
    trial.submit(part(2, 2, "b"))
    assert answers(trial)[-1] == (2, "ESME_ROK")
    assert texts(trial) == ["ab", "ab"]


# Ids.


def test_a_3_3_esme_gets_a_number_for_each_part_that_leads_back() -> None:
    trial = Trial(in_turn(accepted(ID)))
    for number in (1, 2, 3):
        trial.submit(part(number, 3, "x"), version=V33)
    shown = [answer.message_id or "" for answer in trial.answers]
    assert shown[2] == ID[:8]
    assert len(set(shown)) == 3
    assert all(len(one) == 8 for one in shown)
    for line, one in zip(trial.lines, shown, strict=True):
        assert (line["shown_message_id"], len(line["message_id"])) == (one, 36)


@pytest.mark.parametrize(("form", "length"), [("hex", 32), ("decimal", 39)])
def test_ids_of_parts_are_in_the_accounts_form(form: str, length: int) -> None:
    trial = Trial(in_turn(accepted(ID)), message_id_format=form)
    trial.submit(part(1, 2, "a"))
    trial.submit(part(2, 2, "b"))
    for answer in trial.answers:
        assert answer.message_id
        assert answer.message_id.isalnum()
        assert len(answer.message_id) <= length


# Passed through.


def test_passthrough_posts_each_part_by_itself() -> None:
    trial = Trial(in_turn(accepted("a"), accepted("b")), long_messages="passthrough")
    trial.submit(part(2, 2, "world"))
    trial.submit(part(1, 2, "Hello, "))
    assert [answer.message_id for answer in trial.answers] == ["a", "b"]
    messages = [post.sms["messages"][0] for post in trial.transport.posts]
    assert [(one["text"], one["udh"]) for one in messages] == [
        ("world", "050003070202"),
        ("Hello, ", "050003070201"),
    ]
    assert trial.store.operations == []


def test_passthrough_answers_each_part_with_its_own_answer() -> None:
    trial = Trial(in_turn(refused(400), accepted("b")), long_messages="passthrough")
    trial.submit(part(1, 2, "a"))
    trial.submit(part(2, 2, "b"))
    assert answers(trial) == [(1, "ESME_RSUBMITFAIL"), (2, "ESME_ROK")]


# Sets that are never completed.


def test_a_set_that_stays_incomplete_fails_and_leaves_what_receipts_need() -> None:
    trial = Trial(in_turn(accepted()), reassembly_timeout=300)
    trial.submit(part(1, 4, "Zebra", registered_delivery=1))
    trial.run(1)
    trial.submit(part(3, 4, "b", registered_delivery=0x12))
    trial.submit(part(4, 4, "c", registered_delivery=0))
    trial.run(298.9)
    expire(trial)
    assert trial.store.real.counts()[:2] == (1, 3)
    trial.run(0.2)
    expire(trial)
    assert trial.store.real.counts()[:2] == (0, 0)
    assert trial.transport.posts == []
    failed = trial.lines[-1]
    assert (failed["event"], failed["level"], failed["outcome"]) == (
        "set_failed",
        "warning",
        "expired",
    )
    assert (failed["parts"], failed["missing"], failed["receipts"]) == (4, "2", 2)
    assert (failed["system_id"], failed["destination"]) == ("bank", "***345")
    assert "Zebra" not in trial.stream.getvalue()
    assert trial.value("segment_sets_expired_total", system_id="bank", result="failed") == 1
    first, second = trial.store.receipts()
    assert (first["system_id"], first["message_id"]) == ("bank", trial.answers[0].message_id)
    assert second["message_id"] == trial.answers[1].message_id
    assert first["message_state"] == MessageState.EXPIRED


@pytest.mark.parametrize(
    ("registered_delivery", "recorded"), [(0, 0), (1, 1), (2, 1), (3, 0), (0x10, 0), (0x11, 1)]
)
def test_only_who_asked_for_a_receipt_of_failure_gets_one(
    registered_delivery: int, recorded: int
) -> None:
    trial = Trial(in_turn(accepted()), reassembly_timeout=10)
    trial.submit(part(1, 2, "a", registered_delivery=registered_delivery))
    trial.run(11)
    expire(trial)
    assert len(trial.store.receipts()) == recorded


@pytest.mark.parametrize(
    ("step", "state", "outcome"),
    [
        (refused(400), MessageState.REJECTED, "refused"),
        (UNSURE, MessageState.UNKNOWN, "unknown"),
    ],
)
def test_a_set_that_the_api_refused_and_nobody_sent_again(
    step: Step, state: MessageState, outcome: str
) -> None:
    trial = Trial(in_turn(step), reassembly_timeout=60, relay_incomplete=True)
    trial.submit(part(1, 2, "a", registered_delivery=1))
    trial.submit(part(2, 2, "b", registered_delivery=1))
    trial.run(61)
    expire(trial)
    assert len(trial.transport.posts) == 1, "it is never relayed a second time by itself"
    [receipt] = trial.store.receipts()
    assert receipt["message_state"] == state
    assert trial.lines[-1]["outcome"] == outcome


def test_relay_incomplete_sends_what_is_there() -> None:
    trial = Trial(in_turn(accepted(ID)), reassembly_timeout=60, relay_incomplete=True)
    trial.submit(part(1, 3, "first "))
    trial.submit(part(3, 3, "third"))
    trial.run(61)
    expire(trial)
    assert texts(trial) == ["first third"]
    line = trial.lines[-1]
    assert (line["event"], line["message_id"], line["missing"]) == (
        "set_relayed_incomplete",
        ID,
        "2",
    )
    assert trial.value("segment_sets_expired_total", system_id="bank", result="relayed") == 1
    assert trial.store.real.counts()[:2] == (0, 0)
    assert trial.account.sent is not None
    assert ID in trial.account.sent
    assert trial.store.receipts() == []


@pytest.mark.parametrize(
    ("step", "state"), [(refused(400), MessageState.REJECTED), (UNSURE, MessageState.UNKNOWN)]
)
def test_relay_incomplete_that_does_not_succeed_is_a_failure(
    step: Step, state: MessageState
) -> None:
    trial = Trial(in_turn(step), reassembly_timeout=60, relay_incomplete=True)
    trial.submit(part(1, 2, "a", registered_delivery=1))
    trial.run(61)
    expire(trial)
    assert trial.lines[-1]["event"] == "set_failed"
    [receipt] = trial.store.receipts()
    assert receipt["message_state"] == state
    assert trial.store.real.counts()[:2] == (0, 0)


@pytest.mark.parametrize(
    "step", [refused(429), failure(FailureKind.CONNECT, sent=False)], ids=["429", "unreachable"]
)
def test_relay_incomplete_waits_for_an_api_that_is_away(step: Step) -> None:
    away = [True]
    trial = Trial(
        lambda _: step if away else accepted(ID), reassembly_timeout=60, relay_incomplete=True
    )
    trial.submit(part(1, 2, "a"))
    trial.run(61)
    for _ in range(3):
        expire(trial)
        trial.run(11)
    assert trial.store.real.counts()[:2] == (1, 1)
    away.clear()
    expire(trial)
    trial.run(2)  # until the next attempt, whoever makes it
    assert trial.lines[-1]["event"] == "set_relayed_incomplete"
    assert trial.store.real.counts()[:2] == (0, 0)


def test_but_not_for_ever() -> None:
    trial = Trial(in_turn(refused(429)), reassembly_timeout=60, relay_incomplete=True)
    trial.submit(part(1, 2, "a", registered_delivery=1))
    trial.run(121)
    expire(trial)
    assert trial.lines[-1]["event"] == "set_failed"
    [receipt] = trial.store.receipts()
    assert receipt["message_state"] == MessageState.REJECTED


def test_a_slow_api_holds_up_no_other_set() -> None:
    slow = accepted()._replace(after=9.0)
    trial = Trial(in_turn(slow), reassembly_timeout=60, relay_incomplete=True)
    plain = trial.new_account("demo", reassembly_timeout=60)
    trial.submit(part(1, 2, "a"))
    trial.submit(part(1, 2, "b"), account=plain)
    trial.run(61)
    expire(trial)
    assert trial.lines[-1]["event"] == "set_failed"
    assert trial.lines[-1]["system_id"] == "demo"
    trial.run(10)
    assert trial.lines[-1]["event"] == "set_relayed_incomplete"


def test_sets_of_an_account_that_is_gone_fail_too() -> None:
    trial = Trial(in_turn(accepted()), reassembly_timeout=60, relay_incomplete=True)
    trial.submit(part(1, 2, "a", registered_delivery=1))
    del trial.accounts["bank"]
    trial.run(61)
    expire(trial)
    assert trial.transport.posts == []
    assert trial.value("segment_sets_expired_total", system_id="unknown", result="failed") == 1
    assert len(trial.store.receipts()) == 1


def test_many_sets_end_in_one_go() -> None:
    trial = Trial(in_turn(accepted()), reassembly_timeout=60)
    for number in range(450):
        trial.submit(
            part(1, 2, "a", reference=number % 256, source=Address(1, 1, f"372{number:07}"))
        )
    trial.run(61)
    expire(trial)
    assert trial.store.real.counts()[:2] == (0, 0)
    assert sum(line["event"] == "set_failed" for line in trial.lines) == 450


def test_a_part_uses_up_the_throttle_like_any_submit() -> None:
    trial = Trial(in_turn(accepted()), throttle=1)
    trial.submit(part(1, 2, "a"))
    trial.submit(part(2, 2, "b"))
    assert answers(trial) == [(1, "ESME_ROK"), (2, CommandStatus.ESME_RTHROTTLED.name)]
    trial.run(1.1)
    trial.submit(part(2, 2, "b"), version=V34)
    assert texts(trial) == ["ab"]
    assert TO not in trial.stream.getvalue()
    assert FROM not in trial.stream.getvalue()
