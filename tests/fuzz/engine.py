"""The child process of one target: libFuzzer over the gateway's code, instrumented by atheris.

    python -m tests.fuzz.engine codec [an option or folder of libFuzzer ...]

`tests.fuzz` calls it. It imports nothing of the gateway before the instrumentation stands.
"""

from __future__ import annotations

import importlib
import shlex
import sys

import atheris


def main(name: str, *arguments: str) -> None:
    with atheris.instrument_imports(include=["gateway"]):
        targets = importlib.import_module("tests.fuzz.targets")
    # By this libFuzzer calls us again, to merge: it goes through a shell.
    command = shlex.join([sys.executable, "-m", "tests.fuzz.engine", name])
    atheris.Setup([command, *arguments], targets.TARGETS[name].run)
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
