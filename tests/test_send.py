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
from gateway.send import Answer, Content, Plan, address, content_of, send

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
        "content": Content(b"Hi", 0),
        "timeout": 2.0,
    }
    return Plan(**{**fields, **changes})  # type: ignore[arg-type]


def run(port: int, **changes: object) -> list[Answer]:
    answers: list[Answer] = []
    send(plan(port, **changes), answers.append)
    return answers


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
    run(server.port, content=Content(b"x" * 255, 8))
    assert server.bodies(SUBMIT)[0].endswith(
        b"\x08\0\0" + struct.pack(">HH", 0x0424, 255) + b"x" * 255
    )


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
    answers: list[Answer] = []
    with pytest.raises(SendError) as caught:
        send(plan(server.port, to=("+1111", "+2222", "+3333"), window=1), answers.append)
    assert str(caught.value) == words
    assert {a.to: a.status for a in answers} == {
        "+1111": "ESME_ROK",
        "+2222": "no answer in time",
        "+3333": "not sent",
    }


@pytest.mark.parametrize(
    ("text", "coding", "octets", "data_coding"),
    [
        ("Hi @ [€]`"[:8], "auto", b"Hi \x00 \x1b\x3c\x1b\x65\x1b\x3e", 0),
        ("§", "gsm7", b"\x5f", 0),
        ("õ", "auto", b"\x00\xf5", 8),
        ("`", "auto", b"\x00`", 8),
        ("Hi", "ucs2", b"\0H\0i", 8),
        ("😀", "auto", b"\xd8\x3d\xde\x00", 8),
        ("õ", "latin1", b"\xf5", 3),
        ("", "auto", b"", 0),
    ],
)
def test_codings(text: str, coding: str, octets: bytes, data_coding: int) -> None:
    assert content_of(text, coding) == Content(octets, data_coding)


@pytest.mark.parametrize(
    ("text", "coding", "words"),
    [
        ("abõ", "gsm7", "'õ' is not in the GSM 7-bit alphabet: use --coding ucs2"),
        ("ab€", "latin1", "'€' is not in Latin-1: use --coding ucs2"),
    ],
)
def test_texts_that_do_not_fit(text: str, coding: str, words: str) -> None:
    with pytest.raises(SendError) as caught:
        content_of(text, coding)
    assert str(caught.value) == words


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
