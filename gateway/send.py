"""The ESME of the `send` verb: binds, submits, and says what became of every message."""

from __future__ import annotations

import selectors
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from smpplib import consts

from gateway.esme import Esme, Response, SendError
from gateway.send_answer import NO_ANSWER, NOT_SENT, Answer
from gateway.send_awaited import Arrival, Awaited
from gateway.send_bind import bind, connect, unbind
from gateway.send_parts import Content, Part, references
from gateway.send_pdus import address, results, submit_multi, submit_sm
from gateway.send_receipts import read_receipt
from gateway.smpp.constants import CommandId


@dataclass(frozen=True)
class Plan:
    """What to send and how: `rate` is requests/s (0 for no limit), `timeout` seconds.

    `count` times a message goes to each of `to`, or with `multi` one to all of them. With a
    `registered_delivery` the receipts are waited for, up to `wait` seconds after the last
    answer.
    """

    host: str
    port: int
    system_id: str
    password: str
    to: tuple[str, ...]
    sender: str
    content: Content
    multi: bool = False
    count: int = 1
    rate: float = 0.0
    window: int = 10
    bind: str = "transmitter"
    timeout: float = 10.0
    registered_delivery: int = 0
    wait: float = 0.0
    tls: ssl.SSLContext | None = None  # None: in the clear

    @property
    def requests(self) -> int:
        """How many requests it takes."""
        audiences = 1 if self.multi else len(self.to)
        return self.count * audiences * len(self.content.pieces)

    @property
    def answers(self) -> int:
        """How many answers will be reported."""
        return self.count * len(self.to) * len(self.content.pieces)


class Reporter(Protocol):
    """What `send` reports to."""

    def add(self, answer: Answer) -> None:
        """Take what became of one part to one number."""
        ...

    def receipt(self, arrival: Arrival) -> None:
        """Take a receipt."""
        ...


def send(plan: Plan, report: Reporter) -> None:
    """Bind, submit everything, wait for receipts, unbind; `report` hears of each of them.

    Raises SendError when it cannot bind. When the connection ends halfway, the messages
    without an answer are reported as such before SendError is raised.
    """
    esme = Esme(plan.host, plan.port, plan.timeout, plan.tls)
    try:
        connect(esme)
        bind(esme, plan.bind, plan.system_id, plan.password)
        _Run(esme, plan, report).run()
        unbind(esme)
    finally:
        esme.state = consts.SMPP_CLIENT_STATE_OPEN  # or disconnect() would complain
        esme.disconnect()


class _Request(NamedTuple):
    """One submit_sm or submit_multi: the part of a message that it carries, and to whom."""

    to: tuple[str, ...]
    part: Part
    number: int
    total: int


def _requests(plan: Plan) -> Iterator[_Request]:
    """Everything to submit; the parts of a message follow each other in order."""
    reference = references()
    audiences = (plan.to,) if plan.multi else tuple((to,) for to in plan.to)
    for _ in range(plan.count):
        for audience in audiences:
            parts = plan.content.parts(next(reference))
            for number, part in enumerate(parts, start=1):
                yield _Request(audience, part, number, len(parts))


class _Run:
    """The requests of one session: at most `window` unanswered, at most `rate` a second."""

    def __init__(self, esme: Esme, plan: Plan, report: Reporter) -> None:
        self._esme = esme
        self._plan = plan
        self._report = report
        self._source = address(plan.sender)
        self._requests = _requests(plan)
        self._left = plan.requests
        self._pending: dict[int, tuple[_Request, float]] = {}
        self._awaited = Awaited()
        self._selector = selectors.DefaultSelector()
        self._answer_id = CommandId.submit_multi_resp if plan.multi else CommandId.submit_sm_resp

    def run(self) -> None:
        self._selector.register(self._esme.socket, selectors.EVENT_READ)
        due = time.monotonic()
        try:
            while self._left or self._pending:
                now = time.monotonic()
                room = self._left and len(self._pending) < self._plan.window
                if room and now >= due:
                    self._submit(next(self._requests))
                    if self._plan.rate:
                        due = max(due, now - 1) + 1 / self._plan.rate
                    room = self._left and len(self._pending) < self._plan.window
                self._read(max(0.0, due - now) if room else None)
            self._wait_for_receipts()
        except SendError:
            for request, _ in self._pending.values():
                self._without_answer(request, NO_ANSWER)
            for request in self._requests:
                self._without_answer(request, NOT_SENT)
            raise
        finally:
            self._selector.close()
            for arrival in self._awaited.strangers():
                self._report.receipt(arrival)

    def _wait_for_receipts(self) -> None:
        deadline = time.monotonic() + self._plan.wait
        while self._awaited.missing and (left := deadline - time.monotonic()) > 0:
            self._read(left)

    def _submit(self, request: _Request) -> None:
        self._left -= 1
        started = time.monotonic()
        registered_delivery = self._plan.registered_delivery
        try:
            if self._plan.multi:
                sequence = submit_multi(
                    self._esme, self._source, request.to, request.part, registered_delivery
                )
            else:
                sequence = submit_sm(
                    self._esme, self._source, request.to[0], request.part, registered_delivery
                )
        except SendError:  # some of it may have left
            self._without_answer(request, NO_ANSWER)
            raise
        self._pending[sequence] = (request, started)

    def _read(self, wait: float | None) -> None:
        """Take one PDU if one comes within `wait` seconds, and give up on overdue requests."""
        if self._pending:
            _, oldest = next(iter(self._pending.values()))
            patience = max(0.0, oldest + self._plan.timeout - time.monotonic())
            wait = patience if wait is None else min(wait, patience)
        if self._selector.select(wait):
            try:
                self._settle(self._esme.receive())
            except TimeoutError:
                raise SendError("the gateway stopped in the middle of a PDU") from None
        now = time.monotonic()
        for sequence, (request, sent) in list(self._pending.items()):
            if now - sent < self._plan.timeout:
                break  # the rest was sent later
            del self._pending[sequence]
            self._without_answer(request, NO_ANSWER)

    def _settle(self, response: Response) -> None:
        if response.command_id == CommandId.deliver_sm:
            if self._plan.registered_delivery:
                self._take_receipt(response.frame)
            return
        if response.command_id not in {self._answer_id, CommandId.generic_nack}:
            return
        if (pending := self._pending.pop(response.sequence_number, None)) is None:
            return
        request, sent = pending
        now = time.monotonic()
        for to, status, message_id in results(response, request.to):
            answer = Answer(to, status, message_id, now - sent, request.number, request.total)
            self._report.add(answer)
            if answer.accepted and self._plan.registered_delivery:
                for arrival in self._awaited.answered(answer, now):
                    self._report.receipt(arrival)

    def _take_receipt(self, frame: bytes) -> None:
        receipt = read_receipt(frame)
        if receipt is None:
            return  # a message of somebody, which this verb does not show
        arrival = self._awaited.arrived(receipt, time.monotonic())
        if arrival is not None:
            self._report.receipt(arrival)

    def _without_answer(self, request: _Request, status: str) -> None:
        for to in request.to:
            self._report.add(Answer(to, status, part=request.number, parts=request.total))
