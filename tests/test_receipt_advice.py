"""What the operator is told to do about a receipt."""

from __future__ import annotations

import pytest

from gateway.receipt_advice import REFUSALS, advice
from gateway.smpp.constants import CommandStatus
from gateway.store.visitor import Row
from tests.stored_receipts import row


@pytest.mark.parametrize(
    ("which", "begins"),
    [
        (row(system_id="gone"), "the configuration has no such account"),
        (row(state="leased"), "the gateway has it in hand"),
        (row(attempts=1, last_status=0x14), "the client refused it: it has no room"),
        (row(not_before=500.0), "its time has not come: nothing to do"),
        (row(not_before=500.0, kind="unknown"), "its time has not come: something better"),
        (row(), "it waits for a receiver or transceiver"),
        (row(state="dead", reason="expired"), "no client took it within store.receipts_held"),
        (row(state="dead", reason="refused", last_status=0x400), "the client refused it: ask its"),
        (row(state="dead", reason="refused"), "have the client mended, then: smpp-gateway"),
    ],
)
def test_advice(which: Row, begins: str) -> None:
    said = advice(which, 110.0, {"bank"})
    assert said.startswith(begins)
    assert ("receipts retry" in said) is (which.state == "dead")
    assert "deliver_retry" not in said  # none of these can be named there, or is already


def test_the_statuses_are_errors() -> None:
    assert all(CommandStatus(status) is not CommandStatus.ESME_ROK for status in REFUSALS)
