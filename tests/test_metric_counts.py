"""Our own counters and histograms are scraped like prometheus_client's, to the octet."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from gateway.metric_counts import Counts, Distribution
from gateway.metrics import MESSAGES, SECONDS, Metrics  # which tells the reference to be brief
from gateway.omnichannel.outcome import Verdict

_LABELS = st.tuples(st.sampled_from(["bank", 'a"b\\c\nd']), st.sampled_from(["ESME_ROK", *Verdict]))


def both(registry: CollectorRegistry) -> tuple[bytes, bytes]:
    openmetrics: bytes = generate_openmetrics(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry), openmetrics


@given(st.lists(st.tuples(_LABELS, st.integers(1, 1000))))
def test_counters(counted: list[tuple[tuple[str, str], int]]) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    counts = Counts("x_total", "What.", ("system_id", "command_status"), ours)
    reference = Counter("x_total", "What.", ["system_id", "command_status"], registry=theirs)
    for labels, amount in counted:
        counts(*labels).inc(amount)
        reference.labels(*labels).inc(amount)
    assert both(ours) == both(theirs)


@pytest.mark.parametrize("bounds", [SECONDS, MESSAGES])
@given(amounts=st.lists(st.floats(0, 2000) | st.sampled_from([*SECONDS, *MESSAGES])))
def test_histograms(bounds: tuple[float, ...], amounts: list[float]) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    distribution = Distribution("x_seconds", "What.", bounds, ours)
    reference = Histogram("x_seconds", "What.", buckets=bounds, registry=theirs)
    for amount in amounts:
        distribution.observe(amount)
        reference.observe(amount)
    assert both(ours) == both(theirs)


def test_a_value_for_each_label() -> None:
    counts = Counts("x_total", "What.", ("system_id", "command_status"), CollectorRegistry())
    with pytest.raises(ValueError, match="bank"):
        counts("bank")


def test_a_name_is_declared_once() -> None:
    with pytest.raises(ValueError, match="Duplicated"):
        Distribution("smppgw_submit_duration_seconds", "Again.", SECONDS, Metrics().registry)
