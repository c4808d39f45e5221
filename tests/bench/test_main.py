"""The command line of the bench."""

from __future__ import annotations

import pytest

from bench import __main__ as main
from bench.children import Failed

ALL = [
    *("compare", "matrix", "latency", "scale", "limit", "fair", "idle", "flood"),
    *("parts", "pending", "mixed", "receipts", "throughput", "backlog", "binds", "storm"),
]


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ([], ALL),
        (["--quick"], ["compare", "idle", "flood", "parts", "receipts", "throughput"]),
        (["--only", "pending", "--only", "parts"], ["parts", "pending"]),
        (["--quick", "--only", "pending"], ["pending"]),
        (["--against", "HEAD"], [*ALL, "against"]),
        (["--against", "HEAD", "--only", "against"], ["against"]),
        (["--against", "HEAD", "--only", "idle"], ["idle", "against"]),
    ],
)
def test_the_parts_of_a_run(
    given: list[str], wanted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(main, "commit", lambda revision: "1234567")
    assert main._wanted(main._arguments(given)) == wanted


def test_against_needs_a_revision(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main._arguments(["--only", "against"])
    assert "--only against needs --against REV" in capsys.readouterr().err


def test_a_wrong_revision_is_told_at_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def commit(revision: str) -> str:
        raise Failed(f"no {revision}")

    monkeypatch.setattr(main, "commit", commit)
    with pytest.raises(SystemExit, match="2"):
        main._arguments(["--against", "nope"])
    assert "--against: no nope" in capsys.readouterr().err
