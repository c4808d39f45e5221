"""Inputs that broke a promise once: (target, octets in hexadecimal, what was wrong).

The test run plays them all, and every fuzzing begins with them.
"""

from __future__ import annotations

from typing import Final

ROWS: Final[list[tuple[str, str, str]]] = [
    ("addresses", "000061206120", "the target took a word of the refusal for the address"),
]
