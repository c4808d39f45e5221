"""Sessions that only answer enquire_link, and tell how many came."""

from __future__ import annotations

import os
import threading

from bench import esme
from bench.loading import Load
from gateway.smpp.constants import CommandId
from tests.bench.mc import mc, resp

LINK = resp(77, 0, b"", CommandId.enquire_link)


def test_enquire_links_are_answered_and_counted() -> None:
    # The answer to a message brings one, two for the first session's message.
    with mc(lambda n, number: LINK) as fake:
        sessions = [esme.Session.bound(fake.address, "bench", "bench") for _ in range(2)]
        sessions[0].submit(2)
        sessions[1].submit(1)
        idle = Load(sessions)
        read, write = os.pipe()
        told = threading.Semaphore(0)
        counts: list[dict[str, int]] = []

        def count() -> None:
            counts.append(idle.asked())
            told.release()

        thread = threading.Thread(target=idle.idle, args=(read, count))
        thread.start()
        for _ in range(1_000):
            os.write(write, b"count\n")
            assert told.acquire(timeout=5)
            if counts[-1]["asked"] == 3:
                break
        os.close(write)
        thread.join(5)
        os.close(read)
        assert idle.bound == 2
        idle.unbind()
    assert counts[-1] == {"asked": 3, "least": 1}
    answers = [pdu for pdu in fake.pdus if pdu[0] == CommandId.enquire_link_resp]
    assert answers == [(CommandId.enquire_link_resp, 77, b"")] * 3
