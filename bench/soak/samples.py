"""Samples of a running gateway: what the kernel says of its process, and what /metrics says."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import suppress
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
    of_api: int  # and those over which it calls back
    threads: int
    sessions: int
    connections: int
    in_flight: int
    receipts_pending: int
    lag: dict[float, float]  # observations so far by bucket, in seconds

    @property
    def own_descriptors(self) -> int:
        """Without the connections from and to the API: both sides keep them for a while."""
        return self.descriptors - self.to_api - self.of_api


def take(pid: int, ports: Mapping[str, int]) -> Sample:
    """Ports by name: admin, api, callbacks. Raises OSError when the process is gone."""
    with urlopen(f"http://127.0.0.1:{ports['admin']}/metrics", timeout=SCRAPE_WAIT) as answer:
        found = exposition.samples(answer.read().decode())
    process = Path(f"/proc/{pid}")
    to_api, of_api = connections(process, ports["api"], ports["callbacks"])
    # The connection of the scrape itself is closed already, or nearly.
    return Sample(
        at=time.monotonic(),
        rss_mb=memory(pid)["rss_mb"],
        cpu=cpu_seconds(pid),
        descriptors=len(os.listdir(process / "fd")),
        to_api=to_api,
        of_api=of_api,
        threads=len(os.listdir(process / "task")),
        sessions=int(exposition.total(found, "smppgw_sessions")),
        connections=int(exposition.total(found, "smppgw_connections")),
        in_flight=int(exposition.total(found, "smppgw_submits_in_flight")),
        receipts_pending=int(exposition.total(found, "smppgw_receipts_pending")),
        lag=exposition.buckets(found),
    )


def connections(process: Path, to: int, at: int) -> tuple[int, int]:
    """How many descriptors of a process are TCP connections to port `to`, and at its port `at`."""
    rows = [line.split() for line in (process / "net/tcp").read_text().splitlines()[1:]]
    ends = {f"socket:[{row[9]}]": (_port(row[1]), _port(row[2])) for row in rows}
    found = []
    for descriptor in (process / "fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            found.append(ends.get(os.readlink(descriptor), (0, 0)))
    listening = (at, 0)
    return (
        sum(remote == to for _, remote in found),
        sum(local == at for local, _ in found) - found.count(listening),
    )


def _port(address: str) -> int:
    """Of an address in /proc/net/tcp."""
    return int(address.partition(":")[2], 16)
