"""What a session must do, said a second time: the model that the real one is compared with.

Written for plainness from the rules at the head of `gateway.smpp.session` and from SMPP 3.4
section 2.3: one buffer of unread octets, a table of who may send what, and one look at every
timer at each tick. It shares the codec and the table of statuses by version with the session,
which have tests of their own, and nothing else.

What is done is told as tuples: ("submit_sm_resp", sequence_number, command_status) for every
PDU written, ("hand on", pdu), ("check", bind), ("answered", tag, command_status), ("pause",),
("resume",) and ("close",).
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from gateway.smpp import pdu as p
from gateway.smpp.codec import MalformedPdu, decode
from gateway.smpp.constants import CommandId, InterfaceVersion
from gateway.smpp.constants import CommandStatus as S
from gateway.smpp.session import SessionLimits
from gateway.smpp.versions import Response, status_for, version_of

Said = list[tuple[Any, ...]]

_RESPONSE: Final = 0x80000000
_STATES: Final = {"bind_transmitter": "TX", "bind_receiver": "RX", "bind_transceiver": "TRX"}
_BOUND: Final = frozenset(_STATES.values())
# Who may send what asks for something; deliver_sm is the MC's alone.
_HANDED_ON: Final = ("submit_sm", "submit_multi", "data_sm", "query_sm", "cancel_sm")
_MAY: Final = {
    **dict.fromkeys(_STATES, frozenset({"OPEN"})),
    **dict.fromkeys((*_HANDED_ON, "replace_sm"), frozenset({"TX", "TRX"})),
    "deliver_sm": frozenset(),
}
_WORK: Final = ("submit_sm", "submit_multi", "data_sm", "query_sm", "cancel_sm")
_NEVER_ANSWERED: Final = frozenset({"outbind", "alert_notification"})
_OFFENCES: Final = 2  # requests before the bind: the second ends the session
_MISSES: Final = 2  # enquire_links in a row without an answer: the second ends it too


def response_id(command_id: int) -> int:
    """The command_id of a request's response: generic_nack where it has none of its own."""
    response = command_id | _RESPONSE
    return response if response in set(CommandId) else int(CommandId.generic_nack)


class _Asked(NamedTuple):
    """A request of the MC's own that is not answered yet."""

    name: str
    until: float
    tag: int


class SessionModel:
    """One session; the methods are those of `Session`, and tell what it must do."""

    def __init__(self, limits: SessionLimits, now: float) -> None:
        self.limits = limits
        self.timers = limits.timers
        self.state = "OPEN"
        self.version = InterfaceVersion.V34
        self.window = limits.window
        self.throttles = limits.throttle_when_full
        self.unread = b""
        self.checking = False
        self.held: p.Pdu | None = None
        self.paused = False
        self.in_flight = 0
        self.draining = False
        self.asked: dict[int, _Asked] = {}
        self.last_number = 0
        self.offences = self.misses = 0
        self.esme_unbinds: tuple[int, float] | None = None  # its number, and the last moment
        self.connected = self.heard = self.active = now
        self.half_since: float | None = None

    @property
    def waits(self) -> bool:
        """Whether the next PDU has to wait."""
        return self.checking or self.held is not None

    @property
    def undelivered(self) -> list[int]:
        return [asked.tag for asked in self.asked.values() if asked.name == "deliver_sm"]

    def _awaits(self, name: str) -> bool:
        return any(asked.name == name for asked in self.asked.values())

    # Octets.

    def octets_received(self, octets: bytes, now: float) -> Said:
        if self.state == "CLOSED":
            return []
        self.unread += octets
        self.heard = now
        self.misses = 0
        return self._reads(now)

    def _reads(self, now: float) -> Said:
        said: Said = []
        most = self.limits.max_pdu_before_bind
        while self.state != "CLOSED" and not self.waits and len(self.unread) >= 4:
            most = self.limits.max_pdu_before_bind
            if self.state != "OPEN":
                most = self.limits.max_pdu
            length = int.from_bytes(self.unread[:4])
            if not 16 <= length <= most:
                number = int.from_bytes(self.unread[12:16]) if len(self.unread) >= 16 else 0
                return [*said, ("generic_nack", number, S.ESME_RINVCMDLEN), *self._close()]
            if len(self.unread) < length:
                break
            octets, self.unread = self.unread[:length], self.unread[length:]
            self.half_since = None
            said += self._hears(octets, now)
        if self.state == "CLOSED":
            return said
        if self.waits or not self.unread:
            self.half_since = None
        elif self.half_since is None:
            self.half_since = now
        if self.waits is not self.paused:
            self.paused = self.waits
            said.append(("pause",) if self.paused else ("resume",))
        return said

    def _hears(self, octets: bytes, now: float) -> Said:
        try:
            pdu = decode(octets, keep_broken_tlv=self.limits.keep_broken_tlv)
        except MalformedPdu as error:
            if error.command_id & _RESPONSE:
                return []
            said = self._answers(error.command_id, error.sequence_number, error.command_status)
            return said + self._offends()
        name = pdu.command_id.name
        if pdu.command_id & _RESPONSE:
            return self._is_answered(pdu, now)
        if name in _NEVER_ANSWERED:
            return []
        if name == "enquire_link":
            return self._answers(pdu.command_id, pdu.sequence_number, S.ESME_ROK)
        if name == "unbind":
            return self._esme_unbinds(pdu.sequence_number, now)
        if self.state not in _MAY[name]:
            status = S.ESME_RINVBNDSTS
            if name in _STATES and self.state in _BOUND:
                status = S.ESME_RALYBND
            elif name in _HANDED_ON and self._awaits("unbind"):
                status = S.ESME_RMSGQFUL  # it crossed ours, and may be sent to another bind
            unbinds = any(asked.name == "unbind" for asked in self.asked.values())
            if unbinds and name in _WORK:
                status = S.ESME_RMSGQFUL
            return self._answers(pdu.command_id, pdu.sequence_number, status) + self._offends()
        if isinstance(pdu, p.Bind):
            self.checking = True
            self.version = version_of(pdu.interface_version)
            return [("check", pdu)]
        self.active = now
        if name == "replace_sm":
            return self._answers(pdu.command_id, pdu.sequence_number, S.ESME_RREPLACEFAIL)
        return self._hands_on(pdu)

    def _answers(self, command_id: int, number: int, status: int) -> Said:
        name = CommandId(response_id(command_id)).name
        return [(name, number, status_for(self.version, status))]

    def _offends(self) -> Said:
        if self.state != "OPEN":
            return []
        self.offences += 1
        return self._close() if self.offences == _OFFENCES else []

    def _is_answered(self, pdu: p.Pdu, now: float) -> Said:
        asked = self.asked.get(pdu.sequence_number)
        if asked is None or pdu.command_id.name not in {f"{asked.name}_resp", "generic_nack"}:
            return []
        del self.asked[pdu.sequence_number]
        if asked.name == "deliver_sm":
            self.active = now
            return [("answered", asked.tag, pdu.command_status)]
        return self._close() if asked.name == "unbind" else []

    # The gateway's side.

    def bind_accepted(self, bind: p.Bind, now: float, *, window: int, throttles: bool) -> Said:
        self.checking = False
        if self.state != "OPEN":
            return []
        self.window, self.throttles = window, throttles
        self.state = _STATES[bind.command_id.name]
        self.active = now
        said = self._answers(bind.command_id, bind.sequence_number, S.ESME_ROK)
        said += self._reads(now)
        return said + (self._settles(now) if self.draining else [])

    def bind_refused(self, bind: p.Bind, status: int) -> Said:
        self.checking = False
        if self.state != "OPEN":
            return []
        return self._answers(bind.command_id, bind.sequence_number, status) + self._close()

    def _hands_on(self, pdu: p.Pdu) -> Said:
        if self.draining:
            return self._answers(pdu.command_id, pdu.sequence_number, S.ESME_RMSGQFUL)
        if self.in_flight >= self.window:
            if self.throttles:
                return self._answers(pdu.command_id, pdu.sequence_number, S.ESME_RTHROTTLED)
            self.held = pdu
            return []
        self.in_flight += 1
        return [("hand on", pdu)]

    def respond(self, response: Response, now: float) -> Said:
        self.in_flight -= 1
        if self.state == "CLOSED":
            return []
        status = status_for(self.version, response.command_status)
        said: Said = [(response.command_id.name, response.sequence_number, status)]
        said += self._goes_on(now)
        return said + self._settles(now)

    def _goes_on(self, now: float) -> Said:
        """A quarter of the window is awaited, to resume seldom."""
        free = self.in_flight <= self.window - max(1, self.window // 4)
        if (held := self.held) is None or not (free or self.throttles):
            return []
        self.held = None
        said = self._hands_on(held)
        return said + self._reads(now)

    def relimit(self, limits: SessionLimits) -> None:
        self.limits = limits
        self.timers = limits.timers

    def apply_window(self, window: int, throttles: bool, now: float) -> Said:
        self.window, self.throttles = window, throttles
        return [] if self.state == "CLOSED" else self._goes_on(now)

    def deliver(self, tag: int, now: float) -> Said:
        if self.state not in {"RX", "TRX"} or self.draining:
            return [("answered", tag, None)]
        return self._asks("deliver_sm", now + self.timers.response, tag)

    def shut_down(self, now: float) -> Said:
        if self.state == "OPEN" and not self.checking:
            return self._close()
        self.draining = True
        return self._settles(now)

    def connection_lost(self) -> None:
        self.state = "CLOSED"

    def _asks(self, name: str, until: float, tag: int = 0) -> Said:
        self.last_number += 1
        self.asked[self.last_number] = _Asked(name, until, tag)
        return [(name, self.last_number, S.ESME_ROK)]

    # The end.

    def _esme_unbinds(self, number: int, now: float) -> Said:
        said = self._answers(CommandId.unbind, number, S.ESME_ROK)
        if self.state == "OPEN":
            return said + self._close()
        if self.state == "UNBINDING":
            return said
        self.state = "UNBINDING"
        self.esme_unbinds = number, now + self.timers.unbind
        return self._settles(now)

    def _settles(self, now: float) -> Said:
        """All answers are given: the unbind or its answer that waited for them."""
        if self.in_flight or self.held or self.state == "CLOSED":
            return []
        if self.esme_unbinds:
            return self._answers(CommandId.unbind, self.esme_unbinds[0], 0) + self._close()
        if self.draining and self.state in _BOUND:
            return self._unbinds(now)
        return []

    def _unbinds(self, now: float) -> Said:
        self.state = "UNBINDING"
        return self._asks("unbind", now + self.timers.unbind)

    def _close(self) -> Said:
        self.state = "CLOSED"
        return [("close",)]

    # Time.

    def tick(self, now: float) -> Said:
        if self.state == "CLOSED":
            return []
        said: Said = []
        if self.paused:  # who is not read cannot be late
            self.heard = now
        else:
            late = {number: one for number, one in self.asked.items() if now >= one.until}
            self.asked = {n: one for n, one in self.asked.items() if n not in late}
            names = [one.name for one in late.values()]
            said += [("answered", one.tag, None) for one in late.values() if one.tag]
            self.misses += names.count("enquire_link")
            if "unbind" in names or ("enquire_link" in names and self.misses >= _MISSES):
                return said + self._close()
        if self.esme_unbinds and now >= self.esme_unbinds[1]:
            said += self._answers(CommandId.unbind, self.esme_unbinds[0], 0)
            return said + self._close()
        return said + self._is_due(now)

    def _is_due(self, now: float) -> Said:
        timers = self.timers
        if self.half_since is not None and now - self.half_since >= timers.pdu_read:
            return [("generic_nack", 0, S.ESME_RINVCMDLEN), *self._close()]
        if self.state == "OPEN":
            late = now - self.connected >= timers.session_init and not self.checking
            return self._close() if late else []
        if self.state == "UNBINDING":
            return []
        if timers.inactivity and now - self.active >= timers.inactivity:
            return [] if self.in_flight else self._unbinds(now)
        if self._awaits("enquire_link"):
            return []
        if timers.enquire_link and now - self.heard >= timers.enquire_link:
            return self._asks("enquire_link", now + timers.response)
        return []
