"""Receivers that take each deliver_sm at once: raw sockets, a few microseconds a receipt.

As soon as all are bound, `{"bound": N}` is printed. Then every line read from standard input
is a command, answered by one JSON line:

- `count`: receipts taken so far, how many of them were there before (`doubled`, by their
  receipted_message_id), what came that is no deliver_sm, and how many sessions are left;
- `between BEGUN ENDED`: how many came in that time of the monotonic clock.

With `--take N` the sessions leave after N receipts. Then `count` also tells what the last
N - SKIP of them took: `per_second`, and with `--watch PID` the `cpu_us` of that process for each
and its memory at the end.

The end of standard input ends the process.
"""

from __future__ import annotations

import argparse
import bisect
import json
import math
import os
import select
import sys
import time
from array import array
from collections.abc import Sequence
from typing import Any

from bench.esme import BIND_RECEIVER, ENQUIRE_LINK, ENQUIRE_LINK_RESP, READ, Refused, Session, pdu
from bench.measure import cpu_seconds, memory
from bench.submits import HEADER

DELIVER_SM, DELIVER_SM_RESP = 0x00000005, 0x80000005
# Of a deliver_sm_resp but its sequence_number; behind that stands an empty message_id.
_RESPONSE = HEADER.pack(17, DELIVER_SM_RESP, 0, 0)[:12]
# receipted_message_id is the last TLV of a receipt; its value ends with NUL. The ids of the API
# have 36 characters, those of the parts of a message 36 too.
_ID = slice(-37, -1)


class Receivers:
    """The sessions, and what they have taken."""

    def __init__(
        self, sessions: list[Session], take: int = 0, skip: int = 0, watched: int | None = None
    ) -> None:
        self._sessions = {session.socket.fileno(): session for session in sessions}
        self._epoll = select.epoll()
        for descriptor in self._sessions:
            self._epoll.register(descriptor, select.EPOLLIN)
        self._take, self._skip, self._watched = take, skip, watched
        self._ids: set[bytes] = set()
        self._times, self._counts = array("d"), array("l")  # how many there were when
        self._began: tuple[int, float, float] | None = None
        self._span: dict[str, float] = {}
        self.taken = self.unexpected = 0

    def run(self, commands: int) -> None:
        """Serve until the file descriptor `commands` ends."""
        self._epoll.register(commands, select.EPOLLIN)
        for session in list(self._sessions.values()):
            self._answer(session, b"")  # what came with the response to the bind
        while True:
            for descriptor, _ in self._epoll.poll(-1, 256):
                if descriptor != commands:
                    self._read(descriptor)
                elif not self._command(commands):
                    return

    def _read(self, descriptor: int) -> None:
        session = self._sessions.get(descriptor)
        if session is None:
            return
        try:
            data = session.socket.recv(READ)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        if data:
            self._answer(session, data)
        else:
            self._drop(session)

    def _answer(self, session: Session, data: bytes) -> None:
        data = session.rest + data
        position, end, answers = 0, len(data), []
        while end - position >= 16:
            length, command_id, _, number = HEADER.unpack_from(data, position)
            if position + length > end:
                break
            following = position + length
            if command_id == DELIVER_SM:
                self._ids.add(data[position:following][_ID])
                answers.append(_RESPONSE + number.to_bytes(4, "big") + b"\0")
            elif command_id == ENQUIRE_LINK:
                session.send(pdu(ENQUIRE_LINK_RESP, number))
            else:
                self.unexpected += 1
            position = following
        session.rest = data[position:]
        if answers:
            # A window's answers are small beside a socket's buffer, so they leave at once.
            session.send(b"".join(answers))
            self.taken += len(answers)
            self._note()

    def _note(self) -> None:
        now = time.monotonic()
        self._times.append(now)
        self._counts.append(self.taken)
        if not self._take:
            return
        if self._began is None and self.taken >= self._skip:
            self._began = self.taken, now, self._cpu()
        if self.taken >= self._take and self._began is not None:
            taken, begun, cpu = self._began
            count = max(self.taken - taken, 1)
            self._span = {
                "per_second": count / (now - begun),
                "cpu_us": (self._cpu() - cpu) / count * 1e6,
            }
            if self._watched is not None:
                self._span.update(memory(self._watched))
            for session in list(self._sessions.values()):
                self._drop(session)

    def _cpu(self) -> float:
        return math.nan if self._watched is None else cpu_seconds(self._watched)

    def _drop(self, session: Session) -> None:
        descriptor = session.socket.fileno()
        if self._sessions.pop(descriptor, None) is not None:
            self._epoll.unregister(descriptor)
            session.socket.close()

    def count(self) -> dict[str, Any]:
        return {
            "taken": self.taken,
            "doubled": self.taken - len(self._ids),
            "unexpected": self.unexpected,
            "bound": len(self._sessions),
            **self._span,
        }

    def between(self, begun: float, ended: float) -> int:
        """How many came after `begun` and not after `ended`."""
        first, last = (bisect.bisect_right(self._times, moment) for moment in (begun, ended))
        return (self._counts[last - 1] if last else 0) - (self._counts[first - 1] if first else 0)

    def _command(self, descriptor: int) -> bool:
        data = os.read(descriptor, 4096)
        for line in data.splitlines():
            match line.split():
                case [b"count"]:
                    _say(self.count())
                case [b"between", begun, ended]:
                    _say({"taken": self.between(float(begun), float(ended))})
                case _:
                    _say({"error": "commands: count, between BEGUN ENDED"})
        return bool(data)


def _say(report: dict[str, Any]) -> None:
    print(json.dumps(report), flush=True)


def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="receivers of receipts")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--system-id", default="bench")
    parser.add_argument("--password", default="bench")
    parser.add_argument("--binds", type=int, default=2)
    parser.add_argument("--take", type=int, default=0, help="receipts, then leave")
    parser.add_argument("--skip", type=int, default=0, help="of them are not measured")
    parser.add_argument("--watch", type=int, metavar="PID", help="measure this process too")
    arguments = parser.parse_args(given)
    try:
        sessions = [
            Session.bound(
                ("127.0.0.1", arguments.port),
                arguments.system_id,
                arguments.password,
                bind=BIND_RECEIVER,
            )
            for _ in range(arguments.binds)
        ]
    except (Refused, OSError) as error:
        raise SystemExit(f"cannot bind: {error}") from error
    receivers = Receivers(sessions, arguments.take, arguments.skip, arguments.watch)
    _say({"bound": len(sessions)})
    receivers.run(sys.stdin.fileno())


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
