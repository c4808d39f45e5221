"""A session and its model side by side: each thing that happens, happens to both.

Beside the comparison stand the promises that need no model, from what was written on the wire
alone: no request is answered twice and no answer is unasked, nothing follows a Close, pauses
alternate, the window holds. Whatever drives a `Pair` needs no checks of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from gateway.smpp import effects as e
from gateway.smpp import pdu as p
from gateway.smpp.codec import decode, encode
from gateway.smpp.constants import CommandStatus as S
from gateway.smpp.session import Session, SessionLimits
from gateway.smpp.states import State
from gateway.smpp.timers import TimerLimits
from gateway.smpp.versions import Response
from tests.smpp.session_model import Said, SessionModel, response_id

LIMITS: Final = SessionLimits(
    timers=TimerLimits(
        session_init=20, pdu_read=15, enquire_link=12, inactivity=40, response=10, unbind=5
    ),
    max_pdu=4096,
)
OTHER_LIMITS: Final = SessionLimits(
    timers=TimerLimits(
        session_init=30, pdu_read=5, enquire_link=0, inactivity=0, response=4, unbind=2
    ),
    max_pdu=LIMITS.max_pdu,
    max_pdu_before_bind=64,
    keep_broken_tlv=True,
)
STATES: Final = {
    State.OPEN: "OPEN",
    State.BOUND_TX: "TX",
    State.BOUND_RX: "RX",
    State.BOUND_TRX: "TRX",
    State.UNBINDING: "UNBINDING",
    State.CLOSED: "CLOSED",
}
_ANSWERLESS: Final = {int(p.Outbind.command_id), int(p.AlertNotification.command_id)}
_OURS: Final = (p.Unbind, p.EnquireLink, p.DeliverSm)
_RECEIPT: Final = p.DeliverSm(0, short_message=b"id:1", tlvs=(p.Tlv(0x0427, b"\2"),))


class Pair:
    """`Session` and `SessionModel`, and what their world knows of them."""

    def __init__(self, limits: SessionLimits = LIMITS) -> None:
        self.now = 100.0
        self.session = Session(limits, "gateway", self.now)
        self.model = SessionModel(limits, self.now)
        self.to_check: p.Bind | None = None
        self.handed_on: list[e.Submission | e.Inquiry] = []  # not yet responded to
        self.closed = False  # by either side
        self.window = limits.window
        self._limits = limits
        self._paused = False
        self._unbinds = 0
        self._written = b""  # by the ESME, not yet told apart
        self._lost = False  # framing: nobody knows where a PDU begins
        self._asked: Counter[tuple[int, int]] = Counter()  # (response's command_id, number)
        self._answered: Counter[tuple[int, int]] = Counter()
        # To be answered only where they cannot be read: outbind, alert_notification.
        self._may_be_answered: Counter[tuple[int, int]] = Counter()
        self._tag = 0
        self._left = 0  # octets that nobody took when the connection was lost

    # What happens.

    def writes(self, octets: bytes) -> None:
        """The ESME writes, in a chunk of any size."""
        self._notes(octets)
        self._compare(
            self.session.octets_received(octets, self.now),
            self.model.octets_received(octets, self.now),
        )

    def hangs_up(self) -> None:
        self._left = self.session._framer.pending
        self.session.connection_lost()
        self.model.connection_lost()
        self._ends()
        self._agree()

    def accepts(self, window: int, throttle: bool) -> None:
        """To be called while there is one `to_check`, as `refuses`."""
        bind, self.to_check = self.to_check, None
        assert bind is not None
        self.window = window
        self._compare(
            self.session.bind_accepted(bind, self.now, window=window, throttle_when_full=throttle),
            self.model.bind_accepted(bind, self.now, window=window, throttles=throttle),
        )

    def refuses(self, status: S) -> None:
        bind, self.to_check = self.to_check, None
        assert bind is not None
        self._compare(
            self.session.bind_refused(bind, status), self.model.bind_refused(bind, status)
        )

    def responds(self, index: int, status: S) -> None:
        """The answer to one of `handed_on`."""
        response = _response(self.handed_on.pop(index), status)
        self._compare(
            self.session.respond(response, self.now), self.model.respond(response, self.now)
        )

    def applies(self, window: int, throttle: bool) -> None:
        """The account of a bound session has another window from now on."""
        self.window = window
        self._compare(
            self.session.apply_window(window, throttle, self.now),
            self.model.apply_window(window, throttle, self.now),
        )

    def relimits(self, limits: SessionLimits) -> None:
        """Other settings; `max_pdu` must stay."""
        self.session.relimit(limits)
        self.model.relimit(limits)
        self._agree()

    def delivers(self) -> None:
        self._tag += 1
        said = self.model.deliver(self._tag, self.now)
        assert self.session.may_deliver is (said[0][0] == "deliver_sm")
        self._compare(self.session.deliver(encode(_RECEIPT), self._tag, self.now), said)

    def shuts_down(self) -> None:
        said = [] if self.closed else self.model.shut_down(self.now)
        self._compare(self.session.shut_down(self.now), said)

    def waits(self, seconds: float) -> None:
        """Time passes and ends in one tick, late as it may be."""
        self.now += seconds
        self._compare(self.session.tick(self.now), self.model.tick(self.now))

    def finishes(self) -> None:
        """The rest of the gateway keeps its part; then all are answered, and the session ends."""
        if self.to_check is not None:
            self.accepts(self.window, throttle=False)
        while self.handed_on:
            self.responds(-1, S.ESME_ROK)
        if not self.closed:
            assert not self._paused
            assert self._answered == self._asked, "never answered"
        self.shuts_down()
        self.waits(LIMITS.timers.unbind + 1)
        assert self.closed
        assert not self.session.undelivered

    # What must be true of it.

    def _compare(self, effects: list[e.Effect], said: Said) -> None:
        found = [shape for effect in effects for shape in self._takes(effect)]
        assert found == said, f"\nit did    {found}\nit should {said}"
        self._agree()

    def _takes(self, effect: e.Effect) -> Iterator[tuple[Any, ...]]:
        """The effect as the model tells it; nothing for a flag."""
        if isinstance(effect, e.Flag):
            return
        if isinstance(effect, e.Answered):
            yield "answered", effect.tag, effect.command_status
            return
        assert not self.closed, f"{effect} after Close"
        match effect:
            case e.Send(pdu) | e.Refuse(pdu):
                assert decode(encode(pdu)) == pdu
                yield self._written_by_us(pdu)
            case e.Forward(octets):
                yield self._written_by_us(decode(octets))
            case e.Authenticate(bind):
                assert self.to_check is None
                self.to_check = bind
                yield "check", bind
            case e.Submit(request) | e.Inquire(request):
                self.handed_on.append(request)
                assert len(self.handed_on) <= self.window
                yield "hand on", request
            case e.PauseReading() | e.ResumeReading():
                assert self._paused is isinstance(effect, e.ResumeReading)
                self._paused = not self._paused
                yield ("pause" if self._paused else "resume",)
            case e.Close():
                self._ends()
                yield ("close",)

    def _written_by_us(self, pdu: p.Pdu) -> tuple[Any, ...]:
        assert self.to_check is None, f"{pdu} before the bind was answered"
        if isinstance(pdu, _OURS):
            self._unbinds += isinstance(pdu, p.Unbind)
            assert self._unbinds <= 1
            assert not (self._unbinds and self.handed_on), "an unbind before the answers"
        elif not (isinstance(pdu, p.GenericNack) and pdu.command_status == S.ESME_RINVCMDLEN):
            # That one may also say that framing is lost, or half a PDU came too late.
            key = int(pdu.command_id), pdu.sequence_number
            self._answered[key] += 1
            if self._answered[key] > self._asked[key]:
                assert self._may_be_answered[key], f"{pdu} twice, or unasked"
                self._may_be_answered[key] -= 1
                self._answered[key] -= 1
        return pdu.command_id.name, pdu.sequence_number, pdu.command_status

    def _ends(self) -> None:
        self.closed = True
        assert self.session.take_undelivered() == self.model.undelivered, "oldest first"
        self.model.asked.clear()

    def _agree(self) -> None:
        session = self.session
        assert STATES[session.state] == self.model.state
        assert (session.state is State.CLOSED) is self.closed
        assert session.in_flight == len(self.handed_on)
        assert session.undelivered == len(self.model.undelivered)
        assert not self.closed or session._framer.pending <= self._left, "kept after the end"

    def _notes(self, octets: bytes) -> None:
        """Count the requests in what the ESME writes, by command_length alone."""
        if self.closed or self._lost:
            return
        self._written += octets
        while len(self._written) >= 16:
            length = int.from_bytes(self._written[:4])
            if not 16 <= length <= self._limits.max_pdu:
                self._lost = True
                return
            if len(self._written) < length:
                return
            command_id = int.from_bytes(self._written[4:8])
            number = int.from_bytes(self._written[12:16])
            if not command_id & 0x80000000:
                counted = self._may_be_answered if command_id in _ANSWERLESS else self._asked
                counted[response_id(command_id), number] += 1
            self._written = self._written[length:]


def _response(request: e.Submission | e.Inquiry, status: S) -> Response:
    number = request.sequence_number
    match request:
        case p.SubmitSm():
            return p.SubmitSmResp(number, status, None if status else "id")
        case p.SubmitMulti():
            return p.SubmitMultiResp(number, status, *((None, None) if status else ("id", ())))
        case p.DataSm():
            return p.DataSmResp(number, status, None if status else "id")
        case p.QuerySm():
            # query_sm_resp has all fields or none
            return p.QuerySmResp(number, status, *((None,) * 4 if status else ("id", "", 2, 0)))
        case p.CancelSm():
            return p.CancelSmResp(number, status)
