"""What SMPP 3.3, 3.4 and 5.0 allow in an answer: the rules that differ by version."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from gateway.smpp.constants import CommandStatus, InterfaceVersion
from gateway.smpp.pdu import SubmitSmResp

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

# A message_id of 3.3 has 9 octets with its NUL, and they are hexadecimal digits.
_MESSAGE_ID_3_3: Final = 8


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


def message_id_for(version: InterfaceVersion, message_id: str) -> str:
    """`message_id` as this version can carry it: 3.3 gets the first 8 digits of a UUID."""
    return message_id[:_MESSAGE_ID_3_3] if version is InterfaceVersion.V33 else message_id


def adapted(response: SubmitSmResp, version: InterfaceVersion) -> SubmitSmResp:
    """The response as an ESME of this version understands it.

    A response with a status has no message_id (SMPP 3.4 section 4.4.2) but for an empty one
    before TLVs, which would be read as it. 3.3 knows only short ids. TLVs go to 5.0 binds
    alone: aiosmpplib and naz take them for a part of the message_id, smpplib raises.
    """
    status = response.command_status
    if status == CommandStatus.ESME_ROK and version is not InterfaceVersion.V33:
        return response
    tlvs = response.tlvs if version is InterfaceVersion.V50 else ()
    message_id = response.message_id
    if status != CommandStatus.ESME_ROK:
        message_id = "" if tlvs else None
    return replace(
        response,
        command_status=status_for(version, status),
        message_id=message_id and message_id_for(version, message_id),
        tlvs=tlvs,
    )
