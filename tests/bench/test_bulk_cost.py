"""The pieces of work for a request of many messages, as a command."""

from __future__ import annotations

import json

import pytest

from bench import bulk_cost


def test_a_line_with_each_size(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_cost, "prepare", lambda clock: None)  # it is about this process
    bulk_cost.main(["2", "20", "--seconds", "0"])
    found = json.loads(capsys.readouterr().out)
    assert found.keys() == {"2", "20"}
    two, twenty = found["2"], found["20"]
    assert 5 * two["octets"] < twenty["octets"] < 10.1 * two["octets"]
    for size, cost in ((2, two), (20, twenty)):
        assert cost["encode_us"] > 0
        assert cost["stretch_ms"] == pytest.approx(cost["stretch_us"] * size / 1e3)
