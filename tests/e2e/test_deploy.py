"""Deploys under load: the old gateway stops, a new one starts on the same ports and the same store.

Clients of several kinds submit all the time and do what real ones do: they answer the unbind,
come back, and send again later what was refused for a while. The API lives on, and at the end
it is counted there: what was answered ESME_ROK was accepted exactly once, and what was never
answered ESME_ROK was not accepted, or nobody knows.

DEPLOYS makes it longer.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from typing import Any

from tests.e2e import raw_esme as wire
from tests.e2e.daemon import ACCOUNT, LIMIT, Daemon, Sandbox, fixed_port, until
from tests.e2e.receipts import DELIVRD
from tests.e2e.staying_esme import Manner, StayingEsme, refused

DEPLOYS = int(os.environ.get("DEPLOYS", "2"))
LATENCY = 0.04  # seconds, of the API: so something is in flight whenever a deploy begins
API = ("--latency", str(LATENCY), "--delivery-delay", "0.1", "--retry-pause", "0.3")
DELAY, TIMEOUT = 0.2, 5.0  # seconds of the drain
MARGIN = 1.5  # seconds that the end of the process may take besides
BETWEEN = 12  # answers that each client gets between two deploys at least

KINDS = {
    "transmitter": Manner(wire.BIND_TRANSMITTER, window=6),
    "transceiver": Manner(window=1),
    "parts": Manner(window=5, parts=2),
    "receipts": Manner(window=3, registered_delivery=1),
    "parts and receipts": Manner(window=3, parts=2, registered_delivery=1),
    "one by one": Manner(wire.BIND_TRANSMITTER, one_by_one=True),
}
# A client that sends again later loses nothing by this one.
FOR_A_WHILE = {wire.RMSGQFUL}


class Watch(threading.Thread):
    """Asks a gateway that stops, again and again, whether it is ready and whether it listens."""

    def __init__(self, daemon: Daemon) -> None:
        super().__init__(daemon=True)
        self._daemon, self._port = daemon, daemon.port
        self.unready: float | None = None  # when /readyz was first seen to say so
        self.closed: float | None = None  # and when a connection was first refused

    def run(self) -> None:
        while self.closed is None and self._daemon.process.poll() is None:
            # In this order: a port that is closed now may not be found ready before.
            closed = refused(self._port)
            try:
                ready = self._daemon.admin("/readyz")[0] == 200
            except ConnectionError:
                return
            if not ready and self.unready is None:
                self.unready = time.monotonic()
            if closed:
                self.closed = time.monotonic()
            time.sleep(0.01)


class Deployment:
    """One gateway after the other, the clients, and what the API has accepted."""

    def __init__(self, api: Sandbox, daemon: Daemon, clients: list[StayingEsme]) -> None:
        self.api, self.daemon, self.clients = api, daemon, clients
        self.accepted: dict[str, tuple[str, str]] = {}  # to and text by omnimessage_id
        self.in_flight: list[int] = []  # at the clients, as each deploy began
        self.seconds: list[float] = []  # that each stop took

    def progress(self) -> None:
        """Every client has got some answers of the gateway that runs."""
        before = {client: client.answers for client in self.clients}

        def done() -> bool:
            assert all(client.is_alive() for client in self.clients), "a client has failed"
            return all(client.answers >= count + BETWEEN for client, count in before.items())

        until(done, "answers for everybody")

    def deploy(self) -> None:
        staying = [client for client in self.clients if client.name != "one by one"]
        unbound = [client.unbinds for client in staying]
        watch = Watch(self.daemon)
        self.in_flight.append(sum(len(client.unanswered) for client in staying))
        started = time.monotonic()
        self.daemon.kill()
        watch.start()
        assert self.daemon.wait(DELAY + TIMEOUT + MARGIN) == 0
        self.seconds.append(time.monotonic() - started)
        watch.join(LIMIT)
        assert watch.unready is not None, "/readyz has never said that it stops"
        assert watch.closed is None or watch.unready < watch.closed
        seen = [client.unbinds - count for client, count in zip(staying, unbound, strict=True)]
        assert seen == [1] * len(staying), "each session is unbound, once"
        self.count()
        # The API's reports find nobody there. Every second time they wait, or in a long run one
        # of them might find nobody six times, and the API would give it up.
        waits = len(self.seconds) % 2 == 0
        if waits:
            self.api.freeze()
        self.daemon.start()
        if waits:
            self.api.thaw()

    def count(self) -> None:
        """Fetch what the API has accepted since the last time; nothing may be under way."""
        accepted = self.daemon.sandbox("/sandbox/counts").get("accepted", 0)
        new = accepted - len(self.accepted)
        for message in self.daemon.sandbox(f"/sandbox/messages?limit={new}")["messages"]:
            text = message["request"]["messages"][0]["text"]
            self.accepted[message["omnimessage_id"]] = (message["to"], text)
        assert len(self.accepted) == accepted, "the sandbox has forgotten some: go slower"

    def all_receipts(self) -> bool:
        """Whether all that was answered ESME_ROK, parts too, has the receipt it asked for."""
        answered = {
            message_id
            for client in self.clients
            if "receipts" in client.name
            for message in client.messages
            for message_id in message.accepted.values()
        }
        came = {receipt.message_id for client in self.clients for receipt in client.receipts}
        return came == answered

    def told(self) -> dict[str, Any]:
        """The figures of the run, for whoever runs it by hand."""
        messages = [message for client in self.clients for message in client.messages]
        return {
            "deploys": len(self.seconds),
            "messages": len(messages),
            "accepted": len(self.accepted),
            "refused for a while": sum((m.refused for m in messages), Counter()).total(),
            "unknown": sum(message.unknown for message in messages),
            "in flight": (min(self.in_flight), max(self.in_flight)),
            "longest stop": round(max(self.seconds), 2),
            "binds without an answer": sum(client.unserved for client in self.clients),
            "receipts": sum(len(client.receipts) for client in self.clients),
        }


def test_deploys_under_load_lose_nothing_and_repeat_nothing() -> None:
    with (
        Sandbox(*API) as api,
        Daemon(
            sandbox_port=api.port,
            listen=f"127.0.0.1:{fixed_port()}",
            accounts=ACCOUNT + "receipt_delay = 0\n",
            callbacks="",
            key_file=True,
            more=f"[drain]\ndelay = {DELAY}\ntimeout = {TIMEOUT}\n[log]\nmessages = false",
        ) as daemon,
    ):
        clients = [
            StayingEsme(daemon.port, name, f"+37255{number:02}0001", manner)
            for number, (name, manner) in enumerate(KINDS.items())
        ]
        deployment = Deployment(api, daemon, clients)
        for client in clients:
            client.start()
        for _ in range(DEPLOYS):
            deployment.progress()
            deployment.deploy()
        deployment.progress()
        for client in clients:
            client.settle()
        until(lambda: all(client.settled for client in clients), "the last answers")
        until(deployment.all_receipts, "all receipts")
        for client in clients:
            client.finish()
        deployment.count()
        print(deployment.told())
        assert daemon.stop() == 0
        daemon.assert_healthy_log()
    messages = [message for client in clients for message in client.messages]
    arrived = Counter(deployment.accepted.values())
    for message in messages:
        times = arrived.pop((message.to, message.text), 0)
        # No connection broke with something unanswered, so nothing is unknown.
        assert (times, message.done, message.unknown) == (1, True, False), message
        assert message.refused.keys() <= FOR_A_WHILE, message
    assert arrived == {}, "mixed up, or cut short"
    assert min(deployment.in_flight) > 0, "a deploy that interrupted nothing shows nothing"
    assert sum(client.cuts for client in clients) == 0
    for client in clients:
        assert {receipt.stat for receipt in client.receipts} <= {DELIVRD}
