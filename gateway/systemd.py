"""What the service manager is told of this process: systemd's protocol, sd_notify(3).

A datagram of lines `NAME=value` to the socket that NOTIFY_SOCKET names. Another manager that
speaks it is as good; without one nothing is sent.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

_PATIENCE: Final = 0.2  # seconds for a manager whose queue is full: it must not hold us up


class Notifier:
    """Tells the manager behind a socket what this process does.

    Every method returns at once, and none raises: a service does not stop because its manager
    cannot be reached.
    """

    def __init__(self, address: str = "", watchdog_interval: float | None = None) -> None:
        """`address` is a path, or "@" and a name in the abstract namespace; "" for nobody."""
        self._address = address
        #: Seconds from one `watchdog` to the next; None when nobody waits for them.
        self.watchdog_interval: Final = watchdog_interval if address else None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Notifier:
        """What NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID ask of this process.

        Of the time that the watchdog allows half is taken, as sd_watchdog_enabled(3) advises.
        """
        address = environ.get("NOTIFY_SOCKET", "")
        if not address.startswith(("/", "@")):
            address = ""  # vsock: is for virtual machines
        # A process that was started by the one that is watched inherits its variables.
        theirs = environ.get("WATCHDOG_PID", "") not in {"", str(os.getpid())}
        allowed = environ.get("WATCHDOG_USEC", "")
        if theirs or not (allowed.isascii() and allowed.isdecimal()) or not int(allowed):
            return cls(address)
        return cls(address, int(allowed) / 2_000_000)

    def ready(self) -> None:
        """The start is over, or the new configuration is in use."""
        self._tell("READY=1")

    def reloading(self) -> None:
        """The configuration is being read; `ready` ends that, also when it was refused."""
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(_CLOCK) // 1000}")

    def stopping(self) -> None:
        """The stop has begun."""
        self._tell("STOPPING=1")

    def status(self, text: str) -> None:
        """One line for whoever asks `systemctl status`."""
        self._tell(f"STATUS={' '.join(text.split())}")

    def watchdog(self) -> None:
        """The event loop turns."""
        self._tell("WATCHDOG=1")

    def _tell(self, lines: str) -> None:
        if not self._address:
            return
        address = self._address
        if address.startswith("@"):
            address = "\0" + address[1:]
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.settimeout(_PATIENCE)
            manager.sendto(lines.encode(), address)


_CLOCK: Final = time.CLOCK_MONOTONIC  # the one that systemd compares with
