"""One SMPP session of the MC: octets and answers in, effects out. Pure.

The rules:

- `states.MOVES` alone says what a PDU means in a state; this module only carries moves out.
- Every request gets exactly one response, the matching *_resp wherever the command is
  known, because go-smpp and Net::SMPP wait for it by type. A response and a generic_nack
  are never answered.
- Only a command_length that makes no sense, an unfinished PDU and a refused bind cost the
  session; a bad field costs its own PDU.
- Nothing is sent before the bind is answered, and while a bind is being checked, or the
  ESME has its whole window unanswered, the next PDU waits and reading stops: TCP is the
  back-pressure that every ESME understands.
- Responses leave in the order in which results come, not in the order of requests.
- A deliver_sm that is not answered costs nothing but its place: it closes no session, and no
  unbind waits for it.
- `now` is monotonic seconds, given by the caller. The session never reads a clock.

The caller runs the effects in order, calls `respond` once for every `Submit` and `Inquire`, and
`bind_accepted` or `bind_refused` once for every `Authenticate`. Every deliver_sm ends once: in an
`Answered`, or in what `take_undelivered` gives after the end. After `Close` or `connection_lost`
every method answers without effects to run but `Flag`s; `deliver` with an `Answered`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Final

from gateway.smpp import effects as e
from gateway.smpp import pdu as p
from gateway.smpp.codec import MalformedPdu, decode, response_to
from gateway.smpp.constants import RESPONSE_BIT, CommandId, CommandStatus, InterfaceVersion, Tag
from gateway.smpp.framing import BadLength, Framer
from gateway.smpp.own_requests import OwnRequests
from gateway.smpp.receipt import addressed
from gateway.smpp.states import BOUND, BOUND_AS, MOVES, RECEIVING, UNSERVED, Move, State
from gateway.smpp.timers import Due, TimerLimits, Timers
from gateway.smpp.versions import Response, adapted, status_for, version_of

_S = CommandStatus

# Requests behind whose fields stray octets are odd; elsewhere a body is simply ignored.
_WITH_BODY: Final = (
    p.Message,
    p.Bind,
    p.SubmitMulti,
    p.DataSm,
    p.QuerySm,
    p.CancelSm,
    p.ReplaceSm,
)
_MISSES_ALLOWED: Final = 1  # unanswered enquire_links; one more closes
_OFFENCES_ALLOWED: Final = 1  # requests before the bind; one more closes


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """What bounds a session. PDU sizes in octets; `window` in unanswered requests."""

    timers: TimerLimits = field(default_factory=TimerLimits)
    max_pdu: int = 70_000
    max_pdu_before_bind: int = 512
    window: int = 100
    throttle_when_full: bool = False  # ESME_RTHROTTLED beyond the window instead of waiting
    keep_broken_tlv: bool = False


class Session:
    """The state of one connection; see the head of the module for the rules."""

    def __init__(self, limits: SessionLimits, system_id: str, now: float) -> None:
        """`system_id` is the MC's own, for bind responses."""
        self.limits = limits
        self.state = State.OPEN
        self.interface_version = InterfaceVersion.V34
        self.in_flight = 0  # Submits and Inquires not yet responded to
        self.received: Counter[CommandId] = Counter()  # PDUs read, for the caller to take
        self.draining = False
        self._system_id = system_id
        self._framer = Framer(limits.max_pdu_before_bind)
        self._timers = Timers(limits.timers, now, now, now)
        self._authenticating = False
        self._held: e.Submit | e.Inquire | None = None  # the one that found the window full
        self._read_at = now  # when octets came last
        self._paused = False
        self._ours = OwnRequests()
        self._misses = 0
        self._offences = 0
        self._peer_unbind: int | None = None  # sequence_number to answer when all is done
        self._unbind_until = 0.0

    # What comes from the connection.

    def octets_received(
        self, octets: bytes, now: float, read_at: float | None = None
    ) -> list[e.Effect]:
        """What was read from the socket, in chunks of any size; `read_at` if not just now."""
        if self.state is State.CLOSED:
            return []
        self._framer.feed(octets)
        self._timers.heard_at = now
        self._read_at = now if read_at is None else read_at
        self._misses = 0
        return self._take(now)

    def connection_lost(self) -> None:
        """The connection is gone; later results have nobody to go to."""
        self.state = State.CLOSED

    def _take(self, now: float) -> list[e.Effect]:
        """Take PDUs while the session may, then pause or resume reading accordingly."""
        effects: list[e.Effect] = []
        framer = self._framer
        waiting = False
        while not (waiting := self._authenticating or self._held is not None):
            if self.state is State.CLOSED:
                return effects
            try:
                octets = framer.next_pdu()
            except BadLength as error:
                nack = p.GenericNack(error.sequence_number, error.command_status)
                effects += (e.Flag("bad_length", error.detail), e.Send(nack))
                effects.append(self._closed(f"bad command_length: {error.detail}"))
                return effects
            if octets is None:
                break
            self._receive(octets, now, effects)
        timers = self._timers
        if waiting or not framer.pending:
            timers.partial_since = None
        elif timers.partial_since is None:
            timers.partial_since = now
        if waiting is not self._paused:
            self._paused = waiting
            effects.append(e.PauseReading() if waiting else e.ResumeReading())
        return effects

    def _receive(self, octets: bytes, now: float, effects: list[e.Effect]) -> None:
        """One whole PDU; appends to `effects`."""
        self._timers.partial_since = None
        try:
            pdu = decode(octets, keep_broken_tlv=self.limits.keep_broken_tlv)
        except MalformedPdu as error:
            self._malformed(error, effects)
            return
        if isinstance(pdu, _WITH_BODY) and pdu.stray:
            effects.append(e.Flag("stray_octets", pdu.command_id.name))
        effects += self.receive(pdu, now)

    def _malformed(self, error: MalformedPdu, effects: list[e.Effect]) -> None:
        unknown = error.command_status == _S.ESME_RINVCMDID
        effects.append(e.Flag("unknown_command_id" if unknown else "malformed", error.detail))
        if error.command_id & RESPONSE_BIT:
            return
        if not unknown:
            self.received[CommandId(error.command_id)] += 1
        effects.append(
            self._refuse(
                error.command_id, error.sequence_number, error.command_status, error.detail
            )
        )
        if self.state is State.OPEN:
            self._offend(effects)

    def receive(self, pdu: p.Pdu, now: float) -> list[e.Effect]:
        """One PDU from the ESME."""
        command_id = pdu.command_id
        self.received[command_id] += 1
        move = MOVES[self.state].get(command_id, Move.IGNORE)
        if move is Move.SUBMIT:
            assert isinstance(pdu, e.Submission)  # noqa: S101  MOVES says so
            self._timers.message_at = now
            return self._hand_on(e.Submit(pdu, self._read_at))
        sequence_number = pdu.sequence_number
        match move:
            case Move.ENQUIRE_LINK:
                return [e.Send(p.EnquireLinkResp(sequence_number))]
            case Move.RESPONSE:
                return self._settle(pdu, now)
            case Move.BIND:
                assert isinstance(pdu, p.Bind)  # noqa: S101  MOVES says so
                self._authenticating = True
                self.interface_version = version_of(pdu.interface_version)
                return [e.Authenticate(pdu)]
            case Move.INQUIRE:
                assert isinstance(pdu, e.Inquiry)  # noqa: S101  MOVES says so
                self._timers.message_at = now
                return self._hand_on(e.Inquire(pdu, self._read_at))
            case Move.UNBIND:
                return self._peer_unbinds(sequence_number, now)
            case Move.UNSERVED:
                self._timers.message_at = now
                status, detail = UNSERVED[command_id]
                return [self._refuse(command_id, sequence_number, status, detail)]
            case Move.ALREADY_BOUND:
                detail = "the session is bound already"
                return [self._refuse(command_id, sequence_number, _S.ESME_RALYBND, detail)]
            case Move.CROSSING if self._ours.awaits(CommandId.unbind):
                # ESME_RINVBNDSTS would be final: Kannel gives such a message up, and sends it
                # again after ESME_RMSGQFUL.
                detail = "the gateway is unbinding this session"
                return [self._refuse(command_id, sequence_number, _S.ESME_RMSGQFUL, detail)]
            case Move.WRONG_STATE | Move.CROSSING:
                detail = f"not allowed in state {self.state.name}"
                effects: list[e.Effect] = [
                    e.Flag("wrong_state", f"{command_id.name} in state {self.state.name}"),
                    self._refuse(command_id, sequence_number, _S.ESME_RINVBNDSTS, detail),
                ]
                if self.state is State.OPEN:
                    self._offend(effects)
                return effects
        return [e.Flag("ignored", f"{command_id.name} from an ESME")]

    def _offend(self, effects: list[e.Effect]) -> None:
        """Before the bind a stranger gets one answer, then the door."""
        self._offences += 1
        if self._offences > _OFFENCES_ALLOWED:
            effects.append(self._closed("not bound, and keeps sending other requests"))

    # Messages and their answers.

    def _hand_on(self, request: e.Submit | e.Inquire) -> list[e.Effect]:
        pdu = request.pdu
        if self.draining:
            detail = "the gateway is stopping"
            return [self._refuse(pdu.command_id, pdu.sequence_number, _S.ESME_RMSGQFUL, detail)]
        if self.in_flight >= self.limits.window:
            if self.limits.throttle_when_full:
                detail = f"beyond the window of {self.limits.window}"
                status = _S.ESME_RTHROTTLED
                return [
                    e.Flag("window_full"),
                    self._refuse(pdu.command_id, pdu.sequence_number, status, detail),
                ]
            self._held = request
            return [e.Flag("window_full")]
        self.in_flight += 1
        return [request]

    def respond(self, response: Response, now: float) -> list[e.Effect]:
        """The answer to one `Submit` or `Inquire`, in the form that the ESME's version knows."""
        self.in_flight -= 1
        if self.state is State.CLOSED:
            return [e.Flag("answer_after_close")]
        effects: list[e.Effect] = [e.Send(adapted(response, self.interface_version))]
        if self._held is not None:
            effects += self._let_on(now)
        effects += self._settled(now)
        return effects

    def _let_on(self, now: float) -> list[e.Effect]:
        """Go on behind the request that found the window full, once there is room."""
        held, window = self._held, self.limits.window
        # Not at the first free place: resuming per response would cost more than it gives.
        room = self.in_flight <= window - max(1, window // 4)
        if held is None or not (room or self.limits.throttle_when_full):
            return []
        self._held = None
        return self._hand_on(held) + self._take(now)

    def _refuse(
        self, command_id: int, sequence_number: int, status: CommandStatus, detail: str
    ) -> e.Refuse:
        shown = status_for(self.interface_version, status)
        return e.Refuse(response_to(command_id, sequence_number, shown), detail)

    # Binding.

    def bind_accepted(
        self, bind: p.Bind, now: float, *, window: int, throttle_when_full: bool = False
    ) -> list[e.Effect]:
        """Who binds is who it says; `window` is its account's."""
        self._authenticating = False
        if self.state is not State.OPEN:
            return []
        self.limits = replace(self.limits, window=window, throttle_when_full=throttle_when_full)
        self.state = BOUND_AS[bind.command_id]
        self._framer.limit = self.limits.max_pdu
        self._timers.message_at = now
        response = response_to(bind.command_id, bind.sequence_number, _S.ESME_ROK)
        tlvs: tuple[p.Tlv, ...] = ()
        if self.interface_version >= InterfaceVersion.V34:
            # Its absence tells a 3.4 ESME that no TLV is understood; jsmpp throws on a
            # value it cannot name, so 0x34 for every version served.
            tlvs = (p.Tlv(Tag.sc_interface_version, bytes([InterfaceVersion.V34])),)
        effects: list[e.Effect] = [
            e.Send(replace(response, system_id=self._system_id, tlvs=tlvs))  # type: ignore[call-arg]
        ]
        effects += self._take(now)
        if self.draining:
            effects += self._settled(now)
        return effects

    def bind_refused(self, bind: p.Bind, status: CommandStatus) -> list[e.Effect]:
        """Answer, then close: SMPP 3.4 section 4.1, and what every client expects."""
        self._authenticating = False
        if self.state is not State.OPEN:
            return []
        shown = status_for(self.interface_version, status)
        return [
            e.Send(response_to(bind.command_id, bind.sequence_number, shown)),
            self._closed("bind refused"),
        ]

    # New settings for a session that goes on.

    def relimit(self, limits: SessionLimits) -> None:
        """Go by other limits from now on; the window stays its account's.

        What the session waits for already, it waits for as long as it would have.
        """
        own = self.limits
        self.limits = replace(limits, window=own.window, throttle_when_full=own.throttle_when_full)
        self._timers.limits = limits.timers
        if self.state is not State.CLOSED:
            bound = self.state is not State.OPEN
            self._framer.limit = limits.max_pdu if bound else limits.max_pdu_before_bind

    def apply_window(self, window: int, throttle_when_full: bool, now: float) -> list[e.Effect]:
        """The account has another window, or another answer to what is beyond it."""
        self.limits = replace(self.limits, window=window, throttle_when_full=throttle_when_full)
        return [] if self.state is State.CLOSED else self._let_on(now)

    # Requests of our own.

    def _request(self, make: type[p.HeaderOnly], lifetime: float, now: float) -> e.Send:
        sequence_number = self._ours.add(make.command_id, now + lifetime)
        return e.Send(make(sequence_number))

    def _settle(self, pdu: p.Pdu, now: float) -> list[e.Effect]:
        """A response, or a generic_nack, to a request of ours.

        What else a deliver_sm_resp holds means nothing: it may have no body or a message_id.
        """
        settled = self._ours.settle(pdu.sequence_number, pdu.command_id)
        if settled is None:
            return [e.Flag("unexpected_response", pdu.command_id.name)]
        if settled.command_id is CommandId.deliver_sm:
            self._timers.message_at = now  # for a receiver there is no other activity
            return [e.Answered(settled.tag, pdu.command_status)]
        if settled.command_id is CommandId.unbind:
            return [self._closed("unbound by the gateway")]
        return []

    # Deliveries.

    @property
    def may_deliver(self) -> bool:
        """Whether a deliver_sm may be sent now."""
        return self.state in RECEIVING and not self.draining

    @property
    def undelivered(self) -> int:
        """How many deliver_sm are unanswered."""
        return self._ours.undelivered

    def deliver(self, octets: bytes, tag: int, now: float) -> list[e.Effect]:
        """Send an encoded deliver_sm under a number of ours; an `Answered` with `tag` follows.

        It follows at once, with None, while the session may not deliver.
        """
        if not self.may_deliver:
            return [e.Answered(tag, None)]
        until = now + self.limits.timers.response
        sequence_number = self._ours.add(CommandId.deliver_sm, until, tag)
        return [e.Forward(addressed(octets, sequence_number, self.interface_version))]

    def take_undelivered(self) -> list[int]:
        """The tags of what is unanswered, oldest first; no answer to them is heard any more."""
        return self._ours.take_undelivered()

    # Unbind and shutdown.

    def _peer_unbinds(self, sequence_number: int, now: float) -> list[e.Effect]:
        if self.state not in BOUND:
            # Before the bind there is nothing to finish; in UNBINDING both sides ask.
            response = e.Send(p.UnbindResp(sequence_number))
            if self.state is State.OPEN:
                return [response, self._closed("unbound")]
            return [response]
        self.state = State.UNBINDING
        self._peer_unbind = sequence_number
        self._unbind_until = now + self.limits.timers.unbind
        return self._settled(now)

    def shut_down(self, now: float) -> list[e.Effect]:
        """Finish what is in flight, then unbind; new submits get ESME_RMSGQFUL meanwhile."""
        if self.state is State.CLOSED:
            return []
        if self.state is State.OPEN and not self._authenticating:
            return [self._closed("shutting down")]
        self.draining = True
        return self._settled(now)

    def _settled(self, now: float) -> list[e.Effect]:
        """Once nothing is in flight: the unbind or unbind_resp that waited for it."""
        if self.in_flight or self._held is not None:
            return []
        if self._peer_unbind is not None:
            return self._unbound()
        if self.draining and self.state in BOUND:
            return self._unbind(now)
        return []

    def _unbound(self) -> list[e.Effect]:
        """Answer the peer's unbind, with all settled or the time for it over."""
        assert self._peer_unbind is not None  # noqa: S101  the callers looked
        response = p.UnbindResp(self._peer_unbind)
        self._peer_unbind = None
        return [e.Send(response), self._closed("unbound")]

    def _unbind(self, now: float) -> list[e.Effect]:
        self.state = State.UNBINDING
        return [self._request(p.Unbind, self.limits.timers.unbind, now)]

    def _closed(self, reason: str) -> e.Close:
        self.state = State.CLOSED
        self._framer = Framer(0)
        return e.Close(reason)

    # Time.

    def tick(self, now: float) -> list[e.Effect]:
        """What the passing of time asks for; call about once a second."""
        if self.state is State.CLOSED:
            return []
        effects: list[e.Effect] = []
        if self._paused:  # it is us who do not read: silence says nothing about the ESME
            self._timers.heard_at = now
        elif (reason := self._expire(now, effects)) is not None:
            return [*effects, self._closed(reason)]
        if self._peer_unbind is not None and now >= self._unbind_until:
            return effects + self._unbound()
        return effects + self._due(now)

    def _expire(self, now: float, effects: list[e.Effect]) -> str | None:
        """What was not answered in time; appends to `effects`. The reason to close, if any."""
        reason = None
        for request in self._ours.expired(now):
            if request.command_id is CommandId.deliver_sm:
                effects.append(e.Answered(request.tag, None))
            elif request.command_id is CommandId.unbind:
                reason = "no unbind_resp in time"
            else:
                self._misses += 1
                if self._misses > _MISSES_ALLOWED:
                    reason = "enquire_link not answered twice"
        return reason

    def _due(self, now: float) -> list[e.Effect]:
        bound = self.state is not State.OPEN
        due = self._timers.due(now, bound=bound or self._authenticating)
        if due is Due.PDU_READ:
            nack = p.GenericNack(0, _S.ESME_RINVCMDLEN)
            return [e.Flag("unfinished_pdu"), e.Send(nack), self._closed("unfinished PDU")]
        if due is Due.SESSION_INIT:
            return [e.Flag("session_init_timeout"), self._closed("no bind in time")]
        if self.state not in BOUND:
            return []
        if due is Due.INACTIVITY and not self.in_flight:
            return [e.Flag("inactivity_timeout"), *self._unbind(now)]
        if due is Due.ENQUIRE_LINK and not self._ours.awaits(CommandId.enquire_link):
            return [self._request(p.EnquireLink, self.limits.timers.response, now)]
        return []
