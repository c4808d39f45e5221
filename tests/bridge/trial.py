"""A relay with everything around it: the real API client and store, scripted answers below."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any, ClassVar

from twisted.internet.task import Clock

from gateway import logs
from gateway.bridge.accounts import Account
from gateway.bridge.awaiting import Awaiting, Schedule
from gateway.bridge.callbacks import Callbacks
from gateway.bridge.dispatcher import Dispatcher
from gateway.bridge.expiry import Expiry
from gateway.bridge.journey import Origin
from gateway.bridge.load import Load
from gateway.bridge.message_ids import MessageIds
from gateway.bridge.poller import Poller
from gateway.bridge.reassembly import Reassembly
from gateway.bridge.relay import Relay
from gateway.bridge.replacing import Replacing
from gateway.bridge.reports import Reports
from gateway.bridge.routes import Routes
from gateway.bridge.sent_ids import SentIds
from gateway.bridge.unanswered import Unanswered
from gateway.config import AccountSettings, LogSettings
from gateway.metrics import Metrics
from gateway.omnichannel.callback import KEY_OCTETS, Key, KeyRing
from gateway.omnichannel.client import Credentials, OmnichannelClient
from gateway.omnichannel.outcome import read_overrides
from gateway.omnichannel.report import read_report_overrides
from gateway.smpp.constants import CommandStatus, InterfaceVersion, name_of
from gateway.smpp.pdu import Address, SubmitSm, SubmitSmResp
from tests.bridge.direct_store import DirectStore
from tests.omnichannel.scripted_transport import Post, ScriptedTransport, Step, run

TO = "37255512345"
FROM = "37255567890"
TEXT = "Your one-time code is Zebra"
ID = "5bca2f3e-9a31-4e2b-8d8f-0c7f0c1f8f11"
PUBLIC_URL = "https://gw.example.com"
V33, V34, V50 = InterfaceVersion.V33, InterfaceVersion.V34, InterfaceVersion.V50


def submit(sequence_number: int = 1, **fields: Any) -> SubmitSm:
    given_fields: dict[str, Any] = {
        "source": Address(1, 1, FROM),
        "destination": Address(1, 1, TO),
        "short_message": TEXT.encode(),
        **fields,
    }
    return SubmitSm(sequence_number, **given_fields)


class Trial:
    """A relay with everything around it; `answers` are in the order they left."""

    made: ClassVar[list[Trial]] = []

    def __init__(
        self,
        script: Callable[[Post], Step],
        *,
        overrides: dict[str, str] | None = None,
        log: LogSettings | None = None,
        log_messages: bool = True,
        name_accounts: bool = True,
        transport: type[ScriptedTransport] = ScriptedTransport,
        store: DirectStore | None = None,
        report_overrides: dict[str, str] | None = None,
        **account: Any,
    ) -> None:
        self.stream = io.StringIO()
        logs.configure(log or LogSettings(format="json"), self.stream)
        self.clock = Clock()
        self.clock.advance(1_000.0)
        self.transport = transport(self.clock, script)
        self.metrics = Metrics(name_accounts=name_accounts)
        client = OmnichannelClient(
            self.transport,
            self.clock,
            self.metrics,
            read_overrides(overrides or {}),
            fail_fast_after=0,  # each uses its whole deadline
        )
        self.store = store or DirectStore()
        self.made.append(self)
        self.accounts: dict[str, Account] = {}
        now = self.clock.seconds
        log_ = logs.get()
        self.reassembly = Reassembly(self.store, self.clock, now, log_)
        account_of = self.accounts.get
        self.ids = ids = MessageIds(self.store, now, log_)
        self.keys = KeyRing([Key("k1", 0.0, bytes(range(KEY_OCTETS)))])
        self.routes = Routes(self.keys, PUBLIC_URL, now)
        self.unanswered = Unanswered()
        self.schedule = Schedule(first=10, longest=3600)
        awaiting = Awaiting(self.store, self.schedule, log_)
        self.dispatcher = Dispatcher(
            self.store, self.clock, now, self.metrics, log_, log_messages=log_messages
        )
        self.reports = Reports(
            self.store,
            self.dispatcher,
            account_of,
            ids,
            self.unanswered,
            now,
            self.metrics,
            log_,
            read_report_overrides(report_overrides or {}),
            log_messages=log_messages,
        )
        self.poller = Poller(
            self.store, self.reports, client, account_of, self.schedule, 20, now, self.metrics, log_
        )
        self.callbacks = Callbacks(
            self.keys, lambda system_id: ["key"], self.reports, self.metrics, log_
        )
        self.expiry = Expiry(
            self.store,
            self.reassembly,
            account_of,
            client,
            self.routes,
            self.reports,
            awaiting,
            now,
            self.metrics,
            log_,
        )
        self.relay = Relay(
            client,
            self.clock,
            self.metrics,
            log_,
            self.reassembly,
            ids,
            Replacing(client, now, log_),
            self.routes,
            self.unanswered,
            awaiting,
            Load(self.metrics),
            log_messages=log_messages,
        )
        self.account = self.new_account("bank", **account)
        self.reachable = True
        self.answers: list[SubmitSmResp] = []
        self.answered_at: list[float] = []

    def new_account(self, system_id: str, **fields: Any) -> Account:
        settings = AccountSettings(system_id=system_id, password_hash="x", **fields)
        shared = Credentials.basic("shared", "key")
        self.accounts[system_id] = Account(settings, "x", shared, SentIds(1_000))
        return self.accounts[system_id]

    @classmethod
    def close_all(cls) -> None:
        for trial in cls.made:
            trial.store.close()
        cls.made.clear()

    def answer(self, response: SubmitSmResp) -> bool:
        self.answers.append(response)
        self.answered_at.append(self.clock.seconds())
        return self.reachable

    def submit(
        self,
        message: SubmitSm | None = None,
        *,
        account: Account | None = None,
        version: InterfaceVersion = V34,
        waited: float | None = None,
    ) -> None:
        """`waited` is how many seconds ago it was received; None leaves that out."""
        origin = Origin("s7", account or self.account, version)
        received_at = None if waited is None else self.clock.seconds() - waited
        self.relay.submit(message or submit(), origin, self.answer, received_at)

    def run(self, seconds: float = 60.0) -> None:
        run(self.clock, seconds)

    @property
    def response(self) -> SubmitSmResp:
        [response] = self.answers
        return response

    @property
    def status(self) -> str:
        return name(self.response)

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]

    @property
    def line(self) -> dict[str, Any]:
        [line] = self.lines
        return line

    def value(self, metric: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"smppgw_{metric}", labels)


def name(response: SubmitSmResp) -> str:
    return name_of(CommandStatus, response.command_status)
