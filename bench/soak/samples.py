"""Samples of a running gateway: what the kernel says of its process, and what /metrics says."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

from bench import exposition
from bench.measure import cpu_seconds, memory

SCRAPE_WAIT = 10.0  # seconds


@dataclass(frozen=True)
class Sample:
    """One look. Memory is in MB of 1,000,000 octets, `at` in seconds of the monotonic clock."""

    at: float
    rss_mb: float
    cpu: float  # seconds so far
    descriptors: int
    to_api: int  # of them, connections to the API
    threads: int
    sessions: int
    connections: int
    in_flight: int
    receipts_pending: int
    lag: dict[float, float]  # observations so far by bucket, in seconds

    @property
    def own_descriptors(self) -> int:
        """Without the connections to the API, which it keeps as long as it may use them."""
        return self.descriptors - self.to_api


def take(pid: int, admin_port: int, api_port: int) -> Sample:
    """Raises OSError when the process or its admin port is gone."""
    with urlopen(f"http://127.0.0.1:{admin_port}/metrics", timeout=SCRAPE_WAIT) as answer:
        found = exposition.samples(answer.read().decode())
    process = Path(f"/proc/{pid}")
    # The connection of the scrape itself is closed already, or nearly.
    return Sample(
        at=time.monotonic(),
        rss_mb=memory(pid)["rss_mb"],
        cpu=cpu_seconds(pid),
        descriptors=len(os.listdir(process / "fd")),
        to_api=connections_to(process, api_port),
        threads=len(os.listdir(process / "task")),
        sessions=int(exposition.total(found, "smppgw_sessions")),
        connections=int(exposition.total(found, "smppgw_connections")),
        in_flight=int(exposition.total(found, "smppgw_submits_in_flight")),
        receipts_pending=int(exposition.total(found, "smppgw_receipts_pending")),
        lag=exposition.buckets(found),
    )


def connections_to(process: Path, port: int) -> int:
    """How many descriptors of a process are TCP connections to this port."""
    inodes = _to_port((process / "net/tcp").read_text(), port)
    count = 0
    for descriptor in (process / "fd").iterdir():
        try:
            count += os.readlink(descriptor) in inodes
        except FileNotFoundError:  # closed meanwhile
            continue
    return count


def _to_port(table: str, port: int) -> set[str]:
    """The sockets of a /proc/net/tcp whose other end is this port, as /proc/PID/fd names them."""
    rows = (line.split() for line in table.splitlines()[1:])
    remote = f":{port:04X}"
    return {f"socket:[{row[9]}]" for row in rows if row[2].endswith(remote)}
