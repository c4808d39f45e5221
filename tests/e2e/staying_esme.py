"""An ESME that outlives the gateway's restarts, as real ones do, and keeps account of it all.

It answers an unbind, comes back with a growing pause between tries, and sends again later what
was refused for a while, under a new sequence_number. What had no answer when a connection broke
it never sends again: nobody knows what became of it.
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from itertools import count

from tests.e2e import raw_esme as wire
from tests.e2e.daemon import LIMIT
from tests.e2e.raw_esme import RESP, Pdu, RawEsme
from tests.e2e.receipts import Receipt, response

PAUSES = (0.02, 0.5)  # seconds between two tries to connect: the first, and the longest
LATER = 0.15  # seconds until a message that was refused for a while is sent again
BEAT = 0.02  # seconds that it waits for something to happen


@dataclass(eq=False)
class Message:
    """One message of one part or of several, and what was answered to each."""

    number: int
    to: str
    texts: list[str]
    accepted: dict[int, str] = field(default_factory=dict)  # part answered ESME_ROK -> message_id
    refused: Counter[int] = field(default_factory=Counter)  # command_status -> how often
    unknown: bool = False  # one of its submits never had an answer, or ESME_RSYSERR

    @property
    def text(self) -> str:
        return "".join(self.texts)

    @property
    def done(self) -> bool:
        return len(self.accepted) == len(self.texts)

    def submit(self, sequence: int, part: int, registered_delivery: int) -> bytes:
        text = self.texts[part].encode("ascii")
        if len(self.texts) == 1:
            return wire.submit(sequence, self.to, text, registered_delivery=registered_delivery)
        header = wire.udh(wire.concat16(self.number, len(self.texts), part + 1))
        return wire.part(sequence, self.to, header, text, registered_delivery=registered_delivery)


@dataclass
class Manner:
    """How an ESME goes about it."""

    bind: int = wire.BIND_TRANSCEIVER
    window: int = 4
    parts: int = 1
    registered_delivery: int = 0
    one_by_one: bool = False  # a connection for each message, as scripts do


class StayingEsme(threading.Thread):
    """Submits from `start` to `settle`, and stays bound until `finish`.

    What a test reads of it while it runs only grows.
    """

    def __init__(self, port: int, name: str, to: str, manner: Manner) -> None:
        super().__init__(name=name, daemon=True)
        self.messages: list[Message] = []
        self.receipts: list[Receipt] = []  # in the order of their coming
        self.answers = 0
        self.unbinds = 0  # that the gateway asked for
        self.cuts = 0  # connections that ended with something unanswered
        self.unserved = 0  # binds that had no answer
        self.fault: BaseException | None = None
        self.unanswered: dict[int, tuple[Message, int]] = {}  # by sequence_number
        self._port, self._to, self._manner = port, to, manner
        self._numbers, self._sequence = count(1), 1
        self._again: deque[tuple[float, Message, int]] = deque()  # when, what, which part
        self._fresh: deque[tuple[Message, int]] = deque()
        self._settling, self._finishing = threading.Event(), threading.Event()
        self._goodbye = False  # its own unbind is under way

    def settle(self) -> None:
        """Begin no message more; what is under way goes on until it has its ESME_ROK."""
        self._settling.set()

    @property
    def settled(self) -> bool:
        """Whether every message has come to its end."""
        return self._settling.is_set() and all(one.done or one.unknown for one in self.messages)

    def finish(self) -> None:
        """Unbind, and end."""
        self._finishing.set()
        self.join(LIMIT)
        if self.fault is not None:
            raise AssertionError(f"{self.name} has failed") from self.fault
        assert not self.is_alive(), f"{self.name} is not done: {len(self.unanswered)} unanswered"

    def run(self) -> None:
        pause = PAUSES[0]
        try:
            while not self._finishing.is_set():
                if self._one_connection():
                    pause = PAUSES[0]
                    continue
                time.sleep(pause)
                pause = min(2 * pause, PAUSES[1])
        except Exception as fault:  # noqa: BLE001  the test shows it
            self.fault = fault

    def _one_connection(self) -> bool:
        """From connect to the end of the connection; False if there was no session."""
        with contextlib.ExitStack() as closing:
            try:
                link = closing.enter_context(RawEsme(self._port))
                answer = self._bound(link)
            except ConnectionError:
                return False
            if answer is None:
                self.unserved += 1
                return False
            assert (answer.command_id, answer.status) == (self._manner.bind | RESP, wire.ROK)
            self._goodbye = False
            try:
                while self._exchange(link):
                    pass
            except ConnectionError:
                pass
        if self.unanswered:
            self.cuts += 1
            for message, _ in self.unanswered.values():
                message.unknown = True
            self.unanswered.clear()
        return True

    def _bound(self, link: RawEsme) -> Pdu | None:
        link.send(wire.pdu(self._manner.bind, 1, wire.bind_body()))
        return link.read()

    def _exchange(self, link: RawEsme) -> bool:
        """Send what may be sent and take what has come; False at the end of the connection."""
        if not self._goodbye:
            self._send(link)
        if not link.ahead and not select.select([link.socket], [], [], BEAT)[0]:
            return True
        found = link.read()
        if found is None:
            return False
        self._take(link, found)
        return True

    def _send(self, link: RawEsme) -> None:
        octets = []
        enough = 1 if self._manner.one_by_one else self._manner.window
        while len(self.unanswered) < enough and (one := self._next()) is not None:
            message, part = one
            self._sequence += 1
            self.unanswered[self._sequence] = one
            asks = self._manner.registered_delivery
            octets.append(message.submit(self._sequence, part, asks))
        if octets:
            link.send(*octets)
        elif self._finishing.is_set():
            self._leave(link)

    def _next(self) -> tuple[Message, int] | None:
        if self._again and self._again[0][0] <= time.monotonic():
            _, message, part = self._again.popleft()
            return message, part
        if not self._fresh and not self._settling.is_set():
            number, parts = next(self._numbers), self._manner.parts
            texts = [f"{self.name} {number}, {part} of {parts}. " for part in range(1, parts + 1)]
            message = Message(number, self._to, texts)
            self.messages.append(message)
            self._fresh.extend((message, part) for part in range(parts))
        return self._fresh.popleft() if self._fresh else None

    def _leave(self, link: RawEsme) -> None:
        self._goodbye = True
        link.send(wire.pdu(wire.UNBIND, 0x7FFF))

    def _take(self, link: RawEsme, found: Pdu) -> None:
        match found.command_id:
            case wire.UNBIND:
                self.unbinds += 1
                self._goodbye = True
                link.send(wire.pdu(wire.UNBIND | RESP, found.sequence))
            case wire.DELIVER_SM:
                receipt = Receipt.of(found)
                self.receipts.append(receipt)
                link.send(response(receipt))
            case wire.ENQUIRE_LINK:
                link.send(wire.pdu(wire.ENQUIRE_LINK | RESP, found.sequence))
            case _ if found.command_id == wire.UNBIND | RESP:
                pass
            case _:
                assert found.command_id == wire.SUBMIT_SM | RESP, found
                self._answered(*self.unanswered.pop(found.sequence), found)
                if self._manner.one_by_one and not self._goodbye:
                    self._leave(link)

    def _answered(self, message: Message, part: int, answer: Pdu) -> None:
        self.answers += 1
        if answer.status == wire.ROK:
            message.accepted[part] = answer.message_id
            return
        message.refused[answer.status] += 1
        if answer.status == wire.RSYSERR:
            message.unknown = True
        else:
            self._again.append((time.monotonic() + LATER, message, part))


def refused(port: int) -> bool:
    """Whether nobody listens there."""
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return True
    except ConnectionError:
        pass  # accepted by the system, and never by the gateway
    return False
