"""enquire_link both ways on the wire, and the sessions whose peer has died."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.e2e import raw_esme as wire
from tests.e2e.daemon import Daemon
from tests.e2e.raw_esme import RESP, RawEsme, pdu


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with Daemon(smpp="enquire_link_interval = 0.5\nresponse_timeout = 0.5") as running:
        yield running
        assert running.stop() == 0
        running.assert_healthy_log()


def test_an_esme_that_answers_stays_and_one_that_does_not_is_closed(daemon: Daemon) -> None:
    with RawEsme(daemon.port) as answers, RawEsme(daemon.port) as is_silent:
        answers.bind()
        is_silent.bind()
        started = time.monotonic()
        numbers = []
        for _ in range(3):
            question = answers.expect()
            assert (question.command_id, question.length) == (wire.ENQUIRE_LINK, 16)
            numbers.append(question.sequence)
            answers.send(pdu(wire.ENQUIRE_LINK | RESP, question.sequence))
        assert numbers == [1, 2, 3], "sequence numbers of our own"
        # Two questions without an answer, and nothing more: an unbind would find nobody.
        asked = [is_silent.read() for _ in range(3)]
        assert [one and one.command_id for one in asked] == [wire.ENQUIRE_LINK] * 2 + [None]
        assert 1.5 < time.monotonic() - started < 5
        answers.send(wire.submit(77))
        while (answer := answers.expect()).command_id == wire.ENQUIRE_LINK:
            answers.send(pdu(wire.ENQUIRE_LINK | RESP, answer.sequence))
        assert (answer.sequence, answer.status) == (77, wire.ROK)
    ended = daemon.event("session_ended", reason="enquire_link not answered twice")
    assert ended["system_id"] == "demo"


def test_traffic_of_any_kind_is_a_sign_of_life(daemon: Daemon) -> None:
    with RawEsme(daemon.port) as client:
        client.bind()
        deadline = time.monotonic() + 1.4
        while time.monotonic() < deadline:
            assert client.alive(), "nothing but the answers to its own questions"
            time.sleep(0.1)


def test_a_generic_nack_is_an_answer_too(daemon: Daemon) -> None:
    with RawEsme(daemon.port) as client:
        client.bind()
        for _ in range(3):
            question = client.expect()
            assert question.command_id == wire.ENQUIRE_LINK
            client.send(pdu(wire.GENERIC_NACK, question.sequence, status=3))
