"""Every target by its name."""

from __future__ import annotations

import json
from typing import Final

from gateway.explain import explain, octets_of
from gateway.explain_readable import readable
from tests.fuzz.api_targets import API
from tests.fuzz.session_target import SESSION
from tests.fuzz.smpp_targets import SMPP
from tests.fuzz.target import Target
from tests.fuzz.text_targets import TEXTS


def hexadecimal(octets: bytes) -> None:
    """What a person pastes: octets, or words about what is wrong."""
    assert octets_of(octets.hex(":") or "0x00") == (octets or b"\0")
    try:
        found = octets_of(octets.decode("latin-1"))
    except ValueError as error:
        assert str(error)
        return
    assert found


def explained(octets: bytes) -> None:
    """Any stream is explained, in lines that cannot steer a terminal and as JSON."""
    for entry in explain(octets):
        assert json.dumps(entry)
        assert all(line.isprintable() for line in readable(entry).split("\n"))


TARGETS: Final[dict[str, Target]] = {
    **SMPP,
    "session": SESSION,
    **TEXTS,
    **API,
    "hexadecimal": Target(hexadecimal, longest=64, words=(b"0x", b"\\x", b": ")),
    "explained": Target(explained, weight=2, longest=400),
}
