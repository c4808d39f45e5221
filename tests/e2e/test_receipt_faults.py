"""The fault test: kills, lost connections and an API that repeats itself lose no receipt.

A client submits over one bind and receives over two others. The gateway is killed again and
again and started on the same store, while the API repeats what nobody took; receivers are cut
off with receipts unanswered and bind anew. At the end each message that was answered ESME_ROK
and asked for a final receipt has one that the client acknowledged, and what came twice did so
because of a kill or a cut in between.

RECEIPT_FAULT_MESSAGES and RECEIPT_FAULT_KILLS make it larger. Two gateways at a time do half of
it each, in rounds of two kills: what the API repeats five times must find a gateway alive.
"""

from __future__ import annotations

import os
import random
import select
import socket
import struct
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from tests.e2e import raw_esme as wire
from tests.e2e import receipts
from tests.e2e.daemon import ACCOUNT, Daemon, Sandbox, until
from tests.e2e.raw_esme import RawEsme
from tests.e2e.receipts import DELIVRD, UNDELIV, Receipt

MESSAGES = int(os.environ.get("RECEIPT_FAULT_MESSAGES", "600"))
KILLS = int(os.environ.get("RECEIPT_FAULT_KILLS", "4"))
LANES: Final = 2  # gateways at a time, since most of it is waiting for a start
KILLS_A_ROUND: Final = 2
CUTS_A_ROUND: Final = 3

DELAY = 0.1  # seconds until a message is delivered
PAUSE = 0.25  # seconds before a callback is repeated; then twice as long, five times in all
UPTIME = (0.3, 1.0)  # seconds, the least and the most between a start and a kill
# Seconds after which time stands still for the API until the gateway is back. So a callback
# fails at most three times after one kill, and once more after the other one of its round.
LONGEST_DOWN = 1.2
STANDSTILL = 20.0  # seconds without a receipt while some are missing
SUBMIT_WINDOW = 20
DELIVER_WINDOW = 10
RECEIVERS = 2
PATIENCE = 0.01  # seconds that the client waits for something to happen
SLOWEST = 0.08  # seconds that it takes to answer a receipt, at most
TOO_BUSY = 0.003  # how likely that answer is a temporary failure

# The last four digits of a number -> the stat of its final receipt; and how often it is used.
FATES = {
    "0001": (DELIVRD, 6),
    "7101": (UNDELIV, 2),
    "7105": ("REJECTD", 1),
    "7110": (DELIVRD, 1),  # SEEN comes later
    "7200": (DELIVRD, 2),  # after ACK and ACCEPTD
    "7202": (DELIVRD, 1),  # after UNKNOWN, which is held
    "7301": (DELIVRD, 4),  # each callback three times
    "7302": (DELIVRD, 3),  # ACCEPTD comes last
    "7303": (DELIVRD, 2),  # before the 201
}
ASKED = (1, 1, 1, 0x11, 0x11, 0)  # registered_delivery
ACCOUNTS = ACCOUNT + f"receipt_delay = 0\ndeliver_window = {DELIVER_WINDOW}\n"


@dataclass(eq=False)
class Message:
    to: str
    registered_delivery: int

    @property
    def stat(self) -> str:
        return FATES[self.to[-4:]][0]


@dataclass(eq=False)
class Delivery:
    """One deliver_sm that was read, when it was read, and what was said to it.

    An `epoch` ends when a connection does, a `life` with every kill.
    """

    receipt: Receipt
    epoch: int
    life: int
    due: float  # when it is answered
    status: int | None = None  # unanswered


@dataclass(eq=False)
class Link:
    """A receiver's connection, and what it has read and not answered."""

    esme: RawEsme
    waiting: list[Delivery] = field(default_factory=list)


class Client:
    """An ESME with a memory of its own."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.told: dict[str, Message] = {}  # answered ESME_ROK, by message_id
        self.deliveries: dict[str, list[Delivery]] = {}  # by message_id
        self.acknowledged: set[str] = set()  # of their final receipts
        self.unanswered: dict[int, Message] = {}
        self.left = 0  # messages to be sent in this round
        self.epoch = 0
        self.counts: Counter[str] = Counter()
        self._sequence = 1
        self._port = 0
        self._sender: RawEsme | None = None
        self._links: list[Link] = []

    # Messages.

    def _submit(self) -> bytes:
        self._sequence += 1
        suffixes = list(FATES)
        weights = [often for _, often in FATES.values()]
        [suffix] = self.chance.choices(suffixes, weights)
        message = Message(f"+3725{self._sequence % 10_000:04}{suffix}", self.chance.choice(ASKED))
        self.unanswered[self._sequence] = message
        self.left -= 1
        return wire.submit(
            self._sequence,
            message.to,
            b"message number %d" % self._sequence,
            registered_delivery=message.registered_delivery,
        )

    def _answered(self, answer: wire.Pdu) -> None:
        assert answer.status == wire.ROK, answer
        message = self.unanswered.pop(answer.sequence)
        assert answer.message_id not in self.told
        self.told[answer.message_id] = message

    @property
    def missing(self) -> set[str]:
        """The ids of messages whose final receipt was asked for and not acknowledged yet."""
        asked = {each for each, message in self.told.items() if message.registered_delivery & 1}
        return asked - self.acknowledged

    # Connections.

    def bind(self, port: int) -> None:
        self._port = port
        self._sender = RawEsme(port).bind(wire.BIND_TRANSMITTER)
        self._links = [self._receiver() for _ in range(RECEIVERS)]

    def _receiver(self) -> Link:
        kind = self.chance.choice([wire.BIND_RECEIVER, wire.BIND_TRANSCEIVER])
        return Link(RawEsme(self._port).bind(kind))

    def killed(self) -> None:
        """What came before the end is read; what is not answered is nobody's."""
        assert self._sender
        for answer in self._sender.rest():
            self._answered(answer)
        self._sender.socket.close()
        self.counts["submits without an answer"] += len(self.unanswered)
        self.unanswered.clear()
        for link in self._links:
            for one in link.esme.rest():
                self._read(link, one)
            self.counts["in flight at a kill"] += len(link.waiting)
            link.esme.socket.close()
        self._links.clear()
        self.epoch += 1
        self.counts["kills"] += 1

    def cut(self) -> None:
        """One receiver is gone, politely or not, with or without octets on their way."""
        place = self.chance.randrange(len(self._links))
        link = self._links[place]
        if self._readable(link.esme):
            self._read_all(link)
        for delivery in self.chance.sample(link.waiting, len(link.waiting) // 2):
            self._answer(link, delivery, wire.ROK)
        self.counts["in flight at a cut"] += len(link.waiting)
        if self.chance.random() < 0.7:
            linger = struct.pack("ii", 1, 0)  # a reset: what was written last may be lost
            link.esme.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        link.esme.socket.close()
        self.epoch += 1
        self.counts["cuts"] += 1
        self._links[place] = self._receiver()

    def leave(self) -> None:
        """Without a word."""
        if self._sender:
            self._sender.socket.close()
        for link in self._links:
            link.esme.socket.close()
        self.epoch += 1

    # Receipts.

    def _read(self, link: Link, one: wire.Pdu) -> None:
        receipt = Receipt.of(one)
        due = time.monotonic() + self.chance.uniform(0, SLOWEST)
        delivery = Delivery(receipt, self.epoch, self.counts["kills"], due)
        self.deliveries.setdefault(receipt.message_id, []).append(delivery)
        link.waiting.append(delivery)
        assert len(link.waiting) <= DELIVER_WINDOW

    def _read_all(self, link: Link) -> None:
        for one in link.esme.arrived():
            self._read(link, one)

    def _answer(self, link: Link, delivery: Delivery, status: int) -> None:
        link.waiting.remove(delivery)
        link.esme.send(receipts.response(delivery.receipt, status))
        delivery.status = status
        if status == wire.ROK and delivery.receipt.final:
            self.acknowledged.add(delivery.receipt.message_id)

    def _readable(self, *esmes: RawEsme, patience: float = 0) -> set[RawEsme]:
        """Those with something to read; a bind may have read more than its response."""
        ahead = {esme for esme in esmes if esme.ahead}
        sockets = {esme.socket: esme for esme in esmes}
        ready, _, _ = select.select(list(sockets), [], [], 0 if ahead else patience)
        return ahead | {sockets[one] for one in ready}

    # What it does all the time.

    def turn(self, allowed: int) -> None:
        """Send up to so many messages, and take what comes."""
        assert self._sender
        room = min(allowed, self.left, SUBMIT_WINDOW - len(self.unanswered))
        if room > 0:
            self._sender.send(*(self._submit() for _ in range(room)))
        esmes = (self._sender, *(link.esme for link in self._links))
        ready = self._readable(*esmes, patience=PATIENCE)
        if self._sender in ready:
            for answer in self._sender.arrived():
                self._answered(answer)
        for link in self._links:
            if link.esme in ready:
                self._read_all(link)
            for delivery in list(link.waiting):
                if delivery.due <= time.monotonic():
                    busy = self.chance.random() < TOO_BUSY
                    self._answer(link, delivery, wire.RMSGQFUL if busy else wire.ROK)


class Lane:
    """One gateway, one API and one client through all rounds."""

    def __init__(self, seed: int, daemon: Daemon, api: Sandbox) -> None:
        self.chance = random.Random(seed)
        self.client = Client(self.chance)
        self.daemon = daemon
        self.api = api

    def round(self, messages: int) -> None:
        """Two kills and three cuts while the messages are sent, then all receipts."""
        client = self.client
        client.left = messages
        lives = KILLS_A_ROUND + 1
        cuts = Counter(self.chance.randrange(lives) for _ in range(CUTS_A_ROUND))
        for life in range(lives):
            client.bind(self.daemon.port)
            share = client.left // (lives - life)
            self._live(share, cuts[life])
            if life < KILLS_A_ROUND:
                self.daemon.crash()
                client.killed()
                self._start()
        moved, acknowledged = time.monotonic(), 0
        while client.left or client.unanswered or client.missing:
            client.turn(SUBMIT_WINDOW)
            if len(client.acknowledged) > acknowledged:
                moved, acknowledged = time.monotonic(), len(client.acknowledged)
            assert time.monotonic() < moved + STANDSTILL, self._lost()
        client.leave()

    def _start(self) -> None:
        freeze = threading.Timer(LONGEST_DOWN, self.api.freeze)
        freeze.start()
        try:
            self.daemon.start()
        finally:
            freeze.cancel()
            freeze.join()
            self.api.thaw()

    def _live(self, share: int, cuts: int) -> None:
        """A random while, in which a share of the messages is sent and receivers are cut."""
        seconds = self.chance.uniform(*UPTIME)
        moments = sorted(self.chance.uniform(0, seconds) for _ in range(cuts))
        started, before = time.monotonic(), self.client.left
        while (age := time.monotonic() - started) < seconds:
            while moments and moments[0] <= age:
                del moments[0]
                self.client.cut()
            sent = before - self.client.left
            self.client.turn(int(share * age / seconds) - sent)
        for _ in moments:
            self.client.cut()

    def _lost(self) -> str:
        missing = self.client.missing
        some = sorted(missing)[:3]
        lines = [line for line in self.daemon.stdout if any(one in line for one in some)]
        lines += [line for line in self.daemon.stdout if '"info"' not in line][-10:]
        given_up = self.daemon.sandbox("/sandbox/counts").get("dlr_given_up", 0)
        return "\n".join((f"{len(missing)} missing, {given_up} callbacks given up", *lines))

    def judge(self) -> None:
        """Everything that came, came rightly. The sandbox knows what it was given."""
        client = self.client
        counts = self.daemon.sandbox("/sandbox/counts")
        assert counts.get("dlr_given_up", 0) == 0, "the API gave up: that proves nothing"
        accepted = self.daemon.accepted(limit=10_000)
        assert len(accepted) < 10_000, "the sandbox has forgotten none"
        assert set(client.told) <= {message["omnimessage_id"] for message in accepted}
        stats = {one["omnimessage_id"]: FATES[one["to"][-4:]][0] for one in accepted}
        asking = {one["omnimessage_id"] for one in accepted if "dlr_url" in one["request"]}
        assert set(client.deliveries) <= asking, "of nothing that did not ask"
        assert client.missing == set()
        for message_id, deliveries in client.deliveries.items():
            self._judge(message_id, deliveries, stats[message_id])
        # At most what was on its way to a receiver at that moment, and as much again that was
        # answered and not committed yet.
        in_flight = DELIVER_WINDOW * (client.counts["cuts"] + RECEIVERS * client.counts["kills"])
        assert client.counts["repeats"] <= 2 * in_flight, client.counts

    def _judge(self, message_id: str, deliveries: list[Delivery], stat: str) -> None:
        message = self.client.told.get(message_id)
        finals = [one for one in deliveries if one.receipt.final]
        interims = [one for one in deliveries if not one.receipt.final]
        assert {one.receipt.stat for one in finals} <= {stat}
        if message and not message.registered_delivery & 0x10:
            assert interims == []
        for same in (finals, interims):
            for one, another in pairwise(same):
                if one.status in {None, wire.ROK}:
                    assert another.epoch > one.epoch, (message_id, "twice for no reason", same)
                    self.client.counts["repeats"] += 1
                    self.client.counts["repeats of acknowledged ones"] += one.status == wire.ROK
        # After a kill the store may know less than the client: that an interim one was taken.
        if finals and interims and interims[-1].life <= finals[0].life:
            order = deliveries.index(interims[-1]), deliveries.index(finals[0])
            assert order[0] < order[1], (message_id, "an interim state after the final one")


def lane(seed: int) -> Counter[str]:
    """Half of all messages and kills; what happened."""
    rounds = max(1, KILLS // LANES // KILLS_A_ROUND)
    api_options = ("--delivery-delay", str(DELAY), "--retry-pause", str(PAUSE))
    with (
        Sandbox(*api_options) as api,
        Daemon(sandbox_port=api.port, callbacks="", key_file=True, accounts=ACCOUNTS) as daemon,
    ):
        one = Lane(seed, daemon, api)
        try:
            for _ in range(rounds):
                one.round(MESSAGES // LANES // rounds)
        finally:
            one.client.leave()
        one.judge()
        until(lambda: daemon.metric("smppgw_receipts_pending") == 0, "the last commit")
        assert daemon.metric("smppgw_receipts_dead") == 0
        assert daemon.stop() == 0
        daemon.assert_healthy_log()
        counts = one.client.counts
        counts["messages"] = len(one.client.told)
        counts["receipts"] = len(one.client.deliveries)
        counts["retried callbacks"] = daemon.sandbox("/sandbox/counts").get("dlr_retried", 0)
        return counts


def test_faults() -> None:
    seed = int(os.environ.get("RECEIPT_FAULT_SEED", "0")) or random.randrange(1, 1 << 32)
    print(f"RECEIPT_FAULT_SEED={seed}")
    total: Counter[str] = Counter()
    with ThreadPoolExecutor(LANES) as pool:
        for result in [pool.submit(lane, seed + number) for number in range(LANES)]:
            total += result.result()
    print(dict(total))
    # It came at moments that could have harmed something.
    assert total["in flight at a kill"] > 0
    assert total["in flight at a cut"] > 0
    assert total["retried callbacks"] > 0
    assert total["receipts"] > MESSAGES / 2
