"""Durations as they are written; tests/test_cli_receipts.py has how they are read."""

from __future__ import annotations

import pytest

from gateway.cli_duration import duration


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(-5.0, "0s"), (119.9, "119s"), (120, "2m"), (3600, "1h"), (7199, "119m"), (86_400, "1d")],
)
def test_ages(seconds: float, written: str) -> None:
    assert duration(seconds) == written
