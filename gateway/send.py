"""The ESME of the `send` verb: binds, submits, and says what became of every message."""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from smpplib import consts, smpp
from smpplib.command import Param
from smpplib.exceptions import ConnectionError as SmpplibConnectionError

from gateway.esme import Esme, Response, SendError
from gateway.message import gsm0338
from gateway.smpp.constants import CommandId, CommandStatus, Npi, Ton, name_of

LARGEST_SHORT_MESSAGE: Final = 254
UNBIND_PATIENCE: Final = 2.0  # seconds
NO_ANSWER, NOT_SENT = "no answer in time", "not sent"
WHAT_TO_CHECK: Final = {
    CommandStatus.ESME_RINVPASWD: "check --system-id and --password",
    CommandStatus.ESME_RINVSYSID: "check --system-id",
    CommandStatus.ESME_RBINDFAIL: (
        "check --system-id and --password, the account's allow list, bind_types, max_binds and "
        "enabled; the gateway's log says which"
    ),
    CommandStatus.ESME_RALYBND: "the account has as many binds as max_binds allows",
    CommandStatus.ESME_RSYSERR: "the gateway has a problem of its own; see its log",
}

ADDRESS_MAX: Final = 20


@dataclass(frozen=True)
class Content:
    """A text as the octets of a short message, with its data_coding."""

    octets: bytes
    data_coding: int


@dataclass(frozen=True)
class Plan:
    """What to send and how: `rate` is messages/s (0 for no limit), `timeout` seconds."""

    host: str
    port: int
    system_id: str
    password: str
    to: tuple[str, ...]
    sender: str
    content: Content
    count: int = 1
    rate: float = 0.0
    window: int = 10
    bind: str = "transmitter"
    timeout: float = 10.0


@dataclass(frozen=True)
class Answer:
    """What became of one message; `seconds` is 0 where nothing came back."""

    to: str
    status: str
    message_id: str = ""
    seconds: float = 0.0

    @property
    def accepted(self) -> bool:
        return self.status == CommandStatus.ESME_ROK.name


def content_of(text: str, coding: str) -> Content:
    """The text in the wanted coding: auto, gsm7, ucs2 or latin1.

    Raises SendError, naming the first character that has no place in the coding.
    """
    if coding in {"auto", "gsm7"}:
        # Not smpplib.gsm: it turns ` into a section sign and lacks the form feed.
        if (septets := gsm0338.encode(text)) is not None:
            return Content(septets, consts.SMPP_ENCODING_DEFAULT)
        if coding == "gsm7":
            alien = next(c for c in text if gsm0338.encode(c) is None)
            raise SendError(f"{alien!r} is not in the GSM 7-bit alphabet: use --coding ucs2")
    if coding == "latin1":
        try:
            return Content(text.encode("latin-1"), consts.SMPP_ENCODING_ISO88591)
        except UnicodeEncodeError as error:
            alien = text[error.start]
            raise SendError(f"{alien!r} is not in Latin-1: use --coding ucs2") from None
    return Content(text.encode("utf-16-be", "replace"), consts.SMPP_ENCODING_ISO10646)


def address(written: str) -> tuple[int, int, str]:
    """TON, NPI and address. A leading + makes it international, letters alphanumeric.

    Raises SendError for what a submit_sm cannot carry.
    """
    addr = written.removeprefix("+")
    if len(addr) > ADDRESS_MAX or not addr.isascii() or "\0" in addr:
        raise SendError(f"{written!r} does not fit: an address is {ADDRESS_MAX} ASCII characters")
    if not addr:
        return Ton.UNKNOWN, Npi.UNKNOWN, ""
    if any(c.isalpha() for c in addr):
        return Ton.ALPHANUMERIC, Npi.UNKNOWN, written
    return (Ton.INTERNATIONAL if addr != written else Ton.UNKNOWN), Npi.ISDN, addr


def send(plan: Plan, report: Callable[[Answer], None]) -> None:
    """Bind, submit everything, unbind; `report` is called once for every message.

    Raises SendError when it cannot bind. When the connection ends halfway, the messages
    without an answer are reported as such before SendError is raised.
    """
    esme = Esme(plan.host, plan.port, plan.timeout)
    try:
        _connect(esme, plan)
        _bind(esme, plan)
        _Run(esme, plan, report).run()
        _unbind(esme)
    finally:
        esme.state = consts.SMPP_CLIENT_STATE_OPEN  # or disconnect() would complain
        esme.disconnect()


def _connect(esme: Esme, plan: Plan) -> None:
    where = f"{plan.host}:{plan.port}"
    try:
        esme.connect()
    except SmpplibConnectionError as error:
        # smpplib says "Connection refused" whatever the reason was.
        cause = error.__context__
        if isinstance(cause, socket.gaierror):
            raise SendError(f"{plan.host} does not resolve: {cause.strerror}") from None
        if isinstance(cause, TimeoutError):
            raise SendError(f"{where} does not answer: check --host and --port") from None
        reason = (cause.strerror if isinstance(cause, OSError) else None) or "no connection"
        raise SendError(f"{where}: {reason}: is the gateway running there?") from None


def _bind(esme: Esme, plan: Plan) -> None:
    pdu = smpp.make_pdu(
        f"bind_{plan.bind}", client=esme, system_id=plan.system_id, password=plan.password
    )
    # smpplib cuts a longer password to 8 characters without a word; the gateway takes more.
    wide = {name: Param(type=str, max=65) for name in ("system_id", "password")}
    pdu.params = {**pdu.params, **wide}
    try:
        response = esme.request(pdu, plan.timeout)
    except TimeoutError:
        raise SendError(f"no answer to the bind in {plan.timeout:g} s") from None
    except UnicodeEncodeError:
        raise SendError("system_id and password must be Latin-1 text") from None
    if response.status != CommandStatus.ESME_ROK:
        name = name_of(CommandStatus, response.status)
        hint = WHAT_TO_CHECK.get(response.status, "see the gateway's log")  # type: ignore[call-overload]
        raise SendError(f"the bind was refused with {name}: {hint}")


def _unbind(esme: Esme) -> None:
    esme.socket.settimeout(UNBIND_PATIENCE)
    try:
        esme.request(smpp.make_pdu("unbind", client=esme), UNBIND_PATIENCE)
    except (SendError, TimeoutError):
        return  # every message has its answer: how the session ends changes nothing


class _Run:
    """The messages of one session: at most `window` unanswered, at most `rate` a second."""

    def __init__(self, esme: Esme, plan: Plan, report: Callable[[Answer], None]) -> None:
        self._esme = esme
        self._plan = plan
        self._report = report
        self._source = address(plan.sender)
        self._to: Iterator[str] = (to for _ in range(plan.count) for to in plan.to)
        self._left = plan.count * len(plan.to)
        self._pending: dict[int, tuple[str, float]] = {}
        self._selector = selectors.DefaultSelector()

    def run(self) -> None:
        self._selector.register(self._esme.socket, selectors.EVENT_READ)
        due = time.monotonic()
        try:
            while self._left or self._pending:
                now = time.monotonic()
                room = self._left and len(self._pending) < self._plan.window
                if room and now >= due:
                    self._submit(next(self._to))
                    if self._plan.rate:
                        due = max(due, now - 1) + 1 / self._plan.rate
                    room = self._left and len(self._pending) < self._plan.window
                self._read(max(0.0, due - now) if room else None)
        except SendError:
            for to, _ in self._pending.values():
                self._report(Answer(to, NO_ANSWER))
            for to in self._to:
                self._report(Answer(to, NOT_SENT))
            raise
        finally:
            self._selector.close()

    def _submit(self, to: str) -> None:
        ton, npi, addr = address(to)
        content = self._plan.content
        payload = len(content.octets) > LARGEST_SHORT_MESSAGE
        pdu = smpp.make_pdu(
            "submit_sm",
            client=self._esme,
            source_addr_ton=self._source[0],
            source_addr_npi=self._source[1],
            source_addr=self._source[2],
            dest_addr_ton=ton,
            dest_addr_npi=npi,
            destination_addr=addr,
            data_coding=content.data_coding,
            **{"message_payload" if payload else "short_message": content.octets},
        )
        self._left -= 1
        self._pending[pdu.sequence] = (to, time.monotonic())
        self._esme.send(pdu)

    def _read(self, wait: float | None) -> None:
        """Take one PDU if one comes within `wait` seconds, and give up on overdue messages."""
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
        for sequence, (to, sent) in list(self._pending.items()):
            if now - sent < self._plan.timeout:
                break  # the rest was sent later
            del self._pending[sequence]
            self._report(Answer(to, NO_ANSWER))

    def _settle(self, response: Response) -> None:
        if response.command_id not in {CommandId.submit_sm_resp, CommandId.generic_nack}:
            return
        if (message := self._pending.pop(response.sequence_number, None)) is None:
            return
        to, sent = message
        status = name_of(CommandStatus, response.status)
        message_id = response.message_id if response.status == CommandStatus.ESME_ROK else ""
        self._report(Answer(to, status, message_id, time.monotonic() - sent))
