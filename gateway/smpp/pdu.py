"""The PDUs of SMPP as frozen values.

Field names are the specification's. C-octet strings are `str` in Latin-1, which maps every
octet to one character and back, so nothing is lost; octet strings and TLV values are
`bytes`. TLVs keep their order, repetitions and unknown tags. A response field that may be
absent from the wire is None when it is absent. `stray` holds octets found behind the
fields that no rule explains (a trailing NUL, the body of an enquire_link): encoding
writes them back, so that decode and encode are inverse.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

from gateway.smpp.constants import CommandId
from gateway.values import value_class


class Address(NamedTuple):
    """An SME address: type of number, numbering plan indicator, digits or text."""

    ton: int = 0
    npi: int = 0
    addr: str = ""


class Tlv(NamedTuple):
    """One optional parameter exactly as it stood on the wire."""

    tag: int
    value: bytes


class DistributionList(NamedTuple):
    """A submit_multi destination with dest_flag 2."""

    dl_name: str


class Unsuccess(NamedTuple):
    """A destination that submit_multi_resp reports as failed."""

    address: Address
    error_status: int


NOWHERE = Address()


@value_class
class Pdu:
    """What every PDU has. `command_length` exists only on the wire."""

    command_id: ClassVar[CommandId]

    sequence_number: int
    command_status: int = 0


@value_class
class HeaderOnly(Pdu):
    """A PDU without body; what stands there all the same is kept in `stray`."""

    stray: bytes = b""


@value_class
class Bind(Pdu):
    """The common body of the three bind requests (SMPP 3.4 section 4.1.1)."""

    system_id: str = ""
    password: str = ""
    system_type: str = ""
    interface_version: int = 0x34
    addr_ton: int = 0
    addr_npi: int = 0
    address_range: str = ""
    tlvs: tuple[Tlv, ...] = ()
    stray: bytes = b""

    def __repr__(self) -> str:
        """Without the password: a PDU may end in a log or a traceback."""
        return f"{type(self).__name__}({self.sequence_number}, system_id={self.system_id!r})"


@value_class
class BindResp(Pdu):
    """The common body of the three bind responses (SMPP 3.4 section 4.1.2)."""

    system_id: str | None = None
    tlvs: tuple[Tlv, ...] = ()
    stray: bytes = b""


@value_class
class Message(Pdu):
    """The common body of submit_sm and deliver_sm (SMPP 3.4 sections 4.4.1 and 4.6.1)."""

    service_type: str = ""
    source: Address = NOWHERE
    destination: Address = NOWHERE
    esm_class: int = 0
    protocol_id: int = 0
    priority_flag: int = 0
    schedule_delivery_time: str = ""
    validity_period: str = ""
    registered_delivery: int = 0
    replace_if_present_flag: int = 0
    data_coding: int = 0
    sm_default_msg_id: int = 0
    short_message: bytes = b""
    tlvs: tuple[Tlv, ...] = ()
    stray: bytes = b""

    def __repr__(self) -> str:
        """Without addresses and text: a PDU may end in a log or a traceback."""
        return f"{type(self).__name__}({self.sequence_number})"


@value_class
class MessageResp(Pdu):
    """The body of submit_sm_resp, deliver_sm_resp and data_sm_resp: a message_id."""

    message_id: str | None = None
    tlvs: tuple[Tlv, ...] = ()
    stray: bytes = b""


class BindReceiver(Bind):
    __slots__ = ()
    command_id = CommandId.bind_receiver


class BindTransmitter(Bind):
    __slots__ = ()
    command_id = CommandId.bind_transmitter


class BindTransceiver(Bind):
    __slots__ = ()
    command_id = CommandId.bind_transceiver


class BindReceiverResp(BindResp):
    __slots__ = ()
    command_id = CommandId.bind_receiver_resp


class BindTransmitterResp(BindResp):
    __slots__ = ()
    command_id = CommandId.bind_transmitter_resp


class BindTransceiverResp(BindResp):
    __slots__ = ()
    command_id = CommandId.bind_transceiver_resp


class SubmitSm(Message):
    __slots__ = ()
    command_id = CommandId.submit_sm


class DeliverSm(Message):
    __slots__ = ()
    command_id = CommandId.deliver_sm


class SubmitSmResp(MessageResp):
    __slots__ = ()
    command_id = CommandId.submit_sm_resp


class DeliverSmResp(MessageResp):
    __slots__ = ()
    command_id = CommandId.deliver_sm_resp


class DataSmResp(MessageResp):
    __slots__ = ()
    command_id = CommandId.data_sm_resp


class GenericNack(HeaderOnly):
    __slots__ = ()
    command_id = CommandId.generic_nack


class Unbind(HeaderOnly):
    __slots__ = ()
    command_id = CommandId.unbind


class UnbindResp(HeaderOnly):
    __slots__ = ()
    command_id = CommandId.unbind_resp


class EnquireLink(HeaderOnly):
    __slots__ = ()
    command_id = CommandId.enquire_link


class EnquireLinkResp(HeaderOnly):
    __slots__ = ()
    command_id = CommandId.enquire_link_resp


class CancelSmResp(HeaderOnly):
    __slots__ = ()
    command_id = CommandId.cancel_sm_resp


class ReplaceSmResp(HeaderOnly):
    __slots__ = ()
    command_id = CommandId.replace_sm_resp


@value_class
class Outbind(Pdu):
    command_id = CommandId.outbind

    system_id: str = ""
    password: str = ""
    stray: bytes = b""

    __repr__ = Bind.__repr__


@value_class
class SubmitMulti(Pdu):
    """SMPP 3.4 section 4.5.1; 1 to 254 (5.0: 255) destinations."""

    command_id = CommandId.submit_multi

    service_type: str = ""
    source: Address = NOWHERE
    destinations: tuple[Address | DistributionList, ...] = ()
    esm_class: int = 0
    protocol_id: int = 0
    priority_flag: int = 0
    schedule_delivery_time: str = ""
    validity_period: str = ""
    registered_delivery: int = 0
    replace_if_present_flag: int = 0
    data_coding: int = 0
    sm_default_msg_id: int = 0
    short_message: bytes = b""
    tlvs: tuple[Tlv, ...] = ()
    stray: bytes = b""

    __repr__ = Message.__repr__


@value_class
class SubmitMultiResp(Pdu):
    command_id = CommandId.submit_multi_resp

    message_id: str | None = None
    unsuccess: tuple[Unsuccess, ...] | None = None
    tlvs: tuple[Tlv, ...] = ()
    stray: bytes = b""

    __repr__ = Message.__repr__


@value_class
class DataSm(Pdu):
    """SMPP 3.4 section 4.7.1; the text stands in the message_payload TLV."""

    command_id = CommandId.data_sm

    service_type: str = ""
    source: Address = NOWHERE
    destination: Address = NOWHERE
    esm_class: int = 0
    registered_delivery: int = 0
    data_coding: int = 0
    tlvs: tuple[Tlv, ...] = ()
    stray: bytes = b""

    __repr__ = Message.__repr__


@value_class
class QuerySm(Pdu):
    command_id = CommandId.query_sm

    message_id: str = ""
    source: Address = NOWHERE
    tlvs: tuple[Tlv, ...] = ()
    stray: bytes = b""

    __repr__ = Message.__repr__


@value_class
class QuerySmResp(Pdu):
    command_id = CommandId.query_sm_resp

    message_id: str | None = None
    final_date: str | None = None
    message_state: int | None = None
    error_code: int | None = None
    tlvs: tuple[Tlv, ...] = ()
    stray: bytes = b""


@value_class
class CancelSm(Pdu):
    command_id = CommandId.cancel_sm

    service_type: str = ""
    message_id: str = ""
    source: Address = NOWHERE
    destination: Address = NOWHERE
    tlvs: tuple[Tlv, ...] = ()
    stray: bytes = b""

    __repr__ = Message.__repr__


@value_class
class ReplaceSm(Pdu):
    command_id = CommandId.replace_sm

    message_id: str = ""
    source: Address = NOWHERE
    schedule_delivery_time: str = ""
    validity_period: str = ""
    registered_delivery: int = 0
    sm_default_msg_id: int = 0
    short_message: bytes = b""
    tlvs: tuple[Tlv, ...] = ()
    stray: bytes = b""

    __repr__ = Message.__repr__


@value_class
class AlertNotification(Pdu):
    command_id = CommandId.alert_notification

    source: Address = NOWHERE
    esme: Address = NOWHERE
    tlvs: tuple[Tlv, ...] = ()
    stray: bytes = b""

    __repr__ = Message.__repr__
