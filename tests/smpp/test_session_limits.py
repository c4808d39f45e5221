"""Other limits for a session that goes on, and what holds for the sizes of PDUs."""

from __future__ import annotations

import pytest

from gateway.smpp import effects as e
from gateway.smpp import pdu as p
from gateway.smpp.codec import encode
from gateway.smpp.constants import CommandStatus as S
from gateway.smpp.session import SessionLimits
from gateway.smpp.timers import TimerLimits
from tests.smpp.conversation import NOTHING, Conversation, everything_read  # noqa: F401
from tests.smpp.known_pdus import wire
from tests.smpp.test_session import bound, with_in_flight

ENQUIRE_LINK = 0x15


def grown(octets: int, number: int = 9) -> bytes:
    """An enquire_link of so many octets."""
    return wire(ENQUIRE_LINK, number, body=b"\0" * (octets - 16))


# The sizes of PDUs.


@pytest.mark.parametrize("chunk", [0, 1, 500])
def test_a_pdu_may_be_as_large_as_the_limit_before_the_bind_and_after(chunk: int) -> None:
    limits = SessionLimits(max_pdu_before_bind=300, max_pdu=2_000)
    talk = Conversation(limits, chunk=chunk)
    talk >> grown(300) << p.EnquireLinkResp(9)
    talk.bound()
    talk >> grown(2_000) << p.EnquireLinkResp(9)
    assert talk.flags == []
    talk >> grown(2_001)[:4] << p.GenericNack(0, S.ESME_RINVCMDLEN) << e.Close
    assert talk.flags == ["bad_length"]


def test_the_limit_before_the_bind_holds_until_it_is_accepted() -> None:
    limits = SessionLimits(max_pdu_before_bind=300, max_pdu=2_000)
    talk = Conversation(limits)
    talk >> grown(301)[:16] << p.GenericNack(9, S.ESME_RINVCMDLEN) << e.Close
    assert talk.flags == ["bad_length"]


# Other limits while it goes on.


def test_other_sizes_hold_from_the_next_pdu_on() -> None:
    talk = bound()
    talk.session.relimit(SessionLimits(max_pdu=600, max_pdu_before_bind=300))
    talk >> grown(600) << p.EnquireLinkResp(9)
    talk >> grown(601)[:16] << p.GenericNack(9, S.ESME_RINVCMDLEN) << e.Close


def test_other_sizes_for_one_that_is_not_bound() -> None:
    talk = Conversation()
    talk.session.relimit(SessionLimits(max_pdu=600, max_pdu_before_bind=300))
    talk >> grown(301)[:16] << p.GenericNack(9, S.ESME_RINVCMDLEN) << e.Close


def test_other_sizes_for_one_whose_bind_is_being_checked() -> None:
    talk = Conversation()
    talk >> p.BindTransceiver(1) << e.Authenticate << e.PauseReading
    talk.session.relimit(SessionLimits(max_pdu=600, max_pdu_before_bind=300))
    talk.accepts() << e.Send << e.ResumeReading
    talk >> grown(600) << p.EnquireLinkResp(9)
    talk >> grown(601)[:16] << p.GenericNack(9, S.ESME_RINVCMDLEN) << e.Close


def test_other_timers() -> None:
    talk = bound(timers=TimerLimits(enquire_link=0))
    talk.later(100) << NOTHING
    talk.session.relimit(SessionLimits(timers=TimerLimits(enquire_link=30, response=20)))
    talk.later(1) << p.EnquireLink(1)
    talk >> p.EnquireLinkResp(1) << NOTHING
    talk.session.relimit(SessionLimits(timers=TimerLimits(enquire_link=50, response=20)))
    talk.later(49) << NOTHING
    talk.later(1) << p.EnquireLink(2)
    talk.session.relimit(SessionLimits(timers=TimerLimits(enquire_link=0, inactivity=500)))
    talk.later(20)
    assert talk.session._misses == 1, "asked under the limits of then"


def test_the_window_stays_the_accounts() -> None:
    talk = with_in_flight(2, 3, window=2)
    talk.session.relimit(SessionLimits(window=1_000, throttle_when_full=True))
    talk >> p.SubmitSm(4) << e.PauseReading
    talk.answers(2) << p.SubmitSmResp(2, 0, "id-2") << e.Submit(p.SubmitSm(4)) << e.ResumeReading


def test_one_that_has_ended_stays_ended() -> None:
    talk = bound()
    talk >> b"\0\0\0\3" + bytes(12) << p.GenericNack(0, S.ESME_RINVCMDLEN) << e.Close
    talk.session.relimit(SessionLimits(max_pdu=600))
    talk.window_becomes(5) << NOTHING
    talk >> p.EnquireLink(1) << NOTHING


# Another window.


def test_a_larger_window_lets_on_what_was_held() -> None:
    talk = with_in_flight(2, 3, window=2)
    talk >> [p.SubmitSm(4), p.SubmitSm(5)] << e.PauseReading
    talk.window_becomes(10)
    talk << e.Submit(p.SubmitSm(4)) << e.Submit(p.SubmitSm(5)) << e.ResumeReading
    assert talk.session.in_flight == 4


def test_a_smaller_window_waits_until_there_is_room_in_it() -> None:
    talk = with_in_flight(2, 3, 4, 5, window=4)
    talk.window_becomes(2) << NOTHING
    talk >> p.SubmitSm(6) << e.PauseReading
    for number in (2, 3):
        talk.answers(number) << p.SubmitSmResp(number, 0, f"id-{number}") << NOTHING
    talk.answers(4) << p.SubmitSmResp(4, 0, "id-4") << e.Submit(p.SubmitSm(6)) << e.ResumeReading
    assert talk.session.in_flight == 2


def test_a_window_that_throttles_answers_what_was_held() -> None:
    talk = with_in_flight(2, window=1)
    talk >> [p.SubmitSm(3), p.EnquireLink(4)] << e.PauseReading
    talk.window_becomes(1, throttle=True)
    talk << p.SubmitSmResp(3, S.ESME_RTHROTTLED) << p.EnquireLinkResp(4) << e.ResumeReading
    talk >> p.SubmitSm(5) << p.SubmitSmResp(5, S.ESME_RTHROTTLED)
    talk.window_becomes(1)
    talk >> p.SubmitSm(6) << e.PauseReading


def test_another_window_before_the_bind_is_answered_changes_nothing() -> None:
    talk = Conversation(window=1)
    talk >> p.BindTransceiver(1) << e.Authenticate << e.PauseReading
    talk.window_becomes(7) << NOTHING
    talk.accepts() << e.Send << e.ResumeReading
    talk >> p.SubmitSm(2) << e.Submit
    talk >> p.SubmitSm(3) << e.PauseReading


def test_half_a_pdu_is_measured_by_the_limit_of_its_end() -> None:
    """Whoever lowers max_pdu wants no more of that size."""
    talk = bound()
    octets = encode(p.SubmitSm(2, short_message=b"x" * 200))
    talk >> octets[:100] << NOTHING
    talk.session.relimit(SessionLimits(max_pdu=128))
    talk >> octets[100:] << p.GenericNack(2, S.ESME_RINVCMDLEN) << e.Close
