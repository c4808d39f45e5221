"""smpplib's client, made fit to wait for more than one answer at a time.

smpplib shares no code with the gateway's own codec, which makes it an independent ESME: its
socket and PDUs write and read everything that it knows. What it cannot do is worked around
here, each place naming the defect.
"""

from __future__ import annotations

import socket
import ssl
import struct
import time
from dataclasses import dataclass
from typing import Any, Final

from smpplib import consts, smpp
from smpplib.client import Client
from smpplib.exceptions import ConnectionError as SmpplibConnectionError
from smpplib.exceptions import PDUError, UnknownCommandError

from gateway.smpp.constants import CommandId, CommandStatus

LARGEST_PDU: Final = 1_048_576
BIND_STATES: Final = {
    int(CommandId[name]): state
    for name, state in consts.STATE_SETTERS.items()
    if name.startswith("bind")
}
REPLIES: Final = {
    int(CommandId.enquire_link): "enquire_link_resp",
    int(CommandId.deliver_sm): "deliver_sm_resp",
    int(CommandId.unbind): "unbind_resp",
}


class SendError(Exception):
    """Nothing more can be sent; the message is one line for the user."""


@dataclass(frozen=True)
class Response:
    """The parts of a received PDU that matter here."""

    command_id: int
    status: int
    sequence_number: int
    message_id: str
    pdu: Any  # smpplib's own reading, None where it could not read the PDU
    frame: bytes  # the whole PDU


class Esme(Client):  # type: ignore[misc]
    """smpplib's client, with a socket for any address family and a sturdier reader."""

    def __init__(
        self, host: str, port: int, timeout: float, tls: ssl.SSLContext | None = None
    ) -> None:
        super().__init__(host, port, timeout, allow_unknown_opt_params=True)
        self._tls = tls
        self._frame: list[bytes] = []

    def _create_socket(self) -> socket.socket:
        family = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)[0][0]
        plain = socket.socket(family, socket.SOCK_STREAM)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        plain.settimeout(self.timeout)
        if self._tls is None:
            return plain
        # smpplib's own names no host to the context, which then cannot check the certificate's.
        return self._tls.wrap_socket(plain, server_hostname=self.host)

    def _recv_exact(self, exact_size: int) -> bytes:
        # smpplib would wait for up to 4 GB (its reader has no limit).
        if not 0 < exact_size <= LARGEST_PDU:
            raise SendError("what answers is not SMPP: check --host and --port")
        octets: bytes = super()._recv_exact(exact_size)
        self._frame = [*self._frame, octets] if exact_size != 4 else [octets]
        return octets

    def receive(self) -> Response:
        """The next PDU, answered if it is a request.

        Raises TimeoutError, or SendError when the connection has ended.
        """
        try:
            pdu = self.read_pdu()
        except SmpplibConnectionError:
            raise SendError("the gateway closed the connection") from None
        except (UnknownCommandError, PDUError, KeyError, struct.error):
            # smpplib raises on command ids and TLVs that it does not list.
            pdu = None
        frame = b"".join(self._frame)
        if len(frame) < 16:
            raise SendError("what answers is not SMPP: check --host and --port")
        _, command_id, status, sequence_number = struct.unpack_from(">IIII", frame)
        if status == CommandStatus.ESME_ROK and pdu is None and command_id in BIND_STATES:
            self.state = BIND_STATES[command_id]
        message_id = frame[16:].partition(b"\0")[0].decode("latin-1")
        response = Response(command_id, status, sequence_number, message_id, pdu, frame)
        self._answer(response)
        return response

    def _answer(self, request: Response) -> None:
        reply = REPLIES.get(request.command_id)
        if reply is None:
            return
        pdu = smpp.make_pdu(reply, client=self)
        pdu.sequence = request.sequence_number  # the keyword argument is ignored
        self.state, state = consts.SMPP_CLIENT_STATE_BOUND_TRX, self.state
        try:  # smpplib refuses an enquire_link_resp before the bind, which 5.0 allows
            self.send(pdu)
        finally:
            self.state = state
        if request.command_id == CommandId.unbind:
            raise SendError("the gateway ended the session (unbind)")

    def send(self, pdu: Any) -> None:
        """Write one PDU; raises SendError when the connection has ended."""
        try:
            self.send_pdu(pdu)
        except SmpplibConnectionError:
            raise SendError("the connection ended while writing") from None

    def send_octets(self, octets: bytes) -> None:
        """Write a PDU that smpplib has no class for, with a sequence_number from this client."""
        try:
            self.socket.sendall(octets)
        except OSError:
            raise SendError("the connection ended while writing") from None

    def request(self, pdu: Any, timeout: float) -> Response:
        """Send, and read until its answer: smpplib would take the very next PDU for it."""
        self.send(pdu)
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            response = self.receive()
            if response.sequence_number == pdu.sequence and response.command_id & 0x80000000:
                return response
        raise TimeoutError

    @property
    def socket(self) -> socket.socket:
        """The connected socket, to wait on."""
        connected: socket.socket = self._socket
        return connected
