"""The alert rules name metrics, labels and runbooks that exist, and the page tells of each."""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

import pytest

from gateway.metrics import Metrics
from tests import markdown
from tests.markdown import ROOT

RULES = ROOT / "config/alerts.yml"
OPERATIONS = ROOT / "docs/operations.md"
SUFFIX: Final = re.compile(r"_(total|bucket|sum|count)$")
BY_PROMETHEUS: Final = {"instance", "le"}
# What is not ours: Prometheus's functions and words, and the process's own metrics.
# fmt: off
LANGUAGE: Final = {
    "absent", "and", "by", "histogram_quantile", "increase", "instance", "offset", "on", "or",
    "rate", "sum", "time", "unless",
}
# fmt: on
PROCESS: Final = {"process_open_fds", "process_max_fds"}


class Rule(NamedTuple):
    name: str
    fields: dict[str, str]  # severity, summary and runbook among them


def read() -> list[Rule]:
    """The rules; of YAML no more is understood than they need, and all else is a failure."""
    rules: list[Rule] = []
    lines = [line for line in RULES.read_text().splitlines() if line and line.strip()[0] != "#"]
    assert lines[:3] == ["groups:", "  - name: smpp-gateway", "    rules:"]
    for line in lines[3:]:
        found = re.fullmatch(r"(      - |        |          )(\w+):(?: (.+))?", line)
        assert found, line
        indent, key, value = found.groups()
        if indent.strip():
            assert key == "alert"
            rules.append(Rule(value, {}))
            continue
        if value is None:
            assert (key, len(indent)) in {("labels", 8), ("annotations", 8)}, line
            continue
        assert (len(indent) == 10) is (key in {"severity", "summary", "runbook"}), line
        assert key not in rules[-1].fields, line
        rules[-1].fields[key] = scalar(value)
    return rules


def scalar(value: str) -> str:
    if value[0] == '"':
        assert re.fullmatch(r'"[^"\\]*"', value), value
        return value[1:-1]
    # A plain one: what would begin something else in YAML is not in it.
    assert value[0] not in "{}[],&*#?|-<>=!%@`'", value
    assert ": " not in value, value
    assert " #" not in value, value
    return value


LIST = read()


def labels(metric: str) -> set[str]:
    found: Any = Metrics().registry._names_to_collectors[SUFFIX.sub("", metric)]
    assert (found._type == "counter") is metric.endswith("_total"), metric
    assert (found._type == "histogram") is metric.endswith("_bucket"), metric
    return set(found._labelnames)


def test_each_has_a_name_of_its_own_a_severity_and_a_sentence() -> None:
    assert len({rule.name for rule in LIST}) == len(LIST) > 20
    for rule in LIST:
        assert re.fullmatch(r"SmppGateway[A-Z]\w+", rule.name)
        assert {"expr", "severity", "summary", "runbook"} <= rule.fields.keys() <= {
            "expr", "for", "severity", "summary", "runbook",
        }  # fmt: skip
        assert rule.fields["severity"] in {"critical", "warning"}
        assert re.fullmatch(r"\d+[smh]", rule.fields.get("for", "1m"))


@pytest.mark.parametrize("rule", LIST, ids=lambda rule: rule.name)
def test_its_metrics_and_labels_exist(rule: Rule) -> None:
    expression = rule.fields["expr"]
    metrics = re.findall(r"\bsmppgw_\w+", expression)
    assert metrics
    for opening, closing in ("()", "{}", "[]"):
        assert expression.count(opening) == expression.count(closing)
    for metric, matchers in re.findall(r"\b(smppgw_\w+)\{([^}]*)\}", expression):
        named = re.findall(r'(\w+)(?:=~|!=|=)"[^"]+"', matchers)
        assert set(named) <= labels(metric), expression
    known = set().union(*(labels(metric) for metric in metrics)) | BY_PROMETHEUS
    for group in re.findall(r"\bby \(([^)]*)\)", expression):
        assert set(group.split(", ")) <= known, expression
    # Nothing is left that is none of those: a metric without its prefix, say.
    bare = re.sub(r'"[^"]*"|\{[^}]*\}|\bby \([^)]*\)|\[\w+\]|\d\w*', "", expression)
    words = set(re.findall(r"[a-z]\w*", bare))
    assert words <= LANGUAGE | PROCESS | set(metrics), expression


@pytest.mark.parametrize("rule", LIST, ids=lambda rule: rule.name)
def test_its_runbook_is_there(rule: Rule) -> None:
    path, _, anchor = rule.fields["runbook"].partition("#")
    assert anchor in markdown.anchors(ROOT / path)


def test_the_page_has_each_of_them_in_their_order() -> None:
    table = markdown.rows(markdown.section(OPERATIONS, "## What to alert on"))
    told = {cells[0].strip("`"): cells[1] for cells in table}
    assert list(told.items()) == [
        (rule.name.removeprefix("SmppGateway"), rule.fields["severity"]) for rule in LIST
    ]
