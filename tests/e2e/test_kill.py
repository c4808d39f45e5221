"""The kill test: SIGKILL at any moment loses no long message and never mixes two.

A client sends the parts of many messages over two binds. The gateway is killed again and
again, and started on the same store; the API lives on. After each kill the client binds anew
and sends what was not answered, as real clients do, and a few parts twice. What was answered
ESME_ROK it never sends again for want of an answer.
"""

from __future__ import annotations

import random
import select
import time
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count

from tests.e2e import raw_esme as wire
from tests.e2e.daemon import LIMIT, Daemon, Sandbox
from tests.e2e.raw_esme import RawEsme, concat8, concat16, sar, udh

KILLS = 6  # of each of two gateways
WINDOW = 8  # unanswered submits on each bind
ANSWERS = (20, 150)  # the least and the most of them before a kill
LATENCY = 0.01  # seconds, of the API; a kill comes up to twice as long after the last answer


@dataclass(eq=False)
class Set:
    """One message, and how far the client is with it."""

    number: int
    to: str
    texts: list[str]
    answered: set[int] = field(default_factory=set)  # numbers of parts
    unsent: set[int] = field(default_factory=set)
    kills: int = 0  # after which the client sent something that may have completed it before

    def __post_init__(self) -> None:
        self.unsent = set(range(1, len(self.texts) + 1))

    @property
    def text(self) -> str:
        return "".join(self.texts)

    @property
    def done(self) -> bool:
        return len(self.answered) == len(self.texts)

    def submit(self, sequence: int, number: int) -> bytes:
        """One part, with a reference that no other message to this number has meanwhile."""
        total, text = len(self.texts), self.texts[number - 1].encode("ascii")
        if self.number % 3 == 0:
            tail = sar(self.number, total, number)
            return wire.submit(sequence, self.to, text, tail=tail)
        if self.number % 3 == 1:
            return wire.part(sequence, self.to, udh(concat16(self.number, total, number)), text)
        reference = self.number // 30 % 256  # ten numbers take turns, of each kind
        return wire.part(sequence, self.to, udh(concat8(reference, total, number)), text)


def messages(chance: random.Random) -> Iterator[Set]:
    for number in count(1):
        total = chance.choice([2, 2, 3, 3, 4, 7])
        texts = [f"({number}: {part} of {total}{'.' * part})" for part in range(1, total + 1)]
        yield Set(number, f"+372555{number % 10}00001", texts)


class Client:
    """An ESME with two binds, sets that are under way, and a memory of its own."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.fresh = messages(chance)
        self.sets: list[Set] = []
        self.queue: deque[tuple[Set, int]] = deque()
        self.unanswered: dict[tuple[int, int], tuple[Set, int]] = {}  # by bind, sequence_number
        self.sequence = 0
        self.answers = 0
        self.sent: Counter[str] = Counter()

    def _more(self) -> None:
        """Three new messages, their parts in any order and between each other."""
        begun = [next(self.fresh) for _ in range(3)]
        self.sets += begun
        parts = [(one, number) for one in begun for number in one.unsent]
        self.chance.shuffle(parts)
        self.queue += parts

    def run(self, port: int, answers: int = 0) -> None:
        """Send new messages until so many answers have come, or what is there when it is 0."""
        enough = self.answers + answers
        with RawEsme(port) as one, RawEsme(port) as other:
            binds = [one.bind(wire.BIND_TRANSMITTER), other.bind(wire.BIND_TRANSCEIVER)]
            outstanding = [0, 0]
            while not answers or self.answers < enough:
                if answers and len(self.queue) < WINDOW:
                    self._more()
                for place, bind in enumerate(binds):
                    octets = []
                    while self.queue and outstanding[place] < WINDOW:
                        octets.append(self._next(place))
                        outstanding[place] += 1
                    bind.send(*octets)
                if not self.unanswered:
                    return
                ready, _, _ = select.select([bind.socket for bind in binds], [], [], LIMIT)
                assert ready, f"no answer in {LIMIT} s"
                for place, bind in enumerate(binds):
                    if bind.socket in ready:
                        for answer in bind.arrived():
                            self._answered(place, answer)
                            outstanding[place] -= 1

    def _next(self, place: int) -> bytes:
        one, number = self.queue.popleft()
        one.unsent.discard(number)
        self.sequence += 1
        self.sent["parts"] += 1
        self.unanswered[place, self.sequence] = (one, number)
        return one.submit(self.sequence, number)

    def _answered(self, place: int, answer: wire.Pdu) -> None:
        assert answer.status == wire.ROK, answer
        one, number = self.unanswered.pop((place, answer.sequence))
        one.answered.add(number)
        self.answers += 1
        if one.unsent and self.chance.random() < 0.1:
            self.queue.appendleft((one, number))  # twice, while the message cannot be complete
            self.sent["twice"] += 1

    def killed(self) -> None:
        """Everything without an answer is to be sent again, in another order."""
        again = list(dict.fromkeys(self.unanswered.values()))
        self.unanswered.clear()
        # A part that was sent twice and answered once needs no third time.
        again = [(one, number) for one, number in again if number not in one.answered]
        for one in {one for one, _ in again}:
            # It may have been complete at the API only if no part of it was missing.
            if not one.unsent:
                one.kills += 1
                self.sent["perhaps complete"] += 1
        self.sent["again"] += len(again)
        self.chance.shuffle(again)
        self.queue.extendleft(again)


def killed_again_and_again(seed: int) -> None:
    """One gateway, one API and one client through KILLS kills."""
    chance = random.Random(seed)
    client = Client(chance)
    # Few requests at a time: a message that is complete waits before the API sees it.
    few = "max_requests = 2\nmax_connections = 2"
    with (
        Sandbox("--latency", str(LATENCY)) as api,
        Daemon(sandbox_port=api.port, omnichannel=few) as daemon,
    ):
        for _ in range(KILLS):
            client.run(daemon.port, chance.randint(*ANSWERS))
            time.sleep(chance.uniform(0, 2 * LATENCY))
            daemon.crash()
            client.killed()
            daemon.start()
        client.run(daemon.port)
        assert all(one.done for one in client.sets)
        accepted = daemon.accepted(limit=10_000)
        assert len(accepted) < 10_000, "the sandbox has forgotten none"
        assert daemon.stop() == 0
        daemon.assert_healthy_log()
    arrived = Counter((one["to"], one["request"]["messages"][0]["text"]) for one in accepted)
    written = {(one.to, one.text): one for one in client.sets}
    assert set(arrived) - set(written) == set(), "mixed up, or cut short"
    assert set(written) - set(arrived) == set(), "lost, although each part was answered ESME_ROK"
    repeated = {key: times for key, times in arrived.items() if times > 1 + written[key].kills}
    assert repeated == {}, "sent again by the gateway itself"
    # The kills came at moments that could have harmed something.
    assert len(client.sets) > 10 * KILLS
    assert client.sent["again"] > KILLS
    assert client.sent["perhaps complete"] > KILLS
    assert client.sent["twice"] > KILLS / 2


def test_kills() -> None:
    """Twice at a time, since most of it is waiting for a start."""
    with ThreadPoolExecutor(2) as pool:
        for result in [pool.submit(killed_again_and_again, seed) for seed in (3, 4)]:
            result.result()
