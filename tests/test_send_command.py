"""What `smpp-gateway send --receipt` prints, and the code that it exits with."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway.cli_send import send
from gateway.send_answer import Answer
from gateway.send_awaited import Arrival
from gateway.send_receipts import Receipt
from gateway.send_report import Report
from tests.test_send import BIND, BIND_TRX, SUBMIT, Frame, Gateway, answer
from tests.test_send_waiting import receipt, told_of

Make = Callable[..., Gateway]


@pytest.fixture
def gateway() -> Iterator[Make]:
    made: list[Gateway] = []

    def make(*stats: str) -> Gateway:
        """Takes everything; each message gets a receipt with the next of `stats`, or none."""
        left = iter(stats)

        def script(frame: Frame) -> bytes:
            stat = next(left, "") if frame[0] == SUBMIT else ""
            return answer(frame) + (receipt(told_of(frame), stat) if stat else b"")

        made.append(Gateway(script))
        return made[-1]

    yield make
    for each in made:
        each.close()


def run(port: int, *arguments: str) -> Result:
    command = ["--port", str(port), "--to", "+372555", "--text", "Hi", *arguments]
    return CliRunner().invoke(send, command)


def lines(result: Result) -> list[Any]:
    return [json.loads(line) for line in result.output.splitlines()]


def test_a_receipt(gateway: Make) -> None:
    server = gateway("DELIVRD")
    result = run(server.port, "--receipt")
    answered, told, summary = lines(result)
    assert result.exit_code == 0
    assert told == {
        "receipt": True,
        "to": "+372555",
        "message_id": answered["message_id"],
        "part": 1,
        "parts": 1,
        "stat": "DELIVRD",
        "err": "000",
        "final": True,
        "repeated": False,
        "receipted_message_id": answered["message_id"],
        "source": "372",
        "seconds": told["seconds"],
    }
    assert 0 <= told["seconds"] < 5
    assert summary["receipts"] == {
        "asked": 1,
        "came": 1,
        "missing": 0,
        "failed": 0,
        "states": {"DELIVRD": 1},
        "interim": 0,
        "repeated": 0,
        "others": 0,
    }
    assert server.frames[0][0] == BIND_TRX
    assert server.bodies(SUBMIT)[0].endswith(b"\x01\0\0\0\x02Hi")


@pytest.mark.parametrize(
    ("kind", "octet"), [("final", 0x01), ("failure", 0x02), ("success", 0x03), ("all", 0x11)]
)
def test_kinds(gateway: Make, kind: str, octet: int) -> None:
    server = gateway("DELIVRD")
    assert run(server.port, "--receipt", kind).exit_code == 0
    assert server.bodies(SUBMIT)[0].endswith(bytes([octet]) + b"\0\0\0\x02Hi")


def test_a_failure_is_a_result(gateway: Make) -> None:
    result = run(gateway("DELIVRD", "UNDELIV").port, "--receipt", "--count", "2")
    assert result.exit_code == 0
    counted = lines(result)[-1]["receipts"]
    assert (counted["failed"], counted["states"]) == (1, {"DELIVRD": 1, "UNDELIV": 1})


@pytest.mark.parametrize(
    ("kind", "code"), [("final", 1), ("all", 1), ("failure", 0), ("success", 0)]
)
def test_a_missing_receipt(gateway: Make, kind: str, code: int) -> None:
    result = run(gateway("DELIVRD").port, "--receipt", kind, "--count", "2", "--wait", "0.05")
    assert result.exit_code == code
    assert lines(result)[-1]["receipts"]["missing"] == 1


def test_what_is_on_the_way_is_not_final(gateway: Make) -> None:
    result = run(gateway("ACCEPTD").port, "--receipt", "all", "--wait", "0.05")
    assert result.exit_code == 1
    assert lines(result)[-1]["receipts"]["interim"] == 1


def test_without_receipts(gateway: Make) -> None:
    server = gateway("DELIVRD")
    result = run(server.port)
    assert result.exit_code == 0
    assert "receipts" not in lines(result)[-1]
    assert server.frames[0][0] == BIND
    assert server.bodies(SUBMIT)[0].endswith(b"\x00\0\0\0\x02Hi")


def test_receipts_for_another_session(gateway: Make) -> None:
    server = gateway()
    result = run(server.port, "--receipt", "--bind", "transmitter")
    assert result.exit_code == 0
    assert "receipts" not in lines(result)[-1]
    assert server.frames[0][0] == BIND
    assert server.bodies(SUBMIT)[0].endswith(b"\x01\0\0\0\x02Hi")


@pytest.mark.parametrize(
    "arguments", [["--wait", "5"], ["--wait", "5", "--receipt", "--bind", "transmitter"]]
)
def test_a_wait_for_nothing(arguments: list[str]) -> None:
    result = run(1, *arguments)
    assert result.exit_code == 2
    assert "it needs --receipt and a transceiver" in result.output


FIRST, SECOND = (Answer("+372555", "ESME_ROK", f"id-{n}", 0.002, n, 2) for n in (1, 2))


def test_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    def came(message_id: str, stat: str, of: Answer | None, **changes: Any) -> Arrival:
        final = stat != "ACCEPTD"
        return Arrival(Receipt(message_id, stat, "001", "372555", final), of, 1.5, **changes)

    with Report(2, terminal=True, receipts=True) as report:
        report.add(FIRST)
        report.add(SECOND)
        report.receipt(came("id-1", "ACCEPTD", FIRST))
        report.receipt(came("id-1", "UNDELIV", FIRST))
        report.receipt(came("id-1", "UNDELIV", FIRST, first=False))
        report.receipt(came("other", "", None))
    assert report.missing == 1
    shown = capsys.readouterr().out.splitlines()
    assert shown[2:6] == [
        "+372555  1/2  receipt  ACCEPTD  err 001  id-1  1.50 s  on the way",
        "+372555  1/2  receipt  UNDELIV  err 001  id-1  1.50 s",
        "+372555  1/2  receipt  UNDELIV  err 001  id-1  1.50 s  repeated",
        "372555  receipt  without a stat  err 001  other  of another message",
    ]
    assert shown[-6:] == [
        "       2  receipts asked for, 1 came: 1 UNDELIV",
        "       1  not delivered, by their receipts",
        "       1  without a final receipt",
        "       1  on the way",
        "       1  repeated",
        "       1  of other messages",
    ]
