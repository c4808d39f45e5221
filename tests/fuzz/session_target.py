"""An input as a script: what the ESME, the gateway and the clock do to one session.

Each octet names a move, what follows is its own. What must be true of the session stands in
`tests.smpp.session_pair`.
"""

from __future__ import annotations

from typing import Final

from gateway.smpp import pdu as p
from gateway.smpp.codec import encode
from gateway.smpp.constants import CommandStatus as S
from tests.fuzz.target import Octets, Target
from tests.smpp.known_pdus import KNOWN, LEAST_BODIES, wire
from tests.smpp.session_pair import LIMITS, OTHER_LIMITS, Pair

_KNOWN: Final = [octets for _, octets in KNOWN]
_LEAST: Final = {
    cls: wire(int(cls.command_id), 0, 0, LEAST_BODIES[cls.command_id.name])[16:]
    for cls in (p.SubmitSm, p.SubmitMulti, p.DataSm, p.QuerySm, p.CancelSm, p.ReplaceSm)
}
_REQUESTS: Final = list(_LEAST)
_BINDS: Final = (p.BindTransceiver, p.BindTransmitter, p.BindReceiver)
_ANSWERS: Final = (p.DeliverSmResp, p.EnquireLinkResp, p.UnbindResp, p.GenericNack)
_SECONDS: Final = (0.5, 1.0, 5.0, 6.0, 11.0, 12.0, 20.0, 45.0)
_WINDOWS: Final = (1, 2, 3, 9)
_STATUSES: Final = (S.ESME_ROK, S.ESME_RINVDSTADR, S.ESME_RTHROTTLED, S.ESME_RINVDCS)
_LIMITS: Final = (LIMITS, OTHER_LIMITS)


class _Script:
    def __init__(self, octets: bytes) -> None:
        self.given = Octets(octets)
        self.pair = Pair()
        self.half = b""

    def play(self) -> None:
        pair, given = self.pair, self.given
        while given:
            move = given.one()
            much = move >> 4
            match move & 0x0F:
                case 0:
                    octets = _KNOWN[given.one() % len(_KNOWN)]
                    self.writes(octets[:12] + much.to_bytes(4) + octets[16:])
                case 1:
                    cls = _REQUESTS[much % len(_REQUESTS)]
                    self.writes(wire(int(cls.command_id), given.one(), 0, _LEAST[cls]))
                case 2:
                    pair.writes(given.some(given.one() % 80))
                case 3:
                    self.writes(self.damaged(_KNOWN[given.one() % len(_KNOWN)]))
                case 4:
                    self.writes_half(_KNOWN[given.one() % len(_KNOWN)], 1 + much)
                case 5:
                    pair.waits(_SECONDS[much % len(_SECONDS)])
                case 6 if pair.to_check is not None:
                    pair.accepts(_WINDOWS[much % 4], throttle=bool(much & 4))
                case 7 if pair.to_check is not None:
                    pair.refuses(_STATUSES[much % 3 + 1])
                case 8 if pair.handed_on:
                    pair.responds(given.one() % len(pair.handed_on), _STATUSES[much % 4])
                case 9:
                    pair.delivers()
                case 10 if pair.model.last_number:
                    number = 1 + given.one() % pair.model.last_number
                    self.writes(encode(_ANSWERS[much % 4](number, _STATUSES[much >> 2])))
                case 11:
                    pair.shuts_down()
                case 12:
                    pair.hangs_up()
                case 13 if pair.model.state not in {"OPEN", "CLOSED"}:
                    pair.applies(_WINDOWS[much % 4], throttle=bool(much & 4))
                case 14:
                    pair.relimits(_LIMITS[much % 2])
                case 15:
                    version = given.one()
                    self.writes(encode(_BINDS[much % 3](much, interface_version=version)))
        pair.finishes()

    def writes(self, octets: bytes) -> None:
        """A whole PDU, behind whatever half of one was written before."""
        rest, self.half = self.half, b""
        self.pair.writes(rest + octets)

    def writes_half(self, octets: bytes, cut: int) -> None:
        rest, self.half = self.half, octets[cut:]
        self.pair.writes(rest + octets[:cut])

    def damaged(self, octets: bytes) -> bytes:
        """Cut, grown, and one octet changed; command_length is right for what is left."""
        given = self.given
        broken = bytearray(
            octets[: max(16, len(octets) - given.one())] + given.some(given.one() % 8)
        )
        broken[4 + given.one() % (len(broken) - 4)] ^= given.one()
        broken[:4] = len(broken).to_bytes(4)
        return bytes(broken)


def session(octets: bytes) -> None:
    """Anything in any order."""
    _Script(octets).play()


SESSION: Final = Target(session, weight=6, longest=256)
