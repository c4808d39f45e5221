"""Every input that fuzzing kept or found, through its target: no atheris is needed for that."""

from __future__ import annotations

import random

import pytest

from tests.fuzz import inputs
from tests.fuzz.regressions import ROWS
from tests.fuzz.targets import TARGETS

LARGEST = 300_000  # octets of the whole corpus: it is read by people, and in every test run


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_that_was_kept_or_found_breaks_a_promise(name: str) -> None:
    kept = inputs.kept(name)
    assert kept
    for octets in [*kept, *inputs.mended(name)]:
        try:
            TARGETS[name].run(octets)
        except Exception as error:
            error.add_note(f"the input was {octets.hex()}")
            raise


@pytest.mark.parametrize("name", TARGETS)
def test_inputs_of_any_kind_break_no_promise(name: str) -> None:
    """The same every time: cut, doubled and changed."""
    chance = random.Random(name)
    for octets in chance.choices(inputs.kept(name), k=60):
        mutant = bytearray(octets * chance.randint(1, 2))[: chance.randint(0, 2 * len(octets) + 1)]
        for _ in range(chance.randint(0, 4) if mutant else 0):
            mutant[chance.randrange(len(mutant))] = chance.randrange(256)
        TARGETS[name].run(bytes(mutant))


def test_the_corpus_is_small_and_each_file_has_its_target() -> None:
    files = [*inputs.FOLDER.iterdir()]
    assert {path.name for path in files} == {f"{name}.hex" for name in TARGETS}
    assert {name for name, _, _ in ROWS} <= set(TARGETS)
    assert sum(path.stat().st_size for path in files) <= LARGEST
