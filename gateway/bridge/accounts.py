"""The ESMEs that may bind: who they are, and what each may do.

The password comes first. An unknown name and a wrong password have one answer that costs one
hash; what else is wrong (address, certificate, disabled, bind type, number of binds) is told to
those only who know the password, or a stranger would learn by it which names exist. Only wrong
credentials say so: ESME_RINVPASWD stops a Kannel until its restart, so whatever a retry may
cure is ESME_RBINDFAIL.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from gateway.bridge.passwords import USUAL_COST, Busy, PasswordCheck, stand_in
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


class WrongCredentials(BindRefused):
    """No account has this name and this password: it may be a guess."""


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
        self.system_id = settings.system_id
        self.binds = 0
        self.in_flight = 0  # requests not yet answered: see `bridge.load.Load`
        self.sent = sent
        self.scheduled = Scheduled()
        self.apply(settings, password_hash, shared)

    def apply(self, settings: AccountSettings, password_hash: str, shared: Credentials) -> None:
        """Work by these settings from now on; what is under way is not disturbed."""
        self.settings = settings
        self.password_hash = password_hash
        self.writing = Writing.of(settings)
        self.throttle = Throttle(settings.throttle, settings.throttle_burst)
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
        # Taken out by a reload, for the day on which another brings them back.
        self._former: dict[str, Account] = {}
        self._passwords = passwords
        self.wrong_credentials = wrong_credentials

    def replace(self, accounts: list[Account]) -> None:
        """These are all accounts from now on."""
        self._former |= self._accounts
        self._accounts = {account.system_id: account for account in accounts}
        for system_id in self._accounts:
            self._former.pop(system_id, None)

    def former(self, system_id: str) -> Account | None:
        """One that is there, or was there since the start."""
        return self._accounts.get(system_id) or self._former.get(system_id)

    def admits(self, account: Account) -> bool:
        """Whether sessions of this account may go on."""
        return self._accounts.get(account.system_id) is account and account.settings.enabled

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
            for system_id, account in (self._former | self._accounts).items()
            if account.sent is not None
        }

    def authenticate(self, bind: Bind, peer: str, names: Iterable[str] = ()) -> Deferred[Account]:
        """The account that may bind from the address `peer`, its place already taken.

        `names` are those of the client's verified certificate. Give the place back with
        `Account.release`. Fails with `BindRefused`, for a guess with `WrongCredentials`.
        """
        account = self._accounts.get(bind.system_id)
        password_hash = account.password_hash if account else self._stand_in(bind.system_id)
        checked = self._passwords.check(password_hash, bind.password.encode("latin-1"), peer)
        return checked.addCallbacks(self._admit, _busy, (account, bind, peer, tuple(names)))

    def _stand_in(self, system_id: str) -> str:
        """What an unknown name is checked against: it costs what one of the accounts costs.

        Hashes may differ in their parameters, so each name is like one account, always the same
        one: its times tell no more of it than an account's do.
        """
        like = [account.password_hash for account in self._accounts.values()] or [USUAL_COST]
        return stand_in(like[hash(system_id) % len(like)])  # `hash` is keyed anew in each process

    def _admit(
        self,
        passed: bool,
        account: Account | None,
        bind: Bind,
        peer: str,
        names: tuple[str, ...],
    ) -> Account:
        if account is None or not passed:
            raise WrongCredentials(
                "wrong password" if account else "unknown system_id",
                command_status=self.wrong_credentials,
            )
        settings = account.settings
        if settings.allow and not allows(settings.allow, peer):
            raise BindRefused("this address is not in the account's allow list")
        _check_names(settings.tls_client_names, names)
        if not self.admits(account):
            raise BindRefused("the account is disabled")
        bind_type = BIND_TYPES[bind.command_id]
        if bind_type not in settings.bind_types:
            raise BindRefused(f"the account may not bind as {bind_type}")
        if account.binds >= settings.max_binds:
            raise BindRefused(f"the account has its max_binds of {settings.max_binds}")
        account.binds += 1
        return account


def _busy(failure: Failure) -> Failure:
    failure.trap(Busy)
    # Not raised: the frames of a traceback would hold this failure, and the failure them.
    return Failure(BindRefused(failure.getErrorMessage()))


def _check_names(required: tuple[str, ...], names: tuple[str, ...]) -> None:
    """Raise unless the account needs no certificate, or one of its names."""
    if not required:
        return
    if not names:
        raise BindRefused("the account binds over TLS with a client certificate only")
    if {name.lower() for name in required}.isdisjoint(name.lower() for name in names):
        raise BindRefused("the certificate's names are not in the account's tls_client_names")
