"""What docs/configuration.md says of a reload, and that the code does just that."""

from __future__ import annotations

import re

from gateway.config import Settings
from gateway.config_problems import model_in
from gateway.reload import NEEDS_RESTART
from tests.markdown import ROOT

ROW = re.compile(r"\| `(\w+)` \|.*\|")
MARK = "**Restart.** |"


def marked() -> set[str]:
    """The keys, such as smpp.listen, whose rows say that they need a restart."""
    found: set[str] = set()
    section = ""
    for line in (ROOT / "docs/configuration.md").read_text().splitlines():
        if heading := re.fullmatch(r"## `\[+(\w+)\]+`", line):
            section = heading[1]
        elif section and (row := ROW.fullmatch(line)) and line.endswith(MARK):
            found.add(f"{section}.{row[1]}")
    return found


def test_the_page_marks_what_needs_a_restart_and_nothing_else() -> None:
    assert marked() == NEEDS_RESTART


def test_what_needs_a_restart_is_a_setting() -> None:
    keys = {
        f"{section}.{key}"
        for section, field in Settings.model_fields.items()
        if (model := model_in(field.annotation))
        for key in model.model_fields
    }
    assert keys >= NEEDS_RESTART
