"""A test of the session reads as a conversation.

    talk = Conversation()
    talk >> p.BindTransceiver(1, system_id="bank")      # the ESME writes a PDU, or octets
    talk << e.Authenticate << e.PauseReading            # the session's next effects
    talk.accepts()                                      # the rest of the gateway answers
    talk << p.BindTransceiverResp(1, 0, "gateway", SC_INTERFACE_VERSION) << e.ResumeReading
    talk.later(30)                                      # with a tick a second
    talk << p.EnquireLink(1)
    talk << NOTHING

Everything that the session does must be expected, in order: whatever is still unread when
the next thing happens, or when a test that imports `everything_read` ends, fails the test,
and a failure prints the conversation so far. Only flags stand apart, in `talk.flags`,
because they change nothing on the wire. What the ESME writes goes through the octets, and
what the session sends is encoded and read back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar, Final

import pytest

from gateway.smpp import effects as e
from gateway.smpp import pdu as p
from gateway.smpp.codec import decode, encode
from gateway.smpp.constants import CommandStatus, name_of
from gateway.smpp.session import Session, SessionLimits
from gateway.smpp.timers import TimerLimits
from gateway.smpp.versions import Response

NOTHING: Final = object()
SC_INTERFACE_VERSION: Final = (p.Tlv(0x0210, b"\x34"),)

Utterance = p.Pdu | bytes | Iterable[p.Pdu | bytes]


@pytest.fixture(autouse=True)
def everything_read() -> Iterator[None]:
    """No conversation of a test may end with something that nobody expected."""
    Conversation.held.clear()
    yield
    for talk in Conversation.held:
        talk << NOTHING


class Conversation:
    """One `Session` with an ESME on one side and the rest of the gateway on the other.

    `chunk` cuts what the ESME writes into pieces of so many octets; 0 leaves it whole.
    """

    held: ClassVar[list[Conversation]] = []

    def __init__(
        self,
        limits: SessionLimits | None = None,
        *,
        timers: TimerLimits | None = None,
        window: int = 100,
        throttle: bool = False,
        chunk: int = 0,
    ) -> None:
        self.now = 1000.0
        if limits is None:
            limits = SessionLimits(timers=timers or TimerLimits())
        self.session = Session(limits, "gateway", self.now)
        self.flags: list[str] = []
        self.refusals: list[str] = []  # the details of what the session refused by itself
        self.handed_on: list[e.Submission | e.Inquiry] = []  # answered or not
        self._window = window
        self._throttle = throttle
        self._chunk = chunk
        self._unread: list[e.Effect] = []
        self._binds: list[p.Bind] = []
        self._transcript: list[str] = []
        self.held.append(self)

    # The ESME.

    def __rshift__(self, said: Utterance) -> Conversation:
        """The ESME writes a PDU, octets, or several of either at once."""
        parts = [said] if isinstance(said, p.Pdu | bytes) else list(said)
        octets = b"".join(part if isinstance(part, bytes) else encode(part) for part in parts)
        for part in parts:
            self._say(f">> {part.hex(' ', 4) if isinstance(part, bytes) else _form(part)}")
        step = self._chunk or len(octets)
        pieces = [octets[at : at + step] for at in range(0, len(octets), step)]
        return self._does(
            lambda: [
                effect
                for piece in pieces
                for effect in self.session.octets_received(piece, self.now)
            ]
        )

    def __lshift__(self, expected: Any) -> Conversation:
        """The session's next effect: a PDU sent, an effect or its class, or NOTHING."""
        if expected is NOTHING:
            self._all_read()
            return self
        wanted = e.Send(expected) if isinstance(expected, p.Pdu) else expected
        if not self._unread:
            self._fail(f"expected {_form(expected)}, nothing came")
        found = self._unread.pop(0)
        matches = type(found) is wanted if isinstance(wanted, type) else found == wanted
        if not matches:
            self._fail(f"expected {_form(expected)}, got {_form(found)}")
        return self

    def hangs_up(self) -> Conversation:
        self._say("-- the connection is lost")
        self.session.connection_lost()
        return self

    # The gateway's other side.

    def accepts(self) -> Conversation:
        self._say("-- bind accepted")
        return self._does(
            lambda: self.session.bind_accepted(
                self._binds[-1],
                self.now,
                window=self._window,
                throttle_when_full=self._throttle,
            )
        )

    def refuses(self, status: CommandStatus) -> Conversation:
        self._say(f"-- bind refused: {status.name}")
        return self._does(lambda: self.session.bind_refused(self._binds[-1], status))

    def answers(
        self,
        sequence_number: int,
        status: int = 0,
        message_id: str | None = None,
        tlvs: tuple[p.Tlv, ...] = (),
    ) -> Conversation:
        """The API's answer to one submit; an id is made up for an accepted one."""
        if status == 0 and message_id is None:
            message_id = f"id-{sequence_number}"
        return self.responds(p.SubmitSmResp(sequence_number, status, message_id, tlvs))

    def responds(self, response: Response) -> Conversation:
        """What became of one request that was handed on."""
        self._say(f"-- answer {_form(response)}")
        return self._does(lambda: self.session.respond(response, self.now))

    def delivers(self, tag: int, pdu: p.DeliverSm | None = None) -> Conversation:
        """A receipt for the ESME, known by `tag`."""
        self._say(f"-- deliver {tag}")
        octets = encode(pdu or p.DeliverSm(0, short_message=b"id:%d" % tag))
        return self._does(lambda: self.session.deliver(octets, tag, self.now))

    def shuts_down(self) -> Conversation:
        self._say("-- shut down")
        return self._does(lambda: self.session.shut_down(self.now))

    def window_becomes(self, window: int, *, throttle: bool = False) -> Conversation:
        """The account's settings have changed."""
        self._say(f"-- window {window}{', throttling' if throttle else ''}")
        return self._does(lambda: self.session.apply_window(window, throttle, self.now))

    def later(self, seconds: float) -> Conversation:
        """Time passes, with a tick at least once a second and one at its very end."""
        self._say(f"-- {seconds:g} seconds pass")
        until = self.now + seconds

        self._all_read()
        while self.now < until:
            self.now = min(self.now + 1, until)
            self._hear(self.session.tick(self.now))
        return self

    def bound(self, bind: p.Bind | None = None) -> Conversation:
        """Get the bind over with."""
        bind = bind or p.BindTransceiver(1, system_id="bank", password="secret")
        self >> bind << e.Authenticate << e.PauseReading
        self.accepts()
        found = self._unread.pop(0)
        assert isinstance(found, e.Send)
        assert found.pdu.command_status == 0
        return self << e.ResumeReading << NOTHING

    # Behind the scenes.

    def _does(self, happening: Callable[[], list[e.Effect]]) -> Conversation:
        self._all_read()
        return self._hear(happening())

    def _hear(self, effects: list[e.Effect]) -> Conversation:
        for effect in effects:
            self._say(f"<< {_form(effect)}")
            if isinstance(effect, e.Flag):
                self.flags.append(effect.reason)
                continue
            if isinstance(effect, e.Forward):
                effect = e.Send(decode(effect.octets))
            if isinstance(effect, e.Refuse):  # a response like any other, and a line in the log
                self.refusals.append(effect.detail)
                effect = e.Send(effect.pdu)
            if isinstance(effect, e.Send):
                assert decode(encode(effect.pdu)) == effect.pdu
            if isinstance(effect, e.Authenticate):
                self._binds.append(effect.bind)
            if isinstance(effect, e.Submit | e.Inquire):
                self.handed_on.append(effect.pdu)
            self._unread.append(effect)
        return self

    def _all_read(self) -> None:
        if self._unread:
            self._fail(f"unexpected: {', '.join(_form(effect) for effect in self._unread)}")

    def _say(self, line: str) -> None:
        self._transcript.append(f"{self.now - 1000:6.1f}  {line}")

    def _fail(self, what: str) -> None:
        __tracebackhide__ = True
        self._unread.clear()
        raise AssertionError("\n".join([what, *self._transcript]))


def _form(thing: object) -> str:
    if isinstance(thing, e.Send):
        return _form(thing.pdu)
    if isinstance(thing, e.Submit | e.Inquire):
        return f"{type(thing).__name__} {_form(thing.pdu)}"
    if isinstance(thing, e.Authenticate):
        return f"Authenticate {_form(thing.bind)}"
    if isinstance(thing, p.Pdu):
        status = name_of(CommandStatus, thing.command_status).removeprefix("ESME_")
        rest = "".join(
            f" {name}={value!r}"
            for name in ("system_id", "message_id", "tlvs", "stray")
            if (value := getattr(thing, name, None))
        )
        return f"{thing.command_id.name} {thing.sequence_number} {status}{rest}"
    return thing.__name__ if isinstance(thing, type) else repr(thing)
