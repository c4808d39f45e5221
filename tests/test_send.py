"""The ESME against a scripted server that is made of struct and sockets only."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from gateway.esme import SendError
from gateway.send import Plan, send
from gateway.send_answer import Answer
from gateway.send_awaited import Arrival
from gateway.send_parts import Content, Long, content_of
from gateway.send_pdus import address
from gateway.smpp import pdu as p
from gateway.smpp.codec import decode

BIND, BIND_TRX, SUBMIT, UNBIND, ENQUIRE, DELIVER = 0x02, 0x09, 0x04, 0x06, 0x15, 0x05
RESP = 0x80000000
Frame = tuple[int, int, int, bytes]  # command_id, command_status, sequence_number, body


def pdu(command_id: int, status: int, sequence: int, body: bytes = b"") -> bytes:
    return struct.pack(">IIII", 16 + len(body), command_id, status, sequence) + body


def answer(frame: Frame) -> bytes:
    """What a gateway that takes everything says."""
    command_id, _, sequence, _ = frame
    body = {BIND: b"gw\0", BIND_TRX: b"gw\0", SUBMIT: b"id-%d\0" % sequence}.get(command_id, b"")
    return pdu(command_id | RESP, 0, sequence, body)


@dataclass
class Gateway:
    """One connection served in a thread; `script` turns each PDU into octets, None hangs up."""

    script: Callable[[Frame], bytes | None] = answer
    frames: list[Frame] = field(default_factory=list)
    port: int = 0

    def __post_init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        try:
            connection, _ = self._server.accept()
        except OSError:
            return
        # A client that gives up halfway resets the connection.
        with (
            contextlib.suppress(ConnectionError),
            connection,
            connection.makefile("rb") as stream,
        ):
            while len(head := stream.read(16)) == 16:
                length, command_id, status, sequence = struct.unpack(">IIII", head)
                frame = (command_id, status, sequence, stream.read(length - 16))
                self.frames.append(frame)
                reply = self.script(frame)
                if reply is None:
                    return
                connection.sendall(reply)

    def close(self) -> None:
        self._server.close()
        self._thread.join(5)

    def bodies(self, command_id: int) -> list[bytes]:
        return [body for found, _, _, body in self.frames if found == command_id]


@pytest.fixture
def gateway() -> Iterator[Callable[..., Gateway]]:
    made: list[Gateway] = []

    def make(script: Callable[[Frame], bytes | None] = answer) -> Gateway:
        made.append(Gateway(script))
        return made[-1]

    yield make
    for each in made:
        each.close()


def plan(port: int, **changes: object) -> Plan:
    fields: dict[str, object] = {
        "host": "127.0.0.1",
        "port": port,
        "system_id": "demo",
        "password": "demo",
        "to": ("+37255555555",),
        "sender": "Demo",
        "content": Content((b"Hi",), 0),
        "timeout": 2.0,
    }
    return Plan(**{**fields, **changes})  # type: ignore[arg-type]


@dataclass
class Told:
    """What `send` reported."""

    answers: list[Answer] = field(default_factory=list)
    receipts: list[Arrival] = field(default_factory=list)

    def add(self, answer: Answer) -> None:
        self.answers.append(answer)

    def receipt(self, arrival: Arrival) -> None:
        self.receipts.append(arrival)


def run(port: int, **changes: object) -> list[Answer]:
    told = Told()
    send(plan(port, **changes), told)
    assert told.receipts == []
    return told.answers


def test_what_goes_over_the_wire(gateway: Callable[..., Gateway]) -> None:
    server = gateway()
    [result] = run(server.port, password="longer than eight")
    assert (result.status, result.message_id) == ("ESME_ROK", f"id-{server.frames[1][2]}")
    assert 0 < result.seconds < 2
    assert [frame[0] for frame in server.frames] == [BIND, SUBMIT, UNBIND]
    assert server.frames[0][3] == b"demo\0longer than eight\0\0\x34\0\0\0"
    assert server.frames[1][3] == (b"\0\x05\0Demo\0\x01\x0137255555555\0\0\0\0\0\0\0\0\0\0\x02Hi")


def test_a_long_text_is_a_message_payload(gateway: Callable[..., Gateway]) -> None:
    server = gateway()
    run(server.port, content=Content((b"x" * 255,), 8))
    assert server.bodies(SUBMIT)[0].endswith(
        b"\x08\0\0" + struct.pack(">HH", 0x0424, 255) + b"x" * 255
    )


def decoded(server: Gateway) -> list[p.SubmitSm]:
    """What the server got, as the gateway's own codec reads it."""
    found = [
        decode(pdu(command_id, status, sequence, body))
        for command_id, status, sequence, body in server.frames
        if command_id == SUBMIT
    ]
    submits = [each for each in found if isinstance(each, p.SubmitSm)]
    assert len(submits) == len(found)
    return submits


FIRST, SECOND, THIRD = b"a" * 10, b"b" * 20, b"c" * 5


def tied(submit: p.SubmitSm, long: Long) -> tuple[int, int, int, bytes]:
    """Reference, total, number and text of a part."""
    if long == "sar":
        assert [(tlv.tag, len(tlv.value)) for tlv in submit.tlvs] == [
            (0x020C, 2), (0x020E, 1), (0x020F, 1),
        ]  # fmt: skip
        reference, total, number = (int.from_bytes(tlv.value) for tlv in submit.tlvs)
        assert submit.esm_class == 0
        return reference, total, number, submit.short_message
    form = ">BBBBBB" if long == "udh" else ">BBBHBB"
    *head, reference, total, number = struct.unpack_from(form, submit.short_message)
    assert head == ([5, 0, 3] if long == "udh" else [6, 8, 4])
    assert (submit.esm_class, submit.tlvs) == (0x40, ())
    return reference, total, number, submit.short_message[struct.calcsize(form) :]


@pytest.mark.parametrize("long", ["udh", "udh16", "sar"])
def test_a_long_message_goes_in_parts(gateway: Callable[..., Gateway], long: Long) -> None:
    server = gateway()
    content = Content((FIRST, SECOND, THIRD), 8, long)
    answers = run(server.port, content=content, to=("+1111", "+2222"), count=2, window=3)
    submits = decoded(server)
    assert [submit.destination.addr for submit in submits] == (["1111"] * 3 + ["2222"] * 3) * 2
    assert {each.data_coding for each in submits} == {8}
    references = set()
    for start in range(0, 12, 3):
        parts = [tied(each, long) for each in submits[start : start + 3]]
        assert [part[1:] for part in parts] == [(3, 1, FIRST), (3, 2, SECOND), (3, 3, THIRD)]
        [reference] = {part[0] for part in parts}
        references.add(reference)
    assert len(references) == 4
    by_id = {answer.message_id: answer for answer in answers}
    assert len(by_id) == len(answers) == 12
    for submit in submits:
        found = by_id[f"id-{submit.sequence_number}"]
        assert found.to == f"+{submit.destination.addr}"
        assert (found.part, found.parts) == (tied(submit, long)[2], 3)


def test_parts_need_no_window(gateway: Callable[..., Gateway]) -> None:
    """The last part waits for the API; those before it are answered at once."""
    server = gateway()
    answers = run(server.port, content=Content((FIRST, SECOND, THIRD), 0, "udh"), window=1)
    assert [(a.part, a.status) for a in answers] == [(n, "ESME_ROK") for n in (1, 2, 3)]


def test_a_refused_part_is_told_apart(gateway: Callable[..., Gateway]) -> None:
    def script(frame: Frame) -> bytes:
        refused = frame[0] == SUBMIT and SECOND in frame[3]
        return pdu(SUBMIT | RESP, 0x58, frame[2]) if refused else answer(frame)

    answers = run(gateway(script).port, content=Content((FIRST, SECOND, THIRD), 0, "sar"))
    statuses = {a.part: a.status for a in answers}
    assert statuses == {1: "ESME_ROK", 2: "ESME_RTHROTTLED", 3: "ESME_ROK"}


def test_parts_without_an_answer(gateway: Callable[..., Gateway]) -> None:
    def script(frame: Frame) -> bytes | None:
        return None if frame[0] == SUBMIT and SECOND in frame[3] else answer(frame)

    server = gateway(script)
    told = Told()
    content = Content((FIRST, SECOND, THIRD), 0, "udh")
    with pytest.raises(SendError):
        send(plan(server.port, content=content, window=1), told)
    assert [(a.part, a.parts, a.status) for a in told.answers] == [
        (1, 3, "ESME_ROK"),
        (2, 3, "no answer in time"),
        (3, 3, "not sent"),
    ]


@pytest.mark.parametrize(
    ("text", "long", "payload"),
    [
        ("x" * 160, "payload", False),
        ("x" * 161, "payload", True),
        ("x" * 254, None, False),
        ("x" * 255, None, True),
        ("õ" * 70, "payload", False),
        ("õ" * 71, "payload", True),
        ("x" * 160, "udh", False),
    ],
)
def test_whole_messages(
    gateway: Callable[..., Gateway], text: str, long: Long | None, payload: bool
) -> None:
    server = gateway()
    run(server.port, content=content_of(text, "auto", long))
    [submit] = decoded(server)
    octets = text.encode("utf-16-be") if "õ" in text else text.encode()
    assert submit.short_message == (b"" if payload else octets)
    assert submit.tlvs == ((p.Tlv(0x0424, octets),) if payload else ())
    assert submit.esm_class == 0


def test_transceiver(gateway: Callable[..., Gateway]) -> None:
    server = gateway()
    run(server.port, bind="transceiver")
    assert server.frames[0][0] == BIND_TRX


def test_answers_are_matched_by_sequence_number_within_the_window(
    gateway: Callable[..., Gateway],
) -> None:
    held: list[Frame] = []

    def script(frame: Frame) -> bytes:
        if frame[0] != SUBMIT:
            return answer(frame)
        held.append(frame)
        if len(held) < 4:
            return b""
        # The window is full: the newest first, the refused one in between.
        replies = [
            pdu(SUBMIT | RESP, 0x58 if i == 1 else 0, f[2], b"" if i == 1 else b"m%d\0" % f[2])
            for i, f in enumerate(held)
        ]
        held.clear()
        return b"".join(reversed(replies))

    server = gateway(script)
    answers = run(server.port, to=tuple(f"+3725000000{i}" for i in range(8)), window=4)
    by_number = {a.to[-1]: (a.status, a.message_id) for a in answers}
    sequences = [frame[2] for frame in server.frames if frame[0] == SUBMIT]
    assert len(answers) == 8
    for index, sequence in enumerate(sequences):
        refused = ("ESME_RTHROTTLED", "")
        accepted = ("ESME_ROK", f"m{sequence}")
        assert by_number[str(index)] == (refused if index % 4 == 1 else accepted)


def test_count_and_rate(gateway: Callable[..., Gateway]) -> None:
    server = gateway()
    started = time.monotonic()
    answers = run(server.port, count=6, rate=50.0)
    assert 0.09 < time.monotonic() - started < 1
    assert len(answers) == len(server.bodies(SUBMIT)) == 6


def test_other_pdus_between(gateway: Callable[..., Gateway]) -> None:
    """smpplib itself takes the next PDU after bind and unbind for their answers."""

    def script(frame: Frame) -> bytes:
        if frame[0] & RESP:
            return b""
        deliver = pdu(DELIVER, 0, 78, b"\0\1\1372\0\1\1372\0\4\0\0\0\0\0\0\0\0\2id")
        unknown = pdu(0x00010203, 0, 79)
        stray = pdu(ENQUIRE | RESP, 0x08, 0x7000)  # an answer to nothing
        return pdu(ENQUIRE, 0, 77) + deliver + unknown + stray + answer(frame)

    server = gateway(script)
    assert [a.status for a in run(server.port, bind="transceiver")] == ["ESME_ROK"]
    server.close()  # it may still be reading the last replies
    replies = [(command_id, sequence) for command_id, _, sequence, _ in server.frames]
    assert replies.count((ENQUIRE | RESP, 77)) == 3
    assert replies.count((DELIVER | RESP, 78)) == 3


@pytest.mark.parametrize("tag", [0x001D, 0x0428, 0x1400])
def test_tlvs_that_smpplib_cannot_read(gateway: Callable[..., Gateway], tag: int) -> None:
    tlv = struct.pack(">HH", tag, 2) + b"a\0"

    def script(frame: Frame) -> bytes:
        command_id, _, sequence, _ = frame
        body = {BIND: b"gw\0" + tlv, SUBMIT: b"abc\0" + tlv}.get(command_id, b"")
        return pdu(command_id | RESP, 0, sequence, body)

    assert [a.message_id for a in run(gateway(script).port)] == ["abc"]


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (0x0E, "the bind was refused with ESME_RINVPASWD: check --system-id and --password"),
        (
            0x05,
            "the bind was refused with ESME_RALYBND: the account has as many binds as max_binds "
            "allows",
        ),
        (0x0499, "the bind was refused with 0x499: see the gateway's log"),
    ],
)
def test_a_refused_bind(gateway: Callable[..., Gateway], status: int, words: str) -> None:
    server = gateway(lambda frame: pdu(frame[0] | RESP, status, frame[2], b"\0"))
    with pytest.raises(SendError) as caught:
        run(server.port)
    assert str(caught.value) == words


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(SendError, match=r"Connection refused: is the gateway running there\?"):
        run(port)
    with pytest.raises(SendError, match=r"^no-such-host\.invalid does not resolve: "):
        run(port, host="no-such-host.invalid")


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "what answers is not SMPP: check --host and --port"),
        (b"\0\0\0\x04" * 4, "what answers is not SMPP: check --host and --port"),
        (None, "the gateway closed the connection"),
        (b"", "no answer to the bind in 0.2 s"),
    ],
)
def test_no_answer_to_the_bind(
    gateway: Callable[..., Gateway], reply: bytes | None, words: str
) -> None:
    with pytest.raises(SendError) as caught:
        run(gateway(lambda _: reply).port, timeout=0.2)
    assert str(caught.value) == words


def test_no_answer_to_a_message(gateway: Callable[..., Gateway]) -> None:
    def script(frame: Frame) -> bytes:
        return b"" if frame[0] == SUBMIT and b"2222" in frame[3] else answer(frame)

    answers = run(gateway(script).port, to=("+1111", "+2222", "+3333"), timeout=0.2)
    assert {a.to: a.status for a in answers} == {
        "+1111": "ESME_ROK",
        "+2222": "no answer in time",
        "+3333": "ESME_ROK",
    }


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (None, "the gateway closed the connection"),
        (pdu(UNBIND, 0, 9), "the gateway ended the session (unbind)"),
    ],
)
def test_an_end_halfway(gateway: Callable[..., Gateway], end: bytes | None, words: str) -> None:
    def script(frame: Frame) -> bytes | None:
        return end if frame[0] == SUBMIT and b"2222" in frame[3] else answer(frame)

    server = gateway(script)
    told = Told()
    with pytest.raises(SendError) as caught:
        send(plan(server.port, to=("+1111", "+2222", "+3333"), window=1), told)
    assert str(caught.value) == words
    assert {a.to: a.status for a in told.answers} == {
        "+1111": "ESME_ROK",
        "+2222": "no answer in time",
        "+3333": "not sent",
    }


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("+37255555555", (1, 1, "37255555555")),
        ("0037255555555", (0, 1, "0037255555555")),
        ("12345", (0, 1, "12345")),
        ("Demo24", (5, 0, "Demo24")),
        ("", (0, 0, "")),
    ],
)
def test_addresses(written: str, found: tuple[int, int, str]) -> None:
    assert address(written) == found


@pytest.mark.parametrize("written", ["1" * 21, "Õhtu", "a\0b"])
def test_addresses_that_do_not_fit(written: str) -> None:
    with pytest.raises(SendError):
        address(written)
