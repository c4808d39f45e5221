"""One bind of the load generator: its PDUs, encoded once, and its window."""

from __future__ import annotations

import socket
import struct

BIND_TRANSCEIVER, BIND_TRANSCEIVER_RESP = 0x00000009, 0x80000009
SUBMIT_SM, SUBMIT_SM_RESP = 0x00000004, 0x80000004
ENQUIRE_LINK, ENQUIRE_LINK_RESP = 0x00000015, 0x80000015
UNBIND, UNBIND_RESP = 0x00000006, 0x80000006

READ = 262_144
BIND_WAIT = 30.0  # seconds for one bind_transceiver_resp
LAST_SEQUENCE_NUMBER = 0x7FFFFFFF
TEXT = b"Your code is 123456. It is valid for ten minutes."

HEADER = struct.Struct(">IIII")


def pdu(command_id: int, sequence_number: int, body: bytes = b"") -> bytes:
    return HEADER.pack(16 + len(body), command_id, 0, sequence_number) + body


def bind_body(system_id: str, password: str) -> bytes:
    words = b"\0".join((system_id.encode("ascii"), password.encode("ascii"), b""))
    return words + b"\0" + bytes((0x34, 0, 0)) + b"\0"


def submit_body() -> bytes:
    """One message as a bank sends it: alphanumeric sender, international number, GSM text."""
    source = bytes((5, 0)) + b"Bench\0"
    destination = bytes((1, 1)) + b"37255555555\0"
    # esm_class, protocol_id, priority_flag; no times; registered_delivery,
    # replace_if_present_flag, data_coding, sm_default_msg_id
    return b"\0" + source + destination + bytes(3) + b"\0\0" + bytes(4) + bytes((len(TEXT),)) + TEXT


class Refused(Exception):
    """A bind that did not succeed."""


class Session:
    """One bind and its window."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.outstanding: dict[int, float] = {}
        self.blocked = False
        self.unbound = False
        self.rest = b""
        self._sequence_number = 1
        self._unsent = b""
        body = submit_body()
        self._head = HEADER.pack(16 + len(body), SUBMIT_SM, 0, 0)[:12]
        self._tail = body

    @classmethod
    def bound(cls, address: tuple[str, int], system_id: str, password: str) -> Session:
        """Connect and bind. Raises Refused for any other answer than ESME_ROK."""
        sock = socket.create_connection(address, timeout=BIND_WAIT)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.sendall(pdu(BIND_TRANSCEIVER, 1, bind_body(system_id, password)))
            data = b""
            while len(data) < 16 or len(data) < HEADER.unpack_from(data)[0]:
                more = sock.recv(READ)
                if not more:
                    raise Refused("the connection was closed instead of an answer to the bind")
                data += more
            length, command_id, status, _ = HEADER.unpack_from(data)
            if command_id != BIND_TRANSCEIVER_RESP or status:
                raise Refused(f"bind_transceiver answered {command_id:08X} status 0x{status:02X}")
        except BaseException:
            sock.close()
            raise
        sock.setblocking(False)
        session = cls(sock)
        session.rest = data[length:]
        return session

    def submit(self, count: int, now: float) -> None:
        """Send `count` messages in one write."""
        number, head, tail = self._sequence_number, self._head, self._tail
        out = []
        for _ in range(count):
            number = number + 1 if number < LAST_SEQUENCE_NUMBER else 1
            self.outstanding[number] = now
            out.append(head)
            out.append(number.to_bytes(4, "big"))
            out.append(tail)
        self._sequence_number = number
        self.send(b"".join(out))

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
