"""The exposition: its names, types and labels, read by the reference parsers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text

from gateway import __version__
from gateway.config import OmnichannelSettings
from gateway.metrics import UNKNOWN, Metrics
from gateway.smpp.constants import CommandId, CommandStatus

# The names as scraped, their types and their labels.
TABLE: dict[str, tuple[str, set[str]]] = {
    "smppgw_build_info": ("gauge", {"version"}),
    "smppgw_sessions": ("gauge", {"bind_type"}),
    "smppgw_connections": ("gauge", set()),
    "smppgw_connections_refused_total": ("counter", {"listener", "reason"}),
    "smppgw_connections_dropped_total": ("counter", {"listener", "reason"}),
    "smppgw_tls_handshakes_failed_total": ("counter", {"listener", "reason"}),
    "smppgw_tls_certificate_expiry_timestamp_seconds": ("gauge", {"listener"}),
    "smppgw_addresses_locked_out": ("gauge", set()),
    "smppgw_binds_total": ("counter", {"bind_type", "command_status"}),
    "smppgw_pdus_total": ("counter", {"direction", "command_id"}),
    "smppgw_pdu_errors_total": ("counter", {"reason"}),
    "smppgw_submits_total": ("counter", {"system_id", "command_status"}),
    "smppgw_submit_duration_seconds": ("histogram", set()),
    "smppgw_submits_in_flight": ("gauge", set()),
    "smppgw_throttled_total": ("counter", {"system_id", "limit"}),
    "smppgw_text_flags_total": ("counter", {"flag"}),
    "smppgw_api_reachable": ("gauge", set()),
    "smppgw_api_requests_total": ("counter", {"outcome"}),
    "smppgw_api_request_duration_seconds": ("histogram", set()),
    "smppgw_api_request_messages": ("histogram", set()),
    "smppgw_api_mismatches_total": ("counter", set()),
    "smppgw_api_queue_messages": ("gauge", set()),
    "smppgw_api_queue_bytes": ("gauge", set()),
    "smppgw_reactor_lag_seconds": ("histogram", set()),
    "smppgw_inquiries_total": ("counter", {"system_id", "command_id", "command_status"}),
    "smppgw_segments_pending": ("gauge", set()),
    "smppgw_segment_sets_pending": ("gauge", set()),
    "smppgw_segment_sets_expired_total": ("counter", {"system_id", "result"}),
    "smppgw_webhooks_total": ("counter", {"result"}),
    "smppgw_receipts_total": ("counter", {"message_state"}),
    "smppgw_receipt_attempts_total": ("counter", {"result"}),
    "smppgw_receipts_pending": ("gauge", set()),
    "smppgw_receipts_dead": ("gauge", set()),
    "smppgw_reports_awaited": ("gauge", set()),
    "smppgw_receipt_oldest_age_seconds": ("gauge", set()),
    "smppgw_receipt_delivery_seconds": ("histogram", set()),
    "smppgw_status_polls_total": ("counter", {"result"}),
    "smppgw_store_operation_seconds": ("histogram", {"operation"}),
    "smppgw_store_errors_total": ("counter", {"operation"}),
    "smppgw_config_last_reload_successful": ("gauge", set()),
    "smppgw_config_last_reload_timestamp_seconds": ("gauge", set()),
    "smppgw_log_lines_suppressed_total": ("counter", {"event"}),
}
FORBIDDEN = {"to", "source", "destination", "message_id", "peer", "address", "error", "detail"}


def used(**options: Any) -> Metrics:
    """Metrics that have counted one of everything."""
    metrics = Metrics(**options)
    account = metrics.account("bank")
    metrics.sessions("transceiver").inc()
    metrics.connections.inc()
    metrics.connections_refused("smpp", "allow").inc()
    metrics.connections_dropped("smpp_tls", "unread").inc()
    metrics.handshakes_failed("callbacks", "protocol").inc()
    metrics.certificate_expiry("smpp_tls").set(1_900_000_000)
    metrics.locked_out.set(2)
    metrics.binds("transceiver", "ESME_ROK").inc()
    metrics.pdus("in", "submit_sm").inc()
    metrics.pdu_errors("field").inc()
    metrics.submits(account, "ESME_ROK").inc()
    metrics.submit_duration.observe(0.02)
    metrics.submits_in_flight.set(3)
    metrics.throttled(account, "account").inc()
    metrics.text_flags("undecodable").inc()
    metrics.inquiries(account, "query_sm", "ESME_ROK").inc()
    metrics.segments_pending.set(2)
    metrics.segment_sets_pending.set(1)
    metrics.sets_expired(account, "failed").inc()
    metrics.webhooks("accepted").inc()
    metrics.receipts("DELIVERED").inc()
    metrics.receipt_attempts("delivered").inc()
    metrics.receipts_pending.set(4)
    metrics.receipts_dead.set(1)
    metrics.reports_awaited.set(5)
    metrics.receipt_oldest_age.set(12.5)
    metrics.receipt_delivery.observe(7200)
    metrics.status_polls("final").inc()
    metrics.store_operation("batch").observe(0.001)
    metrics.store_errors("settle").inc()
    metrics.api_reachable.set(0)
    metrics.api_requests("accepted").inc()
    metrics.api_request_duration.observe(31)
    metrics.api_request_messages.observe(1000)
    metrics.api_mismatches.inc()
    metrics.api_queue.set(700)
    metrics.api_queue_octets.set(140_000)
    metrics.reload_successful.set(1)
    metrics.reload_timestamp.set(1_800_000_000)
    metrics.log_lines_suppressed("bind_refused").inc(40)
    metrics.reactor_lag.observe(0.002)
    return metrics


def families(registry: CollectorRegistry) -> dict[str, Metric]:
    """By the name that is scraped; the parsers strip `_total` from counters."""
    found = {}
    for family in parse_text(generate_latest(registry).decode()):
        suffix = "_total" if family.type == "counter" else ""
        found[family.name.removesuffix("_total") + suffix] = family
    return found


def own(found: dict[str, Metric]) -> dict[str, Metric]:
    return {name: family for name, family in found.items() if name.startswith("smppgw_")}


def test_every_metric_has_its_name_type_and_labels() -> None:
    found = own(families(used().registry))
    assert set(found) == set(TABLE), "no more and no fewer than operators were told"
    for name, (kind, labels) in TABLE.items():
        assert found[name].type == kind
        assert found[name].documentation.endswith(".")
        for sample in found[name].samples:
            assert set(sample.labels) - {"le"} == labels, sample


def test_names_follow_the_conventions() -> None:
    for name, family in own(families(used().registry)).items():
        assert (family.type == "counter") == name.endswith("_total")
        if family.type == "histogram":
            assert name.endswith(("_seconds", "_bytes", "_messages"))
        for sample in family.samples:
            assert not sample.name.endswith("_created")
            assert not FORBIDDEN & set(sample.labels)


@pytest.mark.parametrize(
    ("generate", "parse"),
    [(generate_latest, parse_text), (generate_openmetrics, parse_openmetrics)],
    ids=["text", "openmetrics"],
)
@pytest.mark.parametrize("make", [Metrics, used], ids=["at the start", "in use"])
def test_the_reference_parsers_read_it(
    make: Callable[[], Metrics], generate: Any, parse: Any
) -> None:
    text = generate(make().registry).decode()
    found = {family.name for family in parse(text)}
    assert {name.removesuffix("_total") for name in TABLE} <= {
        name.removesuffix("_total") for name in found
    }


def test_the_process_is_measured_too() -> None:
    found = families(Metrics().registry)
    assert "process_cpu_seconds_total" in found
    assert "process_resident_memory_bytes" in found
    assert "python_info" in found


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("smppgw_submit_duration_seconds", 0.02),
        ("smppgw_api_request_duration_seconds", 31.0),
    ],
)
def test_histograms_reach_from_5_ms_to_30_s(name: str, value: float) -> None:
    samples = families(used().registry)[name].samples
    bounds = [float(s.labels["le"]) for s in samples if s.name.endswith("_bucket")]
    assert (bounds[0], bounds[-2], bounds[-1]) == (0.005, 30, float("inf"))
    assert bounds == sorted(bounds)
    assert len(bounds) <= 16
    for sample in samples:
        if sample.name.endswith("_bucket"):
            assert sample.value == (float(sample.labels["le"]) >= value)
        elif sample.name.endswith("_sum"):
            assert sample.value == value
        else:
            assert sample.value == 1


def test_a_receipt_may_wait_for_days() -> None:
    samples = families(used().registry)["smppgw_receipt_delivery_seconds"].samples
    within = {s.labels["le"]: s.value for s in samples if s.name.endswith("_bucket")}
    assert (within["3600.0"], within["86400.0"], within["+Inf"]) == (0, 1, 1)
    assert len(within) <= 16


def test_a_request_has_one_message_or_up_to_a_thousand() -> None:
    samples = families(used().registry)["smppgw_api_request_messages"].samples
    within = {float(s.labels["le"]): s.value for s in samples if s.name.endswith("_bucket")}
    assert min(within) == 1  # those that went alone can be told from all others
    assert (within[500], within[OmnichannelSettings().bulk_max]) == (0, 1)


def test_what_runs() -> None:
    assert Metrics().registry.get_sample_value("smppgw_build_info", {"version": __version__}) == 1


def test_accounts_by_name_or_not() -> None:
    value = used().registry.get_sample_value
    assert value("smppgw_submits_total", {"system_id": "bank", "command_status": "ESME_ROK"}) == 1
    nameless = used(name_accounts=False)
    value = nameless.registry.get_sample_value
    assert value("smppgw_submits_total", {"system_id": "-", "command_status": "ESME_ROK"}) == 1
    assert value("smppgw_throttled_total", {"system_id": "-", "limit": "account"}) == 1
    assert "bank" not in generate_latest(nameless.registry).decode()
    assert UNKNOWN == "unknown"


def test_labels_with_any_character_stay_readable() -> None:
    """A system_id is up to 64 octets of whatever the operator chose."""
    metrics = Metrics()
    for system_id in ('a"b', "a\\b", "a\nb", "a{b}", "ä", "a,b"):
        metrics.submits(metrics.account(system_id), "ESME_ROK").inc(5)
        value = {
            sample.labels["system_id"]: sample.value
            for sample in families(metrics.registry)["smppgw_submits_total"].samples
        }
        assert value[system_id] == 5


def test_children_are_kept() -> None:
    """Looking one up in prometheus_client costs more than counting."""
    metrics = Metrics()
    assert metrics.submits("bank", "ESME_ROK") is metrics.submits("bank", "ESME_ROK")
    assert metrics.submits("bank", "ESME_ROK") is not metrics.submits("demo", "ESME_ROK")


def test_two_gateways_in_a_process_do_not_share_theirs() -> None:
    first, second = used(), Metrics()
    assert first.registry.get_sample_value("smppgw_connections") == 1
    assert second.registry.get_sample_value("smppgw_connections") == 0


def test_what_is_counted_by_names_of_the_protocol_stays_few() -> None:
    metrics = Metrics()
    for status in CommandStatus:
        metrics.submits("bank", status.name).inc()
    for command_id in CommandId:
        for direction in ("in", "out"):
            metrics.pdus(direction, command_id.name).inc()
    found = families(metrics.registry)
    assert len(found["smppgw_submits_total"].samples) == len(CommandStatus)
    assert len(found["smppgw_pdus_total"].samples) == 2 * len(CommandId)
