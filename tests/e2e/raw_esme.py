"""An ESME of struct and a socket: it sends whatever octets a test wants, and reads PDUs.

Independent of the gateway's own codec, and of smpplib, which sends only what is right.
"""

from __future__ import annotations

import socket
import struct
import time
from dataclasses import dataclass
from typing import Self

_HEADER = struct.Struct(">IIII")

BIND_RECEIVER, BIND_TRANSMITTER, BIND_TRANSCEIVER = 0x01, 0x02, 0x09
QUERY_SM, SUBMIT_SM, DELIVER_SM = 0x03, 0x04, 0x05
UNBIND, REPLACE_SM, CANCEL_SM = 0x06, 0x07, 0x08
OUTBIND, ENQUIRE_LINK, SUBMIT_MULTI = 0x0B, 0x15, 0x21
ALERT_NOTIFICATION, DATA_SM = 0x102, 0x103
RESP = 0x80000000
GENERIC_NACK = RESP

ROK, RINVMSGLEN, RINVCMDLEN, RINVCMDID, RINVBNDSTS, RALYBND = 0x00, 0x01, 0x02, 0x03, 0x04, 0x05
RSYSERR, RINVSRCADR, RINVDSTADR, RBINDFAIL, RINVPASWD = 0x08, 0x0A, 0x0B, 0x0D, 0x0E
RINVMSGID, RCANCELFAIL, RREPLACEFAIL = 0x0C, 0x11, 0x13
RINVSYSID, RMSGQFUL, RINVSERTYP, RINVNUMDESTS = 0x0F, 0x14, 0x15, 0x33
RINVDESTFLAG, RINVSUBREP, RINVESMCLASS, RCNTSUBDL, RSUBMITFAIL = 0x40, 0x42, 0x43, 0x44, 0x45
RTHROTTLED, RINVSCHED, RINVEXPIRY, RINVDFTMSGID, RQUERYFAIL = 0x58, 0x61, 0x62, 0x63, 0x67
RINVOPTPARSTREAM, ROPTPARNOTALLWD, RINVOPTPARAMVAL = 0xC0, 0xC1, 0xC4

UDHI = 0x40  # in esm_class
ENROUTE, DELETED = 1, 4  # message_state


@dataclass(frozen=True)
class Pdu:
    """What was read: the header's four fields, and the body's octets."""

    length: int
    command_id: int
    status: int
    sequence: int
    body: bytes

    @property
    def message_id(self) -> str:
        """The body as one C-string, as in submit_sm_resp."""
        assert self.body.index(0) == len(self.body) - 1, self
        return self.body[:-1].decode("ascii")

    @property
    def multi(self) -> tuple[str, dict[str, int]]:
        """What a submit_multi_resp says: its message_id, and the status of each that failed."""
        message_id, _, rest = self.body.partition(b"\0")
        count, rest, failed = rest[0], rest[1:], {}
        for _ in range(count):
            address, _, rest = rest[2:].partition(b"\0")
            failed[address.decode("ascii")] = int.from_bytes(rest[:4], "big")
            rest = rest[4:]
        assert (rest, len(failed)) == (b"", count), self
        return message_id.decode("ascii"), failed

    @property
    def state(self) -> tuple[str, str, int, int]:
        """What a query_sm_resp says: message_id, final_date, message_state, error_code."""
        message_id, final_date, rest = self.body.split(b"\0", 2)
        message_state, error_code = rest
        return message_id.decode("ascii"), final_date.decode("ascii"), message_state, error_code


def pdu(
    command_id: int, sequence: int = 1, body: bytes = b"", status: int = 0, length: int = -1
) -> bytes:
    """The octets of a PDU; `length` when its command_length is to be a lie."""
    true = _HEADER.size + len(body)
    return _HEADER.pack(true if length < 0 else length, command_id, status, sequence) + body


def cstring(text: str) -> bytes:
    return text.encode("latin-1") + b"\0"


def tlv(tag: int, value: bytes) -> bytes:
    return struct.pack(">HH", tag, len(value)) + value


def bind_body(
    system_id: str = "demo", password: str = "demo", interface_version: int = 0x34
) -> bytes:
    names = cstring(system_id) + cstring(password) + cstring("")
    return names + bytes([interface_version, 0, 0]) + cstring("")


def submit_body(
    to: str = "37255500001",
    text: bytes = b"hello",
    *,
    ton: int = 1,
    sender: str = "Demo",
    service_type: str = "",
    esm_class: int = 0,
    priority: int = 0,
    schedule: str = "",
    validity: str = "",
    registered_delivery: int = 0,
    replace: int = 0,
    data_coding: int = 0,
    default: int = 0,
    sm_length: int = -1,
    tail: bytes = b"",
    destinations: bytes = b"",
) -> bytes:
    """A submit_sm's body; `tail` stands behind short_message, `sm_length` may be a lie.

    With `destinations`, octets of their own, it is a submit_multi's.
    """
    return b"".join(
        (
            cstring(service_type),
            origin(sender),
            destinations or bytes([ton, 1]) + cstring(to),
            bytes([esm_class, 0, priority]),
            cstring(schedule),
            cstring(validity),
            bytes([registered_delivery, replace, data_coding, default]),
            bytes([len(text) if sm_length < 0 else sm_length]) + text,
            tail,
        )
    )


def origin(sender: str) -> bytes:
    """The fields of a source address."""
    return bytes([5 if sender.isalpha() else 1, 0]) + cstring(sender)


def submit(sequence: int, to: str = "37255500001", text: bytes = b"hello", **rest: object) -> bytes:
    return pdu(SUBMIT_SM, sequence, submit_body(to, text, **rest))  # type: ignore[arg-type]


# Long messages.


def udh(*elements: bytes) -> bytes:
    """A user data header of whole information elements."""
    body = b"".join(elements)
    return bytes([len(body)]) + body


def concat8(reference: int, total: int, number: int) -> bytes:
    return bytes([0x00, 3, reference, total, number])


def concat16(reference: int, total: int, number: int) -> bytes:
    return bytes([0x08, 4, *divmod(reference, 256), total, number])


def sar(reference: int, total: int, number: int, order: str = "rtn") -> bytes:
    """The three sar_* parameters: `order` has an r, a t and an n."""
    made = {
        "r": tlv(0x020C, struct.pack(">H", reference)),
        "t": tlv(0x020E, bytes([total])),
        "n": tlv(0x020F, bytes([number])),
    }
    return b"".join(made[letter] for letter in order)


def part(sequence: int, to: str, header: bytes, text: bytes, **rest: object) -> bytes:
    """A submit_sm with a user data header in front of its text."""
    return submit(sequence, to, header + text, **{"esm_class": UDHI, **rest})


# The other requests.


def number(to: str) -> bytes:
    """A destination of a submit_multi."""
    return b"\1\1\1" + cstring(to)


def dl(name: str) -> bytes:
    """A distribution list as a destination of a submit_multi."""
    return b"\2" + cstring(name)


def multi(
    sequence: int, destinations: list[bytes], text: bytes = b"hello", **rest: object
) -> bytes:
    counted = bytes([len(destinations)]) + b"".join(destinations)
    body = submit_body("", text, destinations=counted, **rest)  # type: ignore[arg-type]
    return pdu(SUBMIT_MULTI, sequence, body)


def data(
    sequence: int,
    to: str,
    tail: bytes,
    *,
    sender: str = "Demo",
    esm_class: int = 0,
    registered_delivery: int = 0,
    data_coding: int = 0,
) -> bytes:
    """A data_sm; its text is a parameter in `tail`."""
    addresses = b"\0" + origin(sender) + b"\1\1" + cstring(to)
    fields = bytes([esm_class, registered_delivery, data_coding])
    return pdu(DATA_SM, sequence, addresses + fields + tail)


def payload(text: bytes) -> bytes:
    return tlv(0x0424, text)


def query(sequence: int, message_id: str, sender: str = "") -> bytes:
    source = origin(sender) if sender else b"\0\0\0"
    return pdu(QUERY_SM, sequence, cstring(message_id) + source)


def cancel(
    sequence: int, message_id: str, sender: str = "", to: str = "", service_type: str = ""
) -> bytes:
    source = origin(sender) if sender else b"\0\0\0"
    destination = b"\1\1" + cstring(to) if to else b"\0\0\0"
    body = cstring(service_type) + cstring(message_id) + source + destination
    return pdu(CANCEL_SM, sequence, body)


def replace_sm(sequence: int, message_id: str, text: bytes) -> bytes:
    body = cstring(message_id) + b"\0\0\0\0\0\0\0" + bytes([len(text)]) + text
    return pdu(REPLACE_SM, sequence, body)


class RawEsme:
    """One connection. `read` gives the next PDU, or None once the peer has closed."""

    def __init__(self, port: int, *, timeout: float = 8.0) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, *octets: bytes) -> Self:
        self.socket.sendall(b"".join(octets))
        return self

    def ask(self, octets: bytes) -> Pdu:
        """Send one request and return what comes next."""
        self.send(octets)
        return self.expect()

    def ask_all(self, *octets: bytes) -> dict[int, Pdu]:
        """Send them all in one write; the answers by their sequence_number."""
        self.send(*octets)
        answers = [self.expect() for _ in octets]
        found = {answer.sequence: answer for answer in answers}
        assert len(found) == len(octets)
        return found

    def bind(
        self,
        command_id: int = BIND_TRANSCEIVER,
        *,
        system_id: str = "demo",
        password: str = "demo",
        interface_version: int = 0x34,
    ) -> Self:
        body = bind_body(system_id, password, interface_version)
        answer = self.ask(pdu(command_id, 1, body))
        assert (answer.command_id, answer.status) == (command_id | RESP, ROK), answer
        return self

    def expect(self) -> Pdu:
        """The next PDU; an end is a failure."""
        found = self.read()
        assert found is not None, "the peer has closed"
        return found

    def read(self) -> Pdu | None:
        head = self._exactly(_HEADER.size)
        if head is None:
            return None
        length, command_id, status, sequence = _HEADER.unpack(head)
        assert 16 <= length <= 70_000, f"command_length {length}"
        body = self._exactly(length - _HEADER.size)
        assert body is not None, "the peer has closed inside a PDU"
        return Pdu(length, command_id, status, sequence, body)

    def arrived(self) -> list[Pdu]:
        """Whole PDUs, at least one, without waiting for a further one; the end is a failure."""
        found = [self.expect()]
        while self.ahead:
            found.append(self.expect())
        return found

    @property
    def ahead(self) -> bool:
        """Whether a whole PDU was read already, so that the socket need not become readable."""
        return len(self._buffer) >= 4 and len(self._buffer) >= int.from_bytes(self._buffer[:4])

    def rest(self) -> list[Pdu]:
        """Everything up to the end, which a reset may be too."""
        found = []
        while (one := self.read()) is not None:
            found.append(one)
        return found

    def seconds_until_closed(self) -> float:
        started = time.monotonic()
        assert self.rest() == []
        return time.monotonic() - started

    def alive(self, sequence: int = 0x5EED) -> bool:
        """Whether the very next PDU answers an enquire_link."""
        answer = self.ask(pdu(ENQUIRE_LINK, sequence))
        return answer == Pdu(16, ENQUIRE_LINK | RESP, ROK, sequence, b"")

    def _exactly(self, count: int) -> bytes | None:
        """`count` octets; None when the stream ends before the first of them."""
        while len(self._buffer) < count:
            try:
                octets = self.socket.recv(65_536)
            except ConnectionResetError:
                octets = b""
            if not octets:
                assert not self._buffer, f"the stream ends with {self._buffer!r}"
                return None
            self._buffer += octets
        taken, self._buffer = self._buffer[:count], self._buffer[count:]
        return taken
