"""`send` and its receipts, against the scripted server that is made of struct and sockets."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterator

import pytest

from gateway.esme import SendError
from gateway.send import send
from gateway.send_parts import Content
from tests.test_send import (
    BIND_TRX,
    DELIVER,
    RESP,
    SUBMIT,
    UNBIND,
    Frame,
    Gateway,
    Told,
    answer,
    pdu,
    plan,
)
from tests.test_send_multi import MULTI, unsuccess
from tests.test_send_receipts import deliver, tlv

Make = Callable[[Callable[[Frame], bytes | None]], Gateway]


@pytest.fixture
def gateway() -> Iterator[Make]:
    made: list[Gateway] = []

    def make(script: Callable[[Frame], bytes | None]) -> Gateway:
        made.append(Gateway(script))
        return made[-1]

    yield make
    for each in made:
        each.close()


def receipt(message_id: str, stat: str = "DELIVRD", number: int = 7, source: str = "372") -> bytes:
    text = f"id:{message_id} sub:001 dlvrd:001 stat:{stat} err:000 text:"
    whole = deliver(text, source=source.encode(), tlvs=tlv(0x001E, message_id.encode() + b"\0"))
    return whole[:12] + struct.pack(">I", number) + whole[16:]


def run(port: int, **changes: object) -> Told:
    told = Told()
    settings = {"bind": "transceiver", "registered_delivery": 1, "wait": 2.0, **changes}
    send(plan(port, **settings), told)
    return told


def told_of(frame: Frame) -> str:
    return f"id-{frame[2]}"


def test_receipts_are_waited_for_and_answered(gateway: Make) -> None:
    def script(frame: Frame) -> bytes:
        if frame[0] == SUBMIT:
            return answer(frame) + receipt(told_of(frame), number=0x4711)
        return answer(frame)

    server = gateway(script)
    started = time.monotonic()
    told = run(server.port)
    assert time.monotonic() - started < 1, "it need not wait longer than for the receipt"
    [arrival] = told.receipts
    assert arrival.answer == told.answers[0]
    assert (arrival.receipt.stat, arrival.receipt.err) == ("DELIVRD", "000")
    assert 0 <= arrival.seconds < 1
    server.close()
    assert [frame[0] for frame in server.frames] == [BIND_TRX, SUBMIT, DELIVER | RESP, UNBIND]
    assert server.frames[2] == (DELIVER | RESP, 0, 0x4711, b"\0")


@pytest.mark.parametrize("registered_delivery", [1, 2, 3, 0x11])
def test_what_is_asked_for(gateway: Make, registered_delivery: int) -> None:
    server = gateway(lambda f: answer(f) + (receipt(told_of(f)) if f[0] == SUBMIT else b""))
    run(server.port, registered_delivery=registered_delivery)
    # service_type, addresses, esm_class, protocol_id, priority_flag, two times
    before = len(b"\0\5\0Demo\0\1\x0137255555555\0\0\0\0\0\0")
    assert server.bodies(SUBMIT)[0][before] == registered_delivery


def test_a_receipt_before_the_answer(gateway: Make) -> None:
    server = gateway(lambda f: receipt(told_of(f)) + answer(f) if f[0] == SUBMIT else answer(f))
    told = run(server.port)
    [arrival] = told.receipts
    assert arrival.answer == told.answers[0]
    assert arrival.seconds <= 0


def test_every_part_has_its_own(gateway: Make) -> None:
    server = gateway(
        lambda f: answer(f) + receipt(told_of(f), "UNDELIV") if f[0] == SUBMIT else answer(f)
    )
    told = run(server.port, content=Content((b"aa", b"bb", b"cc"), 0, "udh"), count=5, window=3)
    parts = [(a.answer.part, a.answer.message_id) for a in told.receipts if a.answer]
    assert sorted(parts) == sorted((a.part, a.message_id) for a in told.answers)
    assert len(parts) == 15


def test_a_thousand_that_come_late(gateway: Make) -> None:
    held: list[str] = []

    def script(frame: Frame) -> bytes:
        if frame[0] != SUBMIT:
            return answer(frame)
        held.append(told_of(frame))
        late = b"".join(map(receipt, reversed(held))) if len(held) == 1000 else b""
        return answer(frame) + late

    told = run(gateway(script).port, count=1000, window=100, wait=30.0)
    assert len({a.answer.message_id for a in told.receipts if a.answer}) == 1000


def test_numbers_of_a_submit_multi(gateway: Make) -> None:
    def script(frame: Frame) -> bytes:
        if frame[0] != MULTI:
            return answer(frame)
        taken = pdu(MULTI | RESP, 0, frame[2], b"id\0" + unsuccess((1, 1, b"3333", 0x0B)))
        return taken + receipt("id", "UNDELIV", 1, "2222") + receipt("id", "DELIVRD", 2, "1111")

    server = gateway(script)
    told = run(server.port, multi=True, to=("+1111", "+2222", "+3333"))
    assert server.bodies(MULTI)[0].endswith(b"\x01\0\0\0\x02Hi"), "registered_delivery"
    found = [(a.answer.to, a.receipt.stat) for a in told.receipts if a.answer]
    assert found == [("+2222", "UNDELIV"), ("+1111", "DELIVRD")]


def test_the_wait_ends(gateway: Make) -> None:
    started = time.monotonic()
    told = run(gateway(answer).port, wait=0.1)
    assert 0.1 <= time.monotonic() - started < 1
    assert told.receipts == []
    assert len(told.answers) == 1


def test_nothing_is_waited_for_when_nothing_was_accepted(gateway: Make) -> None:
    server = gateway(lambda f: pdu(f[0] | RESP, 0x58, f[2]) if f[0] == SUBMIT else answer(f))
    started = time.monotonic()
    run(server.port, wait=5.0)
    assert time.monotonic() - started < 1


def test_what_belongs_to_others(gateway: Make) -> None:
    def script(frame: Frame) -> bytes:
        if frame[0] == SUBMIT:
            return receipt("older") + answer(frame) + receipt(told_of(frame))
        return answer(frame) + (deliver("Hello", 0) if frame[0] == BIND_TRX else b"")

    told = run(gateway(script).port)
    mine, older = told.receipts
    assert mine.answer == told.answers[0]
    assert (older.answer, older.receipt.message_id) == (None, "older")


def test_without_receipts_nothing_is_told(gateway: Make) -> None:
    server = gateway(lambda f: receipt("x") + answer(f) if f[0] == SUBMIT else answer(f))
    assert run(server.port, registered_delivery=0, wait=0.0).receipts == []


def test_the_connection_ends_meanwhile(gateway: Make) -> None:
    server = gateway(
        lambda f: answer(f) + receipt("older") + pdu(UNBIND, 0, 3) if f[0] == SUBMIT else answer(f)
    )
    told = Told()
    with pytest.raises(SendError, match="the gateway ended the session"):
        send(plan(server.port, bind="transceiver", registered_delivery=1, wait=5.0), told)
    assert [a.status for a in told.answers] == ["ESME_ROK"]
    assert [a.receipt.message_id for a in told.receipts] == ["older"]
