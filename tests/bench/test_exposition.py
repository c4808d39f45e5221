"""What /metrics says, as the library writes it."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from bench.exposition import buckets, quantile, samples, total


def exposition() -> tuple[CollectorRegistry, Histogram]:
    registry = CollectorRegistry()
    Gauge("smppgw_connections", "Open.", registry=registry).set(7)
    pdus = Counter("smppgw_pdus_total", "P.", ["direction", "command_id"], registry=registry)
    pdus.labels("out", "enquire_link").inc(3)
    pdus.labels("in", "submit_sm").inc(4)
    bounds = (0.001, 0.01, 1)
    return registry, Histogram(
        "smppgw_reactor_lag_seconds", "L.", buckets=bounds, registry=registry
    )


def read(registry: CollectorRegistry) -> dict[str, float]:
    return samples(generate_latest(registry).decode())


def test_samples_have_their_labels_in_their_names() -> None:
    found = read(exposition()[0])
    assert found["smppgw_connections"] == 7
    assert found['smppgw_pdus_total{command_id="enquire_link",direction="out"}'] == 3
    assert total(found, "smppgw_pdus_total") == 7
    assert total(found, "smppgw_pdus") == 0


def test_a_quantile_is_that_of_the_time_between() -> None:
    registry, lag = exposition()
    for _ in range(100):
        lag.observe(0.5)  # before
    before = buckets(read(registry))
    assert list(before) == [0.001, 0.01, 1, float("inf")]
    assert quantile(before, before, 0.99) is None, "nothing was observed"
    for _ in range(99):
        lag.observe(0.0005)
    lag.observe(0.005)
    after = buckets(read(registry))
    assert quantile(before, after, 0.99) == 0.001
    assert quantile(before, after, 0.995) == 0.01
    assert quantile({}, after, 0.99) == 1
    lag.observe(100)
    assert quantile(before, buckets(read(registry)), 1) == float("inf")
