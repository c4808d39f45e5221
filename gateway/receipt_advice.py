"""What keeps a stored receipt from its ESME, and what the operator can do about it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from gateway.smpp.constants import CommandStatus, name_of
from gateway.store.visitor import Row

_S = CommandStatus

NO_ANSWER: Final = "no answer"  # instead of a status

_RETRY: Final = "smpp-gateway receipts retry"

_TLVS: Final = "it cannot take TLVs: a bind with interface_version 0x33 gets none"
# The statuses that clients are known to answer a deliver_sm with, SMPP 3.4 table 5-2.
REFUSALS: Final[dict[int, str]] = {
    _S.ESME_RINVMSGLEN: "it takes no text of this length: ask how long its receipts may be",
    _S.ESME_RINVCMDID: "it does not know deliver_sm: it should not bind as one that receives",
    _S.ESME_RINVBNDSTS: "it thinks that it is not bound to receive",
    _S.ESME_RSYSERR: "it has a fault of its own: look in its log",
    _S.ESME_RINVSRCADR: "it does not like the number that the message went to",
    _S.ESME_RINVDSTADR: "it does not like the sender that it wrote itself",
    _S.ESME_RINVMSGID: "it does not know the message_id: see receipt_id_format of the account",
    _S.ESME_RMSGQFUL: "it has no room at the moment",
    _S.ESME_RINVESMCLASS: "it does not know receipts, or not intermediate ones",
    _S.ESME_RTHROTTLED: "it is too slow for them: a smaller deliver_window may help",
    _S.ESME_RX_T_APPN: "it cannot take it now (Kannel answers so while suspended)",
    _S.ESME_RX_P_APPN: "its application does not want it at all",
    _S.ESME_RX_R_APPN: "its application does not want this one",
    _S.ESME_RINVOPTPARSTREAM: _TLVS,
    _S.ESME_ROPTPARNOTALLWD: _TLVS,
    _S.ESME_RINVPARLEN: _TLVS,
    _S.ESME_RINVOPTPARAMVAL: _TLVS,
}


def status_of(row: Row) -> str | None:
    """The name of the last answer; None when the receipt was never answered for."""
    if row.last_status is not None:
        return name_of(CommandStatus, row.last_status)
    return NO_ANSWER if row.attempts else None


def advice(row: Row, now: float, accounts: Collection[str]) -> str:
    """One line for the operator. `accounts` are the system_ids that the configuration has."""
    if row.system_id not in accounts:
        return (
            "the configuration has no such account, so nobody can bind to take it: "
            "configure it, or purge"
        )
    if row.state == "leased":
        return (
            "the gateway has it in hand; what it had when it was stopped waits from the next start"
        )
    if row.state == "dead":
        return _dead(row)
    if row.last_status is not None:
        return f"{_refusal(row.last_status)}; it is tried again by itself"
    if row.attempts:
        return (
            "the client did not answer within smpp.response_timeout; it is tried again by itself, "
            "so the client may see it twice"
        )
    if row.not_before is not None and row.not_before > now:
        held = "something better may come until then" if row.kind == "unknown" else "nothing to do"
        return f"its time has not come: {held}"
    return (
        "it waits for a receiver or transceiver of this account, or for room in its window: "
        "see smppgw_sessions"
    )


def _dead(row: Row) -> str:
    again = f"then: {_RETRY} {row.message_id}"
    if row.reason == "expired":
        return (
            "no client took it within store.receipts_held: have one bind as a receiver or "
            f"transceiver, {again}"
        )
    if row.last_status is None:
        return f"have the client mended, {again}"
    status = name_of(CommandStatus, row.last_status)
    known = row.last_status in set(CommandStatus)
    wait = f" (if it would take it later, name {status} in deliver_retry)" if known else ""
    return f"{_refusal(row.last_status)}{wait}; have the client mended, {again}"


def _refusal(status: int) -> str:
    return f"the client refused it: {REFUSALS.get(status, 'ask its maker why')}"
