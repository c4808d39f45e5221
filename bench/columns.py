"""What stands in each table of the report."""

from __future__ import annotations

from collections.abc import Sequence

# Head, what stands under it in a row's report, and its decimals.
Columns = Sequence[tuple[str, str, int]]
COLUMNS: Columns = (
    ("messages/s", "per_second", 0),
    ("p50 ms", "p50_ms", 2),
    ("p99 ms", "p99_ms", 2),
    ("CPU us/message", "cpu_us", 1),
    ("RSS MB", "rss_mb", 0),
)
PART_COLUMNS: Columns = (
    ("parts/s", "per_second", 0),
    *COLUMNS[1:3],
    ("CPU us/part", "cpu_us", 1),
    *COLUMNS[4:],
)
CALLBACK_COLUMNS: Columns = (
    ("callbacks/s", "per_second", 0),
    ("receipts/s", "delivered_per_second", 0),
    *COLUMNS[1:3],
    ("CPU us/callback", "cpu_us", 1),
    *COLUMNS[4:],
)
BACKLOG_COLUMNS: Columns = (
    ("receipts/s", "per_second", 0),
    ("CPU us/receipt", "cpu_us", 1),
    ("start s", "start_seconds", 2),
    ("RSS MB before", "idle_mb", 0),
    ("RSS MB after", "rss_mb", 0),
)
PACED_COLUMNS: Columns = (
    *COLUMNS[:3],
    ("sent late p99 ms", "late_p99_ms", 2),
    ("CPU %", "cpu_percent", 0),
    COLUMNS[4],
)
LIMIT_COLUMNS: Columns = (
    COLUMNS[0],
    ("requests/s", "requests_per_second", 0),
    ("messages/request", "messages_per_request", 1),
    ("429", "refused", 0),
    *COLUMNS[1:3],
    ("lag p99 <= ms", "lag_ms", 0),
    *COLUMNS[3:],
)
BULK_COLUMNS: Columns = (
    ("octets", "octets", 0),
    ("encode us/message", "encode_us", 1),
    ("in one piece us/message", "stretch_us", 1),
    ("in one piece ms", "stretch_ms", 2),
)
FAIR_COLUMNS: Columns = (
    *PACED_COLUMNS[:4],
    ("messages/s of the other", "flood_per_second", 0),
    ("429", "refused", 0),
)
MIXED_COLUMNS: Columns = (
    ("messages/s", "messages_per_second", 0),
    ("submit_sm/s", "per_second", 0),
    *COLUMNS[1:3],
    ("CPU us/submit_sm", "cpu_us", 1),
    *COLUMNS[4:],
)
STORM_COLUMNS: Columns = (("wrong binds/s", "storm_per_second", 0), *PACED_COLUMNS)
