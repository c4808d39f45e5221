"""How the body of every PDU stands on the wire: one table of fields a PDU.

The maxima are those of SMPP 3.4 sections 4 and 5 (octets with the NUL), widened where
versions differ (3.3 message_id has 9, 5.0 allows 255 octets and destinations) and where
clients are known to exceed them: system_id and password up to 64 (python-smpplib, jsmpp).
"""

from __future__ import annotations

from dataclasses import fields
from enum import Enum, auto
from typing import Final, NamedTuple

from gateway.smpp import pdu as p
from gateway.smpp.constants import CommandStatus


class Kind(Enum):
    """How one field stands on the wire."""

    OCTETS = auto()  # `size` consecutive one-octet integers: as many fields
    CSTRING = auto()  # Latin-1 text of at most `size` octets with its NUL
    ADDRESS = auto()  # ton, npi, C-string of at most `size` octets
    SHORT_MESSAGE = auto()  # sm_length and as many octets
    DESTINATIONS = auto()  # number_of_dests and as many dest_flag entries
    UNSUCCESS = auto()  # no_unsuccess and as many addresses with error_status


class Field(NamedTuple):
    """One row of a layout; `status` answers an overlong or unterminated string."""

    kind: Kind
    name: str
    size: int = 0
    status: CommandStatus = CommandStatus.ESME_RINVCMDLEN


def _octets(names: str) -> Field:
    return Field(Kind.OCTETS, names, len(names.split()))


_S = CommandStatus
_SERVICE_TYPE = Field(Kind.CSTRING, "service_type", 6, _S.ESME_RINVSERTYP)
_SYSTEM_ID = Field(Kind.CSTRING, "system_id", 65, _S.ESME_RINVSYSID)
_PASSWORD = Field(Kind.CSTRING, "password", 65, _S.ESME_RINVPASWD)
_MESSAGE_ID = Field(Kind.CSTRING, "message_id", 65, _S.ESME_RINVMSGID)
_SOURCE = Field(Kind.ADDRESS, "source_addr", 21, _S.ESME_RINVSRCADR)
_DESTINATION = Field(Kind.ADDRESS, "destination_addr", 21, _S.ESME_RINVDSTADR)
_LONG_SOURCE = _SOURCE._replace(size=65)
_LONG_DESTINATION = _DESTINATION._replace(size=65)
_SCHEDULE = Field(Kind.CSTRING, "schedule_delivery_time", 17, _S.ESME_RINVSCHED)
_VALIDITY = Field(Kind.CSTRING, "validity_period", 17, _S.ESME_RINVEXPIRY)
_SHORT_MESSAGE = Field(Kind.SHORT_MESSAGE, "short_message", 255, _S.ESME_RINVMSGLEN)

_BIND = (
    _SYSTEM_ID,
    _PASSWORD,
    Field(Kind.CSTRING, "system_type", 13, _S.ESME_RINVSYSTYP),
    _octets("interface_version addr_ton addr_npi"),
    Field(Kind.CSTRING, "address_range", 41, _S.ESME_RINVCMDLEN),
)
_BIND_RESP = (_SYSTEM_ID,)
_CONTENT = (
    _octets("esm_class protocol_id priority_flag"),
    _SCHEDULE,
    _VALIDITY,
    _octets("registered_delivery replace_if_present_flag data_coding sm_default_msg_id"),
    _SHORT_MESSAGE,
)
_MESSAGE = (_SERVICE_TYPE, _SOURCE, _DESTINATION, *_CONTENT)
_MESSAGE_RESP = (_MESSAGE_ID,)

LAYOUTS: Final[dict[type[p.Pdu], tuple[Field, ...]]] = {
    p.BindReceiver: _BIND,
    p.BindTransmitter: _BIND,
    p.BindTransceiver: _BIND,
    p.BindReceiverResp: _BIND_RESP,
    p.BindTransmitterResp: _BIND_RESP,
    p.BindTransceiverResp: _BIND_RESP,
    p.Outbind: (_SYSTEM_ID, _PASSWORD),
    p.Unbind: (),
    p.UnbindResp: (),
    p.EnquireLink: (),
    p.EnquireLinkResp: (),
    p.GenericNack: (),
    p.SubmitSm: _MESSAGE,
    p.SubmitSmResp: _MESSAGE_RESP,
    p.DeliverSm: _MESSAGE,
    p.DeliverSmResp: _MESSAGE_RESP,
    p.SubmitMulti: (
        _SERVICE_TYPE,
        _SOURCE,
        Field(Kind.DESTINATIONS, "dest_address", 21, _S.ESME_RINVDSTADR),
        *_CONTENT,
    ),
    p.SubmitMultiResp: (_MESSAGE_ID, Field(Kind.UNSUCCESS, "unsuccess_sme", 21)),
    p.DataSm: (
        _SERVICE_TYPE,
        _LONG_SOURCE,
        _LONG_DESTINATION,
        _octets("esm_class registered_delivery data_coding"),
    ),
    p.DataSmResp: _MESSAGE_RESP,
    p.QuerySm: (_MESSAGE_ID, _SOURCE),
    p.QuerySmResp: (
        _MESSAGE_ID,
        Field(Kind.CSTRING, "final_date", 17),
        _octets("message_state error_code"),
    ),
    p.CancelSm: (_SERVICE_TYPE, _MESSAGE_ID, _SOURCE, _DESTINATION),
    p.CancelSmResp: (),
    p.ReplaceSm: (
        _MESSAGE_ID,
        _SOURCE,
        _SCHEDULE,
        _VALIDITY,
        _octets("registered_delivery sm_default_msg_id"),
        _SHORT_MESSAGE,
    ),
    p.ReplaceSmResp: (),
    p.AlertNotification: (_LONG_SOURCE, _LONG_SOURCE._replace(name="esme_addr")),
}

DL_NAME: Final = Field(Kind.CSTRING, "dl_name", 21, _S.ESME_RINVDLNAME)
CLASSES: Final[dict[int, type[p.Pdu]]] = {int(cls.command_id): cls for cls in LAYOUTS}
# Header-only PDUs and outbind have no TLVs; what follows their fields is kept as `stray`.
WITH_TLVS: Final = frozenset(cls for cls in LAYOUTS if "tlvs" in {f.name for f in fields(cls)})

_NOT_BODY: Final = frozenset({"sequence_number", "command_status", "tlvs", "stray"})
# The attributes of a PDU value that hold its body, in the order of its layout.
BODY_NAMES: Final = {
    cls: tuple(field.name for field in fields(cls) if field.name not in _NOT_BODY)
    for cls in LAYOUTS
}
