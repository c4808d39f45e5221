"""One bind of a load generator: its connection and its window."""

from __future__ import annotations

import socket
import time

from bench.submits import HEADER, Submits, Whole

BIND_RECEIVER, BIND_TRANSCEIVER = 0x00000001, 0x00000009
RESPONSE_BIT = 0x80000000
SUBMIT_SM_RESP = 0x80000004
ENQUIRE_LINK, ENQUIRE_LINK_RESP = 0x00000015, 0x80000015
UNBIND, UNBIND_RESP = 0x00000006, 0x80000006

READ = 262_144
BIND_WAIT = 30.0  # seconds for one bind_transceiver_resp
LAST_SEQUENCE_NUMBER = 0x7FFFFFFF


def pdu(command_id: int, sequence_number: int, body: bytes = b"") -> bytes:
    return HEADER.pack(16 + len(body), command_id, 0, sequence_number) + body


def bind_body(system_id: str, password: str) -> bytes:
    words = b"\0".join((system_id.encode("ascii"), password.encode("ascii"), b""))
    return words + b"\0" + bytes((0x34, 0, 0)) + b"\0"


class Refused(Exception):
    """A bind that did not succeed."""


class Session:
    """One bind and its window."""

    def __init__(self, sock: socket.socket, submits: Submits) -> None:
        self.socket = sock
        self.submits = submits
        self.outstanding: dict[int, float] = {}
        self.blocked = False
        self.unbound = False
        self.asked = 0  # enquire_links that came
        self.rest = b""
        self._sequence_number = 1  # the bind's; the first submit_sm has 2
        self._unsent = b""

    @classmethod
    def bound(
        cls,
        address: tuple[str, int],
        system_id: str,
        password: str,
        submits: Submits | None = None,
        bind: int = BIND_TRANSCEIVER,
    ) -> Session:
        """Connect and bind. Raises Refused for any other answer than ESME_ROK."""
        sock = socket.create_connection(address, timeout=BIND_WAIT)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.sendall(pdu(bind, 1, bind_body(system_id, password)))
            data = b""
            while len(data) < 16 or len(data) < HEADER.unpack_from(data)[0]:
                more = sock.recv(READ)
                if not more:
                    raise Refused("the connection was closed instead of an answer to the bind")
                data += more
            length, command_id, status, _ = HEADER.unpack_from(data)
            if command_id != bind | RESPONSE_BIT or status:
                raise Refused(f"the bind was answered {command_id:08X} status 0x{status:02X}")
        except BaseException:
            sock.close()
            raise
        sock.setblocking(False)
        session = cls(sock, submits or Whole())
        session.rest = data[length:]
        return session

    def submit(self, count: int) -> None:
        """Send `count` submit_sm in one write."""
        if self._sequence_number + count > LAST_SEQUENCE_NUMBER:
            self._sequence_number = 1
        begin = self._sequence_number + 1
        numbers = range(begin, begin + count)
        self._sequence_number += count
        self.outstanding.update(dict.fromkeys(numbers, time.perf_counter()))
        self.send(self.submits.encode(numbers))

    def unbind(self) -> None:
        self.send(pdu(UNBIND, LAST_SEQUENCE_NUMBER))

    def send(self, data: bytes) -> None:
        """Write now or later; `blocked` says that some is left."""
        if self._unsent:
            data = self._unsent + data
        try:
            sent = self.socket.send(data)
        except (BlockingIOError, ConnectionError):
            sent = 0  # the end of a connection is noticed where it is read
        self._unsent = data[sent:] if sent < len(data) else b""
        self.blocked = bool(self._unsent)
