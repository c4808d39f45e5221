"""submit_multi against a scripted server, its responses built from struct."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

import pytest

from gateway.esme import SendError
from gateway.send import send
from gateway.send_parts import Content
from gateway.smpp import pdu as p
from gateway.smpp.codec import decode
from tests.test_send import RESP, UNBIND, Frame, Gateway, Told, answer, pdu, plan, run

MULTI = 0x21
NUMBERS = ("+1111", "+2222", "3333")


@pytest.fixture
def gateway() -> Iterator[Callable[[Callable[[Frame], bytes | None]], Gateway]]:
    made: list[Gateway] = []

    def make(script: Callable[[Frame], bytes | None]) -> Gateway:
        made.append(Gateway(script))
        return made[-1]

    yield make
    for each in made:
        each.close()


Make = Callable[[Callable[[Frame], bytes | None]], Gateway]


def unsuccess(*entries: tuple[int, int, bytes, int]) -> bytes:
    """no_unsuccess and the entries: ton, npi, address, error_status."""
    found = bytes([len(entries)])
    for ton, npi, addr, status in entries:
        found += bytes([ton, npi]) + addr + b"\0" + struct.pack(">I", status)
    return found


def answering(body: bytes, status: int = 0) -> Callable[[Frame], bytes | None]:
    def script(frame: Frame) -> bytes:
        if frame[0] != MULTI:
            return answer(frame)
        return pdu(MULTI | RESP, status, frame[2], body)

    return script


def submits(server: Gateway) -> list[p.SubmitMulti]:
    found = [decode(pdu(*frame[:3], frame[3])) for frame in server.frames if frame[0] == MULTI]
    multis = [each for each in found if isinstance(each, p.SubmitMulti)]
    assert len(multis) == len(found)
    return multis


def test_what_goes_over_the_wire(gateway: Make) -> None:
    server = gateway(answering(b"id\0" + unsuccess()))
    answers = run(server.port, multi=True, to=NUMBERS)
    assert server.bodies(MULTI) == [
        b"\0\x05\0Demo\0\x03"
        b"\x01\x01\x011111\0\x01\x01\x012222\0\x01\0\x013333\0"
        b"\0\0\0\0\0\0\0\0\0\x02Hi"
    ]
    assert [(a.to, a.status, a.message_id) for a in answers] == [
        (to, "ESME_ROK", "id") for to in NUMBERS
    ]
    assert all(a.seconds > 0 for a in answers)
    # One sequence for everything that this client sends.
    assert [frame[2] for frame in server.frames] == sorted(frame[2] for frame in server.frames)
    assert server.frames[-1][0] == UNBIND
    assert len({frame[2] for frame in server.frames}) == 3


@pytest.mark.parametrize(
    ("body", "status", "found"),
    [
        (
            b"id\0" + unsuccess((1, 1, b"2222", 0x0B)),
            0,
            [("+1111", "ESME_ROK"), ("+2222", "ESME_RINVDSTADR"), ("3333", "ESME_ROK")],
        ),
        (
            b"id\0" + unsuccess((0, 1, b"3333", 0x58), (0, 0, b"1111", 0x14)),
            0,
            [("+1111", "ESME_RMSGQFUL"), ("+2222", "ESME_ROK"), ("3333", "ESME_RTHROTTLED")],
        ),
        (b"", 0x45, [(to, "ESME_RSUBMITFAIL") for to in NUMBERS]),
        (
            b"\0" + unsuccess((1, 1, b"1111", 0x0B)),
            0x45,
            [
                ("+1111", "ESME_RINVDSTADR"),
                ("+2222", "ESME_RSUBMITFAIL"),
                ("3333", "ESME_RSUBMITFAIL"),
            ],
        ),
        (b"id\0", 0, [(to, "an answer that cannot be read") for to in NUMBERS]),
        (b"id\0\x02", 0, [(to, "an answer that cannot be read") for to in NUMBERS]),
        # A number that the other side writes in its own way.
        (
            b"id\0" + unsuccess((2, 1, b"01111", 0x0B)),
            0,
            [*((to, "ESME_ROK") for to in NUMBERS), ("01111", "ESME_RINVDSTADR")],
        ),
        (b"id\0" + unsuccess() + b"\0\x1d\0\x02a\0", 0, [(to, "ESME_ROK") for to in NUMBERS]),
    ],
)
def test_answers(gateway: Make, body: bytes, status: int, found: list[tuple[str, str]]) -> None:
    answers = run(gateway(answering(body, status)).port, multi=True, to=NUMBERS)
    assert [(a.to, a.status) for a in answers] == found
    assert {a.message_id for a in answers if a.status == "ESME_ROK"} <= {"id"}
    assert {a.message_id for a in answers if a.status != "ESME_ROK"} <= {""}


@pytest.mark.parametrize(
    ("entries", "statuses"),
    [
        ([0x0B], ["ESME_RINVDSTADR", "ESME_RINVDSTADR"]),
        ([0x0B, 0x58], ["ESME_RINVDSTADR", "ESME_RTHROTTLED"]),
    ],
)
def test_a_number_given_twice(gateway: Make, entries: list[int], statuses: list[str]) -> None:
    listed = unsuccess(*((1, 1, b"1111", status) for status in entries))
    answers = run(gateway(answering(b"id\0" + listed)).port, multi=True, to=("+1111", "+1111"))
    assert [a.status for a in answers] == statuses


def test_a_generic_nack(gateway: Make) -> None:
    server = gateway(lambda f: pdu(RESP, 3, f[2]) if f[0] == MULTI else answer(f))
    answers = run(server.port, multi=True, to=NUMBERS)
    assert [(a.to, a.status) for a in answers] == [(to, "ESME_RINVCMDID") for to in NUMBERS]


@pytest.mark.parametrize("long", ["udh", "sar"])
def test_parts_of_a_long_message(gateway: Make, long: str) -> None:
    def script(frame: Frame) -> bytes | None:
        failed = unsuccess((1, 1, b"2222", 0x0B)) if b"bbb" in frame[3] else unsuccess()
        return answering(b"id-%d\0" % frame[2] + failed)(frame)

    server = gateway(script)
    answers = run(
        server.port,
        multi=True,
        to=("+1111", "+2222"),
        count=2,
        window=1,
        content=Content((b"aaa", b"bbb"), 0, long),  # type: ignore[arg-type]
    )
    found = submits(server)
    assert len(found) == 4
    assert len(answers) == 8
    assert [(a.to, a.part, a.parts, a.status) for a in answers[:4]] == [
        ("+1111", 1, 2, "ESME_ROK"),
        ("+2222", 1, 2, "ESME_ROK"),
        ("+1111", 2, 2, "ESME_ROK"),
        ("+2222", 2, 2, "ESME_RINVDSTADR"),
    ]
    if long == "sar":
        assert [tlv.tag for tlv in found[1].tlvs] == [0x020C, 0x020E, 0x020F]
        values = [[tlv.value for tlv in each.tlvs] for each in found]
        assert values[0][1:] == [b"\x02", b"\x01"]
        assert values[1][1:] == [b"\x02", b"\x02"]
        assert values[0][0] == values[1][0] != values[2][0] == values[3][0]
        assert [each.short_message for each in found] == [b"aaa", b"bbb"] * 2
    else:
        assert [each.short_message[4:] for each in found[:2]] == [b"\2\1aaa", b"\2\2bbb"]
        assert {each.esm_class for each in found} == {0x40}


def test_a_payload(gateway: Make) -> None:
    server = gateway(answering(b"id\0" + unsuccess()))
    run(server.port, multi=True, content=Content((b"x" * 300,), 8))
    [found] = submits(server)
    assert (found.short_message, found.tlvs) == (b"", (p.Tlv(0x0424, b"x" * 300),))


def test_an_end_halfway(gateway: Make) -> None:
    server = gateway(lambda frame: None if frame[0] == MULTI else answer(frame))
    told = Told()
    with pytest.raises(SendError):
        send(plan(server.port, multi=True, to=NUMBERS, count=2, window=1), told)
    assert [(a.to, a.status) for a in told.answers] == [
        *((to, "no answer in time") for to in NUMBERS),
        *((to, "not sent") for to in NUMBERS),
    ]


def test_254_numbers(gateway: Make) -> None:
    server = gateway(answering(b"id\0" + unsuccess()))
    answers = run(server.port, multi=True, to=tuple(f"+372{n:05}" for n in range(254)))
    assert [len(each.destinations) for each in submits(server)] == [254]
    assert len(answers) == 254
