"""One whole PDU <-> its value, driven by a table of field layouts.

Decoding is strict about bounds and lossless about content: every TLV is kept in order,
known or not, and `encode(decode(octets)) == octets` for every PDU that decodes. A field
at fault gives `MalformedPdu`, which still names the request and its sequence_number, so
that the answer is the right response with that field's status and the session lives on.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Final

from gateway.errors import GatewayError
from gateway.smpp import pdu as p
from gateway.smpp.constants import RESPONSE_BIT, CommandId, CommandStatus, name_of
from gateway.smpp.framing import HEADER
from gateway.smpp.layouts import BODY_NAMES, CLASSES, DL_NAME, LAYOUTS, WITH_TLVS, Field, Kind

CSTRING, OCTETS, ADDRESS = Kind.CSTRING, Kind.OCTETS, Kind.ADDRESS
SHORT_MESSAGE, DESTINATIONS = Kind.SHORT_MESSAGE, Kind.DESTINATIONS

_TLV: Final = struct.Struct(">HH")
_U32: Final = struct.Struct(">I")


class MalformedPdu(GatewayError):
    """A PDU inside sound framing that cannot be read, or whose command_id is unknown."""

    def __init__(
        self,
        command_id: int,
        sequence_number: int,
        command_status: CommandStatus,
        field: str,
        detail: str,
    ) -> None:
        super().__init__(detail, command_status=command_status, field=field)
        self.command_id = command_id
        self.sequence_number = sequence_number
        self.field = field


class _FieldError(Exception):
    def __init__(self, status: CommandStatus, field: str, detail: str) -> None:
        self.status, self.field, self.detail = status, field, detail


def response_to(command_id: int, sequence_number: int, status: int) -> p.Pdu:
    """The response PDU of a request, with no body but for the one NUL of a refused bind.

    generic_nack stands in where the request has no response or is unknown. The NUL is
    for Kannel, which warns without it, and aiosmpplib, which cannot parse the refusal.
    """
    cls = CLASSES.get(command_id | RESPONSE_BIT)
    if cls is None or command_id & RESPONSE_BIT:
        return p.GenericNack(sequence_number, status)
    if issubclass(cls, p.BindResp):
        return cls(sequence_number, status, "")
    return cls(sequence_number, status)


def decode(octets: bytes, *, keep_broken_tlv: bool = False) -> p.Pdu:
    """One whole PDU as its value; `octets` as long as its command_length says.

    Raises `MalformedPdu` for requests. A response with a malformed body is read by its
    header only (the body stays in `stray`): there is nobody to tell. An unknown response
    raises, with the status ESME_RINVCMDID, and must not be answered. `keep_broken_tlv`
    accepts a TLV that runs past the end and keeps it as `stray`.
    """
    _, command_id, command_status, sequence_number = HEADER.unpack_from(octets)
    cls = CLASSES.get(command_id)
    if cls is None:
        raise MalformedPdu(
            command_id,
            sequence_number,
            CommandStatus.ESME_RINVCMDID,
            "command_id",
            f"unknown command_id 0x{command_id:08X}",
        )
    make: Callable[..., p.Pdu] = cls
    is_response = command_id & RESPONSE_BIT
    layout = LAYOUTS[cls]
    if not layout or (is_response and len(octets) == HEADER.size):
        if cls not in WITH_TLVS:
            return make(sequence_number, command_status, octets[HEADER.size :])
        return make(sequence_number, command_status)
    try:
        values, end = _read_fields(octets, layout)
        if end == len(octets):
            return make(sequence_number, command_status, *values)
        if cls not in WITH_TLVS:
            return make(sequence_number, command_status, *values, octets[end:])
        tlvs, stray = _read_tlvs(octets, end, keep_broken_tlv)
        return make(sequence_number, command_status, *values, tlvs, stray)
    except IndexError:
        field, status = "body", CommandStatus.ESME_RINVCMDLEN
        detail = f"the body of {name_of(CommandId, command_id)} ends before its last field"
    except _FieldError as error:
        field, status, detail = error.field, error.status, error.detail
    if is_response:
        return make(sequence_number, command_status, stray=octets[HEADER.size :])
    raise MalformedPdu(command_id, sequence_number, status, field, detail)


def _read_fields(octets: bytes, layout: tuple[Field, ...]) -> tuple[list[Any], int]:
    """The values of a body in the order of its dataclass, and where its TLVs begin.

    Raises IndexError when the body is cut short, `_FieldError` for a field at fault.
    """
    values: list[Any] = []
    position = HEADER.size
    for field in layout:
        kind, name, size, status = field
        if kind is CSTRING:
            if octets[position]:
                text, position = _read_cstring(octets, position, field)
                values.append(text)
            else:  # an empty string: most of them are
                values.append("")
                position += 1
        elif kind is OCTETS:
            end = position + size
            if end > len(octets):
                raise IndexError
            values += octets[position:end]
            position = end
        elif kind is ADDRESS:
            address, position = _read_address(octets, position, field)
            values.append(address)
        elif kind is SHORT_MESSAGE:
            end = position + 1 + octets[position]
            if end > len(octets):
                detail = f"sm_length {octets[position]} goes past the end of the PDU"
                raise _FieldError(status, name, detail)
            values.append(octets[position + 1 : end])
            position = end
        elif kind is DESTINATIONS:
            destinations, position = _read_destinations(octets, position, field)
            values.append(destinations)
        else:
            unsuccess, position = _read_unsuccess(octets, position, field)
            values.append(unsuccess)
    return values, position


def _read_cstring(octets: bytes, position: int, field: Field) -> tuple[str, int]:
    end = octets.find(0, position, position + field.size)
    if end < 0:
        raise _unterminated(len(octets) - position, field)
    return octets[position:end].decode("latin-1"), end + 1


def _unterminated(left: int, field: Field) -> Exception:
    """What is wrong with a string without NUL, of which `left` octets are in the PDU."""
    if left <= 0:
        return IndexError()
    detail = f"{field.name} has no NUL within {field.size} octets"
    if left < field.size:
        detail = f"the PDU ends inside {field.name}"
    return _FieldError(field.status, field.name, detail)


def _read_address(octets: bytes, position: int, field: Field) -> tuple[p.Address, int]:
    text, end = _read_cstring(octets, position + 2, field)
    return p.Address(octets[position], octets[position + 1], text), end


def _read_destinations(
    octets: bytes, position: int, field: Field
) -> tuple[tuple[p.Address | p.DistributionList, ...], int]:
    count = octets[position]
    position += 1
    if count == 0:
        raise _FieldError(
            CommandStatus.ESME_RINVNUMDESTS, "number_of_dests", "number_of_dests is 0"
        )
    found: list[p.Address | p.DistributionList] = []
    for _ in range(count):
        dest_flag = octets[position]
        if dest_flag == 1:
            address, position = _read_address(octets, position + 1, field)
            found.append(address)
        elif dest_flag == 2:
            name, position = _read_cstring(octets, position + 1, DL_NAME)
            found.append(p.DistributionList(name))
        else:
            raise _FieldError(
                CommandStatus.ESME_RINVDESTFLAG,
                "dest_flag",
                f"dest_flag {dest_flag} is neither 1 nor 2",
            )
    return tuple(found), position


def _read_unsuccess(
    octets: bytes, position: int, field: Field
) -> tuple[tuple[p.Unsuccess, ...], int]:
    count = octets[position]
    position += 1
    found = []
    for _ in range(count):
        address, position = _read_address(octets, position, field)
        if position + _U32.size > len(octets):
            raise IndexError
        found.append(p.Unsuccess(address, _U32.unpack_from(octets, position)[0]))
        position += _U32.size
    return tuple(found), position


def _read_tlvs(octets: bytes, position: int, keep_broken: bool) -> tuple[tuple[p.Tlv, ...], bytes]:
    """The TLVs and what is left: 1 to 3 octets that no TLV can begin with, or a kept stub.

    Stray octets are not an error: twitter-archive/cloudhopper-smpp#64 lost whole sessions
    to clients that end a PDU with one more NUL.
    """
    found = []
    end = len(octets)
    while end - position >= _TLV.size:
        tag, length = _TLV.unpack_from(octets, position)
        after = position + _TLV.size + length
        if after > end:
            if keep_broken:
                break
            raise _FieldError(
                CommandStatus.ESME_RINVOPTPARSTREAM,
                f"tlv 0x{tag:04X}",
                f"TLV 0x{tag:04X} of length {length} goes past the end of the PDU",
            )
        found.append(p.Tlv(tag, octets[position + _TLV.size : after]))
        position = after
    return tuple(found), octets[position:]


def encode(pdu: p.Pdu) -> bytes:
    """The PDU as octets, command_length included.

    A response whose first body field is None has no body. Raises ValueError for a value
    that the wire cannot carry: that is a fault of the caller, never of a peer.
    """
    cls = type(pdu)
    body = bytearray()
    layout = LAYOUTS[cls]
    try:
        if layout:
            values = [getattr(pdu, name) for name in BODY_NAMES[cls]]
            if values[0] is not None:
                _write_fields(body, layout, values)
            elif cls in WITH_TLVS and pdu.tlvs:  # type: ignore[attr-defined]
                raise ValueError(f"{cls.__name__} has TLVs and no {BODY_NAMES[cls][0]} before them")
        if cls in WITH_TLVS:
            for tag, value in pdu.tlvs:  # type: ignore[attr-defined]
                body += _TLV.pack(tag, len(value)) + value
        body += pdu.stray  # type: ignore[attr-defined]
        length = HEADER.size + len(body)
        return HEADER.pack(length, cls.command_id, pdu.command_status, pdu.sequence_number) + body
    except struct.error as error:
        raise ValueError(f"{cls.__name__}: {error}") from None


def _write_fields(body: bytearray, layout: tuple[Field, ...], values: list[Any]) -> None:
    index = 0
    for field in layout:
        value = values[index]
        if field.kind is OCTETS:
            body += bytes(values[index : index + field.size])
            index += field.size
            continue
        index += 1
        if field.kind is CSTRING:
            _write_cstring(body, value, field)
        elif field.kind is ADDRESS:
            _write_address(body, value, field)
        elif field.kind is SHORT_MESSAGE:
            body.append(len(value))  # ValueError above 255
            body += value
        elif field.kind is DESTINATIONS:
            body.append(len(value))
            for destination in value:
                if isinstance(destination, p.DistributionList):
                    body.append(2)
                    _write_cstring(body, destination.dl_name, DL_NAME)
                else:
                    body.append(1)
                    _write_address(body, destination, field)
        else:
            body.append(len(value))
            for address, error_status in value:
                _write_address(body, address, field)
                body += _U32.pack(error_status)


def _write_cstring(body: bytearray, text: str, field: Field) -> None:
    octets = text.encode("latin-1")
    if len(octets) >= field.size or 0 in octets:
        raise ValueError(f"{field.name} does not fit a C-string of {field.size} octets")
    body += octets
    body.append(0)


def _write_address(body: bytearray, address: p.Address, field: Field) -> None:
    body.append(address.ton)
    body.append(address.npi)
    _write_cstring(body, address.addr, field)
