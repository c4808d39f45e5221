import itertools
from typing import Any

import pytest

from gateway.smpp import effects as e
from gateway.smpp import pdu as p
from gateway.smpp.codec import encode
from gateway.smpp.constants import CommandId, InterfaceVersion
from gateway.smpp.constants import CommandStatus as S
from gateway.smpp.states import State
from gateway.smpp.timers import TimerLimits
from tests.smpp.conversation import (
    NOTHING,
    SC_INTERFACE_VERSION,
    Conversation,
    everything_read,  # noqa: F401
)
from tests.smpp.known_pdus import wire

BINDS: list[tuple[type[p.Bind], type[p.BindResp]]] = [
    (p.BindReceiver, p.BindReceiverResp),
    (p.BindTransmitter, p.BindTransmitterResp),
    (p.BindTransceiver, p.BindTransceiverResp),
]
ODD_NUMBERS = [0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]


def bound(bind: p.Bind | None = None, **options: Any) -> Conversation:
    return Conversation(**options).bound(bind)


def with_in_flight(*sequence_numbers: int, **options: Any) -> Conversation:
    talk = bound(**options)
    for number in sequence_numbers:
        talk >> p.SubmitSm(number) << e.Submit(p.SubmitSm(number))
    return talk


# Binding.


@pytest.mark.parametrize("chunk", [0, 1])
@pytest.mark.parametrize(("bind", "response"), BINDS)
def test_a_bind_is_checked_then_answered(
    bind: type[p.Bind], response: type[p.BindResp], chunk: int
) -> None:
    asked = bind(0xFFFFFFFE, 0, "bank", "secret", "VMS", 0x34, 1, 1, "^37")
    talk = Conversation(chunk=chunk)
    talk >> asked
    talk << e.Authenticate(asked) << e.PauseReading
    assert talk.session.interface_version is InterfaceVersion.V34
    talk.accepts() << response(0xFFFFFFFE, 0, "gateway", SC_INTERFACE_VERSION) << e.ResumeReading


@pytest.mark.parametrize(
    ("interface_version", "rules", "tlvs"),
    [
        (0x00, InterfaceVersion.V33, ()),
        (0x32, InterfaceVersion.V33, ()),
        (0x33, InterfaceVersion.V33, ()),
        (0x34, InterfaceVersion.V34, SC_INTERFACE_VERSION),
        (0x35, InterfaceVersion.V34, SC_INTERFACE_VERSION),
        (0x4F, InterfaceVersion.V34, SC_INTERFACE_VERSION),
        # 0x34 all the same: jsmpp throws on a version that it cannot name
        (0x50, InterfaceVersion.V50, SC_INTERFACE_VERSION),
        (0xFF, InterfaceVersion.V50, SC_INTERFACE_VERSION),
    ],
)
def test_versions(interface_version: int, rules: InterfaceVersion, tlvs: tuple[p.Tlv]) -> None:
    bind = p.BindTransceiver(1, interface_version=interface_version)
    talk = Conversation()
    talk >> bind << e.Authenticate(bind) << e.PauseReading
    talk.accepts() << p.BindTransceiverResp(1, 0, "gateway", tlvs) << e.ResumeReading
    assert talk.session.interface_version is rules


@pytest.mark.parametrize(("bind", "response"), BINDS)
@pytest.mark.parametrize("status", [S.ESME_RINVPASWD, S.ESME_RBINDFAIL, S.ESME_RSYSERR])
def test_a_refused_bind_is_answered_with_one_nul_and_closed(
    bind: type[p.Bind], response: type[p.BindResp], status: S
) -> None:
    talk = Conversation()
    talk >> bind(7) << e.Authenticate << e.PauseReading
    answer = response(7, status, "")
    assert encode(answer)[16:] == b"\0"  # Kannel warns, aiosmpplib fails without it
    talk.refuses(status) << answer << e.Close("bind refused")
    talk >> p.SubmitSm(8)  # naz goes on writing


def test_what_waits_behind_a_refused_bind_is_dropped() -> None:
    talk = Conversation()
    talk >> [p.BindTransceiver(1), p.SubmitSm(2), p.EnquireLink(3)]
    talk << e.Authenticate << e.PauseReading
    talk.refuses(S.ESME_RBINDFAIL) << p.BindTransceiverResp(1, S.ESME_RBINDFAIL, "") << e.Close


@pytest.mark.parametrize("version", [0x33, 0x34])
def test_a_refusal_in_5_0_words_is_translated_for_older_binds(version: int) -> None:
    talk = Conversation()
    talk >> p.BindTransceiver(1, interface_version=version) << e.Authenticate << e.PauseReading
    talk.refuses(S.ESME_RPROHIBITED)
    talk << p.BindTransceiverResp(1, S.ESME_RSUBMITFAIL, "") << e.Close


@pytest.mark.parametrize(("bind", "response"), BINDS)
def test_a_second_bind_is_refused_and_the_session_stays(
    bind: type[p.Bind], response: type[p.BindResp]
) -> None:
    talk = bound()
    talk >> bind(2, system_id="other") << response(2, S.ESME_RALYBND, "")
    talk >> p.SubmitSm(3) << e.Submit
    talk.answers(3) << p.SubmitSmResp(3, 0, "id-3")


@pytest.mark.parametrize("chunk", [0, 1, 17])
def test_what_comes_in_one_chunk_with_the_bind_waits_for_its_answer(chunk: int) -> None:
    talk = Conversation(chunk=chunk)
    talk >> [p.BindTransceiver(1), p.SubmitSm(2), p.EnquireLink(3), p.BindReceiver(4)]
    talk << e.Authenticate << e.PauseReading
    talk.accepts() << p.BindTransceiverResp(1, 0, "gateway", SC_INTERFACE_VERSION)
    talk << e.Submit(p.SubmitSm(2)) << p.EnquireLinkResp(3)
    talk << p.BindReceiverResp(4, S.ESME_RALYBND, "") << e.ResumeReading


def test_what_comes_while_the_bind_is_checked_waits_too() -> None:
    talk = Conversation()
    talk >> p.BindTransceiver(1) << e.Authenticate << e.PauseReading
    talk >> p.EnquireLink(2) << NOTHING
    talk >> p.BindTransceiver(3) << NOTHING  # never two checks at once
    talk >> wire(0x7FFFFFFF, 4) << NOTHING
    talk >> p.Unbind(5) << NOTHING
    talk.accepts() << p.BindTransceiverResp(1, 0, "gateway", SC_INTERFACE_VERSION)
    talk << p.EnquireLinkResp(2) << p.BindTransceiverResp(3, S.ESME_RALYBND, "")
    talk << p.GenericNack(4, S.ESME_RINVCMDID) << p.UnbindResp(5) << e.Close


def test_garbage_behind_a_bind_does_not_spoil_its_answer() -> None:
    talk = Conversation()
    talk >> [p.BindTransceiver(1), b"GET / HTTP/1.1\r\n"]
    talk << e.Authenticate << e.PauseReading
    talk.accepts() << p.BindTransceiverResp(1, 0, "gateway", SC_INTERFACE_VERSION)
    talk << p.GenericNack(0x2E310D0A, S.ESME_RINVCMDLEN) << e.Close


def test_half_a_pdu_behind_a_bind_has_its_time_after_the_answer() -> None:
    talk = Conversation(timers=TimerLimits(session_init=100, pdu_read=10))
    talk >> [p.BindTransceiver(1), b"\0\0\0"] << e.Authenticate << e.PauseReading
    talk.later(50) << NOTHING
    talk.accepts() << p.BindTransceiverResp(1, 0, "gateway", SC_INTERFACE_VERSION)
    talk << e.ResumeReading
    talk.later(9.5) << NOTHING
    talk.later(0.5) << p.GenericNack(0, S.ESME_RINVCMDLEN) << e.Close


def test_the_answer_to_a_bind_whose_connection_is_gone() -> None:
    for answer in ("accepts", "refuses"):
        talk = Conversation()
        talk >> p.BindTransceiver(1) << e.Authenticate << e.PauseReading
        talk.hangs_up()
        _ = talk.accepts() if answer == "accepts" else talk.refuses(S.ESME_RINVPASWD)
        talk << NOTHING
        assert talk.session.state is State.CLOSED


def test_a_malformed_bind_is_refused_by_its_field_and_may_be_tried_again() -> None:
    talk = Conversation()
    talk >> wire(9, 1, 0, b"x" * 70) << p.BindTransceiverResp(1, S.ESME_RINVSYSID, "")
    talk.bound()


# Before the bind.


def test_the_first_request_before_the_bind_is_answered_the_second_ends_it() -> None:
    talk = Conversation()
    talk >> p.SubmitSm(1) << p.SubmitSmResp(1, S.ESME_RINVBNDSTS)
    assert talk.flags == ["wrong_state"]
    talk >> p.QuerySm(2) << p.QuerySmResp(2, S.ESME_RINVBNDSTS) << e.Close


@pytest.mark.parametrize(
    "offence",
    [
        wire(0x7FFFFFFF, 8),
        wire(4, 8),
        wire(9, 8, 0, b"x" * 70),
        encode(p.DeliverSm(8)),
    ],
)
def test_every_kind_of_request_counts_as_an_offence(offence: bytes) -> None:
    talk = Conversation()
    talk >> p.SubmitSm(1) << p.SubmitSmResp(1, S.ESME_RINVBNDSTS)
    talk >> offence << e.Send << e.Close


def test_one_offence_is_forgiven_by_a_bind() -> None:
    talk = Conversation()
    talk >> p.SubmitSm(1) << p.SubmitSmResp(1, S.ESME_RINVBNDSTS)
    talk.bound()
    for number in (2, 3, 4):
        talk >> p.DeliverSm(number) << p.DeliverSmResp(number, S.ESME_RINVBNDSTS)


def test_probes_may_enquire_and_unbind_before_the_bind() -> None:
    talk = Conversation()
    for number in (1, 2, 3):
        talk >> p.EnquireLink(number) << p.EnquireLinkResp(number)
    talk >> p.Unbind(4) << p.UnbindResp(4) << e.Close


def test_responses_before_the_bind_are_neither_answered_nor_an_offence() -> None:
    talk = Conversation()
    for number in (1, 2, 3):
        talk >> [p.DeliverSmResp(number), p.GenericNack(number), wire(0x8000000A, 1)] << NOTHING
    talk.bound()


# The timers.


def test_session_init_ends_a_silent_connection() -> None:
    talk = Conversation(timers=TimerLimits(session_init=10))
    talk.later(9.9) << NOTHING
    talk.later(0.1) << e.Close("no bind in time")
    assert talk.flags == ["session_init_timeout"]
    talk.later(100) << NOTHING


def test_session_init_is_not_put_off_by_chatter() -> None:
    talk = Conversation(timers=TimerLimits(session_init=10))
    for number in range(9):
        talk.later(1)
        talk >> p.EnquireLink(number) << p.EnquireLinkResp(number)
    talk.later(1) << e.Close("no bind in time")


def test_session_init_waits_while_the_bind_is_being_checked() -> None:
    """The delay may be ours: a pause after wrong passwords."""
    talk = Conversation(timers=TimerLimits(session_init=10))
    talk.later(9)
    talk >> p.BindTransceiver(1) << e.Authenticate << e.PauseReading
    talk.later(20) << NOTHING
    talk.accepts() << p.BindTransceiverResp(1, 0, "gateway", SC_INTERFACE_VERSION)
    talk << e.ResumeReading
    talk.later(20) << NOTHING


def test_nothing_is_asked_while_the_bind_is_being_checked() -> None:
    limits = TimerLimits(session_init=5, enquire_link=5, inactivity=5)
    talk = Conversation(timers=limits)
    talk >> p.BindTransceiver(1) << e.Authenticate << e.PauseReading
    talk.later(100) << NOTHING
    talk.refuses(S.ESME_RINVPASWD) << p.BindTransceiverResp(1, S.ESME_RINVPASWD, "") << e.Close


def test_enquire_link_after_silence_and_the_end_after_two_misses() -> None:
    talk = bound(timers=TimerLimits(enquire_link=30, response=20))
    talk.later(29.9) << NOTHING
    talk.later(0.1) << p.EnquireLink(1)
    talk.later(19.9) << NOTHING  # one at a time
    talk.later(0.1) << p.EnquireLink(2)
    talk.later(19.9) << NOTHING
    talk.later(0.1) << e.Close("enquire_link not answered twice")
    talk.later(1000) << NOTHING


@pytest.mark.parametrize("answer", [p.EnquireLinkResp, p.GenericNack])
def test_enquire_link_answered_starts_the_silence_anew(answer: type[p.Pdu]) -> None:
    talk = bound(timers=TimerLimits(enquire_link=30, response=20))
    for number in (1, 2, 3):
        talk.later(30) << p.EnquireLink(number)
        talk.later(15)
        talk >> answer(number) << NOTHING
    assert talk.flags == []


def test_one_miss_is_forgiven_by_any_octet() -> None:
    talk = bound(timers=TimerLimits(enquire_link=30, response=20, pdu_read=1000))
    octets = iter(encode(p.EnquireLink(9)))
    for number in (1, 3, 5):
        talk.later(30) << p.EnquireLink(number)
        talk.later(20) << p.EnquireLink(number + 1)
        talk >> bytes([next(octets)])  # not even a PDU
        talk.later(29.9) << NOTHING
        talk >> bytes([next(octets)])


def test_any_traffic_puts_enquire_link_off() -> None:
    talk = bound(timers=TimerLimits(enquire_link=30))
    for number in range(5):
        talk.later(29)
        talk >> p.EnquireLink(number) << p.EnquireLinkResp(number)


def test_a_late_enquire_link_resp_is_only_counted() -> None:
    talk = bound(timers=TimerLimits(enquire_link=30, response=20))
    talk.later(30) << p.EnquireLink(1)
    talk.later(20) << p.EnquireLink(2)
    talk >> p.EnquireLinkResp(1) << NOTHING
    assert talk.flags == ["unexpected_response"]
    talk >> p.EnquireLinkResp(2) << NOTHING
    assert talk.flags == ["unexpected_response"]


def test_enquire_link_can_be_switched_off() -> None:
    talk = bound(timers=TimerLimits(enquire_link=0))
    talk.later(1000) << NOTHING


def test_inactivity_is_off_by_default() -> None:
    talk = bound()
    for number in range(1, 100):
        talk.later(30) << p.EnquireLink(number)
        talk >> p.EnquireLinkResp(number)


def test_inactivity_unbinds_an_esme_that_only_keeps_alive() -> None:
    talk = bound(timers=TimerLimits(inactivity=120, enquire_link=0, unbind=5))
    for number in range(11):
        talk.later(10)
        talk >> p.EnquireLink(number) << p.EnquireLinkResp(number)
    talk.later(10) << p.Unbind(1)
    assert talk.flags == ["inactivity_timeout"]
    talk >> p.SubmitSm(20) << p.SubmitSmResp(20, S.ESME_RMSGQFUL)
    talk >> p.UnbindResp(1) << e.Close("unbound by the gateway")


@pytest.mark.parametrize(
    ("message", "answer"),
    [
        (p.SubmitSm(2), e.Submit),
        (p.DataSm(2), e.Submit),
        (p.QuerySm(2), e.Inquire),
        (p.ReplaceSm(2), e.Send),
    ],
)
def test_a_message_is_activity(message: p.Pdu, answer: type[e.Effect]) -> None:
    talk = bound(timers=TimerLimits(inactivity=120, enquire_link=0))
    talk.later(119)
    talk >> message << answer
    if answer is not e.Send:
        talk.answers(2) << e.Send
    talk.later(119.9) << NOTHING
    talk.later(0.1) << p.Unbind(1)


def test_inactivity_runs_from_the_bind_not_from_the_connection() -> None:
    talk = Conversation(timers=TimerLimits(session_init=100, inactivity=60, enquire_link=0))
    talk.later(50)
    talk.bound()
    talk.later(59.9) << NOTHING
    talk.later(0.1) << p.Unbind(1)


def test_inactivity_waits_for_what_is_in_flight() -> None:
    """An unbind_resp ends the connection, and the answer would have nowhere to go."""
    talk = with_in_flight(2, timers=TimerLimits(inactivity=20, enquire_link=0))
    talk.later(60) << NOTHING
    talk.answers(2) << p.SubmitSmResp(2, 0, "id-2")


def test_an_unbind_of_ours_is_waited_for_in_vain_only_so_long() -> None:
    talk = bound(timers=TimerLimits(unbind=5))
    talk.shuts_down() << p.Unbind(1)
    talk.later(4.9) << NOTHING
    talk.later(0.1) << e.Close("no unbind_resp in time")


# Sequence numbers.


@pytest.mark.parametrize("number", ODD_NUMBERS)
def test_any_sequence_number_is_echoed(number: int) -> None:
    talk = Conversation()
    talk >> p.EnquireLink(number) << p.EnquireLinkResp(number)
    talk >> p.BindTransceiver(number) << e.Authenticate << e.PauseReading
    talk.accepts() << p.BindTransceiverResp(number, 0, "gateway", SC_INTERFACE_VERSION)
    talk << e.ResumeReading
    talk >> p.SubmitSm(number) << e.Submit(p.SubmitSm(number))
    talk.answers(number, message_id="a") << p.SubmitSmResp(number, 0, "a")
    talk >> p.QuerySm(number) << e.Inquire(p.QuerySm(number))
    failed = p.QuerySmResp(number, S.ESME_RQUERYFAIL)
    talk.responds(failed) << failed
    talk >> p.ReplaceSm(number) << p.ReplaceSmResp(number, S.ESME_RREPLACEFAIL)
    talk >> wire(0x111, number) << p.GenericNack(number, S.ESME_RINVCMDID)
    talk >> p.DeliverSm(number) << p.DeliverSmResp(number, S.ESME_RINVBNDSTS)
    talk >> p.Unbind(number) << p.UnbindResp(number) << e.Close


def test_our_own_sequence_numbers_run_from_1_whatever_the_esme_uses() -> None:
    talk = bound(p.BindTransceiver(500), timers=TimerLimits(enquire_link=30))
    for number in (1, 2, 3):
        talk >> p.EnquireLink(number) << p.EnquireLinkResp(number)
        talk.later(30) << p.EnquireLink(number)
        talk >> p.EnquireLinkResp(number)


def test_our_own_sequence_numbers_wrap() -> None:
    talk = bound(timers=TimerLimits(enquire_link=30))
    talk.session._ours._next = 0x7FFFFFFF
    for number in (0x7FFFFFFF, 1):
        talk.later(30) << p.EnquireLink(number)
        talk >> p.EnquireLinkResp(number)
    assert talk.flags == []


# Submits and their answers.


def test_answers_leave_in_the_order_in_which_they_come() -> None:
    for order in itertools.permutations((2, 3, 4)):
        talk = with_in_flight(2, 3, 4)
        for number in order:
            talk.answers(number) << p.SubmitSmResp(number, 0, f"id-{number}")
        assert talk.session.in_flight == 0


def test_a_sequence_number_used_twice_is_two_messages_and_two_answers() -> None:
    talk = bound()
    first, second = p.SubmitSm(2, short_message=b"one"), p.SubmitSm(2, short_message=b"two")
    talk >> [first, second] << e.Submit(first) << e.Submit(second)
    talk.answers(2, message_id="b") << p.SubmitSmResp(2, 0, "b")
    talk.answers(2, S.ESME_RSYSERR) << p.SubmitSmResp(2, S.ESME_RSYSERR)
    assert talk.session.in_flight == 0


@pytest.mark.parametrize(
    ("version", "status", "message_id", "octets"),
    [
        (0x33, 0, "0f6a1c9e", wire(0x80000004, 2, 0, '"0f6a1c9e" 00')),
        (0x34, 0, "0f6a1c9e-52f7-4a4b", wire(0x80000004, 2, 0, '"0f6a1c9e-52f7-4a4b" 00')),
        (0x50, 0, "0f6a1c9e-52f7-4a4b", wire(0x80000004, 2, 0, '"0f6a1c9e-52f7-4a4b" 00')),
        (0x33, 0x104, None, wire(0x80000004, 2, 0x45)),
        (0x34, 0x104, None, wire(0x80000004, 2, 0x45)),
        (0x50, 0x104, None, wire(0x80000004, 2, 0x104)),
        (0x34, 0x0B, "0f6a1c9e", wire(0x80000004, 2, 0x0B)),
    ],
)
def test_an_answer_in_the_words_of_its_version(
    version: int, status: int, message_id: str | None, octets: bytes
) -> None:
    talk = bound(p.BindTransmitter(1, interface_version=version))
    talk >> p.SubmitSm(2) << e.Submit
    (answer,) = talk.session.respond(p.SubmitSmResp(2, status, message_id), talk.now)
    assert isinstance(answer, e.Send)
    assert encode(answer.pdu) == octets


def test_a_bind_of_3_3_never_sees_a_tlv() -> None:
    talk = bound(p.BindTransceiver(1, interface_version=0x33))
    talk >> p.SubmitSm(2, tlvs=(p.Tlv(0x0424, b"theirs are read"),)) << e.Submit
    talk.answers(2, S.ESME_RSUBMITFAIL, tlvs=(p.Tlv(0x001D, b"why\0"),))
    talk << p.SubmitSmResp(2, S.ESME_RSUBMITFAIL)


def test_an_answer_after_the_end_goes_nowhere() -> None:
    talk = with_in_flight(2, 3)
    talk.hangs_up()
    talk.answers(2) << NOTHING
    assert talk.flags == ["answer_after_close"]
    talk = with_in_flight(2)
    talk >> bytes(16) << p.GenericNack(0, S.ESME_RINVCMDLEN) << e.Close
    talk.answers(2) << NOTHING


def test_received_pdus_are_counted_by_kind() -> None:
    talk = bound()
    talk >> [p.SubmitSm(2), p.SubmitSm(3), p.EnquireLink(4), wire(0x111, 5), wire(4, 6)]
    talk << e.Submit << e.Submit << e.Send << e.Send << e.Send
    assert talk.session.received == {
        CommandId.bind_transceiver: 1,
        CommandId.submit_sm: 3,  # the malformed one came too
        CommandId.enquire_link: 1,
    }


# The window.


@pytest.mark.parametrize("window", [1, 2, 3, 4, 10])
def test_one_submit_beyond_the_window_is_held_and_reading_pauses(window: int) -> None:
    talk = with_in_flight(*range(window), window=window)
    talk >> [p.SubmitSm(100), p.SubmitSm(101), p.SubmitSm(102)] << e.PauseReading
    assert talk.flags == ["window_full"]
    assert talk.session.in_flight == window
    # held until a quarter is free, so that reading does not resume for every answer
    free = max(1, window // 4)
    for number in range(free - 1):
        talk.answers(number) << e.Send
    talk.answers(free - 1) << p.SubmitSmResp(free - 1, 0, f"id-{free - 1}")
    waiting = [100, 101, 102]
    for number in waiting[:free]:
        talk << e.Submit(p.SubmitSm(number))
    if free < len(waiting):
        assert talk.flags == ["window_full"] * 2
    else:
        talk << e.ResumeReading
    assert talk.session.in_flight == window - free + min(free, len(waiting))


def test_a_window_of_one_takes_its_messages_one_by_one() -> None:
    talk = with_in_flight(2, window=1)
    talk >> [p.SubmitSm(3), p.SubmitSm(4), p.EnquireLink(5)] << e.PauseReading
    talk.answers(2) << p.SubmitSmResp(2, 0, "id-2") << e.Submit(p.SubmitSm(3))
    talk.answers(3) << p.SubmitSmResp(3, 0, "id-3") << e.Submit(p.SubmitSm(4))
    talk << p.EnquireLinkResp(5) << e.ResumeReading
    talk.answers(4) << p.SubmitSmResp(4, 0, "id-4")


def test_what_comes_behind_a_held_submit_keeps_its_place() -> None:
    talk = with_in_flight(2, window=1)
    talk >> [p.SubmitSm(3), p.EnquireLink(4)] << e.PauseReading
    talk >> p.ReplaceSm(5) << NOTHING  # was already in the socket's buffer
    talk.answers(2) << p.SubmitSmResp(2, 0, "id-2") << e.Submit(p.SubmitSm(3))
    talk << p.EnquireLinkResp(4) << p.ReplaceSmResp(5, S.ESME_RREPLACEFAIL) << e.ResumeReading


@pytest.mark.parametrize("request_", [p.SubmitSm, p.SubmitMulti, p.DataSm, p.QuerySm, p.CancelSm])
def test_every_request_that_is_handed_on_fills_the_window(request_: type[p.Pdu]) -> None:
    body: dict[str, Any] = {"destinations": (p.Address(addr="1"),)}
    talk = with_in_flight(2, window=1)
    one: Any = request_(3, **(body if request_ is p.SubmitMulti else {}))
    talk >> one << e.PauseReading
    effect = e.Inquire if request_ in {p.QuerySm, p.CancelSm} else e.Submit
    talk.answers(2) << p.SubmitSmResp(2, 0, "id-2") << effect(one) << e.ResumeReading
    assert talk.session.in_flight == 1


def test_a_full_window_still_answers_everything_but_submits() -> None:
    talk = with_in_flight(2, 3, window=2)
    talk >> p.EnquireLink(4) << p.EnquireLinkResp(4)
    talk >> p.ReplaceSm(5) << p.ReplaceSmResp(5, S.ESME_RREPLACEFAIL)
    talk >> wire(0x111, 6) << p.GenericNack(6, S.ESME_RINVCMDID)
    assert "window_full" not in talk.flags


def test_beyond_the_window_the_option_says_throttled() -> None:
    talk = with_in_flight(2, 3, window=2, throttle=True)
    talk >> [p.SubmitSm(4), p.SubmitSm(5), p.EnquireLink(6)]
    talk << p.SubmitSmResp(4, S.ESME_RTHROTTLED) << p.SubmitSmResp(5, S.ESME_RTHROTTLED)
    talk << p.EnquireLinkResp(6)
    assert talk.flags == ["window_full", "window_full"]
    talk.answers(2) << p.SubmitSmResp(2, 0, "id-2")
    talk >> p.SubmitSm(7) << e.Submit(p.SubmitSm(7))


def test_an_unbind_behind_a_held_submit_waits_for_it() -> None:
    talk = with_in_flight(2, window=1)
    talk >> [p.SubmitSm(3), p.Unbind(4)] << e.PauseReading
    talk.answers(2) << p.SubmitSmResp(2, 0, "id-2") << e.Submit(p.SubmitSm(3))
    talk << e.ResumeReading
    talk.answers(3) << p.SubmitSmResp(3, 0, "id-3") << p.UnbindResp(4) << e.Close


def test_half_a_pdu_is_not_late_while_it_is_us_who_do_not_read() -> None:
    talk = with_in_flight(2, window=1, timers=TimerLimits(pdu_read=10, enquire_link=0))
    talk >> [p.SubmitSm(3), encode(p.EnquireLink(4))[:9]] << e.PauseReading
    talk.later(60) << NOTHING
    talk.answers(2) << e.Send << e.Submit(p.SubmitSm(3)) << e.ResumeReading
    talk.later(9.9) << NOTHING
    talk >> encode(p.EnquireLink(4))[9:] << p.EnquireLinkResp(4)


def test_an_esme_is_not_taken_for_dead_while_it_is_us_who_do_not_read() -> None:
    """Its enquire_link_resp may stand in the socket."""
    talk = with_in_flight(2, window=1, timers=TimerLimits(enquire_link=30, response=20))
    talk.later(29)
    talk >> p.SubmitSm(3) << e.PauseReading
    talk.later(300) << NOTHING
    talk.answers(2) << e.Send << e.Submit(p.SubmitSm(3)) << e.ResumeReading
    talk.later(29) << NOTHING
    talk.later(1) << p.EnquireLink(1)


# The ESME unbinds.


def test_unbind_of_an_idle_session() -> None:
    talk = bound()
    talk >> p.Unbind(2) << p.UnbindResp(2) << e.Close("unbound")
    talk >> p.EnquireLink(3) << NOTHING
    talk.later(1000) << NOTHING


def test_unbind_lets_what_is_in_flight_finish_first() -> None:
    talk = with_in_flight(2, 3)
    talk >> p.Unbind(4) << NOTHING
    talk >> p.SubmitSm(5) << p.SubmitSmResp(5, S.ESME_RINVBNDSTS)
    talk >> p.EnquireLink(6) << p.EnquireLinkResp(6)
    talk.answers(3) << p.SubmitSmResp(3, 0, "id-3")
    talk.answers(2, S.ESME_RINVDSTADR) << p.SubmitSmResp(2, S.ESME_RINVDSTADR)
    talk << p.UnbindResp(4) << e.Close("unbound")


def test_unbind_waits_only_so_long() -> None:
    talk = with_in_flight(2, 3, timers=TimerLimits(unbind=5))
    talk >> p.Unbind(4)
    talk.answers(2) << e.Send
    talk.later(4.9) << NOTHING
    talk.later(0.1) << p.UnbindResp(4) << e.Close("unbound")
    talk.answers(3) << NOTHING
    assert talk.flags == ["answer_after_close"]


def test_nobody_is_enquired_while_unbinding() -> None:
    talk = with_in_flight(2, timers=TimerLimits(enquire_link=10, inactivity=15, unbind=60))
    talk >> p.Unbind(4)
    talk.later(50) << NOTHING
    talk.answers(2) << e.Send << p.UnbindResp(4) << e.Close


# The gateway shuts down.


def test_shutdown_before_the_bind_just_closes() -> None:
    talk = Conversation()
    talk.shuts_down() << e.Close("shutting down")
    talk >> p.BindTransceiver(1) << NOTHING


def test_shutdown_of_an_idle_session_unbinds_it() -> None:
    talk = bound()
    talk.shuts_down() << p.Unbind(1)
    talk.shuts_down() << NOTHING
    talk >> p.SubmitSm(2) << p.SubmitSmResp(2, S.ESME_RMSGQFUL)  # it crossed the unbind
    talk >> p.EnquireLink(3) << p.EnquireLinkResp(3)
    talk >> p.UnbindResp(1) << e.Close("unbound by the gateway")


@pytest.mark.parametrize("answer", [p.UnbindResp(1), p.UnbindResp(1, 8), p.GenericNack(1, 3)])
def test_any_answer_to_our_unbind_will_do(answer: p.Pdu) -> None:
    talk = bound()
    talk.shuts_down() << p.Unbind(1)
    talk >> p.UnbindResp(2) << NOTHING
    talk >> answer << e.Close("unbound by the gateway")


def test_shutdown_lets_what_is_in_flight_finish_first() -> None:
    talk = with_in_flight(2, 3)
    talk.shuts_down() << NOTHING
    talk >> p.SubmitSm(4) << p.SubmitSmResp(4, S.ESME_RMSGQFUL)
    talk >> p.EnquireLink(5) << p.EnquireLinkResp(5)
    talk.answers(3) << p.SubmitSmResp(3, 0, "id-3")
    talk.answers(2) << p.SubmitSmResp(2, 0, "id-2") << p.Unbind(1)
    talk >> p.UnbindResp(1) << e.Close


def test_shutdown_with_a_held_submit() -> None:
    talk = with_in_flight(2, window=1)
    talk >> [p.SubmitSm(3), p.SubmitSm(4)] << e.PauseReading
    talk.shuts_down() << NOTHING
    talk.answers(2) << p.SubmitSmResp(2, 0, "id-2")
    talk << p.SubmitSmResp(3, S.ESME_RMSGQFUL) << p.SubmitSmResp(4, S.ESME_RMSGQFUL)
    talk << e.ResumeReading << p.Unbind(1)


def test_shutdown_while_a_bind_is_being_checked() -> None:
    talk = Conversation()
    talk >> [p.BindTransceiver(1), p.SubmitSm(2)] << e.Authenticate << e.PauseReading
    talk.shuts_down() << NOTHING
    talk.accepts() << p.BindTransceiverResp(1, 0, "gateway", SC_INTERFACE_VERSION)
    talk << p.SubmitSmResp(2, S.ESME_RMSGQFUL) << e.ResumeReading << p.Unbind(1)


def test_both_sides_unbind_at_once() -> None:
    talk = bound()
    talk.shuts_down() << p.Unbind(1)
    talk >> p.Unbind(7) << p.UnbindResp(7)
    talk >> p.UnbindResp(1) << e.Close


def test_both_sides_unbind_and_the_esme_says_no_more() -> None:
    talk = bound(timers=TimerLimits(unbind=5))
    talk.shuts_down() << p.Unbind(1)
    talk >> p.Unbind(7) << p.UnbindResp(7)
    talk.later(5) << e.Close("no unbind_resp in time")


def test_shutdown_while_the_esme_unbinds() -> None:
    talk = with_in_flight(2)
    talk >> p.Unbind(3)
    talk.shuts_down() << NOTHING
    talk.answers(2) << e.Send << p.UnbindResp(3) << e.Close


def test_shutdown_of_what_is_over_does_nothing() -> None:
    talk = bound()
    talk.hangs_up().shuts_down() << NOTHING
    talk = with_in_flight(2)
    talk >> p.Unbind(3)
    talk.hangs_up()
    talk.answers(2) << NOTHING
    talk.shuts_down() << NOTHING


# Deliveries.

RECEIVING: list[type[p.Bind]] = [p.BindReceiver, p.BindTransceiver]
TLVS = (p.Tlv(0x0427, b"\x02"), p.Tlv(0x001E, b"7\0"))
RESPONSE_TIMEOUT = TimerLimits(response=20, enquire_link=0)


def sent(number: int, tag: int, tlvs: tuple[p.Tlv, ...] = ()) -> p.DeliverSm:
    return p.DeliverSm(number, short_message=b"id:%d" % tag, tlvs=tlvs)


def with_undelivered(*tags: int, **options: Any) -> Conversation:
    """Their sequence_numbers run from 1."""
    talk = bound(**options)
    for number, tag in enumerate(tags, 1):
        talk.delivers(tag) << sent(number, tag)
    return talk


@pytest.mark.parametrize("bind", RECEIVING)
@pytest.mark.parametrize("version", [0x00, 0x33, 0x34, 0x50])
def test_a_delivery_and_its_answer(bind: type[p.Bind], version: int) -> None:
    talk = bound(bind(1, interface_version=version))
    assert talk.session.may_deliver
    for number, tag in ((1, 900), (2, 7)):
        pdu = p.DeliverSm(55, short_message=b"id:%d" % tag, tlvs=TLVS)
        talk.delivers(tag, pdu) << sent(number, tag, TLVS if version >= 0x34 else ())
    assert talk.session.undelivered == 2
    talk >> p.DeliverSmResp(2) << e.Answered(7, 0)
    talk >> p.DeliverSmResp(1, S.ESME_RX_T_APPN) << e.Answered(900, S.ESME_RX_T_APPN)
    assert talk.session.undelivered == 0
    assert talk.flags == []


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (wire(0x80000005, 1), 0),  # 3.4 has one octet there; many send none
        (wire(0x80000005, 1, 0, "00"), 0),
        (wire(0x80000005, 1, 0, '"filled in" 00'), 0),  # jasmin#1124
        (wire(0x80000005, 1, 0, '"without a NUL"'), 0),
        (wire(0x80000005, 1, 0, "00 001D 0003 616200"), 0),
        (wire(0x80000005, 1, 0, "00 00"), 0),
        (wire(0x80000005, 1, 0x401), 0x401),
        (wire(0x80000005, 1, 0x14, "00"), 0x14),
        (wire(0x80000000, 1, 0x03), 0x03),
    ],
)
def test_whatever_a_deliver_sm_resp_holds(answer: bytes, status: int) -> None:
    talk = with_undelivered(70)
    talk >> answer << e.Answered(70, status)
    talk >> answer << NOTHING
    assert "unexpected_response" in talk.flags, "the second one"


@pytest.mark.parametrize(
    "answer",
    [
        *(p.DeliverSmResp(2), p.DeliverSmResp(0), p.DeliverSmResp(0x80000001), p.GenericNack(2)),
        *(p.SubmitSmResp(1), p.DataSmResp(1), p.EnquireLinkResp(1), p.UnbindResp(1)),
    ],
)
def test_what_answers_no_delivery(answer: p.Pdu) -> None:
    talk = with_undelivered(70)
    talk >> answer << NOTHING
    assert talk.session.undelivered == 1
    talk >> p.DeliverSmResp(1) << e.Answered(70, 0)


def test_a_transmitter_gets_no_delivery() -> None:
    talk = bound(p.BindTransmitter(1))
    assert not talk.session.may_deliver
    talk.delivers(70) << e.Answered(70, None)
    assert talk.session.undelivered == 0


def test_nothing_is_delivered_before_the_bind_is_answered() -> None:
    talk = Conversation()
    talk.delivers(70) << e.Answered(70, None)
    talk >> p.BindTransceiver(1) << e.Authenticate << e.PauseReading
    assert not talk.session.may_deliver
    talk.delivers(71) << e.Answered(71, None)
    talk.accepts() << e.Send << e.ResumeReading
    talk.delivers(72) << sent(1, 72)


def test_an_unanswered_delivery_gives_its_place_back_and_costs_nothing_else() -> None:
    talk = with_undelivered(70, 71, timers=RESPONSE_TIMEOUT)
    talk.later(10)
    talk.delivers(72) << sent(3, 72)
    talk.later(9.9) << NOTHING
    talk.later(0.1) << e.Answered(70, None) << e.Answered(71, None)
    assert talk.session.undelivered == 1
    assert talk.session.may_deliver
    talk >> [p.DeliverSmResp(1), p.DeliverSmResp(3)] << e.Answered(72, 0)
    assert talk.flags == ["unexpected_response"], "too late"
    for tag in range(100, 110):  # none of them is a miss
        talk.delivers(tag) << e.Send
        talk.later(20) << e.Answered(tag, None)
    talk >> p.EnquireLink(9) << p.EnquireLinkResp(9)


def test_deliveries_and_enquire_links_share_their_numbers() -> None:
    talk = bound(timers=TimerLimits(enquire_link=30, response=60))
    talk.delivers(70) << sent(1, 70)
    talk.later(30) << p.EnquireLink(2)
    talk.delivers(71) << sent(3, 71)
    talk >> p.EnquireLinkResp(1) << NOTHING
    assert talk.flags == ["unexpected_response"]
    talk >> [p.DeliverSmResp(3), p.EnquireLinkResp(2), p.DeliverSmResp(1)]
    talk << e.Answered(71, 0) << e.Answered(70, 0)


def test_the_numbers_of_deliveries_wrap() -> None:
    talk = bound()
    talk.session._ours._next = 0x7FFFFFFF
    talk.delivers(70) << sent(0x7FFFFFFF, 70)
    talk.delivers(71) << sent(1, 71)
    talk >> p.DeliverSmResp(0x7FFFFFFF) << e.Answered(70, 0)


def test_a_dead_link_ends_with_what_it_was_sent() -> None:
    talk = bound(timers=TimerLimits(enquire_link=30, response=20))
    talk.later(30) << p.EnquireLink(1)
    talk.later(20) << p.EnquireLink(2)
    talk.delivers(70) << sent(3, 70)
    talk.later(20) << e.Answered(70, None) << e.Close("enquire_link not answered twice")


def test_deliveries_do_not_keep_a_link_alive_that_is_dead() -> None:
    talk = bound(timers=TimerLimits(enquire_link=30, response=20))
    talk.later(29)
    talk.delivers(70) << sent(1, 70)
    talk.later(1) << p.EnquireLink(2)


def test_no_delivery_expires_while_it_is_us_who_do_not_read() -> None:
    """Its answer may stand in the socket, and it would be sent again."""
    talk = with_in_flight(2, window=1, timers=TimerLimits(response=20))
    talk.delivers(70) << sent(1, 70)
    talk >> [p.SubmitSm(3), p.DeliverSmResp(1)] << e.PauseReading
    talk.later(60) << NOTHING
    talk.answers(2) << e.Send << e.Submit(p.SubmitSm(3)) << e.Answered(70, 0) << e.ResumeReading


def test_deliveries_do_not_fill_the_window_of_submits() -> None:
    talk = with_undelivered(70, 71, window=1)
    talk >> p.SubmitSm(2) << e.Submit(p.SubmitSm(2))
    talk.answers(2) << e.Send


def test_answered_deliveries_are_activity() -> None:
    talk = bound(p.BindReceiver(1), timers=TimerLimits(inactivity=60, enquire_link=0))
    talk.later(59)
    talk.delivers(70) << sent(1, 70)
    talk >> p.DeliverSmResp(1) << e.Answered(70, 0)
    talk.later(59) << NOTHING
    talk.delivers(71) << sent(2, 71)  # that alone is none
    talk.later(1) << p.Unbind(3)
    talk >> [p.DeliverSmResp(2), p.UnbindResp(3)] << e.Answered(71, 0) << e.Close


def test_an_esme_that_unbinds_is_not_kept_waiting_by_what_it_did_not_answer() -> None:
    talk = with_undelivered(70, 71, 72)
    talk >> [p.DeliverSmResp(2), p.Unbind(4), p.DeliverSmResp(1)]
    talk << e.Answered(71, 0) << p.UnbindResp(4) << e.Close("unbound")
    assert talk.session.take_undelivered() == [70, 72]
    assert talk.session.take_undelivered() == []


def test_answers_count_while_an_unbind_waits_for_submits() -> None:
    talk = with_in_flight(2)
    talk.delivers(70) << sent(1, 70)
    talk >> p.Unbind(3) << NOTHING
    assert not talk.session.may_deliver
    talk.delivers(71) << e.Answered(71, None)
    talk >> p.DeliverSmResp(1) << e.Answered(70, 0)
    talk.answers(2) << e.Send << p.UnbindResp(3) << e.Close


def test_a_shutdown_unbinds_over_unanswered_deliveries_and_hears_their_answers() -> None:
    talk = with_undelivered(70, 71)
    talk.shuts_down() << p.Unbind(3)
    assert not talk.session.may_deliver
    talk >> p.DeliverSmResp(1) << e.Answered(70, 0)
    talk >> p.UnbindResp(3) << e.Close("unbound by the gateway")
    assert talk.session.take_undelivered() == [71]


def test_nothing_is_delivered_while_a_shutdown_waits_for_submits() -> None:
    talk = with_in_flight(2)
    talk.shuts_down() << NOTHING
    assert not talk.session.may_deliver
    talk.delivers(70) << e.Answered(70, None)
    talk.answers(2) << e.Send << p.Unbind(1)


def test_an_unbind_and_deliveries_that_expire_together() -> None:
    talk = with_undelivered(70, timers=TimerLimits(response=5, unbind=5, enquire_link=0))
    talk.shuts_down() << p.Unbind(2)
    talk.later(5) << e.Answered(70, None) << e.Close("no unbind_resp in time")


def test_what_was_unanswered_when_the_connection_was_lost() -> None:
    talk = with_undelivered(70, 71, 72)
    talk >> p.DeliverSmResp(2) << e.Answered(71, 0)
    talk.hangs_up()
    assert not talk.session.may_deliver
    talk.delivers(73) << e.Answered(73, None)
    assert talk.session.take_undelivered() == [70, 72]
    assert talk.session.undelivered == 0
    talk.later(100) << NOTHING


# After the end.


def test_nothing_is_kept_of_what_comes_after_the_end() -> None:
    """Its answers may be long in coming, and hold the session in memory."""
    talk = Conversation()
    talk >> [p.BindTransceiver(1), p.SubmitSm(2)] << e.Authenticate << e.PauseReading
    talk.refuses(S.ESME_RINVPASWD) << e.Send << e.Close
    for _ in range(3):
        talk >> b"x" * 1000 << NOTHING
    assert talk.session._framer.pending == 0
