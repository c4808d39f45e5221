"""Anything in any order: what is true of a session whatever happens to it.

Its callers keep only their part: one `respond` for every Submit, one verdict for every
Authenticate, one `take_undelivered` at the end, and no octets while reading is paused but those
already read.
"""

from __future__ import annotations

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from gateway.smpp import effects as e
from gateway.smpp import pdu as p
from gateway.smpp.codec import decode, encode
from gateway.smpp.constants import CommandStatus as S
from gateway.smpp.session import Session, SessionLimits
from gateway.smpp.states import State
from gateway.smpp.timers import TimerLimits
from tests.smpp.any_pdu import ANY_32_BITS, CLASSES, damaged, pdus

BINDS: list[type[p.Pdu]] = [p.BindReceiver, p.BindTransmitter, p.BindTransceiver]
FIRST = [p.BindTransceiver, p.BindTransmitter, p.BindTransceiver, p.BindReceiver, None]
OTHERS = [cls for cls in CLASSES if cls.command_id != p.Unbind.command_id]
LIMITS = TimerLimits(
    session_init=20, pdu_read=15, enquire_link=12, inactivity=40, response=10, unbind=5
)
ANSWERS = [p.DeliverSmResp, p.EnquireLinkResp, p.UnbindResp, p.GenericNack]
STATUSES = st.sampled_from([S.ESME_ROK, S.ESME_RINVDSTADR, S.ESME_RTHROTTLED, S.ESME_RINVDCS])


class AnyOrder(RuleBasedStateMachine):
    """The world around one session, and what it remembers of it."""

    unanswered = Bundle("unanswered")  # sequence numbers handed on and not yet responded to

    @initialize(window=st.integers(1, 5), throttle=st.booleans(), bind=st.sampled_from(FIRST))
    def connects(self, window: int, throttle: bool, bind: type[p.Bind] | None) -> None:
        self.now = 100.0
        self.session = Session(SessionLimits(timers=LIMITS), "gateway", self.now)
        self.window = window
        self.throttle = throttle
        self.closed = False
        self.left = 0  # octets that nobody took when the connection was lost
        self.paused = False
        self.to_check: p.Bind | None = None
        self.bound = False
        self.asked: Counter[int] = Counter()  # requests by sequence_number
        self.owed: Counter[int] = Counter()  # those of them that are whole and have a response
        self.answered: Counter[int] = Counter()
        self.handed_on: list[int] = []
        self.own_sent: list[int] = []
        self.unbinds = 0
        self.stopping = False
        self.unbinding_since: float | None = None
        self.receives = False  # bound as receiver or transceiver
        self.tag = 0  # of the last delivery
        self.flying: dict[int, float] = {}  # tags unanswered, and when each was sent
        self.half = b""
        if bind is not None:  # most sessions should get somewhere
            self.ask(bind(1))
            self.accepted()

    # What happens.

    def hear(self, effects: list[e.Effect]) -> list[int]:
        """Check effects as they come; the sequence numbers of new Submits."""
        submits = []
        for effect in effects:
            if isinstance(effect, e.Flag):
                continue
            if isinstance(effect, e.Answered):
                assert not self.closed or effect.tag == self.tag, "only what could not be sent"
                del self.flying[effect.tag]  # a KeyError: answered twice
                continue
            assert not self.closed, f"{effect} after Close"
            if isinstance(effect, e.Send | e.Refuse):
                self.sent(effect.pdu)
            elif isinstance(effect, e.Forward):
                self.sent(decode(effect.octets))
            elif isinstance(effect, e.Authenticate):
                assert self.to_check is None
                assert not self.bound
                self.to_check = effect.bind
            elif isinstance(effect, e.Submit | e.Inquire):
                assert self.bound
                assert not self.stopping
                assert self.unbinding_since is None
                self.handed_on.append(effect.pdu.sequence_number)
                submits.append(effect.pdu.sequence_number)
            elif isinstance(effect, e.PauseReading | e.ResumeReading):
                assert self.paused is isinstance(effect, e.ResumeReading)
                self.paused = not self.paused
            elif isinstance(effect, e.Close):
                self.ends()
                if effect.reason == "unbound" and self.handed_on:
                    assert self.unbinding_since is not None
                    assert self.now >= self.unbinding_since + LIMITS.unbind
        if self.session.state is State.UNBINDING and self.unbinding_since is None:
            self.unbinding_since = self.now
        return submits

    def ends(self) -> None:
        self.closed = True
        assert self.session.take_undelivered() == list(self.flying), "each of them, oldest first"
        self.flying.clear()

    def sent(self, pdu: p.Pdu) -> None:
        assert decode(encode(pdu)) == pdu
        assert self.to_check is None, f"{pdu} before the bind was answered"
        number = pdu.sequence_number
        if isinstance(pdu, p.Unbind | p.EnquireLink | p.DeliverSm):
            assert self.bound
            assert self.receives or not isinstance(pdu, p.DeliverSm)
            assert number == len(self.own_sent) + 1
            self.own_sent.append(number)
            self.unbinds += isinstance(pdu, p.Unbind)
            assert self.unbinds <= 1
            assert not (isinstance(pdu, p.Unbind) and self.handed_on)
            return
        assert pdu.command_id >= 0x80000000, f"{pdu} is no business of an MC's"
        if isinstance(pdu, p.GenericNack) and pdu.command_status == S.ESME_RINVCMDLEN:
            return  # framing is lost, or a request without a response was cut short
        self.answered[number] += 1
        assert self.answered[number] <= self.asked[number], "answered twice, or unasked"

    def write(self, octets: bytes) -> list[int]:
        return self.hear(self.session.octets_received(octets, self.now))

    def ask(self, pdu: p.Pdu) -> list[int]:
        if pdu.command_id < 0x80000000:
            self.asked[pdu.sequence_number] += 1
            if not isinstance(pdu, p.Outbind | p.AlertNotification):
                self.owed[pdu.sequence_number] += 1
        return self.whole(encode(pdu))

    def whole(self, octets: bytes) -> list[int]:
        """A PDU behind whatever half of one stands in the buffer."""
        rest, self.half = self.half, b""
        return self.write(rest + octets)

    # The ESME's moves.

    @precondition(lambda self: not self.paused)
    @rule(target=unanswered, number=ANY_32_BITS)
    def submits(self, number: int) -> object:
        return multiple(*self.ask(p.SubmitSm(number)))

    @precondition(lambda self: not self.paused)
    @rule(target=unanswered, numbers=st.lists(st.integers(1, 50), min_size=2, max_size=12))
    def submits_many_at_once(self, numbers: list[int]) -> object:
        self.asked.update(numbers)
        self.owed.update(numbers)
        return multiple(*self.whole(b"".join(encode(p.SubmitSm(number)) for number in numbers)))

    @precondition(lambda self: not self.bound and not self.paused)
    @rule(target=unanswered, bind=pdus(BINDS), behind=st.lists(st.integers(1, 50), max_size=8))
    def binds(self, bind: p.Bind, behind: list[int]) -> object:
        self.asked.update([bind.sequence_number, *behind])
        self.owed.update([bind.sequence_number, *behind])
        chunk = encode(bind) + b"".join(encode(p.SubmitSm(number)) for number in behind)
        return multiple(*self.whole(chunk))

    @rule(target=unanswered, pdu=pdus(OTHERS))
    def writes_anything_but_unbind(self, pdu: p.Pdu) -> object:
        return multiple(*self.ask(pdu))

    @rule(target=unanswered, octets=damaged())
    def writes_something_damaged(self, octets: bytes) -> object:
        if not octets[4] & 0x80:
            self.asked[int.from_bytes(octets[12:16])] += 1
        return multiple(*self.whole(octets))

    @rule(octets=st.sampled_from([bytes(16), b"GET / HTTP/1.1\r\n\r\n", b"\0\0\0\x0f" * 9]))
    def loses_framing(self, octets: bytes) -> None:
        self.whole(octets)

    @rule(number=ANY_32_BITS, times=st.integers(1, 2))
    def unbinds_once_or_twice(self, number: int, times: int) -> None:
        for _ in range(times):
            self.ask(p.Unbind(number))

    @precondition(lambda self: self.own_sent)
    @rule(cls=st.sampled_from(ANSWERS), status=STATUSES, data=st.data())
    def answers_us(self, cls: type[p.Pdu], status: S, data: st.DataObject) -> None:
        self.ask(cls(data.draw(st.sampled_from(self.own_sent)), status))

    @rule(target=unanswered, cut=st.integers(1, 15))
    def stops_in_the_middle(self, cut: int) -> object:
        self.asked[9] += 1
        octets = self.half + encode(p.EnquireLink(9))
        self.half = octets[len(octets) - 16 + cut :]
        return multiple(*self.write(octets[: len(octets) - 16 + cut]))

    @rule()
    def hangs_up(self) -> None:
        self.left = self.session._framer.pending
        self.session.connection_lost()
        self.ends()

    # The gateway's moves.

    @precondition(lambda self: self.to_check is not None)
    @rule(target=unanswered)
    def accepts(self) -> object:
        return multiple(*self.accepted())

    @precondition(lambda self: self.to_check is not None)
    @rule(status=st.sampled_from([S.ESME_RINVPASWD, S.ESME_RBINDFAIL]))
    def refuses(self, status: S) -> None:
        bind, self.to_check = self.to_check, None
        assert bind is not None
        self.hear(self.session.bind_refused(bind, status))
        assert self.closed

    @rule(target=unanswered, number=consumes(unanswered), status=STATUSES)
    def responds(self, number: int, status: S) -> object:
        self.handed_on.remove(number)
        before = self.answered[number]
        response = p.SubmitSmResp(number, status, None if status else "id")
        was_open = not self.closed
        submits = self.hear(self.session.respond(response, self.now))
        assert (self.answered[number] > before) is was_open, "an answer was lost"
        return multiple(*submits)

    @rule(times=st.integers(1, 3))
    def delivers(self, times: int) -> None:
        for _ in range(times):
            self.tag += 1
            self.flying[self.tag] = self.now
            may = self.receives and not (self.closed or self.stopping or self.unbinding_since)
            assert self.session.may_deliver is may
            effects = self.session.deliver(encode(p.DeliverSm(0)), self.tag, self.now)
            assert [type(effect) for effect in effects] == [e.Forward if may else e.Answered]
            self.hear(effects)

    @rule()
    def shuts_down(self) -> None:
        self.stopping = True
        self.hear(self.session.shut_down(self.now))

    @rule(seconds=st.sampled_from([0.5, 1.0, 6.0, 11.0, 45.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.hear(self.session.tick(self.now))
        if not self.paused:
            assert all(self.now - then < LIMITS.response for then in self.flying.values())

    # What is true at any moment.

    @invariant()
    def in_flight_is_what_was_handed_on(self) -> None:
        if not self.closed:
            assert self.session.in_flight == len(self.handed_on)
            assert 0 <= self.session.in_flight <= self.window

    @invariant()
    def undelivered_is_what_was_sent_and_not_answered(self) -> None:
        assert self.session.undelivered == len(self.flying)

    @invariant()
    def the_states_agree(self) -> None:
        assert (self.session.state is State.CLOSED) is self.closed
        if not self.closed:
            assert (self.session.state is State.OPEN) is not self.bound

    @invariant()
    def an_unbind_comes_as_soon_as_nothing_is_in_flight(self) -> None:
        if self.closed or self.handed_on or not self.bound:
            return
        if self.stopping:
            assert self.session.state is State.UNBINDING
        if self.session.state is State.UNBINDING:
            assert self.unbinds, "the ESME's unbind waits for nothing"

    @invariant()
    def nothing_is_kept_after_the_end(self) -> None:
        if self.closed:
            assert self.session._framer.pending <= self.left

    def teardown(self) -> None:
        """A session that is still open answers all it was asked, and then can be ended."""
        if not hasattr(self, "session"):
            return
        if self.to_check is not None:
            self.accepted()
        while self.handed_on and not self.closed:
            number = self.handed_on.pop()
            self.hear(self.session.respond(p.SubmitSmResp(number, 0, "id"), self.now))
        if not self.closed:
            assert not self.paused
            assert not self.owed - self.answered, "never answered"
        self.shuts_down()
        for _ in range(30):
            self.now += 1
            self.hear(self.session.tick(self.now))
        assert self.closed
        assert not self.flying

    def accepted(self) -> list[int]:
        bind, self.to_check = self.to_check, None
        assert bind is not None
        self.bound = not self.closed
        self.receives = self.bound and not isinstance(bind, p.BindTransmitter)
        return self.hear(
            self.session.bind_accepted(
                bind, self.now, window=self.window, throttle_when_full=self.throttle
            )
        )


def test_anything_in_any_order() -> None:
    run_state_machine_as_test(
        AnyOrder, settings=settings(deadline=None, max_examples=250, stateful_step_count=30)
    )
