"""What each part of a running gateway is told when the configuration has changed.

Nothing here may fail for what a file holds: `reloading` has tried all of that before.
"""

from __future__ import annotations

from typing import NamedTuple

from gateway import logs
from gateway.assembly import Bridge, pacing, renew_accounts, shared_credentials
from gateway.assembly_listeners import admin_limits, limit_smpp
from gateway.assembly_receipts import callback_limits
from gateway.bridge.accounts import Accounts
from gateway.config import Settings
from gateway.listeners import Listeners
from gateway.net.http_limits import HttpDoor
from gateway.net.smpp_server import SmppServer
from gateway.omnichannel.client import OmnichannelClient
from gateway.omnichannel.outcome import read_overrides
from gateway.omnichannel.report import read_report_overrides
from gateway.reloading import Prepared
from gateway.smpp.constants import CommandStatus


class Running(NamedTuple):
    """The parts that go by settings which a reload may change."""

    client: OmnichannelClient
    accounts: Accounts
    bridge: Bridge
    smpp: SmppServer
    listeners: Listeners
    admin: HttpDoor


def apply(running: Running, prepared: Prepared) -> int:
    """Have them all go by `prepared` from now on; how many sessions that ended."""
    settings = prepared.settings
    logs.apply(settings.log)
    _ask_by(running.client, settings)
    renew_accounts(
        running.accounts, settings, prepared.password_hashes, shared_credentials(settings)
    )
    _bridge_by(running.bridge, settings)
    limit_smpp(running.smpp, settings)
    running.admin.limits = admin_limits(settings.admin)
    for name, tls in prepared.tls.items():
        running.listeners.reload_tls(name, tls)
    return running.smpp.dismiss(running.accounts.admits)


def _ask_by(client: OmnichannelClient, settings: Settings) -> None:
    api = settings.omnichannel
    client.pacer.change(pacing(api))
    client.overrides = read_overrides(api.status_overrides)
    client.availability.fail_fast_after = api.fail_fast_after
    client.availability.probe_interval = api.probe_interval


def _bridge_by(bridge: Bridge, settings: Settings) -> None:
    bridge.tell_messages(settings.log.messages)
    bridge.upkeep.recall()
    bridge.load.max_in_flight = settings.smpp.max_in_flight
    bridge.load.overload_status = CommandStatus[settings.smpp.overload_status]
    receipts, calls = bridge.receipts, settings.callbacks
    receipts.reports.overrides = read_report_overrides(settings.omnichannel.report_overrides)
    if receipts.site is not None:
        receipts.site.door.limits = callback_limits(calls)
        receipts.site.max_body = calls.max_body
        receipts.site.callbacks.require_signature = calls.require_signature
