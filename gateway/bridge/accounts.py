"""The ESMEs that may bind: who they are, and what each may do.

The order of the checks is the order in which the answers can be trusted: account, address,
password, bind type, number of binds (SMPP reference section 4.3). Only wrong credentials
say so: ESME_RINVPASWD stops a Kannel until its restart, so whatever a retry may cure is
ESME_RBINDFAIL.
"""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime
from typing import Final

from twisted.internet.defer import Deferred, fail

from gateway.bridge.passwords import Busy, PasswordCheck
from gateway.bridge.scheduled import Scheduled
from gateway.bridge.sent_ids import SentIds
from gateway.bridge.throttle import Throttle
from gateway.bridge.translate import Writing
from gateway.config import AccountSettings
from gateway.errors import GatewayError
from gateway.networks import allows
from gateway.omnichannel.client import Credentials
from gateway.smpp.constants import CommandId, CommandStatus
from gateway.smpp.pdu import Bind, SubmitSm

BIND_TYPES: Final[dict[CommandId, str]] = {
    CommandId.bind_transmitter: "transmitter",
    CommandId.bind_receiver: "receiver",
    CommandId.bind_transceiver: "transceiver",
}


class BindRefused(GatewayError):
    """A bind that must be answered with `command_status` and closed."""

    command_status = CommandStatus.ESME_RBINDFAIL


class Account:
    """One ESME at work: its settings, and what they become when used."""

    def __init__(
        self,
        settings: AccountSettings,
        password_hash: str,
        shared: Credentials,
        sent: SentIds | None = None,
    ) -> None:
        """`shared` are the API credentials of accounts that have none of their own.

        `sent` remembers the ids of this account's messages; None when all that the API gives
        away is this account's.
        """
        self.settings = settings
        self.system_id = settings.system_id
        self.password_hash = password_hash
        self.writing = Writing.of(settings)
        self.throttle = Throttle(settings.throttle, settings.throttle_burst)
        self.binds = 0
        self.sent = sent
        self.scheduled = Scheduled()
        self.credentials = shared
        if settings.username:
            self.credentials = Credentials.basic(
                settings.username, settings.api_password.get_secret_value()
            )
        # command_status of a deliver_sm_resp after which the receipt is tried again
        self.retried = frozenset(CommandStatus[name] for name in settings.deliver_retry)
        self.receipt_zone = settings.receipt_zone
        # Whether a message that asks for receipts has a row until its end is known.
        self.tells_expired = settings.synthetic_expired and settings.receipts != "off"
        self.awaits_reports = settings.receipts in {"poll", "both"} or self.tells_expired

    def remember(self, omnimessage_id: str, submit: SubmitSm, time_to_send: str) -> None:
        """The API accepted `submit`; `time_to_send` is ISO 8601, "" for now."""
        if self.sent is not None:
            self.sent.add(omnimessage_id)
        if time_to_send:
            self.scheduled.add(
                omnimessage_id,
                submit.service_type,
                submit.source,
                submit.destination,
                datetime.fromisoformat(time_to_send).timestamp(),
            )

    def release(self) -> None:
        """A session of this account has ended."""
        self.binds -= 1


class Accounts:
    """All accounts by system_id."""

    def __init__(
        self, accounts: list[Account], passwords: PasswordCheck, wrong_credentials: CommandStatus
    ) -> None:
        self._accounts = {account.system_id: account for account in accounts}
        self._passwords = passwords
        self._wrong_credentials = wrong_credentials

    def knows(self, system_id: str) -> bool:
        """Whether this name may be a metric's label."""
        return system_id in self._accounts

    def get(self, system_id: str) -> Account | None:
        return self._accounts.get(system_id)

    def api_passwords(self, system_id: str) -> list[str]:
        """What the API may sign this account's reports with; of no account any more, all."""
        account = self._accounts.get(system_id)
        if account is not None:
            return [account.credentials.password]
        return sorted({one.credentials.password for one in self._accounts.values()})

    def remembering(self) -> dict[str, SentIds]:
        """What each account with a memory of its messages remembers."""
        return {
            system_id: account.sent
            for system_id, account in self._accounts.items()
            if account.sent is not None
        }

    def authenticate(self, bind: Bind, peer: str) -> Deferred[Account]:
        """The account that may bind from the address `peer`, its place already taken.

        Give the place back with `Account.release`. Fails with `BindRefused`.
        """
        account = self._accounts.get(bind.system_id)
        # An address that is not allowed is told after the password was checked, so that
        # the time of an answer says nothing about names either.
        try:
            checked = self._passwords.check(
                account.password_hash if account else None, bind.password.encode("latin-1")
            )
        except Busy as busy:
            return fail(BindRefused(busy.detail))
        return checked.addCallback(self._admit, account, bind, peer)

    def _admit(self, passed: bool, account: Account | None, bind: Bind, peer: str) -> Account:
        allow = account.settings.allow if account else ()
        if allow and not allows(allow, peer):
            raise BindRefused("this address is not in the account's allow list")
        if account is None or not passed:
            raise BindRefused(
                "wrong password" if account else "unknown system_id",
                command_status=self._wrong_credentials,
            )
        settings = account.settings
        if not settings.enabled:
            raise BindRefused("the account is disabled")
        bind_type = BIND_TYPES[bind.command_id]
        if bind_type not in settings.bind_types:
            raise BindRefused(f"the account may not bind as {bind_type}")
        if account.binds >= settings.max_binds:
            raise BindRefused(f"the account has its max_binds of {settings.max_binds}")
        account.binds += 1
        return account


class BindPenalties:
    """How long the answer to a failed bind waits, by address: 0, then doubling."""

    _FIRST: Final = 0.25  # seconds
    _LONGEST: Final = 5.0  # below the response timers of clients
    _FORGIVEN: Final = 60.0  # seconds without a failure
    _ADDRESSES: Final = 10_000

    def __init__(self) -> None:
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def failed(self, peer: str, now: float) -> float:
        """Note a failure at `now` (monotonic); how many seconds its answer should wait."""
        count, last = self._failures.pop(peer, (0, now))
        if now - last > self._FORGIVEN:
            count = 0
        self._failures[peer] = (count + 1, now)
        if len(self._failures) > self._ADDRESSES:
            self._failures.popitem(last=False)
        return min(self._FIRST * 2.0 ** (min(count, 10) - 1), self._LONGEST) if count else 0.0

    def passed(self, peer: str) -> None:
        """A bind that succeeds forgives what its address did before."""
        self._failures.pop(peer, None)
