"""What is made of libFuzzer's lines, and of an input at fault."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from tests.fuzz import __main__ as command
from tests.fuzz.fuzzing import Result, shrunk
from tests.fuzz.target import Octets, Target

SAID = """\
INFO: Using built-in libfuzzer
#22\tINITED cov: 38 ft: 54 corp: 16/1045b exec/s: 0 rss: 69Mb
#54\tREDUCE cov: 38 ft: 54 corp: 16/1041b lim: 152 exec/s: 0 rss: 69Mb L: 32/152 MS: 2 ChangeByte-
#58\tNEW    cov: 39 ft: 55 corp: 17/1080b lim: 152 exec/s: 0 rss: 69Mb L: 36/152 MS: 4 EraseBytes-
#64\tpulse  cov: 39 ft: 55 corp: 17/1080b lim: 152 exec/s: 21 rss: 69Mb
artifact_prefix='/x/'; Test unit written to /x/codec-crash-0c34
stat::number_of_executed_units: 77
stat::new_units_added:          1
"""


def test_what_libfuzzer_says_is_counted() -> None:
    result = Result("codec")
    for line in SAID.splitlines(keepends=True):
        result.hear(line)
    assert (result.executions, result.coverage, result.inputs, result.new) == (77, 39, 17, 1)
    assert result.artifact == Path("/x/codec-crash-0c34")
    assert not result.failure
    result.end(77)
    assert result.failure == SAID


def test_an_input_at_fault_is_made_shorter_while_it_fails_alike() -> None:
    def run(octets: bytes) -> None:
        if b"x" not in octets:
            raise KeyError
        assert not (b"a" in octets and octets.endswith(b"bc"))

    assert shrunk(Target(run), b"12x34567a89___bc") == b"xabc"


def test_an_input_that_does_not_fail_here_stays() -> None:
    assert shrunk(Target(lambda octets: None), b"12345678") == b"12345678"


def test_an_input_ends_in_zeros() -> None:
    given = Octets(b"\1\2\3")
    assert (given.one(), given.some(1), given.rest(), len(given)) == (1, b"\2", b"\3", 0)
    assert (given.one(), given.some(2), given.rest(), bool(given)) == (0, b"", b"", False)


def test_without_atheris_it_is_skipped_and_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert command.main(["--seconds", "1"]) == 0
    assert capsys.readouterr().out.startswith("SKIPPED: atheris is not installed")
