"""What SMPP 3.3, 3.4 and 5.0 allow in an answer: the rules that differ by version."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from gateway.smpp.constants import CommandStatus, InterfaceVersion
from gateway.smpp.pdu import (
    CancelSmResp,
    DataSmResp,
    MessageResp,
    QuerySmResp,
    SubmitMultiResp,
    SubmitSmResp,
)

_S = CommandStatus

# 5.0 statuses and the nearest one that a 3.x ESME knows; aiosmpplib drops the connection
# on a status it cannot name.
BEFORE_5_0: Final[dict[int, CommandStatus]] = {
    _S.ESME_RSERTYPUNAUTH: _S.ESME_RINVSERTYP,
    _S.ESME_RPROHIBITED: _S.ESME_RSUBMITFAIL,
    _S.ESME_RSERTYPUNAVAIL: _S.ESME_RINVSERTYP,
    _S.ESME_RSERTYPDENIED: _S.ESME_RINVSERTYP,
    _S.ESME_RINVDCS: _S.ESME_RSUBMITFAIL,
    _S.ESME_RINVSRCADDRSUBUNIT: _S.ESME_RSUBMITFAIL,
    _S.ESME_RINVDSTADDRSUBUNIT: _S.ESME_RSUBMITFAIL,
    # Those of the broadcasts, which only a configured override could bring here.
    **{status: _S.ESME_RSUBMITFAIL for status in _S if status >= _S.ESME_RINVBCASTFREQINT},
}

# What a request that was handed on is answered with.
Response = SubmitSmResp | SubmitMultiResp | DataSmResp | QuerySmResp | CancelSmResp


def version_of(interface_version: int) -> InterfaceVersion:
    """Which rules an interface_version asks for: up to 0x33, from 0x50, and all between."""
    if interface_version <= InterfaceVersion.V33:
        return InterfaceVersion.V33
    if interface_version >= InterfaceVersion.V50:
        return InterfaceVersion.V50
    return InterfaceVersion.V34


def status_for(version: InterfaceVersion, status: int) -> int:
    """`status`, or the nearest one that ESMEs of this version can name."""
    return status if version is InterfaceVersion.V50 else BEFORE_5_0.get(status, status)


def adapted(response: Response, version: InterfaceVersion) -> Response:
    """The response as an ESME of this version understands it.

    A response with a status has no message_id (SMPP 3.4 section 4.4.2) but for an empty one
    before TLVs, which would be read as it. TLVs go to 5.0 binds alone: aiosmpplib and naz take
    them for a part of the message_id, smpplib raises.
    """
    status = response.command_status
    if status == CommandStatus.ESME_ROK:
        if isinstance(response, SubmitMultiResp) and response.unsuccess:
            unsuccess = tuple(
                one._replace(error_status=status_for(version, one.error_status))
                for one in response.unsuccess
            )
            return replace(response, unsuccess=unsuccess)
        return response
    status = status_for(version, status)
    if not isinstance(response, MessageResp):
        return replace(response, command_status=status)
    tlvs = response.tlvs if version is InterfaceVersion.V50 else ()
    message_id = "" if tlvs else None
    return replace(response, command_status=status, message_id=message_id, tlvs=tlvs)
