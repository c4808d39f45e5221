"""Every metric, declared once. Base units; labels never hold numbers, ids or texts."""

from __future__ import annotations

from functools import cache
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

from gateway import __version__
from gateway.metric_counts import Counts, Distribution

# 5 ms to 30 s: from a loopback upstream to the longest sensible response deadline.
SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
# A receipt may wait days for its receiver.
DELIVERY_SECONDS: Final = (*SECONDS, 300, 3600, 86_400)
MESSAGES: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
LAG_SECONDS: Final = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 5)

disable_created_metrics()  # type: ignore[no-untyped-call]  # a series each that nobody reads

# The label of a system_id that no account has: a stranger's word never becomes a label.
UNKNOWN: Final = "unknown"


class Metrics:
    """The gateway's metrics in a registry of its own.

    Labelled ones are functions of their label values that return the child: looking it up
    in prometheus_client costs more than counting, so children are kept. Labels come from
    closed sets (names of the protocol, configured accounts), so they stay few.
    """

    def __init__(self, *, name_accounts: bool = True) -> None:
        """`name_accounts` False puts "-" for every system_id."""
        self.registry = registry = CollectorRegistry()
        self._name_accounts = name_accounts
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)

        def counter(name: str, documentation: str, *labels: str) -> Counts:
            return Counts(f"smppgw_{name}", documentation, labels, registry)

        def gauge(name: str, documentation: str) -> Gauge:
            return Gauge(f"smppgw_{name}", documentation, registry=registry)

        def histogram(
            name: str, documentation: str, buckets: tuple[float, ...] = SECONDS
        ) -> Distribution:
            return Distribution(f"smppgw_{name}", documentation, buckets, registry)

        build = Gauge("smppgw_build_info", "The version that runs.", ["version"], registry=registry)
        build.labels(__version__).set(1)

        self.sessions = cache(
            Gauge(
                "smppgw_sessions", "Bound SMPP sessions.", ["bind_type"], registry=registry
            ).labels
        )
        self.connections = gauge("connections", "Open SMPP connections, bound or not.")
        self.connections_refused = counter(
            "connections_refused_total",
            "Connections closed before anything was read of them, by listener and reason.",
            "listener",
            "reason",
        )
        self.connections_dropped = counter(
            "connections_dropped_total",
            "Connections that a limit ended, by listener and reason.",
            "listener",
            "reason",
        )
        self.handshakes_failed = counter(
            "tls_handshakes_failed_total",
            "TLS handshakes that came to nothing, by listener and reason.",
            "listener",
            "reason",
        )
        self.certificate_expiry = cache(
            Gauge(
                "smppgw_tls_certificate_expiry_timestamp_seconds",
                "When a listener's certificate ends, in seconds since 1970.",
                ["listener"],
                registry=registry,
            ).labels
        )
        self.locked_out = gauge(
            "addresses_locked_out", "Addresses whose binds are refused unchecked."
        )
        self.binds = counter(
            "binds_total", "Bind requests answered.", "bind_type", "command_status"
        )
        self.pdus = counter("pdus_total", "PDUs, by direction.", "direction", "command_id")
        self.pdu_errors = counter(
            "pdu_errors_total", "Irregular PDUs and sessions, by reason.", "reason"
        )
        self.submits = counter(
            "submits_total", "submit_sm answered.", "system_id", "command_status"
        )
        self.submit_duration = histogram(
            "submit_duration_seconds", "From submit_sm to its response."
        )
        self.submits_in_flight = gauge(
            "submits_in_flight", "Messages, query_sm and cancel_sm not answered yet."
        )
        self.throttled = counter(
            "throttled_total", "Requests refused by a limit.", "system_id", "limit"
        )
        self.text_flags = counter(
            "text_flags_total",
            "Messages whose octets did not decode cleanly, or lost what the API cannot carry.",
            "flag",
        )
        self.api_reachable = gauge(
            "api_reachable", "1 while the API can be connected to, 0 while submits fail fast."
        )
        self.api_reachable.set(1)
        self.api_requests = counter("api_requests_total", "Requests to the API.", "outcome")
        self.api_request_duration = histogram(
            "api_request_duration_seconds", "From the request to the API's answer."
        )
        self.api_request_messages = histogram(
            "api_request_messages", "Messages in one request to the API.", MESSAGES
        )
        self.api_mismatches = Counter(
            "smppgw_api_mismatches_total",
            "Answers to many messages that did not fit them: unknown outcomes, all of them.",
            registry=registry,
        )
        self.api_queue = gauge(
            "api_queue_messages", "Messages and questions that wait for their turn at the API."
        )
        self.api_queue_octets = gauge(
            "api_queue_bytes", "What the bodies of those messages have together."
        )
        self.inquiries = counter(
            "inquiries_total",
            "query_sm and cancel_sm answered.",
            "system_id",
            "command_id",
            "command_status",
        )
        self.segments_pending = gauge(
            "segments_pending", "Parts of long messages that wait for their siblings."
        )
        self.segment_sets_pending = gauge(
            "segment_sets_pending", "Long messages of which parts are waiting."
        )
        self.sets_expired = counter(
            "segment_sets_expired_total",
            "Long messages that were not complete in time: failed, or relayed as they were.",
            "system_id",
            "result",
        )
        self.webhooks = counter("webhooks_total", "Calls of the callback listener.", "result")
        self.receipts = counter("receipts_total", "Receipts stored.", "message_state")
        self.receipt_attempts = counter(
            "receipt_attempts_total", "Receipts handed to an ESME, by what came of it.", "result"
        )
        self.receipts_pending = gauge(
            "receipts_pending", "Receipts that wait for a receiver or for its answer."
        )
        self.receipts_dead = gauge("receipts_dead", "Receipts given up, kept to be looked at.")
        self.reports_awaited = gauge(
            "reports_awaited", "Messages whose final report the gateway asks the API for."
        )
        self.receipt_oldest_age = gauge(
            "receipt_oldest_age_seconds", "How long the oldest receipt has been due."
        )
        self.receipt_delivery = histogram(
            "receipt_delivery_seconds",
            "From a report's arrival to the ESME's acknowledgement.",
            DELIVERY_SECONDS,
        )
        self.status_polls = counter(
            "status_polls_total", "Requests for a message's status, by what they brought.", "result"
        )
        store_operation = Histogram(
            "smppgw_store_operation_seconds",
            "From an operation's turn in the store to its commit.",
            ["operation"],
            buckets=SECONDS,
            registry=registry,
        )
        self.store_operation = cache(store_operation.labels)
        self.store_errors = counter(
            "store_errors_total", "Operations that the store refused.", "operation"
        )
        self.reload_successful = gauge(
            "config_last_reload_successful", "1 if the last reload was applied, else 0."
        )
        self.reload_timestamp = gauge(
            "config_last_reload_timestamp_seconds",
            "When the configuration in force was read, in seconds since 1970.",
        )
        self.log_lines_suppressed = counter(
            "log_lines_suppressed_total", "Log lines left out by log.sampled, by event.", "event"
        )
        self.reactor_lag = histogram(
            "reactor_lag_seconds", "How late the event loop's clock ticks.", LAG_SECONDS
        )

    def account(self, system_id: str) -> str:
        """The label value for a configured account."""
        return system_id if self._name_accounts else "-"
