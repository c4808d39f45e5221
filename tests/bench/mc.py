"""An MC in one thread per connection that answers submit_sm as a test says."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gateway.smpp.constants import CommandId, CommandStatus

HEADER = struct.Struct(">IIII")
OK = CommandStatus.ESME_ROK


def resp(
    number: int, status: int = 0, body: bytes = b"id\0", command: int = CommandId.submit_sm_resp
) -> bytes:
    return HEADER.pack(16 + len(body), command, status, number) + body


Answer = Callable[[int, int], bytes]  # running number from 1, sequence_number -> octets


class FakeMc:
    """Binds everybody, then answers each submit_sm as `answer` says, one octet run at a time."""

    def __init__(self, answer: Answer, bind_status: int = 0) -> None:
        self.answer = answer
        self.bind_status = bind_status
        self.pdus: list[tuple[int, int, bytes]] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address: tuple[str, int] = self._listener.getsockname()
        self._threads: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            thread = threading.Thread(target=self._serve, args=(sock,))
            thread.start()
            self._threads.append(thread)

    def _serve(self, sock: socket.socket) -> None:
        with sock, sock.makefile("rb") as stream:
            submits = 0
            while head := stream.read(16):
                length, command, _, number = HEADER.unpack(head)
                self.pdus.append((command, number, stream.read(length - 16)))
                if command == CommandId.bind_transceiver:
                    out = resp(number, self.bind_status, b"mc\0", 0x80000009)
                elif command == CommandId.submit_sm:
                    submits += 1
                    out = self.answer(submits, number)
                elif command == CommandId.unbind:
                    out = resp(number, 0, b"", CommandId.unbind_resp)
                else:
                    out = b""
                if out == b"cut":
                    return
                middle = len(out) // 2
                try:
                    sock.sendall(out[:middle])
                    sock.sendall(out[middle:])
                except OSError:
                    return

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join(5)
        for thread in self._threads:
            thread.join(5)

    @property
    def submits(self) -> list[bytes]:
        """Every submit_sm whole, in the order of arrival."""
        return [
            HEADER.pack(16 + len(body), command, 0, number) + body
            for command, number, body in self.pdus
            if command == CommandId.submit_sm
        ]


@contextmanager
def mc(answer: Answer, bind_status: int = 0) -> Iterator[FakeMc]:
    fake = FakeMc(answer, bind_status)
    try:
        yield fake
    finally:
        fake.close()
