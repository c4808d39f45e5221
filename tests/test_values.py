"""Values compare and hash by their fields, and the type checker keeps them from being changed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gateway.omnichannel.outcome import Outcome, Verdict
from gateway.smpp.constants import CommandStatus
from gateway.smpp.effects import Submit
from gateway.smpp.pdu import DeliverSm, SubmitSm

CHANGES = """\
from gateway.smpp.pdu import SubmitSm

submit = SubmitSm(1)
submit.sequence_number = 2
"""


def test_equal_fields_make_equal_values() -> None:
    assert SubmitSm(1, short_message=b"x") == SubmitSm(1, short_message=b"x")
    assert SubmitSm(1) != SubmitSm(2)
    other: object = DeliverSm(1)
    assert other != SubmitSm(1)
    refused = Outcome(Verdict.REFUSED, CommandStatus.ESME_RSUBMITFAIL)
    assert len({refused, Outcome(Verdict.REFUSED, CommandStatus.ESME_RSUBMITFAIL)}) == 1


def test_when_it_was_read_makes_no_other_submit() -> None:
    assert Submit(SubmitSm(1), 2.0) == Submit(SubmitSm(1), 3.0)
    assert hash(Submit(SubmitSm(1), 2.0)) == hash(Submit(SubmitSm(1), 3.0))


def test_a_value_has_no_other_fields() -> None:
    with pytest.raises(AttributeError):
        SubmitSm(1).sequence = 2  # type: ignore[attr-defined]


def test_the_type_checker_refuses_a_change(tmp_path: Path) -> None:
    file = tmp_path / "changes.py"
    file.write_text(CHANGES)
    root = Path(__file__).parent.parent
    command = [sys.executable, "-m", "mypy", "--cache-dir", str(tmp_path / "cache"), str(file)]
    found = subprocess.run(command, capture_output=True, text=True, cwd=root)
    assert found.returncode == 1, found.stdout + found.stderr
    assert "changes.py:4: error:" in found.stdout
    assert "read-only" in found.stdout
